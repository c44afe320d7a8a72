/* SPDX-License-Identifier: MIT */
#include "node/svc/peer_answers.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int set_up(void **state)
{
	struct peer_answers *answers = NULL;

	assert_int_equal(peer_answers_new(&answers), 0);
	*state = answers;
	return 0;
}

static int tear_down(void **state)
{
	peer_answers_free(*state);
	return 0;
}

static bool has(struct peer_answers *answers, const char *from, uint64_t life, uint64_t id,
	const char *text)
{
	const struct peer_question question = {from, life, id};
	size_t size_bytes = 0;
	const char *found = peer_answers_find(answers, &question, &size_bytes);

	return found && size_bytes == strlen(text) && memcmp(found, text, size_bytes) == 0;
}

static void keep(struct peer_answers *answers, const char *from, uint64_t life, uint64_t id,
	const char *text)
{
	const struct peer_question question = {from, life, id};

	peer_answers_keep(answers, &question, text, strlen(text));
}

static void a_question_is_known_by_all_of_its_three_parts(void **state)
{
	struct peer_answers *answers = *state;

	keep(answers, "host1", 1, 7, "one");
	keep(answers, "host2", 1, 7, "two");
	keep(answers, "host1", 2, 7, "three");
	keep(answers, "host1", 1, 8, "");
	assert_true(has(answers, "host1", 1, 7, "one"));
	assert_true(has(answers, "host2", 1, 7, "two"));
	assert_true(has(answers, "host1", 2, 7, "three"));
	assert_true(has(answers, "host1", 1, 8, ""));
	assert_false(has(answers, "host3", 1, 7, "one"));
	assert_false(has(answers, "host2", 2, 7, "three"));
}

static void the_oldest_make_room(void **state)
{
	struct peer_answers *answers = *state;

	for (uint64_t id = 0; id <= PEER_ANSWERS_MAX; id++)
		keep(answers, "host1", 1, id, "word");
	assert_false(has(answers, "host1", 1, 0, "word"));
	assert_true(has(answers, "host1", 1, 1, "word"));
	assert_true(has(answers, "host1", 1, PEER_ANSWERS_MAX, "word"));
}

static void large_ones_make_room_too(void **state)
{
	const struct peer_question large = {"host1", 1, 2}, larger = {"host1", 1, 3};
	struct peer_answers *answers = *state;
	char *text = calloc(1, PEER_ANSWERS_MAX_BYTES);
	size_t size_bytes;

	keep(answers, "host1", 1, 1, "word");
	peer_answers_keep(answers, &larger, text, PEER_ANSWERS_MAX_BYTES);
	assert_null(peer_answers_find(answers, &larger, &size_bytes));
	assert_true(has(answers, "host1", 1, 1, "word"));
	peer_answers_keep(answers, &large, text, PEER_ANSWERS_MAX_BYTES - 6);
	assert_non_null(peer_answers_find(answers, &large, &size_bytes));
	assert_false(has(answers, "host1", 1, 1, "word"));
	free(text);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_question_is_known_by_all_of_its_three_parts),
		T(the_oldest_make_room),
		T(large_ones_make_room_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
