/* SPDX-License-Identifier: MIT */
#include "migrate/comp_lz4.h"

#include <limits.h>
#include <lz4.h>

#define ACCELERATION 1

void *comp_lz4_new(void)
{
	return malloc((size_t)LZ4_sizeofState());
}

size_t comp_lz4_pack(
	void *state, const void *data, size_t size_bytes, void *ret_packed, size_t capacity_bytes)
{
	int n;

	if (size_bytes > LZ4_MAX_INPUT_SIZE || capacity_bytes > INT_MAX)
		return 0;
	n = LZ4_compress_fast_extState(
		state, data, ret_packed, (int)size_bytes, (int)capacity_bytes, ACCELERATION);
	return n > 0 ? (size_t)n : 0;
}

int comp_lz4_unpack(const void *packed, size_t packed_bytes, void *ret_data, size_t size_bytes)
{
	int n;

	if (packed_bytes > INT_MAX || size_bytes > INT_MAX)
		return -EBADMSG;
	n = LZ4_decompress_safe(packed, ret_data, (int)packed_bytes, (int)size_bytes);
	return n >= 0 && (size_t)n == size_bytes ? 0 : -EBADMSG;
}
