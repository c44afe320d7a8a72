/* SPDX-License-Identifier: MIT
 *
 * disk_int.h - what the files of the disk backend share.
 *
 *   disk.c       the backend, its table of disks, the operations of base/disk_ops.h
 *   disk_probe.c what a descriptor is good for
 *   disk_task.c    one request as a sequence of I/Os: a state machine without descriptors
 *   disk_ring.c  a queue on io_uring
 *   disk_pool.c  a queue on threads, where the kernel refuses io_uring
 */
#ifndef VIADUCT_CSV_DISK_INT_H
#define VIADUCT_CSV_DISK_INT_H

#include "csv/disk.h"
#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>

#define DISK_QUEUE_DEPTH  256
#define DISK_BOUNCE_BYTES (256U << 10) /* one buffer; how many there are is the queue's affair */
#define DISK_BOUNCE_ALIGN 4096

struct disk_backend {
	pthread_mutex_t lock;
	bool threads_only;                          /* tests */
	struct list queues;                         /* under lock */
	struct disk *disks[DISK_BACKEND_MAX_DISKS]; /* under lock */
};

struct disk {
	/* Constant. */
	struct disk_backend *backend;
	unsigned slot; /* in disks[], and in the file table of every ring */
	int fd;
	bool read_only;
	bool is_device;
	bool write_cache;
	bool can_discard;
	uint32_t block_bytes, physical_bytes;
	uint32_t memory_align, length_align; /* what O_DIRECT asks of each piece; 1 without it */
	uint8_t id[DISK_ID_BYTES];
	char serial[DISK_SERIAL_MAX_LEN + 1];

	atomic_uint_least64_t size_bytes;
	/* Found out when first tried. */
	atomic_bool no_punch, no_zero_range, no_dsync;
};

/* ---- disk_probe.c ---- */

/* Everything about disk->fd, which is open already, in the light of `config`. */
int disk_probe(struct disk *disk, const struct disk_config *config, const char **ret_why);
int disk_probe_size(const struct disk *disk, uint64_t *ret_size_bytes, const char **ret_why);

/* ---- disk_task.c ---- */

enum disk_io_kind { DISK_IO_READ, DISK_IO_WRITE, DISK_IO_SYNC, DISK_IO_FALLOCATE };

/* One system call's worth. */
struct disk_io {
	enum disk_io_kind kind;
	uint64_t offset_bytes, size_bytes;
	const struct iovec *iov; /* valid until disk_task_result() */
	unsigned n_iov;
	bool dsync;
	int fallocate_mode;
};

enum disk_step {
	DISK_STEP_TRANSFER,
	DISK_STEP_BOUNCE,
	DISK_STEP_PUNCH,
	DISK_STEP_ZERO_RANGE,
	DISK_STEP_ZERO_WRITES,
	DISK_STEP_SYNC,
};

struct disk_task {
	struct list node; /* the queue's */
	struct disk *disk;
	struct disk_request *request;
	void *bounce; /* DISK_BOUNCE_BYTES, given by the queue when disk_task_needs_bounce() */

	enum disk_step step;
	bool sync_after;
	unsigned n_retries;
	uint32_t done_bytes;
	uint32_t piece_bytes; /* of the I/O under way */
	unsigned first;       /* piece of request->iov to go on with ... */
	size_t skip_bytes;    /* ... and what of it is done */
	struct iovec whole;   /* request->iov[first], which is shortened while I/O is under way */
	struct iovec buffer;  /* for the bounce buffer, and for an odd amount of zeroes */
};

/* Take a request. True when there is I/O to do; otherwise its result is set already. */
bool disk_task_begin(struct disk_task *task, struct disk *disk, struct disk_request *request);
bool disk_task_needs_bounce(const struct disk_task *task);
void disk_task_next(struct disk_task *task, struct disk_io *ret_io);
/* What the kernel said: bytes or -errno. True when there is more to do; otherwise the result is
 * set. */
bool disk_task_result(struct disk_task *task, int result);

/* ---- queues ---- */

struct disk_queue;

struct disk_queue_ops {
	void (*free)(struct disk_queue *queue);
	/* Under the backend's lock, on any thread. */
	int (*add_disk)(struct disk_queue *queue, const struct disk *disk);
	void (*remove_disk)(struct disk_queue *queue, const struct disk *disk);
	int (*submit)(struct disk_queue *queue, struct disk *disk, struct disk_request *request);
	void (*flush)(struct disk_queue *queue);
	unsigned (*reap)(
		struct disk_queue *queue, struct disk_request **ret_requests, unsigned max);
};

struct disk_queue {
	const struct disk_queue_ops *ops;
	struct disk_backend *backend;
	struct list node;
	int event_fd; /* the caller's */
};

/* Make queue->event_fd readable. */
void disk_queue_notify(const struct disk_queue *queue);

/* -ENOSYS, -EPERM, -EACCES, -EINVAL: this kernel, or its administrator, refuses what is needed. */
int disk_ring_new(int event_fd, struct disk_queue **ret_queue);
int disk_pool_new(int event_fd, struct disk_queue **ret_queue);

/* For tests of the restrictions. */
struct io_uring;
bool disk_queue_is_ring(const struct disk_queue *queue);
struct io_uring *disk_ring_of(struct disk_queue *queue);

#endif
