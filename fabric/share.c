/* SPDX-License-Identifier: MIT */
#include "fabric/share.h"

/* The largest item not above `most` that is not given yet, or NULL. */
static struct share_item *find_largest(struct share_item *items, unsigned n, uint64_t most)
{
	struct share_item *largest = NULL;

	for (unsigned i = 0; i < n; i++) {
		if (!items[i].give && items[i].work > 0 && items[i].work <= most &&
			(!largest || items[i].work > largest->work))
			largest = &items[i];
	}
	return largest;
}

unsigned share_pick(
	struct share_item *items, unsigned n, unsigned busy_permille, unsigned other_permille)
{
	uint64_t total = 0, given = 0, wanted;
	struct share_item *item;
	unsigned n_given = 0;

	for (unsigned i = 0; i < n; i++) {
		items[i].give = false;
		total += items[i].work;
	}
	if (other_permille >= busy_permille)
		return 0;
	wanted = total * (busy_permille - other_permille) / busy_permille / 2;
	while ((item = find_largest(items, n, wanted - given))) {
		item->give = true;
		given += item->work;
		n_given++;
	}
	if (given * 1000 >= total * SHARE_LEAST_PERMILLE && n_given > 0)
		return n_given;
	for (unsigned i = 0; i < n; i++)
		items[i].give = false;
	return 0;
}
