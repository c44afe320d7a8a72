/* SPDX-License-Identifier: MIT
 *
 * restart_times.h - the times at which a VM was started again: an array of seconds of the wall
 * clock, each by the node that did it. Clocks of nodes differ and are set: what is further ahead
 * than a clock that runs a little fast was noted by one that was wrong, and counts for nothing. It
 * would count until that time has come, however long that is.
 *
 * Pure. Threads: any.
 */
#ifndef VIADUCT_NODE_SVC_RESTART_TIMES_H
#define VIADUCT_NODE_SVC_RESTART_TIMES_H

#include "base/json.h"

#define RESTART_TIMES_MAX     64
#define RESTART_TIMES_AHEAD_S 60

/* Those of the last `window_s`. `times` may be NULL, or anything else that the store has. */
unsigned restart_times_count(const struct json *times, int64_t now_s, unsigned window_s);
/* The last of them and `now_s`, without those that are too far ahead. A new reference. */
struct json *restart_times_with(const struct json *times, int64_t now_s);

#endif
