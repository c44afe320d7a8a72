/* SPDX-License-Identifier: MIT
 *
 * scale.h - how large clusters and stores cost: a table of what the core sent and how long it took
 * in simulated time, at the pace of BUS_PACE_LAN.
 */
#ifndef VIADUCT_TESTS_SIM_SCALE_H
#define VIADUCT_TESTS_SIM_SCALE_H

#include "tests/sim/bus.h"

/* Clusters of 3 to 64 nodes, each with that many VMs. False: one did not come to where it should.
 */
bool scale_print(unsigned n_vms);
/* The same for deciding where the VMs of a node start that has died. */
bool scale_print_failover(unsigned n_vms);

#endif
