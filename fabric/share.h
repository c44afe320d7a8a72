/* SPDX-License-Identifier: MIT
 *
 * share.h - sharing ports out among workers: who is to be relieved, by whom, and of which ports.
 *
 * A worker looks at itself once in SHARE_WINDOW_NS. One that was busy all the time gives away ports
 * to the one that had least to do, if that was idle half of its time: as many as make both equally
 * busy, as far as ports can be counted on to do again what they did. Work that all comes in by one
 * port cannot be shared. Workers but the first that had next to nothing to do for SHARE_IDLE_NS
 * give all their ports back to the first: what one can do alone costs least.
 *
 * Pure.
 */
#ifndef VIADUCT_FABRIC_SHARE_H
#define VIADUCT_FABRIC_SHARE_H

#include "base/clock.h"
#include "base/err.h"

#define SHARE_WINDOW_NS     (100 * NS_PER_MS)
#define SHARE_IDLE_NS       NS_PER_SEC
#define SHARE_BUSY_PERMILLE 950
#define SHARE_FREE_PERMILLE 500
#define SHARE_IDLE_PERMILLE 50
/* Less is not worth moving. */
#define SHARE_LEAST_PERMILLE 100

/* What a port did in a window, in units that are comparable among ports. */
struct share_item {
	uint64_t work;
	bool give;
};

/* Of the worker that was busy `busy_permille` of its time with these ports, mark those to give to
 * one that was busy `other_permille`; returns how many. Reorders nothing. */
unsigned share_pick(
	struct share_item *items, unsigned n, unsigned busy_permille, unsigned other_permille);

/* The work of frames: what costs most is each frame, and the bytes of large ones. */
static inline uint64_t share_work(uint64_t n_frames, uint64_t n_bytes)
{
	return n_frames + n_bytes / 2048;
}

#endif
