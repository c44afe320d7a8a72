/* SPDX-License-Identifier: MIT */
#include "migrate/send_chan.h"
#include "base/clock.h"

#include <stdio.h>

static int chan_write(void *data, struct iovec *iov, unsigned n_iov, size_t size_bytes)
{
	struct send_chan *c = data;
	uint64_t wait_ns = c->paused ? 0 : pace_take(c->pace, size_bytes, clock_mono_ns());

	if (wait_ns) {
		int r = send_round_sleep(c->round, wait_ns);

		if (r < 0)
			return r;
		c->paced_ns += wait_ns;
	}
	return link_write(c->link, iov, n_iov);
}

static int send_pages(struct send_chan *c)
{
	unsigned n_runs;
	int r = 0;

	while (r == 0 && (n_runs = send_round_pull(c->round, c->runs, ARRAY_LEN(c->runs)))) {
		for (unsigned i = 0; i < n_runs && r == 0; i++) {
			const struct send_run *run = &c->runs[i];

			r = encoder_region(&c->encoder,
				gpa_space_region(c->round->memory, run->region),
				c->round->untouched[run->region], run->first_page, run->n_pages);
		}
	}
	return r < 0 ? r : encoder_barrier(&c->encoder);
}

static void chan_main(void *data)
{
	struct send_chan *c = data;
	uint32_t number = UINT32_MAX;
	int r = 0;

	while (r == 0 && send_round_wait(c->round, &number, &c->paused)) {
		c->paced_ns = 0;
		encoder_round(&c->encoder, number, c->paused);
		r = send_pages(c);
		send_round_arrive(c->round, c->index, r, &c->encoder.counts, c->paced_ns);
	}
}

int send_chan_start(struct send_chan *c, struct send_round *round, struct pace *pace,
	struct link *link, unsigned index, enum codec_policy policy)
{
	char name[16];
	int r;

	c->round = round;
	c->pace = pace;
	c->link = link;
	c->index = index;
	r = encoder_init(&c->encoder, policy, chan_write, c);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "mig-send-%u", index % 100);
	r = thread_start(&c->thread, name, chan_main, c);
	if (r < 0)
		encoder_fini(&c->encoder);
	return r;
}

void send_chan_join(struct send_chan *c)
{
	if (!c->thread.running)
		return;
	thread_join(&c->thread);
	encoder_fini(&c->encoder);
}
