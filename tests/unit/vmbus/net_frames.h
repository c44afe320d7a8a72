/* SPDX-License-Identifier: MIT
 *
 * net_frames.h - frames for tests of the network VSP, and their checksums by the book: 16 bits at a
 * time, without a line of what is tested.
 */
#ifndef VIADUCT_TESTS_NET_FRAMES_H
#define VIADUCT_TESTS_NET_FRAMES_H

#include "base/err.h"

struct frame_spec {
	bool ipv6;
	bool udp;
	bool tagged;  /* VLAN 5, priority 3, in line */
	bool routing; /* IPv6 routing header */
	uint8_t tcp_flags;
	size_t payload_bytes;
	uint8_t tcp_option_words;
};

struct frame {
	uint8_t bytes[65562];
	size_t size_bytes;
	size_t ip_at, l4_at, payload_at;
	bool ipv6, udp;
};

extern const uint8_t frame_dst[6], frame_src[6];

/* A frame with correct checksums; payload byte i is i % 251. */
void frame_make(struct frame *frame, const struct frame_spec *spec);
/* Replace the TCP or UDP checksum by the sum of the pseudo header, with or without the length. */
void frame_make_partial(struct frame *frame, bool with_length);
/* Find the headers of a frame that was received. */
void frame_parse(struct frame *frame, const void *bytes, size_t size_bytes);
/* IP header and TCP or UDP. */
bool frame_checksums_ok(const struct frame *frame);

#endif
