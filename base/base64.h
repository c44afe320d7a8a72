/* SPDX-License-Identifier: MIT
 *
 * base64.h - bytes as text (RFC 4648, section 4, with padding), for bytes inside JSON messages.
 */
#ifndef VIADUCT_BASE_BASE64_H
#define VIADUCT_BASE_BASE64_H

#include "base/bytes.h"

/* Text to free(); NULL on a failed allocation. */
char *base64_encode(const void *data, size_t size_bytes);
/* Append the bytes of `text` to `out`. 0; -EBADMSG: not base64 (then `out` is as before); -ENOMEM.
 */
int base64_decode(const char *text, struct buf *out);

#endif
