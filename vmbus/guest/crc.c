/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/crc.h"

#define POLYNOMIAL 0xedb88320U
#define N_SLICES   8

/* table[n][b]: the CRC of byte b followed by n zeros, so that eight bytes take eight lookups. */
static uint32_t table[N_SLICES][256];

static void table_init(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][b] = crc;
	}
	for (int n = 1; n < N_SLICES; n++) {
		for (int b = 0; b < 256; b++) {
			uint32_t shorter = table[n - 1][b];

			table[n][b] = shorter >> 8 ^ table[0][shorter & 0xff];
		}
	}
}

uint32_t crc32_update(uint32_t crc, const void *data, size_t size_bytes)
{
	const uint8_t *at = data;

	if (!table[0][1])
		table_init();
	crc = ~crc;
	for (; size_bytes >= N_SLICES; size_bytes -= N_SLICES, at += N_SLICES) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		word ^= crc;
		crc = 0;
		for (int i = 0; i < N_SLICES; i++)
			crc ^= table[N_SLICES - 1 - i][word >> 8 * i & 0xff];
	}
	while (size_bytes--)
		crc = crc >> 8 ^ table[0][(crc ^ *at++) & 0xff];
	return ~crc;
}
