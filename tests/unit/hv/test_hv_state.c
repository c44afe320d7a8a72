/* SPDX-License-Identifier: MIT
 *
 * test_hv_state.c - the saved form of the Hyper-V interface and of time, good and hostile.
 */
#include "hv_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PAGE(n) ((n)*GPA_PAGE_SIZE)
#define SECOND  HV_TIME_TICKS_PER_SEC

/* Where fields are in the saved form; see hv_state.c. */
#define AT_N_VPS       0
#define AT_GUEST_OS_ID 4
#define AT_HYPERCALL   12
#define AT_REFERENCE   20
#define AT_OVERLAYS    80
/* Behind an overlay over bytes and one over zeros comes VP 0. */
#define AT_VP0   (AT_OVERLAYS + 1 + GPA_PAGE_SIZE + 1)
#define AT_SIMP  (AT_VP0 + 16)
#define AT_SINT0 (AT_VP0 + 24)

static void fill(struct hv_fixture *f)
{
	memset(f->ram + PAGE(6), 0, GPA_PAGE_SIZE);
	fixture_write(f, HV_MSR_GUEST_OS_ID, 0x8100);
	fixture_write(f, HV_MSR_HYPERCALL, PAGE(5) | HV_MSR_PAGE_ENABLE);
	fixture_write(f, HV_MSR_REFERENCE_TSC, PAGE(6) | HV_MSR_PAGE_ENABLE);
	fixture_write(f, HV_MSR_CRASH_P0 + 1, 0xc1);
	fixture_write(f, HV_MSR_VP_ASSIST_PAGE, 0x7001);
	fixture_enable_synic(f);
}

static int restore(struct hv *hv, const struct buf *saved)
{
	struct reader in = reader_make(saved->data, saved->size_bytes);
	int r = hv_restore(hv, &in);

	return r == 0 && !reader_done(&in) ? -EBADMSG : r;
}

static void everything_comes_back(void **state)
{
	struct hv_fixture *f = *state;
	struct hv *second = hv_fixture_second(f);
	struct buf saved = {0}, again = {0};

	fill(f);
	hv_save(f->hv, &saved);
	assert_int_equal(restore(second, &saved), 0);
	hv_save(second, &again);
	assert_int_equal(saved.size_bytes, again.size_bytes);
	assert_memory_equal(saved.data, again.data, saved.size_bytes);
	hv_free(f->hv);
	f->hv = second;
	assert_int_equal(fixture_read(f, HV_MSR_CRASH_P0 + 1), 0xc1);
	assert_int_equal(fixture_read(f, HV_MSR_VP_ASSIST_PAGE), 0x7001);
	assert_int_equal(fixture_read(f, HV_MSR_SINT0 + FIXTURE_SINT), 0x31);
	/* What is below an overlay came along. */
	fixture_write(f, HV_MSR_GUEST_OS_ID, 0);
	assert_int_equal(f->ram[PAGE(5)], 0x5a);
	fixture_write(f, HV_MSR_SIMP, 0);
	assert_int_equal(f->ram[FIXTURE_SIMP], 0x5a);
	buf_fini(&saved);
	buf_fini(&again);
}

static void every_truncation_is_refused(void **state)
{
	struct hv_fixture *f = *state;
	struct buf saved = {0};

	fill(f);
	hv_save(f->hv, &saved);
	for (size_t n = 0; n < saved.size_bytes; n += n < 200 ? 1 : 61) {
		struct hv *second = hv_fixture_second(f);
		struct buf cut = {.data = saved.data, .size_bytes = n};

		assert_int_equal(restore(second, &cut), -EBADMSG);
		hv_free(second);
	}
	buf_fini(&saved);
}

static void refused_with(struct hv_fixture *f, size_t at, uint64_t value)
{
	struct hv *second = hv_fixture_second(f);
	struct buf saved = {0};

	hv_save(f->hv, &saved);
	store_le64(saved.data + at, value);
	assert_int_equal(restore(second, &saved), -EBADMSG);
	buf_fini(&saved);
	hv_free(second);
}

static void contradictions_are_refused(void **state)
{
	struct hv_fixture *f = *state;

	fill(f);
	refused_with(f, AT_N_VPS, FIXTURE_N_VPS + 1);
	refused_with(f, AT_N_VPS, 0);
	refused_with(f, AT_GUEST_OS_ID, 0);                   /* but the page is on */
	refused_with(f, AT_HYPERCALL, 0);                     /* but there is an overlay */
	refused_with(f, AT_HYPERCALL, FIXTURE_RAM_BYTES | 1); /* not RAM */
	refused_with(f, AT_REFERENCE, UINT64_MAX);
	refused_with(f, AT_OVERLAYS, 0x5a5a5a5a5a5a5a03); /* no such kind */
	refused_with(f, AT_VP0, 2);                       /* SCONTROL has one bit */
	refused_with(f, AT_SIMP, FIXTURE_RAM_BYTES | 1);
	refused_with(f, AT_SINT0, 15); /* not a vector */
	refused_with(f, AT_SINT0, HV_SINT_AUTO_EOI | 0x31);
}

static void time_follows_the_tsc(void **state _unused_)
{
	struct hv_time time;

	hv_time_init(&time, FIXTURE_TSC_HZ);
	assert_int_equal(hv_time_at(&time, 12345), 0);
	hv_time_start(&time, 1000, 5000);
	assert_int_equal(hv_time_at(&time, 5000), 0);
	assert_in_range(hv_time_at(&time, 5000 + FIXTURE_TSC_HZ), SECOND - 1, SECOND);
	hv_time_stop(&time, 5000 + 2 * FIXTURE_TSC_HZ);
	assert_in_range(hv_time_at(&time, 0), 2 * SECOND - 1, 2 * SECOND);
	/* Another host: its TSC is younger, the guest's offset is negative. */
	hv_time_start(&time, -900, 1000);
	assert_in_range(hv_time_at(&time, 1000), 2 * SECOND - 1, 2 * SECOND);
	assert_in_range(hv_time_at(&time, 1000 + FIXTURE_TSC_HZ), 3 * SECOND - 1, 3 * SECOND);
}

static uint64_t page_time(const uint8_t *page, uint64_t tsc)
{
	struct hv_reference_tsc_page p;

	memcpy(&p, page, sizeof(p));
	return (uint64_t)((unsigned __int128)tsc * p.scale >> 64) + (uint64_t)p.offset;
}

static void tsc_page_agrees_with_the_clock(void **state)
{
	struct hv_fixture *f = *state;
	const uint8_t *page = f->ram + PAGE(6);
	uint32_t sequence;

	hv_start_time(f->hv, 77, 1000);
	fixture_write(f, HV_MSR_REFERENCE_TSC, PAGE(6) | HV_MSR_PAGE_ENABLE);
	sequence = load_le32(page);
	assert_int_not_equal(sequence, 0);
	assert_int_equal(page_time(page, 123456789 + 77), hv_time_at(&f->hv->time, 123456789));
	hv_stop_time(f->hv, 500000000);
	hv_start_time(f->hv, -400000000, 700000000);
	assert_int_not_equal(load_le32(page), sequence);
	assert_int_equal(
		page_time(page, 800000000 - 400000000), hv_time_at(&f->hv->time, 800000000));
	/* Never 0 nor all ones, which say that the page is no good. */
	f->hv->tsc_sequence = UINT32_MAX - 1;
	hv_stop_time(f->hv, 900000000);
	hv_start_time(f->hv, 0, 900000000);
	assert_int_equal(load_le32(page), 1);
}

static void time_goes_on_in_another_partition(void **state)
{
	struct hv_fixture *f = *state;
	struct hv *second = hv_fixture_second(f);
	struct buf saved = {0};
	uint64_t stopped_at;

	hv_start_time(f->hv, 0, 0);
	fixture_write(f, HV_MSR_REFERENCE_TSC, PAGE(6) | HV_MSR_PAGE_ENABLE);
	hv_stop_time(f->hv, 10 * FIXTURE_TSC_HZ);
	stopped_at = hv_reference_time(f->hv);
	hv_save(f->hv, &saved);
	assert_int_equal(restore(second, &saved), 0);
	assert_int_equal(hv_reference_time(second), stopped_at);
	hv_start_time(second, 0, FIXTURE_TSC_HZ);
	assert_int_equal(hv_time_at(&second->time, FIXTURE_TSC_HZ), stopped_at);
	assert_int_equal(page_time(f->ram + PAGE(6), FIXTURE_TSC_HZ), stopped_at);
	buf_fini(&saved);
	hv_free(second);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, hv_fixture_setup, hv_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_comes_back),
		TEST(every_truncation_is_refused),
		TEST(contradictions_are_refused),
		TEST(time_follows_the_tsc),
		TEST(tsc_page_agrees_with_the_clock),
		TEST(time_goes_on_in_another_partition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
