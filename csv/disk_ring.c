/* SPDX-License-Identifier: MIT */
#include "csv/disk_int.h"

#include <liburing.h>
#include <string.h>
#include <sys/syscall.h>

#define N_BOUNCE_BUFFERS 8
/* Threads the kernel may start for what would block, for each thread that submits. A guest decides
 * how much does, and the process has other use for its threads. */
#define MAX_KERNEL_WORKERS 16

struct disk_ring {
	struct disk_queue queue; /* first */
	struct io_uring ring;
	uint8_t *bounce;
	unsigned free_bounces; /* bit for each buffer */
	struct list free, waiting /* for a bounce buffer */, done;
	struct disk_task tasks[DISK_QUEUE_DEPTH];
};

static void give_bounce(struct disk_ring *ring, struct disk_task *task)
{
	unsigned i = (unsigned)__builtin_ctz(ring->free_bounces);

	ring->free_bounces &= ~(1U << i);
	task->bounce = ring->bounce + (size_t)i * DISK_BOUNCE_BYTES;
}

static void take_bounce(struct disk_ring *ring, struct disk_task *task)
{
	size_t at = (size_t)((uint8_t *)task->bounce - ring->bounce);

	ring->free_bounces |= 1U << (at / DISK_BOUNCE_BYTES);
	task->bounce = NULL;
}

static void prepare_sqe(struct io_uring_sqe *sqe, struct disk_task *task)
{
	int slot = (int)task->disk->slot;
	struct disk_io io;

	disk_task_next(task, &io);
	switch (io.kind) {
	case DISK_IO_READ:
		io_uring_prep_readv(sqe, slot, io.iov, io.n_iov, io.offset_bytes);
		break;
	case DISK_IO_WRITE:
		io_uring_prep_writev2(
			sqe, slot, io.iov, io.n_iov, io.offset_bytes, io.dsync ? RWF_DSYNC : 0);
		break;
	case DISK_IO_SYNC:
		io_uring_prep_fsync(sqe, slot, IORING_FSYNC_DATASYNC);
		break;
	case DISK_IO_FALLOCATE:
		io_uring_prep_fallocate(
			sqe, slot, io.fallocate_mode, (off_t)io.offset_bytes, (off_t)io.size_bytes);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, task);
}

static void run_task(struct disk_ring *ring, struct disk_task *task)
{
	struct io_uring_sqe *sqe;

	if (disk_task_needs_bounce(task) && !task->bounce) {
		if (!ring->free_bounces) {
			list_append(&ring->waiting, &task->node);
			return;
		}
		give_bounce(ring, task);
	}
	/* There is an entry for every task, and each has one I/O at a time. */
	sqe = io_uring_get_sqe(&ring->ring);
	if (!sqe)
		abort();
	prepare_sqe(sqe, task);
}

static void end_task(struct disk_ring *ring, struct disk_task *task)
{
	struct disk_task *next;

	list_append(&ring->done, &task->node);
	if (!task->bounce)
		return;
	take_bounce(ring, task);
	next = list_pop(&ring->waiting, struct disk_task, node);
	if (next)
		run_task(ring, next);
}

static int ring_submit(struct disk_queue *queue, struct disk *disk, struct disk_request *request)
{
	struct disk_ring *ring = container_of(queue, struct disk_ring, queue);
	struct disk_task *task = list_pop(&ring->free, struct disk_task, node);

	if (!task)
		return -EAGAIN;
	if (disk_task_begin(task, disk, request)) {
		run_task(ring, task);
	} else {
		list_append(&ring->done, &task->node);
		disk_queue_notify(queue);
	}
	return 0;
}

static void ring_flush(struct disk_queue *queue)
{
	struct disk_ring *ring = container_of(queue, struct disk_ring, queue);
	int r = 1;

	while (io_uring_sq_ready(&ring->ring) > 0 && (r > 0 || r == -EINTR))
		r = io_uring_submit(&ring->ring);
	/* Short of memory: what is left goes with the next call, which must come. */
	if (io_uring_sq_ready(&ring->ring) > 0)
		disk_queue_notify(queue);
}

static void take_completions(struct disk_ring *ring)
{
	struct io_uring_cqe *cqes[64];
	unsigned n;

	while ((n = io_uring_peek_batch_cqe(&ring->ring, cqes, ARRAY_LEN(cqes))) > 0) {
		for (unsigned i = 0; i < n; i++) {
			struct disk_task *task = io_uring_cqe_get_data(cqes[i]);

			if (disk_task_result(task, cqes[i]->res))
				run_task(ring, task);
			else
				end_task(ring, task);
		}
		io_uring_cq_advance(&ring->ring, n);
	}
}

static unsigned ring_reap(
	struct disk_queue *queue, struct disk_request **ret_requests, unsigned max)
{
	struct disk_ring *ring = container_of(queue, struct disk_ring, queue);
	unsigned n = 0;

	take_completions(ring);
	ring_flush(queue);
	while (n < max && !list_empty(&ring->done)) {
		struct disk_task *task = list_pop(&ring->done, struct disk_task, node);

		ret_requests[n++] = task->request;
		list_append(&ring->free, &task->node);
	}
	if (!list_empty(&ring->done))
		disk_queue_notify(queue);
	return n;
}

static int set_file(struct disk_ring *ring, unsigned slot, int fd)
{
	int r = io_uring_register_files_update(&ring->ring, slot, &fd, 1);

	return r < 0 ? r : r == 1 ? 0 : -EIO;
}

static int ring_add_disk(struct disk_queue *queue, const struct disk *disk)
{
	return set_file(container_of(queue, struct disk_ring, queue), disk->slot, disk->fd);
}

static void ring_remove_disk(struct disk_queue *queue, const struct disk *disk)
{
	(void)set_file(container_of(queue, struct disk_ring, queue), disk->slot, -1);
}

static void ring_free(struct disk_queue *queue)
{
	struct disk_ring *ring = container_of(queue, struct disk_ring, queue);

	io_uring_queue_exit(&ring->ring);
	free(ring->bounce);
	free(ring);
}

static const struct disk_queue_ops ring_ops = {
	.free = ring_free,
	.add_disk = ring_add_disk,
	.remove_disk = ring_remove_disk,
	.submit = ring_submit,
	.flush = ring_flush,
	.reap = ring_reap,
};

/* ---- set-up ---- */

static int init_ring(struct io_uring *ring)
{
	/* Completions wait until their thread is in the kernel anyway, where that is known. */
	static const unsigned flags[] = {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
	int r = -EINVAL;

	for (size_t i = 0; r == -EINVAL && i < ARRAY_LEN(flags); i++)
		r = io_uring_queue_init(DISK_QUEUE_DEPTH, ring, IORING_SETUP_R_DISABLED | flags[i]);
	return r;
}

/* liburing 2.3 declares functions for the two operations this is for, but does not export them. */
static int register_with(struct io_uring *ring, unsigned operation, const void *what, unsigned n)
{
	return syscall(__NR_io_uring_register, ring->ring_fd, operation, what, n) < 0 ? -errno : 0;
}

/* In this order: once the ring is enabled, nothing but files can be registered. */
static int restrict_ring(struct io_uring *ring, int event_fd)
{
	struct io_uring_restriction allowed[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE},
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
		{.opcode = IORING_RESTRICTION_REGISTER_OP,
			.register_op = IORING_REGISTER_FILES_UPDATE},
	};
	unsigned workers[] = {MAX_KERNEL_WORKERS, MAX_KERNEL_WORKERS}; /* bounded, unbounded */
	int files[DISK_BACKEND_MAX_DISKS];
	int r;

	(void)io_uring_register_iowq_max_workers(ring, workers); /* since 5.15 */
	memset(files, 0xff, sizeof(files));                      /* -1: an empty place */
	r = io_uring_register_files(ring, files, ARRAY_LEN(files));
	if (r == 0)
		r = io_uring_register_eventfd(ring, event_fd);
	if (r == 0)
		r = register_with(ring, IORING_REGISTER_RESTRICTIONS, allowed, ARRAY_LEN(allowed));
	return r < 0 ? r : register_with(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int disk_ring_new(int event_fd, struct disk_queue **ret_queue)
{
	struct disk_ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->queue.ops = &ring_ops;
	ring->queue.event_fd = event_fd;
	ring->free_bounces = (1U << N_BOUNCE_BUFFERS) - 1;
	list_init(&ring->free);
	list_init(&ring->waiting);
	list_init(&ring->done);
	for (size_t i = 0; i < ARRAY_LEN(ring->tasks); i++)
		list_append(&ring->free, &ring->tasks[i].node);
	/* Never touched, it costs addresses only. */
	ring->bounce =
		aligned_alloc(DISK_BOUNCE_ALIGN, (size_t)N_BOUNCE_BUFFERS * DISK_BOUNCE_BYTES);
	r = ring->bounce ? init_ring(&ring->ring) : -ENOMEM;
	if (r < 0) {
		free(ring->bounce);
		free(ring);
		return r;
	}
	r = restrict_ring(&ring->ring, event_fd);
	if (r < 0) {
		ring_free(&ring->queue);
		return r;
	}
	*ret_queue = &ring->queue;
	return 0;
}

bool disk_queue_is_ring(const struct disk_queue *queue)
{
	return queue->ops == &ring_ops;
}

struct io_uring *disk_ring_of(struct disk_queue *queue)
{
	return &container_of(queue, struct disk_ring, queue)->ring;
}
