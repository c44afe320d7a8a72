/* SPDX-License-Identifier: MIT
 *
 * api_vm_change.c - vm.change: the machine of a VM that is off, and the policy of any.
 */
#include "node/svc/policy.h"
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

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
	char key[SVC_NAME_MAX_LEN + 16], error[256];
	struct json *record;
	int r;

	if (!json_is_object(policy)) {
		api_fail(call, API_USAGE, "a policy is an object of names and values");
		return;
	}
	if (policy_change(NULL, policy, &record, error, sizeof(error)) < 0) {
		api_fail(call, API_USAGE, "%s", error);
		return;
	}
	snprintf(key, sizeof(key), "policy/%s", name);
	r = cluster_cas(call->svc->cluster, key, CLUSTER_ANY_VERSION, record, on_written, call);
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
