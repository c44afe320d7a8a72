/* SPDX-License-Identifier: MIT
 *
 * sim_cluster.h - cluster.h's store at one node of a simulation, in place of cluster.c, for what
 * is built on it: owner.c runs as it is shipped.
 */
#ifndef VIADUCT_TESTS_SIM_SIM_CLUSTER_H
#define VIADUCT_TESTS_SIM_SIM_CLUSTER_H

#include "cluster/cluster.h"
#include "tests/sim/sim.h"

struct cluster {
	struct sim *sim;
	uint32_t id;
};

#endif
