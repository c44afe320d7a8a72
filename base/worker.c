/* SPDX-License-Identifier: MIT */
#include "base/worker.h"
#include "base/clock.h"
#include "base/thread.h"

#define END_NS NS_PER_SEC

struct worker {
	struct loop_event *done;
	struct thread thread;
	pthread_mutex_t lock;
	pthread_cond_t wakeup, end;
	/* Under `lock`. */
	bool is_ending, has_ended;
	bool is_abandoned; /* nobody waits any more: the thread frees all this */
	struct list queue;
	struct list finished; /* the loop has not heard of it yet */
};

/* ---- the thread ---- */

static void finish(struct worker *worker, struct worker_job *job)
{
	if (worker->is_ending) {
		pthread_mutex_unlock(&worker->lock);
		if (job->drop)
			job->drop(job);
		pthread_mutex_lock(&worker->lock);
		return;
	}
	list_append(&worker->finished, &job->siblings);
	loop_event_raise(worker->done);
}

/* With the lock held, which it gives up meanwhile. */
static void do_job(struct worker *worker, struct worker_job *job)
{
	bool is_heard_of = job->done || job->drop;

	pthread_mutex_unlock(&worker->lock);
	job->work(job);
	pthread_mutex_lock(&worker->lock);
	if (is_heard_of)
		finish(worker, job);
}

static void drop_finished(struct worker *worker)
{
	struct worker_job *job;

	while ((job = list_pop(&worker->finished, struct worker_job, siblings))) {
		if (job->drop)
			job->drop(job);
	}
}

static void destroy(struct worker *worker)
{
	pthread_mutex_destroy(&worker->lock);
	pthread_cond_destroy(&worker->wakeup);
	pthread_cond_destroy(&worker->end);
	free(worker);
}

static void work_thread(void *data)
{
	struct worker *worker = data;
	struct worker_job *job;
	bool is_abandoned;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		job = list_pop(&worker->queue, struct worker_job, siblings);
		if (job)
			do_job(worker, job);
		else if (worker->is_ending)
			break;
		else
			pthread_cond_wait(&worker->wakeup, &worker->lock);
	}
	drop_finished(worker);
	worker->has_ended = true;
	is_abandoned = worker->is_abandoned;
	pthread_cond_signal(&worker->end);
	pthread_mutex_unlock(&worker->lock);
	if (is_abandoned)
		destroy(worker);
}

/* ---- the loop ---- */

static struct worker_job *next_finished(struct worker *worker)
{
	struct worker_job *job;

	pthread_mutex_lock(&worker->lock);
	job = list_pop(&worker->finished, struct worker_job, siblings);
	/* A callback may free the worker: the next one is another turn's. */
	if (!list_empty(&worker->finished))
		loop_event_raise(worker->done);
	pthread_mutex_unlock(&worker->lock);
	return job;
}

static void on_done(void *data)
{
	struct worker_job *job = next_finished(data);

	if (!job)
		return;
	job->is_ours = false;
	if (job->done)
		job->done(job);
}

/* It is waited for by the clock of clock_mono_ns(). */
static void init_end(pthread_cond_t *end)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(end, &attributes);
	pthread_condattr_destroy(&attributes);
}

int worker_new(struct loop *loop, const char *name, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	list_init(&worker->queue);
	list_init(&worker->finished);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wakeup, NULL);
	init_end(&worker->end);
	r = loop_event_new(loop, on_done, worker, &worker->done);
	if (r == 0)
		r = thread_start(&worker->thread, name, work_thread, worker);
	if (r < 0) {
		loop_event_free(worker->done);
		destroy(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

void worker_free(struct worker *worker)
{
	uint64_t until_ns = clock_mono_ns() + END_NS;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_SEC),
		.tv_nsec = (long)(until_ns % NS_PER_SEC),
	};
	int r = 0;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->is_ending = true;
	pthread_cond_signal(&worker->wakeup);
	while (!worker->has_ended && r == 0)
		r = pthread_cond_timedwait(&worker->end, &worker->lock, &until);
	loop_event_free(take_ptr(worker->done));
	worker->is_abandoned = !worker->has_ended;
	if (worker->is_abandoned) {
		thread_detach(&worker->thread);
		pthread_mutex_unlock(&worker->lock);
		return;
	}
	pthread_mutex_unlock(&worker->lock);
	thread_join(&worker->thread);
	destroy(worker);
}

void worker_do(struct worker *worker, struct worker_job *job)
{
	job->is_ours = job->done || job->drop;
	pthread_mutex_lock(&worker->lock);
	list_append(&worker->queue, &job->siblings);
	pthread_cond_signal(&worker->wakeup);
	pthread_mutex_unlock(&worker->lock);
}

bool worker_has(const struct worker_job *job)
{
	return job->is_ours;
}
