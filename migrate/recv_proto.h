/* SPDX-License-Identifier: MIT
 *
 * recv_proto.h - the target's side of the control connection as a pure state machine: frames and
 * "all channels are at the barrier" go in, what to do next comes out. No descriptor, no clock, no
 * thread.
 *
 *	state          frame            channels at barrier    next
 *	MANIFEST       MANIFEST                                IDLE         -> ACCEPT
 *	IDLE           ROUND_BEGIN                             ROUND
 *	IDLE           ROUND_BEGIN+FINAL                       FINAL_ROUND
 *	ROUND          ROUND_END        and                    IDLE         -> ROUND_DONE
 *	FINAL_ROUND    STATE...                                FINAL_ROUND
 *	FINAL_ROUND    FINAL            and                    RESTORE      -> RESTORE
 *	RESTORE        (recv_proto_restored)                   READY
 *	READY          COMMIT                                  OVER         -> COMMITTED
 *	any            ABORT                                   OVER         -> ABORTED
 *
 * "and": in either order. Everything else is an error, -EBADMSG with static text.
 */
#ifndef VIADUCT_MIGRATE_RECV_PROTO_H
#define VIADUCT_MIGRATE_RECV_PROTO_H

#include "migrate/manifest.h"
#include "migrate/stream.h"

enum recv_state {
	RECV_MANIFEST,
	RECV_IDLE,
	RECV_ROUND,
	RECV_FINAL_ROUND,
	RECV_RESTORE,
	RECV_READY,
	RECV_OVER,
};

enum recv_action {
	RECV_DO_NOTHING,
	RECV_DO_ACCEPT,
	RECV_DO_ROUND_DONE, /* for round - 1: `round` is already the next */
	RECV_DO_RESTORE,    /* from `units` */
	RECV_DO_COMMITTED,
	RECV_DO_ABORTED, /* abort_error, abort_text */
};

struct recv_proto {
	struct manifest ours;
	uint64_t ram_pages;
	enum recv_state state;
	uint32_t round;       /* the current one, or the next while idle */
	uint32_t begin_pages; /* announced by ROUND_BEGIN */
	bool closed, arrived; /* ROUND_END or FINAL was seen; the channels are at the barrier */
	uint64_t arrived_pages;
	struct buf units;
	int abort_error;
	char abort_text[MIG_MAX_ERROR_LEN + 1];
};

void recv_proto_init(struct recv_proto *p, const struct manifest *ours);
void recv_proto_fini(struct recv_proto *p);
int recv_proto_frame(struct recv_proto *p, const struct frame *frame, enum recv_action *ret_action,
	const char **ret_why);
/* All channels are through with the current round, in which they brought `n_pages`. */
int recv_proto_arrived(
	struct recv_proto *p, uint64_t n_pages, enum recv_action *ret_action, const char **ret_why);
/* The units are restored. */
void recv_proto_restored(struct recv_proto *p);

#endif
