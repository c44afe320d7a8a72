/* SPDX-License-Identifier: MIT */
#include "vmbus/worker.h"

#include <poll.h>
#include <sys/eventfd.h>

int worker_init(struct worker *worker)
{
	*worker = (struct worker){.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (worker->wake_fd < 0)
		return -errno;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	return 0;
}

void worker_fini(struct worker *worker)
{
	worker_stop(worker);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	worker->wake_fd = close_fd(worker->wake_fd);
}

int worker_start(
	struct worker *worker, const char *name, bool parked, void (*body)(void *data), void *data)
{
	int err;

	worker->n_parks = parked;
	worker->held = parked;
	worker->parked = false;
	worker->stopping = false;
	err = thread_start(&worker->thread, name, body, data);
	if (err)
		worker->n_parks = 0;
	return err;
}

static void update_held(struct worker *worker)
{
	__atomic_store_n(&worker->held, worker->n_parks || worker->stopping, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&worker->changed);
}

void worker_stop(struct worker *worker)
{
	if (!worker->thread.running)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stopping = true;
	update_held(worker);
	pthread_mutex_unlock(&worker->lock);
	worker_wake(worker);
	thread_join(&worker->thread);
	worker->n_parks = 0;
}

void worker_park(struct worker *worker)
{
	if (!worker->thread.running)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->n_parks++;
	update_held(worker);
	worker_wake(worker);
	while (!worker->parked)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

void worker_unpark(struct worker *worker)
{
	if (!worker->thread.running)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->n_parks--;
	update_held(worker);
	pthread_mutex_unlock(&worker->lock);
}

void worker_wake(struct worker *worker)
{
	const uint64_t one = 1;

	if (__atomic_exchange_n(&worker->woken, true, __ATOMIC_ACQ_REL))
		return;
	/* Fails only when the counter is full, and then it is readable all the same. */
	(void)!write(worker->wake_fd, &one, sizeof(one));
}

void worker_sleep(struct worker *worker)
{
	struct pollfd wake = {.fd = worker->wake_fd, .events = POLLIN};

	if (poll(&wake, 1, -1) > 0)
		worker_drain(worker);
}

void worker_drain(struct worker *worker)
{
	uint64_t count;

	(void)!read(worker->wake_fd, &count, sizeof(count));
	/* Only now: a wake from here on writes again, and one before is seen by what the body does
	 * next. The other way round, the read could swallow a wake and `woken` would stay set. */
	(void)__atomic_exchange_n(&worker->woken, false, __ATOMIC_ACQ_REL);
}

bool worker_checkpoint(struct worker *worker)
{
	bool stopping;

	if (!__atomic_load_n(&worker->held, __ATOMIC_ACQUIRE))
		return true;
	pthread_mutex_lock(&worker->lock);
	while (worker->n_parks && !worker->stopping) {
		worker->parked = true;
		pthread_cond_broadcast(&worker->changed);
		pthread_cond_wait(&worker->changed, &worker->lock);
	}
	worker->parked = false;
	stopping = worker->stopping;
	pthread_mutex_unlock(&worker->lock);
	return !stopping;
}
