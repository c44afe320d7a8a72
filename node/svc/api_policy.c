/* SPDX-License-Identifier: MIT
 *
 * api_policy.c - policies of VMs: shown and changed.
 */
#include "node/svc/policy.h"
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

static const struct json *find(struct svc *svc, const char *vm, uint64_t *ret_version)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *record;

	*ret_version = 0;
	snprintf(key, sizeof(key), "policy/%s", vm);
	return cluster_get(svc->cluster, key, &record, ret_version) == 0 ? record : NULL;
}

void policy_get(struct svc *svc, const char *vm, struct policy *ret)
{
	uint64_t version;

	policy_read(find(svc, vm, &version), ret);
}

static int append_one(
	const char *key, const struct json *config _unused_, uint64_t version _unused_, void *data)
{
	struct api_call *call = ((void **)data)[0];
	struct json *list = ((void **)data)[1], *entry;
	const char *name = strchr(key, '/') + 1;
	uint64_t at;

	entry = policy_complete(find(call->svc, name, &at));
	json_set_string(entry, "vm", name);
	json_append(list, entry);
	return 0;
}

/* vm.policy.show {[vm]} */
void api_vm_policy_show(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", NULL);
	struct json *result, *list = json_array_new();
	void *data[] = {call, list};
	char key[SVC_NAME_MAX_LEN + 8];
	struct vm_view view;

	if (name && !api_need_vm(call, name, &view)) {
		json_unref(list);
		return;
	}
	snprintf(key, sizeof(key), "vm/%s", name ? name : "");
	if (name)
		append_one(key, NULL, 0, data);
	else
		cluster_for_each(call->svc->cluster, key, append_one, data);
	result = json_object_new();
	json_set(result, "policies", list);
	api_reply(call, result);
}

/* Nodes that are to be named must be there; those that were named before may be gone. */
static bool nodes_are_known(struct api_call *call, const struct json *changes, const char *key)
{
	const struct json *names = json_get(changes, key);

	for (size_t i = 0; i < json_length(names); i++) {
		const char *name = json_string(json_at(names, i), "");
		struct cluster_node node;

		if (!name[0] || cluster_find_node(call->svc->cluster, name, &node) == 0)
			continue; /* what is no name at all is found out later */
		api_fail(call, API_NOT_FOUND,
			"there is no node '%.63s'; see 'viaduct cluster status'", name);
		return false;
	}
	return true;
}

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error == -ESTALE)
		api_fail(call, API_CONFLICT,
			"somebody else changed the policy of %s meanwhile; look at it and try "
			"again",
			json_get_string(call->message, "vm", ""));
	else if (error < 0)
		api_fail_errno(call, error, "the policy was not changed");
	else
		api_reply(call, NULL);
}

/* vm.policy.set {vm, set: {...}} */
void api_vm_policy_set(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	const struct json *changes = json_get(call->message, "set");
	char key[SVC_NAME_MAX_LEN + 16], error[256];
	_cleanup_json_ struct json *record = NULL;
	struct json *value;
	const char *first;
	void *at = NULL;
	struct vm_view view;
	uint64_t version;
	int r = 0;

	if (!api_need_vm(call, name, &view) || !api_needs_quorum(call))
		return;
	if (!json_is_object(changes)) {
		api_fail(call, API_USAGE, "what is to be set?");
		return;
	}
	if (!nodes_are_known(call, changes, "preferred") ||
		!nodes_are_known(call, changes, "possible"))
		return;
	if (policy_change(find(call->svc, name, &version), changes, &record, error, sizeof(error)) <
		0) {
		api_fail(call, API_USAGE, "%s", error);
		return;
	}
	snprintf(key, sizeof(key), "policy/%s", name);
	if (json_next(record, &at, &first, &value))
		r = cluster_cas(
			call->svc->cluster, key, version, take_ptr(record), on_written, call);
	else if (version > 0)
		r = cluster_cas(call->svc->cluster, key, version, NULL, on_written, call);
	else
		on_written(0, 0, call); /* all is at its default, as it was */
	if (r < 0)
		on_written(r, 0, call);
}
