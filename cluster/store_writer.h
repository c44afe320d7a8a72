/* SPDX-License-Identifier: MIT
 *
 * store_writer.h - a thread that writes the store to its database (store_db.h), so that nobody who
 * has leases to renew ever waits for a disk.
 *
 * What is given here is done in that order. It is handed to the thread by store_writer_commit(),
 * whose mark comes back through `saved` when that transaction, and all before it, is done. After an
 * error nothing is done any more, `failed` says so once, and everything has to be saved again.
 *
 * How much can wait is bounded by the cluster: a member that confirms nothing is left out of the
 * writes after a while (rs.h, SILENCE), and a store that is handed over is never larger than
 * RS_STORE_MAX_BYTES.
 *
 * Threads: one owner, that of the loop, which is also where callbacks come; they may call anything
 * here but store_writer_free().
 */
#ifndef VIADUCT_CLUSTER_STORE_WRITER_H
#define VIADUCT_CLUSTER_STORE_WRITER_H

#include "base/loop.h"
#include "cluster/rs.h"

struct store_writer;

struct store_writer_ops {
	void (*saved)(uint64_t mark, void *data);
	void (*failed)(int error, void *data);
};

/* Open or create `path` and load what is in it; errors are those of store_db_open(). */
int store_writer_open(const char *path, struct loop *loop, const struct store_writer_ops *ops,
	void *data, struct store_writer **ret_writer, struct store **ret_store,
	struct rs_meta *ret_meta);
/* What was committed is written before that returns, which may wait for the disk. */
void store_writer_free(struct store_writer *writer);

/* Into the transaction; NULL deletes. */
void store_writer_put(
	struct store_writer *writer, const char *key, const struct store_entry *entry);
/* One of its own, synced to the disk. */
void store_writer_promise(struct store_writer *writer, const struct rs_meta *meta);
/* A store that comes in pieces, as store_db.h has it: NULL begins. */
void store_writer_stage(struct store_writer *writer, const void *bytes, size_t size_bytes);
void store_writer_use_staged(struct store_writer *writer, const struct rs_meta *meta);
/* The end of a transaction; nothing is done when `mark` is that of the last one. */
void store_writer_commit(struct store_writer *writer, const struct rs_meta *meta, uint64_t mark);
/* After an error, and in place of all that was given before. Takes over `view`, whatever comes of
 * it. -EBUSY: another one is under way; -ENOMEM. */
int store_writer_save_all(struct store_writer *writer, struct store_view *view,
	const struct rs_meta *meta, uint64_t mark);

#endif
