/* SPDX-License-Identifier: MIT
 *
 * The pure part: one table of settings, each with a function that says what is wrong with a value,
 * and one that takes it.
 */
#include "node/svc/policy.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_RESTARTS 3
#define DEFAULT_WINDOW_S 3600

static int refuse(char *error, size_t size_bytes, const char *format, ...) _printf_(3, 4);

static int refuse(char *error, size_t size_bytes, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size_bytes, format, args);
	va_end(args);
	return -EINVAL;
}

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > PLACE_NAME_MAX_LEN || !isalnum((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	}
	return true;
}

/* ---- one setting each: what is wrong with the value completes "KEY: ..."; NULL: it was taken ----
 */

static const char *take_priority(struct policy *policy, const struct json *value)
{
	return place_priority_from_name(json_string(value, ""), &policy->priority) < 0
		       ? "it is high, medium, low or none"
		       : NULL;
}

static const char *take_names(
	const struct json *value, char names[PLACE_MAX_LISTED][PLACE_NAME_MAX_LEN + 1], size_t *n)
{
	size_t wanted = json_length(value);

	if (!json_is_array(value))
		return "it is a list of nodes";
	if (wanted > PLACE_MAX_LISTED)
		return "these are too many nodes";
	for (size_t i = 0; i < wanted; i++) {
		const char *name = json_string(json_at(value, i), "");

		if (!is_name(name))
			return "it is a list of nodes";
		for (size_t k = 0; k < i; k++) {
			if (strcmp(json_string(json_at(value, k), ""), name) == 0)
				return "a node is named twice";
		}
	}
	for (size_t i = 0; i < wanted; i++)
		snprintf(
			names[i], PLACE_NAME_MAX_LEN + 1, "%s", json_string(json_at(value, i), ""));
	*n = wanted;
	return NULL;
}

static const char *take_preferred(struct policy *policy, const struct json *value)
{
	return take_names(value, policy->preferred, &policy->n_preferred);
}

static const char *take_possible(struct policy *policy, const struct json *value)
{
	return take_names(value, policy->possible, &policy->n_possible);
}

static const char *take_class(struct policy *policy, const struct json *value)
{
	const char *text = json_string(value, NULL);

	if (!text || (text[0] && !is_name(text)))
		return "a class has at most 63 characters: letters, digits, - _ .";
	snprintf(policy->anti_affinity, sizeof(policy->anti_affinity), "%s", text);
	return NULL;
}

static bool take_hour(const char **text, unsigned *ret_hour)
{
	unsigned hour = 0, digits = 0;

	for (; isdigit((unsigned char)**text) && digits < 2; (*text)++, digits++)
		hour = hour * 10 + (unsigned)(**text - '0');
	*ret_hour = hour;
	return digits > 0 && hour < 24;
}

static const char *take_failback(struct policy *policy, const struct json *value)
{
	static const char wrong[] = "it is none, immediate, or hours of the day like 22-6";
	const char *text = json_string(value, "");
	unsigned from, to;

	if (strcmp(text, "none") == 0) {
		policy->failback = POLICY_FAILBACK_NONE;
		return NULL;
	}
	if (strcmp(text, "immediate") == 0) {
		policy->failback = POLICY_FAILBACK_IMMEDIATE;
		return NULL;
	}
	if (!take_hour(&text, &from) || *text++ != '-' || !take_hour(&text, &to) || *text)
		return wrong;
	if (from == to)
		return "from an hour to the same hour is no time at all; 'immediate' is always";
	policy->failback = POLICY_FAILBACK_HOURS;
	policy->failback_from = from;
	policy->failback_to = to;
	return NULL;
}

static const char *take_restarts(struct policy *policy, const struct json *value)
{
	int64_t n = json_int(value, -1);

	if (n < 0 || n > POLICY_MAX_RESTARTS)
		return "it is 0 (never) to 1000";
	policy->max_restarts = (unsigned)n;
	return NULL;
}

static const char *take_window(struct policy *policy, const struct json *value)
{
	int64_t seconds = json_int(value, 0);

	if (seconds < 1 || seconds > POLICY_MAX_WINDOW_S)
		return "it is 1 to 2592000 seconds, thirty days";
	policy->restart_window_s = (unsigned)seconds;
	return NULL;
}

static const char *take_heartbeat(struct policy *policy, const struct json *value)
{
	const char *text = json_string(value, "");

	if (strcmp(text, "restart") != 0 && strcmp(text, "ignore") != 0)
		return "it is ignore or restart";
	policy->restart_on_heartbeat = text[0] == 'r';
	return NULL;
}

static const struct setting {
	const char *key, *label; /* as people know it */
	const char *(*take)(struct policy *policy, const struct json *value);
} settings[] = {
	{"priority", "priority", take_priority},
	{"preferred", "preferred owners", take_preferred},
	{"possible", "possible owners", take_possible},
	{"anti_affinity", "class to keep apart from", take_class},
	{"failback", "failback", take_failback},
	{"max_restarts", "number of restarts", take_restarts},
	{"restart_window_s", "time of the restarts", take_window},
	{"heartbeat", "heartbeat", take_heartbeat},
};

void policy_read(const struct json *record, struct policy *ret)
{
	*ret = (struct policy){
		.priority = PLACE_MEDIUM,
		.max_restarts = DEFAULT_RESTARTS,
		.restart_window_s = DEFAULT_WINDOW_S,
	};
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct json *value = json_get(record, settings[i].key);

		if (value)
			(void)settings[i].take(ret, value);
	}
}

/* ---- as JSON ---- */

static struct json *names_json(const char (*names)[PLACE_NAME_MAX_LEN + 1], size_t n)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < n; i++)
		json_append_string(list, names[i]);
	return list;
}

static struct json *whole(const struct policy *policy)
{
	struct json *j = json_object_new();

	json_set_string(j, "priority", place_priority_name(policy->priority));
	json_set(j, "preferred", names_json(policy->preferred, policy->n_preferred));
	json_set(j, "possible", names_json(policy->possible, policy->n_possible));
	json_set_string(j, "anti_affinity", policy->anti_affinity);
	if (policy->failback == POLICY_FAILBACK_HOURS)
		json_set_stringf(
			j, "failback", "%u-%u", policy->failback_from, policy->failback_to);
	else
		json_set_string(j, "failback",
			policy->failback == POLICY_FAILBACK_NONE ? "none" : "immediate");
	json_set_int(j, "max_restarts", policy->max_restarts);
	json_set_int(j, "restart_window_s", policy->restart_window_s);
	json_set_string(j, "heartbeat", policy->restart_on_heartbeat ? "restart" : "ignore");
	return j;
}

struct json *policy_complete(const struct json *record)
{
	struct policy policy;

	policy_read(record, &policy);
	return whole(&policy);
}

static const struct setting *find_setting(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (strcmp(settings[i].key, key) == 0)
			return &settings[i];
	}
	return NULL;
}

/* A node that is preferred and may not have it would never be chosen. */
static int check_owners(const struct policy *policy, char *error, size_t size_bytes)
{
	for (size_t i = 0; i < policy->n_preferred && policy->n_possible > 0; i++) {
		size_t k = 0;

		while (k < policy->n_possible &&
			strcmp(policy->possible[k], policy->preferred[i]) != 0)
			k++;
		if (k == policy->n_possible)
			return refuse(error, size_bytes,
				"%s is a preferred owner but not among the possible ones; add it "
				"there, or take it away here",
				policy->preferred[i]);
	}
	return 0;
}

int policy_change(const struct json *old, const struct json *changes, struct json **ret_record,
	char *error, size_t size_bytes)
{
	_cleanup_json_ struct json *defaults = policy_complete(NULL);
	_cleanup_json_ struct json *wanted = NULL;
	struct policy policy;
	const char *key;
	struct json *value;
	void *at = NULL;
	int r;

	policy_read(old, &policy);
	while (json_next(changes, &at, &key, &value)) {
		const struct setting *setting = find_setting(key);
		const char *wrong;

		if (!setting)
			return refuse(error, size_bytes, "a policy has no '%.40s'", key);
		wrong = setting->take(
			&policy, json_is_null(value) ? json_get(defaults, key) : value);
		if (wrong)
			return refuse(error, size_bytes, "%s: %s", setting->label, wrong);
	}
	r = check_owners(&policy, error, size_bytes);
	if (r < 0)
		return r;
	wanted = whole(&policy);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (json_is_equal(
			    json_get(wanted, settings[i].key), json_get(defaults, settings[i].key)))
			json_delete(wanted, settings[i].key);
	}
	*ret_record = take_ptr(wanted);
	return 0;
}

bool policy_may_fail_back(const struct policy *policy, unsigned hour)
{
	unsigned from = policy->failback_from, to = policy->failback_to;

	if (policy->failback != POLICY_FAILBACK_HOURS)
		return policy->failback == POLICY_FAILBACK_IMMEDIATE;
	return from < to ? hour >= from && hour < to : hour >= from || hour < to;
}
