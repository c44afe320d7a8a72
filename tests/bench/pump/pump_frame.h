/* SPDX-License-Identifier: MIT
 *
 * pump_frame.h - the frames that pumps send: Ethernet and IPv4 headers, and the frames by which two
 * pumps find each other. Addresses of IPv4 follow from the MAC addresses.
 */
#ifndef VIADUCT_TESTS_BENCH_PUMP_FRAME_H
#define VIADUCT_TESTS_BENCH_PUMP_FRAME_H

#include "pump.h"

#define PUMP_L4_AT (ETH_HEADER_BYTES + 20)

/* Write the Ethernet and IPv4 headers of a packet to the peer with `l4_bytes` behind them. */
void pump_write_ipv4(const struct pump *pump, uint8_t protocol, size_t l4_bytes, uint8_t *frame);
/* Sum of the pseudo header (RFC 9293, 3.1), not inverted, in the order of the summed bytes. */
uint16_t pump_pseudo_sum(const uint8_t *frame, uint8_t protocol, size_t l4_bytes);

enum pump_word {
	PUMP_DATA, /* any frame that is none of the words */
	PUMP_HELLO,
	PUMP_HELLO_ANSWER,
	PUMP_END,
	PUMP_END_ANSWER,
};

/* What `frame` says. */
enum pump_word pump_word_of(const uint8_t *frame, size_t size_bytes);
int pump_say(struct pump *pump, enum pump_word word);
/* The leader: say `word` until it is answered. -ETIMEDOUT after `patience_ns`. Other frames that
 * come meanwhile are dropped. */
int pump_agree(struct pump *pump, enum pump_word word, uint64_t patience_ns);

#endif
