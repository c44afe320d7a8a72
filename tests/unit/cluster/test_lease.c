/* SPDX-License-Identifier: MIT
 *
 * Leases, a few cores over one order of messages. What random orders do to them is the simulator's
 * matter (tests/sim).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "cluster/lease.h"

#define N_NODES      3
#define DURATION_NS  (1 * NS_PER_SEC)
#define STEP_NS      (10 * NS_PER_MS)
#define MAX_MESSAGES 4096

/* One order for those who can talk. */
struct message {
	uint32_t sender;
	unsigned side;
	struct buf bytes;
};

struct world {
	struct lease *leases[N_NODES + 1];
	unsigned sides[N_NODES + 1];
	bool hung[N_NODES + 1];
	size_t taken[N_NODES + 1];
	struct message messages[MAX_MESSAGES];
	size_t n_messages;
	uint64_t now_ns;
	struct port {
		struct world *world;
		uint32_t id;
		unsigned n_changes;
	} ports[N_NODES + 1];
};

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct port *port = data;
	struct world *world = port->world;
	struct message *message = &world->messages[world->n_messages++];

	assert_true(world->n_messages < MAX_MESSAGES);
	*message = (struct message){.sender = port->id, .side = world->sides[port->id]};
	buf_bytes(&message->bytes, bytes, size_bytes);
}

static void on_renewed(uint64_t until_ns, void *data)
{
	struct port *port = data;

	assert_true(until_ns > port->world->now_ns);
	assert_true(until_ns <= port->world->now_ns + DURATION_NS);
}

static void on_changed(void *data)
{
	((struct port *)data)->n_changes++;
}

static const struct lease_ops ops = {on_multicast, on_renewed, on_changed};

static void deliver(struct world *world, uint32_t id)
{
	for (; world->taken[id] < world->n_messages && !world->hung[id]; world->taken[id]++) {
		const struct message *message = &world->messages[world->taken[id]];

		if (message->side == world->sides[id])
			lease_deliver(world->leases[id], message->sender, message->bytes.data,
				message->bytes.size_bytes, world->now_ns);
	}
}

static void run(struct world *world, uint64_t ns)
{
	for (uint64_t end_ns = world->now_ns + ns; world->now_ns < end_ns;
		world->now_ns += STEP_NS) {
		for (uint32_t id = 1; id <= N_NODES; id++) {
			uint64_t deadline_ns = lease_deadline(world->leases[id]);

			deliver(world, id);
			if (!world->hung[id] && deadline_ns && deadline_ns <= world->now_ns)
				lease_tick(world->leases[id], world->now_ns);
		}
	}
}

/* sides[id]: who can talk. Quorum is two of three. */
static void split(struct world *world, unsigned one, unsigned two, unsigned three)
{
	const unsigned sides[N_NODES + 1] = {0, one, two, three};

	for (uint32_t id = 1; id <= N_NODES; id++) {
		uint32_t members[N_NODES];
		struct lease_votes votes = {.votes = 1, .quorum_votes = 2};
		size_t n = 0;

		for (uint32_t other = 1; other <= N_NODES; other++) {
			if (sides[other] == sides[id])
				members[n++] = other;
		}
		votes.quorate = n >= 2;
		world->sides[id] = sides[id];
		world->taken[id] = world->n_messages;
		lease_set_votes(world->leases[id], &votes, world->now_ns);
		lease_confchg(world->leases[id], members, n, world->now_ns);
	}
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->now_ns = NS_PER_SEC;
	for (uint32_t id = 1; id <= N_NODES; id++) {
		world->ports[id] = (struct port){world, id, 0};
		assert_int_equal(
			lease_new(DURATION_NS, id, &ops, &world->ports[id], &world->leases[id]), 0);
		lease_connect(world->leases[id], id);
	}
	split(world, 0, 0, 0);
	run(world, DURATION_NS);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	for (uint32_t id = 1; id <= N_NODES; id++)
		lease_free(world->leases[id]);
	for (size_t i = 0; i < world->n_messages; i++)
		buf_fini(&world->messages[i].bytes);
	free(world);
	return 0;
}

static bool holds(const struct world *world, uint32_t id)
{
	return lease_until_ns(world->leases[id]) > world->now_ns;
}

static bool is_gone(const struct world *world, uint32_t by, uint32_t id)
{
	return lease_is_gone(world->leases[by], id);
}

static void goes_on_while_all_are_well(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 100; i++) {
		run(world, DURATION_NS / 10);
		for (uint32_t id = 1; id <= N_NODES; id++) {
			assert_true(holds(world, id));
			assert_true(lease_until_ns(world->leases[id]) >=
				    world->now_ns + DURATION_NS / 2);
			for (uint32_t by = 1; by <= N_NODES; by++)
				assert_false(is_gone(world, by, id));
		}
	}
	for (uint32_t id = 1; id <= N_NODES; id++)
		assert_int_equal(world->ports[id].n_changes, 0);
}

static void who_is_cut_off_ends_before_it_is_gone(void **state)
{
	struct world *world = *state;
	uint64_t cut_ns = world->now_ns;

	split(world, 1, 0, 0);
	while (!is_gone(world, 2, 1)) {
		run(world, STEP_NS);
		assert_true(world->now_ns < cut_ns + 2 * DURATION_NS);
	}
	assert_false(holds(world, 1));
	assert_true(holds(world, 2) && holds(world, 3));
	/* Soon after that: the survivors need a tick of their own. */
	assert_true(world->now_ns <= cut_ns + DURATION_NS + DURATION_NS / 10);
	run(world, DURATION_NS);
	assert_true(is_gone(world, 3, 1));
	assert_false(is_gone(world, 1, 2) || is_gone(world, 1, 3));
	/* First it has parted, then it is gone. */
	assert_true(world->ports[2].n_changes == 2 && world->ports[3].n_changes == 2);
}

static void without_quorum_nobody_is_gone(void **state)
{
	struct world *world = *state;

	split(world, 0, 1, 2);
	run(world, 3 * DURATION_NS);
	for (uint32_t id = 1; id <= N_NODES; id++) {
		assert_false(holds(world, id));
		for (uint32_t by = 1; by <= N_NODES; by++)
			assert_false(is_gone(world, by, id));
	}
}

static void who_comes_back_is_not_gone(void **state)
{
	struct world *world = *state;

	split(world, 1, 0, 0);
	run(world, 2 * DURATION_NS);
	assert_true(is_gone(world, 2, 1));
	split(world, 0, 0, 0);
	assert_false(is_gone(world, 2, 1));
	run(world, DURATION_NS);
	assert_true(holds(world, 1) && !is_gone(world, 2, 1) && !is_gone(world, 3, 1));
}

/* Whoever joins may have been with the one who is away until just now. */
static void a_newcomer_makes_the_others_wait_again(void **state)
{
	struct world *world = *state;

	split(world, 0, 0, 1);
	run(world, DURATION_NS / 2);
	split(world, 0, 1, 1); /* 3 is alone until now, 2 comes from 1 */
	run(world, DURATION_NS - 2 * STEP_NS);
	assert_false(is_gone(world, 3, 1));
	run(world, DURATION_NS / 5);
	assert_true(is_gone(world, 3, 1) && is_gone(world, 2, 1));
	assert_false(holds(world, 1));
}

static void who_hangs_is_revoked_and_comes_back(void **state)
{
	struct world *world = *state;
	uint64_t hung_ns = world->now_ns;

	world->hung[3] = true;
	while (!is_gone(world, 1, 3) || !is_gone(world, 2, 3)) {
		run(world, STEP_NS);
		assert_true(world->now_ns < hung_ns + 4 * DURATION_NS);
	}
	assert_true(world->now_ns >= hung_ns + 2 * DURATION_NS - DURATION_NS / 4);
	assert_false(holds(world, 3));
	world->hung[3] = false;
	run(world, DURATION_NS);
	assert_true(holds(world, 3));
	assert_false(is_gone(world, 1, 3) || is_gone(world, 2, 3));
}

static void a_longer_lease_is_waited_for(void **state)
{
	struct world *world = *state;

	lease_set_duration(world->leases[2], 1, 3 * DURATION_NS);
	split(world, 1, 0, 0);
	run(world, 2 * DURATION_NS);
	assert_true(is_gone(world, 3, 1) && !is_gone(world, 2, 1));
	run(world, 2 * DURATION_NS);
	assert_true(is_gone(world, 2, 1));
}

static void a_connection_that_is_lost_makes_nobody_gone(void **state)
{
	struct world *world = *state;
	uint64_t until_ns;

	split(world, 1, 0, 0);
	run(world, 2 * DURATION_NS);
	until_ns = lease_until_ns(world->leases[2]);
	lease_disconnect(world->leases[2]);
	assert_false(is_gone(world, 2, 1));
	assert_int_equal(lease_deadline(world->leases[2]), 0);
	assert_true(lease_until_ns(world->leases[2]) == until_ns);
}

/* A node that was never met is gone, too, after the usual time. */
static void a_stranger_is_gone_in_time(void **state)
{
	struct world *world = *state;

	run(world, 2 * DURATION_NS);
	assert_true(is_gone(world, 1, 77));
}

static void what_makes_no_sense_is_dropped(void **state)
{
	struct world *world = *state;
	struct lease_wire_tick tick = {
		.header = {LEASE_WIRE_MAGIC, LEASE_WIRE_VERSION, LEASE_WIRE_TICK},
		.life = 9,
		.n_acks = 1000,
	};
	struct lease_wire_revoke revoke = {
		.header = {LEASE_WIRE_MAGIC, LEASE_WIRE_VERSION, LEASE_WIRE_REVOKE},
		.node = 2,
	};

	lease_deliver(world->leases[1], 2, &tick, sizeof(tick), world->now_ns);
	lease_deliver(world->leases[1], 2, &tick, 7, world->now_ns);
	lease_deliver(world->leases[1], 3, &revoke, sizeof(revoke), world->now_ns); /* token 0 */
	revoke.token = 1;
	lease_deliver(world->leases[1], 3, &revoke, sizeof(revoke) - 1, world->now_ns);
	lease_deliver(world->leases[1], 55, &revoke, sizeof(revoke), world->now_ns);
	run(world, 2 * DURATION_NS);
	assert_false(is_gone(world, 1, 2));
	assert_true(holds(world, 1) && holds(world, 2));
}

static void refuses_bad_configurations(void **state)
{
	struct lease *lease;

	(void)state;
	assert_int_equal(lease_new(1, 1, &ops, NULL, &lease), -EINVAL);
	assert_int_equal(lease_new(LEASE_DURATION_MAX_NS + 1, 1, &ops, NULL, &lease), -EINVAL);
	assert_int_equal(lease_new(DURATION_NS, 0, &ops, NULL, &lease), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(goes_on_while_all_are_well),
		TEST(who_is_cut_off_ends_before_it_is_gone),
		TEST(without_quorum_nobody_is_gone),
		TEST(who_comes_back_is_not_gone),
		TEST(a_newcomer_makes_the_others_wait_again),
		TEST(who_hangs_is_revoked_and_comes_back),
		TEST(a_longer_lease_is_waited_for),
		TEST(a_connection_that_is_lost_makes_nobody_gone),
		TEST(a_stranger_is_gone_in_time),
		TEST(what_makes_no_sense_is_dropped),
		cmocka_unit_test(refuses_bad_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
