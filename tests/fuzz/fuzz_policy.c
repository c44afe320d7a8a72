/* SPDX-License-Identifier: MIT
 *
 * A policy of a VM, as the store has it, written by whoever: a line of JSON. A second line is what
 * somebody wants to change in it, and what comes of that is read again.
 */
#include "node/svc/policy.h"

#include <string.h>

static void check(const struct policy *policy)
{
	if (policy->priority > PLACE_HIGH || policy->n_preferred > PLACE_MAX_LISTED ||
		policy->n_possible > PLACE_MAX_LISTED || policy->failback_from > 23 ||
		policy->failback_to > 23 || policy->max_restarts > POLICY_MAX_RESTARTS ||
		policy->restart_window_s > POLICY_MAX_WINDOW_S)
		abort();
	for (size_t i = 0; i < policy->n_preferred; i++) {
		if (!policy->preferred[i][0])
			abort();
	}
	for (size_t i = 0; i < policy->n_possible; i++) {
		if (!policy->possible[i][0])
			abort();
	}
	for (unsigned hour = 0; hour < 24; hour++)
		(void)policy_may_fail_back(policy, hour);
}

/* What is complete says the same, and nothing more can be completed. */
static void check_complete(const struct json *record)
{
	_cleanup_json_ struct json *once = policy_complete(record);
	_cleanup_json_ struct json *twice = policy_complete(once);

	if (!once || !twice || !json_is_equal(once, twice))
		abort();
}

static void check_change(const struct json *record, const struct json *changes)
{
	_cleanup_json_ struct json *changed = NULL;
	static struct policy policy;
	char error[256] = "";

	if (policy_change(record, changes, &changed, error, sizeof(error)) < 0) {
		if (!error[0] || changed)
			abort();
		return;
	}
	policy_read(changed, &policy);
	check(&policy);
	check_complete(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *end = size ? memchr(text, '\n', size) : NULL;
	size_t len = end ? (size_t)(end - text) : size;
	_cleanup_json_ struct json *record = NULL;
	_cleanup_json_ struct json *changes = NULL;
	static struct policy policy;

	(void)json_parse(text, len, &record);
	policy_read(record, &policy);
	check(&policy);
	check_complete(record);
	if (end && json_parse(end + 1, size - len - 1, &changes) == 0)
		check_change(record, changes);
	return 0;
}
