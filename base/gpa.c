/* SPDX-License-Identifier: MIT */
#include "base/gpa.h"
#include "base/bitmap.h"

#include <string.h>

struct gpa_space {
	size_t n_regions;
	struct gpa_region regions[GPA_MAX_REGIONS];
};

int gpa_space_new(struct gpa_space **ret_space)
{
	struct gpa_space *space = calloc(1, sizeof(*space));

	if (!space)
		return -ENOMEM;
	*ret_space = space;
	return 0;
}

void gpa_space_free(struct gpa_space *space)
{
	if (!space)
		return;
	for (size_t i = 0; i < space->n_regions; i++)
		free(space->regions[i].dirty);
	free(space);
}

static bool page_aligned(uint64_t v)
{
	return v % GPA_PAGE_SIZE == 0;
}

int gpa_space_add(struct gpa_space *space, gpa_t base, size_t size_bytes, void *host)
{
	uint64_t end, *dirty;

	if (!host || !size_bytes || !page_aligned(base.v) || !page_aligned(size_bytes) ||
		!page_aligned((uintptr_t)host))
		return -EINVAL;
	if (__builtin_add_overflow(base.v, (uint64_t)size_bytes, &end))
		return -EINVAL;
	for (size_t i = 0; i < space->n_regions; i++) {
		const struct gpa_region *r = &space->regions[i];

		if (base.v < r->base.v + r->size_bytes && r->base.v < end)
			return -EEXIST;
	}
	if (space->n_regions == GPA_MAX_REGIONS)
		return -ENOSPC;
	dirty = calloc(BITMAP_WORDS(size_bytes / GPA_PAGE_SIZE), sizeof(*dirty));
	if (!dirty)
		return -ENOMEM;
	space->regions[space->n_regions++] = (struct gpa_region){
		.base = base,
		.size_bytes = size_bytes,
		.host = host,
		.dirty = dirty,
	};
	return 0;
}

/* The region that holds `at`; *ret_left_bytes is what it holds from there on. */
static struct gpa_region *region_find(struct gpa_space *space, gpa_t at, uint64_t *ret_left_bytes)
{
	for (size_t i = 0; i < space->n_regions; i++) {
		struct gpa_region *r = &space->regions[i];
		uint64_t offset = at.v - r->base.v;

		if (at.v >= r->base.v && offset < r->size_bytes) {
			*ret_left_bytes = r->size_bytes - offset;
			return r;
		}
	}
	return NULL;
}

static uint8_t *region_host(const struct gpa_region *r, gpa_t at)
{
	return (uint8_t *)r->host + (at.v - r->base.v);
}

static void region_mark(struct gpa_region *r, gpa_t at, uint64_t size_bytes)
{
	uint64_t first = (at.v - r->base.v) >> GPA_PAGE_SHIFT;
	uint64_t last = (at.v - r->base.v + size_bytes - 1) >> GPA_PAGE_SHIFT;

	for (uint64_t page = first; page <= last; page++)
		bitmap_set_atomic(r->dirty, page);
}

static bool range_is_ram(struct gpa_space *space, gpa_t at, uint64_t size_bytes)
{
	uint64_t left_bytes;

	while (size_bytes) {
		if (!region_find(space, at, &left_bytes))
			return false;
		left_bytes = MIN(left_bytes, size_bytes);
		at = gpa_add(at, left_bytes);
		size_bytes -= left_bytes;
	}
	return true;
}

int gpa_read(struct gpa_space *space, gpa_t at, void *ret_data, size_t size_bytes)
{
	uint8_t *to = ret_data;
	uint64_t n;

	if (!range_is_ram(space, at, size_bytes))
		return -EFAULT;
	for (; size_bytes; size_bytes -= n, to += n, at = gpa_add(at, n)) {
		struct gpa_region *r = region_find(space, at, &n);

		n = MIN(n, (uint64_t)size_bytes);
		memcpy(to, region_host(r, at), n);
	}
	return 0;
}

int gpa_write(struct gpa_space *space, gpa_t at, const void *data, size_t size_bytes)
{
	const uint8_t *from = data;
	uint64_t n;

	if (!range_is_ram(space, at, size_bytes))
		return -EFAULT;
	for (; size_bytes; size_bytes -= n, from += n, at = gpa_add(at, n)) {
		struct gpa_region *r = region_find(space, at, &n);

		n = MIN(n, (uint64_t)size_bytes);
		memcpy(region_host(r, at), from, n);
		region_mark(r, at, n);
	}
	return 0;
}

void *gpa_window(struct gpa_space *space, gpa_t at, size_t size_bytes)
{
	uint64_t left_bytes;
	struct gpa_region *r = region_find(space, at, &left_bytes);

	if (!r || size_bytes > left_bytes)
		return NULL;
	return region_host(r, at);
}

void gpa_mark_dirty(struct gpa_space *space, gpa_t at, size_t size_bytes)
{
	uint64_t end;

	if (__builtin_add_overflow(at.v, (uint64_t)size_bytes, &end))
		end = UINT64_MAX;
	for (size_t i = 0; i < space->n_regions; i++) {
		struct gpa_region *r = &space->regions[i];
		uint64_t from = MAX(at.v, r->base.v);
		uint64_t to = MIN(end, r->base.v + r->size_bytes);

		if (from < to)
			region_mark(r, gpa(from), to - from);
	}
}

void gpa_mark_dirty_host(struct gpa_space *space, const void *host, size_t size_bytes)
{
	uintptr_t from = (uintptr_t)host, to = from + size_bytes;

	/* Neighbours in the host may be far apart in the guest. */
	for (size_t i = 0; i < space->n_regions; i++) {
		struct gpa_region *r = &space->regions[i];
		uintptr_t start = (uintptr_t)r->host;
		uintptr_t first = MAX(from, start), end = MIN(to, start + r->size_bytes);

		if (first < end)
			region_mark(r, gpa_add(r->base, first - start), end - first);
	}
}

size_t gpa_space_n_regions(const struct gpa_space *space)
{
	return space->n_regions;
}

const struct gpa_region *gpa_space_region(const struct gpa_space *space, size_t index)
{
	return index < space->n_regions ? &space->regions[index] : NULL;
}

uint64_t gpa_space_size_bytes(const struct gpa_space *space)
{
	uint64_t sum_bytes = 0;

	for (size_t i = 0; i < space->n_regions; i++)
		sum_bytes += space->regions[i].size_bytes;
	return sum_bytes;
}
