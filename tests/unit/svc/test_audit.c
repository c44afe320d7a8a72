/* SPDX-License-Identifier: MIT */
#include "node/svc/audit.h"

#include "base/clock.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static struct json *parse(const char *text)
{
	struct json *json = NULL;

	assert_int_equal(json_parse(text, strlen(text), &json), 0);
	return json;
}

static void a_request_is_told_without_its_secrets(void **state _unused_)
{
	static const struct {
		const char *request, *told;
	} cases[] = {
		{"{\"op\":\"vm.start\",\"vm\":\"VM1\",\"node\":\"host2\"}",
			"vm.start vm=VM1 node=host2"},
		{"{\"vm\":\"VM1\",\"op\":\"vm.type\",\"text\":\"hunter2\"}",
			"vm.type vm=VM1 text=..."},
		{"{\"op\":\"vm.item\",\"vm\":\"A\",\"key\":\"k\",\"value\":\"hunter2\"}",
			"vm.item vm=A key=k value=..."},
		{"{\"op\":\"vm.serial\",\"vm\":\"A\",\"send\":\"hunter2\",\"data\":\"aHVudGVyMg\"}",
			"vm.serial vm=A send=... data=..."},
		{"{\"op\":\"x\",\"a\":[{\"password\":\"hunter2\",\"n\":1}]}",
			"x a=[{\"password\":\"...\",\"n\":1}]"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json *request = parse(cases[i].request);
		char text[400];

		audit_request(request, text, sizeof(text));
		assert_string_equal(text, cases[i].told);
		assert_null(strstr(text, "hunter2"));
	}
}

static void what_is_long_is_cut(void **state _unused_)
{
	_cleanup_json_ struct json *request = json_object_new();
	char name[600], text[400];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	json_set_string(request, "op", "vm.create");
	for (int i = 0; i < 20; i++)
		json_set_string(request, (const char[]){(char)('a' + i), '\0'}, name);
	audit_request(request, text, sizeof(text));
	assert_true(strlen(text) < sizeof(text));
	assert_non_null(strstr(text, "xxx... b="));
}

static void the_object_is_what_a_request_is_about(void **state _unused_)
{
	static const struct {
		const char *request, *object;
	} cases[] = {
		{"{\"op\":\"vm.start\",\"vm\":\"VM1\",\"node\":\"host2\"}", "vm/VM1"},
		{"{\"op\":\"disk.add\",\"vm\":\"VM1\"}", "vm/VM1"},
		{"{\"op\":\"vm.create\",\"name\":\"VM2\"}", "vm/VM2"},
		{"{\"op\":\"switch.create\",\"name\":\"A\",\"node\":\"host1\"}", "switch/A"},
		{"{\"op\":\"job.cancel\",\"id\":\"host1-3\"}", "job/host1-3"},
		{"{\"op\":\"scrub.begin\",\"node\":\"host2\"}", "node/host2"},
		{"{\"op\":\"offload.set\"}", "cluster"},
		{"{\"op\":7}", "cluster"},
		{"{}", "cluster"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ struct json *request = parse(cases[i].request);
		char text[96];

		audit_object(request, text, sizeof(text));
		assert_string_equal(text, cases[i].object);
	}
}

static void an_outcome_has_its_reason(void **state _unused_)
{
	_cleanup_json_ struct json *done = parse("{\"ok\":true}");
	_cleanup_json_ struct json *begun = parse("{\"ok\":true,\"job\":\"host1-7\"}");
	_cleanup_json_ struct json *job = parse("{\"ok\":true,\"job\":{\"id\":\"host1-8\"}}");
	_cleanup_json_ struct json *refused =
		parse("{\"ok\":false,\"code\":\"conflict\",\"error\":\"it runs\"}");
	char text[320];

	assert_true(audit_outcome(done, text, sizeof(text)));
	assert_string_equal(text, "done");
	assert_true(audit_outcome(begun, text, sizeof(text)));
	assert_string_equal(text, "begun as host1-7");
	assert_true(audit_outcome(job, text, sizeof(text)));
	assert_string_equal(text, "begun as host1-8");
	assert_false(audit_outcome(refused, text, sizeof(text)));
	assert_string_equal(text, "conflict: it runs");
}

static void texts_become_one_line_of_utf8(void **state _unused_)
{
	static const struct {
		const char *dirty, *clean;
	} cases[] = {
		{"plain", "plain"},
		{"two\nlines\x7f\x1b[31m", "two?lines??[31m"},
		{"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
			"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"cut \xe2\x82", "cut ??"},
		{"\xc0\x80 \xed\xa0\x80 \xf5\x80\x80\x80 \xff", "?? ??? ???? ?"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[64];

		strcpy(text, cases[i].dirty);
		audit_clean(text);
		assert_string_equal(text, cases[i].clean);
	}
}

static void a_sitting_is_told_once_a_minute(void **state _unused_)
{
	struct sittings sittings = {0};
	uint64_t now_ns = 1000 * NS_PER_SEC;

	assert_true(audit_is_news(&sittings, "root", "vm.serial", "vm/VM1", now_ns));
	for (int i = 0; i < 100; i++)
		assert_false(audit_is_news(&sittings, "root", "vm.serial", "vm/VM1", now_ns + 1));
	assert_true(audit_is_news(&sittings, "key anna", "vm.serial", "vm/VM1", now_ns));
	assert_true(audit_is_news(&sittings, "root", "vm.serial", "vm/VM2", now_ns));
	assert_true(audit_is_news(&sittings, "root", "vm.type", "vm/VM1", now_ns));
	assert_true(
		audit_is_news(&sittings, "root", "vm.serial", "vm/VM1", now_ns + 60 * NS_PER_SEC));
	/* More sittings than there is room for: each is told, none is lost. */
	for (int i = 0; i < 100; i++) {
		char object[16];

		snprintf(object, sizeof(object), "vm/%d", i);
		assert_true(audit_is_news(&sittings, "root", "vm.serial", object, now_ns + 2));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_told_without_its_secrets),
		cmocka_unit_test(what_is_long_is_cut),
		cmocka_unit_test(the_object_is_what_a_request_is_about),
		cmocka_unit_test(an_outcome_has_its_reason),
		cmocka_unit_test(texts_become_one_line_of_utf8),
		cmocka_unit_test(a_sitting_is_told_once_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
