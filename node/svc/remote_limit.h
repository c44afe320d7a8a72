/* SPDX-License-Identifier: MIT
 *
 * remote_limit.h - pure: how much one key may ask for. A bucket of requests that fills up with
 * time, and a number of requests that are being answered. Who is over it is told so once a second,
 * and otherwise not answered: refusing must not cost more than asking.
 */
#ifndef VIADUCT_NODE_SVC_REMOTE_LIMIT_H
#define VIADUCT_NODE_SVC_REMOTE_LIMIT_H

#include "base/err.h"

#define REMOTE_BURST      100 /* requests */
#define REMOTE_PER_SECOND 50
#define REMOTE_MAX_OPEN   32 /* being answered, for each key: long polls, moves */

struct remote_limit {
	uint64_t last_ns;      /* when it was filled up; 0: never */
	uint64_t filled_ns;    /* time's worth of requests that is in it */
	uint64_t last_told_ns; /* 0: never */
	unsigned n_open;
};

enum remote_verdict { REMOTE_TAKE, REMOTE_TELL, REMOTE_DROP };

/* REMOTE_TAKE counts it: remote_limit_done() when it is answered. */
enum remote_verdict remote_limit_ask(struct remote_limit *limit, uint64_t now_ns);
void remote_limit_done(struct remote_limit *limit);

#endif
