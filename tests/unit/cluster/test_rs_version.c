/* SPDX-License-Identifier: MIT
 *
 * Members that speak different versions of the protocol, and as many of them as there is room for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cluster/rs.h"
#include "tests/sim/bus.h"

static void start(struct bus *bus, uint32_t id, uint16_t oldest, uint16_t newest)
{
	if (bus_is_running(bus, id))
		bus_kill(bus, id);
	bus_set_speaks(bus, id, oldest, newest);
	bus_start(bus, id);
	bus_settle(bus);
}

static uint64_t write_now(struct bus *bus, uint32_t id, const char *key, const char *value)
{
	struct bus_outcome outcome;

	assert_int_equal(bus_write(bus, id, key, RS_ANY_VERSION, value, &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.n_done, 1);
	assert_int_equal(outcome.error, 0);
	return outcome.version;
}

/* generation, position, writer */
static void assert_version(uint64_t version, unsigned bits, uint64_t position, uint64_t writer)
{
	assert_int_equal((uint32_t)version >> bits, position);
	assert_int_equal(version & ((1U << bits) - 1), writer);
}

static void the_oldest_is_spoken(void **state)
{
	struct bus *bus = bus_new(3, 1);

	(void)state;
	start(bus, 1, 1, 2);
	start(bus, 2, 1, 3);
	start(bus, 3, 1, 1);
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(rs_protocol(bus_rs(bus, id)), 1);
	assert_int_equal(rs_member_newest(bus_rs(bus, 1), 2), 3);
	assert_int_equal(rs_member_newest(bus_rs(bus, 2), 3), 1);
	assert_version(write_now(bus, 2, "a", "1"), RS_WRITER_BITS_V1, 1, 1);
	start(bus, 3, 1, 3);
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(rs_protocol(bus_rs(bus, id)), 2);
	assert_version(write_now(bus, 2, "a", "1"), RS_WRITER_BITS, 1, 1);
	bus_check_agreement(bus);
	bus_free(bus);
}

static void below_the_floor_is_kept_out(void **state)
{
	struct bus *bus = bus_new(3, 2);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		start(bus, id, 1, 3);
	write_now(bus, 1, RS_PROTOCOL_KEY, "{\"floor\":3}");
	assert_int_equal(rs_floor(bus_rs(bus, 2)), 3);
	for (uint16_t newest = 1; newest <= 2; newest++) {
		start(bus, 1, 1, newest);
		assert_int_equal(rs_mode(bus_rs(bus, 1)), RS_OUTDATED);
		assert_int_equal(rs_needed(bus_rs(bus, 1)), 3);
		assert_false(rs_member_is_synced(bus_rs(bus, 2), 1));
		write_now(bus, 2, "a", "1");
	}
	start(bus, 1, 2, 3);
	bus_check_agreement(bus);
	assert_int_equal(rs_needed(bus_rs(bus, 1)), 0);
	bus_free(bus);
}

/* Its own disk tells, before anybody else does. */
static void alone_below_the_floor(void **state)
{
	struct bus *bus = bus_new(1, 3);

	(void)state;
	start(bus, 1, 1, 3);
	write_now(bus, 1, RS_PROTOCOL_KEY, "{\"floor\":3}");
	start(bus, 1, 1, 2);
	assert_int_equal(rs_mode(bus_rs(bus, 1)), RS_OUTDATED);
	assert_int_equal(rs_needed(bus_rs(bus, 1)), 3);
	bus_free(bus);
}

static void too_new_is_kept_out(void **state)
{
	struct bus *bus = bus_new(3, 4);

	(void)state;
	start(bus, 1, 3, 3);
	start(bus, 2, 1, 2);
	start(bus, 3, 1, 2);
	assert_int_equal(rs_mode(bus_rs(bus, 1)), RS_OUTDATED);
	assert_int_equal(rs_needed(bus_rs(bus, 1)), 2);
	write_now(bus, 2, "a", "1");
	/* The others are updated: it is let in as it is. */
	start(bus, 2, 1, 3);
	start(bus, 3, 1, 3);
	bus_check_agreement(bus);
	bus_free(bus);
}

static void room_for_64(void **state)
{
	struct bus *bus = bus_new(64, 5);
	char key[16];

	(void)state;
	for (uint32_t id = 1; id <= 64; id++)
		bus_start(bus, id);
	bus_settle(bus);
	for (uint32_t id = 1; id <= 64; id += 9) {
		snprintf(key, sizeof(key), "key/%u", id);
		assert_int_equal(write_now(bus, id, key, "1") & 0xff, id - 1);
	}
	bus_check_agreement(bus);
	bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_is_spoken),
		cmocka_unit_test(below_the_floor_is_kept_out),
		cmocka_unit_test(alone_below_the_floor),
		cmocka_unit_test(too_new_is_kept_out),
		cmocka_unit_test(room_for_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
