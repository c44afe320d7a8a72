/* SPDX-License-Identifier: MIT */
#include "node/hv/chipset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define WINDOW_GPA   0xf8000000ULL
#define WINDOW_BYTES (8ULL << 20)
#define NS_PER_SEC   1000000000LL
/* 2026-11-22 01:41:51, a Sunday */
#define NOW_NS (1795311711 * NS_PER_SEC)

static enum chipset_event out(
	struct chipset *c, uint16_t port, uint8_t size_bytes, uint32_t value, int64_t now_ns)
{
	struct io_access access = {
		.port = port, .size_bytes = size_bytes, .is_write = true, .value = value};

	return chipset_access(c, &access, now_ns);
}

static uint32_t in(struct chipset *c, uint16_t port, uint8_t size_bytes, int64_t now_ns)
{
	struct io_access access = {.port = port, .size_bytes = size_bytes, .value = UINT32_MAX};

	assert_int_equal(chipset_access(c, &access, now_ns), CHIPSET_NONE);
	return size_bytes == 4 ? access.value : access.value & ((1U << 8 * size_bytes) - 1);
}

static struct chipset fresh(bool has_video)
{
	struct chipset chipset;

	chipset_init(&chipset, WINDOW_GPA, has_video ? WINDOW_BYTES : 0);
	return chipset;
}

static void every_sleep_powers_off(void **state _unused_)
{
	struct chipset c = fresh(false);

	assert_int_equal(out(&c, 0x604, 2, 0x1400, 0), CHIPSET_NONE);
	assert_int_equal(in(&c, 0x604, 2, 0), 0x1401);
	assert_int_equal(out(&c, 0x604, 2, 0x2000, 0), CHIPSET_POWEROFF);
	assert_int_equal(out(&c, 0x605, 1, 0x34, 0), CHIPSET_POWEROFF);
	assert_int_equal(out(&c, 0x602, 4, 0x20000000, 0), CHIPSET_POWEROFF);
	assert_int_equal(in(&c, 0x604, 2, 0), 1);
}

static void enabled_events_are_kept(void **state _unused_)
{
	struct chipset c = fresh(false);

	assert_int_equal(out(&c, 0x602, 2, 0xffff, 0), CHIPSET_NONE);
	assert_int_equal(in(&c, 0x602, 2, 0), 0x4721);
	assert_int_equal(in(&c, 0x600, 4, 0), 0x47210000);
	assert_int_equal(out(&c, 0x600, 4, 0x0020ffff, 0), CHIPSET_NONE);
	assert_int_equal(in(&c, 0x600, 4, 0), 0x00200000);
	assert_int_equal(in(&c, 0x603, 1, 0), 0);
}

static void resets_reset(void **state _unused_)
{
	struct chipset c = fresh(false), with_pci = fresh(true);

	assert_int_equal(out(&c, 0xcf9, 1, 0x02, 0), CHIPSET_NONE);
	assert_int_equal(in(&c, 0xcf9, 1, 0), 0);
	assert_int_equal(out(&c, 0xcf9, 1, 0x06, 0), CHIPSET_RESET);
	assert_int_equal(out(&with_pci, 0xcf9, 1, 0x0e, 0), CHIPSET_RESET);
	assert_int_equal(out(&c, 0x64, 1, 0xfe, 0), CHIPSET_RESET);
	assert_int_equal(out(&c, 0x64, 1, 0xff, 0), CHIPSET_NONE);
	/* Looking for a PCI bus is not asking for a reset. */
	assert_int_equal(out(&c, 0xcf8, 4, 0x80000600, 0), CHIPSET_NONE);
	assert_true(in(&c, 0xcf8, 4, 0) == 0xffffffff);
	assert_true(in(&c, 0xcfc, 4, 0) == 0xffffffff);
	assert_int_equal(out(&with_pci, 0xcf8, 4, 0x80000600, 0), CHIPSET_NONE);
}

static uint8_t cmos(struct chipset *c, uint8_t index, int64_t now_ns)
{
	out(c, 0x70, 1, index, now_ns);
	return (uint8_t)in(c, 0x71, 1, now_ns);
}

static void set_cmos(struct chipset *c, uint8_t index, uint8_t value, int64_t now_ns)
{
	out(c, 0x70, 1, index, now_ns);
	assert_int_equal(out(c, 0x71, 1, value, now_ns), CHIPSET_NONE);
}

static void check_time(struct chipset *c, const uint8_t expected[8], int64_t now_ns)
{
	static const uint8_t indices[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};

	for (size_t i = 0; i < 8; i++)
		assert_int_equal(cmos(c, indices[i] | 0x80, now_ns), expected[i]);
}

static void clock_shows_the_time(void **state _unused_)
{
	struct chipset c = fresh(false);

	check_time(&c, (uint8_t[]){0x20, 0x26, 0x11, 0x22, 1, 0x01, 0x41, 0x51}, NOW_NS);
	set_cmos(&c, 0x0b, 0x06, NOW_NS);
	check_time(&c, (uint8_t[]){20, 26, 11, 22, 1, 1, 41, 51}, NOW_NS);
	set_cmos(&c, 0x0b, 0x04, NOW_NS);
	check_time(
		&c, (uint8_t[]){20, 26, 11, 22, 1, 0x80 | 1, 41, 51}, NOW_NS + 43200 * NS_PER_SEC);
	check_time(&c, (uint8_t[]){20, 26, 11, 22, 1, 12, 1, 51}, NOW_NS - 6000 * NS_PER_SEC);
	check_time(&c, (uint8_t[]){19, 69, 12, 31, 4, 0x80 | 11, 59, 59}, -1);
	assert_int_equal(cmos(&c, 0x0d, NOW_NS), 0x80);
	assert_int_equal(cmos(&c, 0x0c, NOW_NS), 0);
	assert_int_equal(in(&c, 0x70, 1, NOW_NS), 0xff);
}

/* Every day of 400 years and more against the C library. */
static void calendar_is_the_usual_one(void **state _unused_)
{
	struct chipset c = fresh(false);

	set_cmos(&c, 0x0b, 0x06, 0);
	for (int64_t day = -50000; day < 106000; day += 1) {
		time_t now = day * 86400 + 86399;
		struct tm tm;

		assert_non_null(gmtime_r(&now, &tm));
		check_time(&c,
			(uint8_t[]){(uint8_t)((tm.tm_year + 1900) / 100),
				(uint8_t)((tm.tm_year + 1900) % 100), (uint8_t)(tm.tm_mon + 1),
				(uint8_t)tm.tm_mday, (uint8_t)(tm.tm_wday + 1), 23, 59, 59},
			now * NS_PER_SEC);
	}
	/* What is set is what is shown, leap days too. */
	for (unsigned month = 1; month <= 12; month++) {
		set_cmos(&c, 0x0b, 0x86, NOW_NS);
		set_cmos(&c, 0x08, (uint8_t)month, NOW_NS);
		set_cmos(&c, 0x07, 28, NOW_NS);
		set_cmos(&c, 0x09, 96, NOW_NS);
		set_cmos(&c, 0x0b, 0x06, NOW_NS);
		assert_int_equal(cmos(&c, 0x08, NOW_NS), month);
		assert_int_equal(cmos(&c, 0x07, NOW_NS), 28);
		assert_int_equal(cmos(&c, 0x09, NOW_NS), 96);
		assert_int_equal(cmos(&c, 0x07, NOW_NS + 86400 * NS_PER_SEC), 29);
	}
}

static void update_is_announced(void **state _unused_)
{
	struct chipset c = fresh(false);

	assert_int_equal(cmos(&c, 0x0a, NOW_NS), 0x26);
	assert_int_equal(cmos(&c, 0x0a, NOW_NS + NS_PER_SEC - 1), 0xa6);
	assert_int_equal(cmos(&c, 0x0a, NOW_NS + NS_PER_SEC - 250000), 0x26);
	set_cmos(&c, 0x0b, 0x82, NOW_NS);
	assert_int_equal(cmos(&c, 0x0a, NOW_NS + NS_PER_SEC - 1), 0x26);
	set_cmos(&c, 0x0a, 0xf0, NOW_NS);
	assert_int_equal(cmos(&c, 0x0a, NOW_NS), 0x70);
}

static void clock_that_is_set_goes_on_from_there(void **state _unused_)
{
	struct chipset c = fresh(false);

	set_cmos(&c, 0x0b, 0x82, NOW_NS);
	set_cmos(&c, 0x32, 0x19, NOW_NS);
	set_cmos(&c, 0x09, 0x99, NOW_NS);
	set_cmos(&c, 0x08, 0x12, NOW_NS);
	set_cmos(&c, 0x07, 0x31, NOW_NS);
	set_cmos(&c, 0x04, 0x23, NOW_NS);
	set_cmos(&c, 0x02, 0x59, NOW_NS);
	set_cmos(&c, 0x00, 0x58, NOW_NS);
	/* It stands still meanwhile. */
	check_time(&c, (uint8_t[]){0x19, 0x99, 0x12, 0x31, 1, 0x23, 0x59, 0x58},
		NOW_NS + 100 * NS_PER_SEC);
	set_cmos(&c, 0x0b, 0x02, NOW_NS);
	check_time(&c, (uint8_t[]){0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00},
		NOW_NS + 2 * NS_PER_SEC);
	/* One register alone, while it runs; in 12 hours. */
	set_cmos(&c, 0x0b, 0x00, NOW_NS);
	set_cmos(&c, 0x04, 0x92, NOW_NS);
	check_time(&c, (uint8_t[]){0x19, 0x99, 0x12, 0x31, 6, 0x92, 0x59, 0x58}, NOW_NS);
	set_cmos(&c, 0x04, 0x12, NOW_NS);
	assert_int_equal(cmos(&c, 0x04, NOW_NS), 0x12);
}

static void nonsense_is_some_time(void **state _unused_)
{
	struct chipset c = fresh(false);

	set_cmos(&c, 0x0b, 0x86, NOW_NS);
	for (uint8_t index = 0; index < 128; index++) {
		if (index < 0x0a || index > 0x0d)
			set_cmos(&c, index, 0xff, NOW_NS);
	}
	set_cmos(&c, 0x0b, 0x06, NOW_NS);
	assert_in_range(cmos(&c, 0x00, NOW_NS), 0, 59);
	assert_int_equal(cmos(&c, 0x7f, NOW_NS), 0xff);
	set_cmos(&c, 0x7f, 0x55, NOW_NS);
	assert_int_equal(cmos(&c, 0x7f, NOW_NS), 0x55);
}

static void tick(struct chipset *c, int64_t now_ns)
{
	rtc_tick(&c->rtc, now_ns);
}

static void updates_interrupt_each_second(void **state _unused_)
{
	struct chipset c = fresh(false);

	assert_false(rtc_wants_ticks(&c.rtc));
	tick(&c, NOW_NS);
	assert_false(rtc_irq(&c.rtc));
	set_cmos(&c, 0x0b, 0x12, NOW_NS);
	assert_true(rtc_wants_ticks(&c.rtc));
	assert_false(rtc_irq(&c.rtc));
	tick(&c, NOW_NS);
	assert_true(rtc_irq(&c.rtc));
	assert_int_equal(cmos(&c, 0x0c, NOW_NS), 0x90);
	assert_false(rtc_irq(&c.rtc));
	assert_int_equal(cmos(&c, 0x0c, NOW_NS), 0);
	/* The cause outlives the interrupt that was switched off, and brings it back. */
	tick(&c, NOW_NS);
	set_cmos(&c, 0x0b, 0x02, NOW_NS);
	assert_false(rtc_irq(&c.rtc));
	set_cmos(&c, 0x0b, 0x12, NOW_NS);
	assert_true(rtc_irq(&c.rtc));
	/* SET ends it. */
	set_cmos(&c, 0x0b, 0x92, NOW_NS);
	assert_false(rtc_irq(&c.rtc));
	assert_false(rtc_wants_ticks(&c.rtc));
	assert_int_equal(cmos(&c, 0x0b, NOW_NS), 0x82);
}

static void alarm_comes_at_its_time(void **state _unused_)
{
	struct chipset c = fresh(false);

	set_cmos(&c, 0x01, 0x53, NOW_NS);
	set_cmos(&c, 0x03, 0x41, NOW_NS);
	set_cmos(&c, 0x05, 0x01, NOW_NS);
	set_cmos(&c, 0x0b, 0x22, NOW_NS);
	tick(&c, NOW_NS);
	tick(&c, NOW_NS + NS_PER_SEC);
	assert_false(rtc_irq(&c.rtc));
	tick(&c, NOW_NS + 2 * NS_PER_SEC);
	assert_true(rtc_irq(&c.rtc));
	assert_int_equal(cmos(&c, 0x0c, NOW_NS), 0xb0);
	tick(&c, NOW_NS + 3 * NS_PER_SEC);
	assert_false(rtc_irq(&c.rtc));
	/* Any minute, any hour. */
	set_cmos(&c, 0x03, 0xff, NOW_NS);
	set_cmos(&c, 0x05, 0xc0, NOW_NS);
	tick(&c, NOW_NS + 62 * NS_PER_SEC);
	assert_true(rtc_irq(&c.rtc));
	assert_int_equal(cmos(&c, 0x0c, NOW_NS), 0xb0);
	/* Periodic interrupts are not to be had. */
	set_cmos(&c, 0x0b, 0x42, NOW_NS);
	assert_int_equal(cmos(&c, 0x0b, NOW_NS), 0x02);
}

static uint32_t pci_read(struct chipset *c, uint32_t device, uint8_t reg)
{
	out(c, 0xcf8, 4, 0x80000000 | device << 11 | (reg & 0xfc), 0);
	return in(c, 0xcfc, 4, 0);
}

static void pci_write(struct chipset *c, uint32_t device, uint8_t reg, uint32_t value)
{
	out(c, 0xcf8, 4, 0x80000000 | device << 11 | (reg & 0xfc), 0);
	out(c, 0xcfc, 4, value, 0);
}

static void pci_has_bridge_and_display(void **state _unused_)
{
	struct chipset c = fresh(true);

	assert_true(pci_read(&c, 0, 0) == 0x71928086);
	assert_true(pci_read(&c, 0, 8) == 0x06000000);
	assert_true(pci_read(&c, 8, 0) == 0x53531414);
	assert_true(pci_read(&c, 8, 8) == 0x03000000);
	for (uint32_t device = 0; device < 32; device++) {
		if (device != 0 && device != 8)
			assert_true(pci_read(&c, device, 0) == 0xffffffff);
	}
	/* Other functions and buses; an address that is not enabled. */
	out(&c, 0xcf8, 4, 0x80004100, 0);
	assert_true(in(&c, 0xcfc, 4, 0) == 0xffffffff);
	out(&c, 0xcf8, 4, 0x80010000, 0);
	assert_true(in(&c, 0xcfc, 4, 0) == 0xffffffff);
	out(&c, 0xcf8, 4, 0x00004000, 0);
	assert_true(in(&c, 0xcfc, 4, 0) == 0xffffffff);
	out(&c, 0xcf8, 4, 0xffffffff, 0);
	assert_true(in(&c, 0xcf8, 4, 0) == 0x80fffffc);
	/* Narrow accesses. */
	pci_read(&c, 8, 0);
	assert_int_equal(in(&c, 0xcfe, 2, 0), 0x5353);
	assert_int_equal(in(&c, 0xcfd, 1, 0), 0x14);
	assert_int_equal(pci_read(&c, 8, 0x40), 0);
	assert_int_equal(pci_read(&c, 8, 0xfc), 0);
}

static void base_address_can_be_sized(void **state _unused_)
{
	struct chipset c = fresh(true);

	assert_true(pci_read(&c, 8, 0x10) == WINDOW_GPA);
	pci_write(&c, 8, 0x10, 0xffffffff);
	assert_true(pci_read(&c, 8, 0x10) == (uint32_t)-WINDOW_BYTES);
	pci_write(&c, 8, 0x10, WINDOW_GPA);
	assert_true(pci_read(&c, 8, 0x10) == WINDOW_GPA);
	for (uint8_t reg = 0x14; reg < 0x28; reg += 4) {
		pci_write(&c, 8, reg, 0xffffffff);
		assert_int_equal(pci_read(&c, 8, reg), 0);
	}
	pci_write(&c, 8, 0x30, 0xffffffff);
	assert_int_equal(pci_read(&c, 8, 0x30), 0);
	pci_write(&c, 8, 4, 0xffffffff);
	assert_int_equal(pci_read(&c, 8, 4), 6);
	pci_write(&c, 8, 4, 0);
	assert_int_equal(pci_read(&c, 8, 4), 0);
	pci_write(&c, 8, 0x3c, 0xffffffff);
	assert_int_equal(pci_read(&c, 8, 0x3c), 0xff);
	pci_write(&c, 0, 0, 0);
	assert_true(pci_read(&c, 0, 0) == 0x71928086);
	pci_write(&c, 0, 4, 0);
	assert_int_equal(pci_read(&c, 0, 4), 6);
}

static struct chipset used(bool has_video)
{
	struct chipset c = fresh(has_video);

	out(&c, 0x602, 2, 0x0120, 0);
	set_cmos(&c, 0x04, 0x13, NOW_NS);
	set_cmos(&c, 0x40, 0x77, NOW_NS);
	set_cmos(&c, 0x0b, 0xa2, NOW_NS);
	if (has_video)
		pci_write(&c, 8, 4, 0);
	return c;
}

static int restore(struct chipset *c, const struct buf *state, size_t size_bytes)
{
	struct reader reader = reader_make(state->data, size_bytes);
	int r = chipset_restore(c, &reader);

	return r == 0 && !reader_done(&reader) ? -EBADMSG : r;
}

static void state_survives(void **state _unused_)
{
	for (unsigned has_video = 0; has_video <= 1; has_video++) {
		struct chipset before = used(has_video), after = fresh(has_video);
		struct buf saved = {0}, again = {0};

		chipset_save(&before, &saved);
		assert_int_equal(restore(&after, &saved, saved.size_bytes), 0);
		chipset_save(&after, &again);
		assert_int_equal(saved.size_bytes, again.size_bytes);
		assert_memory_equal(saved.data, again.data, saved.size_bytes);
		assert_int_equal(in(&after, 0x602, 2, 0), 0x0120);
		assert_int_equal(cmos(&after, 0x40, NOW_NS), 0x77);
		assert_int_equal(cmos(&after, 0x04, NOW_NS), 0x13);
		if (has_video)
			assert_int_equal(pci_read(&after, 8, 4), 0);
		for (size_t kept = 0; kept < saved.size_bytes; kept++) {
			after = fresh(has_video);
			assert_int_equal(restore(&after, &saved, kept), -EBADMSG);
		}
		buf_fini(&saved);
		buf_fini(&again);
	}
}

/* Each byte wrong in turn: refused, or a state that could be. */
static void hostile_states_are_harmless(void **state _unused_)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{0, 0xff},            /* events that there are not */
		{2, 0},               /* ACPI mode off */
		{3, 0x20},            /* asleep */
		{4, 0x80},            /* index beyond the bytes */
		{5, 0xa6},            /* updating */
		{6, 0x40},            /* periodic interrupts */
		{7, 0x40},            /* and one that came */
		{7, 0x80},            /* an interrupt without a cause */
		{7, 0x20},            /* a cause without an interrupt */
		{15, 0x7f},           /* a clock beyond all time */
		{4 + 12 + 128, 1},    /* an address with reserved bits */
		{4 + 12 + 128 + 4, 0} /* another vendor */
	};
	struct chipset c = used(true);
	struct buf saved = {0};

	chipset_save(&c, &saved);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t before = saved.data[bad[i].at];

		saved.data[bad[i].at] = bad[i].value;
		c = fresh(true);
		assert_int_equal(restore(&c, &saved, saved.size_bytes), -EBADMSG);
		saved.data[bad[i].at] = before;
	}
	for (size_t at = 0; at < saved.size_bytes; at++) {
		saved.data[at] ^= 0xff;
		c = fresh(true);
		if (restore(&c, &saved, saved.size_bytes) == 0) {
			(void)cmos(&c, 0x00, NOW_NS);
			assert_true(pci_read(&c, 8, 0) == 0x53531414);
		}
		saved.data[at] ^= 0xff;
	}
	buf_fini(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sleep_powers_off),
		cmocka_unit_test(enabled_events_are_kept),
		cmocka_unit_test(resets_reset),
		cmocka_unit_test(clock_shows_the_time),
		cmocka_unit_test(calendar_is_the_usual_one),
		cmocka_unit_test(update_is_announced),
		cmocka_unit_test(clock_that_is_set_goes_on_from_there),
		cmocka_unit_test(nonsense_is_some_time),
		cmocka_unit_test(updates_interrupt_each_second),
		cmocka_unit_test(alarm_comes_at_its_time),
		cmocka_unit_test(pci_has_bridge_and_display),
		cmocka_unit_test(base_address_can_be_sized),
		cmocka_unit_test(state_survives),
		cmocka_unit_test(hostile_states_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
