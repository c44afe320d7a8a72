/* SPDX-License-Identifier: MIT
 *
 * converge.h - when to stop copying and switch over. Pure: asked once after each round, with what
 * was measured.
 *
 * The forecast of the blackout is what is left divided by how fast pages travel, plus the steps
 * that take their time whatever is left. The rules, in order:
 *
 * 1. The forecast fits the budget: switch over - unless one more round, which is then a matter of
 *    milliseconds, would halve what is left and take off at least a twentieth of the budget.
 * 2. Out of rounds, or two rounds in a row and at least a second that got no nearer (less than a
 *    tenth better than the best before): more rounds will not help. Switch over all the same if the
 *    forecast is within the limit that the owner bears, else give up.
 * 3. Go on.
 *
 * So it always ends: after at most max_rounds rounds.
 */
#ifndef VIADUCT_MIGRATE_CONVERGE_H
#define VIADUCT_MIGRATE_CONVERGE_H

#include "base/err.h"

struct converge_limits {
	unsigned max_rounds; /* of pre-copy, at least 1 */
	uint64_t budget_ns;  /* the blackout that is wanted */
	uint64_t limit_ns;   /* the blackout that is borne when there is no better */
};

struct converge_sample {
	unsigned n_rounds;         /* done so far */
	uint64_t remaining_pages;  /* dirty now */
	uint64_t wire_bytes_per_s; /* measured; 0 = not known yet */
	uint32_t ratio_permille; /* bytes on the wire / bytes of pages, measured; may exceed 1000 */
	uint64_t interval_ns;    /* since the dirty log was last read */
	uint64_t round_trip_ns;  /* of an empty round */
	uint64_t fixed_ns;       /* pause, save, sweep, restore */
};

enum converge_verdict {
	CONVERGE_CONTINUE,
	CONVERGE_SWITCH,
	CONVERGE_GIVE_UP,
};

/* Between calls; starts as zeros. */
struct converge {
	uint64_t best_pages;
	unsigned n_stale; /* rounds since then */
	uint64_t stale_ns;
};

enum converge_verdict converge_step(struct converge *converge, const struct converge_limits *limits,
	const struct converge_sample *sample, uint64_t *ret_forecast_ns);

#endif
