/* SPDX-License-Identifier: MIT
 *
 * The replicated store, one situation at a time, over the model of corosync in bus.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cluster/rs_wire.h"
#include "tests/sim/bus.h"

#define MAX_STEPS 200000

static struct bus *cluster_of(unsigned n_nodes)
{
	struct bus *bus = bus_new(n_nodes, 1);

	for (uint32_t id = 1; id <= n_nodes; id++)
		bus_start(bus, id);
	bus_settle(bus);
	bus_check_agreement(bus);
	return bus;
}

static void split_off(struct bus *bus, uint32_t a, uint32_t b)
{
	unsigned sides[BUS_MAX_NODES + 1] = {};

	sides[a] = sides[b] = 1;
	bus_split(bus, sides);
}

static uint64_t write_now(
	struct bus *bus, uint32_t id, const char *key, uint64_t expected, const char *value)
{
	struct bus_outcome outcome;

	assert_int_equal(bus_write(bus, id, key, expected, value, &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.n_done, 1);
	assert_int_equal(outcome.error, 0);
	return outcome.version;
}

static void step_until(struct bus *bus, bool (*condition)(struct bus *bus))
{
	for (unsigned i = 0; i < MAX_STEPS; i++) {
		if (condition(bus))
			return;
		assert_true(bus_step(bus));
	}
	fail_msg("what was waited for does not happen");
}

static void alone(void **state)
{
	struct bus *bus = cluster_of(1);
	uint64_t version;

	(void)state;
	version = write_now(bus, 1, "a", 0, "1");
	assert_true(bus_version(bus, 1, "a") == version);
	assert_string_equal(bus_get(bus, 1, "a"), "1");
	bus_kill(bus, 1);
	bus_start(bus, 1);
	bus_settle(bus);
	assert_string_equal(bus_get(bus, 1, "a"), "1");
	assert_true(write_now(bus, 1, "a", version, "2") > version);
	bus_check_agreement(bus);
	bus_free(bus);
}

static void written_here_read_there(void **state)
{
	struct bus *bus = cluster_of(3);
	struct bus_outcome outcome;
	uint64_t first, second;

	(void)state;
	first = write_now(bus, 1, "vm/VM1", 0, "{\"vcpus\":2}");
	assert_string_equal(bus_get(bus, 3, "vm/VM1"), "{\"vcpus\":2}");
	assert_true(bus_version(bus, 3, "vm/VM1") == first);
	second = write_now(bus, 2, "vm/VM1", first, "{\"vcpus\":4}");
	assert_true(second > first);

	/* The same comparison again fails, and says what is there. */
	assert_int_equal(bus_write(bus, 3, "vm/VM1", first, "0", &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.error, -ESTALE);
	assert_true(outcome.version == second);
	assert_string_equal(bus_get(bus, 1, "vm/VM1"), "{\"vcpus\":4}");
	bus_check_agreement(bus);
	bus_free(bus);
}

static void deleted_keys_get_new_versions(void **state)
{
	struct bus *bus = cluster_of(3);
	struct bus_outcome outcome;
	uint64_t first, second;

	(void)state;
	first = write_now(bus, 1, "k", 0, "1");
	assert_true(write_now(bus, 2, "k", first, NULL) == 0);
	assert_true(bus_version(bus, 3, "k") == 0);
	assert_true(write_now(bus, 2, "k", RS_ANY_VERSION, NULL) == 0); /* nothing to delete */
	second = write_now(bus, 3, "k", 0, "1");
	assert_true(second > first);
	assert_int_equal(bus_write(bus, 1, "k", first, "2", &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.error, -ESTALE);
	bus_check_agreement(bus);
	bus_free(bus);
}

static void bad_requests_are_refused_at_once(void **state)
{
	static char large[RS_VALUE_MAX_BYTES + 2];
	char long_key[RS_KEY_MAX_LEN + 2];
	struct bus *bus = cluster_of(1);
	struct bus_outcome outcome;

	(void)state;
	memset(large, '1', sizeof(large) - 1);
	memset(long_key, 'k', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = '\0';
	assert_int_equal(bus_write(bus, 1, "", 0, "1", &outcome), -EINVAL);
	assert_int_equal(bus_write(bus, 1, "a\nb", 0, "1", &outcome), -EINVAL);
	assert_int_equal(bus_write(bus, 1, "\xc3\xa4", 0, "1", &outcome), -EINVAL);
	assert_int_equal(bus_write(bus, 1, long_key, 0, "1", &outcome), -EINVAL);
	assert_int_equal(bus_write(bus, 1, "a", 0, "", &outcome), -EINVAL);
	assert_int_equal(bus_write(bus, 1, "a", 0, large, &outcome), -EMSGSIZE);
	/* What is not JSON all members refuse alike. */
	assert_int_equal(bus_write(bus, 1, "a", 0, "{", &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.error, -EBADMSG);
	bus_check_agreement(bus);
	bus_free(bus);
}

static void too_many_writes_are_refused(void **state)
{
	static struct bus_outcome outcomes[RS_MAX_WRITES + 1];
	struct bus *bus = cluster_of(2);

	(void)state;
	for (unsigned i = 0; i < RS_MAX_WRITES; i++)
		assert_int_equal(bus_write(bus, 1, "k", RS_ANY_VERSION, "1", &outcomes[i]), 0);
	assert_int_equal(
		bus_write(bus, 1, "k", RS_ANY_VERSION, "1", &outcomes[RS_MAX_WRITES]), -ENOBUFS);
	bus_settle(bus);
	for (unsigned i = 0; i < RS_MAX_WRITES; i++)
		assert_int_equal(outcomes[i].n_done, 1);
	write_now(bus, 1, "k", RS_ANY_VERSION, "2");
	bus_free(bus);
}

static void others_go_on_when_one_leaves(void **state)
{
	struct bus *bus = cluster_of(3);

	(void)state;
	write_now(bus, 3, "a", 0, "1");
	bus_kill(bus, 3);
	bus_settle(bus);
	bus_check_agreement(bus);
	write_now(bus, 1, "b", 0, "2");
	bus_start(bus, 3);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 3, "b"), "2");
	assert_int_equal(bus_n_changes(bus, 3), 1); /* it had the rest on its disk */
	bus_free(bus);
}

static void minority_does_not_write(void **state)
{
	struct bus *bus = cluster_of(5);
	struct bus_outcome lost, outcome;

	(void)state;
	write_now(bus, 4, "before", 0, "1");
	split_off(bus, 4, 5);
	/* It does not know yet. */
	assert_int_equal(bus_write(bus, 4, "minority", 0, "1", &lost), 0);
	bus_settle(bus);
	assert_int_equal(lost.n_done, 1);
	assert_true(lost.error == -EIO || lost.error == -EHOSTDOWN);
	assert_int_equal(rs_mode(bus_rs(bus, 4)), RS_NO_QUORUM);
	assert_int_equal(bus_write(bus, 4, "minority", 0, "1", &outcome), -EHOSTDOWN);
	assert_string_equal(bus_get(bus, 4, "before"), "1"); /* reads go on */

	write_now(bus, 1, "majority", 0, "1");
	bus_heal(bus);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 5, "majority"), "1");
	assert_string_equal(bus_get(bus, 1, "minority"), "");
	bus_free(bus);
}

static void two_halves_of_four_are_no_quorum(void **state)
{
	struct bus *bus = cluster_of(4);
	struct bus_outcome outcome;

	(void)state;
	split_off(bus, 3, 4);
	bus_settle(bus);
	for (uint32_t id = 1; id <= 4; id++)
		assert_int_equal(bus_write(bus, id, "k", 0, "1", &outcome), -EHOSTDOWN);
	bus_set_device_side(bus, 4);
	bus_set_device_votes(bus, 1);
	bus_settle(bus);
	assert_int_equal(rs_mode(bus_rs(bus, 1)), RS_NO_QUORUM);
	/* It breaks the tie for corosync, and has no copy of the store. */
	assert_int_equal(rs_mode(bus_rs(bus, 3)), RS_NO_QUORUM);
	bus_free(bus);
}

/* A node whose corosync runs without the daemon has a vote, but no store. */
static void quorum_is_counted_over_daemons(void **state)
{
	struct bus *bus = bus_new(3, 1);
	struct bus_outcome outcome;

	(void)state;
	bus_start(bus, 1);
	bus_settle(bus);
	assert_int_equal(rs_mode(bus_rs(bus, 1)), RS_NO_QUORUM);
	assert_int_equal(bus_write(bus, 1, "k", 0, "1", &outcome), -EHOSTDOWN);
	bus_start(bus, 3);
	bus_settle(bus);
	bus_check_agreement(bus);
	write_now(bus, 3, "k", 0, "1");
	bus_free(bus);
}

static bool node3_is_synced(struct bus *bus)
{
	return rs_mode(bus_rs(bus, 3)) == RS_SYNCED;
}

static bool node3_is_updating(struct bus *bus)
{
	return rs_mode(bus_rs(bus, 3)) == RS_UPDATE;
}

static void fill(struct bus *bus, unsigned n_keys, size_t value_bytes)
{
	struct bus_outcome outcome;
	char *value = malloc(value_bytes + 1);
	char key[32];

	assert_non_null(value);
	memset(value, 'x', value_bytes);
	value[0] = value[value_bytes - 1] = '"';
	value[value_bytes] = '\0';
	for (unsigned i = 0; i < n_keys; i++) {
		snprintf(key, sizeof(key), "fill/%04u", i);
		assert_int_equal(bus_write(bus, 1, key, 0, value, &outcome), 0);
		bus_settle(bus);
		assert_int_equal(outcome.error, 0);
	}
	free(value);
}

static void joiner_gets_the_state_while_writes_go_on(void **state)
{
	static struct bus_outcome outcomes[200];
	struct bus *bus = bus_new(3, 3);
	unsigned n = 0, n_done = 0;

	(void)state;
	bus_start(bus, 1);
	bus_start(bus, 2);
	bus_settle(bus);
	fill(bus, 60, 40000); /* 2.4 MB, some 75 chunks */
	bus_start(bus, 3);
	step_until(bus, node3_is_updating);
	for (unsigned i = 0; i < 2000 && !node3_is_synced(bus); i++) {
		if (i % 10 == 0 && n < ARRAY_LEN(outcomes))
			assert_int_equal(bus_write(bus, 1 + n % 2, "busy", RS_ANY_VERSION, "1",
						 &outcomes[n]),
				0),
				n++;
		bus_step(bus);
	}
	assert_true(n > 50);
	/* The members have applied them, though the newcomer cannot have confirmed any. */
	assert_true(bus_version(bus, 1, "busy") != 0);
	bus_settle(bus);
	for (unsigned i = 0; i < n; i++)
		n_done += outcomes[i].n_done == 1 && outcomes[i].error == 0;
	assert_int_equal(n_done, n);
	bus_check_agreement(bus);
	assert_int_equal(bus_n_changes(bus, 3) >= 61, true);
	bus_free(bus);
}

static void handover_survives_the_death_of_the_leader(void **state)
{
	struct bus *bus = bus_new(4, 5);

	(void)state;
	for (uint32_t id = 1; id <= 3; id++)
		bus_start(bus, id);
	bus_settle(bus);
	fill(bus, 40, 40000);
	bus_start(bus, 4);
	for (unsigned i = 0; i < MAX_STEPS && rs_mode(bus_rs(bus, 4)) != RS_UPDATE; i++)
		bus_step(bus);
	for (unsigned i = 0; i < 60; i++)
		bus_step(bus);
	assert_int_equal(rs_mode(bus_rs(bus, 4)), RS_UPDATE);
	bus_kill(bus, 1);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_int_equal(rs_stats(bus_rs(bus, 4))->n_updates, 1);
	assert_int_equal(store_n_keys(rs_store(bus_rs(bus, 4))), 40);
	bus_free(bus);
}

static void handover_is_restarted_by_another_join(void **state)
{
	struct bus *bus = bus_new(5, 6);

	(void)state;
	for (uint32_t id = 1; id <= 4; id++)
		bus_start(bus, id);
	bus_settle(bus);
	fill(bus, 40, 40000);
	bus_kill(bus, 3);
	bus_settle(bus);
	write_now(bus, 1, "news", 0, "1");
	bus_start(bus, 3);
	step_until(bus, node3_is_updating);
	bus_start(bus, 5);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 5, "news"), "1");
	bus_free(bus);
}

/* Who was isolated with the later clock, or more starts, does not win: the quorate generation does.
 */
static void isolated_node_does_not_win(void **state)
{
	struct bus *bus = cluster_of(3);

	(void)state;
	write_now(bus, 3, "k", 0, "\"old\"");
	bus_kill(bus, 3);
	bus_settle(bus);
	write_now(bus, 1, "k", RS_ANY_VERSION, "\"new\"");
	bus_kill(bus, 1);
	bus_kill(bus, 2);
	bus_settle(bus);
	for (unsigned i = 0; i < 5; i++) {
		bus_start(bus, 3);
		bus_settle(bus);
		assert_int_equal(rs_mode(bus_rs(bus, 3)), RS_NO_QUORUM);
		bus_kill(bus, 3);
		bus_settle(bus);
	}
	bus_start(bus, 3);
	bus_start(bus, 1);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 3, "k"), "\"new\"");
	bus_free(bus);
}

static void everybody_increments(void **state)
{
	struct bus_outcome outcomes[BUS_MAX_NODES + 1] = {};
	unsigned done[BUS_MAX_NODES + 1] = {};
	struct bus *bus = cluster_of(5);
	unsigned total = 0;
	char value[16];

	(void)state;
	for (unsigned round = 0; total < 100; round++) {
		assert_true(round < 1000);
		for (uint32_t id = 1; id <= 5; id++) {
			snprintf(value, sizeof(value), "%lu",
				strtoul(bus_get(bus, id, "counter"), NULL, 10) + 1);
			assert_int_equal(
				bus_write(bus, id, "counter", bus_version(bus, id, "counter"),
					value, &outcomes[id]),
				0);
		}
		bus_settle(bus);
		for (uint32_t id = 1; id <= 5; id++) {
			assert_int_equal(outcomes[id].n_done, 1);
			done[id] += outcomes[id].error == 0;
			total += outcomes[id].error == 0;
		}
		/* One of those that compared with the same version. */
		assert_int_equal(total, round + 1);
	}
	snprintf(value, sizeof(value), "%u", total);
	assert_string_equal(bus_get(bus, 2, "counter"), value);
	bus_free(bus);
}

/* Members join at the moment a write is under way: the writer does not notice. */
static void writes_outlive_their_epoch(void **state)
{
	uint64_t n_void = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct bus_outcome outcomes[10];
		struct bus *bus = bus_new(3, seed);

		bus_start(bus, 1);
		bus_start(bus, 2);
		bus_settle(bus);
		for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
			assert_int_equal(
				bus_write(bus, 1, "k", RS_ANY_VERSION, "1", &outcomes[i]), 0);
		bus_start(bus, 3);
		bus_settle(bus);
		for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
			assert_int_equal(outcomes[i].n_done == 1 && outcomes[i].error == 0, true);
		n_void += rs_stats(bus_rs(bus, 1))->n_void;
		bus_check_agreement(bus);
		bus_free(bus);
	}
	assert_true(n_void > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone),
		cmocka_unit_test(written_here_read_there),
		cmocka_unit_test(deleted_keys_get_new_versions),
		cmocka_unit_test(bad_requests_are_refused_at_once),
		cmocka_unit_test(too_many_writes_are_refused),
		cmocka_unit_test(others_go_on_when_one_leaves),
		cmocka_unit_test(minority_does_not_write),
		cmocka_unit_test(two_halves_of_four_are_no_quorum),
		cmocka_unit_test(quorum_is_counted_over_daemons),
		cmocka_unit_test(joiner_gets_the_state_while_writes_go_on),
		cmocka_unit_test(handover_survives_the_death_of_the_leader),
		cmocka_unit_test(handover_is_restarted_by_another_join),
		cmocka_unit_test(isolated_node_does_not_win),
		cmocka_unit_test(everybody_increments),
		cmocka_unit_test(writes_outlive_their_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
