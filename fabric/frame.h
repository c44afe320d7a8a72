/* SPDX-License-Identifier: MIT
 *
 * frame.h - a frame on its way through the switch.
 *
 * Normal form: the outer 802.1Q tag is out of line (`tagged`, `tci`), as AF_PACKET delivers it, so
 * that a tag is added, changed or removed without moving the frame. hdr.csum_start counts from the
 * first byte of that form. Only TPID 0x8100 makes a VLAN tag; whatever follows it, tags included,
 * is payload - but payload that another switch might take for a tag never leaves untagged
 * (`inner_tag`).
 *
 * The payload of a super-frame may stay where the sender has it: `data` is then only the beginning,
 * with all headers that count, and the rest is `tail`. The sender may change the tail meanwhile, so
 * it is copied and never judged.
 *
 * Ownership: a frame borrows its bytes from the batch that holds it.
 */
#ifndef VIADUCT_FABRIC_FRAME_H
#define VIADUCT_FABRIC_FRAME_H

#include "base/eth_ops.h"
#include "fabric/drop.h"

#define FRAME_TPID     0x8100
#define FRAME_VID_MASK 0x0fff

/* Segments of a UDP super-frame (virtio 1.2); the kernel hands them in, no port takes them. */
#define FRAME_GSO_UDP_L4 5

#define FRAME_MAX_TAIL   2
#define FRAME_MAX_PIECES (3 + FRAME_MAX_TAIL)

struct frame {
	struct eth_hdr hdr;
	uint8_t *data;
	uint32_t size_bytes; /* of data */
	uint32_t tail_bytes; /* 0, but for super-frames */
	unsigned n_tail;
	struct iovec tail[FRAME_MAX_TAIL];
	bool tagged;
	bool inner_tag;                  /* what follows the addresses looks like a tag */
	uint16_t tci;                    /* of the outer tag, host order */
	uint8_t tag_wire[ETH_TAG_BYTES]; /* what leaves tagged copies of it */
};

static inline uint32_t frame_bytes(const struct frame *frame)
{
	return frame->size_bytes + frame->tail_bytes;
}

/* Bring a frame as it was received - hdr, data, size_bytes, and tagged with tci if the tag was out
 * of line already - into normal form, and check it: length, and that hdr asks for nothing that the
 * frame does not bear out. Returns DROP_NONE or the reason to drop it. */
enum drop frame_normalise(struct frame *frame);

/* The pieces of the frame as it leaves, with the tag `tci` when `tagged`; tag_wire is overwritten,
 * so all tagged copies of a frame have the same tag. `ret_hdr` is adjusted to the pieces. */
unsigned frame_pieces(struct frame *frame, bool tagged, uint16_t tci, struct eth_hdr *ret_hdr,
	struct iovec ret_iov[FRAME_MAX_PIECES]);

#endif
