/* SPDX-License-Identifier: MIT */
#include "migrate/page.h"
#include "base/bitmap.h"

#include <sys/mman.h>
#include <sys/sysinfo.h>

#define PAGE_WORDS    (GPA_PAGE_SIZE / sizeof(uint64_t))
#define MINCORE_PAGES 4096

/* The guest writes while we read, and that is as intended: volatile loads for the compiler, no
 * report for the race detector. */
#define READS_LIVE_MEMORY __attribute__((no_sanitize("thread")))

READS_LIVE_MEMORY bool page_is_zero(const void *page)
{
	const volatile uint64_t *word = page;

	for (size_t i = 0; i < PAGE_WORDS; i += 8) {
		if (word[i] | word[i + 1] | word[i + 2] | word[i + 3] | word[i + 4] | word[i + 5] |
			word[i + 6] | word[i + 7])
			return false;
	}
	return true;
}

READS_LIVE_MEMORY void page_copy(void *ret_copy, const void *page, size_t n_pages)
{
	const volatile uint64_t *from = page;
	uint64_t *to = ret_copy;

	for (size_t i = 0; i < n_pages * PAGE_WORDS; i += 4) {
		uint64_t a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];

		to[i] = a;
		to[i + 1] = b;
		to[i + 2] = c;
		to[i + 3] = d;
	}
}

static bool host_has_swap(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 || info.totalswap > 0;
}

size_t page_find_untouched(const struct gpa_region *region, bool trust_swap, uint64_t *bitmap)
{
	unsigned char resident[MINCORE_PAGES];
	size_t n_pages = region->size_bytes / GPA_PAGE_SIZE, n_found = 0;

	for (size_t at = 0; at < n_pages; at += MINCORE_PAGES) {
		size_t n = MIN(n_pages - at, (size_t)MINCORE_PAGES);

		if (mincore((uint8_t *)region->host + at * GPA_PAGE_SIZE, n * GPA_PAGE_SIZE,
			    resident) < 0)
			continue;
		/* After mincore(): what was absent while there was no swap was never there. */
		if (!trust_swap && host_has_swap())
			return n_found;
		for (size_t i = 0; i < n; i++) {
			if (resident[i] & 1)
				continue;
			bitmap_set(bitmap, at + i);
			n_found++;
		}
	}
	return n_found;
}
