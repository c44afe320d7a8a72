/* SPDX-License-Identifier: MIT
 *
 * eth_dummy.h - a switch port in memory, for tests of whoever uses struct eth_ops: frames that the
 * user sends are kept for the test to take, frames that the test injects are received by the user.
 *
 * Threads: thread-safe; the test may run beside the user's worker. Frames that
 * the capabilities or struct eth_ops do not allow are refused.
 */
#ifndef VIADUCT_BASE_ETH_DUMMY_H
#define VIADUCT_BASE_ETH_DUMMY_H

#include "base/eth_ops.h"

#define ETH_DUMMY_UNLIMITED SIZE_MAX

struct eth_dummy;

/* The `port` of these is the struct eth_dummy. */
extern const struct eth_ops eth_dummy_ops;

/* `caps`: enum eth_cap bits. */
int eth_dummy_new(uint32_t caps, struct eth_dummy **ret_dummy);
void eth_dummy_free(struct eth_dummy *dummy);

/* Let the user receive one more frame, and wake it up if it is armed. */
int eth_dummy_inject(
	struct eth_dummy *dummy, const struct eth_hdr *hdr, const void *frame, size_t size_bytes);
/* Take the oldest frame that the user sent. -EAGAIN when there is none, -EMSGSIZE when it is larger
 * than `capacity_bytes` (it stays). */
int eth_dummy_take(struct eth_dummy *dummy, struct eth_hdr *ret_hdr, void *ret_frame,
	size_t capacity_bytes, size_t *ret_size_bytes);

/* How many more frames send() takes before it returns -EAGAIN; without a limit at first. A limit
 * above 0 wakes up the user if it waits for room. */
void eth_dummy_set_room(struct eth_dummy *dummy, size_t n_frames);

/* Frames sent that nobody took, frames injected that the user did not receive, and since the start:
 * calls of flush() and received frames dropped for their size. */
size_t eth_dummy_n_sent(struct eth_dummy *dummy);
size_t eth_dummy_n_injected(struct eth_dummy *dummy);
size_t eth_dummy_n_flushes(struct eth_dummy *dummy);
size_t eth_dummy_n_dropped(struct eth_dummy *dummy);

#endif
