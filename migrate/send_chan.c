/* SPDX-License-Identifier: MIT */
#include "migrate/send_chan.h"
#include "base/clock.h"

#include <stdio.h>

static uint64_t thread_cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * NS_PER_SEC + (uint64_t)used.tv_nsec;
}

static int wait_for_turn(struct send_chan *c, size_t size_bytes, uint64_t *ret_waited_ns)
{
	uint64_t wait_ns = c->paused ? 0 : pace_take(c->pace, size_bytes, clock_mono_ns());
	int r = wait_ns ? send_round_sleep(c->round, wait_ns) : 0;

	c->paced_ns += wait_ns;
	*ret_waited_ns = wait_ns;
	return r;
}

/* The time that the write takes on the clock would mislead: on a busy host most of it is others'
 * work, the receiver's for one. What counts is our processor time and real waiting for the network.
 */
static int chan_write(
	void *data, struct iovec *iov, unsigned n_iov, size_t size_bytes, uint64_t *ret_cost_ns)
{
	struct send_chan *c = data;
	uint64_t cpu_ns, waited_ns, paced_ns, peer_busy_ns;
	int r = wait_for_turn(c, size_bytes, &paced_ns);

	if (r < 0)
		return r;
	cpu_ns = thread_cpu_ns();
	waited_ns = link_waited_ns(c->link);
	r = link_write(c->link, iov, n_iov);
	cpu_ns = thread_cpu_ns() - cpu_ns;
	waited_ns = link_waited_ns(c->link) - waited_ns;
	peer_busy_ns = link_peer_busy_ns(c->link) - c->peer_busy_ns;
	c->peer_busy_ns += peer_busy_ns;
	*ret_cost_ns =
		paced_ns + cpu_ns + (waited_ns > peer_busy_ns ? waited_ns - peer_busy_ns : 0);
	return r;
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
