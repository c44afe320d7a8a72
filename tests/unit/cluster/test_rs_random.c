/* SPDX-License-Identifier: MIT
 *
 * Random schedules: splits, merges, kills, starts, hangs, late quorum, at any moment, with every
 * node writing. What is checked at the end is what rs.h promises. RS_SEED=n runs one schedule only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/cluster/bus.h"

#define N_SEEDS    300
#define N_STEPS    20000
#define N_COUNTERS 3
#define MAX_WRITES 4000

enum write_kind { WRITE_COUNTER, WRITE_UNIQUE, WRITE_DELETE };

struct attempt {
	enum write_kind kind;
	unsigned number; /* of the counter or the unique key */
	uint32_t node;
	uint64_t life; /* of the process that asked; with it, the answer dies */
	struct bus_outcome outcome;
};

struct world {
	struct bus *bus;
	unsigned n_nodes;
	uint64_t lives[BUS_MAX_NODES + 1];
	struct attempt attempts[MAX_WRITES];
	size_t n_attempts;
};

static void write_counter(struct world *world, struct attempt *attempt, uint32_t id)
{
	char key[32], value[32];

	attempt->kind = WRITE_COUNTER;
	attempt->number = (unsigned)bus_random(world->bus, N_COUNTERS);
	snprintf(key, sizeof(key), "counter/%u", attempt->number);
	snprintf(value, sizeof(value), "%lu", strtoul(bus_get(world->bus, id, key), NULL, 10) + 1);
	if (bus_write(world->bus, id, key, bus_version(world->bus, id, key), value,
		    &attempt->outcome) == 0)
		world->n_attempts++;
}

static void write_unique(struct world *world, struct attempt *attempt, uint32_t id)
{
	char key[32];

	attempt->kind = WRITE_UNIQUE;
	attempt->number = (unsigned)world->n_attempts;
	snprintf(key, sizeof(key), "unique/%u", attempt->number);
	if (bus_write(world->bus, id, key, 0, "[\"here\"]", &attempt->outcome) == 0)
		world->n_attempts++;
}

/* A key that comes and goes: its versions must not come back. */
static void write_flicker(struct world *world, struct attempt *attempt, uint32_t id)
{
	uint64_t version = bus_version(world->bus, id, "flicker");

	attempt->kind = WRITE_DELETE;
	if (bus_write(world->bus, id, "flicker", version, version ? NULL : "true",
		    &attempt->outcome) == 0)
		world->n_attempts++;
}

static void write_something(struct world *world)
{
	uint32_t id = 1 + (uint32_t)bus_random(world->bus, world->n_nodes);
	struct attempt *attempt = &world->attempts[world->n_attempts];

	if (!bus_is_running(world->bus, id) || world->n_attempts == MAX_WRITES)
		return;
	*attempt = (struct attempt){.node = id, .life = world->lives[id]};
	switch (bus_random(world->bus, 4)) {
	case 0:
		write_unique(world, attempt, id);
		break;
	case 1:
		write_flicker(world, attempt, id);
		break;
	default:
		write_counter(world, attempt, id);
	}
}

static void split_somehow(struct world *world)
{
	unsigned sides[BUS_MAX_NODES + 1] = {};

	for (uint32_t id = 1; id <= world->n_nodes; id++)
		sides[id] = (unsigned)bus_random(world->bus, 2 + bus_random(world->bus, 2));
	bus_split(world->bus, sides);
}

static void start_or_kill(struct world *world)
{
	uint32_t id = 1 + (uint32_t)bus_random(world->bus, world->n_nodes);

	world->lives[id]++;
	if (bus_is_running(world->bus, id))
		bus_kill(world->bus, id);
	else
		bus_start(world->bus, id);
}

static void disturb(struct world *world)
{
	uint32_t id = 1 + (uint32_t)bus_random(world->bus, world->n_nodes);

	switch (bus_random(world->bus, 8)) {
	case 0:
		split_somehow(world);
		break;
	case 1:
	case 2:
		bus_heal(world->bus);
		break;
	case 3:
		start_or_kill(world);
		break;
	case 4:
		if (!bus_is_running(world->bus, id))
			start_or_kill(world);
		break;
	case 5:
		bus_hang(world->bus, id, bus_is_running(world->bus, id));
		break;
	case 6:
		bus_hang(world->bus, id, false);
		break;
	default:
		bus_wait(world->bus, bus_random(world->bus, 2 * BUS_SILENCE_NS));
	}
}

static void check_counters(struct world *world)
{
	unsigned done[N_COUNTERS] = {}, maybe[N_COUNTERS] = {};
	char key[32];

	for (size_t i = 0; i < world->n_attempts; i++) {
		const struct attempt *attempt = &world->attempts[i];

		if (attempt->kind != WRITE_COUNTER)
			continue;
		if (attempt->outcome.n_done && attempt->outcome.error == 0)
			done[attempt->number]++;
		else if (!attempt->outcome.n_done || attempt->outcome.error == -EIO)
			maybe[attempt->number]++;
	}
	for (unsigned i = 0; i < N_COUNTERS; i++) {
		unsigned long value;

		snprintf(key, sizeof(key), "counter/%u", i);
		value = strtoul(bus_get(world->bus, 1, key), NULL, 10);
		assert_in_range(value, done[i], done[i] + maybe[i]);
	}
}

static void check_attempts(struct world *world)
{
	char key[32];

	for (size_t i = 0; i < world->n_attempts; i++) {
		const struct attempt *attempt = &world->attempts[i];
		bool here;

		/* Exactly once, unless its process was killed. */
		if (attempt->life == world->lives[attempt->node])
			assert_int_equal(attempt->outcome.n_done, 1);
		assert_true(attempt->outcome.n_done <= 1);
		if (attempt->kind != WRITE_UNIQUE || !attempt->outcome.n_done)
			continue;
		snprintf(key, sizeof(key), "unique/%u", attempt->number);
		here = bus_version(world->bus, 1, key);
		if (attempt->outcome.error == 0)
			assert_true(here &&
				    bus_version(world->bus, 1, key) == attempt->outcome.version);
		else if (attempt->outcome.error != -EIO)
			assert_false(here);
	}
}

static void run_schedule(uint64_t seed)
{
	struct world *world = calloc(1, sizeof(*world));
	uint64_t calm = 50 << seed % 6; /* steps between disturbances, about */

	assert_non_null(world);
	world->n_nodes = 3 + (unsigned)(seed % 3);
	world->bus = bus_new(world->n_nodes, seed);
	if (seed % 7 == 0)
		bus_set_max_position(world->bus, 40);
	for (uint32_t id = 1; id <= world->n_nodes; id++)
		bus_start(world->bus, id);
	for (unsigned i = 0; i < N_STEPS; i++) {
		if (bus_random(world->bus, calm) == 0)
			disturb(world);
		if (bus_random(world->bus, 8) == 0)
			write_something(world);
		bus_step(world->bus);
	}
	for (uint32_t id = 1; id <= world->n_nodes; id++) {
		bus_hang(world->bus, id, false);
		if (!bus_is_running(world->bus, id)) {
			world->lives[id]++;
			bus_start(world->bus, id);
		}
	}
	bus_heal(world->bus);
	bus_settle(world->bus);
	bus_check_agreement(world->bus);
	check_counters(world);
	check_attempts(world);
	if (getenv("DBG")) {
		unsigned ok = 0, io = 0, down = 0, stale = 0;
		uint64_t sy = 0, up = 0, v = 0, sil = 0, mal = 0, ign = 0, ap = 0;
		for (size_t i = 0; i < world->n_attempts; i++) {
			struct bus_outcome *o = &world->attempts[i].outcome;
			ok += o->n_done && !o->error;
			io += o->error == -EIO;
			down += o->error == -EHOSTDOWN;
			stale += o->error == -ESTALE;
		}
		for (uint32_t id = 1; id <= world->n_nodes; id++) {
			const struct rs_stats *t = rs_stats(bus_rs(world->bus, id));
			sy += t->n_syncs;
			up += t->n_updates;
			v += t->n_void;
			sil += t->n_silent;
			mal += t->n_malformed;
			ign += t->n_ignored;
			ap += t->n_applied;
		}
		printf("seed %lu: %zu attempts ok %u eio %u down %u stale %u; syncs %lu upd %lu "
		       "void %lu silent %lu mal %lu ign %lu applied %lu gen %lu\n",
			seed, world->n_attempts, ok, io, down, stale, sy, up, v, sil, mal, ign, ap,
			rs_meta(bus_rs(world->bus, 1))->generation);
	}
	bus_free(world->bus);
	free(world);
}

static uint64_t running_seed;

static int say_seed(void **state)
{
	(void)state;
	if (running_seed)
		fprintf(stderr, "the schedule that ran last is RS_SEED=%llu\n",
			(unsigned long long)running_seed);
	return 0;
}

static void random_schedules(void **state)
{
	const char *one = getenv("RS_SEED");
	const char *many = getenv("RS_SEEDS");
	uint64_t n_seeds = many ? strtoull(many, NULL, 10) : N_SEEDS;

	(void)state;
	for (uint64_t seed = 1; seed <= n_seeds; seed++) {
		running_seed = one ? strtoull(one, NULL, 10) : seed;
		run_schedule(running_seed);
		if (one)
			break;
	}
	running_seed = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(random_schedules, say_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
