/* SPDX-License-Identifier: MIT */
#include "node/svc/console.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <sys/stat.h>

static char directory[] = "/tmp/viaduct-console.XXXXXX";

static int set_up(void **state _unused_)
{
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state _unused_)
{
	static const char *const names[] = {"vm-VM1.console", "vm-VM1.console.1"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static void positions_count_bytes_and_old_ones_are_gone(void **state _unused_)
{
	struct console console;
	uint8_t block[1000];
	uint64_t from;
	size_t size;

	console_init(&console, directory, "VM1");
	assert_int_equal(strlen(console.stream), 16);
	console_append(&console, "hello", 5);
	assert_memory_equal(console_since(&console, 1, &from, &size), "ello", 4);
	assert_int_equal(from, 1);
	assert_int_equal(size, 4);
	console_since(&console, 99, &from, &size);
	assert_int_equal(from, 5);
	assert_int_equal(size, 0);
	memset(block, 'x', sizeof(block));
	for (unsigned i = 0; i < 300; i++)
		console_append(&console, block, sizeof(block));
	assert_int_equal(console.end, 300005);
	console_since(&console, 0, &from, &size);
	assert_true(from > 0 && from + size == console.end);
	assert_in_range(size, CONSOLE_KEPT_BYTES, 2 * CONSOLE_KEPT_BYTES);
	console_fini(&console);
}

static void the_log_goes_on_and_is_turned_over(void **state _unused_)
{
	_cleanup_free_ uint8_t *block = calloc(1, 1 << 20);
	struct console console;
	struct buf tail = {0};
	struct stat st;
	char old[128];

	console_init(&console, directory, "VM1");
	console_append(&console, "first\n", 6);
	console_fini(&console);
	console_init(&console, directory, "VM1");
	console_append(&console, "second\n", 7);
	assert_int_equal(console_log_tail(directory, "VM1", &tail), 0);
	assert_int_equal(tail.size_bytes, 13);
	assert_memory_equal(tail.data, "first\nsecond\n", 13);
	for (unsigned i = 0; i < 4; i++)
		console_append(&console, block, 1 << 20);
	snprintf(old, sizeof(old), "%s/vm-VM1.console.1", directory);
	assert_int_equal(stat(old, &st), 0);
	assert_true(st.st_size > CONSOLE_LOG_MAX_BYTES);
	console_append(&console, "third\n", 6);
	buf_reset(&tail);
	assert_int_equal(console_log_tail(directory, "VM1", &tail), 0);
	assert_int_equal(tail.size_bytes, 6);
	buf_fini(&tail);
	console_fini(&console);
	assert_int_equal(console_log_tail(directory, "VM2", &tail), -ENOENT);
}

static void people_see_no_control_characters(void **state _unused_)
{
	static const uint8_t bytes[] = "a\r\n\tb\x1b[31m\x80z";
	_cleanup_free_ char *text = console_text(bytes, sizeof(bytes) - 1);

	assert_string_equal(text, "a\n\tb?[31m?z");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(positions_count_bytes_and_old_ones_are_gone),
		T(the_log_goes_on_and_is_turned_over),
		T(people_see_no_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
