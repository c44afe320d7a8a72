/* SPDX-License-Identifier: MIT */
#include "migrate/send.h"
#include "base/clock.h"

#define TICK_NS (100 * NS_PER_MS)
/* A target that gives up says why before it cuts the connections, so its word is nearly here. */
#define LAST_WORD_NS        (200 * NS_PER_MS)
#define LAST_WORD_PAUSED_NS (20 * NS_PER_MS)

typedef int (*frame_fn)(struct mig_source *s, const struct frame *frame);

static int on_accept(struct mig_source *s, const struct frame *frame)
{
	(void)frame;
	s->accepted = true;
	return 0;
}

static int on_round_done(struct mig_source *s, const struct frame *frame)
{
	if (!s->awaits_ack || load_le32(frame->payload) != s->n_rounds - 1)
		return job_fail(&s->job, -EBADMSG, "target: confirms a round out of turn");
	s->awaits_ack = false;
	return 0;
}

static int on_ready(struct mig_source *s, const struct frame *frame)
{
	struct mig_report *report = job_report_begin(&s->job);

	report->restore_ns = load_le64(frame->payload);
	job_report_end(&s->job);
	s->ready_ns = clock_mono_ns();
	return 0;
}

static int on_abort(struct mig_source *s, const struct frame *frame)
{
	char text[MIG_MAX_ERROR_LEN + 1];
	int error = stream_parse_abort(frame, text);

	return job_fail(&s->job, error, "target: %.150s", text);
}

#define IN(state) (1U << (state))
#define IN_ALL    (IN(SEND_N_STATES) - 1)

static const struct {
	frame_fn handler;
	struct frame_rule rule;
} table[] = {
	{on_accept, {MIG_FRAME_ACCEPT, 0, 0, IN(SEND_BEGIN)}},
	{on_round_done, {MIG_FRAME_ROUND_DONE, sizeof(struct mig_round_mark),
				sizeof(struct mig_round_mark), IN(SEND_PERFORM)}},
	{on_ready, {MIG_FRAME_READY, sizeof(struct mig_ready), sizeof(struct mig_ready),
			   IN(SEND_SWITCHOVER)}},
	{on_abort, {MIG_FRAME_ABORT, sizeof(struct mig_abort),
			   sizeof(struct mig_abort) + MIG_MAX_ERROR_LEN, IN_ALL}},
};

static int take_frame(struct mig_source *s, const struct frame *frame)
{
	const char *why;
	size_t i = 0;
	int r;

	while (i < ARRAY_LEN(table) && table[i].rule.type != frame->type)
		i++;
	r = frame_check(i < ARRAY_LEN(table) ? &table[i].rule : NULL, s->state, frame, &why);
	if (r < 0)
		return job_fail_why(&s->job, r, "target: ", why);
	return table[i].handler(s, frame);
}

/* Everything that has arrived. */
static int serve(struct mig_source *s)
{
	const char *why;
	struct frame frame;
	int r;

	while ((r = stream_in_pull(&s->control, &frame, &why)) == 0) {
		r = take_frame(s, &frame);
		if (r < 0)
			return r;
	}
	if (r == -EAGAIN)
		return 0;
	return job_fail_why(&s->job, r, "target: ", why);
}

static void tick(struct mig_source *s)
{
	uint64_t total = gpa_space_size_bytes(s->memory) / GPA_PAGE_SIZE;
	uint64_t now_ns = clock_mono_ns(), left;
	struct mig_report *report;

	if (s->paused || now_ns - s->told_ns < TICK_NS)
		return;
	s->told_ns = now_ns;
	if (s->state == SEND_PERFORM) {
		left = send_round_left(&s->round);
		report = job_report_begin(&s->job);
		report->remaining_pages = (uint32_t)left;
		if (s->n_rounds == 1)
			job_report_percent(report, 70 * (total - left) / total);
		job_report_end(&s->job);
	}
	if (s->callbacks.progress)
		s->callbacks.progress(s->data);
}

int source_await(struct mig_source *s, int (*condition)(struct mig_source *s), uint64_t timeout_ns)
{
	uint64_t until_ns = timeout_ns ? clock_mono_ns() + timeout_ns : UINT64_MAX;

	for (;;) {
		uint64_t now_ns = clock_mono_ns();
		int r = serve(s);

		if (r == 0)
			r = condition(s);
		if (r != 0)
			return r < 0 ? r : 0;
		tick(s);
		if (now_ns >= until_ns)
			return job_fail(&s->job, -ETIMEDOUT, "the target does not answer");
		r = job_wait(&s->job, &s->links[0], MIN(TICK_NS, until_ns - now_ns));
		if (r < 0 && r != -ETIMEDOUT)
			return job_fail_why(&s->job, r, "", "cannot wait for the target");
	}
}

int source_fail_link(struct mig_source *s, int error, const char *what)
{
	uint64_t until_ns = clock_mono_ns() + (s->paused ? LAST_WORD_PAUSED_NS : LAST_WORD_NS);
	uint64_t now_ns;

	/* serve() records the target's reason, or that there is none to come. */
	while (error == -ECONNRESET && serve(s) == 0 && (now_ns = clock_mono_ns()) < until_ns) {
		if (job_wait(&s->job, &s->links[0], until_ns - now_ns) == -ECANCELED)
			break;
	}
	return job_fail_why(&s->job, error, "", what);
}

int source_send(struct mig_source *s, uint16_t type, const void *head, size_t head_bytes,
	const void *tail, size_t tail_bytes)
{
	int r = stream_send(&s->links[0], type, head, head_bytes, tail, tail_bytes);

	return r < 0 ? source_fail_link(s, r, "the control connection broke") : 0;
}
