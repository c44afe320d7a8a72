/* SPDX-License-Identifier: MIT
 *
 * api_switch_pass.c - requests that viaduct-vswitchd answers by itself: looked up, sent to the node
 * whose switch it is, handed over, and its answer handed back.
 */
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

static void on_answer(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	enum api_code code = error == -ENOENT   ? API_NOT_FOUND
			     : error == -EBUSY  ? API_CONFLICT
			     : error == -EINVAL ? API_USAGE
						: API_FAILED;
	struct json *result;

	if (error < 0) {
		api_fail(call, code, "%s", json_get_string(reply, "error", strerror(-error)));
		return;
	}
	result = json_copy(reply);
	json_delete(result, "id");
	json_delete(result, "ok");
	api_reply(call, result);
}

/* The node whose switch process must be asked: the one that is named, else the one that runs the VM
 * of the port. NULL: the call has been failed. */
static const char *find_node(struct api_call *call, struct vm_view *view)
{
	const char *node = json_get_string(call->message, "node", NULL);
	const char *port = json_get_string(call->message, "port", "");
	char vm[SVC_NAME_MAX_LEN + 1];
	size_t len = strcspn(port, "/");

	if (node)
		return node;
	if (!port[len] || len >= sizeof(vm) || strncmp(port, "management/", 11) == 0)
		return cluster_local_name(call->svc->cluster);
	snprintf(vm, sizeof(vm), "%.*s", (int)len, port);
	if (!api_need_vm(call, vm, view))
		return NULL;
	if (!view->node.id) {
		api_fail(call, API_CONFLICT, "%s does not run anywhere, so it has no port", vm);
		return NULL;
	}
	return view->node.name;
}

void api_switch_pass(struct api_call *call)
{
	struct vm_view view;
	const char *node = find_node(call, &view);
	struct json *message;
	int r;

	if (!node)
		return;
	if (strcmp(node, cluster_local_name(call->svc->cluster)) != 0) {
		if (call->from_peer)
			api_fail(call, API_MOVED, "it is somewhere else by now");
		else
			api_forward(call, node);
		return;
	}
	message = json_copy(call->message);
	json_delete(message, "node");
	r = switchd_call(call->svc->switchd, json_get_string(call->message, "op", ""), message,
		on_answer, call);
	if (r < 0)
		api_fail(call, API_FAILED, "viaduct-vswitchd cannot be asked: %s", strerror(-r));
}
