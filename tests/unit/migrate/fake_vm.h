/* SPDX-License-Identifier: MIT
 *
 * fake_vm.h - a VM without a hypervisor: memory in two regions, a thread that dirties it like a
 * guest, and some bytes of state. Counts what is done to it and fails where it is told to.
 */
#ifndef VIADUCT_TESTS_FAKE_VM_H
#define VIADUCT_TESTS_FAKE_VM_H

#include "base/thread.h"
#include "migrate/migrate.h"

/* The high region lies after a gap, as RAM above 4 GiB does. */
#define FAKE_HIGH_BASE (4ULL << 30)

enum fake_content {
	FAKE_ZEROS,
	FAKE_TEXT,   /* packs well */
	FAKE_RANDOM, /* does not pack */
	FAKE_MIXED,  /* page by page, holes included */
};

struct fake_vm {
	struct gpa_space *memory;
	size_t low_bytes, high_bytes;
	uint8_t *low, *high;
	uint8_t *state;
	size_t state_bytes;

	/* The dirtier. */
	struct thread thread;
	uint64_t pages_per_s; /* 0: as fast as it can */
	size_t set_pages;     /* working set, from the start of the low region */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under `lock`. */
	bool runs, quit, stands;
	uint64_t n_dirtied;

	size_t hot_pages; /* the first so many are dirty whenever one looks */

	/* Written by the job's thread, read after it is joined. */
	bool tracking;
	unsigned n_pause, n_resume, n_start, n_stop, n_save, n_restore;
	/* Ops to fail, each by its error. */
	int fail_start, fail_collect, fail_pause, fail_save, fail_restore, fail_resume;
};

extern const struct mig_vm_ops fake_vm_ops;

void fake_vm_init(struct fake_vm *vm, size_t low_bytes, size_t high_bytes);
void fake_vm_fini(struct fake_vm *vm);
void fake_vm_fill(struct fake_vm *vm, enum fake_content content, uint64_t seed);
/* Give it that much state. */
void fake_vm_set_state(struct fake_vm *vm, size_t state_bytes, uint64_t seed);
/* Let the guest run. */
void fake_vm_run(struct fake_vm *vm, size_t set_pages, uint64_t pages_per_s);
bool fake_vm_is_running(struct fake_vm *vm);
bool fake_vm_equal(const struct fake_vm *a, const struct fake_vm *b);

uint64_t fake_random(uint64_t *state);

#endif
