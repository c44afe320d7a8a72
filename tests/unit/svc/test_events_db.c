/* SPDX-License-Identifier: MIT */
#include "node/svc/events_db.h"

#include "tests/unit/base/loop_watchdog.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MAX_EVENTS 20

struct env {
	struct loop *loop;
	struct events_db *db;
	char directory[40], path[64];
	unsigned n_written;
	char trouble[256];
	char file[EVENTS_FILE_LEN + 1];
	uint64_t last;
	struct json *rows;
};

static void on_written(void *data)
{
	((struct env *)data)->n_written++;
}

static void on_trouble(const char *text, void *data)
{
	struct env *env = data;

	snprintf(env->trouble, sizeof(env->trouble), "%s", text);
}

static void on_rows(const char *file, uint64_t last, const struct json *rows, void *data)
{
	struct env *env = data;

	snprintf(env->file, sizeof(env->file), "%s", file);
	env->last = last;
	json_unref(env->rows);
	env->rows = json_copy(rows);
	loop_stop(env->loop);
}

static void open_db(struct env *env)
{
	static const struct events_db_callbacks callbacks = {
		.written = on_written, .trouble = on_trouble};

	assert_int_equal(
		events_db_open(env->loop, env->path, MAX_EVENTS, &callbacks, env, &env->db), 0);
}

static int set_up(void **state)
{
	struct env *env = calloc(1, sizeof(*env));

	strcpy(env->directory, "/tmp/viaduct-events-XXXXXX");
	assert_non_null(mkdtemp(env->directory));
	snprintf(env->path, sizeof(env->path), "%s/events.db", env->directory);
	assert_int_equal(loop_new(&env->loop), 0);
	open_db(env);
	*state = env;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		"", "-wal", "-shm", ".damaged", ".damaged-wal", ".damaged-shm"};
	struct env *env = *state;

	events_db_close(env->db);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s%s", env->path, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(env->directory), 0);
	loop_free(env->loop);
	json_unref(env->rows);
	free(env);
	return 0;
}

static void add(struct env *env, int64_t time_ms, enum event_level level, const char *object,
	const char *text, const char *who)
{
	struct event event = {.time_ms = time_ms, .level = level};

	strcpy(event.id, who ? "audit" : "test.event");
	snprintf(event.object, sizeof(event.object), "%s", object);
	snprintf(event.text, sizeof(event.text), "%s", text);
	if (who) {
		snprintf(event.who, sizeof(event.who), "%s", who);
		strcpy(event.from, "host1");
		strcpy(event.request, "vm.start vm=VM1");
		strcpy(event.outcome, "done");
	}
	events_db_add(env->db, &event);
}

/* The texts of what is found, one letter each. */
static const char *read_with(struct env *env, const struct events_query *query)
{
	static char letters[64];
	size_t n;

	assert_int_equal(events_db_read(env->db, query, on_rows, env), 0);
	loop_run_watched(env->loop);
	n = json_length(env->rows);
	assert_true(n < sizeof(letters));
	for (size_t i = 0; i < n; i++)
		letters[i] = json_get_string(json_at(env->rows, i), "text", "?")[0];
	letters[n] = '\0';
	return letters;
}

static const char *read_all(struct env *env)
{
	return read_with(env, &(const struct events_query){.limit = 50});
}

static void what_was_added_is_found_in_order(void **state)
{
	struct env *env = *state;

	add(env, 1000, EVENT_INFO, "vm/VM1", "a", NULL);
	add(env, 500, EVENT_WARNING, "vm/VM10", "b", NULL); /* the clock was set back */
	add(env, 2000, EVENT_ERROR, "node/host1", "c", NULL);
	add(env, 3000, EVENT_INFO, "vm/VM1", "d", "root");
	assert_string_equal(read_all(env), "abcd");
	assert_true(env->n_written > 0);
	assert_string_equal(json_get_string(json_at(env->rows, 3), "outcome", ""), "done");
	assert_null(json_get(json_at(env->rows, 0), "who"));
}

static void each_filter_takes_away(void **state)
{
	struct env *env = *state;
	struct events_query query = {.limit = 50, .level = EVENT_WARNING};

	add(env, 1000, EVENT_INFO, "vm/VM1", "a", NULL);
	add(env, 2000, EVENT_WARNING, "vm/VM10", "b", NULL);
	add(env, 3000, EVENT_ERROR, "node/host1", "c", NULL);
	add(env, 4000, EVENT_INFO, "vm/VM1", "d", "root");
	assert_string_equal(read_with(env, &query), "bc");
	query = (struct events_query){.limit = 50, .which = EVENTS_AUDIT};
	assert_string_equal(read_with(env, &query), "d");
	query.which = EVENTS_WITHOUT_AUDIT;
	assert_string_equal(read_with(env, &query), "abc");
	query = (struct events_query){.limit = 50, .object = "vm/VM1"};
	assert_string_equal(read_with(env, &query), "ad");
	strcpy(query.object, "vm");
	assert_string_equal(read_with(env, &query), "abd");
	strcpy(query.object, "v");
	assert_string_equal(read_with(env, &query), "");
	query = (struct events_query){.limit = 50, .since_ms = 2000};
	assert_string_equal(read_with(env, &query), "bcd");
	query = (struct events_query){.limit = 2};
	assert_string_equal(read_with(env, &query), "cd");
}

static void reading_goes_on_where_it_ended(void **state)
{
	struct env *env = *state;
	struct events_query query = {.limit = 2, .forward = true};

	for (const char *text = "abcde"; *text; text++)
		add(env, 1, EVENT_INFO, "vm/VM1", (const char[]){*text, '\0'}, NULL);
	assert_string_equal(read_with(env, &query), "ab");
	query.after = env->last;
	strcpy(query.file, env->file);
	assert_string_equal(read_with(env, &query), "cd");
	query.after = env->last;
	assert_string_equal(read_with(env, &query), "e");
	query.after = env->last;
	assert_string_equal(read_with(env, &query), "");
	assert_int_equal(env->last, 5);
	/* Somebody else's place is none here. */
	strcpy(query.file, "0123456789abcdef");
	assert_string_equal(read_with(env, &query), "ab");
	/* What a filter passed over is not looked at again. */
	query = (struct events_query){.limit = 2, .forward = true, .level = EVENT_ERROR};
	assert_string_equal(read_with(env, &query), "");
	assert_int_equal(env->last, 5);
}

static void the_oldest_go(void **state)
{
	struct env *env = *state;

	for (int i = 0; i < MAX_EVENTS + 6; i++)
		add(env, i, EVENT_INFO, "vm/VM1", (const char[]){(char)('a' + i), '\0'}, NULL);
	assert_string_equal(read_all(env), "ghijklmnopqrstuvwxyz");
	events_db_close(env->db);
	open_db(env);
	assert_string_equal(read_all(env), "ghijklmnopqrstuvwxyz");
	assert_int_equal(env->last, MAX_EVENTS + 6);
}

/* A process that is killed leaves what it had told. */
static void it_survives_a_kill(void **state)
{
	struct env *env = *state;
	int status;
	pid_t pid;

	events_db_close(env->db);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		loop_new(&env->loop);
		open_db(env);
		for (int i = 0; i < 5; i++)
			add(env, i, EVENT_INFO, "vm/VM1", (const char[]){(char)('a' + i), '\0'},
				NULL);
		read_all(env); /* so it was written */
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	open_db(env);
	assert_string_equal(read_all(env), "abcde");
	assert_string_equal(env->trouble, "");
}

static void spoil(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	for (int i = 0; i < 500; i++)
		assert_int_equal(write(fd, "this is no database ", 20), 20);
	close(fd);
}

static void a_damaged_file_is_moved_aside(void **state)
{
	struct env *env = *state;
	char aside[96];

	add(env, 1, EVENT_INFO, "vm/VM1", "a", NULL);
	read_all(env);
	events_db_close(env->db);
	spoil(env->path);
	open_db(env);
	add(env, 2, EVENT_INFO, "vm/VM1", "b", NULL);
	assert_string_equal(read_all(env), "b");
	assert_non_null(strstr(env->trouble, "damaged"));
	snprintf(aside, sizeof(aside), "%s.damaged", env->path);
	assert_int_equal(access(aside, F_OK), 0);
}

static void a_file_of_a_newer_version_is_moved_aside(void **state)
{
	struct env *env = *state;
	uint8_t version[4] = {0, 0, 0, 9};
	int fd;

	add(env, 1, EVENT_INFO, "vm/VM1", "a", NULL);
	read_all(env);
	events_db_close(env->db);
	fd = open(env->path, O_WRONLY);
	assert_int_equal(pwrite(fd, version, 4, 60), 4); /* user_version */
	close(fd);
	open_db(env);
	assert_string_equal(read_all(env), "");
	assert_non_null(strstr(env->trouble, "newer"));
}

static void without_a_place_events_are_kept_in_memory(void **state)
{
	struct env *env = *state;
	char path[sizeof(env->path)];

	strcpy(path, env->path);
	events_db_close(env->db);
	strcpy(env->path, "/proc/nowhere/events.db");
	open_db(env);
	add(env, 1, EVENT_INFO, "vm/VM1", "a", NULL);
	assert_string_equal(read_all(env), "a");
	assert_non_null(strstr(env->trouble, "memory"));
	strcpy(env->path, path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_was_added_is_found_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_filter_takes_away, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_goes_on_where_it_ended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_survives_a_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_moved_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_of_a_newer_version_is_moved_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			without_a_place_events_are_kept_in_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
