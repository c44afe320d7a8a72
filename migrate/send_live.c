/* SPDX-License-Identifier: MIT */
#include "migrate/send.h"
#include "base/clock.h"

#include <stdio.h>

/* Pausing, saving and restoring units: known only once it has been done. */
#define GUESSED_STEPS_NS (2 * NS_PER_MS)
/* Nothing moves for so long while the VM is paused: better go on here. */
#define PAUSED_STALL_NS (4 * NS_PER_SEC)
/* Before anything but zeros has travelled. */
#define GUESSED_BYTES_PER_S 100000000ULL

static uint64_t since(uint64_t then_ns)
{
	return clock_mono_ns() - then_ns;
}

static uint64_t sent_bytes(const struct mig_source *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->n_links; i++)
		sum += link_sent_bytes(&s->links[i]);
	return sum;
}

static int op_failed(struct mig_source *s, int error, const char *what)
{
	return job_fail_why(&s->job, error, "", what);
}

/* Adds what was dirtied since the last time to the round's bitmaps. */
static int collect(struct mig_source *s)
{
	uint64_t before_ns = clock_mono_ns();
	int r = s->ops.dirty_collect(s->vm, s->round.bitmaps);

	if (r < 0)
		return op_failed(s, r, "cannot read the dirty log");
	s->measure.collect_ns = since(before_ns);
	return 0;
}

static int round_is_sent(struct mig_source *s)
{
	struct send_result unused;
	unsigned channel;
	char what[40];
	int r = send_round_finished(&s->round, &unused, &channel);

	if (r >= 0)
		return r;
	(void)snprintf(what, sizeof(what), "connection %u broke", channel);
	return source_fail_link(s, r, what);
}

static int round_is_confirmed(struct mig_source *s)
{
	return !s->awaits_ack;
}

static int target_is_ready(struct mig_source *s)
{
	return s->ready_ns != 0;
}

static void note_round(struct mig_source *s, uint64_t sent_before_bytes, uint64_t duration_ns)
{
	struct send_result result = {0};
	struct mig_report *report;
	struct mig_round *round;
	struct send_measure *m = &s->measure;
	uint64_t data_bytes, busy_ns;
	unsigned channel;

	(void)send_round_finished(&s->round, &result, &channel);
	report = job_report_begin(&s->job);
	round = &report->rounds[report->n_rounds++];
	*round = (struct mig_round){
		.n_zero = result.counts.n_zero,
		.n_lz4 = result.counts.n_lz4,
		.n_raw = result.counts.n_raw,
		.n_pages = result.counts.n_zero + result.counts.n_lz4 + result.counts.n_raw,
		.sent_bytes = sent_bytes(s) - sent_before_bytes,
		.duration_ns = duration_ns,
	};
	round->raw_bytes = (uint64_t)round->n_pages * MIG_PAGE_BYTES;
	report->raw_bytes += round->raw_bytes;
	report->sent_bytes = sent_bytes(s);
	job_report_end(&s->job);
	s->sent_ns = result.arrived_ns;

	data_bytes = ((uint64_t)result.counts.n_lz4 + result.counts.n_raw) * MIG_PAGE_BYTES;
	busy_ns = duration_ns > result.paced_ns ? duration_ns - result.paced_ns : 1;
	m->raw_bytes = m->raw_bytes / 2 + data_bytes;
	m->wire_bytes = m->wire_bytes / 2 + result.counts.sent_bytes;
	m->busy_ns = m->busy_ns / 2 + busy_ns;
}

/* One round of pre-copy, until the target has all of it in place. */
static int send_round_live(struct mig_source *s)
{
	uint64_t begun_ns = clock_mono_ns(), before_bytes = sent_bytes(s), flushed_ns;
	uint32_t n_pages = (uint32_t)send_round_count(&s->round);
	struct mig_round_mark mark = {
		.round = htole32(s->n_rounds),
		.n_pages = htole32(n_pages),
	};
	int r = source_send(s, MIG_FRAME_ROUND_BEGIN, &mark, sizeof(mark), NULL, 0);

	if (r < 0)
		return r;
	send_round_begin(&s->round, s->n_rounds++, false);
	r = source_await(s, round_is_sent, 0);
	if (r < 0)
		return r;
	flushed_ns = clock_mono_ns();
	s->awaits_ack = true;
	r = source_send(s, MIG_FRAME_ROUND_END, &mark, sizeof(mark), NULL, 0);
	if (r == 0)
		r = source_await(s, round_is_confirmed, s->params.stall_timeout_ns);
	if (r < 0)
		return r;
	s->measure.round_trip_ns = MIN(s->measure.round_trip_ns, since(flushed_ns));
	note_round(s, before_bytes, since(begun_ns));
	return 0;
}

static struct converge_sample sample(
	struct mig_source *s, uint64_t remaining_pages, uint64_t interval_ns)
{
	const struct send_measure *m = &s->measure;
	uint64_t rate = (uint64_t)((double)m->wire_bytes * (double)NS_PER_SEC / (double)m->busy_ns);

	return (struct converge_sample){
		.n_rounds = s->n_rounds,
		.remaining_pages = remaining_pages,
		.wire_bytes_per_s = m->raw_bytes ? MAX(rate, 1ULL) : GUESSED_BYTES_PER_S,
		.ratio_permille =
			m->raw_bytes ? (uint32_t)(m->wire_bytes * 1000 / m->raw_bytes) : 1000,
		.interval_ns = interval_ns,
		.round_trip_ns = m->round_trip_ns,
		.fixed_ns = m->collect_ns + GUESSED_STEPS_NS,
	};
}

/* After a round: what is dirty now, and what follows from it. */
static int judge(struct mig_source *s, enum converge_verdict *ret_verdict)
{
	struct converge_limits limits = {
		.max_rounds = s->params.max_rounds,
		.budget_ns = s->params.blackout_budget_ns,
		.limit_ns = s->params.blackout_limit_ns,
	};
	uint64_t interval_ns = since(s->measure.collected_at_ns), remaining, forecast_ns;
	uint64_t total = gpa_space_size_bytes(s->memory) / GPA_PAGE_SIZE;
	struct converge_sample now;
	struct mig_report *report;
	int r;

	s->measure.collected_at_ns = clock_mono_ns();
	r = collect(s);
	if (r < 0)
		return r;
	remaining = send_round_count(&s->round);
	now = sample(s, remaining, interval_ns);
	*ret_verdict = converge_step(&s->converge, &limits, &now, &forecast_ns);
	report = job_report_begin(&s->job);
	report->remaining_pages = (uint32_t)remaining;
	report->forecast_blackout_ns = forecast_ns;
	job_report_percent(report, 70 + 25 * (total - remaining) / total);
	job_report_end(&s->job);
	if (*ret_verdict != CONVERGE_GIVE_UP)
		return 0;
	return job_fail(&s->job, -ETIMEDOUT,
		"the VM dirties %llu pages/s, more than travel: the blackout would be %llu ms",
		(unsigned long long)((double)remaining * 1e9 / (double)(interval_ns + 1)),
		(unsigned long long)(forecast_ns / NS_PER_MS));
}

int source_precopy(struct mig_source *s)
{
	enum converge_verdict verdict = CONVERGE_CONTINUE;
	int r = s->ops.dirty_start(s->vm);

	if (r < 0)
		return op_failed(s, r, "cannot start the dirty log");
	s->tracking = true;
	s->measure.collected_at_ns = clock_mono_ns();
	send_round_fill(&s->round);
	send_round_find_untouched(&s->round);
	while (r == 0 && verdict == CONVERGE_CONTINUE) {
		r = send_round_live(s);
		if (r == 0) {
			send_round_forget_untouched(&s->round);
			r = judge(s, &verdict);
		}
	}
	return r;
}

/* Stop the VM, save its units, read the dirty log once more: saving may write to memory. */
static int freeze(struct mig_source *s)
{
	uint64_t begun_ns = clock_mono_ns(), paused_ns, saved_ns;
	struct mig_report *report = job_report_begin(&s->job);
	int r;

	report->paused_at_ns = begun_ns;
	job_report_end(&s->job);
	s->paused = true;
	r = s->ops.pause(s->vm);
	if (r < 0)
		return op_failed(s, r, "cannot pause the VM");
	paused_ns = clock_mono_ns();
	r = s->ops.save(s->vm, &s->units);
	if (r == 0 && s->units.failed)
		r = -ENOMEM;
	if (r == 0 && s->units.size_bytes > MIG_MAX_STATE_BYTES)
		r = -EFBIG;
	if (r < 0)
		return op_failed(s, r, "cannot save the state of the VM");
	saved_ns = clock_mono_ns();
	r = collect(s);
	report = job_report_begin(&s->job);
	report->pause_ns = paused_ns - begun_ns;
	report->save_ns = saved_ns - paused_ns;
	report->sweep_ns = since(saved_ns);
	report->state_bytes = s->units.size_bytes;
	job_report_end(&s->job);
	return r;
}

static int send_units(struct mig_source *s)
{
	int r = 0;

	for (size_t at = 0; at < s->units.size_bytes && r == 0; at += MIG_STATE_PART_BYTES) {
		struct mig_state_part part = {.offset = htole64(at)};
		size_t n = MIN(s->units.size_bytes - at, (size_t)MIG_STATE_PART_BYTES);

		r = source_send(s, MIG_FRAME_STATE, &part, sizeof(part), s->units.data + at, n);
	}
	return r;
}

/* The final round: the last pages over the channels, the units over control meanwhile. */
static int send_rest(struct mig_source *s)
{
	uint64_t begun_ns = clock_mono_ns(), before_bytes = sent_bytes(s);
	uint32_t n_pages = (uint32_t)send_round_count(&s->round);
	struct mig_round_mark mark = {
		.round = htole32(s->n_rounds),
		.flags = htole32(MIG_ROUND_FINAL),
		.n_pages = htole32(n_pages),
	};
	struct mig_final final = {
		.round = htole32(s->n_rounds),
		.n_pages = htole32(n_pages),
		.state_bytes = htole64(s->units.size_bytes),
	};
	struct mig_report *report;
	int r;

	send_round_begin(&s->round, s->n_rounds++, true);
	r = source_send(s, MIG_FRAME_ROUND_BEGIN, &mark, sizeof(mark), NULL, 0);
	if (r == 0)
		r = send_units(s);
	if (r == 0)
		r = source_send(s, MIG_FRAME_FINAL, &final, sizeof(final), NULL, 0);
	if (r == 0)
		r = source_await(s, round_is_sent, 0);
	if (r < 0)
		return r;
	note_round(s, before_bytes, since(begun_ns));
	report = job_report_begin(&s->job);
	report->send_ns = s->sent_ns - begun_ns;
	job_report_end(&s->job);
	return 0;
}

int source_switchover(struct mig_source *s)
{
	struct mig_report *report;
	uint64_t patience_ns = MIN(s->params.stall_timeout_ns, PAUSED_STALL_NS);
	int r;

	if (job_cancelled(&s->job))
		return job_fail(&s->job, -ECANCELED, "cancelled");
	/* From here on a target that falls silent costs the VM's time. */
	for (unsigned i = 0; i < s->n_links; i++)
		s->links[i].stall_ns = patience_ns;
	s->state = SEND_SWITCHOVER;
	job_set_phase(&s->job, MIG_PHASE_SWITCHOVER, 96);
	r = freeze(s);
	if (r == 0)
		r = send_rest(s);
	if (r < 0)
		return r;
	r = source_await(s, target_is_ready, patience_ns);
	if (r < 0)
		return r;
	report = job_report_begin(&s->job);
	report->target_ready_ns = s->ready_ns > s->sent_ns ? s->ready_ns - s->sent_ns : 0;
	report->total_ns = since(s->job.started_ns);
	report->remaining_pages = 0;
	job_report_end(&s->job);
	return 0;
}
