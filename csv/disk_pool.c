/* SPDX-License-Identifier: MIT */
#include "csv/disk_int.h"

#include "base/thread.h"

#include <fcntl.h>
#include <string.h>

#define N_THREADS 4

struct disk_pool;

struct pool_worker {
	struct disk_pool *pool;
	struct thread thread;
	void *bounce;
};

struct disk_pool {
	struct disk_queue queue; /* first */
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool ending;                  /* under lock */
	struct list free, todo, done; /* under lock */
	struct disk_task tasks[DISK_QUEUE_DEPTH];
	struct pool_worker workers[N_THREADS];
};

static int do_io(int fd, const struct disk_io *io)
{
	off_t at = (off_t)io->offset_bytes;
	ssize_t n = -1;

	switch (io->kind) {
	case DISK_IO_READ:
		n = preadv(fd, io->iov, (int)io->n_iov, at);
		break;
	case DISK_IO_WRITE:
		/* Without flags the older call, which every kernel has. */
		n = io->dsync ? pwritev2(fd, io->iov, (int)io->n_iov, at, RWF_DSYNC)
			      : pwritev(fd, io->iov, (int)io->n_iov, at);
		break;
	case DISK_IO_SYNC:
		n = fdatasync(fd);
		break;
	case DISK_IO_FALLOCATE:
		n = fallocate(fd, io->fallocate_mode, at, (off_t)io->size_bytes);
		break;
	}
	return n < 0 ? -errno : (int)n;
}

static void run_task(struct disk_task *task, void *bounce)
{
	struct disk_io io;

	task->bounce = bounce;
	do
		disk_task_next(task, &io);
	while (disk_task_result(task, do_io(task->disk->fd, &io)));
}

static void work(void *data)
{
	struct pool_worker *worker = data;
	struct disk_pool *pool = worker->pool;

	pthread_mutex_lock(&pool->lock);
	while (!pool->ending) {
		struct disk_task *task = list_pop(&pool->todo, struct disk_task, node);

		if (!task) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		run_task(task, worker->bounce);
		pthread_mutex_lock(&pool->lock);
		list_append(&pool->done, &task->node);
		disk_queue_notify(&pool->queue);
	}
	pthread_mutex_unlock(&pool->lock);
}

static int pool_submit(struct disk_queue *queue, struct disk *disk, struct disk_request *request)
{
	struct disk_pool *pool = container_of(queue, struct disk_pool, queue);
	struct disk_task *task;
	bool more;

	pthread_mutex_lock(&pool->lock);
	task = list_pop(&pool->free, struct disk_task, node);
	pthread_mutex_unlock(&pool->lock);
	if (!task)
		return -EAGAIN;
	more = disk_task_begin(task, disk, request);
	pthread_mutex_lock(&pool->lock);
	list_append(more ? &pool->todo : &pool->done, &task->node);
	if (more)
		pthread_cond_signal(&pool->work);
	else
		disk_queue_notify(queue);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

static void pool_flush(struct disk_queue *queue _unused_)
{
}

static unsigned pool_reap(
	struct disk_queue *queue, struct disk_request **ret_requests, unsigned max)
{
	struct disk_pool *pool = container_of(queue, struct disk_pool, queue);
	unsigned n = 0;

	pthread_mutex_lock(&pool->lock);
	while (n < max && !list_empty(&pool->done)) {
		struct disk_task *task = list_pop(&pool->done, struct disk_task, node);

		ret_requests[n++] = task->request;
		list_append(&pool->free, &task->node);
	}
	if (!list_empty(&pool->done))
		disk_queue_notify(queue);
	pthread_mutex_unlock(&pool->lock);
	return n;
}

static int pool_add_disk(struct disk_queue *queue _unused_, const struct disk *disk _unused_)
{
	return 0;
}

static void pool_remove_disk(struct disk_queue *queue _unused_, const struct disk *disk _unused_)
{
}

static void pool_free(struct disk_queue *queue)
{
	struct disk_pool *pool = container_of(queue, struct disk_pool, queue);

	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < ARRAY_LEN(pool->workers); i++) {
		thread_join(&pool->workers[i].thread);
		free(pool->workers[i].bounce);
	}
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static const struct disk_queue_ops pool_ops = {
	.free = pool_free,
	.add_disk = pool_add_disk,
	.remove_disk = pool_remove_disk,
	.submit = pool_submit,
	.flush = pool_flush,
	.reap = pool_reap,
};

int disk_pool_new(int event_fd, struct disk_queue **ret_queue)
{
	struct disk_pool *pool = calloc(1, sizeof(*pool));
	int r = 0;

	if (!pool)
		return -ENOMEM;
	pool->queue.ops = &pool_ops;
	pool->queue.event_fd = event_fd;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	list_init(&pool->free);
	list_init(&pool->todo);
	list_init(&pool->done);
	for (size_t i = 0; i < ARRAY_LEN(pool->tasks); i++)
		list_append(&pool->free, &pool->tasks[i].node);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(pool->workers); i++) {
		struct pool_worker *worker = &pool->workers[i];

		worker->pool = pool;
		worker->bounce = aligned_alloc(DISK_BOUNCE_ALIGN, DISK_BOUNCE_BYTES);
		r = worker->bounce ? thread_start(&worker->thread, "disk", work, worker) : -ENOMEM;
	}
	if (r < 0) {
		pool_free(&pool->queue);
		return r;
	}
	*ret_queue = &pool->queue;
	return 0;
}
