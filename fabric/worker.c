/* SPDX-License-Identifier: MIT */
#include "fabric/worker.h"
#include "base/clock.h"
#include "base/thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define N_EVENTS 64

struct worker {
	/* Constant after start. */
	int epoll_fd;
	int wake_fd;
	datapath_shut_fn on_shut;
	void *data;
	struct thread thread;

	/* The worker's thread's. */
	struct fabric fabric;
	struct datapath *dp;
	struct list round; /* ports that may have something to do */
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

int worker_add_port(struct worker *worker, struct vport *port)
{
	const struct io_ops *ops = port->io->ops;
	struct epoll_event event = {.events = ops->poll_events, .data.ptr = port};

	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, ops->poll_fd(port->io), &event) < 0)
		return -errno;
	/* It may hold something already. */
	list_append(&worker->round, &port->in_round);
	return 0;
}

void worker_remove_port(struct worker *worker, struct vport *port)
{
	epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, port->io->ops->poll_fd(port->io), NULL);
	list_remove(&port->in_round);
}

static void port_was_shut(struct vport *port, void *data)
{
	struct worker *worker = data;

	/* Its turn may be the current one, so it leaves the round there. */
	epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, port->io->ops->poll_fd(port->io), NULL);
	worker->on_shut(port, worker->data);
}

static void run_call(struct worker *worker)
{
	if (!__atomic_load_n(&worker->has_call, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&worker->lock);
	worker->call_fn(worker, worker->call_data);
	__atomic_store_n(&worker->has_call, false, __ATOMIC_RELEASE);
	pthread_cond_signal(&worker->called);
	pthread_mutex_unlock(&worker->lock);
}

void worker_call(struct worker *worker, worker_fn fn, void *data)
{
	pthread_mutex_lock(&worker->lock);
	worker->call_fn = fn;
	worker->call_data = data;
	__atomic_store_n(&worker->has_call, true, __ATOMIC_RELEASE);
	eventfd_write(worker->wake_fd, 1);
	while (__atomic_load_n(&worker->has_call, __ATOMIC_ACQUIRE))
		pthread_cond_wait(&worker->called, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

static void collect_events(struct worker *worker)
{
	/* With work at hand: a look, so that a busy port does not keep the others out. */
	int timeout_ms = list_empty(&worker->round) ? -1 : 0;
	struct epoll_event events[N_EVENTS];
	eventfd_t ignored;
	int n = epoll_wait(worker->epoll_fd, events, N_EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct vport *port = events[i].data.ptr;

		if (!port)
			eventfd_read(worker->wake_fd, &ignored);
		else if (list_empty(&port->in_round))
			list_append(&worker->round, &port->in_round);
	}
}

static void serve_round(struct worker *worker, uint64_t now_ns)
{
	struct vport *port, *after;

	list_for_each_safe(port, after, &worker->round, in_round) {
		if (datapath_serve(worker->dp, port, now_ns))
			continue;
		if (port->shut || !port->io->ops->arm(port->io))
			list_remove(&port->in_round);
	}
}

static void worker_main(void *data)
{
	struct worker *worker = data;

	run_call(worker);
	while (!worker->stopping) {
		collect_events(worker);
		serve_round(worker, clock_mono_ns());
		run_call(worker);
	}
}

int worker_new(datapath_shut_fn on_shut, void *data, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct epoll_event event = {.events = EPOLLIN};
	int r;

	if (!worker)
		return -ENOMEM;
	worker->on_shut = on_shut;
	worker->data = data;
	fabric_init(&worker->fabric);
	list_init(&worker->round);
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
	datapath_free(worker->dp);
	close_fd(worker->epoll_fd);
	close_fd(worker->wake_fd);
	pthread_cond_destroy(&worker->called);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
