/* SPDX-License-Identifier: MIT
 *
 * bitmap.h - bitmaps of 64-bit words. The _atomic forms may be used by several threads at once;
 * the others by one owner. Bit n is bit n % 64 of word n / 64, the layout of KVM's dirty log.
 */
#ifndef VIADUCT_BASE_BITMAP_H
#define VIADUCT_BASE_BITMAP_H

#include "base/err.h"

#define BITMAP_WORDS(n_bits) (((n_bits) + 63) / 64)

static inline void bitmap_set(uint64_t *map, size_t bit)
{
	map[bit / 64] |= 1ULL << (bit % 64);
}

static inline void bitmap_clear(uint64_t *map, size_t bit)
{
	map[bit / 64] &= ~(1ULL << (bit % 64));
}

static inline bool bitmap_test(const uint64_t *map, size_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set_atomic(uint64_t *map, size_t bit)
{
	__atomic_fetch_or(&map[bit / 64], 1ULL << (bit % 64), __ATOMIC_RELEASE);
}

/* dst |= src, and src = 0, word by word; src may be written by other threads meanwhile. */
static inline void bitmap_drain_atomic(uint64_t *dst, uint64_t *src, size_t n_words)
{
	for (size_t i = 0; i < n_words; i++) {
		if (__atomic_load_n(&src[i], __ATOMIC_RELAXED))
			dst[i] |= __atomic_exchange_n(&src[i], 0, __ATOMIC_ACQ_REL);
	}
}

static inline size_t bitmap_count(const uint64_t *map, size_t n_words)
{
	size_t n = 0;

	for (size_t i = 0; i < n_words; i++)
		n += (size_t)__builtin_popcountll(map[i]);
	return n;
}

#endif
