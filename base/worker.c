/* SPDX-License-Identifier: MIT */
#include "base/worker.h"
#include "base/thread.h"

struct worker {
	struct loop_event *done; /* NULL: the owner is gone, and the thread frees all this */
	struct thread thread;
	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	/* Under `lock`. */
	bool is_ending;
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
	free(worker);
}

static void work_thread(void *data)
{
	struct worker *worker = data;
	struct worker_job *job;

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
	pthread_mutex_unlock(&worker->lock);
	drop_finished(worker);
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
	struct loop_event *done;

	if (!worker)
		return;
	done = worker->done;
	thread_detach(&worker->thread);
	pthread_mutex_lock(&worker->lock);
	worker->is_ending = true;
	pthread_cond_signal(&worker->wakeup);
	pthread_mutex_unlock(&worker->lock);
	loop_event_free(done);
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
