/* SPDX-License-Identifier: MIT
 *
 * csv.h - shared volumes as every node sees them. A volume here is a directory that all nodes reach
 * (NFS, CephFS, GFS2, a bind mount): it carries a label file, so that a node never takes an empty
 * mount point, or another volume mounted in its place, for the one that is meant.
 *
 * Saved states live in it as "VM.EPOCH.saved": the epoch of the ownership that wrote the file is
 * part of its name, so a node that lost ownership cannot touch what its successor wrote.
 *
 * Who may write is decided elsewhere, by the owner record of the volume (cluster.h). Errors: 0 or
 * -errno; -EMEDIUMTYPE when the directory is not that volume. Threads: any, no shared state.
 */
#ifndef VIADUCT_CSV_CSV_H
#define VIADUCT_CSV_CSV_H

#include "base/err.h"

#define CSV_LABEL_FILE    ".viaduct-volume"
#define CSV_ID_TEXT_BYTES 33 /* 128 random bits in hex, and NUL */

/* Make the directory `path` a volume: writes its label. -EEXIST: it is one already; then *ret_id is
 * its id. */
int csv_volume_label(const char *path, char ret_id[CSV_ID_TEXT_BYTES]);

/* Open the directory and check that it carries the label `id`. */
int csv_volume_open(const char *path, const char *id, int *ret_dir_fd);

/* The name of a saved state. -ENAMETOOLONG, -EINVAL (a VM name with a slash). */
int csv_saved_name(const char *vm, uint64_t epoch, char *ret_name, size_t size_bytes);

/* Create for writing (fails if it exists: -EEXIST), open for reading (regular files only: -EINVAL).
 */
int csv_saved_create(int dir_fd, const char *name, int *ret_fd);
int csv_saved_open(int dir_fd, const char *name, int *ret_fd);
int csv_saved_remove(int dir_fd, const char *name);

#endif
