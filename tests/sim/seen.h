/* SPDX-License-Identifier: MIT
 *
 * seen.h - what was once seen as one thing must not be seen as another: numbers by number.
 */
#ifndef VIADUCT_TESTS_SIM_SEEN_H
#define VIADUCT_TESTS_SIM_SEEN_H

#include "base/err.h"

struct seen {
	struct seen_slot {
		uint64_t key; /* 0: free */
		uint64_t value;
	} * slots;
	size_t n_used, capacity;
};

void seen_fini(struct seen *seen);
/* True when `key` is new, or was seen with the same value; the first value stays. */
bool seen_agrees(struct seen *seen, uint64_t key, uint64_t value);
/* False when `key` was never seen. */
bool seen_find(const struct seen *seen, uint64_t key, uint64_t *ret_value);

/* Numbers out of texts and of each other. */
uint64_t seen_mix(uint64_t x);
uint64_t seen_hash(const void *data, size_t size_bytes, uint64_t seed);

#endif
