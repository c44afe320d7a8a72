/* SPDX-License-Identifier: MIT
 *
 * qb_loop waits for descriptors, and that is all we take of it: its jobs may wait 50 ms and its
 * timers count in steps of 10 ms. Jobs, wake-ups and events share an eventfd here, timers a
 * timerfd, signals have signalfds.
 */
#include "base/loop.h"
#include "base/clock.h"
#include "base/list.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <qb/qbloop.h>

#define LOOP_MAX_FD 65536

struct source {
	struct loop *loop;
	int fd;
	short events;
	loop_fd_fn fn;
	void *data;
};

struct call {
	struct list siblings;
	loop_fn fn;
	void *data;
	bool is_event; /* its owner's; of others there is one for each call */
};

struct loop_event {
	struct loop *loop;
	struct call call; /* in one of the loop's lists: raised */
};

struct timer {
	struct list siblings;
	uint64_t id;
	uint64_t at_ns;
	loop_fn fn;
	void *data;
};

struct signal_source {
	struct list siblings;
	int fd;
	loop_signal_fn fn;
	void *data;
};

struct loop {
	qb_loop_t *qb;

	struct source **sources; /* by descriptor */
	size_t n_sources;

	struct list timers; /* the next one first */
	uint64_t last_timer_id;
	int timer_fd;

	pthread_mutex_t calls_lock;
	struct list calls;
	struct list round; /* those of `calls` that this round makes */
	int calls_fd;

	struct list signals;

	struct turn_meter *meter; /* NULL: turns are not measured */
};

static void calls_run(int fd, short revents, void *data);
static void timers_run(int fd, short revents, void *data);

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return -ENOMEM;
	list_init(&loop->timers);
	list_init(&loop->calls);
	list_init(&loop->round);
	list_init(&loop->signals);
	pthread_mutex_init(&loop->calls_lock, NULL);
	loop->qb = qb_loop_create();
	loop->calls_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = !loop->qb ? -ENOMEM : loop->calls_fd < 0 || loop->timer_fd < 0 ? -errno : 0;
	if (r == 0)
		r = loop_fd_add(loop, loop->calls_fd, POLLIN, calls_run, loop);
	if (r == 0)
		r = loop_fd_add(loop, loop->timer_fd, POLLIN, timers_run, loop);
	if (r < 0) {
		loop_free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	struct signal_source *signal_source;
	struct timer *timer;
	struct call *call;

	if (!loop)
		return;
	while ((signal_source = list_pop(&loop->signals, struct signal_source, siblings))) {
		loop_fd_remove(loop, signal_source->fd);
		close(signal_source->fd);
		free(signal_source);
	}
	while ((timer = list_pop(&loop->timers, struct timer, siblings)))
		free(timer);
	while ((call = list_pop(&loop->calls, struct call, siblings)))
		free(call);
	for (size_t fd = 0; fd < loop->n_sources; fd++)
		loop_fd_remove(loop, (int)fd);
	free(loop->sources);
	close_fd(loop->calls_fd);
	close_fd(loop->timer_fd);
	if (loop->qb)
		qb_loop_destroy(loop->qb);
	pthread_mutex_destroy(&loop->calls_lock);
	turn_meter_free(loop->meter);
	free(loop);
}

void loop_run(struct loop *loop)
{
	qb_loop_run(loop->qb);
}

void loop_stop(struct loop *loop)
{
	qb_loop_stop(loop->qb);
}

void *loop_native(struct loop *loop)
{
	return loop->qb;
}

int loop_measure(struct loop *loop)
{
	if (!loop->meter)
		return turn_meter_new(&loop->meter);
	turn_meter_reset(loop->meter);
	return 0;
}

struct turn_times loop_longest_turn(const struct loop *loop)
{
	return loop->meter ? turn_meter_read(loop->meter) : (struct turn_times){};
}

static struct source *source_find(struct loop *loop, int fd)
{
	return fd >= 0 && (size_t)fd < loop->n_sources ? loop->sources[fd] : NULL;
}

static int32_t source_dispatch(int32_t fd, int32_t revents, void *data)
{
	struct source *source = data; /* gone when the callback removes it */
	short wanted = (short)(source->events | POLLERR | POLLHUP | POLLNVAL);
	struct turn_meter *meter = source->loop->meter; /* the callback may begin to measure */

	/* An event may have been queued before a callback lost interest in it. */
	if (!(revents & wanted))
		return 0;
	turn_meter_begin(meter);
	source->fn(fd, (short)(revents & wanted), source->data);
	turn_meter_end(meter);
	return 0;
}

static int sources_reserve(struct loop *loop, int fd)
{
	struct source **sources;
	size_t n = MAX(loop->n_sources, (size_t)64);

	if (fd < 0 || fd >= LOOP_MAX_FD)
		return -EBADF;
	while (n <= (size_t)fd)
		n *= 2;
	if (n == loop->n_sources)
		return 0;
	sources = reallocarray(loop->sources, n, sizeof(struct source *));
	if (!sources)
		return -ENOMEM;
	for (size_t i = loop->n_sources; i < n; i++)
		sources[i] = NULL;
	loop->sources = sources;
	loop->n_sources = n;
	return 0;
}

int loop_fd_add(struct loop *loop, int fd, short events, loop_fd_fn fn, void *data)
{
	_cleanup_free_ struct source *source = NULL;
	int r = sources_reserve(loop, fd);

	if (r < 0)
		return r;
	if (loop->sources[fd])
		return -EEXIST;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	*source = (struct source){.loop = loop, .fd = fd, .events = events, .fn = fn, .data = data};
	r = qb_loop_poll_add(loop->qb, QB_LOOP_HIGH, fd, events, source, source_dispatch);
	if (r < 0)
		return r;
	loop->sources[fd] = take_ptr(source);
	return 0;
}

int loop_fd_modify(struct loop *loop, int fd, short events)
{
	struct source *source = source_find(loop, fd);
	int r;

	if (!source)
		return -ENOENT;
	r = qb_loop_poll_mod(loop->qb, QB_LOOP_HIGH, fd, events, source, source_dispatch);
	if (r == 0)
		source->events = events;
	return r;
}

void loop_fd_remove(struct loop *loop, int fd)
{
	struct source *source = source_find(loop, fd);

	if (!source)
		return;
	qb_loop_poll_del(loop->qb, fd);
	loop->sources[fd] = NULL;
	free(source);
}

/* Have the timerfd fire for the first timer of the list. */
static void timers_arm(struct loop *loop)
{
	struct itimerspec when = {};
	struct timer *first;

	if (!list_empty(&loop->timers)) {
		first = list_entry(loop->timers.next, struct timer, siblings);
		when.it_value.tv_sec = (time_t)(first->at_ns / NS_PER_SEC);
		when.it_value.tv_nsec = (long)(first->at_ns % NS_PER_SEC);
	}
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void timers_run(int fd, short revents, void *data)
{
	uint64_t now_ns = clock_mono_ns(), n_expirations;
	struct loop *loop = data;
	struct timer *timer;
	void *timer_data;
	loop_fn fn;

	(void)revents;
	if (read(fd, &n_expirations, sizeof(n_expirations)) < 0 && errno != EAGAIN)
		return;
	while (!list_empty(&loop->timers)) {
		timer = list_entry(loop->timers.next, struct timer, siblings);
		if (timer->at_ns > now_ns)
			break;
		list_remove(&timer->siblings);
		fn = timer->fn;
		timer_data = timer->data;
		free(timer);
		fn(timer_data);
	}
	timers_arm(loop);
}

int loop_timer_add(struct loop *loop, uint64_t after_ns, loop_fn fn, void *data, uint64_t *ret_id)
{
	/* INT64_MAX ns from boot are 292 years; the kernel takes no more seconds than time_t has.
	 */
	uint64_t now_ns = clock_mono_ns(), room_ns = INT64_MAX - now_ns;
	struct timer *timer = calloc(1, sizeof(*timer));
	struct list *before;

	if (!timer)
		return -ENOMEM;
	*timer = (struct timer){
		.id = ++loop->last_timer_id,
		.at_ns = now_ns + MIN(after_ns, room_ns),
		.fn = fn,
		.data = data,
	};
	/* From the end: most timers are timeouts and new ones come last. */
	for (before = loop->timers.prev; before != &loop->timers; before = before->prev) {
		if (list_entry(before, struct timer, siblings)->at_ns <= timer->at_ns)
			break;
	}
	list_append(before->next, &timer->siblings);
	if (before == &loop->timers)
		timers_arm(loop);
	if (ret_id)
		*ret_id = timer->id;
	return 0;
}

void loop_timer_remove(struct loop *loop, uint64_t id)
{
	struct timer *timer;

	list_for_each(timer, &loop->timers, siblings) {
		if (timer->id == id) {
			list_remove(&timer->siblings);
			free(timer);
			return;
		}
	}
}

static bool next_of_round(struct loop *loop, loop_fn *ret_fn, void **ret_data)
{
	struct call *call;

	pthread_mutex_lock(&loop->calls_lock);
	call = list_pop(&loop->round, struct call, siblings);
	pthread_mutex_unlock(&loop->calls_lock);
	if (!call)
		return false;
	*ret_fn = call->fn;
	*ret_data = call->data;
	if (!call->is_event)
		free(call);
	return true;
}

static void calls_run(int fd, short revents, void *data)
{
	struct loop *loop = data;
	struct call *call;
	uint64_t n_wakes;
	void *call_data;
	loop_fn fn;

	(void)revents;
	if (read(fd, &n_wakes, sizeof(n_wakes)) < 0 && errno != EAGAIN)
		return;
	/* What these add runs in the next round, so that descriptors get their turn. */
	pthread_mutex_lock(&loop->calls_lock);
	while ((call = list_pop(&loop->calls, struct call, siblings)))
		list_append(&loop->round, &call->siblings);
	pthread_mutex_unlock(&loop->calls_lock);
	while (next_of_round(loop, &fn, &call_data))
		fn(call_data);
}

/* With the lock held. */
static void call_add(struct loop *loop, struct call *call)
{
	uint64_t one = 1;

	list_append(&loop->calls, &call->siblings);
	/* -EAGAIN needs 2^64 - 1 wake-ups unread, and then the loop wakes up anyway. */
	while (write(loop->calls_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int loop_wake(struct loop *loop, loop_fn fn, void *data)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->fn = fn;
	call->data = data;
	pthread_mutex_lock(&loop->calls_lock);
	call_add(loop, call);
	pthread_mutex_unlock(&loop->calls_lock);
	return 0;
}

int loop_event_new(struct loop *loop, loop_fn fn, void *data, struct loop_event **ret_event)
{
	struct loop_event *event = calloc(1, sizeof(*event));

	if (!event)
		return -ENOMEM;
	event->loop = loop;
	event->call = (struct call){.fn = fn, .data = data, .is_event = true};
	list_init(&event->call.siblings);
	*ret_event = event;
	return 0;
}

void loop_event_raise(struct loop_event *event)
{
	pthread_mutex_lock(&event->loop->calls_lock);
	if (list_empty(&event->call.siblings))
		call_add(event->loop, &event->call);
	pthread_mutex_unlock(&event->loop->calls_lock);
}

void loop_event_free(struct loop_event *event)
{
	if (!event)
		return;
	pthread_mutex_lock(&event->loop->calls_lock);
	list_remove(&event->call.siblings);
	pthread_mutex_unlock(&event->loop->calls_lock);
	free(event);
}

int loop_job_add(struct loop *loop, loop_fn fn, void *data)
{
	return loop_wake(loop, fn, data);
}

static void signal_dispatch(int fd, short revents, void *data)
{
	struct signal_source *source = data;
	struct signalfd_siginfo info;

	(void)revents;
	while (read(fd, &info, sizeof(info)) == sizeof(info))
		source->fn((int)info.ssi_signo, source->data);
}

int loop_signal_add(struct loop *loop, int signal_number, loop_signal_fn fn, void *data)
{
	struct signal_source *source;
	sigset_t set;
	int r;

	sigemptyset(&set);
	if (sigaddset(&set, signal_number) < 0)
		return -errno;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->fn = fn;
	source->data = data;
	source->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (source->fd < 0) {
		r = -errno;
		goto fail;
	}
	r = -pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r == 0)
		r = loop_fd_add(loop, source->fd, POLLIN, signal_dispatch, source);
	if (r < 0)
		goto fail;
	list_append(&loop->signals, &source->siblings);
	return 0;
fail:
	close_fd(source->fd);
	free(source);
	return r;
}
