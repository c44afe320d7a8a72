/* SPDX-License-Identifier: MIT
 *
 * The replicated store when members hang, quorum comes and goes, epochs run full, and messages make
 * no sense.
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

static void hung_member_is_left_out(void **state)
{
	struct bus *bus = cluster_of(3);
	struct bus_outcome outcome;

	(void)state;
	bus_hang(bus, 3, true);
	assert_int_equal(bus_write(bus, 2, "k", 0, "1", &outcome), 0);
	while (bus_is_busy(bus))
		bus_step(bus);
	assert_int_equal(outcome.n_done, 0); /* not before it is safe without node 3 */
	bus_settle(bus);
	assert_int_equal(outcome.n_done, 1);
	assert_int_equal(outcome.error, 0);
	assert_false(rs_member_is_synced(bus_rs(bus, 1), 3));
	write_now(bus, 1, "k", RS_ANY_VERSION, "2");

	bus_hang(bus, 3, false);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 3, "k"), "2");
	bus_free(bus);
}

/* Who is known not to answer is left out before anybody has waited for it, whoever hears of it. */
static void who_is_suspected_is_not_waited_for(void **state)
{
	struct bus_outcome outcome;

	(void)state;
	for (uint32_t hears = 1; hears <= 3; hears++) {
		uint32_t hung = hears % 3 + 1;
		struct bus *bus = cluster_of(3);
		uint64_t began_ns;

		bus_hang(bus, hung, true);
		began_ns = bus_now_ns(bus);
		bus_suspect(bus, hears, hung);
		assert_int_equal(bus_write(bus, hears, "k", 0, "1", &outcome), 0);
		while (outcome.n_done == 0 && bus_now_ns(bus) - began_ns < BUS_SILENCE_NS)
			bus_step(bus);
		assert_true(bus_now_ns(bus) - began_ns < BUS_SILENCE_NS / 4);
		assert_int_equal(outcome.n_done, 1);
		assert_int_equal(outcome.error, 0);
		bus_hang(bus, hung, false);
		bus_settle(bus);
		bus_check_agreement(bus);
		bus_free(bus);
	}
}

/* Somebody who is well takes part again at once. */
static void a_wrong_suspicion_is_harmless(void **state)
{
	struct bus *bus = cluster_of(3);

	(void)state;
	for (uint32_t hears = 1; hears <= 3; hears++) {
		for (uint32_t whom = 1; whom <= 3; whom++) {
			uint64_t began_ns = bus_now_ns(bus);

			bus_suspect(bus, hears, whom);
			bus_settle(bus);
			bus_check_agreement(bus);
			assert_true(bus_now_ns(bus) - began_ns < BUS_SILENCE_NS / 4);
			write_now(bus, whom, "k", RS_ANY_VERSION, "1");
		}
	}
	bus_free(bus);
}

/* Everybody writes on while one hangs: only that one is left out. */
static void busy_members_are_not_taken_for_hung(void **state)
{
	struct bus_outcome outcomes[30];
	struct bus *bus = cluster_of(3);

	(void)state;
	bus_hang(bus, 3, true);
	for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++) {
		assert_int_equal(
			bus_write(bus, 1 + i % 2, "k", RS_ANY_VERSION, "1", &outcomes[i]), 0);
		while (bus_is_busy(bus))
			bus_step(bus);
	}
	bus_settle(bus);
	for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(outcomes[i].n_done == 1 && outcomes[i].error == 0, true);
	assert_int_equal(rs_stats(bus_rs(bus, 1))->n_silent, 1);
	bus_free(bus);
}

static void hung_coordinator_is_left_out(void **state)
{
	struct bus *bus = cluster_of(3);

	(void)state;
	bus_hang(bus, 1, true);
	write_now(bus, 3, "k", 0, "1");
	/* A membership change, which node 1 would have to act on. */
	bus_kill(bus, 2);
	bus_settle(bus);
	assert_int_equal(rs_mode(bus_rs(bus, 3)), RS_NO_QUORUM);
	bus_start(bus, 2);
	bus_settle(bus);
	write_now(bus, 2, "k", RS_ANY_VERSION, "2");
	bus_hang(bus, 1, false);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 1, "k"), "2");
	bus_free(bus);
}

static void too_many_hung_members_stop_writes(void **state)
{
	struct bus *bus = cluster_of(3);
	struct bus_outcome outcome;

	(void)state;
	bus_hang(bus, 2, true);
	bus_hang(bus, 3, true);
	assert_int_equal(bus_write(bus, 1, "k", 0, "1", &outcome), 0);
	bus_settle(bus);
	assert_int_equal(outcome.n_done, 1);
	assert_int_equal(outcome.error, -EIO);
	assert_int_equal(bus_write(bus, 1, "k", 0, "1", &outcome), -EHOSTDOWN);
	bus_hang(bus, 2, false);
	bus_hang(bus, 3, false);
	bus_settle(bus);
	bus_check_agreement(bus);
	bus_free(bus);
}

static void quorum_may_come_and_go_without_a_membership_change(void **state)
{
	struct bus *bus = cluster_of(4);
	struct bus_outcome outcome;

	(void)state;
	bus_set_device_votes(bus, 2); /* needed: 4 of 6 votes, and 3 of the nodes' */
	split_off(bus, 4, 4);
	bus_settle(bus);
	write_now(bus, 1, "k", 0, "1"); /* 3 + 2 */
	bus_set_device_side(bus, BUS_NO_SIDE);
	bus_settle(bus);
	assert_int_equal(bus_write(bus, 1, "k", RS_ANY_VERSION, "2", &outcome), -EHOSTDOWN);
	bus_set_device_side(bus, 1);
	bus_settle(bus);
	write_now(bus, 1, "k", RS_ANY_VERSION, "3");
	bus_heal(bus);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_string_equal(bus_get(bus, 4, "k"), "3");
	bus_free(bus);
}

static void epochs_end_when_positions_do(void **state)
{
	struct bus_outcome outcomes[100];
	struct bus *bus = bus_new(3, 2);
	uint64_t generation;

	(void)state;
	bus_set_max_position(bus, 10);
	for (uint32_t id = 1; id <= 3; id++)
		bus_start(bus, id);
	bus_settle(bus);
	generation = rs_meta(bus_rs(bus, 1))->generation;
	for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(
			bus_write(bus, 1 + i % 3, "k", RS_ANY_VERSION, "1", &outcomes[i]), 0);
	bus_settle(bus);
	for (unsigned i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(outcomes[i].n_done == 1 && outcomes[i].error == 0, true);
	assert_true(rs_meta(bus_rs(bus, 1))->generation >= generation + 10);
	bus_check_agreement(bus);
	bus_free(bus);
}

/* A member that promised more than the others know makes them go higher. */
static void refused_generation_is_raised(void **state)
{
	struct bus *bus = cluster_of(3);
	uint64_t promised;

	(void)state;
	bus_kill(bus, 3);
	bus_settle(bus);
	for (unsigned i = 0; i < 20; i++) {
		/* Alone, each time in a new membership, promising more each time. */
		split_off(bus, 2, 2);
		bus_settle(bus);
		bus_heal(bus);
		bus_settle(bus);
	}
	bus_kill(bus, 1);
	bus_kill(bus, 2);
	bus_settle(bus);
	promised = rs_meta((bus_start(bus, 2), bus_settle(bus), bus_rs(bus, 2)))->promised;
	bus_start(bus, 1);
	bus_start(bus, 3);
	bus_settle(bus);
	bus_check_agreement(bus);
	assert_true(rs_meta(bus_rs(bus, 3))->generation > promised);
	bus_free(bus);
}

static void newer_protocol_stops_a_member(void **state)
{
	struct bus *bus = cluster_of(3);
	struct rs_wire_header header = {
		.magic = htole32(RS_WIRE_MAGIC),
		.version = htole16(RS_WIRE_NEWEST + 1),
	};
	struct bus_outcome outcome;

	(void)state;
	bus_inject(bus, 2, &header, sizeof(header));
	bus_settle(bus);
	for (uint32_t id = 1; id <= 3; id++) {
		assert_int_equal(rs_mode(bus_rs(bus, id)), RS_OUTDATED);
		assert_int_equal(bus_write(bus, id, "k", 0, "1", &outcome), -EHOSTDOWN);
	}
	bus_free(bus);
}

static void nonsense_is_counted_and_dropped(void **state)
{
	struct bus *bus = cluster_of(3);
	uint8_t noise[200];

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)bus_random(bus, 256);
		bus_inject(bus, 2, noise, bus_random(bus, sizeof(noise)));
	}
	bus_settle(bus);
	assert_int_equal(rs_stats(bus_rs(bus, 1))->n_malformed, 100);
	write_now(bus, 3, "k", 0, "1");
	bus_check_agreement(bus);
	bus_free(bus);
}

static void inject(struct bus *bus, uint32_t sender, const struct rs_msg *msg)
{
	struct buf out = {};

	rs_wire_put(&out, msg);
	assert_false(out.failed);
	bus_inject(bus, sender, out.data, out.size_bytes);
	buf_fini(&out);
}

/* Messages that are well-formed and make no sense: from the wrong member, epoch, time. */
static void contradictions_change_nothing(void **state)
{
	static const enum rs_wire_type types[] = {RS_WIRE_STATE, RS_WIRE_UPDATE,
		RS_WIRE_UPDATE_COMPLETE, RS_WIRE_WRITE, RS_WIRE_ACK, RS_WIRE_SYNC_REQUEST,
		RS_WIRE_SYNC_START};
	struct bus *bus = cluster_of(3);
	uint64_t generation = rs_meta(bus_rs(bus, 1))->generation;

	(void)state;
	write_now(bus, 1, "k", 0, "1");
	for (unsigned round = 0; round < 300; round++) {
		struct rs_msg msg = {
			.type = types[bus_random(bus, ARRAY_LEN(types))],
			.epoch = {.generation = generation + bus_random(bus, 3),
				.initiator = 1 + (uint32_t)bus_random(bus, 3),
				.nonce = (uint32_t)bus_random(bus, 1000)},
		};

		if (msg.type == RS_WIRE_SYNC_START || msg.type == RS_WIRE_SYNC_REQUEST)
			msg.sync = (struct rs_sync){.n_participants = 2, .participants = {1, 77}};
		else if (msg.type == RS_WIRE_STATE)
			msg.state = (struct rs_state){.promised = generation, .accepted = true};
		else if (msg.type == RS_WIRE_UPDATE)
			msg.update = (struct rs_update){
				.size_bytes = 3, .total_bytes = 9, .bytes = "abc"};
		else if (msg.type == RS_WIRE_WRITE)
			msg.write = (struct rs_write){.expected = RS_ANY_VERSION,
				.key = "k",
				.key_len = 1,
				.value = "2",
				.value_bytes = 1,
				.ticket = round};
		else if (msg.type == RS_WIRE_ACK)
			msg.ack.position = UINT64_MAX - round;
		inject(bus, 1 + (uint32_t)bus_random(bus, 3), &msg);
		while (bus_is_busy(bus))
			bus_step(bus);
	}
	bus_settle(bus);
	assert_string_equal(bus_get(bus, 2, "k"), "1");
	bus_check_agreement(bus);
	write_now(bus, 3, "k", RS_ANY_VERSION, "3");
	bus_free(bus);
}

static void contradictory_meta_is_refused(void **state)
{
	static const struct rs_ops no_ops;
	const struct rs_config config = {};
	const struct rs_meta backwards = {.generation = 5, .promised = 4};
	const struct rs_meta beyond = {.promised = RS_MAX_GENERATION + 1};
	struct store *store;
	struct rs *rs;

	(void)state;
	assert_int_equal(store_new(&store), 0);
	assert_int_equal(rs_new(&config, &no_ops, NULL, store, &backwards, &rs), -EINVAL);
	assert_int_equal(rs_new(&config, &no_ops, NULL, store, &beyond, &rs), -EINVAL);
	store_free(store);
}

static void pending_writes_end_when_the_connection_does(void **state)
{
	struct bus *bus = cluster_of(3);
	struct bus_outcome sent, queued;

	(void)state;
	assert_int_equal(bus_write(bus, 2, "a", 0, "1", &sent), 0);
	bus_kill(bus, 1);
	for (unsigned i = 0; i < MAX_STEPS && rs_mode(bus_rs(bus, 2)) == RS_SYNCED; i++)
		bus_step(bus);
	assert_int_equal(bus_write(bus, 2, "b", 0, "1", &queued), 0);
	rs_disconnect(bus_rs(bus, 2));
	assert_int_equal(sent.n_done, 1);
	assert_true(sent.error == 0 || sent.error == -EIO || sent.error == -EHOSTDOWN);
	assert_int_equal(queued.n_done, 1);
	assert_int_equal(queued.error, -EHOSTDOWN);
	assert_int_equal(bus_write(bus, 2, "c", 0, "1", &queued), -EHOSTDOWN);
	bus_free(bus);
}

static void a_store_that_changed_by_itself_is_fetched_anew(void **state)
{
	(void)state;
	for (uint32_t id = 1; id <= 3; id++) { /* the leader and whoever asks, too */
		struct bus *bus = cluster_of(3);

		write_now(bus, 2, "k", 0, "100");
		bus_check(bus, 1);
		bus_settle(bus);
		assert_int_equal(rs_stats(bus_rs(bus, id))->n_checks, 1);
		assert_int_equal(rs_stats(bus_rs(bus, id))->n_differing, 0);
		assert_true(bus_corrupt(bus, id));
		assert_string_not_equal(bus_get(bus, id, "k"), "100");
		bus_check(bus, 1);
		bus_settle(bus);
		bus_check_agreement(bus);
		assert_string_equal(bus_get(bus, id, "k"), "100");
		assert_int_equal(rs_stats(bus_rs(bus, 1))->n_differing, 1);
		assert_int_equal(rs_stats(bus_rs(bus, id))->n_updates, 1);
		assert_false(rs_meta(bus_rs(bus, id))->is_worthless);
		bus_free(bus);
	}
}

/* What nodes 1 and 2 have confirmed is only at node 1 when node 2's copy is worth nothing: without
 * node 1 the others do not go on, also after a crash. */
static void a_worthless_copy_makes_no_quorum_with_an_old_one(void **state)
{
	struct bus *bus = cluster_of(3);

	(void)state;
	bus_kill(bus, 3);
	bus_settle(bus);
	write_now(bus, 1, "k", 0, "100");
	assert_true(bus_corrupt(bus, 2));
	bus_check(bus, 1);
	while (!rs_meta(bus_rs(bus, 2))->is_worthless)
		assert_true(bus_step(bus));
	bus_kill(bus, 1);
	bus_settle(bus);
	bus_start(bus, 3);
	bus_settle(bus);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(rs_mode(bus_rs(bus, 2)), RS_NO_QUORUM);
		assert_int_equal(rs_mode(bus_rs(bus, 3)), RS_NO_QUORUM);
		bus_kill(bus, 2);
		bus_start(bus, 2);
		bus_settle(bus);
	}
	assert_true(rs_meta(bus_rs(bus, 2))->is_worthless);
	bus_start(bus, 1);
	bus_settle(bus);
	bus_check_agreement(bus);
	for (uint32_t id = 1; id <= 3; id++)
		assert_string_equal(bus_get(bus, id, "k"), "100");
	bus_free(bus);
}

/* Older members do not know the message. */
static void nothing_is_compared_with_older_members(void **state)
{
	struct bus *bus = bus_new(3, 1);

	(void)state;
	bus_set_speaks(bus, 2, 1, 2);
	for (uint32_t id = 1; id <= 3; id++)
		bus_start(bus, id);
	bus_settle(bus);
	write_now(bus, 2, "k", 0, "100");
	bus_check(bus, 1);
	bus_settle(bus);
	for (uint32_t id = 1; id <= 3; id++) {
		assert_int_equal(rs_stats(bus_rs(bus, id))->n_checks, 0);
		assert_int_equal(rs_stats(bus_rs(bus, id))->n_malformed, 0);
	}
	bus_check_agreement(bus);
	bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_that_changed_by_itself_is_fetched_anew),
		cmocka_unit_test(a_worthless_copy_makes_no_quorum_with_an_old_one),
		cmocka_unit_test(nothing_is_compared_with_older_members),
		cmocka_unit_test(hung_member_is_left_out),
		cmocka_unit_test(who_is_suspected_is_not_waited_for),
		cmocka_unit_test(a_wrong_suspicion_is_harmless),
		cmocka_unit_test(busy_members_are_not_taken_for_hung),
		cmocka_unit_test(hung_coordinator_is_left_out),
		cmocka_unit_test(too_many_hung_members_stop_writes),
		cmocka_unit_test(quorum_may_come_and_go_without_a_membership_change),
		cmocka_unit_test(epochs_end_when_positions_do),
		cmocka_unit_test(refused_generation_is_raised),
		cmocka_unit_test(newer_protocol_stops_a_member),
		cmocka_unit_test(nonsense_is_counted_and_dropped),
		cmocka_unit_test(contradictions_change_nothing),
		cmocka_unit_test(contradictory_meta_is_refused),
		cmocka_unit_test(pending_writes_end_when_the_connection_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
