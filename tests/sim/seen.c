/* SPDX-License-Identifier: MIT */
#include "tests/sim/seen.h"

#include <stdio.h>

#define MIN_CAPACITY 64 /* a power of two, as all are */

void seen_fini(struct seen *seen)
{
	free(seen->slots);
	*seen = (struct seen){};
}

uint64_t seen_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint64_t seen_hash(const void *data, size_t size_bytes, uint64_t seed)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size_bytes; i++)
		seed = (seed ^ bytes[i]) * 0x100000001b3ULL;
	return seen_mix(seed);
}

/* The slot of `key`, or the free one where it belongs. */
static struct seen_slot *find_slot(const struct seen *seen, uint64_t key)
{
	size_t i = seen_mix(key) & (seen->capacity - 1);

	while (seen->slots[i].key && seen->slots[i].key != key)
		i = (i + 1) & (seen->capacity - 1);
	return &seen->slots[i];
}

static void grow(struct seen *seen)
{
	struct seen old = *seen;

	seen->capacity = old.capacity ? old.capacity * 2 : MIN_CAPACITY;
	seen->slots = calloc(seen->capacity, sizeof(seen->slots[0]));
	if (!seen->slots) {
		fprintf(stderr, "no memory\n");
		abort();
	}
	for (size_t i = 0; i < old.capacity; i++) {
		if (old.slots[i].key)
			*find_slot(seen, old.slots[i].key) = old.slots[i];
	}
	free(old.slots);
}

bool seen_agrees(struct seen *seen, uint64_t key, uint64_t value)
{
	struct seen_slot *slot;

	key = key ? key : 1;
	if (seen->n_used * 2 >= seen->capacity)
		grow(seen);
	slot = find_slot(seen, key);
	if (slot->key)
		return slot->value == value;
	*slot = (struct seen_slot){key, value};
	seen->n_used++;
	return true;
}

bool seen_find(const struct seen *seen, uint64_t key, uint64_t *ret_value)
{
	const struct seen_slot *slot;

	key = key ? key : 1;
	if (seen->capacity == 0)
		return false;
	slot = find_slot(seen, key);
	if (!slot->key)
		return false;
	*ret_value = slot->value;
	return true;
}
