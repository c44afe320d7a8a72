/* SPDX-License-Identifier: MIT */
#include "node/svc/policy.h"

#include "tests/unit/base/cmocka_all.h"

#include <string.h>

static char error[256];

static struct json *parse(const char *text)
{
	struct json *j;

	assert_int_equal(json_parse(text, strlen(text), &j), 0);
	return j;
}

/* The record that comes of it as text; "" when it is refused. To free(). */
static char *changed(const char *old, const char *changes)
{
	_cleanup_json_ struct json *before = old ? parse(old) : NULL;
	_cleanup_json_ struct json *wanted = parse(changes);
	_cleanup_json_ struct json *record = NULL;

	error[0] = '\0';
	if (policy_change(before, wanted, &record, error, sizeof(error)) < 0)
		return strdup("");
	return json_dump(record, 0);
}

static void expect(const char *old, const char *changes, const char *record)
{
	_cleanup_free_ char *text = changed(old, changes);

	assert_string_equal(text, record);
}

static void expect_refused(const char *old, const char *changes, const char *why)
{
	expect(old, changes, "");
	assert_string_equal(error, why);
}

static void without_a_record_all_is_default(void **state _unused_)
{
	struct policy policy;

	policy_read(NULL, &policy);
	assert_int_equal(policy.priority, PLACE_MEDIUM);
	assert_int_equal(policy.max_restarts, 3);
	assert_int_equal(policy.restart_window_s, 3600);
	assert_int_equal(policy.failback, POLICY_FAILBACK_NONE);
	assert_int_equal(policy.n_preferred + policy.n_possible, 0);
	assert_string_equal(policy.anti_affinity, "");
	assert_false(policy.restart_on_heartbeat);
}

static void settings_are_kept_and_defaults_are_not(void **state _unused_)
{
	static const char all[] =
		"{\"priority\":\"high\",\"preferred\":[\"host2\"],\"possible\":["
		"\"host1\",\"host2\"],\"anti_affinity\":\"dc\",\"failback\":\"22-6\","
		"\"max_restarts\":0,\"restart_window_s\":60,\"heartbeat\":\"restart\"}";
	_cleanup_json_ struct json *record = parse(all);
	struct policy policy;

	expect(NULL, all, all);
	expect(NULL, "{\"priority\":\"medium\",\"max_restarts\":3,\"preferred\":[]}", "{}");
	expect("{\"priority\":\"high\"}", "{\"heartbeat\":\"restart\"}",
		"{\"priority\":\"high\",\"heartbeat\":\"restart\"}");
	expect("{\"priority\":\"high\"}", "{\"priority\":null}", "{}");
	policy_read(record, &policy);
	assert_int_equal(policy.priority, PLACE_HIGH);
	assert_string_equal(policy.preferred[0], "host2");
	assert_int_equal(policy.n_possible, 2);
	assert_int_equal(policy.failback, POLICY_FAILBACK_HOURS);
	assert_int_equal(policy.failback_from, 22);
	assert_int_equal(policy.failback_to, 6);
	assert_true(policy.restart_on_heartbeat);
}

static void nonsense_is_refused_in_one_sentence(void **state _unused_)
{
	expect_refused(NULL, "{\"prio\":\"high\"}", "a policy has no 'prio'");
	expect_refused(
		NULL, "{\"priority\":\"urgent\"}", "priority: it is high, medium, low or none");
	expect_refused(NULL, "{\"priority\":7}", "priority: it is high, medium, low or none");
	expect_refused(
		NULL, "{\"preferred\":\"host1\"}", "preferred owners: it is a list of nodes");
	expect_refused(
		NULL, "{\"preferred\":[\"a b\"]}", "preferred owners: it is a list of nodes");
	expect_refused(
		NULL, "{\"possible\":[\"a\",\"a\"]}", "possible owners: a node is named twice");
	expect_refused(
		NULL, "{\"max_restarts\":-1}", "number of restarts: it is 0 (never) to 1000");
	expect_refused(NULL, "{\"restart_window_s\":0}",
		"time of the restarts: it is 1 to 2592000 seconds, thirty days");
	expect_refused(NULL, "{\"heartbeat\":\"panic\"}", "heartbeat: it is ignore or restart");
	expect_refused("{\"possible\":[\"host1\"]}", "{\"preferred\":[\"host2\"]}",
		"host2 is a preferred owner but not among the possible ones; add it there, or take "
		"it away here");
}

static void failback_has_hours(void **state _unused_)
{
	static const char *const wrong[] = {
		"", "24-1", "1-24", "1", "1-", "-1", "1-2-3", "001-2", "a-b", "1- 2", "soon"};
	struct policy policy;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		_cleanup_json_ struct json *changes = json_object_new();
		struct json *record = NULL;

		json_set_string(changes, "failback", wrong[i]);
		assert_int_equal(
			policy_change(NULL, changes, &record, error, sizeof(error)), -EINVAL);
		assert_null(record);
	}
	expect_refused(NULL, "{\"failback\":\"5-5\"}",
		"failback: from an hour to the same hour is no time at all; 'immediate' is always");
	policy_read(NULL, &policy);
	assert_false(policy_may_fail_back(&policy, 0));
	policy.failback = POLICY_FAILBACK_IMMEDIATE;
	assert_true(policy_may_fail_back(&policy, 12));
	policy.failback = POLICY_FAILBACK_HOURS;
	policy.failback_from = 22;
	policy.failback_to = 6;
	for (unsigned hour = 0; hour < 24; hour++)
		assert_int_equal(policy_may_fail_back(&policy, hour), hour >= 22 || hour < 6);
	policy.failback_from = 1;
	policy.failback_to = 3;
	for (unsigned hour = 0; hour < 24; hour++)
		assert_int_equal(policy_may_fail_back(&policy, hour), hour == 1 || hour == 2);
}

/* The store may have been written by anything. */
static void a_record_of_nonsense_counts_for_nothing(void **state _unused_)
{
	_cleanup_json_ struct json *record = parse(
		"{\"priority\":[],\"preferred\":[1],\"possible\":{},\"anti_affinity\":\"a/b\","
		"\"failback\":5,\"max_restarts\":\"x\",\"heartbeat\":null,\"more\":1}");
	_cleanup_json_ struct json *whole = policy_complete(record);
	_cleanup_json_ struct json *defaults = policy_complete(NULL);

	assert_true(json_is_equal(whole, defaults));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_record_all_is_default),
		cmocka_unit_test(settings_are_kept_and_defaults_are_not),
		cmocka_unit_test(nonsense_is_refused_in_one_sentence),
		cmocka_unit_test(failback_has_hours),
		cmocka_unit_test(a_record_of_nonsense_counts_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
