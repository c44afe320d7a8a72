/* SPDX-License-Identifier: MIT
 *
 * problems.h - everything that is wrong with a file, each with its place: "FILE:LINE:COLUMN: what,
 * why, what to do". Found in any order, told in the order of lines. Bounded. Threads: any.
 */
#ifndef VIADUCT_NODE_DEPLOY_PROBLEMS_H
#define VIADUCT_NODE_DEPLOY_PROBLEMS_H

#include "base/err.h"

#define PROBLEMS_MAX       100
#define PROBLEM_TEXT_BYTES 320

/* Where something stands in a file; both begin at 1. */
struct place_in_file {
	unsigned line, column;
};

struct problems {
	size_t n;
	size_t n_more; /* that were not kept */
	struct problem {
		struct place_in_file at;
		char text[PROBLEM_TEXT_BYTES];
	} list[PROBLEMS_MAX];
};

void problem(struct problems *problems, struct place_in_file at, const char *format, ...)
	_printf_(3, 4);
/* By line and column; the same sentence at the same place once. */
void problems_sort(struct problems *problems);
/* A line for each, to free(); NULL on a failed allocation. */
char *problems_text(const struct problems *problems, const char *file);

#endif
