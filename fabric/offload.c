/* SPDX-License-Identifier: MIT */
#include "fabric/offload.h"
#include "base/bytes.h"
#include "fabric/frame.h"
#include "fabric/inet.h"

uint16_t csum_add(uint16_t sum, const void *data, size_t size_bytes)
{
	const uint8_t *p = data;
	uint64_t total = sum;
	uint8_t tail[2] = {0, 0};

	/* Sums of 16-bit words may be taken over wider ones and folded: 2^16 is 1 modulo 2^16 - 1.
	 */
	for (; size_bytes >= 4; p += 4, size_bytes -= 4) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		total += word;
	}
	if (size_bytes >= 2) {
		uint16_t word;

		memcpy(&word, p, sizeof(word));
		total += word;
		p += 2;
		size_bytes -= 2;
	}
	if (size_bytes) {
		uint16_t word;

		tail[0] = *p;
		memcpy(&word, tail, sizeof(word));
		total += word;
	}
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

void offload_finish_csum(struct eth_hdr *hdr, uint8_t *frame, size_t size_bytes)
{
	uint8_t *at = frame + hdr->csum_start + hdr->csum_offset;
	uint16_t csum;

	/* The field holds the sum over the pseudo-header, so it is part of what is summed. */
	csum = (uint16_t)~csum_add(0, frame + hdr->csum_start, size_bytes - hdr->csum_start);
	/* 0 means "no checksum" to UDP, and is equal to its inverse for all others. */
	if (csum == 0)
		csum = 0xffff;
	memcpy(at, &csum, sizeof(csum));
	hdr->flags &= (uint8_t)~ETH_HDR_NEEDS_CSUM;
	hdr->csum_start = 0;
	hdr->csum_offset = 0;
}

bool offload_needs_segments(const struct eth_hdr *hdr, uint32_t caps)
{
	switch (hdr->gso_type & ~ETH_GSO_ECN) {
	case ETH_GSO_NONE:
		return false;
	case ETH_GSO_TCPV4:
		return !(caps & ETH_CAP_TSO4);
	case ETH_GSO_TCPV6:
		return !(caps & ETH_CAP_TSO6);
	default:
		return true;
	}
}

/* Where the network header starts and which it is; one inner tag is stepped over. */
static int find_l3(const uint8_t *frame, size_t size_bytes, size_t *ret_at, uint16_t *ret_ethertype)
{
	size_t at = ETH_HEADER_BYTES;
	uint16_t ethertype = load_be16(frame + at - 2);

	if (ethertype == FRAME_TPID) {
		at += ETH_TAG_BYTES;
		if (at > size_bytes)
			return -EBADMSG;
		ethertype = load_be16(frame + at - 2);
	}
	*ret_at = at;
	*ret_ethertype = ethertype;
	return 0;
}

/* The transport header behind an IPv4 header at `at`. */
static int find_l4_ipv4(const uint8_t *frame, size_t size_bytes, size_t *at, uint8_t *ret_protocol)
{
	const uint8_t *ip = frame + *at;
	size_t ip_bytes;

	if (size_bytes - *at < IPV4_MIN_BYTES || ip[0] >> 4 != 4)
		return -EBADMSG;
	ip_bytes = (size_t)(ip[0] & 15) * 4;
	if (ip_bytes < IPV4_MIN_BYTES || ip_bytes > size_bytes - *at ||
		(load_be16(ip + IPV4_FRAGMENT) & IPV4_MORE_OR_OFFSET))
		return -EBADMSG;
	*ret_protocol = ip[IPV4_PROTOCOL];
	*at += ip_bytes;
	return 0;
}

/* The same for IPv6; the walk over options ends, as each of them has at least 8 bytes. */
static int find_l4_ipv6(const uint8_t *frame, size_t size_bytes, size_t *at, uint8_t *ret_protocol)
{
	uint8_t next;

	if (size_bytes - *at < IPV6_BYTES || frame[*at] >> 4 != 6)
		return -EBADMSG;
	next = frame[*at + IPV6_NEXT];
	*at += IPV6_BYTES;
	while (next == IPV6_HOP_BY_HOP || next == IPV6_DESTINATION_OPTIONS) {
		size_t option_bytes;

		if (size_bytes - *at < IPV6_OPTION_MIN_BYTES)
			return -EBADMSG;
		option_bytes = ((size_t)frame[*at + 1] + 1) * IPV6_OPTION_MIN_BYTES;
		if (option_bytes > size_bytes - *at)
			return -EBADMSG;
		next = frame[*at];
		*at += option_bytes;
	}
	*ret_protocol = next;
	return 0;
}

struct layout {
	size_t l3_at, l4_at, header_bytes;
	uint8_t protocol;
	bool ipv6;
};

static int parse_layout(const uint8_t *frame, size_t size_bytes, struct layout *ret)
{
	struct layout layout = {0};
	uint16_t ethertype;
	size_t l4_bytes;
	int r;

	r = find_l3(frame, size_bytes, &layout.l3_at, &ethertype);
	if (r < 0)
		return r;
	layout.l4_at = layout.l3_at;
	layout.ipv6 = ethertype == ETHERTYPE_IPV6;
	if (layout.ipv6)
		r = find_l4_ipv6(frame, size_bytes, &layout.l4_at, &layout.protocol);
	else if (ethertype == ETHERTYPE_IPV4)
		r = find_l4_ipv4(frame, size_bytes, &layout.l4_at, &layout.protocol);
	else
		r = -EBADMSG;
	if (r < 0)
		return r;
	if (layout.protocol == PROTOCOL_TCP && size_bytes - layout.l4_at >= TCP_MIN_BYTES) {
		l4_bytes = (size_t)(frame[layout.l4_at + TCP_DATA_OFFSET] >> 4) * 4;
		if (l4_bytes < TCP_MIN_BYTES)
			return -EBADMSG;
	} else if (layout.protocol == PROTOCOL_UDP) {
		l4_bytes = UDP_BYTES;
	} else {
		return -EBADMSG;
	}
	layout.header_bytes = layout.l4_at + l4_bytes;
	if (layout.header_bytes > MIN(size_bytes, (size_t)GSO_MAX_HEADER_BYTES))
		return -EBADMSG;
	*ret = layout;
	return 0;
}

static int check_gso(struct eth_hdr *hdr, const uint8_t *frame, size_t size_bytes)
{
	uint8_t type = hdr->gso_type & (uint8_t)~ETH_GSO_ECN;
	struct layout layout;

	if (parse_layout(frame, size_bytes, &layout) < 0)
		return -EBADMSG;
	if (type == FRAME_GSO_UDP_L4) {
		if (layout.protocol != PROTOCOL_UDP || hdr->gso_type & ETH_GSO_ECN)
			return -EBADMSG;
	} else if ((type != ETH_GSO_TCPV4 && type != ETH_GSO_TCPV6) ||
		   layout.protocol != PROTOCOL_TCP || layout.ipv6 != (type == ETH_GSO_TCPV6)) {
		return -EBADMSG;
	}
	if (!(hdr->flags & ETH_HDR_NEEDS_CSUM) || hdr->csum_start != layout.l4_at ||
		hdr->csum_offset != (type == FRAME_GSO_UDP_L4 ? UDP_CSUM : TCP_CSUM) ||
		hdr->gso_size < GSO_MIN_PAYLOAD_BYTES || layout.header_bytes == size_bytes)
		return -EBADMSG;
	hdr->hdr_len = (uint16_t)layout.header_bytes;
	return 0;
}

int offload_check(struct eth_hdr *hdr, const uint8_t *frame, size_t size_bytes)
{
	hdr->flags &= ETH_HDR_NEEDS_CSUM | ETH_HDR_DATA_VALID;
	if (hdr->flags & ETH_HDR_NEEDS_CSUM) {
		if (hdr->csum_start < ETH_HEADER_BYTES ||
			(size_t)hdr->csum_start + hdr->csum_offset + sizeof(uint16_t) > size_bytes)
			return -EBADMSG;
	} else {
		hdr->csum_start = 0;
		hdr->csum_offset = 0;
	}
	if (hdr->gso_type != ETH_GSO_NONE)
		return check_gso(hdr, frame, size_bytes);
	hdr->gso_size = 0;
	hdr->hdr_len = 0;
	return 0;
}

void gso_begin(struct gso *gso, const struct eth_hdr *hdr, const uint8_t *frame, size_t size_bytes)
{
	struct layout layout;

	*gso = (struct gso){.frame = frame};
	if (parse_layout(frame, size_bytes, &layout) < 0)
		return; /* cannot be after offload_check(); no segments then */
	gso->payload = frame + layout.header_bytes;
	gso->left_bytes = size_bytes - layout.header_bytes;
	gso->payload_bytes = hdr->gso_size;
	gso->header_bytes = (uint16_t)layout.header_bytes;
	gso->l3_at = (uint16_t)layout.l3_at;
	gso->l4_at = (uint16_t)layout.l4_at;
	gso->protocol = layout.protocol;
	gso->ipv6 = layout.ipv6;
}

/* The sum over the pseudo-header (RFC 9293 3.1, RFC 8200 8.1), where the checksum goes. */
static void put_pseudo_sum(const struct gso *gso, uint8_t *out, size_t l4_bytes, size_t csum_at)
{
	const uint8_t *ip = out + gso->l3_at;
	uint8_t tail[8] = {0};
	uint16_t sum;

	store_be32(tail, (uint32_t)l4_bytes);
	tail[7] = gso->protocol;
	sum = csum_add(0, tail, sizeof(tail));
	sum = gso->ipv6 ? csum_add(sum, ip + IPV6_ADDRESSES, 32)
			: csum_add(sum, ip + IPV4_ADDRESSES, 8);
	memcpy(out + csum_at, &sum, sizeof(sum));
}

static void fix_l3(const struct gso *gso, uint8_t *out, size_t size_bytes)
{
	uint8_t *ip = out + gso->l3_at;
	uint16_t csum;

	if (gso->ipv6) {
		store_be16(ip + IPV6_LENGTH, (uint16_t)(size_bytes - gso->l3_at - IPV6_BYTES));
		return;
	}
	store_be16(ip + IPV4_LENGTH, (uint16_t)(size_bytes - gso->l3_at));
	store_be16(ip + IPV4_ID, (uint16_t)(load_be16(ip + IPV4_ID) + gso->n_segments));
	store_be16(ip + IPV4_CSUM, 0);
	csum = (uint16_t)~csum_add(0, ip, (size_t)(gso->l4_at - gso->l3_at));
	memcpy(ip + IPV4_CSUM, &csum, sizeof(csum));
}

static void fix_l4(const struct gso *gso, uint8_t *out, size_t size_bytes, bool last)
{
	uint8_t *l4 = out + gso->l4_at;
	size_t l4_bytes = size_bytes - gso->l4_at;

	if (gso->protocol == PROTOCOL_UDP) {
		store_be16(l4 + UDP_LENGTH, (uint16_t)l4_bytes);
		put_pseudo_sum(gso, out, l4_bytes, (size_t)gso->l4_at + UDP_CSUM);
		return;
	}
	store_be32(l4 + TCP_SEQUENCE,
		load_be32(l4 + TCP_SEQUENCE) + gso->n_segments * gso->payload_bytes);
	if (!last)
		l4[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (gso->n_segments > 0)
		l4[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	put_pseudo_sum(gso, out, l4_bytes, (size_t)gso->l4_at + TCP_CSUM);
}

size_t gso_next(struct gso *gso, struct eth_hdr *ret_hdr, uint8_t *out)
{
	size_t payload_bytes = MIN(gso->left_bytes, (size_t)gso->payload_bytes);
	size_t size_bytes = gso->header_bytes + payload_bytes;

	if (payload_bytes == 0)
		return 0;
	memcpy(out, gso->frame, gso->header_bytes);
	memcpy(out + gso->header_bytes, gso->payload, payload_bytes);
	fix_l3(gso, out, size_bytes);
	fix_l4(gso, out, size_bytes, payload_bytes == gso->left_bytes);
	*ret_hdr = (struct eth_hdr){
		.flags = ETH_HDR_NEEDS_CSUM,
		.csum_start = gso->l4_at,
		.csum_offset = gso->protocol == PROTOCOL_UDP ? UDP_CSUM : TCP_CSUM,
	};
	gso->payload += payload_bytes;
	gso->left_bytes -= payload_bytes;
	gso->n_segments++;
	return size_bytes;
}
