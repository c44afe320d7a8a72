/* SPDX-License-Identifier: MIT
 *
 * comp_lz4.h - LZ4 blocks (liblz4 underneath; comp_lz4.c is its only user).
 */
#ifndef VIADUCT_MIGRATE_COMP_LZ4_H
#define VIADUCT_MIGRATE_COMP_LZ4_H

#include "base/err.h"

/* What a compressor keeps between blocks; one a thread. NULL on a failed allocation. */
void *comp_lz4_new(void);

/* Compress into at most `capacity_bytes`. The size, or 0 when it does not fit. */
size_t comp_lz4_pack(
	void *state, const void *data, size_t size_bytes, void *ret_packed, size_t capacity_bytes);
/* Hostile input: 0 only if it unpacks to exactly `size_bytes`, else -EBADMSG with undefined
 * content. */
int comp_lz4_unpack(const void *packed, size_t packed_bytes, void *ret_data, size_t size_bytes);

#endif
