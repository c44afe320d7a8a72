/* SPDX-License-Identifier: MIT
 *
 * disk_rig.h - a backend with one queue and one disk in a file, and what its tests do all the time.
 */
#ifndef VIADUCT_TESTS_CSV_DISK_RIG_H
#define VIADUCT_TESTS_CSV_DISK_RIG_H

#include "csv/disk_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define RIG_DISK_BYTES (16U << 20)
#define RIG_WAIT_MS    20000

struct disk_rig {
	struct disk_backend *backend;
	struct disk *disk;
	void *queue;
	int event_fd;
	int fd;              /* the disk's file */
	const char *missing; /* or why there is no rig */
};

/* `flags` for open(), such as O_DIRECT. */
void rig_init(struct disk_rig *rig, bool threads_only, int flags);
void rig_fini(struct disk_rig *rig);
/* A test's rig; skips the test where the machine has not what its rig needs. */
struct disk_rig *rig_of(void **state);

/* An unnamed file of that size in /tmp. */
int rig_file(uint64_t size_bytes, int flags);
struct disk *rig_open(struct disk_rig *rig, int fd);

void rig_submit(struct disk_rig *rig, struct disk *disk, struct disk_request *request);
/* Wait for `n` requests, in any order; stores them when `ret_requests` is not NULL. */
void rig_wait(struct disk_rig *rig, unsigned n, struct disk_request **ret_requests);
/* One request from beginning to end; its result. */
int rig_run(struct disk_rig *rig, struct disk *disk, struct disk_request *request);
/* A request with one piece. */
int rig_do(struct disk_rig *rig, enum disk_op op, uint64_t offset_bytes, void *data,
	uint32_t size_bytes);

/* Bytes that differ by position and seed. */
void rig_fill(void *data, size_t size_bytes, unsigned seed);
void rig_expect_file(int fd, uint64_t offset_bytes, const void *data, size_t size_bytes);
bool rig_file_is_zero(int fd, uint64_t offset_bytes, size_t size_bytes);

#endif
