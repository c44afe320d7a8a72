/* SPDX-License-Identifier: MIT
 *
 * handover.c - a VM that does not run becomes another node's: the new owner makes the change of the
 * owner record, as for a start, and says what the VM is under the new epoch.
 */
#include "node/svc/node.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define TAKE_TIMEOUT_NS (15 * NS_PER_SEC)
#define AGAIN_NS        (200 * NS_PER_MS)
#define MAX_AGAIN       25

/* ---- the new owner's side ---- */

struct take {
	struct svc *svc;
	char name[SVC_NAME_MAX_LEN + 1];
	char state[16], reason[256];
	struct saved saved;
	vm_take_fn fn;
	void *data;
};

static void take_end(struct take *take, const char *error, enum api_code code)
{
	take->fn(error, code, take->data);
	saved_fini(&take->saved);
	free(take);
}

static void on_taken(int error, uint64_t version _unused_, void *data)
{
	struct take *take = data;
	struct vm_view view;

	if (error < 0) {
		take_end(take,
			error == -ESTALE      ? "somebody else changed its owner meanwhile"
			: error == -EHOSTDOWN ? "this node has no quorum, so nothing may be changed"
					      : strerror(-error),
			error == -EHOSTDOWN ? API_NO_QUORUM : API_CONFLICT);
		return;
	}
	if (api_vm_view(take->svc, take->name, &view) < 0) {
		take_end(take, "it was deleted meanwhile", API_NOT_FOUND);
		return;
	}
	if (strcmp(take->state, "Saved") == 0)
		saved_keep(take->svc, take->name, view.owner.epoch, &take->saved, take->reason);
	else
		vmproc_publish(take->svc, take->name, view.owner.epoch, take->state, take->reason);
	take_end(take, NULL, API_FAILED);
}

/* NULL, or why this node cannot become its owner. */
static const char *check(struct svc *svc, const char *name, const struct vm_view *view,
	const char **ret_state, const char **ret_reason)
{
	if (node_is_paused(svc, cluster_local_name(svc->cluster)))
		return "this node is paused: it takes no VMs";
	*ret_state = api_vm_state(view, ret_reason);
	if (vmproc_find(svc, name))
		return "it is coming or going here";
	if (!api_vm_is_off(view) && strcmp(*ret_state, "Saved") != 0)
		return "it is not off";
	return NULL;
}

void vm_take(struct svc *svc, const char *name, vm_take_fn fn, void *data)
{
	char object[SVC_NAME_MAX_LEN + 8];
	const char *state = "", *reason = "", *why;
	struct vm_view view;
	struct take *take;
	int r;

	if (api_vm_view(svc, name, &view) < 0) {
		fn("there is no such VM", API_NOT_FOUND, data);
		return;
	}
	why = check(svc, name, &view, &state, &reason);
	if (why) {
		fn(why, API_CONFLICT, data);
		return;
	}
	if (view.owner.node_id == cluster_local_id(svc->cluster)) {
		fn(NULL, API_FAILED, data);
		return;
	}
	take = calloc(1, sizeof(*take));
	if (!take) {
		fn("out of memory", API_FAILED, data);
		return;
	}
	take->svc = svc;
	take->fn = fn;
	take->data = data;
	snprintf(take->name, sizeof(take->name), "%s", name);
	snprintf(take->state, sizeof(take->state), "%s", state);
	snprintf(take->reason, sizeof(take->reason), "%s", reason);
	saved_note(&view, &take->saved);
	snprintf(object, sizeof(object), "vm/%s", name);
	r = cluster_owner_cas(
		svc->cluster, object, &view.owner, cluster_local_id(svc->cluster), on_taken, take);
	if (r < 0)
		on_taken(r, 0, take);
}

static void on_take_asked(const char *error, enum api_code code, void *data)
{
	struct api_call *call = data;

	if (error)
		api_fail(call, code, "%s stays where it is: %s",
			json_get_string(call->message, "vm", ""), error);
	else
		api_reply(call, NULL);
}

/* {vm}: from the node that gives it away. */
void api_vm_take(struct api_call *call)
{
	if (api_needs_quorum(call))
		vm_take(call->svc, json_get_string(call->message, "vm", ""), on_take_asked, call);
}

/* ---- the old owner's side ---- */

struct handover {
	struct svc *svc;
	struct job *job;
	bool was_stopped;
	unsigned n_again;
	uint64_t timer;
};

static int ask(struct handover *handover);

static void handover_end(
	struct handover *handover, enum job_state state, enum api_code code, const char *error)
{
	struct job *job = handover->job;

	loop_timer_remove(handover->svc->loop, handover->timer);
	free(handover);
	job_finish(job, state, code, error);
}

static void on_again(void *data)
{
	struct handover *handover = data;
	int r;

	handover->timer = 0;
	r = ask(handover);
	if (r < 0)
		handover_end(handover, JOB_FAILED, API_UNREACHABLE, strerror(-r));
}

static void on_answer(int error, const struct json *reply, void *data)
{
	struct handover *handover = job_ref_take(data);
	enum api_code code = api_code_from_name(json_get_string(reply, "code", ""));

	if (!handover)
		return;
	if (error == 0 && json_get_bool(reply, "ok", false)) {
		handover_end(handover, JOB_DONE, API_FAILED, "");
		return;
	}
	/* That it was turned off may not have arrived there. */
	if (error == 0 && code == API_CONFLICT && handover->was_stopped &&
		++handover->n_again <= MAX_AGAIN &&
		loop_timer_add(
			handover->svc->loop, AGAIN_NS, on_again, handover, &handover->timer) == 0)
		return;
	handover_end(handover, JOB_FAILED, error < 0 ? API_UNREACHABLE : code,
		error < 0 ? strerror(-error)
			  : json_get_string(reply, "error", "refused without a reason"));
}

static int ask(struct handover *handover)
{
	struct json *message = json_object_new(), *request = json_object_new();
	struct job_ref *ref = job_ref_new(handover->job);
	int r = -ENOMEM;

	json_set_string(request, "op", "vm.take");
	json_set_string(request, "vm", handover->job->vm);
	json_set_string(message, "op", "api");
	json_set(message, "request", request);
	if (ref)
		r = peer_call(handover->svc->peer, handover->job->to, message, TAKE_TIMEOUT_NS,
			on_answer, ref);
	else
		json_unref(message);
	if (r < 0)
		free(ref);
	return r;
}

int handover_start(struct svc *svc, struct job *job, bool was_stopped)
{
	struct handover *handover = calloc(1, sizeof(*handover));
	int r;

	if (!handover)
		return -ENOMEM;
	handover->svc = svc;
	handover->job = job;
	handover->was_stopped = was_stopped;
	job->data = handover;
	r = ask(handover);
	if (r < 0) {
		job->data = NULL;
		free(handover);
	}
	return r;
}
