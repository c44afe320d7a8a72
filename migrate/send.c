/* SPDX-License-Identifier: MIT */
#include "migrate/send.h"
#include "base/clock.h"
#include "migrate/auth.h"
#include "migrate/manifest.h"

#include <stdio.h>

static int was_accepted(struct mig_source *s)
{
	return s->accepted;
}

static int begin_handshake(struct mig_source *s)
{
	uint64_t deadline_ns = clock_mono_ns() + s->params.stall_timeout_ns;
	const char *why;
	int r;

	for (unsigned i = 0; i < s->n_links; i++)
		s->links[i].deadline_ns = deadline_ns;
	r = handshake(MIG_ROLE_SOURCE, s->params.job_key, sizeof(s->params.job_key), s->links,
		s->n_links, &why);
	if (r < 0)
		return job_fail_why(&s->job, r, "", why);
	s->state = SEND_BEGIN;
	for (unsigned i = 0; i < s->n_links; i++)
		s->links[i].deadline_ns = 0;
	/* Only the job's thread is woken by cancel; it then cuts these. */
	for (unsigned i = 1; i < s->n_links; i++)
		s->links[i].cancel_fd = -1;
	return 0;
}

static int begin_manifest(struct mig_source *s)
{
	struct manifest ours = {s->vm_name, s->params.cpuid_digest, s->memory};
	uint64_t before_ns = clock_mono_ns();
	struct buf text = {0};
	int r = -ENOMEM;

	manifest_encode(&ours, &text);
	if (!text.failed)
		r = source_send(s, MIG_FRAME_MANIFEST, text.data, text.size_bytes, NULL, 0);
	buf_fini(&text);
	if (r == 0)
		r = source_await(s, was_accepted, s->params.stall_timeout_ns);
	s->measure.round_trip_ns = clock_mono_ns() - before_ns;
	return r < 0 ? job_fail_why(&s->job, r, "", "cannot describe the VM") : 0;
}

static int begin_channels(struct mig_source *s)
{
	static const enum codec_policy policies[] = {
		[MIG_COMPRESS_OFF] = CODEC_RAW,
		[MIG_COMPRESS_ADAPTIVE] = CODEC_ADAPTIVE,
		[MIG_COMPRESS_ALWAYS] = CODEC_LZ4,
	};
	int r = 0;

	for (unsigned i = 1; i < s->n_links && r == 0; i++)
		r = send_chan_start(&s->channels[i - 1], &s->round, &s->pace, &s->links[i], i,
			policies[s->params.compress]);
	return r < 0 ? job_fail_why(&s->job, r, "", "cannot start a channel") : 0;
}

/* Everything up to the moment at which the owner decides. */
static int perform(struct mig_source *s)
{
	int r = begin_handshake(s);

	if (r == 0)
		r = begin_manifest(s);
	if (r == 0)
		r = begin_channels(s);
	if (r < 0)
		return r;
	s->state = SEND_PERFORM;
	job_set_phase(&s->job, MIG_PHASE_PERFORM, 0);
	r = source_precopy(s);
	return r < 0 ? r : source_switchover(s);
}

static void stop_channels(struct mig_source *s)
{
	send_round_stop(&s->round);
	for (unsigned i = 1; i < s->n_links; i++)
		link_cut(&s->links[i]);
	for (unsigned i = 1; i < s->n_links; i++)
		send_chan_join(&s->channels[i - 1]);
}

/* A last frame; the peer may be gone and the job be cancelled. */
static void part(struct mig_source *s, enum send_verdict verdict, int error, const char *text)
{
	struct link *control = &s->links[0];

	control->cancel_fd = -1;
	control->stall_ns = JOB_PARTING_NS;
	control->deadline_ns = clock_mono_ns() + JOB_PARTING_NS;
	if (verdict == VERDICT_COMMIT)
		(void)stream_send(control, MIG_FRAME_COMMIT, NULL, 0, NULL, 0);
	else
		(void)stream_send_abort(control, error, text);
}

/* Take everything back, the VM first. Returns what resume() said. */
static int unwind(struct mig_source *s, int error, const char *text)
{
	int r = 0;

	if (s->paused) {
		struct mig_report *report;

		r = s->ops.resume(s->vm);
		report = job_report_begin(&s->job);
		report->paused_at_ns = 0;
		job_report_end(&s->job);
	}
	stop_channels(s);
	if (s->state > SEND_HANDSHAKE)
		part(s, VERDICT_REFUSE, error, text);
	if (s->tracking)
		(void)s->ops.dirty_stop(s->vm);
	return r;
}

static void over(struct mig_source *s, int error, const char *text)
{
	links_close(s->links, s->n_links);
	job_set_phase(&s->job, MIG_PHASE_DONE, error ? 0 : 100);
	s->callbacks.done(error, text, s->data);
}

static void give_up(struct mig_source *s)
{
	char reason[160], text[240];
	int error = job_error(&s->job, reason);
	int r = unwind(s, error, reason);

	(void)snprintf(text, sizeof(text), "%s", reason);
	if (r < 0)
		(void)snprintf(text, sizeof(text), "%s; and the VM does not resume: %s", reason,
			strerror(-r));
	over(s, error, text);
}

static enum send_verdict wait_for_verdict(struct mig_source *s)
{
	enum send_verdict verdict;

	for (;;) {
		pthread_mutex_lock(&s->job.lock);
		verdict = s->verdict;
		pthread_mutex_unlock(&s->job.lock);
		if (verdict != VERDICT_NONE || job_wait(&s->job, NULL, 0) == -ECANCELED)
			return verdict;
	}
}

static void confirm(struct mig_source *s, enum send_verdict verdict)
{
	switch (verdict) {
	case VERDICT_COMMIT:
		part(s, verdict, 0, "");
		stop_channels(s);
		(void)s->ops.dirty_stop(s->vm);
		over(s, 0, "");
		return;
	case VERDICT_REFUSE:
		job_fail(&s->job, -ECANCELED, "not committed");
		give_up(s);
		return;
	case VERDICT_NONE: /* freed: the owner has lost interest, the VM is not ours any more */
		stop_channels(s);
		return;
	}
}

static void source_main(void *data)
{
	struct mig_source *s = data;
	int r = perform(s);

	if (r == 0 && !job_become_ready(&s->job))
		r = job_fail(&s->job, -ECANCELED, "cancelled");
	if (r < 0) {
		give_up(s);
		return;
	}
	job_set_phase(&s->job, MIG_PHASE_READY, 99);
	s->callbacks.ready(s->data);
	confirm(s, wait_for_verdict(s));
}

static void configure(struct mig_source *s, const struct mig_params *params,
	const struct mig_vm_ops *ops, void *vm, const struct mig_source_callbacks *callbacks,
	void *data)
{
	s->params = *params;
	memcpy(s->vm_name, params->vm_name, strlen(params->vm_name) + 1);
	s->params.vm_name = s->vm_name;
	s->ops = *ops;
	s->vm = vm;
	s->memory = ops->memory(vm);
	s->callbacks = *callbacks;
	s->data = data;
}

/* What must be undone when a job does not start, or when it is over. */
static void dispose(struct mig_source *s)
{
	stream_in_fini(&s->control);
	buf_fini(&s->units);
	pace_fini(&s->pace);
	links_close(s->links, s->n_links);
	auth_forget(s->params.job_key, sizeof(s->params.job_key));
	free(s);
}

/* The links are taken over already. */
static int start(struct mig_source *s)
{
	struct manifest ours = {s->vm_name, s->params.cpuid_digest, s->memory};
	int r;

	pace_init(&s->pace, s->params.bandwidth_bytes_per_s);
	if (!manifest_possible(&ours))
		return -EINVAL;
	r = stream_in_init(&s->control, &s->links[0], sizeof(struct mig_abort) + MIG_MAX_ERROR_LEN);
	if (r < 0)
		return r;
	r = job_init(&s->job, gpa_space_size_bytes(s->memory), s->n_links - 1);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < s->n_links; i++)
		s->links[i].cancel_fd = s->job.cancel_fd;
	r = send_round_init(&s->round, &s->job, s->memory, s->n_links - 1);
	if (r < 0)
		goto fail_job;
	r = thread_start(&s->thread, "mig-source", source_main, s);
	if (r == 0)
		return 0;
	send_round_fini(&s->round);
fail_job:
	job_fini(&s->job);
	return r;
}

int mig_source_start(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm,
	const int *fds, unsigned n_fds, const struct mig_source_callbacks *callbacks, void *data,
	struct mig_source **ret_source)
{
	struct mig_source *s = calloc(1, sizeof(*s));
	struct mig_params complete;
	int r = s ? job_params(params, n_fds, &complete) : -ENOMEM;

	if (r < 0) {
		for (unsigned i = 0; i < n_fds; i++)
			close_fd(fds[i]);
		free(s);
		return r;
	}
	configure(s, &complete, ops, vm, callbacks, data);
	auth_forget(complete.job_key, sizeof(complete.job_key));
	s->n_links = n_fds;
	r = links_init(s->links, fds, n_fds, s->params.stall_timeout_ns);
	if (r == 0)
		r = start(s);
	if (r < 0) {
		dispose(s);
		return r;
	}
	*ret_source = s;
	return 0;
}

int mig_source_cancel(struct mig_source *s)
{
	return job_cancel(&s->job);
}

int mig_source_finish(struct mig_source *s, bool committed)
{
	int r = -EINVAL;

	pthread_mutex_lock(&s->job.lock);
	if (s->job.ready && s->verdict == VERDICT_NONE) {
		s->verdict = committed ? VERDICT_COMMIT : VERDICT_REFUSE;
		r = 0;
	}
	pthread_mutex_unlock(&s->job.lock);
	if (r == 0)
		job_signal(&s->job);
	return r;
}

void mig_source_report(struct mig_source *s, struct mig_report *ret_report)
{
	job_snapshot(&s->job, ret_report);
}

void mig_source_free(struct mig_source *s)
{
	if (!s)
		return;
	job_abandon(&s->job);
	thread_join(&s->thread);
	send_round_fini(&s->round);
	job_fini(&s->job);
	dispose(s);
}
