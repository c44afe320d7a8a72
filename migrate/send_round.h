/* SPDX-License-Identifier: MIT
 *
 * send_round.h - one round: the set of dirty pages from which the channel threads help themselves.
 *
 * There is no queue that could run full or dry: a channel that has written its last batch pulls the
 * next out of the bitmap, so a slow connection just takes fewer. Batches get smaller towards the
 * end of a round, so that the channels finish together. A page is pulled once, and so travels once
 * a round.
 *
 * The round ends when every channel has written its barrier, or fails with the first error of one
 * of them; the job's event tells in either case.
 *
 * Threads: _begin, _finished, _left, _stop and the bitmaps belong to the job's thread; the bitmaps
 * only while no round runs. _wait, _pull, _arrive, _sleep are for channel threads.
 */
#ifndef VIADUCT_MIGRATE_SEND_ROUND_H
#define VIADUCT_MIGRATE_SEND_ROUND_H

#include "migrate/encode.h"
#include "migrate/job.h"

#define SEND_BATCH_MIN_PAGES 16
#define SEND_BATCH_MAX_PAGES 512

struct send_run {
	size_t region;
	size_t first_page; /* in the region */
	uint32_t n_pages;
};

struct send_result {
	struct encode_counts counts; /* sum over the channels */
	uint64_t paced_ns;           /* average of a channel: held back by the bandwidth limit */
	uint64_t arrived_ns;         /* when the last one was through, CLOCK_MONOTONIC */
};

struct send_round {
	/* Constant after init. */
	struct job *job;
	struct gpa_space *memory;
	unsigned n_channels;
	uint64_t *bitmaps[GPA_MAX_REGIONS]; /* the pages to send, one bit each */
	/* Pages that were never touched; round 0 only, else NULL. Constant while a round runs. */
	uint64_t *untouched[GPA_MAX_REGIONS];

	pthread_mutex_t lock;
	pthread_cond_t changed; /* running, stop */
	/* Under `lock`. */
	uint32_t number;
	bool paused; /* the VM stands still during this round */
	bool running, stop;
	size_t region, word; /* cursor: no page is left before it */
	uint64_t n_left;
	unsigned n_arrived;
	int error;
	unsigned error_channel;
	struct send_result result;
};

int send_round_init(
	struct send_round *r, struct job *job, struct gpa_space *memory, unsigned n_channels);
void send_round_fini(struct send_round *r);

/* Pages in the bitmaps. */
uint64_t send_round_count(const struct send_round *r);
/* All pages; and which of them need not even be looked at. */
void send_round_fill(struct send_round *r);
void send_round_find_untouched(struct send_round *r);
void send_round_forget_untouched(struct send_round *r);
void send_round_begin(struct send_round *r, uint32_t number, bool paused);
/* 1 when all channels are through (then *ret_result is set), 0 while they are not, or the error of
 * *ret_channel. */
int send_round_finished(
	struct send_round *r, struct send_result *ret_result, unsigned *ret_channel);
uint64_t send_round_left(struct send_round *r);
/* All channel threads: leave. */
void send_round_stop(struct send_round *r);

/* Wait for the round after `*number` (start with UINT32_MAX); false: leave. */
bool send_round_wait(struct send_round *r, uint32_t *number, bool *ret_paused);
/* Take up to `max_runs` runs; 0 when the round has no more. */
unsigned send_round_pull(struct send_round *r, struct send_run *ret_runs, unsigned max_runs);
/* This channel is through with the round, or failed. */
void send_round_arrive(struct send_round *r, unsigned channel, int error,
	const struct encode_counts *counts, uint64_t paced_ns);
/* Sleep, but not beyond _stop: then -ECANCELED. */
int send_round_sleep(struct send_round *r, uint64_t duration_ns);

#endif
