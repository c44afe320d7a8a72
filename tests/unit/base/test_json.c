/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <string.h>

#include "tests/unit/base/cmocka_all.h"

static struct json *parse(const char *text)
{
	struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	return j;
}

static void assert_refused(const char *text, size_t len, int error)
{
	struct json *j = (struct json *)&len;

	assert_int_equal(json_parse(text, len, &j), error);
	assert_ptr_equal(j, &len);
}

static void test_objects_keep_order_and_round_trip(void **state)
{
	_cleanup_json_ struct json *o = json_object_new();
	struct json *list = json_array_new();
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_int_equal(json_set_string(o, "zebra", "a \"b\" \xc3\xa4"), 0);
	assert_int_equal(json_set_int(o, "apple", INT64_MIN), 0);
	assert_int_equal(json_set_bool(o, "mango", true), 0);
	assert_int_equal(json_set_string(o, "none", NULL), 0);
	assert_int_equal(json_set_stringf(o, "f", "%d-%s", 7, "x"), 0);
	assert_int_equal(json_append(list, json_int_new(1)), 0);
	assert_int_equal(json_append_string(list, "two"), 0);
	assert_int_equal(json_set(o, "list", list), 0);
	assert_int_equal(json_set_bool(o, "mango", false), 0);
	text = json_dump(o, 0);
	assert_string_equal(text,
		"{\"zebra\":\"a \\\"b\\\" \xc3\xa4\",\"apple\":-9223372036854775808,"
		"\"mango\":false,\"none\":null,\"f\":\"7-x\",\"list\":[1,\"two\"]}");
	json_unref(o);
	o = parse(text);
	assert_true(json_get_int(o, "apple", 0) == INT64_MIN);
	assert_string_equal(json_get_string(o, "f", ""), "7-x");
}

static void test_getters_are_total(void **state)
{
	_cleanup_json_ struct json *o =
		parse("{\"s\":\"text\",\"i\":5,\"b\":true,\"r\":2.5,\"n\":null,\"a\":[1]}");

	(void)state;
	assert_string_equal(json_get_string(o, "i", "fallback"), "fallback");
	assert_string_equal(json_get_string(o, "missing", "fallback"), "fallback");
	assert_string_equal(json_get_string(NULL, "s", "fallback"), "fallback");
	assert_string_equal(json_get_string(json_get(o, "a"), "s", "fallback"), "fallback");
	assert_int_equal(json_get_int(o, "r", -1), -1);
	assert_int_equal(json_get_int(o, "i", -1), 5);
	assert_true(json_get_bool(o, "s", true));
	assert_false(json_get_bool(o, "n", false));
	assert_true(json_get_real(o, "r", 0) == 2.5);
	assert_true(json_get_real(o, "i", 0) == 5);
	assert_true(json_get_real(o, "s", 1.5) == 1.5);
	assert_null(json_get(o, "missing"));
	assert_int_equal(json_length(o), 0);
	assert_int_equal(json_length(NULL), 0);
	assert_int_equal(json_length(json_get(o, "a")), 1);
	assert_null(json_at(json_get(o, "a"), 1));
	assert_null(json_at(o, 0));
	assert_int_equal(json_int(json_at(json_get(o, "a"), 0), 0), 1);
	assert_null(json_string(NULL, NULL));
	assert_true(json_is_object(o) && json_is_array(json_get(o, "a")));
	assert_true(json_is_string(json_get(o, "s")) && json_is_int(json_get(o, "i")));
	assert_true(json_is_bool(json_get(o, "b")) && !json_is_bool(json_get(o, "n")));
	assert_false(json_is_object(NULL));
}

static void test_setters_refuse(void **state)
{
	_cleanup_json_ struct json *o = json_object_new();
	_cleanup_json_ struct json *a = json_array_new();

	(void)state;
	assert_int_equal(json_set(a, "k", json_int_new(1)), -EINVAL);
	assert_int_equal(json_set(NULL, "k", json_int_new(1)), -EINVAL);
	assert_int_equal(json_set(o, "k", NULL), -ENOMEM);
	assert_int_equal(json_set_string(o, "k", "\xff"), -EINVAL);
	assert_int_equal(json_set_stringf(o, "k", "%s", "\xc3"), -EINVAL);
	assert_int_equal(json_set_int(o, "\xff", 1), -EINVAL);
	assert_int_equal(json_append(o, json_int_new(1)), -EINVAL);
	assert_int_equal(json_append_string(a, "\xff"), -EINVAL);
	assert_int_equal(json_delete(o, "k"), -ENOENT);
	assert_int_equal(json_set_int(o, "k", 1), 0);
	assert_int_equal(json_delete(o, "k"), 0);
	assert_null(json_get(o, "k"));
}

static void test_iteration(void **state)
{
	_cleanup_json_ struct json *o = parse("{\"b\":1,\"a\":2,\"c\":3}");
	const char *key;
	char keys[4] = {};
	struct json *value;
	void *at = NULL;
	int sum = 0, n = 0;

	(void)state;
	while (json_next(o, &at, &key, &value)) {
		keys[n++] = key[0];
		sum += (int)json_int(value, 0);
	}
	assert_string_equal(keys, "bac");
	assert_int_equal(sum, 6);
	at = NULL;
	assert_false(json_next(NULL, &at, &key, &value));
}

static void test_copies_are_deep(void **state)
{
	_cleanup_json_ struct json *o = parse("{\"a\":{\"b\":1}}");
	_cleanup_json_ struct json *copy = json_copy(o);

	(void)state;
	assert_int_equal(json_set_int(json_get(o, "a"), "b", 2), 0);
	assert_int_equal(json_get_int(json_get(copy, "a"), "b", 0), 1);
}

static void test_malformed_text(void **state)
{
	static const char *const bad[] = {"", " ", "{", "{\"a\"}", "{\"a\":1,}", "{} {}", "{}x",
		"[1,2", "nul", "'a'", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "\"\xff\"",
		"{\"\xc3\":1}", "1e999", "99999999999999999999", "\"\\ud800\"", "[}", "\"", "\"\\"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused(bad[i], strlen(bad[i]), -EBADMSG);
	assert_refused("{}\0", 3, -EBADMSG);
}

static void test_every_truncation_is_refused(void **state)
{
	const char *text = "{\"a\":[1,true,\"x\\n\",{\"b\":null}],\"c\":-2.5e3}";

	(void)state;
	for (size_t len = 0; len < strlen(text); len++) {
		char *part = malloc(len + 1);

		assert_non_null(part);
		memcpy(part, text, len);
		assert_refused(part, len, -EBADMSG);
		free(part);
	}
}

static void test_depth_is_bounded(void **state)
{
	char text[2 * JSON_MAX_DEPTH + 8];
	struct json *j;

	(void)state;
	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	assert_int_equal(json_parse(text, 2 * JSON_MAX_DEPTH, &j), 0);
	json_unref(j);
	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	assert_refused(text, 2 * JSON_MAX_DEPTH + 2, -EBADMSG);
	/* Brackets in strings do not count. */
	memset(text, '[', sizeof(text));
	text[0] = text[sizeof(text) - 1] = '"';
	assert_int_equal(json_parse(text, sizeof(text), &j), 0);
	json_unref(j);
}

static void test_size_is_bounded(void **state)
{
	char *text = malloc(JSON_MAX_BYTES + 1);
	struct json *j;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', JSON_MAX_BYTES + 1);
	text[0] = text[JSON_MAX_BYTES - 1] = '"';
	assert_int_equal(json_parse(text, JSON_MAX_BYTES, &j), 0);
	json_unref(j);
	assert_refused(text, JSON_MAX_BYTES + 1, -EMSGSIZE);
	free(text);
}

static void test_text_for_people(void **state)
{
	_cleanup_json_ struct json *o = parse("{\"a\":[1]}");
	_cleanup_free_ char *text = json_dump(o, 2);
	_cleanup_json_ struct json *string = json_string_new("x");
	_cleanup_free_ char *scalar = json_dump(string, 0);

	(void)state;
	assert_string_equal(text, "{\n  \"a\": [\n    1\n  ]\n}");
	assert_string_equal(scalar, "\"x\"");
	assert_null(json_dump(NULL, 0));
}

static void test_references(void **state)
{
	struct json *o = json_object_new();
	struct json *v = json_real_new(1);

	(void)state;
	json_ref(v);
	assert_int_equal(json_set(o, "v", v), 0);
	json_unref(o);
	assert_true(json_is_bool(v) == false);
	json_unref(v);
	json_unref(NULL);
	v = json_bool_new(true);
	assert_true(json_is_bool(v));
	json_unref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_keep_order_and_round_trip),
		cmocka_unit_test(test_getters_are_total),
		cmocka_unit_test(test_setters_refuse),
		cmocka_unit_test(test_iteration),
		cmocka_unit_test(test_copies_are_deep),
		cmocka_unit_test(test_malformed_text),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_text_for_people),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
