/* SPDX-License-Identifier: MIT
 *
 * schedule.h - what happens in a random schedule, all of it from its seed: how many nodes, how
 * fast, how often they are disturbed and by what, with everybody writing and owning things
 * meanwhile. At its end everything is repaired, and the cluster has to come together.
 */
#ifndef VIADUCT_TESTS_SIM_SCHEDULE_H
#define VIADUCT_TESTS_SIM_SCHEDULE_H

#include "tests/sim/sim.h"

struct schedule_config {
	uint64_t seed;
	bool is_logged;
	enum bus_mutation mutation;
};

/* The simulation as it ended, for its violation, log and numbers; sim_free() it. */
struct sim *schedule_run(const struct schedule_config *config);

#endif
