/* SPDX-License-Identifier: MIT
 *
 * offload.h - in software, what a sender left to its network adapter: finishing checksums and
 * cutting super-frames. Used only where the port a frame leaves by cannot take it as it is.
 *
 * All functions want frames in normal form (fabric/frame.h). Hostile: offload_check() once, on the
 * way in, establishes that the header and the frame agree; the others rely on it.
 *
 * A segment's headers are those of the super-frame with the fields that differ computed afresh: IP
 * lengths, IPv4 identification and header checksum, TCP sequence number and flags, UDP length.
 * IPv4, and IPv6 with hop-by-hop and destination options in front of TCP, are known; anything else
 * asking for segmentation fails the check.
 */
#ifndef VIADUCT_FABRIC_OFFLOAD_H
#define VIADUCT_FABRIC_OFFLOAD_H

#include "base/eth_ops.h"

/* No TCP sends with a smaller MSS; bounds what one super-frame can cost. */
#define GSO_MIN_PAYLOAD_BYTES 48
/* Ethernet header, one inner tag, IPv6 header with options, TCP header. */
#define GSO_MAX_HEADER_BYTES 512

/* Does `hdr` ask for something that the frame bears out? Clears what carries no meaning and sets
 * hdr_len to the truth. 0 or -EBADMSG. */
int offload_check(struct eth_hdr *hdr, const uint8_t *frame, size_t size_bytes);

/* Must a frame with this header be segmented for a port with these enum eth_cap bits? */
bool offload_needs_segments(const struct eth_hdr *hdr, uint32_t caps);

/* Finish the checksum that ETH_HDR_NEEDS_CSUM asks for, in place. Not for super-frames. */
void offload_finish_csum(struct eth_hdr *hdr, uint8_t *frame, size_t size_bytes);

/* Ones' complement sum of `size_bytes` bytes, starting from `sum`; the result is not inverted.
 * Both are in the order of the bytes in memory (RFC 1071, section 2(B)): what is stored is what
 * belongs into a header, without htons(). */
uint16_t csum_add(uint16_t sum, const void *data, size_t size_bytes);

/* The segments of a super-frame, one after the other. */
struct gso {
	const uint8_t *frame;
	const uint8_t *payload;
	size_t left_bytes; /* payload not yet cut off */
	uint32_t n_segments;
	uint16_t payload_bytes; /* a segment's, at most */
	uint16_t header_bytes;
	uint16_t l3_at, l4_at;
	uint8_t protocol;
	bool ipv6;
};

void gso_begin(struct gso *gso, const struct eth_hdr *hdr, const uint8_t *frame, size_t size_bytes);
/* Write the next segment to `out`, which has room for gso_segment_max_bytes(). Its checksum is
 * still partial, as `ret_hdr` says. Returns its size, or 0 when there are no more. */
size_t gso_next(struct gso *gso, struct eth_hdr *ret_hdr, uint8_t *out);

static inline size_t gso_segment_max_bytes(const struct gso *gso)
{
	return (size_t)gso->header_bytes + gso->payload_bytes;
}

#endif
