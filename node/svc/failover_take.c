/* SPDX-License-Identifier: MIT
 *
 * failover_take.c - the side that starts a VM which was lost elsewhere. It believes nobody: the
 * owner record must be as it was said, and its owner gone by this node's own leases, or have said
 * itself that the VM is lost. A lease of which this node has seen the end coming is waited for: its
 * own time may run a little after that of the node that asks.
 */
#include "node/svc/failover.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"
#include "node/svc/mac.h"
#include "node/svc/node_limit.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE_NS NS_PER_SEC /* with a lease that ends here later than there */

static const char not_yet[] =
	"its owner may still run it: the lease has not run out by this node's clock";

struct take {
	struct list link; /* of those that wait */
	struct svc *svc;
	uint64_t epoch, timer;
	char vm[SVC_NAME_MAX_LEN + 1];
	char from[SVC_NAME_MAX_LEN + 1];
	uint64_t begun_ns;
	int64_t fencing_ns, decision_ns;
	peer_reply_fn fn;
	void *data;
};

static void take_free(struct take *take)
{
	list_remove(&take->link);
	loop_timer_remove(take->svc->loop, take->timer);
	free(take);
}

static void answer(struct take *take, const char *why)
{
	_cleanup_json_ struct json *reply = json_object_new();

	json_set_bool(reply, "ok", !why);
	if (why)
		json_set_string(reply, "error", why);
	take->fn(0, reply, take->data);
	take_free(take);
}

static void on_over(int error, enum api_code code _unused_, const char *why, void *data)
{
	struct take *take = data;
	struct svc *svc = take->svc;
	char object[SVC_NAME_MAX_LEN + 8];
	struct json *last;

	if (error < 0) {
		answer(take, why);
		return;
	}
	last = json_object_new();
	json_set_string(last, "from", take->from);
	json_set_string(last, "to", cluster_local_name(svc->cluster));
	json_set_int(last, "fencing_ns", take->fencing_ns);
	json_set_int(last, "decision_ns", take->decision_ns);
	json_set_int(last, "start_ns", (int64_t)(clock_boot_ns() - take->begun_ns));
	restarts_describe(svc, take->vm, last);
	snprintf(object, sizeof(object), "vm/%s", take->vm);
	events_add(svc, EVENT_WARNING, "vm.failed-over", object,
		"%s runs here now; it was lost with %s (waited %lld ms for its lease, started in "
		"%lld ms)",
		take->vm, take->from, (long long)take->fencing_ns / 1000000,
		(long long)(clock_boot_ns() - take->begun_ns) / 1000000);
	answer(take, NULL);
}

/* NULL, or why this node must not, or cannot, take it. */
static const char *check(struct svc *svc, const char *name, uint64_t epoch, const struct vm_view *v,
	char *text, size_t size_bytes)
{
	bool is_word = v->state && json_get_bool(v->state, "restart", false) &&
		       (uint64_t)json_get_int(v->state, "epoch", 0) == v->owner.epoch &&
		       vm_state_is_startable(json_get_string(v->state, "state", ""));

	if (v->owner.epoch != epoch || !v->owner.node_id)
		return "its owner record has changed meanwhile";
	if (!is_word && !cluster_node_is_gone(svc->cluster, v->owner.node_id))
		return not_yet;
	if (vmproc_find(svc, name))
		return "it is still coming or going here";
	if (!svc_has_lease(svc))
		return "this node has no lease itself";
	if (!node_limit_has_room(svc, text, size_bytes))
		return text;
	if (vm_config_room(v->config) > svc_memory_free(svc))
		return "there is no room for it here";
	return mac_may_start(svc, name, v->config, text, size_bytes) ? NULL : text;
}

static void try_it(struct take *take)
{
	struct svc *svc = take->svc;
	const char *why = "there is no such VM";
	struct vm_view v;
	char text[400];

	if (api_vm_view(svc, take->vm, &v) == 0)
		why = check(svc, take->vm, take->epoch, &v, text, sizeof(text));
	if (why == not_yet && take->timer && cluster_node_parted_ns(svc->cluster, v.owner.node_id))
		return;
	if (why) {
		answer(take, why);
		return;
	}
	loop_timer_remove(svc->loop, take->timer);
	take->timer = 0;
	list_remove(&take->link);
	restarts_note(svc, take->vm);
	vm_start(svc, take->vm, &v, true, on_over, take);
}

static void on_impatience(void *data)
{
	struct take *take = data;

	take->timer = 0;
	try_it(take);
}

int failover_take(struct svc *svc, struct json *message, peer_reply_fn fn, void *data)
{
	_cleanup_json_ struct json *request = message;
	struct take *take = calloc(1, sizeof(*take));
	int r;

	if (!take)
		return -ENOMEM;
	*take = (struct take){
		.svc = svc,
		.epoch = (uint64_t)json_get_int(request, "epoch", 0),
		.begun_ns = clock_boot_ns(),
		.fencing_ns = json_get_int(request, "fencing_ns", 0),
		.decision_ns = json_get_int(request, "decision_ns", 0),
		.fn = fn,
		.data = data,
	};
	snprintf(take->vm, sizeof(take->vm), "%s", json_get_string(request, "vm", ""));
	snprintf(take->from, sizeof(take->from), "%s", json_get_string(request, "from", "?"));
	r = loop_timer_add(svc->loop, PATIENCE_NS, on_impatience, take, &take->timer);
	if (r < 0) {
		free(take);
		return r;
	}
	list_append(&svc->takes, &take->link);
	try_it(take);
	return 0;
}

void failover_takes_look(struct svc *svc)
{
	struct take *take, *after;

	list_for_each_safe(take, after, &svc->takes, link)
		try_it(take);
}

void failover_takes_end(struct svc *svc)
{
	struct take *take, *after;

	list_for_each_safe(take, after, &svc->takes, link)
		take_free(take);
}

static void on_taken(int error _unused_, const struct json *reply, void *data)
{
	peer_reply(data, json_copy(reply));
}

void failover_on_peer(struct svc *svc, struct peer_request *request, const struct json *message)
{
	if (failover_take(svc, json_copy(message), on_taken, request) < 0)
		peer_reply(request, NULL);
}
