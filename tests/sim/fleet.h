/* SPDX-License-Identifier: MIT
 *
 * fleet.h - the VMs and volumes of a simulation: nodes start, move, stop and take them over by
 * owner records (owner.c), with the rules of cluster.h, and it is checked that
 *
 *   - no two nodes are told that they own one of them at the same epoch;
 *   - epochs grow in the order of the record's versions;
 *   - what is moved runs on one node at a time. Without leases a node that others take for dead may
 *     still run what they have taken over; with them (bus_set_leases()) nothing ever runs twice.
 */
#ifndef VIADUCT_TESTS_SIM_FLEET_H
#define VIADUCT_TESTS_SIM_FLEET_H

#include "tests/sim/sim.h"

struct fleet *fleet_new(struct sim *sim);
void fleet_free(struct fleet *fleet);

/* That node does something with one of them. */
void fleet_act(struct fleet *fleet, uint32_t id);
/* What runs there stops as soon as its record says something else. */
void fleet_applied(struct fleet *fleet, uint32_t id, const char *key);
/* It has a lease until then. */
void fleet_renewed(struct fleet *fleet, uint32_t id, uint64_t until_ns);
/* The node's process is gone, and what ran in it. */
void fleet_died(struct fleet *fleet, uint32_t id);

/* For scripts: make `object` run at `id`, whoever has it; move it from there to `to`, 0 to stop. */
void fleet_claim(struct fleet *fleet, uint32_t id, const char *object);
void fleet_move(struct fleet *fleet, uint32_t id, const char *object, uint32_t to);
/* If the node was not told what became of its move: look at the record. */
void fleet_look(struct fleet *fleet, uint32_t id, const char *object);

#endif
