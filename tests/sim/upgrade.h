/* SPDX-License-Identifier: MIT
 *
 * upgrade.h - nodes that speak different versions of the store's protocol: what packages and people
 * do to them in a random schedule.
 */
#ifndef VIADUCT_TESTS_SIM_UPGRADE_H
#define VIADUCT_TESTS_SIM_UPGRADE_H

#include "tests/sim/sim.h"

/* One more than there is: the rules are for versions to come. */
#define UPGRADE_NEWEST (RS_WIRE_NEWEST + 1)

/* Before a process starts: another package has been installed, perhaps, mostly a newer one. */
void upgrade_some(struct sim *sim, uint32_t id);
/* As `viaduct cluster upgrade` does it at that node: raise the floor if all nodes reach it. */
void upgrade_finish(struct sim *sim, uint32_t id);
/* With everything at rest, each node in turn is updated to the newest version. */
void upgrade_all(struct sim *sim);
/* The floor is raised; then a node with an older version is kept out, and nothing is lost by that.
 */
void upgrade_check_downgrade(struct sim *sim);

#endif
