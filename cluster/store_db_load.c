/* SPDX-License-Identifier: MIT
 *
 * The schema of the database, what older formats are made into, and reading it all.
 */
#include "cluster/store_db.h"
#include "cluster/store_db_impl.h"

#define FORMAT     2
#define SET_FORMAT "PRAGMA user_version = 2;"

#define TABLE(name)                                                                                \
	"CREATE TABLE " name " (key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL,"          \
	" value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"

static const char tables[] = TABLE("entry0") TABLE("entry1");
static const char meta_table[] =
	"CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL,"
	" promised INTEGER NOT NULL, version INTEGER NOT NULL, bank INTEGER NOT NULL);";
static const char from_format_1[] =
	"INSERT INTO entry0 SELECT key, version, value, store_sum(key, version, value) FROM entry;"
	"DROP TABLE entry;"
	"ALTER TABLE meta ADD COLUMN bank INTEGER NOT NULL DEFAULT 0;";

int store_db_errno(int sqlite_code)
{
	switch (sqlite_code & 0xff) {
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

static uint64_t mix(uint64_t sum, const char *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		sum = (sum ^ (uint8_t)bytes[i]) * 0x100000001b3ULL; /* FNV-1a */
	return sum;
}

int64_t store_db_sum(const char *key, uint64_t version, const char *value, size_t value_bytes)
{
	uint64_t sum = mix(0xcbf29ce484222325ULL, key, strlen(key) + 1);

	sum = (sum ^ version) * 0x100000001b3ULL;
	return (int64_t)mix(sum, value, value_bytes);
}

static int exec(sqlite3 *sqlite, const char *sql)
{
	return store_db_errno(sqlite3_exec(sqlite, sql, NULL, NULL, NULL));
}

/* The first number of the first row; `fallback` when there is no row. */
static int query_int(sqlite3 *sqlite, const char *sql, int64_t fallback, int64_t *ret_value)
{
	sqlite3_stmt *query;
	int code;

	code = sqlite3_prepare_v2(sqlite, sql, -1, &query, NULL);
	if (code != SQLITE_OK)
		return store_db_errno(code);
	code = sqlite3_step(query);
	if (code == SQLITE_ROW || code == SQLITE_DONE)
		*ret_value = code == SQLITE_ROW ? sqlite3_column_int64(query, 0) : fallback;
	sqlite3_finalize(query);
	return store_db_errno(code);
}

/* store_sum(key, version, value), for what is there already. */
static void sql_sum(sqlite3_context *context, int n_values, sqlite3_value **values)
{
	const char *key = (const char *)sqlite3_value_text(values[0]);
	const char *value = sqlite3_value_blob(values[2]);

	(void)n_values;
	if (!key || !value)
		sqlite3_result_error(context, "not an entry", -1);
	else
		sqlite3_result_int64(
			context, store_db_sum(key, (uint64_t)sqlite3_value_int64(values[1]), value,
					 (size_t)sqlite3_value_bytes(values[2])));
}

/* All of it or nothing; what is there stays as it was if it fails. */
static int make_schema(sqlite3 *sqlite, const char *more)
{
	int r;

	r = store_db_errno(sqlite3_create_function(
		sqlite, "store_sum", 3, SQLITE_UTF8, NULL, sql_sum, NULL, NULL));
	if (r == 0)
		r = exec(sqlite, "BEGIN IMMEDIATE");
	if (r < 0)
		return r;
	r = exec(sqlite, tables);
	if (r == 0)
		r = exec(sqlite, more);
	if (r == 0)
		r = exec(sqlite, SET_FORMAT "COMMIT");
	if (r < 0 && !sqlite3_get_autocommit(sqlite))
		exec(sqlite, "ROLLBACK");
	return r;
}

int store_db_check_schema(sqlite3 *sqlite)
{
	int64_t format;
	int r;

	r = query_int(sqlite, "PRAGMA user_version", 0, &format);
	if (r < 0)
		return r;
	if (format == 0)
		return make_schema(sqlite, meta_table);
	if (format == 1)
		return make_schema(sqlite, from_format_1);
	return format == FORMAT ? 0 : format > FORMAT ? -EPROTONOSUPPORT : -EBADMSG;
}

static int load_meta(struct store_db *db, struct rs_meta *meta)
{
	int64_t generation = 0, promised = 0, version = 0, bank = 0;
	int r;

	r = query_int(db->sqlite, "SELECT generation FROM meta", 0, &generation);
	if (r == 0)
		r = query_int(db->sqlite, "SELECT promised FROM meta", 0, &promised);
	if (r == 0)
		r = query_int(db->sqlite, "SELECT version FROM meta", 0, &version);
	if (r == 0)
		r = query_int(db->sqlite, "SELECT bank FROM meta", 0, &bank);
	if (r < 0)
		return r;
	if (generation < 0 || version < 0 || promised < generation || bank < 0 || bank > 3 ||
		(uint64_t)promised > RS_MAX_GENERATION)
		return -EBADMSG;
	db->bank = (unsigned)bank & 1;
	*meta = (struct rs_meta){
		.generation = (uint64_t)generation,
		.promised = (uint64_t)promised,
		.version = (uint64_t)version,
		.is_worthless = (unsigned)bank & STORE_DB_WORTHLESS,
	};
	return 0;
}

static int load_entries(struct store_db *db, struct store *store)
{
	sqlite3_stmt *query;
	int code, r = 0;

	code = sqlite3_prepare_v2(db->sqlite,
		db->bank ? "SELECT key, version, value, sum FROM entry1 ORDER BY key"
			 : "SELECT key, version, value, sum FROM entry0 ORDER BY key",
		-1, &query, NULL);
	if (code != SQLITE_OK)
		return store_db_errno(code);
	while (r == 0 && (code = sqlite3_step(query)) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(query, 0);
		size_t key_len = (size_t)sqlite3_column_bytes(query, 0);
		int64_t version = sqlite3_column_int64(query, 1);
		const char *value = sqlite3_column_blob(query, 2);
		size_t value_bytes = (size_t)sqlite3_column_bytes(query, 2);

		if (!key || !value || version <= 0 || strlen(key) != key_len ||
			sqlite3_column_int64(query, 3) !=
				store_db_sum(key, (uint64_t)version, value, value_bytes))
			r = -EBADMSG;
		else
			r = store_put(store, key, key_len, value, value_bytes, (uint64_t)version);
	}
	sqlite3_finalize(query);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	return store_db_errno(code);
}

int store_db_load(struct store_db *db, struct store **ret_store)
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
	return 0;
}
