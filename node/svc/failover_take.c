/* SPDX-License-Identifier: MIT
 *
 * failover_take.c - the side that starts a VM which was lost elsewhere. It believes nobody: the
 * owner record must be as it was said, and its owner gone by this node's own leases, or have said
 * itself that the VM is lost.
 */
#include "node/svc/failover.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"
#include "node/svc/mac.h"
#include "node/svc/node_limit.h"

#include <stdio.h>
#include <string.h>

struct take {
	struct svc *svc;
	char vm[SVC_NAME_MAX_LEN + 1];
	char from[SVC_NAME_MAX_LEN + 1];
	uint64_t begun_ns;
	int64_t fencing_ns, decision_ns;
	peer_reply_fn fn;
	void *data;
};

static void answer(struct take *take, const char *why)
{
	_cleanup_json_ struct json *reply = json_object_new();

	json_set_bool(reply, "ok", !why);
	if (why)
		json_set_string(reply, "error", why);
	take->fn(0, reply, take->data);
	free(take);
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
		return "its owner may still run it: the lease has not run out by this node's clock";
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

int failover_take(struct svc *svc, struct json *message, peer_reply_fn fn, void *data)
{
	_cleanup_json_ struct json *request = message;
	const char *name = json_get_string(request, "vm", "");
	struct take *take = calloc(1, sizeof(*take));
	const char *why = "there is no such VM";
	struct vm_view v;
	char text[400];

	if (!take)
		return -ENOMEM;
	*take = (struct take){
		.svc = svc,
		.begun_ns = clock_boot_ns(),
		.fencing_ns = json_get_int(request, "fencing_ns", 0),
		.decision_ns = json_get_int(request, "decision_ns", 0),
		.fn = fn,
		.data = data,
	};
	snprintf(take->vm, sizeof(take->vm), "%s", name);
	snprintf(take->from, sizeof(take->from), "%s", json_get_string(request, "from", "?"));
	if (api_vm_view(svc, name, &v) == 0)
		why = check(svc, name, (uint64_t)json_get_int(request, "epoch", 0), &v, text,
			sizeof(text));
	if (why) {
		answer(take, why);
		return 0;
	}
	restarts_note(svc, name);
	vm_start(svc, name, &v, true, on_over, take);
	return 0;
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
