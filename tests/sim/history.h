/* SPDX-License-Identifier: MIT
 *
 * history.h - every write of a simulation and what became of it, against what rs.h promises:
 *
 *   - a write that was reported done is on the disks of most nodes, in the store of every member
 *     that another one takes for synced, and in every store that a quorum agrees on from then on;
 *   - a comparison succeeds for one writer: no version is replaced twice, no version is given
 *     twice, and a key that did not exist is made once unless it was deleted in between;
 *   - versions grow: who asks after somebody was told a version gets a higher one, or is told one
 *     that is not lower;
 *   - each write is reported exactly once while its process lives, and what is reported not to have
 *     happened has not.
 */
#ifndef VIADUCT_TESTS_SIM_HISTORY_H
#define VIADUCT_TESTS_SIM_HISTORY_H

#include "tests/sim/sim.h"

struct history *history_new(struct sim *sim);
void history_free(struct history *history);

/* rs_write() of that node. `done` may be NULL, and is not called once the process is gone. */
int history_write(struct history *history, uint32_t id, const char *key, uint64_t expected,
	const char *value, rs_done_fn done, void *data);

/* One write of a client at that node: a counter, a key that is made once, one that comes and goes.
 */
void history_write_something(struct history *history, uint32_t id);

/* What that node knows about who is synced has changed. */
void history_changed(struct history *history, uint32_t id);
/* Everybody is synced and nothing is under way. */
void history_check_end(struct history *history);

#endif
