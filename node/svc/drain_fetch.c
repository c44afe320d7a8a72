/* SPDX-License-Identifier: MIT
 *
 * drain_fetch.c - VMs come back to this node: the service of the node where one runs moves it, and
 * is asked how far it is.
 */
#include "node/svc/drain_impl.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS (20 * NS_PER_SEC)
#define LOOK_WAIT_MS    5000
#define MAX_UNANSWERED  3

static void on_look(int error, const struct json *reply, void *data);

static int ask(struct drain_step_run *step, struct json *request, peer_reply_fn fn)
{
	struct json *message = json_object_new();

	json_set_string(message, "op", "api");
	json_set(message, "request", request);
	return peer_call(step->drain->svc->peer, step->from, message, CALL_TIMEOUT_NS, fn, step);
}

static void over(
	struct drain_step_run *step, enum job_state state, enum api_code code, const char *error)
{
	struct drain *drain = step->drain;

	drain_step_over(step, state, code, error);
	drain_fetch_next(drain);
	drain_changed(drain);
}

/* ---- those that run: a job of the other node ---- */

static void look(struct drain_step_run *step)
{
	struct json *request = json_object_new();
	int r;

	json_set_string(request, "op", "job.show");
	json_set_string(request, "id", step->job_id);
	json_set_int(request, "after", step->job_sequence);
	json_set_int(request, "wait_ms", LOOK_WAIT_MS);
	r = ask(step, request, on_look);
	if (r < 0)
		over(step, JOB_FAILED, API_UNREACHABLE, strerror(-r));
}

static void on_look(int error, const struct json *reply, void *data)
{
	struct drain_step_run *step = data;
	const struct json *job = json_get(reply, "job");
	const char *state = json_get_string(job, "state", "");

	if (error < 0 && ++step->n_unanswered < MAX_UNANSWERED) {
		look(step);
		return;
	}
	if (error < 0 || !json_get_bool(reply, "ok", false)) {
		over(step, JOB_FAILED, API_FAILED,
			error < 0 ? strerror(-error) : json_get_string(reply, "error", ""));
		return;
	}
	step->n_unanswered = 0;
	step->job_sequence = json_get_int(job, "sequence", 0);
	step->percent = (unsigned)json_get_int(job, "percent", 0);
	if (strcmp(state, job_state_name(JOB_RUNNING)) == 0 ||
		strcmp(state, job_state_name(JOB_QUEUED)) == 0) {
		drain_changed(step->drain);
		look(step);
		return;
	}
	over(step,
		strcmp(state, job_state_name(JOB_DONE)) == 0        ? JOB_DONE
		: strcmp(state, job_state_name(JOB_CANCELLED)) == 0 ? JOB_CANCELLED
								    : JOB_FAILED,
		api_code_from_name(json_get_string(job, "code", "")),
		json_get_string(job, "error", ""));
}

static void on_begun(int error, const struct json *reply, void *data)
{
	struct drain_step_run *step = data;

	if (error < 0 || !json_get_bool(reply, "ok", false)) {
		over(step, JOB_FAILED,
			error < 0 ? API_UNREACHABLE
				  : api_code_from_name(json_get_string(reply, "code", "")),
			error < 0 ? strerror(-error) : json_get_string(reply, "error", ""));
		return;
	}
	snprintf(step->job_id, sizeof(step->job_id), "%s", json_get_string(reply, "job", ""));
	drain_changed(step->drain);
	look(step);
}

static void fetch_running(struct drain_step_run *step)
{
	struct json *request = json_object_new();
	int r;

	json_set_string(request, "op", "vm.migrate");
	json_set_string(request, "vm", step->vm);
	json_set_string(request, "node", step->to);
	json_set_string(request, "kind", step->kind == DRAIN_QUICK ? "quick" : "live");
	r = ask(step, request, on_begun);
	if (r < 0)
		drain_step_over(step, JOB_FAILED, API_UNREACHABLE, strerror(-r));
}

/* ---- those that do not ---- */

static void on_taken(const char *error, enum api_code code, void *data)
{
	over(data, error ? JOB_FAILED : JOB_DONE, code, error ? error : "");
}

/* ---- turns ---- */

void drain_fetch_next(struct drain *drain)
{
	unsigned limit = moves_limit(drain->svc), n = 0;

	for (size_t i = 0; i < drain->n_steps; i++)
		n += drain->steps[i].state == STEP_MOVING;
	for (size_t i = 0; i < drain->n_steps && n < limit; i++) {
		struct drain_step_run *step = &drain->steps[i];

		if (step->state != STEP_QUEUED)
			continue;
		step->state = STEP_MOVING;
		if (step->kind == DRAIN_OWNER) {
			/* It may be over before this returns, and has looked for the next. */
			vm_take(drain->svc, step->vm, on_taken, step);
			return;
		}
		fetch_running(step);
		n += step->state == STEP_MOVING;
	}
}
