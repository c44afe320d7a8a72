/* SPDX-License-Identifier: MIT */
#include "csv/disk.h"

#include "csv/disk_int.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

int disk_backend_new(struct disk_backend **ret_backend)
{
	struct disk_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return -ENOMEM;
	pthread_mutex_init(&backend->lock, NULL);
	list_init(&backend->queues);
	*ret_backend = backend;
	return 0;
}

void disk_backend_free(struct disk_backend *backend)
{
	if (!backend)
		return;
	pthread_mutex_destroy(&backend->lock);
	free(backend);
}

/* ---- disks ---- */

static void remove_from_queues(struct disk *disk)
{
	struct disk_queue *queue;

	list_for_each(queue, &disk->backend->queues, node)
		queue->ops->remove_disk(queue, disk);
}

/* Into a free slot, and into the file table of every queue. */
static int add_disk(struct disk_backend *backend, struct disk *disk)
{
	struct disk_queue *queue;
	unsigned slot = 0;
	int r = 0;

	while (slot < DISK_BACKEND_MAX_DISKS && backend->disks[slot])
		slot++;
	if (slot == DISK_BACKEND_MAX_DISKS)
		return -ENOSPC;
	disk->slot = slot;
	list_for_each(queue, &backend->queues, node) {
		r = queue->ops->add_disk(queue, disk);
		if (r < 0) {
			remove_from_queues(disk);
			return r;
		}
	}
	backend->disks[slot] = disk;
	return 0;
}

int disk_open(struct disk_backend *backend, const struct disk_config *config,
	struct disk **ret_disk, const char **ret_why)
{
	_cleanup_free_ struct disk *disk = calloc(1, sizeof(*disk));
	_cleanup_close_ int fd = fcntl(config->fd, F_DUPFD_CLOEXEC, 3);
	int r;

	if (!disk)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	if (strnlen(config->serial, sizeof(config->serial)) == sizeof(config->serial))
		return -EINVAL;
	disk->backend = backend;
	disk->fd = fd;
	memcpy(disk->id, config->id, sizeof(disk->id));
	memcpy(disk->serial, config->serial, sizeof(disk->serial));
	r = disk_probe(disk, config, ret_why);
	if (r < 0)
		return r;
	pthread_mutex_lock(&backend->lock);
	r = add_disk(backend, disk);
	pthread_mutex_unlock(&backend->lock);
	if (r < 0)
		return r;
	(void)take_fd(&fd);
	*ret_disk = take_ptr(disk);
	return 0;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	pthread_mutex_lock(&disk->backend->lock);
	remove_from_queues(disk);
	disk->backend->disks[disk->slot] = NULL;
	pthread_mutex_unlock(&disk->backend->lock);
	close(disk->fd);
	free(disk);
}

int disk_refresh(struct disk *disk)
{
	uint64_t size_bytes, before_bytes;
	const char *why;
	int r = disk_probe_size(disk, &size_bytes, &why);

	if (r < 0)
		return r;
	before_bytes = atomic_exchange(&disk->size_bytes, size_bytes);
	return size_bytes != before_bytes;
}

static void get_info(void *data, struct disk_info *ret_info)
{
	const struct disk *disk = data;

	*ret_info = (struct disk_info){
		.size_bytes = atomic_load(&disk->size_bytes),
		.block_bytes = disk->block_bytes,
		.physical_bytes = disk->physical_bytes,
		.read_only = disk->read_only,
		.can_discard = disk->can_discard,
		/* Devices may turn out not to discard at all. */
		.discard_zeroes = disk->can_discard && !disk->is_device,
		.can_write_zeroes = !disk->read_only,
		.write_cache = disk->write_cache,
	};
	memcpy(ret_info->id, disk->id, sizeof(ret_info->id));
	memcpy(ret_info->serial, disk->serial, sizeof(ret_info->serial));
}

/* ---- queues ---- */

void disk_queue_notify(const struct disk_queue *queue)
{
	/* Fails only where the counter is so high that it is readable anyway. */
	(void)eventfd_write(queue->event_fd, 1);
}

static int make_queue(
	const struct disk_backend *backend, int event_fd, struct disk_queue **ret_queue)
{
	int r = backend->threads_only ? -ENOSYS : disk_ring_new(event_fd, ret_queue);

	if (r == -ENOSYS || r == -EPERM || r == -EACCES || r == -EINVAL)
		r = disk_pool_new(event_fd, ret_queue);
	return r;
}

static int queue_new(void *data, int event_fd, void **ret_queue)
{
	struct disk_backend *backend = data;
	struct disk_queue *queue;
	int r = make_queue(backend, event_fd, &queue);

	if (r < 0)
		return r;
	queue->backend = backend;
	pthread_mutex_lock(&backend->lock);
	for (unsigned i = 0; r == 0 && i < DISK_BACKEND_MAX_DISKS; i++)
		if (backend->disks[i])
			r = queue->ops->add_disk(queue, backend->disks[i]);
	if (r == 0)
		list_append(&backend->queues, &queue->node);
	pthread_mutex_unlock(&backend->lock);
	if (r < 0) {
		queue->ops->free(queue);
		return r;
	}
	*ret_queue = queue;
	return 0;
}

static void queue_free(void *data)
{
	struct disk_queue *queue = data;
	struct disk_backend *backend;

	if (!queue)
		return;
	backend = queue->backend;
	pthread_mutex_lock(&backend->lock);
	list_remove(&queue->node);
	pthread_mutex_unlock(&backend->lock);
	queue->ops->free(queue);
}

static int submit(void *data, void *disk, struct disk_request *request)
{
	struct disk_queue *queue = data;

	return queue->ops->submit(queue, disk, request);
}

static void flush(void *data)
{
	struct disk_queue *queue = data;

	queue->ops->flush(queue);
}

static unsigned reap(void *data, struct disk_request **ret_requests, unsigned max)
{
	struct disk_queue *queue = data;

	return queue->ops->reap(queue, ret_requests, max);
}

const struct disk_ops disk_file_ops = {
	.queue_new = queue_new,
	.queue_free = queue_free,
	.get_info = get_info,
	.submit = submit,
	.flush = flush,
	.reap = reap,
};
