/* SPDX-License-Identifier: MIT
 *
 * pump_tcp.h - the segments of the stream: IPv4 and TCP (RFC 9293) headers, with the checksum left
 * to the adapter and payloads of up to 64 KiB where the port takes such frames, finished and cut to
 * the MSS where not.
 */
#ifndef VIADUCT_TESTS_BENCH_PUMP_TCP_H
#define VIADUCT_TESTS_BENCH_PUMP_TCP_H

#include "pump_frame.h"

#define TCP_MSS_BYTES     1460
#define TCP_WINDOW_SCALE  7
#define TCP_MAX_WINDOW    (65535U << TCP_WINDOW_SCALE)
#define TCP_SUPER_PAYLOAD (44 * TCP_MSS_BYTES) /* as much as a packet of 64 KiB takes */

enum {
	TCP_FLAG_FIN = 0x01,
	TCP_FLAG_SYN = 0x02,
	TCP_FLAG_ACK = 0x10,
};

struct segment {
	uint32_t sequence, ack;
	uint8_t flags;
	uint32_t window_bytes;
	const uint8_t *payload;
	size_t payload_bytes;
};

/* Queue one segment; a SYN gets the options MSS and window scale. `may_wait`: for room; otherwise
 * -EAGAIN. */
int segment_send(struct pump *pump, const struct segment *segment, bool may_wait);
/* Take the next segment of the stream apart; `payload` is within `data`. Frames that are something
 * else are passed over. -EAGAIN: none there. -EBADMSG: a segment whose checksum is wrong. */
int segment_recv(
	struct pump *pump, uint8_t *data, size_t capacity_bytes, struct segment *ret_segment);

#endif
