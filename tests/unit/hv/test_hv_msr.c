/* SPDX-License-Identifier: MIT */
#include "base/bitmap.h"
#include "hv_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PAGE(n) ((n)*GPA_PAGE_SIZE)
#define OS_ID   0x8100000000000001ULL
#define BELOW   0x5a5a5a5aU
#define ENDBR64 0xfa1e0ff3U

static bool is_dirty(struct hv_fixture *f, size_t page)
{
	return bitmap_test(gpa_space_region(f->memory, 0)->dirty, page);
}

static void unknown_msrs_fault(void **state)
{
	static const uint32_t unknown[] = {0x40000004, 0x40000070, 0x400000a0, 0x400000b0,
		0x400000f0, 0x40000106, 0x40000118, 0x3fffffff, 0x50000000};
	struct hv_fixture *f = *state;
	uint64_t value = 77;

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		assert_int_equal(hv_msr_read(f->hv, 0, unknown[i], &value), -EPERM);
		fixture_write_faults(f, unknown[i], 0);
	}
	assert_int_equal(value, 77);
}

static void read_only_msrs_fault_when_written(void **state)
{
	static const uint32_t read_only[] = {HV_MSR_VP_INDEX, HV_MSR_VP_RUNTIME,
		HV_MSR_TIME_REF_COUNT, HV_MSR_TSC_FREQUENCY, HV_MSR_APIC_FREQUENCY,
		HV_MSR_SVERSION};
	struct hv_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(read_only); i++) {
		(void)fixture_read(f, read_only[i]);
		fixture_write_faults(f, read_only[i], 1);
	}
	assert_int_equal(fixture_read(f, HV_MSR_TSC_FREQUENCY), FIXTURE_TSC_HZ);
	assert_int_equal(fixture_read(f, HV_MSR_APIC_FREQUENCY), 1000000000);
	assert_int_equal(fixture_read(f, HV_MSR_SVERSION), HV_SYNIC_VERSION);
}

static void vps_have_their_own(void **state)
{
	struct hv_fixture *f = *state;
	struct hv_effects effects;
	uint64_t value;

	assert_int_equal(hv_msr_read(f->hv, 1, HV_MSR_VP_INDEX, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(hv_msr_write(f->hv, 1, HV_MSR_VP_ASSIST_PAGE, 0x3001, &effects), 0);
	assert_int_equal(fixture_read(f, HV_MSR_VP_ASSIST_PAGE), 0);
	assert_int_equal(hv_msr_read(f->hv, 1, HV_MSR_VP_ASSIST_PAGE, &value), 0);
	assert_int_equal(value, 0x3001);
	hv_runtime_start(f->hv, 1);
	for (volatile unsigned i = 0; i < 1000000; i++)
		;
	hv_runtime_stop(f->hv, 1);
	assert_int_equal(hv_msr_read(f->hv, 1, HV_MSR_VP_RUNTIME, &value), 0);
	assert_true(value > 0);
	assert_int_equal(fixture_read(f, HV_MSR_VP_RUNTIME), 0);
}

static void hypercall_page_needs_an_identity(void **state)
{
	struct hv_fixture *f = *state;

	fixture_write(f, HV_MSR_HYPERCALL, PAGE(3) | HV_MSR_PAGE_ENABLE);
	assert_int_equal(fixture_read(f, HV_MSR_HYPERCALL), 0);
	assert_int_equal(load_le32(f->ram + PAGE(3)), BELOW);
	assert_false(is_dirty(f, 3));

	fixture_write(f, HV_MSR_GUEST_OS_ID, OS_ID);
	fixture_write(f, HV_MSR_HYPERCALL, PAGE(3) | HV_MSR_PAGE_ENABLE | HV_MSR_HYPERCALL_LOCKED);
	assert_int_equal(fixture_read(f, HV_MSR_HYPERCALL), PAGE(3) | HV_MSR_PAGE_ENABLE);
	assert_int_equal(load_le32(f->ram + PAGE(3)), ENDBR64);
	assert_true(is_dirty(f, 3));
}

static void overlays_give_back_what_was_below(void **state)
{
	struct hv_fixture *f = *state;

	fixture_write(f, HV_MSR_GUEST_OS_ID, OS_ID);
	fixture_write(f, HV_MSR_HYPERCALL, PAGE(3) | HV_MSR_PAGE_ENABLE);
	/* Moved: the old page comes back, the new one is covered. */
	fixture_write(f, HV_MSR_HYPERCALL, PAGE(4) | HV_MSR_PAGE_ENABLE);
	assert_int_equal(load_le32(f->ram + PAGE(3)), BELOW);
	assert_int_equal(load_le32(f->ram + PAGE(4)), ENDBR64);
	/* Outside RAM: #GP, and nothing changes. */
	fixture_write_faults(f, HV_MSR_HYPERCALL, FIXTURE_RAM_BYTES | HV_MSR_PAGE_ENABLE);
	fixture_write_faults(f, HV_MSR_HYPERCALL, ~0ULL & ~HV_MSR_HYPERCALL_LOCKED);
	assert_int_equal(fixture_read(f, HV_MSR_HYPERCALL), PAGE(4) | HV_MSR_PAGE_ENABLE);
	assert_int_equal(load_le32(f->ram + PAGE(4)), ENDBR64);
	/* Without an identity there is no page. */
	fixture_write(f, HV_MSR_GUEST_OS_ID, 0);
	assert_int_equal(fixture_read(f, HV_MSR_HYPERCALL), PAGE(4));
	assert_int_equal(load_le32(f->ram + PAGE(4)), BELOW);
	assert_int_equal(f->ram[PAGE(4) + GPA_PAGE_SIZE - 1], 0x5a);
}

static void reset_is_asked_for(void **state)
{
	struct hv_fixture *f = *state;

	assert_false(fixture_write(f, HV_MSR_RESET, 0).reset);
	assert_true(fixture_write(f, HV_MSR_RESET, 1).reset);
	assert_int_equal(fixture_read(f, HV_MSR_RESET), 0);
}

static void crash_text_has_parameters_and_message(void **state)
{
	static const char message[] = "oops\x07 at 0x10\n";
	struct hv_fixture *f = *state;
	char text[HV_CRASH_TEXT_MAX_BYTES];

	memcpy(f->ram + PAGE(5), message, sizeof(message));
	for (unsigned i = 0; i < HV_N_CRASH_PARAMETERS; i++)
		fixture_write(f, HV_MSR_CRASH_P0 + i, 0x100 + i);
	assert_int_equal(fixture_read(f, HV_MSR_CRASH_P0 + 4), 0x104);
	assert_false(fixture_write(f, HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL_MESSAGE).crash);
	assert_true(fixture_write(f, HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL_NOTIFY).crash);
	hv_crash_text(f->hv, text, sizeof(text));
	assert_string_equal(text, "P0 0x100, P1 0x101, P2 0x102, P3 0x103, P4 0x104");

	fixture_write(f, HV_MSR_CRASH_P0 + 3, PAGE(5));
	fixture_write(f, HV_MSR_CRASH_P0 + 4, strlen(message));
	fixture_write(f, HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL_NOTIFY | HV_MSR_CRASH_CTL_MESSAGE);
	hv_crash_text(f->hv, text, sizeof(text));
	assert_non_null(strstr(text, "\noops. at 0x10\n"));
}

static void crash_message_is_hostile(void **state)
{
	struct hv_fixture *f = *state;
	char text[HV_CRASH_TEXT_MAX_BYTES], small[40];

	fixture_write(f, HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL_NOTIFY | HV_MSR_CRASH_CTL_MESSAGE);
	/* Longer than the text may be: cut. */
	fixture_write(f, HV_MSR_CRASH_P0 + 4, UINT64_MAX);
	hv_crash_text(f->hv, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
	/* Not in RAM: only the parameters. */
	fixture_write(f, HV_MSR_CRASH_P0 + 3, UINT64_MAX - 5);
	hv_crash_text(f->hv, text, sizeof(text));
	assert_null(strchr(text, '\n'));
	hv_crash_text(f->hv, small, sizeof(small));
	assert_int_equal(strlen(small), sizeof(small) - 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, hv_fixture_setup, hv_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_msrs_fault),
		TEST(read_only_msrs_fault_when_written),
		TEST(vps_have_their_own),
		TEST(hypercall_page_needs_an_identity),
		TEST(overlays_give_back_what_was_below),
		TEST(reset_is_asked_for),
		TEST(crash_text_has_parameters_and_message),
		TEST(crash_message_is_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
