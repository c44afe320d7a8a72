/* SPDX-License-Identifier: MIT
 *
 * The thread that writes the store: what comes back when, and that its loop never waits for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "cluster/store_db.h"
#include "cluster/store_writer.h"

#include <sqlite3.h>

#define PATIENCE_NS (20 * NS_PER_SEC)

struct scene {
	char directory[64];
	char path[96];
	struct loop *loop;
	struct store_writer *writer;
	struct store *store;
	struct rs_meta meta;
	uint64_t saved, wanted;
	int error;
	unsigned n_rounds;
	bool is_late;
};

static void on_saved(uint64_t mark, void *data)
{
	struct scene *scene = data;

	assert_true(mark >= scene->saved);
	scene->saved = mark;
	if (mark >= scene->wanted)
		loop_stop(scene->loop);
}

static void on_failed(int error, void *data)
{
	struct scene *scene = data;

	scene->error = error;
	loop_stop(scene->loop);
}

static const struct store_writer_ops ops = {.saved = on_saved, .failed = on_failed};

static void on_late(void *data)
{
	struct scene *scene = data;

	scene->is_late = true;
	loop_stop(scene->loop);
}

static void wait_for(struct scene *scene, uint64_t mark)
{
	uint64_t timer;

	scene->wanted = mark;
	if (scene->saved >= mark)
		return;
	assert_int_equal(loop_timer_add(scene->loop, PATIENCE_NS, on_late, scene, &timer), 0);
	loop_run(scene->loop);
	loop_timer_remove(scene->loop, timer);
	assert_false(scene->is_late);
}

static void open_writer(struct scene *scene)
{
	assert_int_equal(store_writer_open(scene->path, scene->loop, &ops, scene, &scene->writer,
				 &scene->store, &scene->meta),
		0);
	scene->saved = 0;
}

static void close_writer(struct scene *scene)
{
	store_writer_free(scene->writer);
	store_free(scene->store);
}

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	if (!scene || loop_new(&scene->loop) < 0)
		return -1;
	snprintf(scene->directory, sizeof(scene->directory), "/tmp/viaduct-writer-XXXXXX");
	if (!mkdtemp(scene->directory))
		return -1;
	snprintf(scene->path, sizeof(scene->path), "%s/store", scene->directory);
	open_writer(scene);
	*state = scene;
	return 0;
}

static int scene_remove(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
	struct scene *scene = *state;
	char path[128];

	close_writer(scene);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", scene->path, suffixes[i]);
		unlink(path);
	}
	rmdir(scene->directory);
	loop_free(scene->loop);
	free(scene);
	return 0;
}

static void put(struct scene *scene, const char *key, const char *value, uint64_t version)
{
	assert_int_equal(
		store_put(scene->store, key, strlen(key), value, strlen(value), version), 0);
	store_writer_put(scene->writer, key, store_find(scene->store, key));
}

static void reopen(struct scene *scene)
{
	close_writer(scene);
	open_writer(scene);
}

static void what_is_reported_is_there(void **state)
{
	struct scene *scene = *state;

	put(scene, "a", "1", 1);
	put(scene, "b", "2", 2);
	store_writer_commit(scene->writer, &(struct rs_meta){1, 1, 2}, 10);
	assert_int_equal(scene->saved, 0); /* not before the loop hears of it */
	wait_for(scene, 10);
	store_delete(scene->store, "a");
	store_writer_put(scene->writer, "a", NULL);
	store_writer_promise(scene->writer, &(struct rs_meta){1, 7, 2});
	store_writer_commit(scene->writer, &(struct rs_meta){1, 7, 3}, 11);
	wait_for(scene, 11);
	store_writer_commit(scene->writer, &(struct rs_meta){1, 7, 3}, 11); /* nothing to do */
	reopen(scene);
	assert_null(store_find(scene->store, "a"));
	assert_non_null(store_find(scene->store, "b"));
	assert_true(scene->meta.generation == 1 && scene->meta.promised == 7 &&
		    scene->meta.version == 3);
}

static void what_was_committed_is_written_at_the_end(void **state)
{
	struct scene *scene = *state;
	char key[16];

	for (unsigned i = 1; i <= 2000; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		put(scene, key, "1", i);
		store_writer_commit(scene->writer, &(struct rs_meta){1, 1, i}, i);
	}
	put(scene, "not-committed", "1", 3000);
	reopen(scene);
	assert_int_equal(store_n_keys(scene->store), 2000);
	assert_int_equal(scene->meta.version, 2000);
}

static void a_store_in_pieces(void **state)
{
	struct scene *scene = *state;
	struct buf bytes = {};
	struct store *other;
	char key[16];

	put(scene, "old", "1", 1);
	store_writer_commit(scene->writer, &(struct rs_meta){1, 1, 1}, 1);
	assert_int_equal(store_new(&other), 0);
	store_writer_stage(scene->writer, NULL, 0);
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(key, sizeof(key), "new/%04u", i);
		assert_int_equal(store_put(other, key, strlen(key), "7", 1, i + 2), 0);
		store_entry_put(store_find(other, key), &bytes);
		if (i % 100 < 99)
			continue;
		store_writer_stage(scene->writer, bytes.data, bytes.size_bytes);
		buf_reset(&bytes);
		if (i % 200 == 99)
			store_writer_commit(scene->writer, &(struct rs_meta){1, 1, 1}, i + 2);
	}
	store_writer_use_staged(scene->writer, &(struct rs_meta){2, 2, 9000});
	store_writer_commit(scene->writer, &(struct rs_meta){2, 2, 9000}, 9000);
	wait_for(scene, 9000);
	store_free(other);
	buf_fini(&bytes);
	reopen(scene);
	assert_int_equal(store_n_keys(scene->store), 1500);
	assert_null(store_find(scene->store, "old"));
	assert_int_equal(scene->meta.generation, 2);
}

static void on_round(void *data)
{
	struct scene *scene = data;

	if (++scene->n_rounds == 100)
		loop_stop(scene->loop);
	else
		loop_timer_add(scene->loop, NS_PER_MS, on_round, scene, NULL);
}

/* Somebody else holds the database, as a disk does that does not answer. */
static void the_loop_does_not_wait(void **state)
{
	struct scene *scene = *state;
	sqlite3 *holder;

	assert_int_equal(sqlite3_open(scene->path, &holder), SQLITE_OK);
	/* The thread may be tidying up what it opened. */
	sqlite3_busy_timeout(holder, 10000);
	assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	put(scene, "a", "1", 1);
	store_writer_promise(scene->writer, &(struct rs_meta){0, 5, 1});
	store_writer_commit(scene->writer, &(struct rs_meta){0, 5, 1}, 1);
	on_round(scene);
	loop_run(scene->loop);
	assert_int_equal(scene->n_rounds, 100);
	assert_int_equal(scene->saved, 0);
	assert_int_equal(sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(holder);
	wait_for(scene, 1);
	assert_int_equal(scene->error, 0);
}

/* After an error nothing counts until everything is saved again. */
static void a_full_disk(void **state)
{
	struct scene *scene = *state;
	struct rlimit before, small = {4096, RLIM_INFINITY};
	struct store_view *view;
	char value[4000];

	memset(value, '7', sizeof(value) - 1);
	value[0] = value[sizeof(value) - 2] = '"';
	value[sizeof(value) - 1] = '\0';
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 1; i <= 50; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", i);
		put(scene, key, value, i);
	}
	store_writer_commit(scene->writer, &(struct rs_meta){1, 1, 50}, 50);
	wait_for(scene, 50);
	assert_true(scene->error < 0);
	assert_int_equal(scene->saved, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	put(scene, "late", "1", 51);
	store_writer_commit(scene->writer, &(struct rs_meta){1, 1, 51}, 51);
	assert_int_equal(store_view_new(scene->store, &view), 0);
	assert_int_equal(
		store_writer_save_all(scene->writer, view, &(struct rs_meta){1, 1, 51}, 52), 0);
	assert_int_equal(store_view_new(scene->store, &view), 0);
	assert_int_equal(
		store_writer_save_all(scene->writer, view, &(struct rs_meta){1, 1, 51}, 53),
		-EBUSY);
	wait_for(scene, 52);
	assert_int_equal(scene->saved, 52);
	reopen(scene);
	assert_int_equal(store_n_keys(scene->store), 51);
}

int main(void)
{
#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_make, scene_remove)
	const struct CMUnitTest tests[] = {
		WITH_SCENE(what_is_reported_is_there),
		WITH_SCENE(what_was_committed_is_written_at_the_end),
		WITH_SCENE(a_store_in_pieces),
		WITH_SCENE(the_loop_does_not_wait),
		WITH_SCENE(a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
