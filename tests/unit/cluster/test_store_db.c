/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cluster/store_db.h"

#include <sqlite3.h>

struct place {
	char directory[64];
	char path[96];
};

static int place_make(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return -1;
	snprintf(place->directory, sizeof(place->directory), "/tmp/viaduct-store-db-XXXXXX");
	if (!mkdtemp(place->directory))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/store", place->directory);
	*state = place;
	return 0;
}

static int place_remove(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
	struct place *place = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", place->path, suffixes[i]);
		unlink(path);
	}
	rmdir(place->directory);
	free(place);
	return 0;
}

static struct store_db *open_db(
	const struct place *place, struct store **ret_store, struct rs_meta *ret_meta)
{
	struct store_db *db;

	assert_int_equal(store_db_open(place->path, &db, ret_store, ret_meta), 0);
	return db;
}

static void put(struct store_db *db, struct store *store, const char *key, const char *value,
	uint64_t version)
{
	assert_int_equal(store_put(store, key, strlen(key), value, strlen(value), version), 0);
	store_db_put(db, key, store_find(store, key));
}

static void assert_equal_stores(struct store *a, struct store *b)
{
	uint8_t x[RS_DIGEST_BYTES], y[RS_DIGEST_BYTES];

	assert_int_equal(store_digest(a, x), 0);
	assert_int_equal(store_digest(b, y), 0);
	assert_memory_equal(x, y, sizeof(x));
}

static int save_all(struct store_db *db, struct store *store, const struct rs_meta *meta)
{
	struct store_view *view;
	int r;

	assert_int_equal(store_view_new(store, &view), 0);
	r = store_db_save_view(db, view, meta);
	store_view_free(view);
	return r;
}

static void a_new_one_is_empty(void **state)
{
	struct rs_meta meta = {1, 2, 3};
	struct store_db *db;
	struct store *store;

	db = open_db(*state, &store, &meta);
	assert_int_equal(store_n_keys(store), 0);
	assert_true(meta.generation == 0 && meta.promised == 0 && meta.version == 0);
	store_free(store);
	store_db_close(db);
}

static void what_is_committed_is_loaded(void **state)
{
	struct store *store, *loaded;
	struct rs_meta meta;
	struct store_db *db;

	db = open_db(*state, &store, &meta);
	put(db, store, "vm/VM1", "{\"vcpus\":2}", 1);
	put(db, store, "vm/VM2", "null", (uint64_t)INT64_MAX);
	put(db, store, "gone", "1", 3);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){4, 5, 6}), 0);
	store_delete(store, "gone");
	store_db_put(db, "gone", NULL);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){4, 5, 7}), 0);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){4, 5, 7}), 0); /* nothing to do */
	store_db_close(db);

	db = open_db(*state, &loaded, &meta);
	assert_equal_stores(store, loaded);
	assert_true(meta.generation == 4 && meta.promised == 5 && meta.version == 7);
	assert_int_equal(store_find(loaded, "vm/VM2")->version, INT64_MAX);
	store_db_close(db);
	store_free(store);
	store_free(loaded);
}

static void what_is_not_committed_is_not_loaded(void **state)
{
	struct store *store, *loaded;
	struct rs_meta meta;
	struct store_db *db;

	db = open_db(*state, &store, &meta);
	put(db, store, "a", "1", 1);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 1, 1}), 0);
	put(db, store, "b", "2", 2);
	store_db_close(db);
	store_free(store);

	db = open_db(*state, &loaded, &meta);
	assert_int_equal(store_n_keys(loaded), 1);
	assert_int_equal(meta.version, 1);
	store_db_close(db);
	store_free(loaded);
}

static void a_promise_takes_the_entries_along(void **state)
{
	struct store *store, *loaded;
	struct rs_meta meta;
	struct store_db *db;

	db = open_db(*state, &store, &meta);
	put(db, store, "a", "1", 1);
	assert_int_equal(store_db_save_meta(db, &(struct rs_meta){1, 9, 1}), 0);
	store_db_close(db);
	store_free(store);

	db = open_db(*state, &loaded, &meta);
	assert_int_equal(store_n_keys(loaded), 1);
	assert_true(meta.generation == 1 && meta.promised == 9 && meta.version == 1);
	store_db_close(db);
	store_free(loaded);
}

static void a_store_replaces_everything(void **state)
{
	struct store *store, *other, *loaded;
	struct rs_meta meta;
	struct store_db *db;

	db = open_db(*state, &store, &meta);
	put(db, store, "old", "1", 1);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 1, 1}), 0);
	put(db, store, "open", "1", 2); /* not committed, and dropped */
	assert_int_equal(store_new(&other), 0);
	for (unsigned i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "new/%u", i);
		assert_int_equal(store_put(other, key, strlen(key), "true", 4, i + 10), 0);
	}
	assert_int_equal(save_all(db, other, &(struct rs_meta){2, 3, 2000}), 0);
	store_db_close(db);

	db = open_db(*state, &loaded, &meta);
	assert_equal_stores(other, loaded);
	assert_true(meta.generation == 2 && meta.promised == 3 && meta.version == 2000);
	store_db_close(db);
	store_free(store);
	store_free(other);
	store_free(loaded);
}

static void that_it_is_worthless_is_kept(void **state)
{
	struct rs_meta meta, worthless = {1, 2, 1, .is_worthless = true};
	struct store_db *db;
	struct store *store;

	db = open_db(*state, &store, &meta);
	put(db, store, "a", "1", 1);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 2, 1}), 0);
	assert_int_equal(store_db_commit(db, &worthless), 0);
	store_free(store);
	store_db_close(db);
	db = open_db(*state, &store, &meta);
	assert_true(meta.is_worthless);
	assert_int_equal(store_n_keys(store), 1);
	assert_int_equal(save_all(db, store, &(struct rs_meta){2, 2, 1}), 0);
	store_free(store);
	store_db_close(db);
	db = open_db(*state, &store, &meta);
	assert_false(meta.is_worthless);
	assert_int_equal(store_n_keys(store), 1);
	store_free(store);
	store_db_close(db);
}

/* Enough for the log to be moved to the database a few times meanwhile. */
static void many_transactions(void **state)
{
	struct store *store, *loaded;
	struct rs_meta meta;
	struct store_db *db;
	char key[16], value[600];

	db = open_db(*state, &store, &meta);
	memset(value, '7', sizeof(value) - 1);
	value[0] = value[sizeof(value) - 2] = '"';
	value[sizeof(value) - 1] = '\0';
	for (unsigned i = 1; i <= 3000; i++) {
		snprintf(key, sizeof(key), "k%u", i % 500);
		put(db, store, key, value, i);
		assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 1, i}), 0);
	}
	store_db_close(db);
	db = open_db(*state, &loaded, &meta);
	assert_equal_stores(store, loaded);
	assert_int_equal(meta.version, 3000);
	store_db_close(db);
	store_free(store);
	store_free(loaded);
}

static void only_one_process_at_a_time(void **state)
{
	const struct place *place = *state;
	struct store_db *db, *second;
	struct store *store, *other;
	struct rs_meta meta;

	db = open_db(place, &store, &meta);
	assert_int_equal(store_db_open(place->path, &second, &other, &meta), -EBUSY);
	put(db, store, "a", "1", 1);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 1, 1}), 0);
	store_db_close(db);
	store_free(store);
}

static void damaged_files_are_refused(void **state)
{
	const struct place *place = *state;
	struct store_db *db;
	struct store *store;
	struct rs_meta meta;
	uint8_t noise[8192];
	int fd;

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 31 + 7);
	fd = open(place->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, noise, sizeof(noise)), sizeof(noise));
	close(fd);
	assert_int_equal(store_db_open(place->path, &db, &store, &meta), -EBADMSG);
}

static void damaged_content_is_refused(void **state)
{
	const struct place *place = *state;
	struct store *store;
	struct store_db *db;
	struct rs_meta meta;

	db = open_db(place, &store, &meta);
	put(db, store, "a", "1", 1);
	/* Nothing that rs.c would ever have promised. */
	assert_int_equal(store_db_commit(db, &(struct rs_meta){9, 4, 1}), 0);
	store_db_close(db);
	store_free(store);
	assert_int_equal(store_db_open(place->path, &db, &store, &meta), -EBADMSG);
}

static void sql(const struct place *place, const char *text)
{
	sqlite3 *sqlite;

	assert_int_equal(sqlite3_open(place->path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
}

/* As version 1 of the store wrote it. */
static void format_1_is_taken_over(void **state)
{
	const struct place *place = *state;
	struct rs_meta meta;
	struct store *store;
	struct store_db *db;

	sql(place, "PRAGMA journal_mode = WAL;"
		   "CREATE TABLE entry (key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL,"
		   " value BLOB NOT NULL) WITHOUT ROWID;"
		   "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER"
		   " NOT NULL, promised INTEGER NOT NULL, version INTEGER NOT NULL);"
		   "INSERT INTO entry VALUES ('vm/VM1', 12884901920, CAST('{\"vps\":2}' AS BLOB));"
		   "INSERT INTO entry VALUES ('vm/VM2', 12884901953, CAST('null' AS BLOB));"
		   "INSERT INTO meta VALUES (1, 3, 5, 12884901953);"
		   "PRAGMA user_version = 1;");
	for (unsigned i = 0; i < 2; i++) { /* it is of format 2 the second time */
		db = open_db(place, &store, &meta);
		assert_int_equal(store_n_keys(store), 2);
		assert_int_equal(store_find(store, "vm/VM1")->version, 12884901920);
		assert_int_equal(
			json_get_int(store_entry_json(store_find(store, "vm/VM1")), "vps", 0), 2);
		assert_true(
			meta.generation == 3 && meta.promised == 5 && meta.version == 12884901953);
		store_free(store);
		store_db_close(db);
	}
}

static void later_formats_are_refused(void **state)
{
	const struct place *place = *state;
	struct rs_meta meta;
	struct store *store;
	struct store_db *db;

	sql(place, "PRAGMA user_version = 3;");
	assert_int_equal(store_db_open(place->path, &db, &store, &meta), -EPROTONOSUPPORT);
}

/* SQLite itself does not notice that. */
static void a_changed_byte_is_found(void **state)
{
	const struct place *place = *state;
	struct store *store;
	struct store_db *db;
	struct rs_meta meta;

	db = open_db(place, &store, &meta);
	put(db, store, "a", "100", 1);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 1, 1}), 0);
	store_db_close(db);
	store_free(store);
	sql(place, "UPDATE entry0 SET value = CAST('900' AS BLOB)");
	assert_int_equal(store_db_open(place->path, &db, &store, &meta), -EBADMSG);
}

/* What was staged counts when it is all there, whatever was committed before. */
static void a_store_in_pieces(void **state)
{
	const struct place *place = *state;
	struct store *store, *other, *loaded;
	struct store_db *db;
	struct rs_meta meta;
	char key[16];

	db = open_db(place, &store, &meta);
	put(db, store, "old", "1", 1);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){1, 1, 1}), 0);
	assert_int_equal(store_new(&other), 0);
	for (unsigned round = 0; round < 3; round++) {
		store_db_stage(db, NULL);
		for (unsigned i = 0; i < 1200; i++) {
			snprintf(key, sizeof(key), "new/%u/%u", round, i);
			assert_int_equal(store_put(other, key, strlen(key), "7", 1, i + 2), 0);
			store_db_stage(db, store_find(other, key));
			if (i % 500 == 499)
				assert_int_equal(
					store_db_commit(db, &(struct rs_meta){1, 1, 1}), 0);
			if (round < 2)
				store_delete(other, key);
		}
	}
	store_db_close(db);
	db = open_db(place, &loaded, &meta);
	assert_equal_stores(store, loaded);
	store_free(loaded);
	store_db_stage(db, NULL);
	for (size_t i = 0; i < store_n_keys(other); i++)
		store_db_stage(db, store_at(other, i));
	assert_int_equal(store_db_save_staged(db, &(struct rs_meta){2, 2, 9}), 0);
	assert_true(store_db_tidy(db));
	assert_false(store_db_tidy(db));
	put(db, other, "more", "1", 5000);
	assert_int_equal(store_db_commit(db, &(struct rs_meta){2, 2, 10}), 0);
	store_db_close(db);
	db = open_db(place, &loaded, &meta);
	assert_equal_stores(other, loaded);
	assert_true(meta.generation == 2 && meta.version == 10);
	store_db_close(db);
	store_free(store);
	store_free(other);
	store_free(loaded);
}

static void a_missing_directory_is_an_error(void **state)
{
	struct store_db *db;
	struct store *store;
	struct rs_meta meta;

	(void)state;
	assert_int_equal(store_db_open("/nonexistent/store", &db, &store, &meta), -ENOENT);
}

int main(void)
{
#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
	const struct CMUnitTest tests[] = {
		WITH_PLACE(a_new_one_is_empty),
		WITH_PLACE(what_is_committed_is_loaded),
		WITH_PLACE(what_is_not_committed_is_not_loaded),
		WITH_PLACE(a_promise_takes_the_entries_along),
		WITH_PLACE(a_store_replaces_everything),
		WITH_PLACE(that_it_is_worthless_is_kept),
		WITH_PLACE(many_transactions),
		WITH_PLACE(only_one_process_at_a_time),
		WITH_PLACE(damaged_files_are_refused),
		WITH_PLACE(damaged_content_is_refused),
		WITH_PLACE(format_1_is_taken_over),
		WITH_PLACE(later_formats_are_refused),
		WITH_PLACE(a_changed_byte_is_found),
		WITH_PLACE(a_store_in_pieces),
		cmocka_unit_test(a_missing_directory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
