/* SPDX-License-Identifier: MIT
 *
 * crc32c.h - CRC-32C (Castagnoli), with the processor's instruction where there is one.
 *
 * The instruction takes eight bytes but needs three cycles for it. The striped form keeps four sums
 * at once - word i of the data goes into sum i % 4, a tail shorter than 32 bytes into sum 0 - and
 * ends with the CRC of the four sums: as fast as memory, and as sure to notice a damaged page.
 */
#ifndef VIADUCT_MIGRATE_CRC32C_H
#define VIADUCT_MIGRATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Plain CRC-32C. Start with `crc` 0; chain by giving the result of the part before. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size_bytes);

/* The striped form over data that may come in parts; all parts but the last are multiples of 32
 * bytes. */
struct crc32c_striped {
	uint32_t lanes[4];
};

void crc32c_striped_init(struct crc32c_striped *c);
void crc32c_striped_add(struct crc32c_striped *c, const void *data, size_t size_bytes);
uint32_t crc32c_striped_end(const struct crc32c_striped *c);
/* All three in one. */
uint32_t crc32c_striped(const void *data, size_t size_bytes);

/* What processors without the instruction use; here for comparison. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size_bytes);
uint32_t crc32c_striped_portable(const void *data, size_t size_bytes);

#endif
