/* SPDX-License-Identifier: MIT
 *
 * crc.h - CRC-32 (reflected 0x04c11db7, the one of Ethernet and zlib).
 */
#ifndef VIADUCT_VMBUS_GUEST_CRC_H
#define VIADUCT_VMBUS_GUEST_CRC_H

#include "vmbus/guest/mem.h"

/* Start with 0 and feed back the result. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t size_bytes);

#endif
