/* SPDX-License-Identifier: MIT */
#include "fabric/frame.h"
#include "base/bytes.h"
#include "fabric/inet.h"
#include "fabric/offload.h"

#define ADDRESSES_BYTES (2 * ETH_ADDR_LEN)

/* Move the tag out of line: the addresses slide over it. */
static enum drop take_tag(struct frame *frame)
{
	struct eth_hdr *hdr = &frame->hdr;

	if (frame->size_bytes < ETH_HEADER_BYTES + ETH_TAG_BYTES)
		return DROP_RUNT;
	if (hdr->flags & ETH_HDR_NEEDS_CSUM) {
		if (hdr->csum_start < ETH_HEADER_BYTES + ETH_TAG_BYTES)
			return DROP_OFFLOAD;
		hdr->csum_start -= ETH_TAG_BYTES;
	}
	frame->tagged = true;
	frame->tci = load_be16(frame->data + ADDRESSES_BYTES + 2);
	memmove(frame->data + ETH_TAG_BYTES, frame->data, ADDRESSES_BYTES);
	frame->data += ETH_TAG_BYTES;
	frame->size_bytes -= ETH_TAG_BYTES;
	return DROP_NONE;
}

enum drop frame_normalise(struct frame *frame)
{
	enum drop drop;

	if (frame->size_bytes < ETH_HEADER_BYTES)
		return DROP_RUNT;
	if (frame_bytes(frame) > ETH_FRAME_MAX_BYTES)
		return DROP_GIANT;
	if (!frame->tagged && load_be16(frame->data + ADDRESSES_BYTES) == FRAME_TPID) {
		drop = take_tag(frame);
		if (drop)
			return drop;
	}
	frame->inner_tag = ethertype_is_tag(load_be16(frame->data + ADDRESSES_BYTES));
	if (offload_check(&frame->hdr, frame->data, frame->size_bytes) < 0)
		return DROP_OFFLOAD;
	return DROP_NONE;
}

static unsigned add_tail(const struct frame *frame, unsigned n, struct iovec iov[FRAME_MAX_PIECES])
{
	for (unsigned i = 0; i < frame->n_tail; i++)
		iov[n++] = frame->tail[i];
	return n;
}

unsigned frame_pieces(struct frame *frame, bool tagged, uint16_t tci, struct eth_hdr *ret_hdr,
	struct iovec ret_iov[FRAME_MAX_PIECES])
{
	*ret_hdr = frame->hdr;
	if (!tagged) {
		ret_iov[0] = (struct iovec){frame->data, frame->size_bytes};
		return add_tail(frame, 1, ret_iov);
	}
	if (ret_hdr->flags & ETH_HDR_NEEDS_CSUM)
		ret_hdr->csum_start += ETH_TAG_BYTES;
	if (ret_hdr->hdr_len)
		ret_hdr->hdr_len += ETH_TAG_BYTES;
	store_be16(frame->tag_wire, FRAME_TPID);
	store_be16(frame->tag_wire + 2, tci);
	ret_iov[0] = (struct iovec){frame->data, ADDRESSES_BYTES};
	ret_iov[1] = (struct iovec){frame->tag_wire, ETH_TAG_BYTES};
	ret_iov[2] =
		(struct iovec){frame->data + ADDRESSES_BYTES, frame->size_bytes - ADDRESSES_BYTES};
	return add_tail(frame, 3, ret_iov);
}
