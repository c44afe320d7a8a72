/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FORWARD_TIMEOUT_NS (40 * NS_PER_SEC)
#define AGAIN_NS           (100 * NS_PER_MS)
#define MAX_AGAIN          100

static const char *const code_names[] = {
	[API_FAILED] = "failed",
	[API_USAGE] = "usage",
	[API_NOT_FOUND] = "not-found",
	[API_NO_QUORUM] = "no-quorum",
	[API_FULL] = "full",
	[API_CONFLICT] = "conflict",
	[API_REFUSED] = "refused",
	[API_CANCELLED] = "cancelled",
	[API_UNREACHABLE] = "unreachable",
	[API_MOVED] = "moved",
};

static const struct api_op {
	const char *name;
	void (*handler)(struct api_call *call);
} api_table[] = {
	{"cluster.status", api_cluster_status},
	{"nic.list", api_nic_list},
	{"nic.bindings", api_nic_bindings},
	{"nic.change", api_nic_change},
	{"nic.order", api_nic_order},
	{"scrub.begin", api_scrub_begin},
	{"scrub.step", api_scrub_step},
	{"scrub.undo", api_scrub_undo},
	{"offload.show", api_offload_show},
	{"offload.set", api_offload_set},
	{"network.list", api_network_list},
	{"network.set", api_network_set},
	{"network.migration", api_network_migration},
	{"network.path", api_network_path},
	{"network.classes", api_network_classes},
	{"mac.list", api_mac_list},
	{"mac.pool.list", api_mac_pool_list},
	{"mac.pool.add", api_mac_pool_add},
	{"mac.pool.set", api_mac_pool_set},
	{"mac.pool.remove", api_mac_pool_remove},
	{"switch.create", api_switch_create},
	{"switch.delete", api_switch_delete},
	{"switch.list", api_switch_list},
	{"switch.probe", api_switch_probe},
	{"fdb.show", api_switch_pass},
	{"groups.show", api_switch_pass},
	{"port.stats", api_switch_pass},
	{"workers.show", api_switch_pass},
	{"port.trace", api_switch_pass},
	{"capture.start", api_switch_pass},
	{"capture.read", api_switch_pass},
	{"capture.stop", api_switch_pass},
	{"switch.set", api_switch_set},
	{"switch.rename", api_switch_rename},
	{"switch.adapter.add", api_switch_adapter_add},
	{"switch.adapter.remove", api_switch_adapter_remove},
	{"switch.adapter.set", api_switch_adapter_set},
	{"switch.adapter.list", api_switch_adapter_list},
	{"volume.create", api_volume_create},
	{"volume.list", api_volume_list},
	{"vm.create", api_vm_create},
	{"vm.delete", api_vm_delete},
	{"vm.list", api_vm_list},
	{"vm.show", api_vm_show},
	{"vm.start", api_vm_start},
	{"vm.stop", api_vm_stop},
	{"vm.serial", api_vm_serial},
	{"vm.migrate", api_vm_migrate},
	{"vm.shutdown", api_vm_shutdown},
	{"vm.pause", api_vm_pause},
	{"vm.resume", api_vm_resume},
	{"vm.save", api_vm_save},
	{"vm.discard", api_vm_discard},
	{"vm.type", api_vm_type},
	{"vm.screenshot", api_vm_screenshot},
	{"vm.memory", api_vm_memory},
	{"vm.item", api_vm_item},
	{"vm.freeze", api_vm_freeze},
	{"vm.thaw", api_vm_thaw},
	{"vm.nic.list", api_vm_nic_list},
	{"vm.nic.set", api_vm_nic_set},
	{"vm.nic.add", api_vm_nic_add},
	{"vm.nic.remove", api_vm_nic_remove},
	{"vm.nic.acl.add", api_vm_nic_acl_add},
	{"vm.nic.acl.remove", api_vm_nic_acl_remove},
	{"vm.nic.acl.list", api_vm_nic_acl_list},
	{"disk.add", api_disk_add},
	{"disk.remove", api_disk_remove},
	{"disk.medium", api_disk_medium},
	{"disk.resized", api_disk_resized},
	{"job.show", api_job_show},
	{"job.list", api_job_list},
	{"job.cancel", api_job_cancel},
};

const char *api_code_name(enum api_code code)
{
	return code_names[code];
}

enum api_code api_code_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(code_names); i++) {
		if (strcmp(code_names[i], name) == 0)
			return (enum api_code)i;
	}
	return API_FAILED;
}

bool svc_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > SVC_NAME_MAX_LEN || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	}
	return true;
}

/* ---- answers ---- */

static void finish(struct api_call *call, struct json *answer)
{
	if (call->timer)
		loop_timer_remove(call->svc->loop, call->timer);
	list_remove(&call->link);
	if (call->ipc)
		ipc_reply(call->ipc, answer);
	else
		peer_reply(call->peer, answer);
	json_unref(call->message);
	free(call);
}

void api_reply(struct api_call *call, struct json *result)
{
	if (!result)
		result = json_object_new();
	json_set_bool(result, "ok", true);
	finish(call, result);
}

void api_fail(struct api_call *call, enum api_code code, const char *format, ...)
{
	struct json *answer = json_object_new();
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_set_bool(answer, "ok", false);
	json_set_string(answer, "code", code_names[code]);
	json_set_string(answer, "error", text);
	finish(call, answer);
}

void api_fail_errno(struct api_call *call, int error, const char *what)
{
	if (error == -EHOSTDOWN)
		api_fail(call, API_NO_QUORUM,
			"%s: this node has no quorum, so nothing may be changed", what);
	else if (error == -ESTALE)
		api_fail(call, API_CONFLICT, "%s: somebody else changed it meanwhile; try again",
			what);
	else
		api_fail(call, API_FAILED, "%s: %s", what, strerror(-error));
}

bool api_needs_quorum(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;

	if (!cluster_is_connected(cluster))
		api_fail(call, API_NO_QUORUM,
			"corosync does not answer on this node; is it running?");
	else if (!cluster_is_quorate(cluster))
		api_fail(call, API_NO_QUORUM,
			"this node has no quorum, so nothing may be changed; see 'viaduct cluster "
			"status'");
	else if (!cluster_is_synced(cluster))
		api_fail(call, API_NO_QUORUM,
			"this node is still joining the cluster; try again soon");
	else
		return true;
	return false;
}

static void on_wait_over(void *data)
{
	struct api_call *call = data;

	call->timer = 0;
	list_remove(&call->link);
	call->expired(call);
}

void api_wait(struct api_call *call, struct list *waiters, int64_t wait_ms,
	void (*expired)(struct api_call *call))
{
	call->expired = expired;
	list_append(waiters, &call->link);
	if (loop_timer_add(call->svc->loop, (uint64_t)wait_ms * NS_PER_MS, on_wait_over, call,
		    &call->timer) < 0)
		api_fail(call, API_FAILED, "out of memory");
}

/* ---- dispatch ---- */

static struct api_call *call_new(struct svc *svc, const struct json *message)
{
	struct api_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->svc = svc;
	call->message = json_copy(message);
	list_init(&call->link);
	return call;
}

static void dispatch(struct api_call *call)
{
	const char *op = json_get_string(call->message, "op", "");

	for (size_t i = 0; i < ARRAY_LEN(api_table); i++) {
		if (strcmp(api_table[i].name, op) == 0) {
			api_table[i].handler(call);
			return;
		}
	}
	api_fail(call, API_USAGE, "there is no operation '%.60s'", op);
}

static void on_again(void *data)
{
	struct api_call *call = data;

	call->timer = 0;
	dispatch(call);
}

void api_again(struct api_call *call)
{
	if (call->from_peer)
		api_fail(call, API_MOVED, "%s is on its way; try again",
			json_get_string(call->message, "vm", ""));
	else if (++call->n_again > MAX_AGAIN ||
		 loop_timer_add(call->svc->loop, AGAIN_NS, on_again, call, &call->timer) < 0)
		api_fail(call, API_CONFLICT, "%s stands still; try again later",
			json_get_string(call->message, "vm", ""));
	else
		list_remove(&call->link);
}

void api_on_ipc(struct ipc_request *request, const struct json *message, void *data)
{
	struct api_call *call = call_new(data, message);

	if (!call) {
		ipc_reply(request, json_object_new());
		return;
	}
	call->ipc = request;
	dispatch(call);
}

void api_on_peer(struct svc *svc, struct peer_request *request, const struct json *message)
{
	struct api_call *call = call_new(svc, message);

	if (!call) {
		peer_reply(request, json_object_new());
		return;
	}
	call->peer = request;
	call->from_peer = true;
	dispatch(call);
}

static void on_forwarded(int error, const struct json *reply, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail(call, API_UNREACHABLE, "%s does not answer (%s)", (const char *)call->data,
			strerror(-error));
	else if (api_code_from_name(json_get_string(reply, "code", "")) == API_MOVED)
		api_again(call);
	else
		finish(call, json_copy(reply));
}

void api_forward(struct api_call *call, const char *node)
{
	struct json *message;
	struct cluster_node found;
	int r;

	if (cluster_find_node(call->svc->cluster, node, &found) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%s'", node);
		return;
	}
	if (!found.is_member || !found.has_service || !call->svc->peer) {
		api_fail(call, API_UNREACHABLE, "%s must do this, and it is %s", node,
			found.is_member ? "without a running viaductd" : "down");
		return;
	}
	message = json_object_new();
	json_set_string(message, "op", "api");
	json_set(message, "request", json_ref(call->message));
	snprintf(call->forwarded_to, sizeof(call->forwarded_to), "%s", node);
	call->data = call->forwarded_to;
	r = peer_call(call->svc->peer, node, message, FORWARD_TIMEOUT_NS, on_forwarded, call);
	if (r < 0)
		api_fail(call, API_UNREACHABLE, "%s cannot be asked: %s", node, strerror(-r));
}
