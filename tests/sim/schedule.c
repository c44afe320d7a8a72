/* SPDX-License-Identifier: MIT */
#include "tests/sim/schedule.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cluster/rs_core.h"
#include "tests/sim/fleet.h"
#include "tests/sim/history.h"
#include "tests/sim/upgrade.h"

/* Within that time after the last repair everybody has to be synced: a silence for each node that
 * could have been waited for, twice. */
#define RECOVERY_NS(n_nodes) (2 * ((n_nodes) + 1) * BUS_SILENCE_NS)

/* Ticks are most of what happens then. */
#define LEASED_ONE_IN 6

struct schedule {
	struct sim *sim;
	struct bus *bus;
	unsigned n_nodes;
	uint64_t n_steps;
	uint64_t calm;  /* steps between disturbances, about */
	uint64_t quiet; /* steps between writes */
	bool has_leases;
	bool has_device; /* a quorum device */
	bool is_mixed;   /* nodes speak different versions, and are updated */
};

static uint32_t some_node(struct schedule *schedule)
{
	return 1 + (uint32_t)bus_random(schedule->bus, schedule->n_nodes);
}

static void split(struct schedule *schedule)
{
	uint64_t kind = bus_random(schedule->bus, 4);
	uint32_t alone = some_node(schedule);
	unsigned sides[BUS_MAX_NODES + 1] = {};
	char text[200] = "";
	size_t len = 0;

	for (uint32_t id = 1; id <= schedule->n_nodes; id++) {
		if (kind == 0)
			sides[id] = id == alone;
		else
			sides[id] = (unsigned)bus_random(schedule->bus, 1 + kind);
		len += (size_t)snprintf(
			text + len, len < sizeof(text) ? sizeof(text) - len : 0, "%u", sides[id]);
		len = MIN(len, sizeof(text) - 1);
	}
	sim_log(schedule->sim, 0, "the network splits: sides %s", text);
	schedule->sim->stats.n_splits++;
	bus_split(schedule->bus, sides);
}

static void heal(struct schedule *schedule)
{
	sim_log(schedule->sim, 0, "the network heals");
	bus_heal(schedule->bus);
}

static void start(struct schedule *schedule, uint32_t id)
{
	if (!bus_is_running(schedule->bus, id)) {
		if (schedule->is_mixed)
			upgrade_some(schedule->sim, id);
		sim_start(schedule->sim, id);
	} else if (!bus_is_connected(schedule->bus, id))
		bus_connect(schedule->bus, id);
}

static void crash(struct schedule *schedule, uint32_t id)
{
	if (bus_is_running(schedule->bus, id))
		sim_kill(schedule->sim, id);
}

static void disconnect(struct schedule *schedule, uint32_t id)
{
	if (!bus_is_running(schedule->bus, id) || !bus_is_connected(schedule->bus, id) ||
		bus_is_hung(schedule->bus, id))
		return;
	schedule->sim->stats.n_disconnects++;
	bus_disconnect(schedule->bus, id);
}

/* The whole node stands still: for the others it is gone. */
static void freeze(struct schedule *schedule, uint32_t id)
{
	unsigned sides[BUS_MAX_NODES + 1];

	if (!bus_is_running(schedule->bus, id))
		return;
	schedule->sim->stats.n_hangs++;
	bus_hang(schedule->bus, id, true);
	for (uint32_t other = 1; other <= schedule->n_nodes; other++)
		sides[other] = other == id;
	bus_split(schedule->bus, sides);
}

static void hang(struct schedule *schedule, uint32_t id)
{
	if (!bus_is_running(schedule->bus, id))
		return;
	schedule->sim->stats.n_hangs++;
	bus_hang(schedule->bus, id, true);
}

/* It may be true. */
static void suspect(struct schedule *schedule, uint32_t id)
{
	uint32_t whom = some_node(schedule);

	if (!bus_is_running(schedule->bus, id))
		return;
	sim_log(schedule->sim, id, "hears that %u does not answer", whom);
	schedule->sim->stats.n_suspicions++;
	bus_suspect(schedule->bus, id, whom);
}

static void fail_disk(struct schedule *schedule, uint32_t id)
{
	sim_log(schedule->sim, id, "has a disk that fails");
	schedule->sim->stats.n_disk_errors++;
	bus_fail_disk(schedule->bus, id, true);
}

static void stall_disk(struct schedule *schedule, uint32_t id)
{
	bool stalls = bus_random(schedule->bus, 2);

	sim_log(schedule->sim, id,
		stalls ? "has a disk that does not answer" : "has a disk that answers");
	schedule->sim->stats.n_stalls += stalls;
	bus_stall_disk(schedule->bus, id, stalls);
}

static void repair(struct schedule *schedule, uint32_t id)
{
	bus_hang(schedule->bus, id, false);
	bus_fail_disk(schedule->bus, id, false);
	bus_stall_disk(schedule->bus, id, false);
	start(schedule, id);
}

static void crash_all(struct schedule *schedule)
{
	for (uint32_t id = 1; id <= schedule->n_nodes; id++)
		crash(schedule, id);
}

static void act_with_leases(struct schedule *schedule)
{
	for (unsigned i = 0; schedule->has_leases && i < 4 * schedule->n_nodes; i++)
		fleet_act(schedule->sim->fleet, some_node(schedule));
}

/* The time in which a part of the cluster is at work again, and what the others run has not ended:
 * whoever is too quick is caught here. */
static void act_too_soon(struct schedule *schedule)
{
	uint64_t now_ns = bus_now_ns(schedule->bus);

	if (!schedule->has_leases)
		return;
	for (unsigned i = 0; i < 4; i++) {
		bus_run_until(
			schedule->bus, now_ns += bus_random(schedule->bus, BUS_SILENCE_NS / 16));
		act_with_leases(schedule);
	}
}

static void wait(struct schedule *schedule)
{
	uint64_t now_ns = bus_now_ns(schedule->bus);

	bus_run_until(schedule->bus, now_ns + bus_random(schedule->bus, 3 * BUS_SILENCE_NS));
	/* Now, if ever, leases have run out. */
	act_with_leases(schedule);
}

/* To one side, to all that there are, or to nobody. */
static void move_device(struct schedule *schedule, uint32_t id)
{
	static const char *const names[] = {"everybody", "nobody", "the side of"};
	uint64_t kind = bus_random(schedule->bus, 3);

	if (!schedule->has_device)
		return;
	sim_log(schedule->sim, kind == 2 ? id : 0, "the quorum device votes for %s", names[kind]);
	bus_set_device_side(schedule->bus, kind == 0 ? 0 : kind == 1 ? BUS_NO_SIDE : id);
}

static void disturb(struct schedule *schedule)
{
	uint32_t id = some_node(schedule);

	switch (bus_random(schedule->bus, 32)) {
	case 0 ... 3:
		split(schedule);
		act_too_soon(schedule);
		break;
	case 4 ... 9:
		heal(schedule);
		break;
	case 10 ... 12:
		crash(schedule, id);
		break;
	case 13 ... 14:
		stall_disk(schedule, id);
		break;
	case 15 ... 20:
		repair(schedule, id);
		break;
	case 21:
		hang(schedule, id);
		break;
	case 22:
		freeze(schedule, id);
		break;
	case 23:
		disconnect(schedule, id);
		break;
	case 24:
		fail_disk(schedule, id);
		break;
	case 25:
		bus_slow(schedule->bus, id, 1U << bus_random(schedule->bus, 12));
		break;
	case 26:
		bus_slow(schedule->bus, id, 1);
		break;
	case 27:
		if (bus_random(schedule->bus, 4) == 0)
			crash_all(schedule);
		break;
	case 28:
		move_device(schedule, id);
		break;
	case 29:
		suspect(schedule, id);
		break;
	default:
		wait(schedule);
	}
}

static void work(struct schedule *schedule)
{
	uint32_t id = some_node(schedule);

	if (!bus_is_running(schedule->bus, id))
		return;
	if (schedule->is_mixed && bus_random(schedule->bus, 16) == 0)
		upgrade_finish(schedule->sim, id);
	if (bus_random(schedule->bus, 3) == 0)
		fleet_act(schedule->sim->fleet, id);
	else if (bus_random(schedule->bus, 8) == 0)
		bus_check(schedule->bus, id);
	else
		history_write_something(schedule->sim->history, id);
}

static void disturbed_part(struct schedule *schedule)
{
	for (uint64_t i = 0; i < schedule->n_steps && !schedule->sim->violation[0]; i++) {
		if (bus_random(schedule->bus, schedule->calm) == 0)
			disturb(schedule);
		if (bus_random(schedule->bus, schedule->quiet) == 0)
			work(schedule);
		bus_step(schedule->bus);
	}
	schedule->sim->stats.n_steps += schedule->n_steps;
}

static void compare(struct schedule *schedule)
{
	for (uint32_t id = 1; id <= schedule->n_nodes; id++)
		bus_check(schedule->bus, id);
}

/* A store that is not what it should be is found by the next comparison, and is made good. Of two
 * nodes, that of the leader counts. */
static void corrupted_part(struct schedule *schedule)
{
	uint32_t id = schedule->n_nodes;
	struct rs *rs = bus_rs(schedule->bus, id);
	uint64_t n_updates = rs_stats(rs)->n_updates;

	if (rs_protocol(rs) < 3 || rs->peers[rs->leader].id == id ||
		!bus_corrupt(schedule->bus, id))
		return;
	compare(schedule);
	bus_settle(schedule->bus);
	if (rs_stats(rs)->n_updates == n_updates)
		sim_violated(
			schedule->sim, "nobody has noticed that node %u has another store", id);
	schedule->sim->stats.n_corrupted++;
	bus_check_agreement(schedule->bus);
}

/* Writes of everybody are done again, and everybody has them. */
static void last_writes(struct schedule *schedule)
{
	struct sim *sim = schedule->sim;
	uint64_t done = sim->stats.n_done;
	char key[32];

	for (uint32_t id = 1; id <= schedule->n_nodes; id++) {
		snprintf(key, sizeof(key), "last/%u", id);
		history_write(sim->history, id, key, 0, "\"last\"", NULL, NULL);
	}
	bus_settle(schedule->bus);
	if (sim->stats.n_done - done < schedule->n_nodes)
		sim_violated(sim,
			"with everything repaired, only %" PRIu64 " of %u writes are done",
			sim->stats.n_done - done, schedule->n_nodes);
}

static void repaired_part(struct schedule *schedule)
{
	struct sim *sim = schedule->sim;
	uint64_t repaired_ns, took_ns;

	sim_log(sim, 0, "everything is repaired");
	bus_set_leases(schedule->bus, 0); /* so that things come to an end */
	bus_set_calm(schedule->bus);
	for (uint32_t id = 1; id <= schedule->n_nodes; id++)
		repair(schedule, id);
	bus_set_device_side(schedule->bus, 0);
	bus_heal(schedule->bus);
	repaired_ns = bus_now_ns(schedule->bus);
	bus_settle(schedule->bus);
	/* A process that has failed at its disk says so only at the end of its turn. */
	for (uint32_t id = 1; id <= schedule->n_nodes; id++)
		start(schedule, id);
	bus_settle(schedule->bus);
	took_ns = bus_now_ns(schedule->bus) - repaired_ns;
	if (schedule->is_mixed)
		upgrade_all(sim);
	sim->stats.longest_recovery_ns = took_ns;
	if (took_ns > RECOVERY_NS(schedule->n_nodes))
		sim_violated(sim, "it took %u ms until everybody was synced",
			(unsigned)(took_ns / NS_PER_MS));
	bus_check_agreement(schedule->bus);
	if (sim->violation[0])
		return;
	corrupted_part(schedule);
	last_writes(schedule);
	bus_check_agreement(schedule->bus);
	if (schedule->is_mixed)
		upgrade_check_downgrade(sim);
	history_check_end(sim->history);
}

#define N_ROOM_SEEDS 2500

/* Mostly as many as people have; now and then more, and once in a while all there is room for. */
static unsigned n_nodes_of(uint64_t seed)
{
	if (seed % N_ROOM_SEEDS == 7)
		return seed / N_ROOM_SEEDS % 4 == 2 ? RS_MAX_MEMBERS
						    : 13 + (unsigned)(seed / N_ROOM_SEEDS * 7 % 20);
	return seed % 16 ? 2 + (unsigned)(seed % 6) : 8 + (unsigned)(seed / 16 % 5);
}

struct sim *schedule_run(const struct schedule_config *config)
{
	unsigned n_nodes = n_nodes_of(config->seed);
	struct sim *sim = sim_new(n_nodes, config->seed, config->is_logged);
	struct schedule schedule = {.sim = sim, .bus = sim->bus, .n_nodes = n_nodes};

	schedule.is_mixed = config->seed % 8 == 3 && n_nodes <= 12 &&
			    (!config->mutation || config->mutation == BUS_LOSES_HELLOS);
	if (bus_random(sim->bus, 4) == 0)
		bus_set_work(sim->bus, 1 + (unsigned)bus_random(sim->bus, 8));
	schedule.has_device = config->seed % 8 == 5;
	if (schedule.has_device)
		bus_set_device_votes(sim->bus, 1 + (uint32_t)bus_random(sim->bus, n_nodes - 1));
	bus_set_mutation(sim->bus, config->mutation);
	schedule.n_steps = 500ULL << bus_random(sim->bus, 4);
	schedule.calm = 20ULL << bus_random(sim->bus, 6);
	if (n_nodes > 12)
		schedule.n_steps = 1000;
	schedule.quiet = 2ULL << bus_random(sim->bus, 4);
	schedule.has_leases = config->seed % LEASED_ONE_IN == 1;
	if (schedule.has_leases)
		bus_set_leases(sim->bus, LEASE_DURATION_MIN_NS);
	if (bus_random(sim->bus, 7) == 0)
		bus_set_max_position(sim->bus, 40);
	sim_log(sim, 0, "seed %" PRIu64 ": %u nodes, %" PRIu64 " steps", config->seed, n_nodes,
		schedule.n_steps);
	for (uint32_t id = 1; id <= n_nodes; id++)
		start(&schedule, id);
	disturbed_part(&schedule);
	if (!sim->violation[0])
		repaired_part(&schedule);
	for (uint32_t id = 1; id <= n_nodes; id++) {
		if (bus_is_running(sim->bus, id))
			sim_count(sim, id);
	}
	return sim;
}
