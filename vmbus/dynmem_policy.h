/* SPDX-License-Identifier: MIT
 *
 * dynmem_policy.h - how much memory a guest should have: a pure function of what it says, and of
 * what happened before. Internal to vmbus/.
 *
 * Need is what the guest committed, or what it uses without being able to let go of it, whichever
 * is more; the wish is the need and the buffer on top, between minimum and maximum. Growing is at
 * once, as soon as the wish is clearly more than there is. Shrinking waits: the wish must have been
 * clearly less for a while, the highest wish of that while counts, a step takes an eighth, and
 * after growing there is none for half a minute. In between nothing happens, so a guest whose need
 * does not change comes to rest, and one whose need swings keeps what the swing needs.
 */
#ifndef VIADUCT_VMBUS_DYNMEM_POLICY_H
#define VIADUCT_VMBUS_DYNMEM_POLICY_H

#include "vmbus/dynmem.h"

struct dynmem_policy {
	bool shrinking;         /* the wish is clearly less, */
	uint64_t since_ns;      /* since then, */
	uint64_t peak_bytes;    /* and this at most */
	uint64_t rest_until_ns; /* no shrinking before */
};

struct dynmem_sample {
	uint64_t now_ns;
	uint64_t assigned_bytes;
	uint64_t committed_bytes; /* without what is ballooned out */
	uint64_t available_bytes;
};

/* The target: assigned_bytes itself when all is well. Whole steps of 2 MiB, except at the limits.
 */
uint64_t dynmem_policy_target(struct dynmem_policy *policy, const struct dynmem_limits *limits,
	const struct dynmem_sample *sample);
/* The guest gave less than it was asked for: leave it alone for a minute. */
void dynmem_policy_refused(struct dynmem_policy *policy, uint64_t now_ns);

#endif
