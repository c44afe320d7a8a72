/* SPDX-License-Identifier: MIT
 *
 * The pure parts of remote administration: messages and limits.
 */
#include "node/svc/remote_limit.h"
#include "node/svc/remote_msg.h"

#include "base/clock.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static void a_request_is_taken(void **state _unused_)
{
	static const char text[] = "{\"rid\":7,\"request\":{\"op\":\"vm.list\",\"x\":1}}";
	_cleanup_json_ struct json *request = NULL;
	uint64_t id = 0;

	assert_int_equal(remote_msg_parse(text, strlen(text), &id, &request), 0);
	assert_int_equal(id, 7);
	assert_string_equal(json_get_string(request, "op", ""), "vm.list");
}

static void what_is_no_request_is_not(void **state _unused_)
{
	static const char *const texts[] = {"", "{}", "[]", "7", "{\"rid\":7}",
		"{\"rid\":0,\"request\":{\"op\":\"a\"}}", "{\"rid\":-1,\"request\":{\"op\":\"a\"}}",
		"{\"rid\":\"7\",\"request\":{\"op\":\"a\"}}", "{\"rid\":7,\"request\":{}}",
		"{\"rid\":7,\"request\":{\"op\":7}}", "{\"rid\":7,\"request\":[\"op\"]}",
		"{\"rid\":7,\"request\":{\"op\":\"a\"}} ,",
		"{\"rid\":7,\"request\":{\"op\":\"a\"}"};
	struct json *request = NULL;
	uint64_t id;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(remote_msg_parse(texts[i], strlen(texts[i]), &id, &request) < 0);
		assert_null(request);
	}
}

static void size_and_depth_are_bounded(void **state _unused_)
{
	_cleanup_free_ char *text = malloc(REMOTE_MAX_REQUEST_BYTES + 1);
	struct json *request = NULL;
	uint64_t id;

	assert_non_null(text);
	memset(text, ' ', REMOTE_MAX_REQUEST_BYTES + 1);
	assert_int_equal(
		remote_msg_parse(text, REMOTE_MAX_REQUEST_BYTES + 1, &id, &request), -EMSGSIZE);
	memset(text, '[', 100000);
	assert_true(remote_msg_parse(text, 100000, &id, &request) < 0);
	assert_null(request);
}

static void an_answer_that_is_too_large_is_a_refusal(void **state _unused_)
{
	_cleanup_free_ char *large = malloc(REMOTE_MAX_ANSWER_BYTES + 1), *text = NULL;
	_cleanup_json_ struct json *envelope = NULL;
	struct json *answer = json_object_new();

	assert_non_null(large);
	memset(large, 'x', REMOTE_MAX_ANSWER_BYTES);
	large[REMOTE_MAX_ANSWER_BYTES] = '\0';
	json_set_string(answer, "x", large);
	text = remote_msg_answer(9, answer);
	assert_non_null(text);
	assert_true(strlen(text) < 500);
	assert_int_equal(json_parse(text, strlen(text), &envelope), 0);
	assert_int_equal(json_get_int(envelope, "rid", 0), 9);
	assert_false(json_get_bool(json_get(envelope, "answer"), "ok", true));
}

static void a_burst_is_taken_and_then_a_rate(void **state _unused_)
{
	struct remote_limit limit = {0};
	uint64_t now_ns = 5 * NS_PER_SEC;
	unsigned n_taken = 0, n_told = 0;

	for (int i = 0; i < 1000; i++) {
		enum remote_verdict verdict = remote_limit_ask(&limit, now_ns);

		if (verdict == REMOTE_TAKE)
			remote_limit_done(&limit);
		n_taken += verdict == REMOTE_TAKE;
		n_told += verdict == REMOTE_TELL;
	}
	assert_int_equal(n_taken, REMOTE_BURST);
	assert_int_equal(n_told, 1);
	/* One second later: as many as a second allows, and one is told again. */
	n_taken = n_told = 0;
	for (int i = 0; i < 1000; i++) {
		enum remote_verdict verdict =
			remote_limit_ask(&limit, now_ns + NS_PER_SEC + (uint64_t)i);

		if (verdict == REMOTE_TAKE)
			remote_limit_done(&limit);
		n_taken += verdict == REMOTE_TAKE;
		n_told += verdict == REMOTE_TELL;
	}
	assert_int_equal(n_taken, REMOTE_PER_SECOND);
	assert_int_equal(n_told, 1);
}

static void long_polls_are_counted(void **state _unused_)
{
	struct remote_limit limit = {0};
	uint64_t now_ns = NS_PER_SEC;

	for (int i = 0; i < REMOTE_MAX_OPEN; i++)
		assert_int_equal(remote_limit_ask(&limit, now_ns += NS_PER_SEC), REMOTE_TAKE);
	assert_int_equal(remote_limit_ask(&limit, now_ns += NS_PER_SEC), REMOTE_TELL);
	remote_limit_done(&limit);
	assert_int_equal(remote_limit_ask(&limit, now_ns += NS_PER_SEC), REMOTE_TAKE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken),
		cmocka_unit_test(what_is_no_request_is_not),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(an_answer_that_is_too_large_is_a_refusal),
		cmocka_unit_test(a_burst_is_taken_and_then_a_rate),
		cmocka_unit_test(long_polls_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
