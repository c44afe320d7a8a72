/* SPDX-License-Identifier: MIT
 *
 * conf_file.h - small files that are read whole and replaced atomically. Threads: any.
 */
#ifndef VIADUCT_NODE_SVC_CONF_FILE_H
#define VIADUCT_NODE_SVC_CONF_FILE_H

#include "base/bytes.h"

/* Append the file to `out`; -EFBIG beyond `max_bytes`. */
int conf_file_read(const char *path, size_t max_bytes, struct buf *out);
/* Through PATH.new; what was there is PATH.bak from now on, when `keep`. */
int conf_file_write(
	const char *path, const void *data, size_t size_bytes, unsigned mode, bool keep);

#endif
