/* SPDX-License-Identifier: MIT */
#include "cluster/store_db.h"
#include "base/thread.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include <sqlite3.h>

#define SCHEMA_VERSION     1
#define SET_SCHEMA_VERSION "PRAGMA user_version = 1"
/* There is no other process, but SQLite's threads may meet for an instant. */
#define BUSY_MS 2000
/* Pages of log from which on it is moved to the database. */
#define WAL_PAGES 1000

enum statement {
	STATEMENT_PUT,
	STATEMENT_DELETE,
	STATEMENT_SET_META,
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_CLEAR,
	N_STATEMENTS,
};

static const char *const statements[N_STATEMENTS] = {
	[STATEMENT_PUT] = "INSERT OR REPLACE INTO entry (key, version, value) VALUES (?1, ?2, ?3)",
	[STATEMENT_DELETE] = "DELETE FROM entry WHERE key = ?1",
	[STATEMENT_SET_META] = ("INSERT OR REPLACE INTO meta (id, generation, promised, version)"
				" VALUES (1, ?1, ?2, ?3)"),
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_CLEAR] = "DELETE FROM entry",
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL,"
	" value BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1),"
	" generation INTEGER NOT NULL, promised INTEGER NOT NULL, version INTEGER NOT NULL);";

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
	bool in_transaction;
	int error; /* the first one of the open transaction */
};

static int to_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table that does not look like ours */
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
		return -EBADMSG;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
	case SQLITE_AUTH:
		return -EACCES;
	default:
		return -EIO;
	}
}

static int exec(struct store_db *db, const char *sql)
{
	return to_errno(sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

static int step(struct store_db *db, enum statement statement)
{
	int code = sqlite3_step(db->prepared[statement]);

	sqlite3_reset(db->prepared[statement]);
	sqlite3_clear_bindings(db->prepared[statement]);
	return to_errno(code);
}

static int prepare_all(struct store_db *db)
{
	int code;

	for (size_t i = 0; i < N_STATEMENTS; i++) {
		code = sqlite3_prepare_v3(db->sqlite, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			&db->prepared[i], NULL);
		if (code != SQLITE_OK)
			return to_errno(code);
	}
	return 0;
}

/* The first number of the first row; `fallback` when there is no row. */
static int query_int(struct store_db *db, const char *sql, int64_t fallback, int64_t *ret_value)
{
	sqlite3_stmt *query;
	int code;

	code = sqlite3_prepare_v2(db->sqlite, sql, -1, &query, NULL);
	if (code != SQLITE_OK)
		return to_errno(code);
	code = sqlite3_step(query);
	if (code == SQLITE_ROW || code == SQLITE_DONE)
		*ret_value = code == SQLITE_ROW ? sqlite3_column_int64(query, 0) : fallback;
	sqlite3_finalize(query);
	return to_errno(code);
}

static int check_schema(struct store_db *db)
{
	int64_t version;
	int r;

	r = query_int(db, "PRAGMA user_version", 0, &version);
	if (r < 0)
		return r;
	if (version == 0) {
		r = exec(db, schema);
		return r < 0 ? r : exec(db, SET_SCHEMA_VERSION);
	}
	return version == SCHEMA_VERSION ? 0 : -EBADMSG;
}

static int load_meta(struct store_db *db, struct rs_meta *meta)
{
	int64_t generation = 0, promised = 0, version = 0;
	int r;

	r = query_int(db, "SELECT generation FROM meta", 0, &generation);
	if (r == 0)
		r = query_int(db, "SELECT promised FROM meta", 0, &promised);
	if (r == 0)
		r = query_int(db, "SELECT version FROM meta", 0, &version);
	if (r < 0)
		return r;
	if (generation < 0 || version < 0 || promised < generation ||
		(uint64_t)promised > RS_MAX_GENERATION)
		return -EBADMSG;
	*meta = (struct rs_meta){
		.generation = (uint64_t)generation,
		.promised = (uint64_t)promised,
		.version = (uint64_t)version,
	};
	return 0;
}

static int load_entries(struct store_db *db, struct store *store)
{
	sqlite3_stmt *query;
	int code, r = 0;

	code = sqlite3_prepare_v2(
		db->sqlite, "SELECT key, version, value FROM entry ORDER BY key", -1, &query, NULL);
	if (code != SQLITE_OK)
		return to_errno(code);
	while (r == 0 && (code = sqlite3_step(query)) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(query, 0);
		size_t key_len = (size_t)sqlite3_column_bytes(query, 0);
		int64_t version = sqlite3_column_int64(query, 1);
		const char *value = sqlite3_column_blob(query, 2);
		size_t value_bytes = (size_t)sqlite3_column_bytes(query, 2);

		if (!key || !value || version <= 0)
			r = -EBADMSG;
		else
			r = store_put(store, key, key_len, value, value_bytes, (uint64_t)version);
	}
	sqlite3_finalize(query);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	return to_errno(code);
}

static int load(struct store_db *db, struct store **ret_store, struct rs_meta *ret_meta)
{
	struct store *store;
	int r;

	r = load_meta(db, &db->saved);
	if (r < 0)
		return r;
	r = store_new(&store);
	if (r < 0)
		return r;
	r = load_entries(db, store);
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret_store = store;
	*ret_meta = db->saved;
	return 0;
}

static void checkpoint_thread(void *data)
{
	struct checkpointer *checkpointer = data;

	pthread_mutex_lock(&checkpointer->lock);
	while (!checkpointer->is_ending) {
		if (!checkpointer->is_wanted) {
			pthread_cond_wait(&checkpointer->wakeup, &checkpointer->lock);
			continue;
		}
		checkpointer->is_wanted = false;
		pthread_mutex_unlock(&checkpointer->lock);
		/* If it fails the log stays longer; the next commit asks again. */
		sqlite3_wal_checkpoint_v2(
			checkpointer->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		pthread_mutex_lock(&checkpointer->lock);
	}
	pthread_mutex_unlock(&checkpointer->lock);
}

static int on_commit(void *data, sqlite3 *sqlite, const char *database, int n_pages)
{
	struct checkpointer *checkpointer = data;

	(void)sqlite;
	(void)database;
	if (n_pages < WAL_PAGES)
		return SQLITE_OK;
	pthread_mutex_lock(&checkpointer->lock);
	checkpointer->is_wanted = true;
	pthread_cond_signal(&checkpointer->wakeup);
	pthread_mutex_unlock(&checkpointer->lock);
	return SQLITE_OK;
}

static int checkpointer_start(struct store_db *db, const char *path)
{
	struct checkpointer *checkpointer = &db->checkpointer;
	int r;

	r = to_errno(sqlite3_open_v2(
		path, &checkpointer->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
	if (r == 0)
		r = thread_start(
			&checkpointer->thread, "store-log", checkpoint_thread, checkpointer);
	if (r == 0)
		sqlite3_wal_hook(db->sqlite, on_commit, checkpointer);
	return r;
}

static void checkpointer_stop(struct checkpointer *checkpointer)
{
	pthread_mutex_lock(&checkpointer->lock);
	checkpointer->is_ending = true;
	pthread_cond_signal(&checkpointer->wakeup);
	pthread_mutex_unlock(&checkpointer->lock);
	thread_join(&checkpointer->thread);
	sqlite3_close(checkpointer->sqlite);
	pthread_mutex_destroy(&checkpointer->lock);
	pthread_cond_destroy(&checkpointer->wakeup);
}

/* A file of its own: SQLite's locks on the database are lost when anybody else here closes it. */
static int lock_take(const char *path, int *ret_fd)
{
	char lock_path[PATH_MAX];
	int fd, r;

	if (snprintf(lock_path, sizeof(lock_path), "%s.lock", path) >= (int)sizeof(lock_path))
		return -ENAMETOOLONG;
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int open_database(struct store_db *db, const char *path)
{
	int r;

	r = lock_take(path, &db->lock_fd);
	if (r == 0)
		r = to_errno(sqlite3_open_v2(path, &db->sqlite,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
	if (r == 0)
		r = to_errno(sqlite3_busy_timeout(db->sqlite, BUSY_MS));
	if (r == 0)
		r = exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
	if (r == 0)
		r = check_schema(db);
	if (r == 0)
		r = prepare_all(db);
	if (r == 0)
		r = checkpointer_start(db, path);
	return r;
}

int store_db_open(const char *path, struct store_db **ret_db, struct store **ret_store,
	struct rs_meta *ret_meta)
{
	struct store_db *db = calloc(1, sizeof(*db));
	int r;

	if (!db)
		return -ENOMEM;
	db->lock_fd = -1;
	pthread_mutex_init(&db->checkpointer.lock, NULL);
	pthread_cond_init(&db->checkpointer.wakeup, NULL);
	r = open_database(db, path);
	if (r == 0)
		r = load(db, ret_store, ret_meta);
	if (r < 0) {
		store_db_close(db);
		return r;
	}
	*ret_db = db;
	return 0;
}

void store_db_close(struct store_db *db)
{
	if (!db)
		return;
	checkpointer_stop(&db->checkpointer);
	for (size_t i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(db->prepared[i]);
	sqlite3_close(db->sqlite);
	close_fd(db->lock_fd);
	free(db);
}

static int begin(struct store_db *db)
{
	int r;

	if (db->in_transaction)
		return 0;
	r = step(db, STATEMENT_BEGIN);
	db->in_transaction = r == 0;
	return r;
}

static int put(struct store_db *db, const char *key, const struct store_entry *entry)
{
	enum statement statement = entry ? STATEMENT_PUT : STATEMENT_DELETE;
	sqlite3_stmt *prepared = db->prepared[statement];
	int code;

	code = sqlite3_bind_text(prepared, 1, key, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && entry)
		code = sqlite3_bind_int64(prepared, 2, (int64_t)entry->version);
	if (code == SQLITE_OK && entry)
		code = sqlite3_bind_blob(
			prepared, 3, entry->value, (int)entry->value_bytes, SQLITE_STATIC);
	if (code != SQLITE_OK)
		return to_errno(code);
	return step(db, statement);
}

void store_db_put(struct store_db *db, const char *key, const struct store_entry *entry)
{
	int r = begin(db);

	if (r == 0)
		r = put(db, key, entry);
	if (r < 0 && db->error == 0)
		db->error = r;
}

static int set_meta(struct store_db *db, const struct rs_meta *meta)
{
	sqlite3_stmt *prepared = db->prepared[STATEMENT_SET_META];

	sqlite3_bind_int64(prepared, 1, (int64_t)meta->generation);
	sqlite3_bind_int64(prepared, 2, (int64_t)meta->promised);
	sqlite3_bind_int64(prepared, 3, (int64_t)meta->version);
	return step(db, STATEMENT_SET_META);
}

/* Whatever happens, there is no transaction afterwards. */
static int end(struct store_db *db, int r, const struct rs_meta *meta)
{
	if (r == 0)
		r = db->error;
	if (r == 0)
		r = begin(db);
	if (r == 0)
		r = set_meta(db, meta);
	if (r == 0)
		r = step(db, STATEMENT_COMMIT);
	if (r == 0)
		db->saved = *meta;
	else if (!sqlite3_get_autocommit(db->sqlite))
		step(db, STATEMENT_ROLLBACK);
	db->in_transaction = false;
	db->error = 0;
	return r;
}

int store_db_commit(struct store_db *db, const struct rs_meta *meta)
{
	if (!db->in_transaction && db->error == 0 && meta->generation == db->saved.generation &&
		meta->promised == db->saved.promised && meta->version == db->saved.version)
		return 0;
	return end(db, 0, meta);
}

int store_db_save_meta(struct store_db *db, const struct rs_meta *meta)
{
	struct rs_meta before = *meta;
	int r;

	/* Entries of this turn first: the level of a transaction cannot be changed inside it. */
	before.promised = db->saved.promised;
	r = store_db_commit(db, &before);
	if (r == 0)
		r = exec(db, "PRAGMA synchronous = FULL");
	if (r < 0)
		return r;
	r = end(db, 0, meta);
	exec(db, "PRAGMA synchronous = NORMAL");
	return r;
}

int store_db_save_store(struct store_db *db, const struct store *store, const struct rs_meta *meta)
{
	const struct store_entry *entry;
	int r;

	if (db->in_transaction)
		step(db, STATEMENT_ROLLBACK);
	db->in_transaction = false;
	db->error = 0;
	r = begin(db);
	if (r == 0)
		r = step(db, STATEMENT_CLEAR);
	for (size_t i = 0; r == 0 && (entry = store_at(store, i)); i++)
		r = put(db, entry->key, entry);
	return end(db, r, meta);
}
