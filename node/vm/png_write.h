/* SPDX-License-Identifier: MIT
 *
 * png_write.h - a picture as PNG. The only user of libpng.
 */
#ifndef VIADUCT_NODE_VM_PNG_WRITE_H
#define VIADUCT_NODE_VM_PNG_WRITE_H

#include "base/bytes.h"

/* Appends to `out`. Four bytes a pixel: blue, green, red, unused; rows follow each other. -EINVAL:
 * there are no pixels; -ENOMEM; -EIO. On an error what is in `out` is of no use. */
int png_write(const uint8_t *pixels, uint32_t width, uint32_t height, struct buf *out);

#endif
