/* SPDX-License-Identifier: MIT */
#include "node/svc/moves.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/svc/events.h"

#include <stdio.h>
#include <string.h>

#define JOBS_KEPT       64 /* finished ones, for those who ask later */
#define JOB_MAX_WAIT_MS 10000

static const char *const state_names[] = {
	[JOB_RUNNING] = "running",
	[JOB_DONE] = "done",
	[JOB_FAILED] = "failed",
	[JOB_CANCELLED] = "cancelled",
	[JOB_QUEUED] = "queued",
};

const char *job_state_name(enum job_state state)
{
	return state_names[state];
}

bool job_is_over(const struct job *job)
{
	return job->state != JOB_RUNNING && job->state != JOB_QUEUED;
}

static struct json *job_json(const struct job *job)
{
	struct json *j = json_object_new();
	uint64_t end_ns = job->ended_ns ? job->ended_ns : clock_mono_ns();

	json_set_string(j, "id", job->id);
	json_set_string(j, "kind", job->kind);
	json_set_string(j, "vm", job->vm);
	json_set_string(j, "from", job->from);
	json_set_string(j, "to", job->to);
	json_set_string(j, "state", state_names[job->state]);
	json_set_string(j, "phase", job->phase);
	json_set_int(j, "percent", job->percent);
	json_set_int(j, "elapsed_ms", (int64_t)((end_ns - job->started_ns) / NS_PER_MS));
	json_set_int(j, "sequence", (int64_t)job->sequence);
	if (job->state == JOB_FAILED || job->state == JOB_CANCELLED) {
		json_set_string(j, "code", api_code_name(job->code));
		json_set_string(j, "error", job->error);
	}
	if (job->report)
		json_set(j, "report", json_ref(job->report));
	return j;
}

static void answer(struct api_call *call, const struct job *job)
{
	struct json *result = json_object_new();

	json_set(result, "job", job_json(job));
	api_reply(call, result);
}

/* Whoever waits is told, and whoever has begun it. */
static void changed(struct job *job)
{
	struct api_call *call, *after;

	job->sequence++;
	list_for_each_safe(call, after, &job->waiters, link)
		answer(call, job);
	if (job->notify)
		job->notify(job, job->notify_data);
}

static void job_free(struct job *job)
{
	list_remove(&job->link);
	json_unref(job->report);
	free(job);
}

static void forget_old_jobs(struct svc *svc)
{
	struct job *job, *after;
	unsigned n = 0;

	list_for_each(job, &svc->jobs, link)
		n++;
	list_for_each_safe(job, after, &svc->jobs, link) {
		if (n <= JOBS_KEPT)
			return;
		if (job_is_over(job) && list_empty(&job->waiters)) {
			job_free(job);
			n--;
		}
	}
}

struct job *job_new(
	struct svc *svc, const char *kind, const char *vm, const char *from, const char *to)
{
	struct job *job = calloc(1, sizeof(*job));
	char object[SVC_NAME_MAX_LEN + 8];

	if (!job)
		return NULL;
	forget_old_jobs(svc);
	job->svc = svc;
	snprintf(job->id, sizeof(job->id), "%s-%llu", cluster_local_name(svc->cluster),
		(unsigned long long)++svc->next_job);
	snprintf(job->kind, sizeof(job->kind), "%s", kind);
	snprintf(job->vm, sizeof(job->vm), "%s", vm);
	snprintf(job->from, sizeof(job->from), "%s", from);
	snprintf(job->to, sizeof(job->to), "%s", to);
	snprintf(job->phase, sizeof(job->phase), "begin");
	job->started_ns = clock_mono_ns();
	job->sequence = 1;
	list_init(&job->waiters);
	list_append(&svc->jobs, &job->link);
	snprintf(object, sizeof(object), "vm/%s", vm);
	events_add(svc, EVENT_INFO, "migration.begun", object, "%s, %s from %s to %s", job->id,
		kind, from, to);
	return job;
}

void job_update(struct job *job, const char *phase, unsigned percent, struct json *report)
{
	snprintf(job->phase, sizeof(job->phase), "%s", phase);
	job->percent = MAX(job->percent, percent);
	if (report) {
		json_unref(job->report);
		job->report = report;
	}
	changed(job);
}

void job_start(struct job *job)
{
	job->state = JOB_RUNNING;
	job->cancel = NULL;
	job->data = NULL;
	job->started_ns = clock_mono_ns();
	snprintf(job->phase, sizeof(job->phase), "begin");
	changed(job);
}

/* What people ask of a move that is over: by which network, how long, how long it stood still. */
static const char *describe(const struct job *job, char *text, size_t size_bytes)
{
	const char *net = json_get_string(json_get(job->report, "network"), "name", NULL);
	const char *volume = json_get_string(job->report, "volume", NULL);
	int64_t still_ns = json_get_int(json_get(job->report, "blackout"), "total_ns",
		json_get_int(job->report, "away_ns", 0));

	snprintf(text, size_bytes,
		"%s, %s to %s: done in %.2f s, stood still for %.1f ms, by %s %s", job->id,
		job->kind, job->to, (double)(job->ended_ns - job->started_ns) / NS_PER_SEC,
		(double)still_ns / NS_PER_MS, volume ? "volume" : "network",
		volume ? volume
		: net  ? net
		       : "?");
	return text;
}

/* What is not of one VM tells its end itself (drain_run.c). */
static void say_over(const struct job *job)
{
	char object[SVC_NAME_MAX_LEN + 8], text[300];

	snprintf(object, sizeof(object), "vm/%s", job->vm);
	if (!job->vm[0])
		log_info("%s: %s %s", job->id, job->kind, state_names[job->state]);
	else if (job->state == JOB_DONE)
		events_add(job->svc, EVENT_INFO, "migration.finished", object, "%s",
			describe(job, text, sizeof(text)));
	else
		events_add(job->svc, job->state == JOB_CANCELLED ? EVENT_INFO : EVENT_WARNING,
			job->state == JOB_CANCELLED ? "migration.cancelled" : "migration.failed",
			object, "%s, %s to %s: %s", job->id, job->kind, job->to, job->error);
}

void job_finish(struct job *job, enum job_state state, enum api_code code, const char *error)
{
	if (job_is_over(job))
		return;
	job->state = state;
	job->code = code;
	job->cancel = NULL;
	job->data = NULL;
	job->ended_ns = clock_mono_ns();
	if (state == JOB_DONE)
		job->percent = 100;
	else
		snprintf(job->error, sizeof(job->error), "%s", error);
	say_over(job);
	moves_next_soon(job->svc);
	changed(job);
}

struct job_ref {
	struct svc *svc;
	char id[sizeof(((struct job *)NULL)->id)];
};

struct job_ref *job_ref_new(const struct job *job)
{
	struct job_ref *ref = calloc(1, sizeof(*ref));

	if (ref) {
		ref->svc = job->svc;
		memcpy(ref->id, job->id, sizeof(ref->id));
	}
	return ref;
}

void *job_ref_take(struct job_ref *ref)
{
	void *data = NULL;
	struct job *job;

	list_for_each(job, &ref->svc->jobs, link) {
		if (job->state == JOB_RUNNING && strcmp(job->id, ref->id) == 0)
			data = job->data;
	}
	free(ref);
	return data;
}

/* ---- requests: a job's id begins with the node that runs it ---- */

/* The job, or NULL and the call is answered or on its way to the right node. */
static struct job *find_job(struct api_call *call)
{
	const char *id = json_get_string(call->message, "id", "");
	const char *dash = strrchr(id, '-');
	char node[SVC_NAME_MAX_LEN + 1];
	struct job *job;

	list_for_each(job, &call->svc->jobs, link) {
		if (strcmp(job->id, id) == 0)
			return job;
	}
	if (dash && dash != id && (size_t)(dash - id) < sizeof(node)) {
		memcpy(node, id, (size_t)(dash - id));
		node[dash - id] = '\0';
		if (!call->from_peer && strcmp(node, cluster_local_name(call->svc->cluster)) != 0) {
			api_forward(call, node);
			return NULL;
		}
	}
	api_fail(call, API_NOT_FOUND, "there is no job '%s'", id);
	return NULL;
}

static void wait_is_over(struct api_call *call)
{
	answer(call, call->data);
}

void api_job_show(struct api_call *call)
{
	int64_t wait_ms = json_get_int(call->message, "wait_ms", 0);
	uint64_t after = (uint64_t)json_get_int(call->message, "after", 0);
	struct job *job = find_job(call);

	if (!job)
		return; /* and the call is gone */
	if (wait_ms <= 0 || job->sequence > after || job_is_over(job)) {
		answer(call, job);
		return;
	}
	call->data = job;
	api_wait(call, &job->waiters, MIN(wait_ms, (int64_t)JOB_MAX_WAIT_MS), wait_is_over);
}

void api_job_list(struct api_call *call)
{
	const char *node = json_get_string(call->message, "node", NULL);
	struct json *result, *jobs;
	struct job *job;

	if (node && !call->from_peer && strcmp(node, cluster_local_name(call->svc->cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	result = json_object_new();
	jobs = json_array_new();
	list_for_each(job, &call->svc->jobs, link)
		json_append(jobs, job_json(job));
	json_set(result, "jobs", jobs);
	api_reply(call, result);
}

void api_job_cancel(struct api_call *call)
{
	struct job *job = find_job(call);
	int r;

	if (!job)
		return;
	if (job_is_over(job) || !job->cancel) {
		api_fail(call, API_CONFLICT, "%s cannot be cancelled: it is %s", job->id,
			job_is_over(job) ? state_names[job->state] : "past that point");
		return;
	}
	r = job->cancel(job, job->data);
	if (r < 0)
		api_fail(call, API_CONFLICT, "%s cannot be cancelled: %s", job->id,
			r == -EBUSY ? "it is past that point" : strerror(-r));
	else
		answer(call, job);
}
