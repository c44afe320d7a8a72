/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/base/cmocka_all.h"

struct fixture {
	int fds[2];
	char text[8192];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(pipe2(f->fds, O_NONBLOCK | O_CLOEXEC), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_fini();
	close(f->fds[0]);
	close(f->fds[1]);
	free(f);
	return 0;
}

static const char *logged(struct fixture *f)
{
	ssize_t n = read(f->fds[0], f->text, sizeof(f->text) - 1);

	f->text[n > 0 ? n : 0] = 0;
	return f->text;
}

/* Time, program and pid are the journal's; it wants the level as syslog has it. */
static void test_journal(void **state)
{
	struct fixture *f = *state;
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(f->fds[1], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_int_equal(log_init("prog", LOG_LEVEL_INFO, f->fds[1]), 0);
	log_warning("disk %d is %s", 3, "slow\n<1>");
	assert_string_equal(logged(f), "<4>disk 3 is slow?<1>\n");
	/* Somebody else's journal, as a child has it whose output goes into a file. */
	setenv("JOURNAL_STREAM", "1:2", 1);
	assert_int_equal(log_init("prog", LOG_LEVEL_INFO, f->fds[1]), 0);
	log_warning("disk");
	assert_non_null(strstr(logged(f), " warning: disk\n"));
	unsetenv("JOURNAL_STREAM");
}

static void test_line(void **state)
{
	struct fixture *f = *state;
	const char *text;
	char name[64];

	assert_int_equal(log_init("prog", LOG_LEVEL_INFO, f->fds[1]), 0);
	errno = ENOSPC;
	log_error("disk %d is %s", 3, "full");
	assert_int_equal(errno, ENOSPC);
	text = logged(f);
	snprintf(name, sizeof(name), "Z prog[%d] error: disk 3 is full\n", (int)getpid());
	assert_non_null(strstr(text, name));
	/* 2024-01-31T12:34:56.789Z */
	assert_int_equal(text[10], 'T');
	assert_int_equal(strchr(text, 'Z') - text, 23);
}

static void test_levels(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_init("prog", LOG_LEVEL_WARNING, f->fds[1]), 0);
	log_debug("debug");
	log_info("info");
	assert_string_equal(logged(f), "");
	log_warning("careful");
	assert_non_null(strstr(logged(f), " warning: careful\n"));
}

static void test_debug_takes_in_libqb(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_init("prog", LOG_LEVEL_DEBUG, f->fds[1]), 0);
	log_debug("mine");
	assert_non_null(strstr(logged(f), "test_log.c"));
	/* A second initialisation replaces the first. */
	assert_int_equal(log_init("other", LOG_LEVEL_INFO, f->fds[1]), 0);
	log_debug("mine");
	assert_string_equal(logged(f), "");
	log_info("hello");
	assert_non_null(strstr(logged(f), "] hello\n"));
}

static void test_hostile_text_stays_one_line(void **state)
{
	struct fixture *f = *state;
	char huge[5000];
	const char *text;

	assert_int_equal(log_init("prog", LOG_LEVEL_INFO, f->fds[1]), 0);
	log_info("%s", "a\nb\033[2Jc\r");
	text = logged(f);
	assert_non_null(strstr(text, "] a?b?[2Jc?\n"));
	memset(huge, 'x', sizeof(huge));
	huge[sizeof(huge) - 1] = 0;
	log_info("%s", huge);
	text = logged(f);
	assert_true(strlen(text) > 1000 && strlen(text) < 1200);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_debug_takes_in_libqb, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_text_stays_one_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
