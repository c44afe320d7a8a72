/* SPDX-License-Identifier: MIT */
#include "cluster/store_db.h"
#include "cluster/store_db_impl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define TIDY_ROWS 500
/* There is no other process, but SQLite's threads may meet for an instant. */
#define BUSY_MS 2000
/* Pages of log from which on it is moved to the database. */
#define WAL_PAGES 1000

static const char *const statements[N_STATEMENTS] = {
#define PUT(table)                                                                                 \
	"INSERT OR REPLACE INTO " table " (key, version, value, sum) VALUES (?1, ?2, ?3, ?4)"
#define TIDY(table) "DELETE FROM " table " WHERE key IN (SELECT key FROM " table " LIMIT ?1)"
	[STATEMENT_PUT] = PUT("entry0"),
	[STATEMENT_PUT_1] = PUT("entry1"),
	[STATEMENT_DELETE] = "DELETE FROM entry0 WHERE key = ?1",
	[STATEMENT_DELETE_1] = "DELETE FROM entry1 WHERE key = ?1",
	[STATEMENT_CLEAR] = "DELETE FROM entry0",
	[STATEMENT_CLEAR_1] = "DELETE FROM entry1",
	[STATEMENT_TIDY] = TIDY("entry0"),
	[STATEMENT_TIDY_1] = TIDY("entry1"),
	[STATEMENT_SET_META] = ("INSERT OR REPLACE INTO meta (id, generation, promised, version,"
				" bank) VALUES (1, ?1, ?2, ?3, ?4)"),
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
};

static int exec(struct store_db *db, const char *sql)
{
	return store_db_errno(sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

static int step(struct store_db *db, enum statement statement)
{
	int code = sqlite3_step(db->prepared[statement]);

	sqlite3_reset(db->prepared[statement]);
	sqlite3_clear_bindings(db->prepared[statement]);
	return store_db_errno(code);
}

static int prepare_all(struct store_db *db)
{
	int code;

	for (size_t i = 0; i < N_STATEMENTS; i++) {
		code = sqlite3_prepare_v3(db->sqlite, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			&db->prepared[i], NULL);
		if (code != SQLITE_OK)
			return store_db_errno(code);
	}
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

	r = store_db_errno(sqlite3_open_v2(
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
		r = store_db_errno(sqlite3_open_v2(path, &db->sqlite,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
	if (r == 0)
		r = store_db_errno(sqlite3_busy_timeout(db->sqlite, BUSY_MS));
	if (r == 0)
		r = exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
	if (r == 0)
		r = store_db_check_schema(db->sqlite);
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
		r = store_db_load(db, ret_store);
	if (r == 0)
		*ret_meta = db->saved;
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

static int put(struct store_db *db, unsigned bank, const char *key, const struct store_entry *entry)
{
	enum statement statement = (entry ? STATEMENT_PUT : STATEMENT_DELETE) + bank;
	sqlite3_stmt *prepared = db->prepared[statement];
	int code;

	code = sqlite3_bind_text(prepared, 1, key, -1, SQLITE_STATIC);
	if (code == SQLITE_OK && entry)
		code = sqlite3_bind_int64(prepared, 2, (int64_t)entry->version);
	if (code == SQLITE_OK && entry)
		code = sqlite3_bind_blob(
			prepared, 3, entry->value, (int)entry->value_bytes, SQLITE_STATIC);
	if (code == SQLITE_OK && entry)
		code = sqlite3_bind_int64(prepared, 4,
			store_db_sum(key, entry->version, entry->value, entry->value_bytes));
	if (code != SQLITE_OK)
		return store_db_errno(code);
	return step(db, statement);
}

void store_db_put(struct store_db *db, const char *key, const struct store_entry *entry)
{
	int r = begin(db);

	if (r == 0)
		r = put(db, db->bank, key, entry);
	if (r < 0 && db->error == 0)
		db->error = r;
}

static int set_meta(struct store_db *db, const struct rs_meta *meta)
{
	sqlite3_stmt *prepared = db->prepared[STATEMENT_SET_META];

	sqlite3_bind_int64(prepared, 1, (int64_t)meta->generation);
	sqlite3_bind_int64(prepared, 2, (int64_t)meta->promised);
	sqlite3_bind_int64(prepared, 3, (int64_t)meta->version);
	sqlite3_bind_int64(
		prepared, 4, (int64_t)(db->bank | (meta->is_worthless ? STORE_DB_WORTHLESS : 0)));
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
	if (r < 0)
		db->other_is_empty = false;
	db->in_transaction = false;
	db->error = 0;
	return r;
}

int store_db_commit(struct store_db *db, const struct rs_meta *meta)
{
	if (!db->in_transaction && db->error == 0 && meta->generation == db->saved.generation &&
		meta->promised == db->saved.promised && meta->version == db->saved.version &&
		meta->is_worthless == db->saved.is_worthless)
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

/* Of a store that came before; mostly store_db_tidy() has done it. */
static int clear_other(struct store_db *db)
{
	int r = step(db, STATEMENT_CLEAR + !db->bank);

	db->other_is_empty = r == 0;
	return r;
}

void store_db_stage(struct store_db *db, const struct store_entry *entry)
{
	int r = begin(db);

	db->is_staging = true;
	if (r == 0 && !entry)
		r = clear_other(db);
	else if (r == 0)
		r = put(db, !db->bank, entry->key, entry);
	db->other_is_empty = db->other_is_empty && !entry;
	if (r < 0 && db->error == 0)
		db->error = r;
}

int store_db_save_staged(struct store_db *db, const struct rs_meta *meta)
{
	int r;

	db->bank = !db->bank;
	db->other_is_empty = false;
	db->is_staging = false;
	r = end(db, 0, meta);
	if (r < 0)
		db->bank = !db->bank;
	return r;
}

int store_db_save_view(
	struct store_db *db, const struct store_view *view, const struct rs_meta *meta)
{
	const struct store_entry *entry;

	if (db->in_transaction)
		step(db, STATEMENT_ROLLBACK);
	db->in_transaction = false;
	db->other_is_empty = false;
	db->error = 0;
	store_db_stage(db, NULL);
	for (size_t i = 0; db->error == 0 && (entry = store_view_at(view, i)); i++)
		store_db_stage(db, entry);
	return store_db_save_staged(db, meta);
}

bool store_db_has_rest(const struct store_db *db)
{
	return !db->other_is_empty && !db->in_transaction && !db->is_staging;
}

bool store_db_tidy(struct store_db *db)
{
	sqlite3_stmt *prepared = db->prepared[STATEMENT_TIDY + !db->bank];

	if (!store_db_has_rest(db))
		return false;
	sqlite3_bind_int64(prepared, 1, TIDY_ROWS);
	if (step(db, STATEMENT_TIDY + !db->bank) < 0) {
		db->other_is_empty = true; /* not asked for again; store_db_stage() clears it */
		return false;
	}
	db->other_is_empty = sqlite3_changes(db->sqlite) == 0;
	return !db->other_is_empty;
}
