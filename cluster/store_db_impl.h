/* SPDX-License-Identifier: MIT
 *
 * store_db_impl.h - the database as its two files see it: store_db.c writes, store_db_load.c knows
 * the schema, makes an older one into it and reads.
 *
 * Format 2. Entries are in one of two tables, entry0 and entry1; meta.bank says which (and with
 * STORE_DB_WORTHLESS, that they are worthless; older programs take that for damage). The other
 * one is empty, or takes a store that comes in pieces from another node: changing over is one row.
 * Each entry has a checksum, as SQLite has none and a disk may return what was never written.
 */
#ifndef VIADUCT_CLUSTER_STORE_DB_IMPL_H
#define VIADUCT_CLUSTER_STORE_DB_IMPL_H

#include "base/thread.h"
#include "cluster/store_db.h"

#include <sqlite3.h>

#define STORE_DB_WORTHLESS 2U

enum statement {
	STATEMENT_PUT, /* the first four for bank 0 and bank 1, in this order */
	STATEMENT_PUT_1,
	STATEMENT_DELETE,
	STATEMENT_DELETE_1,
	STATEMENT_CLEAR,
	STATEMENT_CLEAR_1,
	STATEMENT_TIDY,
	STATEMENT_TIDY_1,
	STATEMENT_SET_META,
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	N_STATEMENTS,
};

/* Moving the log to the database waits for the disk, so a thread of its own does it. */
struct checkpointer {
	struct thread thread;
	sqlite3 *sqlite; /* the thread's */
	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	bool is_wanted; /* these two under `lock` */
	bool is_ending;
};

struct store_db {
	sqlite3 *sqlite;
	int lock_fd;
	struct checkpointer checkpointer;
	sqlite3_stmt *prepared[N_STATEMENTS];
	struct rs_meta saved;
	unsigned bank;       /* that the entries are in */
	bool other_is_empty; /* the other one */
	bool is_staging;     /* the other one is being filled */
	bool in_transaction;
	int error; /* the first one of the open transaction */
};

int store_db_errno(int sqlite_code);
/* What an entry's row has in `sum`. */
int64_t store_db_sum(const char *key, uint64_t version, const char *value, size_t value_bytes);
/* store_db_load.c: creates the tables, or makes those of format 1 into them. -EBADMSG. */
int store_db_check_schema(sqlite3 *sqlite);
int store_db_load(struct store_db *db, struct store **ret_store);

#endif
