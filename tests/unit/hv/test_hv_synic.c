/* SPDX-License-Identifier: MIT */
#include "base/bitmap.h"
#include "base/thread.h"
#include "hv_fixture.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t *slot(struct hv_fixture *f)
{
	return f->ram + FIXTURE_SIMP + FIXTURE_SINT * sizeof(struct hv_message);
}

static uint32_t *slot_type(struct hv_fixture *f)
{
	return (void *)slot(f);
}

static int post(struct hv_fixture *f, uint32_t value)
{
	return hv_synic_post(f->hv, 0, FIXTURE_SINT, HV_MESSAGE_VMBUS, &value, sizeof(value));
}

static uint32_t posted_value(struct hv_fixture *f)
{
	return load_le32(slot(f) + offsetof(struct hv_message, payload));
}

static void nothing_goes_where_nothing_is_enabled(void **state)
{
	struct hv_fixture *f = *state;

	assert_int_equal(post(f, 1), -ENXIO);
	assert_int_equal(hv_synic_signal(f->hv, 0, FIXTURE_SINT, 1), -ENXIO);
	fixture_enable_synic(f);
	fixture_write(f, HV_MSR_SCONTROL, 0);
	assert_int_equal(post(f, 1), -ENXIO);
	fixture_write(f, HV_MSR_SCONTROL, 1);
	fixture_write(f, HV_MSR_SINT0 + FIXTURE_SINT, 0x31 | HV_SINT_MASKED);
	assert_int_equal(post(f, 1), -ENXIO);
	assert_int_equal(hv_synic_signal(f->hv, 0, FIXTURE_SINT, 1), -ENXIO);
	assert_int_equal(hv_synic_signal(f->hv, 1, FIXTURE_SINT, 1), -ENXIO);
	assert_int_equal(f->n_interrupts, 0);
}

static void nonsense_is_refused(void **state)
{
	struct hv_fixture *f = *state;
	uint8_t payload[241] = {0};

	fixture_enable_synic(f);
	assert_int_equal(hv_synic_post(f->hv, FIXTURE_N_VPS, 2, 1, payload, 8), -EINVAL);
	assert_int_equal(hv_synic_post(f->hv, 0, HV_N_SINTS, 1, payload, 8), -EINVAL);
	assert_int_equal(hv_synic_post(f->hv, 0, 2, HV_MESSAGE_NONE, payload, 8), -EINVAL);
	assert_int_equal(hv_synic_post(f->hv, 0, 2, 1, payload, 241), -EINVAL);
	assert_int_equal(hv_synic_signal(f->hv, FIXTURE_N_VPS, 2, 0), -EINVAL);
	assert_int_equal(hv_synic_signal(f->hv, 0, HV_N_SINTS, 0), -EINVAL);
	assert_int_equal(hv_synic_signal(f->hv, 0, 2, HV_EVENT_FLAGS_PER_SINT), -EINVAL);
}

static void message_lands_in_its_slot(void **state)
{
	struct hv_fixture *f = *state;
	uint64_t *dirty = gpa_space_region(f->memory, 0)->dirty;

	fixture_enable_synic(f);
	/* The pages start empty, whatever was below. */
	assert_int_equal(*slot_type(f), HV_MESSAGE_NONE);
	dirty[0] = 0;
	assert_int_equal(post(f, 0x1234), 0);
	assert_int_equal(*slot_type(f), HV_MESSAGE_VMBUS);
	assert_int_equal(slot(f)[offsetof(struct hv_message, payload_bytes)], 4);
	assert_int_equal(slot(f)[offsetof(struct hv_message, flags)], 0);
	assert_int_equal(posted_value(f), 0x1234);
	assert_int_equal(f->n_interrupts, 1);
	assert_int_equal(f->vector, 0x31);
	assert_int_equal(dirty[0], 1 << 1);
}

static void taken_slot_wakes_the_waiter(void **state)
{
	struct hv_fixture *f = *state;

	fixture_enable_synic(f);
	assert_int_equal(post(f, 1), 0);
	assert_int_equal(post(f, 2), -EAGAIN);
	assert_int_equal(posted_value(f), 1);
	assert_int_equal(slot(f)[offsetof(struct hv_message, flags)] & HV_MESSAGE_PENDING,
		HV_MESSAGE_PENDING);
	assert_int_equal(f->n_interrupts, 1);
	/* An EOM with the slot still taken is early. */
	assert_int_equal(fixture_write(f, HV_MSR_EOM, 0).freed_sints, 0);
	*slot_type(f) = 0;
	assert_int_equal(fixture_write(f, HV_MSR_EOM, 0).freed_sints, 1 << FIXTURE_SINT);
	assert_int_equal(fixture_write(f, HV_MSR_EOM, 0).freed_sints, 0);
	assert_int_equal(post(f, 2), 0);
	assert_int_equal(slot(f)[offsetof(struct hv_message, flags)], 0);
}

/* Somebody else is quicker than the waiter: his message must ask for an EOM too. */
static void overtaken_waiter_is_not_forgotten(void **state)
{
	struct hv_fixture *f = *state;

	fixture_enable_synic(f);
	assert_int_equal(post(f, 1), 0);
	assert_int_equal(post(f, 2), -EAGAIN);
	*slot_type(f) = 0;
	assert_int_equal(post(f, 3), 0);
	assert_int_equal(slot(f)[offsetof(struct hv_message, flags)] & HV_MESSAGE_PENDING,
		HV_MESSAGE_PENDING);
	assert_int_equal(fixture_write(f, HV_MSR_EOM, 0).freed_sints, 0);
	*slot_type(f) = 0;
	assert_int_equal(fixture_write(f, HV_MSR_EOM, 0).freed_sints, 1 << FIXTURE_SINT);
}

static void waiter_hears_when_the_slot_goes_away(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} off[] = {
		{HV_MSR_SCONTROL, 0},
		{HV_MSR_SIMP, 0},
		{HV_MSR_SINT0 + FIXTURE_SINT, HV_SINT_MASKED},
	};
	struct hv_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		fixture_enable_synic(f);
		(void)post(f, 1);
		assert_int_equal(post(f, 2), -EAGAIN);
		assert_int_equal(
			fixture_write(f, off[i].msr, off[i].value).freed_sints, 1 << FIXTURE_SINT);
		assert_int_equal(post(f, 2), -ENXIO);
		fixture_write(f, HV_MSR_SIMP, 0);
	}
}

static void flags_interrupt_once(void **state)
{
	struct hv_fixture *f = *state;
	uint64_t *flags = (void *)(f->ram + FIXTURE_SIEFP + FIXTURE_SINT * 256);

	fixture_enable_synic(f);
	assert_int_equal(hv_synic_signal(f->hv, 0, FIXTURE_SINT, 0), 0);
	assert_int_equal(hv_synic_signal(f->hv, 0, FIXTURE_SINT, 2047), 0);
	assert_int_equal(f->n_interrupts, 2);
	assert_int_equal(hv_synic_signal(f->hv, 0, FIXTURE_SINT, 2047), 0);
	assert_int_equal(f->n_interrupts, 2);
	assert_true(flags[0] == 1);
	assert_true(flags[31] == 1ULL << 63);
	flags[31] = 0;
	assert_int_equal(hv_synic_signal(f->hv, 0, FIXTURE_SINT, 2047), 0);
	assert_int_equal(f->n_interrupts, 3);
}

static void bad_registers_fault(void **state)
{
	struct hv_fixture *f = *state;

	fixture_write_faults(f, HV_MSR_SINT0, 15);
	fixture_write_faults(f, HV_MSR_SINT0, 0x31 | HV_SINT_AUTO_EOI);
	assert_int_equal(fixture_read(f, HV_MSR_SINT0), HV_SINT_RESET_VALUE);
	fixture_write(f, HV_MSR_SINT0, HV_SINT_MASKED | HV_SINT_AUTO_EOI | 3);
	fixture_write(f, HV_MSR_SINT0 + 15, 0xff);
	assert_int_equal(fixture_read(f, HV_MSR_SINT0 + 15), 0xff);
	fixture_write_faults(f, HV_MSR_SIMP, FIXTURE_RAM_BYTES | HV_MSR_PAGE_ENABLE);
	fixture_write_faults(f, HV_MSR_SIEFP, UINT64_MAX);
	assert_int_equal(fixture_read(f, HV_MSR_SIMP), 0);
	assert_int_equal(fixture_read(f, HV_MSR_SIEFP), 0);
	assert_int_equal(fixture_read(f, HV_MSR_EOM), 0);
}

static void pages_come_back(void **state)
{
	struct hv_fixture *f = *state;

	fixture_enable_synic(f);
	assert_int_equal(f->ram[FIXTURE_SIMP], 0);
	fixture_write(f, HV_MSR_SIMP, 0);
	fixture_write(f, HV_MSR_SIEFP, 0);
	assert_int_equal(f->ram[FIXTURE_SIMP], 0x5a);
	assert_int_equal(f->ram[FIXTURE_SIEFP + 4095], 0x5a);
}

/* A guest that takes messages against two posters that wait for free slots. */
#define STRESS_POSTS 5000

struct stress {
	struct hv_fixture *f;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned n_freed;
};

static void stress_poster(void *data)
{
	struct stress *s = data;

	for (uint32_t i = 0; i < STRESS_POSTS; i++) {
		unsigned seen;
		int r;

		do {
			pthread_mutex_lock(&s->lock);
			seen = s->n_freed;
			pthread_mutex_unlock(&s->lock);
			r = post(s->f, 1);
			pthread_mutex_lock(&s->lock);
			while (r == -EAGAIN && s->n_freed == seen)
				pthread_cond_wait(&s->freed, &s->lock);
			pthread_mutex_unlock(&s->lock);
		} while (r == -EAGAIN);
		assert_int_equal(r, 0);
	}
}

static void no_waiter_is_lost(void **state)
{
	struct stress s = {
		.f = *state, .lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};
	struct thread posters[2] = {0};
	unsigned n_taken = 0;

	fixture_enable_synic(s.f);
	for (unsigned i = 0; i < ARRAY_LEN(posters); i++)
		assert_int_equal(thread_start(&posters[i], "poster", stress_poster, &s), 0);
	while (n_taken < STRESS_POSTS * ARRAY_LEN(posters)) {
		uint32_t type = __atomic_load_n(slot_type(s.f), __ATOMIC_SEQ_CST);

		if (type == HV_MESSAGE_NONE) {
			sched_yield();
			continue;
		}
		n_taken++;
		__atomic_store_n(slot_type(s.f), HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
		if (!(__atomic_load_n(
			      slot(s.f) + offsetof(struct hv_message, flags), __ATOMIC_SEQ_CST) &
			    HV_MESSAGE_PENDING))
			continue;
		if (fixture_write(s.f, HV_MSR_EOM, 0).freed_sints) {
			pthread_mutex_lock(&s.lock);
			s.n_freed++;
			pthread_cond_broadcast(&s.freed);
			pthread_mutex_unlock(&s.lock);
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(posters); i++)
		thread_join(&posters[i]);
	assert_int_equal(s.f->n_interrupts, n_taken);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, hv_fixture_setup, hv_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_goes_where_nothing_is_enabled),
		TEST(nonsense_is_refused),
		TEST(message_lands_in_its_slot),
		TEST(taken_slot_wakes_the_waiter),
		TEST(overtaken_waiter_is_not_forgotten),
		TEST(waiter_hears_when_the_slot_goes_away),
		TEST(flags_interrupt_once),
		TEST(bad_registers_fault),
		TEST(pages_come_back),
		TEST(no_waiter_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
