/* SPDX-License-Identifier: MIT */
#include "migrate/converge.h"
#include "base/clock.h"

#define PAGE_BYTES       4096
#define MAX_STALE_ROUNDS 2
#define MAX_STALE_NS     (1 * NS_PER_SEC)
#define FOREVER_NS       (UINT64_MAX / 4)

static uint64_t transfer_ns(const struct converge_sample *sample, uint64_t n_pages)
{
	unsigned __int128 bytes =
		(unsigned __int128)n_pages * PAGE_BYTES * sample->ratio_permille / 1000;
	unsigned __int128 ns;

	if (!n_pages)
		return 0;
	if (!sample->wire_bytes_per_s)
		return FOREVER_NS;
	ns = bytes * NS_PER_SEC / sample->wire_bytes_per_s;
	return ns < FOREVER_NS ? (uint64_t)ns : FOREVER_NS;
}

/* Would a round more be worth its time, given that the blackout already fits? */
static bool next_round_pays(
	const struct converge_limits *limits, const struct converge_sample *sample)
{
	uint64_t now_ns = transfer_ns(sample, sample->remaining_pages);
	unsigned __int128 next = (unsigned __int128)sample->remaining_pages *
				 (now_ns + sample->round_trip_ns) / (sample->interval_ns + 1);
	uint64_t next_ns;

	if (next > sample->remaining_pages / 2)
		return false;
	next_ns = transfer_ns(sample, (uint64_t)next);
	return now_ns - next_ns >= MAX(limits->budget_ns / 20, 1ULL);
}

static void note_progress(struct converge *converge, const struct converge_sample *sample)
{
	if (converge->best_pages &&
		sample->remaining_pages > converge->best_pages - converge->best_pages / 10) {
		converge->n_stale++;
		converge->stale_ns += sample->interval_ns;
		return;
	}
	converge->n_stale = 0;
	converge->stale_ns = 0;
	converge->best_pages = sample->remaining_pages;
}

enum converge_verdict converge_step(struct converge *converge, const struct converge_limits *limits,
	const struct converge_sample *sample, uint64_t *ret_forecast_ns)
{
	uint64_t forecast_ns = sample->fixed_ns + sample->round_trip_ns +
			       transfer_ns(sample, sample->remaining_pages);
	bool out_of_rounds = sample->n_rounds >= limits->max_rounds, stale;

	*ret_forecast_ns = forecast_ns;
	note_progress(converge, sample);
	stale = converge->n_stale >= MAX_STALE_ROUNDS && converge->stale_ns >= MAX_STALE_NS;
	if (sample->remaining_pages == 0)
		return CONVERGE_SWITCH;
	if (forecast_ns <= limits->budget_ns)
		return !out_of_rounds && next_round_pays(limits, sample) ? CONVERGE_CONTINUE
									 : CONVERGE_SWITCH;
	if (out_of_rounds || stale)
		return forecast_ns <= limits->limit_ns ? CONVERGE_SWITCH : CONVERGE_GIVE_UP;
	return CONVERGE_CONTINUE;
}
