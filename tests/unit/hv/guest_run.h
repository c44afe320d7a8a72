/* SPDX-License-Identifier: MIT
 *
 * guest_run.h - a partition that runs a program of the test guest, and what became of it. Every
 * wait is bounded and fails the test.
 */
#ifndef VIADUCT_TESTS_HV_GUEST_RUN_H
#define VIADUCT_TESTS_HV_GUEST_RUN_H

#include "base/bytes.h"
#include "node/hv/partition.h"

#include <pthread.h>

#define GUEST_RAM_BYTES (32ULL << 20)

struct guest_run {
	struct partition *partition;
	struct unit_registry *units;
	bool is_large;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under lock. */
	char output[16384];
	size_t output_len;
	bool has_ended;
	enum partition_end end;
	char end_text[8192];
	unsigned n_slot_free;
	uint32_t posted_connection;
	size_t posted_bytes;
	uint32_t signalled_connection;
	uint16_t signalled_flag;
};

/* /dev/kvm, or skip the test with the reason. */
int guest_kvm_fd(void);

#define GUEST_MAX_RAM_BYTES (GUEST_RAM_BYTES + 2 * PARTITION_ADD_UNIT_BYTES)
#define GUEST_VRAM_BYTES    (1ULL << 20)

/* A partition with RAM and units, stopped and empty; large: one that can grow and has video. */
struct guest_run *guest_new_sized(unsigned n_vps, uint64_t ram_bytes);
struct guest_run *guest_new(unsigned n_vps);
struct guest_run *guest_new_large(unsigned n_vps);
/* The same with `program` loaded. */
struct guest_run *guest_load(const char *program, unsigned n_vps);
void guest_boot(struct guest_run *run, const char *program);
/* As a vmlinux, with `initrd` for its initial RAM disk (NULL: none). */
void guest_boot_linux(struct guest_run *run, const char *program, const char *initrd);
void guest_free(struct guest_run *run);

void guest_start(struct guest_run *run);
void guest_stop(struct guest_run *run);
/* Stop `run`, free it, and give a stopped partition with its memory and state. */
struct guest_run *guest_move(struct guest_run *run);

/* Until the output holds `text`. */
void guest_wait_for(struct guest_run *run, const char *text);
enum partition_end guest_wait_end(struct guest_run *run);
/* The value of the last "name=" line; the test fails when there is none. */
uint64_t guest_value(struct guest_run *run, const char *name);
/* Write a word of guest memory. */
void guest_poke(struct guest_run *run, uint64_t at, uint64_t value);
/* Ask the guest for request `n`. */
void guest_go(struct guest_run *run, uint64_t n);

#endif
