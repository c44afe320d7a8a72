/* SPDX-License-Identifier: MIT
 *
 * ranges.h - the memory that a GPA-direct packet names, as one run of bytes: copies in and out, and
 * host windows on it. Internal to vmbus/; VSPs see the same with a channel in channel.h.
 *
 * A range's own offset may lie beyond its first page. Its PFNs were counted by packet_take(), their
 * values are checked here.
 *
 * Threads: any; no state.
 */
#ifndef VIADUCT_VMBUS_RANGES_H
#define VIADUCT_VMBUS_RANGES_H

#include "vmbus/channel.h"

/* See vmbus_ranges_read() and its neighbours. */
int ranges_read(struct gpa_space *memory, const struct vmbus_range *ranges, unsigned n_ranges,
	uint32_t offset, void *ret_data, size_t size_bytes);
int ranges_write(struct gpa_space *memory, const struct vmbus_range *ranges, unsigned n_ranges,
	uint32_t offset, const void *data, size_t size_bytes);
int ranges_iov(struct gpa_space *memory, const struct vmbus_range *ranges, unsigned n_ranges,
	uint32_t offset, size_t size_bytes, struct iovec *ret_iov, unsigned max_iov);

#endif
