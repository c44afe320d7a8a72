/* SPDX-License-Identifier: MIT
 *
 * gpadl.h - a GPADL of one range as one run of bytes: where its pages are in the host, and how
 * bytes get in and out. Internal to vmbus/; VSPs see the checked half in channel.h.
 *
 * Threads: constant after gpadl_new().
 */
#ifndef VIADUCT_VMBUS_GPADL_H
#define VIADUCT_VMBUS_GPADL_H

#include "base/list.h"
#include "vmbus/channel.h"

struct vmbus_gpadl {
	struct list link; /* whose, the owner knows */
	uint32_t id;
	uint32_t n_pages;
	uint32_t first_byte; /* where the run begins in the first page; 0 for rings */
	uint32_t size_bytes;
	struct gpa_space *memory;
	const uint8_t *pfns; /* little-endian u64, unaligned; lent */
	uint8_t *base;       /* the pages are neighbours in the host too; or NULL and */
	uint8_t **pages;     /* each by itself */
};

/* `pfns`, as many as the range has pages, stay the caller's and outlive the GPADL. `range` is not
 * empty and begins in its first page. -EFAULT: not all of it is RAM; -ENOMEM. */
int gpadl_new(struct gpa_space *memory, uint32_t id, struct vmbus_gpa_range range,
	const uint8_t *pfns, struct vmbus_gpadl **ret_gpadl);
void gpadl_free(struct vmbus_gpadl *gpadl);

uint8_t *gpadl_page(const struct vmbus_gpadl *gpadl, uint32_t page);

/* No checks and no marks: for rings, whose offsets are right by construction and which mark what
 * they wrote once a batch. */
void gpadl_copy_from(
	const struct vmbus_gpadl *gpadl, uint32_t offset, void *ret_data, size_t size_bytes);
void gpadl_copy_to(
	const struct vmbus_gpadl *gpadl, uint32_t offset, const void *data, size_t size_bytes);
void gpadl_mark_dirty(const struct vmbus_gpadl *gpadl, uint32_t offset, size_t size_bytes);

/* The address of a PFN that a guest named; false when there is no such address. */
bool gpadl_pfn_address(const uint8_t *pfns, uint32_t index, gpa_t *ret_address);

#endif
