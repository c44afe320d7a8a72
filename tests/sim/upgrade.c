/* SPDX-License-Identifier: MIT */
#include "tests/sim/upgrade.h"

#include <stdio.h>

#include "cluster/rs_proto.h"

void upgrade_some(struct sim *sim, uint32_t id)
{
	uint16_t newest = (uint16_t)(1 + bus_random(sim->bus, UPGRADE_NEWEST));

	/* What has once been installed is mostly not replaced by something older. */
	if (bus_random(sim->bus, 4))
		newest = MAX(newest, sim->newest[id]);
	sim->newest[id] = newest;
	sim_log(sim, id, "speaks versions up to %u", newest);
	bus_set_speaks(sim->bus, id, 1, newest);
}

static uint16_t newest_of_all(struct sim *sim, uint32_t id)
{
	uint16_t newest = UINT16_MAX;

	for (uint32_t other = 1; other <= bus_n_nodes(sim->bus); other++)
		newest = MIN(newest, rs_member_newest(bus_rs(sim->bus, id), other));
	return newest;
}

static int raise(struct sim *sim, uint32_t id, uint16_t floor)
{
	char value[32];

	snprintf(value, sizeof(value), "{\"floor\":%u}", floor);
	sim_log(sim, id, "raises the floor to %u", floor);
	sim->stats.n_raised++;
	return bus_write_cb(sim->bus, id, RS_PROTOCOL_KEY, RS_ANY_VERSION, value, NULL, NULL);
}

void upgrade_finish(struct sim *sim, uint32_t id)
{
	struct rs *rs = bus_rs(sim->bus, id);
	uint16_t floor;

	if (rs_mode(rs) != RS_SYNCED)
		return;
	floor = newest_of_all(sim, id);
	if (floor > MAX(rs_floor(rs), (uint16_t)1))
		raise(sim, id, floor);
}

static void update(struct sim *sim, uint32_t id, uint16_t newest)
{
	sim_log(sim, id, "is updated to version %u", newest);
	sim->newest[id] = newest;
	bus_set_speaks(sim->bus, id, 1, newest);
	sim_kill(sim, id);
	sim_start(sim, id);
	bus_settle(sim->bus);
}

void upgrade_all(struct sim *sim)
{
	for (uint32_t id = 1; id <= bus_n_nodes(sim->bus); id++) {
		if (sim->newest[id] < UPGRADE_NEWEST)
			update(sim, id, UPGRADE_NEWEST);
	}
}

static void check_others(struct sim *sim, uint32_t old)
{
	for (uint32_t id = 1; id <= bus_n_nodes(sim->bus); id++) {
		struct rs *rs = bus_rs(sim->bus, id);
		enum rs_mode expected = bus_n_nodes(sim->bus) > 2 ? RS_SYNCED : RS_NO_QUORUM;

		if (id == old)
			continue;
		if (rs_mode(rs) != expected)
			sim_violated(sim,
				"node %u does not go on without node %u, which is too old", id,
				old);
		else if (expected == RS_SYNCED && rs_protocol(rs) != UPGRADE_NEWEST)
			sim_violated(
				sim, "node %u talks down to node %u, below the floor", id, old);
	}
}

void upgrade_check_downgrade(struct sim *sim)
{
	uint32_t old = 1 + (uint32_t)bus_random(sim->bus, bus_n_nodes(sim->bus));

	if (raise(sim, old, UPGRADE_NEWEST) < 0)
		sim_violated(sim, "the floor cannot be raised");
	bus_settle(sim->bus);
	update(sim, old, (uint16_t)(1 + bus_random(sim->bus, UPGRADE_NEWEST - 1)));
	if (rs_mode(bus_rs(sim->bus, old)) != RS_OUTDATED)
		sim_violated(sim, "node %u is too old and takes part", old);
	else if (rs_needed(bus_rs(sim->bus, old)) != UPGRADE_NEWEST)
		sim_violated(sim, "node %u is not told which version is needed", old);
	check_others(sim, old);
	update(sim, old, UPGRADE_NEWEST);
	if (!sim->violation[0])
		bus_check_agreement(sim->bus);
}
