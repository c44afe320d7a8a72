/* SPDX-License-Identifier: MIT */
#include "hv_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void on_interrupt(void *data, uint32_t vp_index, uint8_t vector)
{
	struct hv_fixture *f = data;

	__atomic_store_n(&f->interrupted_vp, vp_index, __ATOMIC_SEQ_CST);
	__atomic_store_n(&f->vector, vector, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&f->n_interrupts, 1, __ATOMIC_SEQ_CST);
}

static uint16_t on_post_message(void *data, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes)
{
	struct hv_fixture *f = data;

	f->n_posts++;
	f->connection_id = connection_id;
	f->message_type = message_type;
	memcpy(f->payload, payload, size_bytes);
	f->payload_bytes = size_bytes;
	return f->status;
}

static uint16_t on_signal_event(void *data, uint32_t connection_id, uint16_t flag)
{
	struct hv_fixture *f = data;

	f->n_signals++;
	f->connection_id = connection_id;
	f->flag = flag;
	return f->status;
}

static const struct hv_ops ops = {
	.interrupt = on_interrupt,
	.post_message = on_post_message,
	.signal_event = on_signal_event,
};

struct hv *hv_fixture_second(struct hv_fixture *f)
{
	struct hv *hv;

	assert_int_equal(hv_new(f->memory, FIXTURE_N_VPS, FIXTURE_TSC_HZ, &ops, f, &hv), 0);
	return hv;
}

int hv_fixture_setup(void **state)
{
	struct hv_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->ram = aligned_alloc(GPA_PAGE_SIZE, FIXTURE_RAM_BYTES);
	assert_non_null(f->ram);
	memset(f->ram, 0x5a, FIXTURE_RAM_BYTES);
	assert_int_equal(gpa_space_new(&f->memory), 0);
	assert_int_equal(gpa_space_add(f->memory, gpa(0), FIXTURE_RAM_BYTES, f->ram), 0);
	f->hv = hv_fixture_second(f);
	*state = f;
	return 0;
}

int hv_fixture_teardown(void **state)
{
	struct hv_fixture *f = *state;

	hv_free(f->hv);
	gpa_space_free(f->memory);
	free(f->ram);
	free(f);
	return 0;
}

uint64_t fixture_read(struct hv_fixture *f, uint32_t msr)
{
	uint64_t value = 0;

	assert_int_equal(hv_msr_read(f->hv, 0, msr, &value), 0);
	return value;
}

struct hv_effects fixture_write(struct hv_fixture *f, uint32_t msr, uint64_t value)
{
	struct hv_effects effects;

	assert_int_equal(hv_msr_write(f->hv, 0, msr, value, &effects), 0);
	return effects;
}

void fixture_write_faults(struct hv_fixture *f, uint32_t msr, uint64_t value)
{
	struct hv_effects effects;

	assert_int_equal(hv_msr_write(f->hv, 0, msr, value, &effects), -EPERM);
	assert_false(effects.reset || effects.crash);
}

void fixture_enable_synic(struct hv_fixture *f)
{
	fixture_write(f, HV_MSR_SIMP, FIXTURE_SIMP | HV_MSR_PAGE_ENABLE);
	fixture_write(f, HV_MSR_SIEFP, FIXTURE_SIEFP | HV_MSR_PAGE_ENABLE);
	fixture_write(f, HV_MSR_SINT0 + FIXTURE_SINT, 0x31);
	fixture_write(f, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
}
