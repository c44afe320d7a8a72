/* SPDX-License-Identifier: MIT
 *
 * ic_text.h - texts as the integration services have them, UTF-16, and as everybody else does,
 * UTF-8. Internal to vmbus/.
 *
 * Both directions stop at the first NUL, replace what is no character by U+FFFD, and cut what does
 * not fit between characters; the result always ends with NUL. Pure.
 */
#ifndef VIADUCT_VMBUS_IC_TEXT_H
#define VIADUCT_VMBUS_IC_TEXT_H

#include "base/err.h"

/* From `size_bytes` bytes of little-endian units at any alignment; an odd last byte is ignored.
 * Control characters become U+FFFD too. Returns the length in bytes without the NUL. */
size_t ic_text_to_utf8(const void *utf16, size_t size_bytes, char *ret_text, size_t capacity_bytes);
/* Writes little-endian units. Returns the length in units without the NUL. */
size_t ic_text_to_utf16(const char *text, uint16_t *ret_utf16, size_t capacity_units);
/* UTF-8 without control characters. */
bool ic_text_is_sound(const char *text);

#endif
