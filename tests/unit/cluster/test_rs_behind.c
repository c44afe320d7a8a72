/* SPDX-License-Identifier: MIT
 *
 * Members that do not have the epoch's store yet: who waits for them, and when they count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/rs_core.h"
#include "tests/sim/bus.h"

#define MAX_STEPS     1000000
#define LONG_TIME_NS  (3600 * NS_PER_SEC)
#define VALUE_BYTES   40000
#define N_KEYS        60 /* 2.4 MB, some 75 chunks */
#define N_OUTCOMES    20000
#define UNDER_WAY_MAX 100
#define PATIENCE      20 /* ms in which nothing is done any more */

static struct bus_outcome outcomes[N_OUTCOMES];

static void write_now(struct bus *bus, uint32_t id, const char *key, const char *value)
{
	struct bus_outcome outcome;

	assert_int_equal(bus_write(bus, id, key, RS_ANY_VERSION, value, &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.n_done, 1);
	assert_int_equal(outcome.error, 0);
}

/* Nodes 1 and 2 run and have a key; node 3 is still to come. */
static struct bus *two_start(struct bus *bus)
{
	bus_start(bus, 1);
	bus_start(bus, 2);
	bus_settle(bus);
	write_now(bus, 1, "old", "1");
	return bus;
}

/* And a large store. */
static struct bus *two_of_three(void)
{
	struct bus *bus = two_start(bus_new(3, 3));
	char value[VALUE_BYTES + 1], key[32];

	memset(value, 'x', sizeof(value));
	value[0] = value[VALUE_BYTES - 1] = '"';
	value[VALUE_BYTES] = '\0';
	for (unsigned i = 0; i < N_KEYS; i++) {
		snprintf(key, sizeof(key), "fill/%02u", i);
		write_now(bus, 1, key, value);
	}
	return bus;
}

/* That node starts, and comes to where it gets the store. */
static void join(struct bus *bus, uint32_t id)
{
	bus_start(bus, id);
	for (unsigned i = 0; i < MAX_STEPS && rs_mode(bus_rs(bus, id)) != RS_UPDATE; i++)
		assert_true(bus_step(bus));
	assert_int_equal(rs_mode(bus_rs(bus, id)), RS_UPDATE);
}

static unsigned count_done(unsigned n)
{
	unsigned n_done = 0;

	for (unsigned i = 0; i < n; i++) {
		assert_true(outcomes[i].n_done <= 1);
		assert_int_equal(outcomes[i].error, 0);
		n_done += outcomes[i].n_done;
	}
	return n_done;
}

static void writes_do_not_wait_for_who_is_behind(void **state)
{
	struct bus *bus = two_of_three();
	unsigned n = 0, n_done;

	(void)state;
	join(bus, 3);
	for (unsigned i = 0; i < MAX_STEPS && rs_mode(bus_rs(bus, 3)) == RS_UPDATE; i++) {
		if (i % 10 == 0 && n < 200) {
			assert_int_equal(bus_write(bus, 1 + n % 2, "busy", RS_ANY_VERSION, "1",
						 &outcomes[n]),
				0);
			n++;
		}
		bus_step(bus);
	}
	n_done = count_done(n);
	assert_true(n_done > 20);
	assert_int_equal(
		rs_stats(bus_rs(bus, 1))->n_ahead + rs_stats(bus_rs(bus, 2))->n_ahead, n_done);
	bus_settle(bus);
	assert_int_equal(count_done(n), n);
	bus_check_agreement(bus);
	bus_free(bus);
}

/* A write at node 1 is not done before node 3, which is getting the store, is synced. */
static void expect_to_wait(struct bus *bus)
{
	assert_int_equal(bus_write(bus, 1, "k", 0, "1", &outcomes[0]), 0);
	while (!rs_member_is_synced(bus_rs(bus, 1), 3)) {
		assert_int_equal(outcomes[0].n_done, 0);
		assert_true(bus_step(bus));
	}
	bus_settle(bus);
	assert_int_equal(count_done(1), 1);
}

/* Its store is not one of the epoch's generation, until all are known to count it. */
static void who_was_behind_takes_the_generation_later(void **state)
{
	struct bus *bus = two_of_three();
	uint64_t generation = rs_meta(bus_rs(bus, 1))->generation;

	(void)state;
	bus_start(bus, 3);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_true(rs_meta(bus_rs(bus, 1))->generation > generation);
	assert_int_equal(rs_meta(bus_rs(bus, 3))->generation, generation);
	write_now(bus, 3, "k", "1");
	bus_check(bus, 1);
	bus_settle(bus);
	assert_int_equal(rs_stats(bus_rs(bus, 3))->n_checks, 1);
	assert_int_equal(rs_meta(bus_rs(bus, 3))->generation, rs_meta(bus_rs(bus, 1))->generation);
	write_now(bus, 1, "k", "2");
	write_now(bus, 3, "k", "3");
	bus_check_agreement(bus);
	/* Or with the next epoch. */
	bus_kill(bus, 2);
	bus_settle(bus);
	write_now(bus, 1, "k", "4");
	bus_start(bus, 2);
	bus_settle(bus);
	assert_true(rs_meta(bus_rs(bus, 2))->generation < rs_meta(bus_rs(bus, 1))->generation);
	bus_kill(bus, 3);
	bus_settle(bus);
	assert_int_equal(rs_meta(bus_rs(bus, 2))->generation, rs_meta(bus_rs(bus, 1))->generation);
	bus_check_agreement(bus);
	bus_free(bus);
}

/* One of three is no quorum: what it alone has would be lost with it. */
static void they_wait_where_the_others_are_no_quorum(void **state)
{
	struct bus *bus = two_of_three();

	(void)state;
	bus_kill(bus, 2);
	bus_settle(bus);
	join(bus, 3);
	expect_to_wait(bus);
	assert_int_equal(rs_stats(bus_rs(bus, 1))->n_ahead, 0);
	bus_check_agreement(bus);
	bus_free(bus);
}

/* Speakers of version 1 count the votes of a quorum device as copies. */
static void they_wait_in_version_1(void **state)
{
	struct bus *bus = bus_new(3, 3);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		bus_set_speaks(bus, id, 1, 1);
	two_start(bus);
	join(bus, 3);
	expect_to_wait(bus);
	bus_free(bus);
}

/* What was done while node 3 was behind is at those who did it, whoever dies next. */
static void what_was_done_survives_the_leader(void **state)
{
	struct bus *bus = two_of_three();

	(void)state;
	bus_slow(bus, 3, 100);
	join(bus, 3);
	assert_int_equal(bus_write(bus, 1, "k", 0, "1", &outcomes[0]), 0);
	while (outcomes[0].n_done == 0)
		assert_true(bus_step(bus));
	assert_int_equal(outcomes[0].error, 0);
	assert_int_equal(rs_mode(bus_rs(bus, 3)), RS_UPDATE);
	bus_kill(bus, 1);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 3, "k"), "1");
	bus_free(bus);
}

/* Node 4 has the store and writes something that nobody else gets to see, as it is cut off; the
 * others do without it. What they did has to win, also where only one of them meets node 4 again.
 */
static void who_is_not_counted_does_not_lead(void **state)
{
	const unsigned cut[BUS_MAX_NODES + 1] = {[4] = 1};
	unsigned n_at_once = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct bus *bus = bus_new(5, seed);
		struct bus_outcome own;

		for (uint32_t id = 1; id <= 3; id++)
			bus_start(bus, id);
		bus_settle(bus);
		write_now(bus, 1, "old", "1");
		join(bus, 4);
		assert_int_equal(bus_write(bus, 4, "own", 0, "1", &own), 0);
		while (rs_mode(bus_rs(bus, 4)) == RS_UPDATE)
			assert_true(bus_step(bus));
		assert_int_equal(bus_write(bus, 1, "k", 0, "1", &outcomes[0]), 0);
		for (uint64_t i = seed % 16; i > 0; i--)
			bus_step(bus);
		bus_split(bus, cut);
		bus_settle(bus);
		assert_int_equal(outcomes[0].n_done, 1);
		n_at_once += outcomes[0].error == 0 && !bus_version(bus, 1, "own") &&
			     bus_version(bus, 4, "own");
		bus_kill(bus, 1);
		bus_kill(bus, 2);
		bus_start(bus, 5);
		bus_heal(bus);
		bus_settle(bus);
		bus_check_agreement(bus);
		if (outcomes[0].error == 0)
			assert_string_equal(bus_get(bus, 3, "k"), "1");
		bus_free(bus);
	}
	assert_true(n_at_once > 0);
}

/* Node 3 has the store, but not on its disk: it cannot confirm it, and has more and more to catch
 * up with. */
static void the_others_do_not_get_too_far_ahead(void **state)
{
	struct bus *bus = bus_new(3, 3);
	unsigned n = 0, n_done = 0, n_idle = 0;

	(void)state;
	bus_set_pace(bus, BUS_PACE_LAN);
	bus_set_silence(bus, LONG_TIME_NS);
	two_start(bus);
	join(bus, 3);
	bus_stall_disk(bus, 3, true);
	while (n_idle++ < PATIENCE) {
		while (n - n_done < UNDER_WAY_MAX) {
			assert_true(n < N_OUTCOMES);
			assert_int_equal(
				bus_write(bus, 1, "busy", RS_ANY_VERSION, "1", &outcomes[n++]), 0);
		}
		bus_run_until(bus, bus_now_ns(bus) + NS_PER_MS);
		for (; n_done < n && outcomes[n_done].n_done; n_done++)
			n_idle = 0;
	}
	assert_true(n_done > RS_AHEAD_MAX / 2);
	assert_true(n_done <= RS_AHEAD_MAX);
	assert_false(rs_member_is_synced(bus_rs(bus, 1), 3));
	bus_stall_disk(bus, 3, false);
	bus_settle(bus);
	assert_int_equal(count_done(n), n);
	bus_check_agreement(bus);
	bus_free(bus);
}

/* Its own write is in node 3's memory only. Were it to answer, the one other copy could be declared
 * worthless. */
static void who_compares_has_saved_what_it_compares(void **state)
{
	struct bus *bus = bus_new(3, 3);

	(void)state;
	bus_set_silence(bus, LONG_TIME_NS);
	for (uint32_t id = 1; id <= 3; id++)
		bus_start(bus, id);
	bus_settle(bus);
	bus_stall_disk(bus, 3, true);
	assert_int_equal(bus_write(bus, 3, "k", 0, "1", &outcomes[0]), 0);
	while (!bus_version(bus, 1, "k") || !bus_version(bus, 3, "k"))
		assert_true(bus_step(bus));
	bus_check(bus, 1);
	for (unsigned i = 0; i < 1000 && bus_is_busy(bus); i++)
		bus_step(bus);
	assert_int_equal(rs_stats(bus_rs(bus, 1))->n_checks, 0);
	bus_stall_disk(bus, 3, false);
	bus_settle(bus);
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(rs_stats(bus_rs(bus, id))->n_checks, 1);
	assert_int_equal(count_done(1), 1);
	bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_do_not_wait_for_who_is_behind),
		cmocka_unit_test(who_was_behind_takes_the_generation_later),
		cmocka_unit_test(they_wait_where_the_others_are_no_quorum),
		cmocka_unit_test(they_wait_in_version_1),
		cmocka_unit_test(what_was_done_survives_the_leader),
		cmocka_unit_test(who_is_not_counted_does_not_lead),
		cmocka_unit_test(the_others_do_not_get_too_far_ahead),
		cmocka_unit_test(who_compares_has_saved_what_it_compares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
