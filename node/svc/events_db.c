/* SPDX-License-Identifier: MIT */
#include "node/svc/events_db.h"

#include "base/clock.h"
#include "base/thread.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#define SCHEMA_VERSION     1
#define SET_SCHEMA_VERSION "PRAGMA user_version = 1"
#define BUSY_MS            1000
#define RETRY_S            1

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS event (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
	" time_ms INTEGER NOT NULL, level INTEGER NOT NULL, id TEXT NOT NULL,"
	" object TEXT NOT NULL, text TEXT NOT NULL, who TEXT, origin TEXT, request TEXT,"
	" outcome TEXT);"
	"CREATE TABLE IF NOT EXISTS file (name TEXT NOT NULL);"
	"INSERT INTO file (name) SELECT lower(hex(randomblob(8)))"
	" WHERE NOT EXISTS (SELECT 1 FROM file);";

static const char insert_sql[] =
	"INSERT INTO event (time_ms, level, id, object, text, who, origin, request, outcome)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/* ?1 after, ?2 since, ?3 level, ?4 which, ?5 object, ?6 limit */
#define SELECT_SQL                                                                                 \
	"SELECT sequence, time_ms, level, id, object, text, who, origin, request, outcome"         \
	" FROM event WHERE sequence > ?1 AND time_ms >= ?2 AND level >= ?3"                        \
	" AND (?4 = 0 OR (?4 = 1 AND who IS NULL) OR (?4 = 2 AND who IS NOT NULL))"                \
	" AND (?5 = '' OR object = ?5 OR substr(object, 1, length(?5) + 1) = ?5 || '/')"
static const char select_first[] = SELECT_SQL " ORDER BY sequence LIMIT ?6";
static const char select_last[] = SELECT_SQL " ORDER BY sequence DESC LIMIT ?6";

/* A query, and on its way back its answer. */
struct reading {
	struct list link;
	struct events_db *db;
	struct events_query query;
	events_read_fn fn;
	void *data;
	char file[EVENTS_FILE_LEN + 1];
	uint64_t last;
	struct json *rows;
};

struct trouble {
	struct events_db *db;
	char text[256];
};

struct events_db {
	struct loop *loop;
	struct events_db_callbacks callbacks;
	void *data;
	bool closed;     /* the loop's */
	unsigned n_refs; /* the owner's, and those of wake-ups under way; atomic */
	struct thread thread;
	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	struct list added, readings; /* these under `lock` */
	unsigned n_added;
	bool ending, wake_pending;

	/* The thread's. */
	char path[PATH_MAX];
	unsigned max_events;
	sqlite3 *sqlite;
	sqlite3_stmt *insert;
	char file[EVENTS_FILE_LEN + 1];
	struct list backlog; /* could not be written yet */
	unsigned n_backlog;
	bool stuck; /* and that was said */
};

static const char *const level_names[] = {
	[EVENT_INFO] = "info",
	[EVENT_WARNING] = "warning",
	[EVENT_ERROR] = "error",
};

const char *event_level_name(enum event_level level)
{
	return level_names[level];
}

int event_level_from_name(const char *name, enum event_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(level_names[i], name) == 0) {
			*ret_level = (enum event_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- from the thread to the loop ---- */

static void db_unref(struct events_db *db)
{
	if (__atomic_sub_fetch(&db->n_refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	pthread_mutex_destroy(&db->lock);
	pthread_cond_destroy(&db->wakeup);
	free(db);
}

static int wake(struct events_db *db, loop_fn fn, void *data)
{
	int r;

	__atomic_add_fetch(&db->n_refs, 1, __ATOMIC_ACQ_REL);
	r = loop_wake(db->loop, fn, data);
	if (r < 0)
		db_unref(db);
	return r;
}

static void on_written(void *data)
{
	struct events_db *db = data;

	pthread_mutex_lock(&db->lock);
	db->wake_pending = false;
	pthread_mutex_unlock(&db->lock);
	if (!db->closed)
		db->callbacks.written(db->data);
	db_unref(db);
}

static void on_trouble(void *data)
{
	struct trouble *trouble = data;
	struct events_db *db = trouble->db;

	if (!db->closed)
		db->callbacks.trouble(trouble->text, db->data);
	free(trouble);
	db_unref(db);
}

static void say(struct events_db *db, const char *format, ...) _printf_(2, 3);
static void say(struct events_db *db, const char *format, ...)
{
	struct trouble *trouble = calloc(1, sizeof(*trouble));
	va_list args;

	if (!trouble)
		return;
	trouble->db = db;
	va_start(args, format);
	vsnprintf(trouble->text, sizeof(trouble->text), format, args);
	va_end(args);
	if (wake(db, on_trouble, trouble) < 0)
		free(trouble);
}

static void on_read(void *data)
{
	struct reading *reading = data;
	struct events_db *db = reading->db;

	if (!db->closed)
		reading->fn(reading->file, reading->last, reading->rows, reading->data);
	json_unref(reading->rows);
	free(reading);
	db_unref(db);
}

/* ---- the file ---- */

static void close_file(struct events_db *db)
{
	sqlite3_finalize(take_ptr(db->insert));
	sqlite3_close(take_ptr(db->sqlite));
}

/* The first column of the first row, as text. */
static int query_text(struct events_db *db, const char *sql, char *text, size_t size_bytes)
{
	sqlite3_stmt *query;
	int code = sqlite3_prepare_v2(db->sqlite, sql, -1, &query, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(query);
	if (code == SQLITE_ROW)
		snprintf(text, size_bytes, "%s",
			sqlite3_column_text(query, 0) ? (const char *)sqlite3_column_text(query, 0)
						      : "");
	sqlite3_finalize(query);
	return code == SQLITE_ROW ? SQLITE_OK : code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

/* An SQLite code; *ret_why is a static text when it is SQLITE_CORRUPT for a reason of ours. */
static int open_file(struct events_db *db, const char *path, const char **ret_why)
{
	char text[64] = "";
	int code = sqlite3_open_v2(path, &db->sqlite,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	*ret_why = "it is damaged";
	sqlite3_busy_timeout(db->sqlite, BUSY_MS);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->sqlite,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", NULL, NULL,
			NULL);
	if (code == SQLITE_OK)
		code = query_text(db, "PRAGMA quick_check(1)", text, sizeof(text));
	if (code == SQLITE_OK && strcmp(text, "ok") != 0)
		code = SQLITE_CORRUPT;
	if (code == SQLITE_OK)
		code = query_text(db, "PRAGMA user_version", text, sizeof(text));
	if (code == SQLITE_OK && atoi(text) > SCHEMA_VERSION) {
		*ret_why = "a newer version of Viaduct wrote it";
		code = SQLITE_CORRUPT;
	}
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->sqlite, schema, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->sqlite, SET_SCHEMA_VERSION, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = query_text(db, "SELECT name FROM file", db->file, sizeof(db->file));
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v3(
			db->sqlite, insert_sql, -1, SQLITE_PREPARE_PERSISTENT, &db->insert, NULL);
	if (code != SQLITE_OK)
		close_file(db);
	return code;
}

static bool is_damage(int code)
{
	code &= 0xff;
	return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR ||
	       code == SQLITE_MISMATCH || code == SQLITE_CONSTRAINT;
}

static void move_aside(const struct events_db *db)
{
	static const char *const parts[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		char from[PATH_MAX + 8], to[PATH_MAX + 24];

		snprintf(from, sizeof(from), "%s%s", db->path, parts[i]);
		snprintf(to, sizeof(to), "%s.damaged%s", db->path, parts[i]);
		if (rename(from, to) < 0)
			unlink(from);
	}
}

static void open_any(struct events_db *db)
{
	const char *why;
	int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* SQLite keeps the mode */
	int code;

	close_fd(fd);
	code = open_file(db, db->path, &why);
	if (is_damage(code)) {
		move_aside(db);
		say(db,
			"the file of events could not be read (%s): it is %s.damaged now, and a "
			"new one was begun",
			why, db->path);
		code = open_file(db, db->path, &why);
	}
	if (code == SQLITE_OK)
		return;
	say(db, "%s cannot be used (%s): events are kept in memory until the service ends",
		db->path, sqlite3_errstr(code));
	open_file(db, ":memory:", &why);
}

/* ---- writing ---- */

static int insert(struct events_db *db, const struct event *e)
{
	const char *const texts[] = {
		e->id, e->object, e->text, e->who, e->from, e->request, e->outcome};
	int code;

	sqlite3_bind_int64(db->insert, 1, e->time_ms);
	sqlite3_bind_int(db->insert, 2, (int)e->level);
	for (int i = 0; i < (int)ARRAY_LEN(texts); i++) {
		if (i < 3 || e->who[0])
			sqlite3_bind_text(db->insert, 3 + i, texts[i], -1, SQLITE_STATIC);
	}
	code = sqlite3_step(db->insert);
	sqlite3_reset(db->insert);
	sqlite3_clear_bindings(db->insert);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int write_backlog(struct events_db *db)
{
	char trim[128];
	struct event *e;
	int code = sqlite3_exec(db->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	list_for_each(e, &db->backlog, link) {
		if (code == SQLITE_OK)
			code = insert(db, e);
	}
	snprintf(trim, sizeof(trim),
		"DELETE FROM event WHERE sequence <= (SELECT max(sequence) FROM event) - %u",
		db->max_events);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->sqlite, trim, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db->sqlite, "COMMIT", NULL, NULL, NULL);
	if (code != SQLITE_OK && !sqlite3_get_autocommit(db->sqlite))
		sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
	return code;
}

static void drop_oldest(struct list *list, unsigned *n, unsigned keep)
{
	while (*n > keep) {
		free(list_pop(list, struct event, link));
		(*n)--;
	}
}

/* Until there is nothing left, or it has to wait. */
static void flush(struct events_db *db)
{
	int code;

	if (!db->sqlite || !db->n_backlog)
		return;
	code = write_backlog(db);
	if (is_damage(code)) {
		close_file(db);
		open_any(db);
		code = db->sqlite ? write_backlog(db) : code;
	}
	if (code != SQLITE_OK) {
		drop_oldest(&db->backlog, &db->n_backlog, EVENTS_MAX_WAITING);
		if (!db->stuck)
			say(db, "events cannot be written to %s (%s); they wait in memory",
				db->path, sqlite3_errstr(code));
		db->stuck = true;
		return;
	}
	db->stuck = false;
	drop_oldest(&db->backlog, &db->n_backlog, 0);
	pthread_mutex_lock(&db->lock);
	if (!db->wake_pending)
		db->wake_pending = wake(db, on_written, db) == 0;
	pthread_mutex_unlock(&db->lock);
}

/* ---- reading ---- */

static struct json *row_json(sqlite3_stmt *query)
{
	static const char *const keys[] = {
		"id", "object", "text", "who", "from", "request", "outcome"};
	struct json *row = json_object_new();
	int level = sqlite3_column_int(query, 2);

	json_set_int(row, "sequence", sqlite3_column_int64(query, 0));
	json_set_int(row, "time_ms", sqlite3_column_int64(query, 1));
	json_set_string(row, "level",
		level >= 0 && level < (int)ARRAY_LEN(level_names) ? level_names[level] : "error");
	for (int i = 0; i < (int)ARRAY_LEN(keys); i++) {
		const char *text = (const char *)sqlite3_column_text(query, 3 + i);

		if (text)
			json_set_string(row, keys[i], text);
	}
	return row;
}

static int run_query(struct events_db *db, struct reading *r, struct json *rows)
{
	const struct events_query *q = &r->query;
	bool same = strcmp(q->file, db->file) == 0;
	sqlite3_stmt *query;
	int code = sqlite3_prepare_v2(
		db->sqlite, q->forward ? select_first : select_last, -1, &query, NULL);

	if (code != SQLITE_OK)
		return code;
	r->last = same ? q->after : 0;
	sqlite3_bind_int64(query, 1, (int64_t)r->last);
	sqlite3_bind_int64(query, 2, q->since_ms);
	sqlite3_bind_int(query, 3, (int)q->level);
	sqlite3_bind_int(query, 4, (int)q->which);
	sqlite3_bind_text(query, 5, q->object, -1, SQLITE_STATIC);
	sqlite3_bind_int(query, 6, (int)q->limit);
	while ((code = sqlite3_step(query)) == SQLITE_ROW) {
		json_append(rows, row_json(query));
		r->last = MAX(r->last, (uint64_t)sqlite3_column_int64(query, 0));
	}
	sqlite3_finalize(query);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Behind the last row: nothing that was passed over is looked at again. */
static void note_end(struct events_db *db, struct reading *r, size_t n_rows)
{
	char text[32] = "0";

	if (r->query.forward && n_rows >= r->query.limit)
		return;
	if (query_text(db, "SELECT coalesce(max(sequence), 0) FROM event", text, sizeof(text)) ==
		SQLITE_OK)
		r->last = MAX(r->last, strtoull(text, NULL, 10));
}

static void answer(struct events_db *db, struct reading *r)
{
	struct json *rows = json_array_new();
	int code = db->sqlite ? run_query(db, r, rows) : SQLITE_OK;

	if (is_damage(code)) {
		close_file(db);
		open_any(db);
		json_unref(rows);
		rows = json_array_new();
		r->last = 0;
	} else if (db->sqlite) {
		note_end(db, r, json_length(rows));
	}
	snprintf(r->file, sizeof(r->file), "%s", db->file);
	r->rows = rows;
	if (!r->query.forward) {
		r->rows = json_array_new();
		for (size_t i = json_length(rows); i > 0; i--)
			json_append(r->rows, json_ref(json_at(rows, i - 1)));
		json_unref(rows);
	}
	if (wake(db, on_read, r) < 0) {
		json_unref(r->rows);
		free(r);
	}
}

/* ---- the thread ---- */

static void wait_for_work(struct events_db *db)
{
	struct timespec until;

	if (!db->n_backlog) {
		pthread_cond_wait(&db->wakeup, &db->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_S;
	pthread_cond_timedwait(&db->wakeup, &db->lock, &until);
}

static void run(void *data)
{
	struct events_db *db = data;
	struct list readings;
	struct event *e;
	struct reading *r;
	bool ending = false;

	open_any(db);
	while (!ending) {
		list_init(&readings);
		pthread_mutex_lock(&db->lock);
		if (!db->ending && list_empty(&db->added) && list_empty(&db->readings))
			wait_for_work(db);
		while ((e = list_pop(&db->added, struct event, link))) {
			list_append(&db->backlog, &e->link);
			db->n_backlog++;
		}
		while ((r = list_pop(&db->readings, struct reading, link)))
			list_append(&readings, &r->link);
		db->n_added = 0;
		ending = db->ending;
		pthread_mutex_unlock(&db->lock);
		flush(db);
		while ((r = list_pop(&readings, struct reading, link)))
			answer(db, r);
	}
	drop_oldest(&db->backlog, &db->n_backlog, 0);
	close_file(db);
}

int events_db_open(struct loop *loop, const char *path, unsigned max_events,
	const struct events_db_callbacks *callbacks, void *data, struct events_db **ret_db)
{
	struct events_db *db = calloc(1, sizeof(*db));
	pthread_condattr_t attributes;
	int r;

	if (!db)
		return -ENOMEM;
	db->loop = loop;
	db->callbacks = *callbacks;
	db->data = data;
	db->max_events = max_events;
	db->n_refs = 1;
	snprintf(db->path, sizeof(db->path), "%s", path);
	list_init(&db->added);
	list_init(&db->readings);
	list_init(&db->backlog);
	pthread_mutex_init(&db->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&db->wakeup, &attributes);
	pthread_condattr_destroy(&attributes);
	r = thread_start(&db->thread, "events", run, db);
	if (r < 0) {
		db_unref(db);
		return r;
	}
	*ret_db = db;
	return 0;
}

void events_db_close(struct events_db *db)
{
	if (!db)
		return;
	pthread_mutex_lock(&db->lock);
	db->ending = true;
	pthread_cond_signal(&db->wakeup);
	pthread_mutex_unlock(&db->lock);
	thread_join(&db->thread);
	db->closed = true;
	db_unref(db);
}

void events_db_add(struct events_db *db, const struct event *event)
{
	struct event *copy = malloc(sizeof(*copy));

	if (!copy)
		return;
	*copy = *event;
	pthread_mutex_lock(&db->lock);
	list_init(&copy->link);
	list_append(&db->added, &copy->link);
	db->n_added++;
	/* The thread is behind: what is lost is what is lost first anyhow. */
	drop_oldest(&db->added, &db->n_added, EVENTS_MAX_WAITING);
	pthread_cond_signal(&db->wakeup);
	pthread_mutex_unlock(&db->lock);
}

int events_db_read(
	struct events_db *db, const struct events_query *query, events_read_fn fn, void *data)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading)
		return -ENOMEM;
	reading->db = db;
	reading->query = *query;
	reading->fn = fn;
	reading->data = data;
	pthread_mutex_lock(&db->lock);
	list_append(&db->readings, &reading->link);
	pthread_cond_signal(&db->wakeup);
	pthread_mutex_unlock(&db->lock);
	return 0;
}
