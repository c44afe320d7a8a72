/* SPDX-License-Identifier: MIT
 *
 * policy.h - what people want to become of a VM when its node fails, is drained or comes back, as
 * its record policy/VM says it. Everything is optional; without a record all has its default:
 *
 *   priority          "high", "medium", "low": the order in which VMs start after a failure;
 * "none": nobody but people starts it                                      "medium" preferred
 * [NODE], best first: where it should be                           none possible          [NODE]:
 * where it may be at all                                   all anti_affinity     VMs of the same
 * class keep apart where they can                  "" failback          "none", "immediate" or
 * "22-6", hours of the day: when it goes back to its most preferred owner "none" max_restarts how
 * often it is started again after failures                     3 restart_window_s  ... in so many
 * seconds                                           3600 heartbeat         "restart" when its guest
 * stops answering, or "ignore"            "ignore"
 *
 * Nodes are names and may be of nodes that are not configured (any more).
 *
 * policy_read() takes whatever the store has: what makes no sense counts as not said. What people
 * ask for is checked by policy_change(). Both are pure. Threads: any; policy_get(): the loop's.
 */
#ifndef VIADUCT_NODE_SVC_POLICY_H
#define VIADUCT_NODE_SVC_POLICY_H

#include "base/json.h"
#include "cluster/place.h"

#define POLICY_MAX_RESTARTS 1000
#define POLICY_MAX_WINDOW_S (30 * 86400)

struct svc;

enum policy_failback {
	POLICY_FAILBACK_NONE,
	POLICY_FAILBACK_IMMEDIATE,
	POLICY_FAILBACK_HOURS,
};

struct policy {
	enum place_priority priority;
	char preferred[PLACE_MAX_LISTED][PLACE_NAME_MAX_LEN + 1];
	char possible[PLACE_MAX_LISTED][PLACE_NAME_MAX_LEN + 1];
	size_t n_preferred, n_possible; /* no possible ones: all */
	char anti_affinity[PLACE_NAME_MAX_LEN + 1];
	enum policy_failback failback;
	unsigned failback_from, failback_to; /* hours 0 to 23; from 22 to 6 is a night */
	unsigned max_restarts, restart_window_s;
	bool restart_on_heartbeat;
};

/* `record` may be NULL. */
void policy_read(const struct json *record, struct policy *ret);
/* `old` (may be NULL) with `changes`, of which a null takes a setting back to its default. 0, or
 * -EINVAL with a sentence. The record has nothing that is at its default. */
int policy_change(const struct json *old, const struct json *changes, struct json **ret_record,
	char *error, size_t size_bytes);
/* The record with everything in it. A new reference. */
struct json *policy_complete(const struct json *record);
/* Is it the time for failback, at this hour of the day? */
bool policy_may_fail_back(const struct policy *policy, unsigned hour);

/* Of a VM of the store. */
void policy_get(struct svc *svc, const char *vm, struct policy *ret);

#endif
