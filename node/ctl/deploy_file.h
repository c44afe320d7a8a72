/* SPDX-License-Identifier: MIT
 *
 * deploy_file.h - a cluster's file for the commands that take one, and the files that they write.
 */
#ifndef VIADUCT_NODE_CTL_DEPLOY_FILE_H
#define VIADUCT_NODE_CTL_DEPLOY_FILE_H

#include "base/json.h"

/* Read and check it; what is wrong goes to stderr, a line each. EXIT_OK or an exit code. */
int deploy_file_read(const char *path, struct json **ret_values);
/* At most `max_bytes` of a file, with a NUL behind them, to free(). 0, -EFBIG, -errno. */
int deploy_read_all(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len);

/* Write atomically; what was there before is kept as PATH.bak-N, the first N that is free, unless
 * `backup` is NULL - then *backup names it, to free(), or is NULL. 0 or -errno. */
int deploy_write(
	const char *path, const void *data, size_t size_bytes, unsigned mode, char **ret_backup);
/* The lines in which two texts differ, "- old" and "+ new". */
void deploy_print_diff(const char *old, const char *new);

/* corosync's folder: --out or --corosync-dir, else /etc/corosync. */
#define DEPLOY_COROSYNC_DIR "/etc/corosync"

#endif
