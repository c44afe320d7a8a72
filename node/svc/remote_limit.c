/* SPDX-License-Identifier: MIT */
#include "node/svc/remote_limit.h"

#include "base/clock.h"

#define NS_PER_REQUEST (NS_PER_SEC / REMOTE_PER_SECOND)
#define FULL_NS        (REMOTE_BURST * NS_PER_REQUEST)

enum remote_verdict remote_limit_ask(struct remote_limit *limit, uint64_t now_ns)
{
	limit->filled_ns =
		limit->last_ns ? MIN(FULL_NS, limit->filled_ns + now_ns - limit->last_ns) : FULL_NS;
	limit->last_ns = now_ns;
	if (limit->filled_ns >= NS_PER_REQUEST && limit->n_open < REMOTE_MAX_OPEN) {
		limit->filled_ns -= NS_PER_REQUEST;
		limit->n_open++;
		return REMOTE_TAKE;
	}
	if (limit->last_told_ns && now_ns - limit->last_told_ns < NS_PER_SEC)
		return REMOTE_DROP;
	limit->last_told_ns = now_ns;
	return REMOTE_TELL;
}

void remote_limit_done(struct remote_limit *limit)
{
	limit->n_open--;
}
