/* SPDX-License-Identifier: MIT
 *
 * store_index.h - entries in order of their keys, for store.c.
 *
 * They are in leaves, which an index and copies of it share; who changes a leaf that others have,
 * too, makes it its own first. So a copy costs a pointer for each leaf, no change moves more than a
 * leaf, and nothing ever grows by more than a page or two: fresh pages are what is dear.
 *
 * Entries are the caller's. Threads: an index and its copies are made, changed and freed by one
 * thread; another may read a copy meanwhile (an index has one reader at a time).
 */
#ifndef VIADUCT_CLUSTER_STORE_INDEX_H
#define VIADUCT_CLUSTER_STORE_INDEX_H

#include "base/err.h"

struct store_entry;
struct store_index;

/* Where a key is, or would be; lent until the next change. */
struct store_place {
	size_t slot, offset;
	bool is_there;
};

int store_index_new(struct store_index **ret_index);
int store_index_copy(const struct store_index *index, struct store_index **ret_copy);
void store_index_free(struct store_index *index);

size_t store_index_n(const struct store_index *index);
/* NULL: there are not as many. Quick when called for one after the other. */
struct store_entry *store_index_at(struct store_index *index, size_t number);

struct store_place store_index_find(const struct store_index *index, const char *key);
/* Behind all of them. */
struct store_place store_index_end(const struct store_index *index);
/* Of a place that is there. */
struct store_entry *store_index_entry(const struct store_index *index, struct store_place place);
bool store_index_is_end(const struct store_index *index, struct store_place place);
/* How many entries are before the place. */
size_t store_index_number(const struct store_index *index, struct store_place place);

/* At the place of `entry`'s key, where none is; another one in place of the one that is there; take
 * it out. 0 or -ENOMEM. */
int store_index_insert(
	struct store_index *index, struct store_place place, struct store_entry *entry);
int store_index_replace(
	struct store_index *index, struct store_place place, struct store_entry *entry);
int store_index_remove(struct store_index *index, struct store_place place);
/* The last one is taken out, without a need for memory; NULL: there is none. */
struct store_entry *store_index_pop(struct store_index *index);

#endif
