/* SPDX-License-Identifier: MIT
 *
 * page.h - reading pages of a guest that may be running: the only functions that do. What they see
 * may be torn; the page is then dirty again and comes back in a later round. Everything else works
 * on copies.
 */
#ifndef VIADUCT_MIGRATE_PAGE_H
#define VIADUCT_MIGRATE_PAGE_H

#include "base/gpa.h"

/* `page` points to GPA_PAGE_SIZE bytes, aligned to that. */
bool page_is_zero(const void *page);
void page_copy(void *ret_copy, const void *page, size_t n_pages);

/* Set the bits of pages in `region` that were never touched and therefore read as zeros, without
 * touching them: looking at a hole in shared memory would fill it. With `trust_swap` false nothing
 * is set on a host with swap, where a page that is out looks like one that never was. Returns how
 * many were set. */
size_t page_find_untouched(const struct gpa_region *region, bool trust_swap, uint64_t *bitmap);

#endif
