/* SPDX-License-Identifier: MIT */
#include "node/hv/io_bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct device {
	unsigned n;
	struct io_access last;
};

static void device_access(void *opaque, struct vp *vp _unused_, struct io_access *access)
{
	struct device *device = opaque;

	device->last = *access;
	device->n++;
	if (!access->is_write)
		access->value = 0x11223300 + device->n;
}

static void ranges_do_not_overlap(void **state _unused_)
{
	struct io_bus bus = {0};
	struct device device = {0};

	assert_int_equal(io_bus_add(&bus, 0x3f8, 8, device_access, &device), 0);
	assert_int_equal(io_bus_add(&bus, 0x3f8, 1, device_access, &device), -EEXIST);
	assert_int_equal(io_bus_add(&bus, 0x3ff, 2, device_access, &device), -EEXIST);
	assert_int_equal(io_bus_add(&bus, 0x3f0, 9, device_access, &device), -EEXIST);
	assert_int_equal(io_bus_add(&bus, 0x3f0, 8, device_access, &device), 0);
	assert_int_equal(io_bus_add(&bus, 0xffff, 2, device_access, &device), -EINVAL);
	assert_int_equal(io_bus_add(&bus, 0xffff, 1, device_access, &device), 0);
	assert_int_equal(io_bus_add(&bus, 0x10, 0, device_access, &device), -EINVAL);
	for (uint16_t port = 0x1000; bus.n_ranges < IO_BUS_MAX_RANGES; port++)
		assert_int_equal(io_bus_add(&bus, port, 1, device_access, &device), 0);
	assert_int_equal(io_bus_add(&bus, 0x2000, 1, device_access, &device), -ENOSPC);
}

static void accesses_find_their_device(void **state _unused_)
{
	struct io_bus bus = {0};
	struct device device = {0};
	uint16_t data = 0xbeef;

	assert_int_equal(io_bus_add(&bus, 0x3f8, 8, device_access, &device), 0);
	io_bus_accesses(&bus, NULL, 0x3ff, true, 2, 1, &data);
	assert_int_equal(device.n, 1);
	assert_int_equal(device.last.port, 0x3ff);
	assert_int_equal(device.last.value, 0xbeef);
	io_bus_accesses(&bus, NULL, 0x400, true, 2, 1, &data);
	io_bus_accesses(&bus, NULL, 0x3f7, true, 2, 1, &data);
	assert_int_equal(device.n, 1);
}

static void strings_are_one_access_each(void **state _unused_)
{
	struct io_bus bus = {0};
	struct device device = {0};
	uint8_t data[4] = {0};

	assert_int_equal(io_bus_add(&bus, 0x60, 1, device_access, &device), 0);
	io_bus_accesses(&bus, NULL, 0x60, false, 1, 3, data);
	assert_int_equal(device.n, 3);
	assert_memory_equal(data, "\1\2\3\0", 4);
}

static void nobody_answers_all_ones(void **state _unused_)
{
	struct io_bus bus = {0};
	uint32_t data[2] = {0, 0};

	io_bus_accesses(&bus, NULL, 0x80, false, 4, 1, data);
	assert_int_equal(data[0], 0xffffffff);
	assert_int_equal(data[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_do_not_overlap),
		cmocka_unit_test(accesses_find_their_device),
		cmocka_unit_test(strings_are_one_access_each),
		cmocka_unit_test(nobody_answers_all_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
