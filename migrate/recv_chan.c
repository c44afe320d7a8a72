/* SPDX-License-Identifier: MIT */
#include "migrate/recv_chan.h"

#include <stdio.h>
#include <string.h>

void recv_round_init(struct recv_round *r, struct job *job, unsigned n_channels)
{
	*r = (struct recv_round){.job = job, .n_channels = n_channels};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
}

void recv_round_fini(struct recv_round *r)
{
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

int recv_round_arrived(struct recv_round *r, struct decode_counts *ret_counts,
	unsigned *ret_channel, const char **ret_why)
{
	int arrived = 0;

	pthread_mutex_lock(&r->lock);
	if (r->error) {
		*ret_channel = r->error_channel;
		*ret_why = r->error_why;
		arrived = r->error;
	} else if (r->n_arrived == r->n_channels) {
		*ret_counts = r->counts;
		arrived = 1;
	}
	pthread_mutex_unlock(&r->lock);
	return arrived;
}

void recv_round_release(struct recv_round *r)
{
	pthread_mutex_lock(&r->lock);
	r->number++;
	r->n_arrived = 0;
	r->counts = (struct decode_counts){0};
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void recv_round_stop(struct recv_round *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* At the barrier: wait for the next round. False: leave. */
static bool barrier(struct recv_chan *c, uint32_t *number)
{
	struct recv_round *r = c->round;
	struct decode_counts *own = &c->decoder.counts;
	bool go_on;

	pthread_mutex_lock(&r->lock);
	r->counts.n_zero += own->n_zero;
	r->counts.n_lz4 += own->n_lz4;
	r->counts.n_raw += own->n_raw;
	*own = (struct decode_counts){0};
	if (++r->n_arrived == r->n_channels)
		job_signal(r->job);
	while (!r->stop && r->number == *number)
		pthread_cond_wait(&r->changed, &r->lock);
	*number = r->number;
	go_on = !r->stop;
	pthread_mutex_unlock(&r->lock);
	return go_on;
}

static void fail(struct recv_chan *c, int error, const char *why)
{
	struct recv_round *r = c->round;

	pthread_mutex_lock(&r->lock);
	if (!r->error) {
		r->error = error;
		r->error_channel = c->index;
		r->error_why = why;
	}
	pthread_mutex_unlock(&r->lock);
	job_signal(r->job);
}

/* First what was read ahead, then the connection, of which a little more is asked. */
static int chan_read(void *data, struct iovec *iov, unsigned n_iov)
{
	struct recv_chan *c = data;
	struct iovec all[MIG_CHUNK_MAX_RUNS + 1], *left = all;
	size_t want_bytes = 0;
	unsigned n_left = n_iov;

	memcpy(all, iov, n_iov * sizeof(*iov));
	while (n_left && c->ahead_bytes) {
		size_t n = MIN(left->iov_len, c->ahead_bytes);

		memcpy(left->iov_base, c->ahead + c->ahead_at, n);
		c->ahead_at += n;
		c->ahead_bytes -= n;
		iov_skip(&left, &n_left, n);
	}
	for (unsigned i = 0; i < n_left; i++)
		want_bytes += left[i].iov_len;
	left[n_left] = (struct iovec){c->ahead, sizeof(c->ahead)};
	while (want_bytes) {
		ssize_t n;

		n_left++;
		n = link_read_some(c->link, left, n_left);
		if (n < 0)
			return (int)n;
		if ((size_t)n > want_bytes) {
			c->ahead_at = 0;
			c->ahead_bytes = (size_t)n - want_bytes;
			return 0;
		}
		iov_skip(&left, &n_left, (size_t)n);
		n_left--;
		want_bytes -= (size_t)n;
	}
	return 0;
}

static void chan_main(void *data)
{
	struct recv_chan *c = data;
	uint32_t number = 0;
	struct chunk chunk;
	const char *why;
	bool go_on = true;

	while (go_on) {
		int r = decoder_next(&c->decoder, number, &chunk, &why);

		if (r < 0) {
			fail(c, r, why);
			return;
		}
		if (chunk.kind == MIG_CHUNK_BARRIER)
			go_on = barrier(c, &number);
	}
}

int recv_chan_start(struct recv_chan *c, struct recv_round *round, struct link *link,
	unsigned index, struct gpa_space *memory)
{
	char name[16];
	int r;

	c->round = round;
	c->link = link;
	c->index = index;
	r = decoder_init(&c->decoder, memory, chan_read, c);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "mig-recv-%u", index % 100);
	r = thread_start(&c->thread, name, chan_main, c);
	if (r < 0)
		decoder_fini(&c->decoder);
	return r;
}

void recv_chan_join(struct recv_chan *c)
{
	if (!c->thread.running)
		return;
	thread_join(&c->thread);
	decoder_fini(&c->decoder);
}
