/* SPDX-License-Identifier: MIT */
#include "fabric/worker.h"
#include "base/clock.h"
#include "base/thread.h"
#include "fabric/turns.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define N_EVENTS      64
#define ROUNDS_A_LOOK 8

struct worker {
	/* Constant after start. */
	int epoll_fd;
	int wake_fd;
	worker_event_fn on_event;
	void *data;
	struct thread thread;

	/* The worker's thread's. */
	struct fabric fabric;
	struct datapath *dp;
	struct turns turns;
	unsigned n_rounds; /* with work at hand */
	bool stopping;

	/* Under lock. */
	pthread_mutex_t lock;
	pthread_cond_t called;
	worker_fn call_fn;
	void *call_data;

	/* Atomic: a call waits. */
	bool has_call;
};

struct fabric *worker_fabric(struct worker *worker)
{
	return &worker->fabric;
}

struct datapath *worker_datapath(struct worker *worker)
{
	return worker->dp;
}

static void poll_port(struct worker *worker, int operation, struct vport *port, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = port};

	/* Changing what is polled already needs no memory. */
	epoll_ctl(worker->epoll_fd, operation, port->io->ops->poll_fd(port->io), &event);
}

int worker_add_port(struct worker *worker, struct vport *port)
{
	const struct io_ops *ops = port->io->ops;
	struct epoll_event event = {.events = ops->poll_events, .data.ptr = port};
	int r = turns_add(&worker->turns, port);

	if (r < 0)
		return r;
	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, ops->poll_fd(port->io), &event) < 0) {
		r = -errno;
		turns_remove(&worker->turns, port);
		return r;
	}
	/* It may hold something already. */
	turns_want(&worker->turns, port);
	return 0;
}

void worker_remove_port(struct worker *worker, struct vport *port)
{
	poll_port(worker, EPOLL_CTL_DEL, port, 0);
	turns_remove(&worker->turns, port);
}

static void port_was_shut(struct vport *port, void *data)
{
	struct worker *worker = data;

	/* Its turn may be the current one, so it leaves the round there. */
	poll_port(worker, EPOLL_CTL_DEL, port, 0);
	worker->on_event(WORKER_PORT_SHUT, port, worker->data);
}

static bool has_call(const struct worker *worker)
{
	return __atomic_load_n(&worker->has_call, __ATOMIC_ACQUIRE);
}

static void run_call(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->call_fn(worker, worker->call_data);
	__atomic_store_n(&worker->has_call, false, __ATOMIC_RELEASE);
	pthread_cond_signal(&worker->called);
	pthread_mutex_unlock(&worker->lock);
	/* It may have changed what they wait for. */
	turns_unpark_all(&worker->turns);
}

void worker_call(struct worker *worker, worker_fn fn, void *data)
{
	pthread_mutex_lock(&worker->lock);
	worker->call_fn = fn;
	worker->call_data = data;
	__atomic_store_n(&worker->has_call, true, __ATOMIC_RELEASE);
	eventfd_write(worker->wake_fd, 1);
	while (has_call(worker))
		pthread_cond_wait(&worker->called, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

static int wait_for_events(
	struct worker *worker, struct epoll_event events[N_EVENTS], bool call_waits)
{
	uint64_t next_ns = turns_next_ns(&worker->turns), now_ns, wait_ns;
	struct timespec timeout;

	if (call_waits)
		return epoll_wait(worker->epoll_fd, events, N_EVENTS, 0);
	if (next_ns == TURNS_NEVER)
		return epoll_wait(worker->epoll_fd, events, N_EVENTS, -1);
	now_ns = next_ns == TURNS_WORK_AT_HAND ? 0 : clock_mono_ns();
	/* With work at hand: a look, so that a busy port does not keep the others out. It is as
	 * dear as a turn, so not in every round. */
	if (next_ns <= now_ns) {
		if (++worker->n_rounds % ROUNDS_A_LOOK)
			return 0;
		return epoll_wait(worker->epoll_fd, events, N_EVENTS, 0);
	}
	wait_ns = next_ns - now_ns;
	timeout = (struct timespec){
		.tv_sec = (time_t)(wait_ns / NS_PER_SEC),
		.tv_nsec = (long)(wait_ns % NS_PER_SEC),
	};
	return epoll_pwait2(worker->epoll_fd, events, N_EVENTS, &timeout, NULL);
}

static void collect_events(struct worker *worker, bool call_waits)
{
	struct epoll_event events[N_EVENTS];
	eventfd_t ignored;
	int n = wait_for_events(worker, events, call_waits);

	for (int i = 0; i < n; i++) {
		struct vport *port = events[i].data.ptr;

		if (!port) {
			eventfd_read(worker->wake_fd, &ignored);
		} else if (port->parked && !(port->io->ops->poll_events & EPOLLET)) {
			/* It would be reported again and again. EPOLLONESHOT: errors, which cannot
			 * be masked, are reported once. */
			poll_port(worker, EPOLL_CTL_MOD, port, EPOLLONESHOT);
			port->masked = true;
		} else {
			turns_want(&worker->turns, port);
		}
	}
}

static void rest(struct worker *worker, struct vport *port)
{
	turns_idle(port);
	if (port->masked && !port->shut)
		poll_port(worker, EPOLL_CTL_MOD, port, port->io->ops->poll_events);
	port->masked = false;
}

static void serve(struct worker *worker, struct vport *port, uint64_t now_ns)
{
	uint32_t max_bytes = turns_ask(&worker->turns, port, now_ns);
	struct turn before;
	bool took;

	if (max_bytes == 0)
		return;
	before = turns_count(port);
	took = datapath_turn(worker->dp, port, max_bytes, now_ns);
	turns_charge(port, &before, now_ns);
	if (port->sw->duplicate)
		worker->on_event(WORKER_DUPLICATE, take_ptr(port->sw->duplicate), worker->data);
	if (port->uplink_moved) {
		port->uplink_moved = false;
		worker->on_event(WORKER_UPLINK_MOVED, port, worker->data);
	}
	if (!took && (port->shut || !port->io->ops->arm(port->io)))
		rest(worker, port);
}

static void serve_round(struct worker *worker, uint64_t now_ns)
{
	struct vport *port, *after;

	turns_begin(&worker->turns, now_ns);
	list_for_each_safe(port, after, &worker->turns.round, in_round)
		serve(worker, port, now_ns);
}

static void worker_main(void *data)
{
	struct worker *worker = data;

	while (!worker->stopping) {
		/* What was sent before a call was made has had its turn when the call runs. */
		bool call_waits = has_call(worker);

		collect_events(worker, call_waits);
		serve_round(worker, clock_mono_ns());
		if (call_waits)
			run_call(worker);
	}
}

int worker_new(worker_event_fn on_event, void *data, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!worker)
		return -ENOMEM;
	worker->on_event = on_event;
	worker->data = data;
	fabric_init(&worker->fabric);
	turns_init(&worker->turns);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->called, NULL);
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->epoll_fd < 0 || worker->wake_fd < 0 ||
		epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &event) < 0)
		r = -errno;
	else
		r = datapath_new(port_was_shut, worker, &worker->dp);
	if (r == 0)
		r = thread_start(&worker->thread, "switch", worker_main, worker);
	if (r < 0) {
		worker_free(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

static void stop(struct worker *worker, void *data _unused_)
{
	worker->stopping = true;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->thread.running) {
		worker_call(worker, stop, NULL);
		thread_join(&worker->thread);
	}
	fabric_fini(&worker->fabric);
	turns_fini(&worker->turns);
	datapath_free(worker->dp);
	close_fd(worker->epoll_fd);
	close_fd(worker->wake_fd);
	pthread_cond_destroy(&worker->called);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
