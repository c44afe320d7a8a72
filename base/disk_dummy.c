/* SPDX-License-Identifier: MIT */
#include "base/disk_dummy.h"
#include "base/list.h"

#include <pthread.h>
#include <string.h>

struct disk_dummy_backend {
	pthread_mutex_t lock;
	struct list held, done;
	size_t n_held, n_queues, n_disks, depth;
	bool hold;
	enum disk_op fail_op;
	int fail_err;
	unsigned n_fail;
	struct disk_dummy_stats stats;
};

struct disk_dummy {
	struct disk_dummy_backend *backend;
	struct disk_info info;
	uint64_t capacity_bytes;
	size_t n_under_way;
	uint8_t *bytes;
};

struct queue {
	struct disk_dummy_backend *backend;
	int event_fd;
	size_t n_under_way;
};

struct task {
	struct list link;
	struct queue *queue;
	struct disk_dummy *disk;
	struct disk_request *request;
};

/* The user broke the contract. */
static void insist(bool condition)
{
	if (!condition)
		abort();
}

int disk_dummy_backend_new(struct disk_dummy_backend **ret_backend)
{
	struct disk_dummy_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return -ENOMEM;
	pthread_mutex_init(&backend->lock, NULL);
	list_init(&backend->held);
	list_init(&backend->done);
	*ret_backend = backend;
	return 0;
}

void disk_dummy_backend_free(struct disk_dummy_backend *backend)
{
	if (!backend)
		return;
	insist(backend->n_queues == 0 && backend->n_disks == 0);
	pthread_mutex_destroy(&backend->lock);
	free(backend);
}

int disk_dummy_new(struct disk_dummy_backend *backend, const struct disk_info *info,
	struct disk_dummy **ret_disk)
{
	struct disk_dummy *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return -ENOMEM;
	disk->bytes = calloc(1, info->size_bytes ? info->size_bytes : 1);
	if (!disk->bytes) {
		free(disk);
		return -ENOMEM;
	}
	disk->backend = backend;
	disk->info = *info;
	disk->capacity_bytes = info->size_bytes;
	pthread_mutex_lock(&backend->lock);
	backend->n_disks++;
	pthread_mutex_unlock(&backend->lock);
	*ret_disk = disk;
	return 0;
}

void disk_dummy_free(struct disk_dummy *disk)
{
	if (!disk)
		return;
	pthread_mutex_lock(&disk->backend->lock);
	insist(disk->n_under_way == 0);
	disk->backend->n_disks--;
	pthread_mutex_unlock(&disk->backend->lock);
	free(disk->bytes);
	free(disk);
}

uint8_t *disk_dummy_bytes(struct disk_dummy *disk)
{
	return disk->bytes;
}

void disk_dummy_resize(struct disk_dummy *disk, uint64_t size_bytes)
{
	insist(size_bytes <= disk->capacity_bytes);
	pthread_mutex_lock(&disk->backend->lock);
	disk->info.size_bytes = size_bytes;
	pthread_mutex_unlock(&disk->backend->lock);
}

/* ---- requests ---- */

static bool is_transfer(const struct disk_request *request)
{
	return request->op == DISK_READ || request->op == DISK_WRITE;
}

static void check(const struct disk_dummy *disk, const struct disk_request *request)
{
	size_t pieces_bytes = 0;

	insist((unsigned)request->op <= DISK_WRITE_ZEROES);
	if (request->op == DISK_FLUSH)
		return;
	insist(request->offset_bytes % disk->info.block_bytes == 0);
	insist(request->size_bytes > 0 && request->size_bytes % disk->info.block_bytes == 0);
	insist(request->offset_bytes <= disk->capacity_bytes &&
		request->size_bytes <= disk->capacity_bytes - request->offset_bytes);
	insist(request->op == DISK_READ || !disk->info.read_only);
	if (!is_transfer(request))
		return;
	insist(request->size_bytes <= DISK_MAX_REQUEST_BYTES && request->n_iov <= DISK_MAX_IOV);
	for (unsigned i = 0; i < request->n_iov; i++)
		pieces_bytes += request->iov[i].iov_len;
	insist(pieces_bytes == request->size_bytes);
}

static void copy(const struct disk_dummy *disk, const struct disk_request *request)
{
	uint8_t *at = disk->bytes + request->offset_bytes;

	for (unsigned i = 0; i < request->n_iov; i++) {
		const struct iovec *piece = &request->iov[i];

		if (request->op == DISK_READ)
			memcpy(piece->iov_base, at, piece->iov_len);
		else
			memcpy(at, piece->iov_base, piece->iov_len);
		at += piece->iov_len;
	}
}

static int run(struct disk_dummy_backend *backend, const struct task *task)
{
	const struct disk_request *request = task->request;
	const struct disk_dummy *disk = task->disk;
	uint64_t size_bytes = disk->info.size_bytes;

	if (backend->n_fail && backend->fail_op == request->op) {
		backend->n_fail--;
		return backend->fail_err;
	}
	/* The disk may have shrunk since its size was asked for. */
	if (request->op != DISK_FLUSH &&
		(request->offset_bytes > size_bytes ||
			request->size_bytes > size_bytes - request->offset_bytes))
		return -EIO;
	backend->stats.n_requests[request->op]++;
	backend->stats.n_fua += request->fua;
	if (is_transfer(request)) {
		backend->stats.n_pieces += request->n_iov;
		backend->stats.max_request_bytes =
			MAX(backend->stats.max_request_bytes, (size_t)request->size_bytes);
		copy(disk, request);
	} else if (request->op != DISK_FLUSH) {
		memset(disk->bytes + request->offset_bytes, 0, request->size_bytes);
	}
	return 0;
}

/* With the lock held; the task is on no list. */
static void complete(struct disk_dummy_backend *backend, struct task *task)
{
	uint64_t one = 1;

	task->request->result = run(backend, task);
	list_append(&backend->done, &task->link);
	while (write(task->queue->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static struct task *pop_held(struct disk_dummy_backend *backend, size_t nth)
{
	struct task *task;

	list_for_each(task, &backend->held, link) {
		if (nth-- == 0) {
			list_remove(&task->link);
			backend->n_held--;
			return task;
		}
	}
	return NULL;
}

/* ---- the test's side ---- */

bool disk_dummy_release(struct disk_dummy_backend *backend, size_t nth)
{
	struct task *task;

	pthread_mutex_lock(&backend->lock);
	task = pop_held(backend, nth);
	if (task)
		complete(backend, task);
	pthread_mutex_unlock(&backend->lock);
	return task != NULL;
}

void disk_dummy_hold(struct disk_dummy_backend *backend, bool hold)
{
	struct task *task;

	pthread_mutex_lock(&backend->lock);
	backend->hold = hold;
	while (!hold && (task = pop_held(backend, 0)))
		complete(backend, task);
	pthread_mutex_unlock(&backend->lock);
}

size_t disk_dummy_n_held(struct disk_dummy_backend *backend)
{
	size_t n;

	pthread_mutex_lock(&backend->lock);
	n = backend->n_held;
	pthread_mutex_unlock(&backend->lock);
	return n;
}

void disk_dummy_fail(struct disk_dummy_backend *backend, enum disk_op op, int err, unsigned n)
{
	pthread_mutex_lock(&backend->lock);
	backend->fail_op = op;
	backend->fail_err = err;
	backend->n_fail = n;
	pthread_mutex_unlock(&backend->lock);
}

void disk_dummy_set_depth(struct disk_dummy_backend *backend, size_t depth)
{
	pthread_mutex_lock(&backend->lock);
	backend->depth = depth;
	pthread_mutex_unlock(&backend->lock);
}

void disk_dummy_get_stats(struct disk_dummy_backend *backend, struct disk_dummy_stats *ret_stats)
{
	pthread_mutex_lock(&backend->lock);
	*ret_stats = backend->stats;
	pthread_mutex_unlock(&backend->lock);
}

/* ---- struct disk_ops ---- */

static int dummy_queue_new(void *opaque, int event_fd, void **ret_queue)
{
	struct disk_dummy_backend *backend = opaque;
	struct queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	queue->backend = backend;
	queue->event_fd = event_fd;
	pthread_mutex_lock(&backend->lock);
	backend->n_queues++;
	pthread_mutex_unlock(&backend->lock);
	*ret_queue = queue;
	return 0;
}

static void dummy_queue_free(void *opaque)
{
	struct queue *queue = opaque;

	if (!queue)
		return;
	pthread_mutex_lock(&queue->backend->lock);
	insist(queue->n_under_way == 0);
	queue->backend->n_queues--;
	pthread_mutex_unlock(&queue->backend->lock);
	free(queue);
}

static void dummy_get_info(void *opaque, struct disk_info *ret_info)
{
	struct disk_dummy *disk = opaque;

	pthread_mutex_lock(&disk->backend->lock);
	*ret_info = disk->info;
	pthread_mutex_unlock(&disk->backend->lock);
}

static int dummy_submit(void *opaque, void *opaque_disk, struct disk_request *request)
{
	struct queue *queue = opaque;
	struct disk_dummy *disk = opaque_disk;
	struct disk_dummy_backend *backend = queue->backend;
	struct task *task = calloc(1, sizeof(*task));

	insist(task != NULL);
	task->queue = queue;
	task->disk = disk;
	task->request = request;
	pthread_mutex_lock(&backend->lock);
	check(disk, request);
	if (backend->depth && queue->n_under_way >= backend->depth) {
		pthread_mutex_unlock(&backend->lock);
		free(task);
		return -EAGAIN;
	}
	queue->n_under_way++;
	disk->n_under_way++;
	if (backend->hold) {
		list_append(&backend->held, &task->link);
		backend->n_held++;
	} else {
		complete(backend, task);
	}
	pthread_mutex_unlock(&backend->lock);
	return 0;
}

static void dummy_flush(void *opaque)
{
	struct queue *queue = opaque;

	pthread_mutex_lock(&queue->backend->lock);
	queue->backend->stats.n_flush_calls++;
	pthread_mutex_unlock(&queue->backend->lock);
}

static unsigned dummy_reap(void *opaque, struct disk_request **ret_requests, unsigned max)
{
	struct queue *queue = opaque;
	struct disk_dummy_backend *backend = queue->backend;
	struct task *task, *next;
	unsigned n = 0;

	pthread_mutex_lock(&backend->lock);
	list_for_each_safe(task, next, &backend->done, link) {
		if (n == max)
			break;
		if (task->queue != queue)
			continue;
		list_remove(&task->link);
		queue->n_under_way--;
		task->disk->n_under_way--;
		ret_requests[n++] = task->request;
		free(task);
	}
	pthread_mutex_unlock(&backend->lock);
	return n;
}

const struct disk_ops disk_dummy_ops = {
	.queue_new = dummy_queue_new,
	.queue_free = dummy_queue_free,
	.get_info = dummy_get_info,
	.submit = dummy_submit,
	.flush = dummy_flush,
	.reap = dummy_reap,
};
