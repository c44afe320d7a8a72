/* SPDX-License-Identifier: MIT */
#include "node/svc/nic.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>

static struct json *parse(const char *text)
{
	struct json *value = NULL;

	if (json_parse(text, strlen(text), &value) < 0)
		fail_msg("the test's own text is no JSON: %s", text);
	return value;
}

static void completes_to(const char *nic_text, const char *expected_text)
{
	_cleanup_json_ struct json *nic = parse(nic_text), *expected = parse(expected_text);
	_cleanup_json_ struct json *complete = nic_offload_complete(nic);
	_cleanup_free_ char *text = json_dump(complete, 0);

	if (!json_is_equal(complete, expected))
		fail_msg("%s: %s instead of %s", nic_text, text, expected_text);
}

static void nothing_is_left_unsaid(void **state _unused_)
{
	completes_to("{}", "{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true}");
	completes_to(
		"{\"offload\":{}}", "{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true}");
	completes_to("{\"offload\":{\"lso\":false,\"rss\":false}}",
		"{\"csum\":\"both\",\"lso\":false,\"rsc\":true,\"rss\":false}");
	/* Two ways to say the same are one in force. */
	completes_to("{\"offload\":{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true}}",
		"{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true}");
}

static void what_needs_checksums_goes_with_them(void **state _unused_)
{
	completes_to("{\"offload\":{\"csum\":\"rx\"}}",
		"{\"csum\":\"rx\",\"lso\":false,\"rsc\":true,\"rss\":true}");
	completes_to("{\"offload\":{\"csum\":\"tx\"}}",
		"{\"csum\":\"tx\",\"lso\":true,\"rsc\":false,\"rss\":true}");
	completes_to("{\"offload\":{\"csum\":\"off\"}}",
		"{\"csum\":\"off\",\"lso\":false,\"rsc\":false,\"rss\":true}");
}

static void each_adapter_has_its_own(void **state _unused_)
{
	_cleanup_json_ struct json *config =
		parse("{\"nics\":[{\"switch\":\"A\"},{\"switch\":\"B\",\"offload\":{\"csum\":"
		      "\"tx\"}}]}");
	_cleanup_json_ struct json *none = parse("{}");
	_cleanup_json_ struct json *offloads = nic_offloads(config);
	_cleanup_json_ struct json *empty = nic_offloads(none);

	assert_int_equal(json_length(offloads), 2);
	assert_string_equal(json_get_string(json_at(offloads, 0), "csum", ""), "both");
	assert_string_equal(json_get_string(json_at(offloads, 1), "csum", ""), "tx");
	assert_true(nic_offloads_are_valid(offloads, config));
	assert_true(json_is_array(empty));
	assert_true(nic_offloads_are_valid(empty, none));
	assert_false(nic_offloads_are_valid(offloads, none));
	assert_false(nic_offloads_are_valid(empty, config));
}

static void strange_lists_are_no_lists(void **state _unused_)
{
	static const char *const wrong[] = {
		"{}",
		"7",
		"null",
		"[]",
		"[7]",
		"[null]",
		"[{}]",
		"[{\"csum\":\"both\",\"lso\":true,\"rsc\":true}]",
		"[{\"csum\":\"all\",\"lso\":true,\"rsc\":true,\"rss\":true}]",
		"[{\"csum\":true,\"lso\":true,\"rsc\":true,\"rss\":true}]",
		"[{\"csum\":\"both\",\"lso\":1,\"rsc\":true,\"rss\":true}]",
		"[{\"csum\":\"both\",\"lso\":true,\"rsc\":\"on\",\"rss\":true}]",
		"[{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":null}]",
		"[{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true,\"more\":1}]",
		"[{\"csum\":\"both\",\"lso\":true,\"rsc\":true,\"rss\":true},7]",
	};
	_cleanup_json_ struct json *config = parse("{\"nics\":[{\"switch\":\"A\"}]}");

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		_cleanup_json_ struct json *offloads = parse(wrong[i]);

		if (nic_offloads_are_valid(offloads, config))
			fail_msg("taken: %s", wrong[i]);
	}
	assert_false(nic_offloads_are_valid(NULL, config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_left_unsaid),
		cmocka_unit_test(what_needs_checksums_goes_with_them),
		cmocka_unit_test(each_adapter_has_its_own),
		cmocka_unit_test(strange_lists_are_no_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
