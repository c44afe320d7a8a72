/* SPDX-License-Identifier: MIT
 *
 * disk_dummy.h - disks in memory behind struct disk_ops, for tests of whoever uses it: requests
 * complete at once or when the test says so, in whatever order, with whatever error.
 *
 * What breaks the contract of disk_ops.h - a request outside its disk, of an odd size, with pieces
 * that do not add up, freed queues with requests under way - ends the process.
 *
 * Threads: thread-safe; the test may run beside the user's workers.
 */
#ifndef VIADUCT_BASE_DISK_DUMMY_H
#define VIADUCT_BASE_DISK_DUMMY_H

#include "base/disk_ops.h"

struct disk_dummy_backend;
struct disk_dummy;

/* For `struct disk_dummy_backend *` and `struct disk_dummy *`. */
extern const struct disk_ops disk_dummy_ops;

int disk_dummy_backend_new(struct disk_dummy_backend **ret_backend);
/* All queues and disks are gone. NULL is fine. */
void disk_dummy_backend_free(struct disk_dummy_backend *backend);

/* Zeroed; the memory is disk_dummy_bytes(). */
int disk_dummy_new(struct disk_dummy_backend *backend, const struct disk_info *info,
	struct disk_dummy **ret_disk);
void disk_dummy_free(struct disk_dummy *disk);
uint8_t *disk_dummy_bytes(struct disk_dummy *disk);
/* Up to the size it was made with. */
void disk_dummy_resize(struct disk_dummy *disk, uint64_t size_bytes);

/* Hold requests back, of all queues, until they are released or holding ends. */
void disk_dummy_hold(struct disk_dummy_backend *backend, bool hold);
/* Carry out the nth of those held back, the oldest being 0. False: there are not so many. */
bool disk_dummy_release(struct disk_dummy_backend *backend, size_t nth);
size_t disk_dummy_n_held(struct disk_dummy_backend *backend);

/* The next `n` requests of this operation, as they are carried out, fail with `err` and do nothing.
 */
void disk_dummy_fail(struct disk_dummy_backend *backend, enum disk_op op, int err, unsigned n);
/* submit() says -EAGAIN when a queue has so many under way; 0: never. */
void disk_dummy_set_depth(struct disk_dummy_backend *backend, size_t depth);

struct disk_dummy_stats {
	size_t n_requests[DISK_WRITE_ZEROES + 1]; /* carried out, by operation */
	size_t n_fua;
	size_t n_flush_calls;
	size_t n_pieces; /* of iov */
	size_t max_request_bytes;
};
void disk_dummy_get_stats(struct disk_dummy_backend *backend, struct disk_dummy_stats *ret_stats);

#endif
