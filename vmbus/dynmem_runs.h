/* SPDX-License-Identifier: MIT
 *
 * dynmem_runs.h - a set of guest pages as runs: sorted, merged, bounded. Pure. Internal to vmbus/.
 */
#ifndef VIADUCT_VMBUS_DYNMEM_RUNS_H
#define VIADUCT_VMBUS_DYNMEM_RUNS_H

#include "base/err.h"

#define DYNMEM_MAX_RUNS (1U << 17)

struct dynmem_run {
	uint64_t first; /* page number */
	uint64_t n_pages;
};

/* Zero-initialise, finish with dynmem_runs_fini(). */
struct dynmem_runs {
	struct dynmem_run *runs;
	size_t n_runs, capacity;
	uint64_t n_pages;
};

void dynmem_runs_fini(struct dynmem_runs *runs);
/* Add all or none, in one pass however many runs there are; `added` is sorted on the way. -EINVAL:
 * an empty one, or one beyond all page numbers; -EEXIST: a page is there already, or named twice;
 * -ENOSPC: too scattered; -ENOMEM. */
int dynmem_runs_add(struct dynmem_runs *runs, struct dynmem_run *added, size_t n_added);
/* Take just these pages out. -ENOENT: not all of them are there, and none is taken; -ENOSPC. */
int dynmem_runs_remove(struct dynmem_runs *runs, const struct dynmem_run *removed);
/* Take up to `max_pages` pages out, from the end, as up to `max_taken` runs of up to
 * `max_run_pages` each. Returns how many runs. */
size_t dynmem_runs_take(struct dynmem_runs *runs, uint64_t max_pages, uint64_t max_run_pages,
	struct dynmem_run *ret_taken, size_t max_taken);

#endif
