/* SPDX-License-Identifier: MIT */
#include "migrate/migrate.h"
#include "base/clock.h"
#include "migrate/auth.h"
#include "migrate/handshake.h"
#include "migrate/recv_chan.h"
#include "migrate/recv_proto.h"

#define MAX_LINKS (1 + MIG_MAX_CHANNELS)
/* A source that gives up says why before it cuts the connections, so its word is nearly here. */
#define LAST_WORD_NS (200 * NS_PER_MS)

struct mig_target {
	/* Constant after start. */
	struct mig_params params;
	char vm_name[MIG_MAX_NAME_LEN + 1];
	struct mig_vm_ops ops;
	void *vm;
	struct gpa_space *memory;
	struct mig_target_callbacks callbacks;
	void *data;
	unsigned n_links;
	struct link links[MAX_LINKS];
	struct thread thread;
	struct job job;

	/* The job's thread. */
	struct stream_in control;
	struct recv_proto proto;
	struct recv_round round;
	struct recv_chan channels[MIG_MAX_CHANNELS];
	uint64_t round_began_ns, round_began_bytes;
};

static uint64_t received_bytes(const struct mig_target *t)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < t->n_links; i++)
		sum += link_received_bytes(&t->links[i]);
	return sum;
}

static int begin(struct mig_target *t)
{
	uint64_t deadline_ns = clock_mono_ns() + t->params.stall_timeout_ns;
	const char *why;
	int r;

	for (unsigned i = 0; i < t->n_links; i++)
		t->links[i].deadline_ns = deadline_ns;
	r = handshake(MIG_ROLE_TARGET, t->params.job_key, sizeof(t->params.job_key), t->links,
		t->n_links, &why);
	if (r < 0)
		return job_fail_why(&t->job, r, "", why);
	for (unsigned i = 0; i < t->n_links; i++)
		t->links[i].deadline_ns = 0;
	r = decode_prepare(t->memory);
	for (unsigned i = 1; i < t->n_links && r == 0; i++) {
		/* They wait as long as the job does, and are cut when it ends. */
		t->links[i].cancel_fd = -1;
		t->links[i].stall_ns = 0;
		r = recv_chan_start(&t->channels[i - 1], &t->round, &t->links[i], i, t->memory);
	}
	t->round_began_ns = clock_mono_ns();
	return r < 0 ? job_fail_why(&t->job, r, "", "cannot start a channel") : 0;
}

static int send_frame(struct mig_target *t, uint16_t type, const void *head, size_t head_bytes)
{
	int r = stream_send(&t->links[0], type, head, head_bytes, NULL, 0);

	return r < 0 ? job_fail_why(&t->job, r, "", "the control connection broke") : 0;
}

static void note_round(struct mig_target *t, const struct decode_counts *counts)
{
	struct mig_report *report = job_report_begin(&t->job);
	uint64_t now_ns = clock_mono_ns(), now_bytes = received_bytes(t);
	struct mig_round round = {
		.n_zero = counts->n_zero,
		.n_lz4 = counts->n_lz4,
		.n_raw = counts->n_raw,
		.n_pages = counts->n_zero + counts->n_lz4 + counts->n_raw,
		.sent_bytes = now_bytes - t->round_began_bytes,
		.duration_ns = now_ns - t->round_began_ns,
	};

	round.raw_bytes = (uint64_t)round.n_pages * MIG_PAGE_BYTES;
	if (report->n_rounds < ARRAY_LEN(report->rounds))
		report->rounds[report->n_rounds++] = round;
	report->raw_bytes += round.raw_bytes;
	report->sent_bytes = now_bytes;
	job_report_end(&t->job);
	t->round_began_ns = now_ns;
	t->round_began_bytes = now_bytes;
}

/* Bring the units back, and say so: first to the owner, who must know before the commit. */
static int restore(struct mig_target *t)
{
	struct buf *units = &t->proto.units;
	struct reader in = reader_make(units->data, units->size_bytes);
	uint64_t begun_ns = clock_mono_ns();
	const char *culprit = NULL;
	struct mig_ready ready;
	struct mig_report *report;
	int r = t->ops.restore(t->vm, &in, &culprit);

	if (r == 0 && !reader_done(&in))
		r = -EBADMSG;
	if (r < 0)
		return job_fail(&t->job, r, "cannot restore %s: %s", culprit ? culprit : "the VM",
			strerror(-r));
	ready.restore_ns = htole64(clock_mono_ns() - begun_ns);
	recv_proto_restored(&t->proto);
	if (!job_become_ready(&t->job))
		return job_fail(&t->job, -ECANCELED, "cancelled");
	report = job_report_begin(&t->job);
	report->target_ready_ns = clock_mono_ns() - begun_ns;
	report->total_ns = clock_mono_ns() - t->job.started_ns;
	report->state_bytes = units->size_bytes;
	job_report_end(&t->job);
	job_set_phase(&t->job, MIG_PHASE_READY, 99);
	t->callbacks.ready(t->data);
	/* When this gets lost, the source gives up; the record tells the owner. */
	(void)stream_send(&t->links[0], MIG_FRAME_READY, &ready, sizeof(ready), NULL, 0);
	return 0;
}

static int act(struct mig_target *t, enum recv_action action)
{
	struct mig_round_mark mark = {.round = htole32(t->proto.round - 1)};

	switch (action) {
	case RECV_DO_ACCEPT:
		job_set_phase(&t->job, MIG_PHASE_PERFORM, 0);
		return send_frame(t, MIG_FRAME_ACCEPT, NULL, 0);
	case RECV_DO_ROUND_DONE:
		recv_round_release(&t->round);
		return send_frame(t, MIG_FRAME_ROUND_DONE, &mark, sizeof(mark));
	case RECV_DO_RESTORE:
		job_set_phase(&t->job, MIG_PHASE_SWITCHOVER, 96);
		return restore(t);
	case RECV_DO_ABORTED:
		return job_fail(
			&t->job, t->proto.abort_error, "source: %.150s", t->proto.abort_text);
	case RECV_DO_NOTHING:
	case RECV_DO_COMMITTED:
		break;
	}
	return 0;
}

static int serve_control(struct mig_target *t)
{
	enum recv_action action;
	struct frame frame;
	const char *why;
	int r = -EAGAIN;

	/* Not beyond READY: what the source says then, hear_verdict() judges. */
	while (t->proto.state < RECV_READY &&
		(r = stream_in_pull(&t->control, &frame, &why)) == 0) {
		r = recv_proto_frame(&t->proto, &frame, &action, &why);
		if (r < 0)
			break;
		r = act(t, action);
		if (r < 0)
			return r;
	}
	if (r == 0 || r == -EAGAIN)
		return 0;
	return job_fail_why(&t->job, r, "source: ", why);
}

/* Its ABORT, if the source is about to send one, is the better reason. */
static int fail_channel(struct mig_target *t, int error, unsigned channel, const char *why)
{
	uint64_t until_ns = clock_mono_ns() + LAST_WORD_NS, now_ns;

	while (error == -ECONNRESET && serve_control(t) == 0 &&
		(now_ns = clock_mono_ns()) < until_ns) {
		if (job_wait(&t->job, &t->links[0], until_ns - now_ns) == -ECANCELED)
			break;
	}
	return job_fail(&t->job, error, "connection %u: %s: %s", channel, why, strerror(-error));
}

static int serve_channels(struct mig_target *t)
{
	struct decode_counts counts;
	enum recv_action action;
	unsigned channel;
	const char *why;
	int r;

	if (t->proto.arrived || t->proto.state >= RECV_RESTORE)
		return 0;
	r = recv_round_arrived(&t->round, &counts, &channel, &why);
	if (r < 0)
		return fail_channel(t, r, channel, why);
	if (r == 0)
		return 0;
	note_round(t, &counts);
	r = recv_proto_arrived(
		&t->proto, (uint64_t)counts.n_zero + counts.n_lz4 + counts.n_raw, &action, &why);
	if (r < 0)
		return job_fail_why(&t->job, r, "source: ", why);
	return act(t, action);
}

/* Sleep until there is something to do; an error when nothing came in for too long. */
static int wait_for_news(struct mig_target *t)
{
	uint64_t active_ns = 0, idle_ns;
	int r;

	for (unsigned i = 0; i < t->n_links; i++)
		active_ns = MAX(active_ns, link_active_ns(&t->links[i]));
	idle_ns = clock_mono_ns() - active_ns;
	if (idle_ns >= t->params.stall_timeout_ns)
		return job_fail(&t->job, -ETIMEDOUT, "the source does not go on");
	r = job_wait(&t->job, &t->links[0], t->params.stall_timeout_ns - idle_ns);
	if (r == -ECANCELED)
		return job_fail(&t->job, r, "cancelled");
	return r == -ETIMEDOUT ? 0 : r;
}

/* Until the owner has been told that all is ready. */
static int perform(struct mig_target *t)
{
	int r = begin(t);

	while (r == 0) {
		r = serve_control(t);
		if (r == 0)
			r = serve_channels(t);
		if (r == 0 && t->proto.state >= RECV_READY)
			return 0;
		if (r == 0)
			r = wait_for_news(t);
	}
	return r;
}

static void stop_channels(struct mig_target *t)
{
	recv_round_stop(&t->round);
	for (unsigned i = 1; i < t->n_links; i++)
		link_cut(&t->links[i]);
	for (unsigned i = 1; i < t->n_links; i++)
		recv_chan_join(&t->channels[i - 1]);
}

static void over(struct mig_target *t, bool failed)
{
	char text[160];
	int error = job_error(&t->job, text);

	job_set_phase(&t->job, MIG_PHASE_DONE, failed ? 0 : 100);
	if (failed)
		t->callbacks.failed(error, text, t->data);
}

static void give_up(struct mig_target *t)
{
	struct link *control = &t->links[0];
	char text[160];
	int error = job_error(&t->job, text);

	control->cancel_fd = -1;
	control->stall_ns = JOB_PARTING_NS;
	control->deadline_ns = clock_mono_ns() + JOB_PARTING_NS;
	/* Before the handshake the peer is a stranger, and gets no explanation. */
	if (t->channels[0].thread.running)
		(void)stream_send_abort(control, error, text);
	stop_channels(t);
	/* Closed by free(): an early close could destroy the text on its way. */
	link_cut_write(control);
	over(t, true);
}

/* After `ready`: the source's word, if it still has one. Whatever else happens to the connection
 * means nothing, the owner knows better. True: the source aborted. */
static bool hear_verdict(struct mig_target *t)
{
	enum recv_action action = RECV_DO_NOTHING;
	struct frame frame;
	const char *why;
	int r = 0;

	while (r == 0 && t->proto.state != RECV_OVER) {
		r = stream_in_pull(&t->control, &frame, &why);
		if (r == 0)
			r = recv_proto_frame(&t->proto, &frame, &action, &why);
		if (r == -EAGAIN)
			r = job_wait(&t->job, &t->links[0], 0);
	}
	return action == RECV_DO_ABORTED && act(t, action) < 0;
}

static void target_main(void *data)
{
	struct mig_target *t = data;
	int r = perform(t);

	if (r < 0) {
		give_up(t);
		return;
	}
	stop_channels(t);
	over(t, hear_verdict(t));
}

static void dispose(struct mig_target *t)
{
	recv_proto_fini(&t->proto);
	stream_in_fini(&t->control);
	links_close(t->links, t->n_links);
	auth_forget(t->params.job_key, sizeof(t->params.job_key));
	free(t);
}

static void configure(struct mig_target *t, const struct mig_params *params,
	const struct mig_vm_ops *ops, void *vm, const struct mig_target_callbacks *callbacks,
	void *data)
{
	struct manifest ours;

	t->params = *params;
	memcpy(t->vm_name, params->vm_name, strlen(params->vm_name) + 1);
	t->params.vm_name = t->vm_name;
	t->ops = *ops;
	t->vm = vm;
	t->memory = ops->memory(vm);
	t->callbacks = *callbacks;
	t->data = data;
	ours = (struct manifest){t->vm_name, params->cpuid_digest, t->memory};
	recv_proto_init(&t->proto, &ours);
}

/* The links are taken over already. */
static int start(struct mig_target *t)
{
	int r;

	if (!manifest_possible(&t->proto.ours))
		return -EINVAL;
	r = stream_in_init(&t->control, &t->links[0], MIG_MAX_FRAME_BYTES);
	if (r < 0)
		return r;
	r = job_init(&t->job, gpa_space_size_bytes(t->memory), t->n_links - 1);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < t->n_links; i++)
		t->links[i].cancel_fd = t->job.cancel_fd;
	recv_round_init(&t->round, &t->job, t->n_links - 1);
	r = thread_start(&t->thread, "mig-target", target_main, t);
	if (r == 0)
		return 0;
	recv_round_fini(&t->round);
	job_fini(&t->job);
	return r;
}

int mig_target_start(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm,
	const int *fds, unsigned n_fds, const struct mig_target_callbacks *callbacks, void *data,
	struct mig_target **ret_target)
{
	struct mig_target *t = calloc(1, sizeof(*t));
	struct mig_params complete;
	int r = t ? job_params(params, n_fds, &complete) : -ENOMEM;

	if (r < 0) {
		for (unsigned i = 0; i < n_fds; i++)
			close_fd(fds[i]);
		free(t);
		return r;
	}
	configure(t, &complete, ops, vm, callbacks, data);
	auth_forget(complete.job_key, sizeof(complete.job_key));
	t->n_links = n_fds;
	r = links_init(t->links, fds, n_fds, t->params.stall_timeout_ns);
	if (r == 0)
		r = start(t);
	if (r < 0) {
		dispose(t);
		return r;
	}
	*ret_target = t;
	return 0;
}

int mig_target_cancel(struct mig_target *t)
{
	return job_cancel(&t->job);
}

void mig_target_report(struct mig_target *t, struct mig_report *ret_report)
{
	job_snapshot(&t->job, ret_report);
}

void mig_target_free(struct mig_target *t)
{
	if (!t)
		return;
	job_abandon(&t->job);
	thread_join(&t->thread);
	recv_round_fini(&t->round);
	job_fini(&t->job);
	dispose(t);
}
