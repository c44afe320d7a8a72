/* SPDX-License-Identifier: MIT
 *
 * drain_run.c - a plan is followed: a job of the drained node's service with a step for each VM.
 * VMs that leave are moves of this node like any other (moves.c): queued, then moving, then done or
 * failed. VMs that come back (failback) are moves of the nodes where they are, asked for here and
 * looked at until they are over (drain_fetch.c).
 *
 * A step is taken as it was planned or not at all: what became impossible meanwhile is said, and
 * the others go on.
 */
#include "node/svc/drain_impl.h"

#include "base/log.h"
#include "node/svc/events.h"

#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {
	[STEP_QUEUED] = "queued",
	[STEP_MOVING] = "moving",
	[STEP_DONE] = "done",
	[STEP_FAILED] = "failed",
	[STEP_BLOCKED] = "blocked",
	[STEP_CANCELLED] = "cancelled",
};

static bool is_over(const struct drain_step_run *step)
{
	return step->state != STEP_QUEUED && step->state != STEP_MOVING;
}

const struct job *drain_job(const struct svc *svc)
{
	return svc->drain ? svc->drain->job : NULL;
}

/* ---- what is said of it ---- */

static struct json *report(const struct drain *drain)
{
	struct json *j = json_object_new(), *steps = json_array_new();

	for (size_t i = 0; i < drain->n_steps; i++) {
		const struct drain_step_run *step = &drain->steps[i];
		struct json *entry = json_object_new();

		json_set_string(entry, "vm", step->vm);
		json_set_string(entry, "kind", drain_kind_name(step->kind));
		json_set_string(entry, "from", step->from);
		json_set_string(entry, "to", step->to);
		json_set_string(entry, "state", state_names[step->state]);
		json_set_int(entry, "percent", step->percent);
		json_set_string(entry, "job", step->job_id);
		json_set_string(entry, "why", step->why);
		json_append(steps, entry);
	}
	json_set_string(j, "digest", drain->digest);
	json_set(j, "steps", steps);
	return j;
}

static unsigned count(const struct drain *drain, enum step_state state)
{
	unsigned n = 0;

	for (size_t i = 0; i < drain->n_steps; i++)
		n += drain->steps[i].state == state;
	return n;
}

static unsigned percent(const struct drain *drain)
{
	unsigned sum = 0;

	for (size_t i = 0; i < drain->n_steps; i++)
		sum += is_over(&drain->steps[i]) ? 100 : drain->steps[i].percent;
	return drain->n_steps ? MIN(sum / (unsigned)drain->n_steps, 99U) : 0;
}

static void finish(void *data);

void drain_changed(struct drain *drain)
{
	char phase[32];

	if (drain->is_closing)
		return;
	snprintf(phase, sizeof(phase), "%u of %zu done", count(drain, STEP_DONE), drain->n_steps);
	job_update(drain->job, phase, percent(drain), report(drain));
	if (!count(drain, STEP_QUEUED) && !count(drain, STEP_MOVING))
		drain->is_closing = loop_job_add(drain->svc->loop, finish, drain) == 0;
}

/* ---- the end ---- */

/* One that was on its way here when the node was paused; NULL: none. */
static const struct vmproc *stranger(const struct drain *drain)
{
	const struct vmproc *vp;

	if (drain->is_failback)
		return NULL;
	list_for_each(vp, &drain->svc->vms, link) {
		size_t i = 0;

		while (i < drain->n_steps && strcmp(drain->steps[i].vm, vp->name) != 0)
			i++;
		if (i == drain->n_steps)
			return vp;
	}
	return NULL;
}

static const char *outcome(const struct drain *drain, char *text, size_t size_bytes)
{
	unsigned n_stay = (unsigned)drain->n_steps - count(drain, STEP_DONE);
	const struct vmproc *vp = stranger(drain);
	size_t len;

	if (!n_stay && !vp)
		return "";
	if (!n_stay) {
		snprintf(text, size_bytes, "%s has arrived meanwhile; drain again", vp->name);
		return text;
	}
	len = (size_t)snprintf(text, size_bytes,
		"%s%u of %zu VMs %s:", drain->is_cancelled ? "cancelled; " : "", n_stay,
		drain->n_steps, drain->is_failback ? "did not come back" : "are still here");
	for (size_t i = 0; i < drain->n_steps && len < size_bytes; i++) {
		const struct drain_step_run *step = &drain->steps[i];

		if (step->state != STEP_DONE)
			len += (size_t)snprintf(text + len, size_bytes - len, "%s %s (%s)",
				strchr(text, '(') ? "," : "", step->vm,
				step->why[0] ? step->why : state_names[step->state]);
	}
	return text;
}

static void say_end(const struct drain *drain, const char *why)
{
	struct svc *svc = drain->svc;
	const char *self = cluster_local_name(svc->cluster);
	struct json *state = node_state_copy(svc, self);
	char object[SVC_NAME_MAX_LEN + 8];
	enum event_level level = why[0] ? EVENT_WARNING : EVENT_INFO;

	snprintf(object, sizeof(object), "node/%s", self);
	if (drain->is_failback)
		events_add(svc, level, why[0] ? "node.failback-failed" : "node.failback-done",
			object, why[0] ? "%s" : "the VMs that were moved away are back%s", why);
	else
		events_add(svc, level, why[0] ? "node.drain-failed" : "node.drain-done", object,
			why[0] ? "%s" : "drained: no VM is left%s", why);
	/* One that was resumed meanwhile is not drained any more. */
	if (!drain->is_failback && strcmp(json_get_string(state, "drain", ""), "running") == 0) {
		node_state_set_drain(state, why[0] ? "failed" : "done", why);
		node_state_say(svc, take_ptr(state));
	}
	json_unref(state);
}

static void finish(void *data)
{
	struct drain *drain = data;
	struct svc *svc = drain->svc;
	struct job *job = drain->job;
	bool is_cancelled = drain->is_cancelled;
	char text[256];
	const char *why = outcome(drain, text, sizeof(text));

	svc->drain = NULL;
	say_end(drain, why);
	free(drain);
	job_finish(job,
		!why[0]        ? JOB_DONE
		: is_cancelled ? JOB_CANCELLED
			       : JOB_FAILED,
		is_cancelled ? API_CANCELLED : API_FAILED, why);
}

/* ---- steps ---- */

/* What a drain took away, so that it can be brought back; also if this service ends before it. */
static void note_moved(const struct drain_step_run *step)
{
	struct svc *svc = step->drain->svc;
	struct json *state = node_state_copy(svc, cluster_local_name(svc->cluster));
	struct json *entry = json_object_new();

	/* Resumed meanwhile: nobody wants it back. */
	if (strcmp(json_get_string(state, "state", ""), "paused") != 0) {
		json_unref(entry);
		json_unref(state);
		return;
	}
	if (!json_get(state, "moved"))
		json_set(state, "moved", json_array_new());
	json_set_string(entry, "vm", step->vm);
	json_set_string(entry, "to", step->to);
	json_append(json_get(state, "moved"), entry);
	node_state_say(svc, state);
}

void drain_step_over(
	struct drain_step_run *step, enum job_state state, enum api_code code, const char *error)
{
	bool impossible = code == API_REFUSED || code == API_FULL || code == API_CONFLICT ||
			  code == API_NOT_FOUND || code == API_UNREACHABLE;

	step->state = state == JOB_DONE        ? STEP_DONE
		      : state == JOB_CANCELLED ? STEP_CANCELLED
					       : STEP_FAILED;
	if (step->state == STEP_FAILED)
		snprintf(step->why, sizeof(step->why), "%s%.180s",
			impossible ? "no longer possible: " : "", error);
	if (step->state == STEP_DONE && !step->drain->is_failback)
		note_moved(step);
}

static void on_move(struct job *job, void *data)
{
	struct drain_step_run *step = data;

	step->percent = job->percent;
	if (job_is_over(job)) {
		job->notify = NULL;
		step->job = NULL;
		drain_step_over(step, job->state, job->code, job->error);
	} else {
		step->state = job->state == JOB_QUEUED ? STEP_QUEUED : STEP_MOVING;
	}
	drain_changed(step->drain);
}

static void begin(struct drain_step_run *step)
{
	static const enum move_kind kinds[] = {
		[DRAIN_LIVE] = MOVE_LIVE,
		[DRAIN_QUICK] = MOVE_QUICK,
		[DRAIN_STOP] = MOVE_STOP,
		[DRAIN_OWNER] = MOVE_OWNER,
	};
	struct move_request request = {
		.vm = step->vm,
		.to = step->to,
		.kind = kinds[step->kind],
		.notify = on_move,
		.data = step,
	};
	enum api_code code;
	struct job *job;
	char why[256];

	if (moves_begin(step->drain->svc, &request, &job, &code, why, sizeof(why)) < 0) {
		drain_step_over(step, JOB_FAILED, code, why);
		return;
	}
	snprintf(step->job_id, sizeof(step->job_id), "%s", job->id);
	if (!job_is_over(job))
		step->job = job;
	if (!is_over(step))
		step->state = job->state == JOB_QUEUED ? STEP_QUEUED : STEP_MOVING;
}

static int on_cancel(struct job *job _unused_, void *data)
{
	struct drain *drain = data;

	drain_cancel(drain->svc);
	return 0;
}

void drain_cancel(struct svc *svc)
{
	struct drain *drain = svc->drain;

	if (!drain || drain->is_closing)
		return;
	drain->is_cancelled = true;
	for (size_t i = 0; i < drain->n_steps; i++) {
		struct drain_step_run *step = &drain->steps[i];

		if (step->state != STEP_QUEUED)
			continue;
		if (step->job)
			step->job->cancel(step->job, step->job->data);
		else
			step->state = STEP_CANCELLED;
	}
	drain_changed(drain);
}

static const char *name_of(const struct cluster_node *nodes, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == id)
			return nodes[i].name;
	}
	return "";
}

static void take_over(struct drain *drain, const struct drain_plan *plan)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(drain->svc->cluster, nodes, ARRAY_LEN(nodes));

	snprintf(drain->digest, sizeof(drain->digest), "%s", plan->digest);
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct drain_step *planned = &plan->steps[i];
		struct drain_step_run *step = &drain->steps[i];

		step->drain = drain;
		step->kind = planned->kind;
		snprintf(step->vm, sizeof(step->vm), "%s", planned->vm);
		snprintf(step->from, sizeof(step->from), "%s", name_of(nodes, n, planned->from_id));
		snprintf(step->to, sizeof(step->to), "%s", name_of(nodes, n, planned->target_id));
		step->state = planned->kind == DRAIN_BLOCKED ? STEP_BLOCKED : STEP_QUEUED;
		if (planned->kind == DRAIN_BLOCKED)
			snprintf(step->why, sizeof(step->why), "%s", planned->reasons[0].text);
	}
}

int drain_start(
	struct svc *svc, const struct drain_plan *plan, bool is_failback, struct job **ret_job)
{
	struct drain *drain;
	struct job *job;

	if (svc->drain)
		return -EBUSY;
	drain = calloc(1, sizeof(*drain) + plan->n_steps * sizeof(drain->steps[0]));
	job = drain ? job_new(svc, is_failback ? "failback" : "drain", "",
			      is_failback ? "" : cluster_local_name(svc->cluster),
			      is_failback ? cluster_local_name(svc->cluster) : "")
		    : NULL;
	if (!job) {
		free(drain);
		return -ENOMEM;
	}
	drain->svc = svc;
	drain->job = job;
	drain->is_failback = is_failback;
	drain->n_steps = plan->n_steps;
	take_over(drain, plan);
	svc->drain = drain;
	job->cancel = on_cancel;
	job->data = drain;
	if (is_failback)
		drain_fetch_next(drain);
	for (size_t i = 0; !is_failback && i < drain->n_steps; i++) {
		if (drain->steps[i].state == STEP_QUEUED && !drain->steps[i].job_id[0])
			begin(&drain->steps[i]);
	}
	drain_changed(drain);
	*ret_job = job;
	return 0;
}
