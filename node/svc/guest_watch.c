/* SPDX-License-Identifier: MIT
 *
 * guest_watch.c - what a VM's owner does for it by itself, as its policy says: a guest that does
 * not answer any more is restarted; a VM that failover brought here goes back to where it should
 * be, when that can be.
 */
#include "node/svc/failover.h"

#include "base/clock.h"
#include "node/svc/events.h"
#include "node/svc/moves.h"
#include "node/svc/place_view.h"
#include "node/svc/policy.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define FAILBACK_GAP_NS (60 * NS_PER_SEC) /* between two attempts for a VM */

/* ---- guests that do not answer ---- */

void guest_is_silent(struct vmproc *vp)
{
	struct svc *svc = vp->svc;
	char object[SVC_NAME_MAX_LEN + 8];
	struct policy policy;
	unsigned n;

	policy_get(svc, vp->name, &policy);
	if (!policy.restart_on_heartbeat)
		return;
	snprintf(object, sizeof(object), "vm/%s", vp->name);
	n = restarts_count(svc, vp->name, policy.restart_window_s);
	if (n >= policy.max_restarts) {
		events_add(svc, EVENT_ERROR, "vm.not-restarted", object,
			"the guest of %s does not answer, and was started again %u times lately, "
			"which is as often as its policy allows",
			vp->name, n);
		return;
	}
	events_add(svc, EVENT_WARNING, "vm.heartbeat-restarted", object,
		"the guest of %s does not answer and is restarted, as its policy says", vp->name);
	restarts_note(svc, vp->name);
	vmproc_restart(vp);
}

/* ---- failback ---- */

/* Failover has brought it here: people who move a VM mean it to stay. */
static bool was_failed_over(struct svc *svc, const char *vm)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *record;

	snprintf(key, sizeof(key), "restarts/%s", vm);
	return cluster_get(svc->cluster, key, &record, NULL) == 0 &&
	       strcmp(json_get_string(json_get(record, "last"), "to", ""),
		       cluster_local_name(svc->cluster)) == 0;
}

/* Its place among the preferred owners; behind the last for one that is none. */
static size_t rank_of(const struct policy *policy, const char *node)
{
	size_t rank = 0;

	while (rank < policy->n_preferred && strcmp(policy->preferred[rank], node) != 0)
		rank++;
	return rank;
}

static const char *better_node(
	struct svc *svc, const struct place *place, const char *vm, const struct policy *policy)
{
	static struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	size_t here = rank_of(policy, cluster_local_name(svc->cluster));
	uint32_t best = place_choose(place, vm, cluster_local_id(svc->cluster));

	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == best && rank_of(policy, nodes[i].name) < here)
			return nodes[i].name;
	}
	return NULL;
}

static unsigned hour_of_day(void)
{
	time_t now = (time_t)(clock_real_ns() / NS_PER_SEC);
	struct tm tm;

	return localtime_r(&now, &tm) ? (unsigned)tm.tm_hour : 0;
}

static void fail_back(struct vmproc *vp, const char *to)
{
	struct move_request request = {.vm = vp->name, .to = to, .kind = MOVE_LIVE};
	char object[SVC_NAME_MAX_LEN + 8], why[256] = "";
	enum api_code code;
	struct job *job;

	snprintf(object, sizeof(object), "vm/%s", vp->name);
	vp->failback_at_ns = clock_mono_ns() + FAILBACK_GAP_NS;
	if (moves_begin(vp->svc, &request, &job, &code, why, sizeof(why)) < 0)
		events_add(vp->svc, EVENT_WARNING, "vm.failback-failed", object,
			"%s does not go back to %s: %s", vp->name, to, why);
	else
		events_add(vp->svc, EVENT_INFO, "vm.failback", object,
			"%s goes back to %s, as its policy says (%s)", vp->name, to, job->id);
}

static bool may_fail_back(struct vmproc *vp, struct policy *ret_policy)
{
	if (vp->state != VMPROC_RUNNING || vp->in || vp->out || vp->quick || vp->n_changes > 0 ||
		moves_find(vp->svc, vp->name) || vp->failback_at_ns > clock_mono_ns())
		return false;
	policy_get(vp->svc, vp->name, ret_policy);
	return ret_policy->n_preferred > 0 && policy_may_fail_back(ret_policy, hour_of_day()) &&
	       rank_of(ret_policy, cluster_local_name(vp->svc->cluster)) > 0 &&
	       was_failed_over(vp->svc, vp->name);
}

void failback_look(struct svc *svc)
{
	struct place *place = NULL;
	struct vmproc *vp, *after;

	if (!cluster_is_quorate(svc->cluster) || !cluster_is_synced(svc->cluster))
		return;
	list_for_each_safe(vp, after, &svc->vms, link) {
		struct policy policy;
		const char *to;

		if (!may_fail_back(vp, &policy) || (!place && place_view(svc, &place) < 0))
			continue;
		to = better_node(svc, place, vp->name, &policy);
		if (to)
			fail_back(vp, to);
	}
	place_free(place);
}
