/* SPDX-License-Identifier: MIT
 *
 * gpa.h - guest-physical addresses and the one door to guest memory.
 *
 * What: a guest-physical address is a type that cannot be dereferenced. All host access to guest
 * memory goes through a struct gpa_space, which checks the range and, after every write, marks the
 * pages dirty - KVM's dirty log does not see our own writes, so a migration would lose them.
 *
 * Order: mark *after* writing. The migration clears a mark before it copies a page; a mark that
 * came before the write could be cleared and copied too early. gpa_write() does this; whoever
 * writes through gpa_window() calls gpa_mark_dirty() when the bytes are in place.
 *
 * Trust: the guest may change any byte at any time. Copy once with gpa_read(), then validate the
 * copy. Windows are for bulk data whose content is not interpreted.
 *
 * Threads: the map of regions is constant after set-up; reads, writes and marks may come from any
 * thread. Ownership: the space does not own the host mappings.
 */
#ifndef VIADUCT_BASE_GPA_H
#define VIADUCT_BASE_GPA_H

#include "base/err.h"

#define GPA_PAGE_SIZE   4096ULL
#define GPA_PAGE_SHIFT  12
#define GPA_MAX_REGIONS 8

typedef struct {
	uint64_t v; /* bytes */
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline gpa_t gpa_add(gpa_t a, uint64_t bytes)
{
	return (gpa_t){a.v + bytes};
}

static inline gpa_t gpa_from_pfn(uint64_t pfn)
{
	return (gpa_t){pfn << GPA_PAGE_SHIFT};
}

struct gpa_space;

int gpa_space_new(struct gpa_space **ret_space);
void gpa_space_free(struct gpa_space *space);

/* Add `size_bytes` of RAM at `base`, mapped at `host` (both page-aligned, no overlap). Set-up only.
 * Returns 0, -EINVAL, -EEXIST (overlap), -ENOSPC (more than GPA_MAX_REGIONS), -ENOMEM. */
int gpa_space_add(struct gpa_space *space, gpa_t base, size_t size_bytes, void *host);

/* Copy from or to guest memory; the range may cross regions. 0 or -EFAULT (then nothing of the
 * guest's was changed). */
int gpa_read(struct gpa_space *space, gpa_t at, void *ret_data, size_t size_bytes) _must_check_;
int gpa_write(struct gpa_space *space, gpa_t at, const void *data, size_t size_bytes) _must_check_;

/* A host window on [at, at + size_bytes), which must lie in one region; NULL if it does not. Valid
 * as long as the space. After writing through it call gpa_mark_dirty(). */
void *gpa_window(struct gpa_space *space, gpa_t at, size_t size_bytes) _must_check_;

/* Mark the pages of a range dirty; parts outside RAM are ignored. */
void gpa_mark_dirty(struct gpa_space *space, gpa_t at, size_t size_bytes);
/* The same by where the bytes are in the host, for windows whose address is no longer known. */
void gpa_mark_dirty_host(struct gpa_space *space, const void *host, size_t size_bytes);

/* Regions in the order they were added, for dirty logging and migration. */
struct gpa_region {
	gpa_t base;
	size_t size_bytes;
	void *host;
	uint64_t *dirty; /* one bit a page, set atomically by the door; see bitmap_drain_atomic() */
};

size_t gpa_space_n_regions(const struct gpa_space *space);
const struct gpa_region *gpa_space_region(const struct gpa_space *space, size_t index);
/* All RAM, in bytes. */
uint64_t gpa_space_size_bytes(const struct gpa_space *space);

#endif
