/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <semaphore.h>
#include <signal.h>

struct start {
	const char *name;
	void (*fn)(void *data);
	void *data;
	sem_t runs;
};

static void *thread_main(void *arg)
{
	struct start *start = arg; /* gone once `runs` is posted */
	void (*fn)(void *data) = start->fn;
	void *data = start->data;

	/* Fails for longer names only: a thread without its name is still the thread. */
	(void)pthread_setname_np(pthread_self(), start->name);
	sem_post(&start->runs);
	fn(data);
	return NULL;
}

int thread_start(struct thread *t, const char *name, void (*fn)(void *data), void *data)
{
	struct start start = {.name = name, .fn = fn, .data = data};
	sigset_t all, before;
	pthread_t id;
	int r;

	if (sem_init(&start.runs, 0, 0) < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&id, NULL, thread_main, &start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0) {
		while (sem_wait(&start.runs) < 0)
			; /* EINTR */
		t->id = id;
		t->running = true;
	}
	sem_destroy(&start.runs);
	return r;
}

void thread_join(struct thread *t)
{
	if (!t->running)
		return;
	pthread_join(t->id, NULL);
	t->running = false;
}

void thread_detach(struct thread *t)
{
	if (!t->running)
		return;
	pthread_detach(t->id);
	t->running = false;
}
