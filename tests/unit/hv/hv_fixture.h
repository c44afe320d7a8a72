/* SPDX-License-Identifier: MIT
 *
 * hv_fixture.h - the Hyper-V interface on a piece of ordinary memory, with nobody behind it: what
 * it asks of the outside is counted and remembered.
 */
#ifndef VIADUCT_TESTS_HV_HV_FIXTURE_H
#define VIADUCT_TESTS_HV_HV_FIXTURE_H

#include "node/hv/hv.h"

#define FIXTURE_N_VPS     2
#define FIXTURE_RAM_BYTES (64 * GPA_PAGE_SIZE)
#define FIXTURE_TSC_HZ    2500000000ULL

struct hv_fixture {
	uint8_t *ram;
	struct gpa_space *memory;
	struct hv *hv;

	/* Atomic, for the tests with threads. */
	unsigned n_interrupts;
	uint32_t interrupted_vp;
	uint8_t vector;

	unsigned n_posts, n_signals;
	uint32_t connection_id, message_type;
	uint16_t flag;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX_BYTES];
	size_t payload_bytes;
	uint16_t status; /* what posts and signals answer */
};

/* cmocka set-up and tear-down. */
int hv_fixture_setup(void **state);
int hv_fixture_teardown(void **state);

/* Another interface on the same memory, as after a migration. */
struct hv *hv_fixture_second(struct hv_fixture *f);

/* MSR accesses of VP 0 that must succeed. */
uint64_t fixture_read(struct hv_fixture *f, uint32_t msr);
struct hv_effects fixture_write(struct hv_fixture *f, uint32_t msr, uint64_t value);
/* One that must raise #GP. */
void fixture_write_faults(struct hv_fixture *f, uint32_t msr, uint64_t value);

/* SIMP at page 1, SIEFP at page 2, SINT 2 with vector 0x31, SynIC enabled; all of VP 0. */
#define FIXTURE_SIMP  (1 * GPA_PAGE_SIZE)
#define FIXTURE_SIEFP (2 * GPA_PAGE_SIZE)
#define FIXTURE_SINT  2
void fixture_enable_synic(struct hv_fixture *f);

#endif
