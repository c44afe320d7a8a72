/* SPDX-License-Identifier: MIT
 *
 * trace_frame.h - a frame made from what somebody says of it, to be asked about. Only headers that
 * were spoken of are in it; lengths and checksums are right.
 */
#ifndef VIADUCT_NODE_CTL_TRACE_FRAME_H
#define VIADUCT_NODE_CTL_TRACE_FRAME_H

#include "base/err.h"

#define TRACE_FRAME_MAX_BYTES 128

struct trace_spec {
	uint8_t dst[6], src[6];
	int vlan;     /* -1: no tag */
	int priority; /* 0 to 7, with a tag */
	uint16_t ethertype;
	/* With an IP EtherType: */
	bool ipv6;
	uint8_t ip_src[16], ip_dst[16];
	uint8_t protocol;
	/* Of TCP and UDP; of ICMP type and code. */
	uint16_t src_port, dst_port;
};

/* Returns its size. */
size_t trace_frame_build(const struct trace_spec *spec, uint8_t ret_frame[TRACE_FRAME_MAX_BYTES]);

#endif
