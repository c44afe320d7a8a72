/* SPDX-License-Identifier: MIT
 *
 * recv_chan.h - the channels of the target: threads that read chunks and place their pages, and the
 * barrier that keeps rounds apart.
 *
 * A channel that has read its barrier waits until the job's thread lets the next round begin, which
 * it does when all channels are there and the source has announced the same number of pages on the
 * control connection. A chunk of any other round than the current one is an error.
 *
 * Threads: recv_round_* are for the job's thread.
 */
#ifndef VIADUCT_MIGRATE_RECV_CHAN_H
#define VIADUCT_MIGRATE_RECV_CHAN_H

#include "base/thread.h"
#include "migrate/decode.h"
#include "migrate/job.h"

struct recv_round {
	/* Constant after init. */
	struct job *job;
	unsigned n_channels;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* number, stop */
	/* Under `lock`. */
	uint32_t number;
	bool stop;
	unsigned n_arrived;
	struct decode_counts counts; /* sum over the channels that arrived */
	int error;
	unsigned error_channel;
	const char *error_why;
};

/* More than a header with its runs, so that most reads bring the next header along. */
#define RECV_AHEAD_BYTES 1024
_Static_assert(RECV_AHEAD_BYTES >= MIG_CHUNK_MAX_HEAD_BYTES, "a whole head must fit");

struct recv_chan {
	/* Constant while the thread runs. */
	struct recv_round *round;
	struct link *link;
	unsigned index; /* from 1 */
	struct thread thread;
	/* The thread's own. */
	struct decoder decoder;
	uint8_t ahead[RECV_AHEAD_BYTES]; /* read but not asked for yet */
	size_t ahead_at, ahead_bytes;
};

void recv_round_init(struct recv_round *r, struct job *job, unsigned n_channels);
void recv_round_fini(struct recv_round *r);
/* 1 when all channels are at the barrier, 0 while they are not, or the error of *ret_channel. */
int recv_round_arrived(struct recv_round *r, struct decode_counts *ret_counts,
	unsigned *ret_channel, const char **ret_why);
/* Let the next round begin. */
void recv_round_release(struct recv_round *r);
/* All channels: leave. Those that wait for bytes need link_cut() too. */
void recv_round_stop(struct recv_round *r);

int recv_chan_start(struct recv_chan *c, struct recv_round *round, struct link *link,
	unsigned index, struct gpa_space *memory);
/* Waits for the thread. Harmless when not started. */
void recv_chan_join(struct recv_chan *c);

#endif
