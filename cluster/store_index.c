/* SPDX-License-Identifier: MIT */
#include "cluster/store_index.h"
#include "cluster/store.h"

#include <string.h>

#define LEAF_ENTRIES 128

struct leaf {
	unsigned n_refs; /* indices that have it */
	struct store_entry *entries[LEAF_ENTRIES];
};

struct slot {
	struct leaf *leaf;
	size_t n; /* entries of it that count here; never 0 */
};

struct store_index {
	struct slot *slots;
	size_t n_slots, capacity;
	size_t n_entries;
	/* Where store_index_at() was last: the slot, and how many entries are before it. */
	size_t at_slot, at_first;
};

static void leaf_unref(struct leaf *leaf)
{
	if (--leaf->n_refs == 0)
		free(leaf);
}

int store_index_new(struct store_index **ret_index)
{
	*ret_index = calloc(1, sizeof(**ret_index));
	return *ret_index ? 0 : -ENOMEM;
}

int store_index_copy(const struct store_index *index, struct store_index **ret_copy)
{
	struct store_index *copy = calloc(1, sizeof(*copy));
	struct slot *slots = calloc(MAX(index->n_slots, (size_t)1), sizeof(*slots));

	if (!copy || !slots) {
		free(copy);
		free(slots);
		return -ENOMEM;
	}
	for (size_t i = 0; i < index->n_slots; i++) {
		slots[i] = index->slots[i];
		slots[i].leaf->n_refs++;
	}
	*copy = (struct store_index){
		.slots = slots,
		.n_slots = index->n_slots,
		.capacity = index->n_slots,
		.n_entries = index->n_entries,
	};
	*ret_copy = copy;
	return 0;
}

void store_index_free(struct store_index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->n_slots; i++)
		leaf_unref(index->slots[i].leaf);
	free(index->slots);
	free(index);
}

size_t store_index_n(const struct store_index *index)
{
	return index->n_entries;
}

struct store_entry *store_index_at(struct store_index *index, size_t number)
{
	if (number >= index->n_entries)
		return NULL;
	if (number < index->at_first)
		index->at_slot = index->at_first = 0;
	while (number - index->at_first >= index->slots[index->at_slot].n)
		index->at_first += index->slots[index->at_slot++].n;
	return index->slots[index->at_slot].leaf->entries[number - index->at_first];
}

/* ---- places ---- */

static const char *last_key(const struct slot *slot)
{
	return slot->leaf->entries[slot->n - 1]->key;
}

struct store_place store_index_end(const struct store_index *index)
{
	struct store_place place = {};

	if (index->n_slots == 0)
		return place;
	place.slot = index->n_slots - 1;
	place.offset = index->slots[place.slot].n;
	return place;
}

bool store_index_is_end(const struct store_index *index, struct store_place place)
{
	return index->n_slots == 0 ||
	       (place.slot == index->n_slots - 1 && place.offset == index->slots[place.slot].n);
}

/* In the first slot whose last key is not before `key`. */
struct store_place store_index_find(const struct store_index *index, const char *key)
{
	size_t low = 0, high = index->n_slots;
	struct store_place place = {};
	const struct slot *slot;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(last_key(&index->slots[middle]), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == index->n_slots)
		return store_index_end(index);
	place.slot = low;
	slot = &index->slots[low];
	for (low = 0, high = slot->n; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(slot->leaf->entries[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	place.offset = low;
	place.is_there = strcmp(slot->leaf->entries[low]->key, key) == 0;
	return place;
}

struct store_entry *store_index_entry(const struct store_index *index, struct store_place place)
{
	return index->slots[place.slot].leaf->entries[place.offset];
}

size_t store_index_number(const struct store_index *index, struct store_place place)
{
	size_t number = place.offset;

	for (size_t i = 0; i < place.slot; i++)
		number += index->slots[i].n;
	return number;
}

/* ---- changes ---- */

/* What is before the first entry of the slot, or of a later one, is not what it was. */
static void forget_from(struct store_index *index, size_t slot)
{
	if (slot <= index->at_slot)
		index->at_slot = index->at_first = 0;
}

static int make_own(struct slot *slot)
{
	struct leaf *leaf;

	if (slot->leaf->n_refs == 1)
		return 0;
	leaf = malloc(sizeof(*leaf));
	if (!leaf)
		return -ENOMEM;
	leaf->n_refs = 1;
	memcpy(leaf->entries, slot->leaf->entries, slot->n * sizeof(leaf->entries[0]));
	leaf_unref(slot->leaf);
	slot->leaf = leaf;
	return 0;
}

/* An empty one, which the caller fills at once. */
static int add_slot(struct store_index *index, size_t at)
{
	size_t capacity = MAX(index->capacity * 2, (size_t)16);
	struct leaf *leaf = malloc(sizeof(*leaf));
	struct slot *slots = index->slots;

	if (leaf && index->n_slots == index->capacity) {
		slots = reallocarray(index->slots, capacity, sizeof(*slots));
		if (slots) {
			index->slots = slots;
			index->capacity = capacity;
		}
	}
	if (!leaf || !slots) {
		free(leaf);
		return -ENOMEM;
	}
	leaf->n_refs = 1;
	memmove(&slots[at + 1], &slots[at], (index->n_slots - at) * sizeof(*slots));
	slots[at] = (struct slot){.leaf = leaf};
	index->n_slots++;
	return 0;
}

static void drop_slot(struct store_index *index, size_t at)
{
	leaf_unref(index->slots[at].leaf);
	index->n_slots--;
	memmove(&index->slots[at], &index->slots[at + 1],
		(index->n_slots - at) * sizeof(*index->slots));
}

/* Room in front of `place`, which is a full leaf's; what comes in order of keys fills its leaves.
 */
static int split(struct store_index *index, struct store_place *place)
{
	bool is_end = place->slot == index->n_slots - 1 && place->offset == LEAF_ENTRIES;
	size_t kept = is_end ? LEAF_ENTRIES : LEAF_ENTRIES / 2;
	struct slot *left, *right;
	int r = add_slot(index, place->slot + 1);

	if (r < 0)
		return r;
	left = &index->slots[place->slot];
	right = left + 1;
	right->n = LEAF_ENTRIES - kept;
	memcpy(right->leaf->entries, &left->leaf->entries[kept],
		right->n * sizeof(right->leaf->entries[0]));
	left->n = kept;
	if (place->offset > kept || is_end) {
		place->slot++;
		place->offset -= kept;
	}
	return 0;
}

int store_index_insert(
	struct store_index *index, struct store_place place, struct store_entry *entry)
{
	struct store_entry **entries;
	struct slot *slot;
	int r = 0;

	forget_from(index, place.slot + 1);
	if (index->n_slots == 0)
		r = add_slot(index, 0);
	else if (index->slots[place.slot].n == LEAF_ENTRIES)
		r = split(index, &place);
	if (r < 0)
		return r;
	slot = &index->slots[place.slot];
	r = make_own(slot);
	if (r < 0)
		return r;
	entries = slot->leaf->entries;
	memmove(&entries[place.offset + 1], &entries[place.offset],
		(slot->n - place.offset) * sizeof(entries[0]));
	entries[place.offset] = entry;
	slot->n++;
	index->n_entries++;
	return 0;
}

int store_index_replace(
	struct store_index *index, struct store_place place, struct store_entry *entry)
{
	struct slot *slot = &index->slots[place.slot];
	int r = make_own(slot);

	if (r == 0)
		slot->leaf->entries[place.offset] = entry;
	return r;
}

/* Leaves that became small are put together, so that there are never many more than needed. */
static void join_next(struct store_index *index, size_t at)
{
	struct slot *left = &index->slots[at], *right = left + 1;

	if (at + 1 >= index->n_slots || left->n + right->n > LEAF_ENTRIES / 2 ||
		left->leaf->n_refs > 1)
		return;
	memcpy(&left->leaf->entries[left->n], right->leaf->entries,
		right->n * sizeof(left->leaf->entries[0]));
	left->n += right->n;
	drop_slot(index, at + 1);
}

int store_index_remove(struct store_index *index, struct store_place place)
{
	struct slot *slot = &index->slots[place.slot];
	int r = make_own(slot);

	if (r < 0)
		return r;
	slot->n--;
	memmove(&slot->leaf->entries[place.offset], &slot->leaf->entries[place.offset + 1],
		(slot->n - place.offset) * sizeof(slot->leaf->entries[0]));
	index->n_entries--;
	if (slot->n == 0)
		drop_slot(index, place.slot);
	else
		join_next(index, place.slot);
	if (place.slot > 0)
		join_next(index, place.slot - 1);
	forget_from(index, place.slot);
	return 0;
}

struct store_entry *store_index_pop(struct store_index *index)
{
	struct store_entry *entry;
	struct slot *last;

	if (index->n_slots == 0)
		return NULL;
	last = &index->slots[index->n_slots - 1];
	entry = last->leaf->entries[--last->n];
	index->n_entries--;
	forget_from(index, index->n_slots - 1);
	if (last->n == 0)
		drop_slot(index, index->n_slots - 1);
	return entry;
}
