/* SPDX-License-Identifier: MIT
 *
 * api_vm_change.c - vm.change: the machine of a VM that is off, and the policy of any.
 */
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

/* What policy/VM may have. */
static const struct policy_key {
	const char *name;
	enum { POLICY_TEXT, POLICY_NUMBER, POLICY_NAMES } type;
	const char *choices;
} policy_keys[] = {
	{"priority", POLICY_TEXT, "high|medium|low|none"},
	{"preferred", POLICY_NAMES},
	{"possible", POLICY_NAMES},
	{"anti_affinity", POLICY_TEXT},
	{"failback", POLICY_TEXT},
	{"max_restarts", POLICY_NUMBER},
	{"restart_window_s", POLICY_NUMBER},
	{"heartbeat", POLICY_TEXT, "ignore|restart"},
};

static bool is_one_of(const char *text, const char *words)
{
	while (*words) {
		size_t len = strcspn(words, "|");

		if (strlen(text) == len && strncmp(text, words, len) == 0)
			return true;
		words += len + (words[len] == '|');
	}
	return false;
}

static bool is_names(const struct json *list)
{
	if (!json_is_array(list) || json_length(list) > CLUSTER_MAX_NODES)
		return false;
	for (size_t i = 0; i < json_length(list); i++) {
		if (!svc_name_is_valid(json_string(json_at(list, i), "")))
			return false;
	}
	return true;
}

static bool is_valid(const struct policy_key *key, const struct json *value)
{
	if (key->type == POLICY_NUMBER)
		return json_is_int(value) && json_int(value, -1) >= 0 &&
		       json_int(value, -1) <= INT32_MAX;
	if (key->type == POLICY_NAMES)
		return is_names(value);
	if (!json_is_string(value) || strlen(json_string(value, "")) > SVC_NAME_MAX_LEN)
		return false;
	return !key->choices || is_one_of(json_string(value, ""), key->choices);
}

/* False: the call has been failed. */
static bool policy_is_valid(struct api_call *call, const struct json *policy)
{
	const char *name;
	struct json *value;
	void *at = NULL;

	if (!json_is_object(policy)) {
		api_fail(call, API_USAGE, "a policy is an object of names and values");
		return false;
	}
	while (json_next(policy, &at, &name, &value)) {
		const struct policy_key *key = NULL;

		for (size_t i = 0; i < ARRAY_LEN(policy_keys); i++) {
			if (strcmp(policy_keys[i].name, name) == 0)
				key = &policy_keys[i];
		}
		if (!key || !is_valid(key, value)) {
			api_fail(call, API_USAGE,
				"a policy cannot have '%.40s' like this; see docs/cluster-file.md",
				name);
			return false;
		}
	}
	return true;
}

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, "the VM was not changed");
	else
		api_reply(call, NULL);
}

static void set_policy(struct api_call *call, const char *name)
{
	const struct json *policy = json_get(call->message, "policy");
	char key[SVC_NAME_MAX_LEN + 16];
	int r;

	if (!policy_is_valid(call, policy))
		return;
	snprintf(key, sizeof(key), "policy/%s", name);
	r = cluster_cas(
		call->svc->cluster, key, CLUSTER_ANY_VERSION, json_copy(policy), on_written, call);
	if (r < 0)
		on_written(r, 0, call);
}

/* {vm, policy: {...}}: the whole of it; or {vm, [kernel], [initrd], [cmdline], [vps], [vram_bytes],
 * [memory_bytes], [min_memory_bytes], [max_memory_bytes]}: what is absent stays, an initrd of null
 * goes. */
void api_vm_change(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	char key[SVC_NAME_MAX_LEN + 8], error[256];
	struct json *config;
	struct vm_view view;
	int r;

	if (!api_needs_quorum(call) || !api_need_vm(call, name, &view))
		return;
	if (json_get(call->message, "policy")) {
		set_policy(call, name);
		return;
	}
	if (!api_at_owner(call, name, &view) || api_is_busy(call, name))
		return;
	if (!api_vm_is_off(&view)) {
		api_fail(call, API_CONFLICT,
			"%s is not off, and its machine is made when it starts; stop it first",
			name);
		return;
	}
	if (vm_config_change(view.config, call->message, &config, error, sizeof(error)) < 0) {
		api_fail(call, API_USAGE, "%s", error);
		return;
	}
	snprintf(key, sizeof(key), "vm/%s", name);
	r = cluster_cas(call->svc->cluster, key, view.config_version, config, on_written, call);
	if (r < 0)
		on_written(r, 0, call);
}
