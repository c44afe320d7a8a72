/* SPDX-License-Identifier: MIT
 *
 * store_db.h - the store on disk (SQLite underneath; store_db*.c are its only users).
 *
 * Durability. The database is in WAL mode with synchronous=NORMAL: a transaction is one write() to
 * the log, without waiting for the disk, so that it does not lengthen what the cluster waits for.
 * It survives the death of the process; a loss of power may take the last transactions, but only
 * from the end. That is enough for entries, because a write is reported done only when all members
 * have it, and a node that comes back with less gets it again. It is not enough for the promise of
 * a generation, on which the uniqueness of epochs rests: that one is synced before
 * store_db_save_meta() returns.
 *
 * One process at a time: a second one gets -EBUSY. Errors of entries are kept and come out of
 * store_db_commit(). Threads: one at a time (store_writer.h has the one that writes); another one
 * inside moves the log to the database.
 */
#ifndef VIADUCT_CLUSTER_STORE_DB_H
#define VIADUCT_CLUSTER_STORE_DB_H

#include "cluster/rs.h"

struct store_db;

/* Open or create `path` and load what is in it; an older format is made into the present one, at
 * once or not at all. 0; -EBUSY; -EBADMSG: not a store, or damaged; -EPROTONOSUPPORT: of a newer
 * format; -EACCES, -ENOSPC, -EIO, -ENOMEM. */
int store_db_open(const char *path, struct store_db **ret_db, struct store **ret_store,
	struct rs_meta *ret_meta);
void store_db_close(struct store_db *db);

/* Into the transaction; NULL deletes. */
void store_db_put(struct store_db *db, const char *key, const struct store_entry *entry);
/* End the transaction, with `meta` in it; nothing to do when there is none and meta is as saved. */
int store_db_commit(struct store_db *db, const struct rs_meta *meta);
/* End the transaction with `meta` in it and see both on the disk. */
int store_db_save_meta(struct store_db *db, const struct rs_meta *meta);
/* A store that comes in pieces: NULL begins, then each entry; parts may be committed and do not
 * count until save_staged() replaces all entries by them, and meta. Nothing must be put meanwhile.
 */
void store_db_stage(struct store_db *db, const struct store_entry *entry);
int store_db_save_staged(struct store_db *db, const struct rs_meta *meta);
/* Some of the rows that were replaced go away; true: there are more. */
bool store_db_tidy(struct store_db *db);
/* Whether there are any, and this is the time. */
bool store_db_has_rest(const struct store_db *db);
/* Replace all entries and meta in one transaction, dropping the open one. */
int store_db_save_view(
	struct store_db *db, const struct store_view *view, const struct rs_meta *meta);

#endif
