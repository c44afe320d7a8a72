/* SPDX-License-Identifier: MIT
 *
 * disk_ops.h - the disk waist: what a storage VSP asks of whatever holds its blocks.
 *
 * A *backend* (one a VM) makes disks and queues. A *queue* carries requests for any disk of its
 * backend; each channel of a controller has one. A request is submitted, completes some time later
 * in any order, and is fetched with reap() by the thread that submitted it. Completions make the
 * queue's event fd readable.
 *
 * Queues are made while the VM is set up and before its process is confined; disks come and go
 * later.
 *
 * Threads: one thread at a time uses a queue (the channel's worker). Disks are opened and closed by
 * the backend's owner; a disk is closed only when no request for it is under way.
 */
#ifndef VIADUCT_BASE_DISK_OPS_H
#define VIADUCT_BASE_DISK_OPS_H

#include "base/err.h"

#include <sys/uio.h>

#define DISK_MAX_IOV           128
#define DISK_MAX_REQUEST_BYTES (4U << 20)
#define DISK_SERIAL_MAX_LEN    36
#define DISK_ID_BYTES          16

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,        /* everything that completed before is on stable storage afterwards */
	DISK_DISCARD,      /* content may become anything; no data */
	DISK_WRITE_ZEROES, /* no data */
};

struct disk_info {
	uint64_t size_bytes;     /* a multiple of block_bytes */
	uint32_t block_bytes;    /* logical: 512 or 4096 (2048 for an optical disc's image) */
	uint32_t physical_bytes; /* power of two, at least block_bytes */
	bool read_only;
	bool can_discard;    /* DISK_DISCARD does something */
	bool discard_zeroes; /* what was discarded reads as zeroes */
	bool can_write_zeroes;
	bool write_cache;          /* flushes matter */
	uint8_t id[DISK_ID_BYTES]; /* of the disk, the same wherever it is attached */
	char serial[DISK_SERIAL_MAX_LEN + 1];
};

/* The submitter's, untouched by it until reap() returned it; the backend leaves all but `result` as
 * it was.
 *
 * Pieces of `iov` may start anywhere and have any length. Where the backend's transfers need
 * alignment (O_DIRECT) it copies what is not, through a bounded amount of memory: correct, but
 * slow. Requests whose pieces start at page boundaries and are whole blocks long are never copied.
 *
 * The backend trusts nothing of this: what is beyond the disk or contradicts itself is answered
 * with -EINVAL. */
struct disk_request {
	enum disk_op op;
	bool fua;              /* a write that is on stable storage when it completes */
	uint64_t offset_bytes; /* both multiples of block_bytes and inside the disk */
	uint32_t size_bytes;   /* READ and WRITE: at most DISK_MAX_REQUEST_BYTES */
	unsigned n_iov;        /* READ and WRITE: together exactly size_bytes */
	struct iovec iov[DISK_MAX_IOV];
	int result; /* 0 or -errno: -EIO, -ENOSPC, -EROFS, ... */
	void *data; /* the submitter's */
};

struct disk_ops {
	/* `event_fd` is an eventfd (EFD_NONBLOCK) of the caller's that becomes readable when there
	 * is something to reap, and stays so when reap() returned less than there is; it outlives
	 * the queue. The thread that waits for it uses poll(): epoll_wait() may be interrupted by
	 * the kernel's own completions. At set-up only. */
	int (*queue_new)(void *backend, int event_fd, void **ret_queue);
	/* Nothing is under way. NULL is fine. */
	void (*queue_free)(void *queue);
	/* Any thread. The size may change over time, nothing else. */
	void (*get_info)(void *disk, struct disk_info *ret_info);
	/* 0; -EAGAIN: full, try again after a reap(). Everything else about a request is answered
	 * through its result. */
	int (*submit)(void *queue, void *disk, struct disk_request *request);
	/* After a burst of submit(). */
	void (*flush)(void *queue);
	/* Fetch completed requests; returns how many: none, when the event was that of a step on
	 * the way. */
	unsigned (*reap)(void *queue, struct disk_request **ret_requests, unsigned max);
};

#endif
