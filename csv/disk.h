/* SPDX-License-Identifier: MIT
 *
 * disk.h - disks in raw files and on block devices, through io_uring; a backend for
 * base/disk_ops.h.
 *
 * The process that uses them needs neither paths nor the right to make rings: descriptors are given
 * in open, and every ring is made in queue_new(), restricted by the kernel to reads, writes,
 * flushes and punching holes on the files registered with it. Nothing can widen that afterwards.
 * Where the kernel or its administrator refuses io_uring, a queue is a few threads instead.
 *
 * Threads: as base/disk_ops.h says; disk_open() and disk_close() may run while queues are in use.
 */
#ifndef VIADUCT_CSV_DISK_H
#define VIADUCT_CSV_DISK_H

#include "base/disk_ops.h"

#define DISK_BACKEND_MAX_DISKS 64

struct disk_backend;
struct disk;

int disk_backend_new(struct disk_backend **ret_backend);
/* All queues freed, all disks closed. NULL is fine. */
void disk_backend_free(struct disk_backend *backend);

struct disk_config {
	int fd; /* regular file or block device, O_DIRECT or not; duplicated */
	bool read_only;
	uint32_t
		block_bytes; /* 0: what the descriptor suggests; 2048 for an optical disc's image */
	uint8_t id[DISK_ID_BYTES];
	char serial[DISK_SERIAL_MAX_LEN + 1];
};

/* -EINVAL: neither file nor block device, size no multiple of the block size, blocks that cannot be
 * had (O_DIRECT with larger ones), not open for what it is meant for (*ret_why, static text, says
 * which); -ENOSPC: DISK_BACKEND_MAX_DISKS are open. */
int disk_open(struct disk_backend *backend, const struct disk_config *config,
	struct disk **ret_disk, const char **ret_why);
/* NULL is fine. A ring may hold on to the file a little longer: until the I/O it does for other
 * disks at this moment has ended. */
void disk_close(struct disk *disk);
/* Look at the file's size again (it was enlarged). Returns 1 when it changed, 0, or -errno:
 * -EINVAL, no multiple of the block size; the disk keeps its former size. */
int disk_refresh(struct disk *disk);

/* For `struct disk_backend *` and `struct disk *`. */
extern const struct disk_ops disk_file_ops;

#endif
