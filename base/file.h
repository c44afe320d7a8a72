/* SPDX-License-Identifier: MIT
 *
 * file.h - whole files. Blocks for as long as the disk takes.
 */
#ifndef VIADUCT_BASE_FILE_H
#define VIADUCT_BASE_FILE_H

#include "base/err.h"

/* Write all of it to `path`, which becomes or stays a regular file with that mode (whatever the
 * umask), and have it on the disk. A link is not followed. 0 or -errno: then there may be a part.
 * For a file that others read meanwhile: write a new one beside it, and rename() that. */
int file_write_new(const char *path, const void *data, size_t size_bytes, unsigned mode);

#endif
