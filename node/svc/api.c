/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"
#include "node/svc/audit.h"
#include "node/svc/events.h"
#include "node/svc/mac.h"
#include "node/svc/network.h"
#include "node/svc/node_limit.h"
#include "node/svc/remote.h"

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

/* What a request needs, and whether it changes something: those are events (audit). */
#define READS       ROLE_READ
#define OPERATES    ROLE_OPERATE
#define ADMINISTERS ROLE_ADMINISTER
#define ROLE_MASK   0xf
#define STREAMS     0x10 /* comes by the dozen in one sitting: one event a minute */

static bool only_shows_order(const struct json *message)
{
	return !json_get(message, "move") || json_get_bool(message, "dry_run", false);
}

static bool only_shows_migration(const struct json *message)
{
	return !json_get(message, "order") && !json_get(message, "excluded") &&
	       !json_get(message, "strict");
}

static bool only_plans_scrub(const struct json *message)
{
	return strcmp(json_get_string(message, "mode", ""), "list") == 0 ||
	       json_get_bool(message, "dry_run", false);
}

static const struct api_op {
	const char *name;
	void (*handler)(struct api_call *call);
	unsigned flags; /* none: a row that was forgotten, for administrators only */
	bool (*only_reads)(const struct json *message); /* this one of them; may be NULL */
} api_table[] = {
	{"admin.enroll", api_admin_enroll, ADMINISTERS},
	{"admin.list", api_admin_list, READS},
	{"admin.revoke", api_admin_revoke, ADMINISTERS},
	{"admin.set", api_admin_set, ADMINISTERS},
	{"event.list", api_event_list, READS},
	{"event.read", api_event_read, READS},
	{"cluster.status", api_cluster_status, READS},
	{"nic.list", api_nic_list, READS},
	{"nic.bindings", api_nic_bindings, READS},
	{"nic.change", api_nic_change, ADMINISTERS},
	{"nic.order", api_nic_order, ADMINISTERS, only_shows_order},
	{"scrub.begin", api_scrub_begin, ADMINISTERS, only_plans_scrub},
	{"scrub.step", api_scrub_step, ADMINISTERS},
	{"scrub.undo", api_scrub_undo, ADMINISTERS},
	{"offload.show", api_offload_show, READS},
	{"offload.set", api_offload_set, ADMINISTERS},
	{"network.list", api_network_list, READS},
	{"network.set", api_network_set, ADMINISTERS},
	{"network.migration", api_network_migration, ADMINISTERS, only_shows_migration},
	{"network.path", api_network_path, READS},
	{"network.classes", api_network_classes, READS},
	{"mac.list", api_mac_list, READS},
	{"mac.pool.list", api_mac_pool_list, READS},
	{"mac.pool.add", api_mac_pool_add, ADMINISTERS},
	{"mac.pool.set", api_mac_pool_set, ADMINISTERS},
	{"mac.pool.remove", api_mac_pool_remove, ADMINISTERS},
	{"switch.create", api_switch_create, ADMINISTERS},
	{"switch.delete", api_switch_delete, ADMINISTERS},
	{"switch.list", api_switch_list, READS},
	{"switch.probe", api_switch_probe, OPERATES},
	{"fdb.show", api_switch_pass, READS},
	{"groups.show", api_switch_pass, READS},
	{"port.stats", api_switch_pass, READS},
	{"workers.show", api_switch_pass, READS},
	{"port.trace", api_switch_pass, READS},
	{"capture.start", api_switch_pass, ADMINISTERS | STREAMS},
	{"capture.read", api_switch_pass, ADMINISTERS | STREAMS},
	{"capture.stop", api_switch_pass, ADMINISTERS | STREAMS},
	{"switch.set", api_switch_set, ADMINISTERS},
	{"switch.rename", api_switch_rename, ADMINISTERS},
	{"switch.adapter.add", api_switch_adapter_add, ADMINISTERS},
	{"switch.adapter.remove", api_switch_adapter_remove, ADMINISTERS},
	{"switch.adapter.set", api_switch_adapter_set, ADMINISTERS},
	{"switch.adapter.list", api_switch_adapter_list, READS},
	{"top.show", api_top_show, READS},
	{"volume.create", api_volume_create, ADMINISTERS},
	{"volume.list", api_volume_list, READS},
	{"vm.create", api_vm_create, ADMINISTERS},
	{"vm.policy.set", api_vm_policy_set, ADMINISTERS},
	{"vm.policy.show", api_vm_policy_show, READS},
	{"vm.where", api_vm_where, READS},
	{"vm.delete", api_vm_delete, ADMINISTERS},
	{"vm.list", api_vm_list, READS},
	{"vm.show", api_vm_show, READS},
	{"vm.start", api_vm_start, OPERATES},
	{"vm.stop", api_vm_stop, OPERATES},
	{"vm.serial", api_vm_serial, OPERATES | STREAMS},
	{"vm.migrate", api_vm_migrate, OPERATES},
	{"vm.shutdown", api_vm_shutdown, OPERATES},
	{"vm.pause", api_vm_pause, OPERATES},
	{"vm.resume", api_vm_resume, OPERATES},
	{"vm.save", api_vm_save, OPERATES},
	{"vm.discard", api_vm_discard, ADMINISTERS},
	{"vm.type", api_vm_type, OPERATES | STREAMS},
	{"vm.screenshot", api_vm_screenshot, OPERATES | STREAMS},
	{"vm.memory", api_vm_memory, ADMINISTERS},
	{"vm.item", api_vm_item, OPERATES},
	{"vm.freeze", api_vm_freeze, OPERATES},
	{"vm.thaw", api_vm_thaw, OPERATES},
	{"vm.nic.list", api_vm_nic_list, READS},
	{"vm.nic.set", api_vm_nic_set, ADMINISTERS},
	{"vm.nic.add", api_vm_nic_add, ADMINISTERS},
	{"vm.nic.remove", api_vm_nic_remove, ADMINISTERS},
	{"vm.nic.acl.add", api_vm_nic_acl_add, ADMINISTERS},
	{"vm.nic.acl.remove", api_vm_nic_acl_remove, ADMINISTERS},
	{"vm.nic.acl.list", api_vm_nic_acl_list, READS},
	{"disk.add", api_disk_add, ADMINISTERS},
	{"disk.remove", api_disk_remove, ADMINISTERS},
	{"disk.medium", api_disk_medium, ADMINISTERS},
	{"disk.resized", api_disk_resized, OPERATES},
	{"job.show", api_job_show, READS},
	{"job.list", api_job_list, READS},
	{"job.cancel", api_job_cancel, OPERATES},
	{"cluster.set", api_cluster_set, ADMINISTERS},
	{"node.list", api_node_list, READS},
	{"node.pause", api_node_pause, OPERATES},
	{"node.resume", api_node_resume, OPERATES},
	{"node.set", api_node_set, ADMINISTERS},
	{"cluster.upgrade", api_cluster_upgrade, ADMINISTERS},
	{"store.view", api_store_view, ADMINISTERS},
	{"store.read", api_store_read, ADMINISTERS},
	{"store.restore", api_store_restore, ADMINISTERS},
	{"cluster.describe", api_cluster_describe, READS},
	{"node.invite", api_node_invite, ADMINISTERS},
	{"node.join", api_node_join, ADMINISTERS},
	{"node.evict", api_node_evict, ADMINISTERS},
	{"vm.change", api_vm_change, ADMINISTERS},
	{"vm.take", api_vm_take, OPERATES},
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

static void audit(struct api_call *call, const struct json *answer)
{
	char object[96], request[400], outcome[320];
	bool done;

	audit_object(call->message, object, sizeof(object));
	if (call->audit_streams &&
		!audit_is_news(&call->svc->sittings, call->identity.who,
			json_get_string(call->message, "op", ""), object, clock_mono_ns()))
		return;
	audit_request(call->message, request, sizeof(request));
	done = audit_outcome(answer, outcome, sizeof(outcome));
	events_add_audit(call->svc, &call->identity, object, request, outcome, done);
}

static void finish(struct api_call *call, struct json *answer)
{
	if (call->timer)
		loop_timer_remove(call->svc->loop, call->timer);
	list_remove(&call->link);
	if (call->audited)
		audit(call, answer);
	if (call->ipc)
		ipc_reply(call->ipc, answer);
	else if (call->remote)
		remote_reply(call->remote, answer);
	else if (call->peer)
		peer_reply(call->peer, answer);
	else
		call->answered(answer, call->answered_data);
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
	struct cluster_status status;

	cluster_get_status(cluster, &status);
	if (call->svc->evicted)
		api_fail(call, API_NO_QUORUM,
			"this node was evicted from the cluster; 'viaduct node invite' on one of "
			"its "
			"nodes, then 'viaduct node join' here makes it a node again");
	else if (status.protocol_needed)
		api_fail(call, API_NO_QUORUM,
			"this node speaks version %u of the store's protocol, the cluster uses %u: "
			"%s",
			status.protocol_newest, status.protocol_needed,
			status.protocol_needed > status.protocol_newest
				? "update viaduct on this node"
				: "update the other nodes first");
	else if (status.store_error)
		api_fail(call, API_NO_QUORUM,
			"this node's copy of the store cannot be written (%s), so it takes no "
			"part; "
			"make room in its state folder, it then goes on by itself",
			strerror(-status.store_error));
	else if (status.connect_error == -EADDRINUSE)
		api_fail(call, API_NO_QUORUM,
			"another viaductd of this node is in the cluster already: a node has one; "
			"end "
			"the one that is too much");
	else if (status.connect_error == -EADDRNOTAVAIL)
		api_fail(call, API_NO_QUORUM,
			"this machine is no node of a cluster yet: corosync.conf is the example of "
			"its package; 'viaduct cluster config' makes one, or 'viaduct node join' "
			"brings one");
	else if (!cluster_is_connected(cluster))
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

static const struct api_op *find_op(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(api_table); i++) {
		if (strcmp(api_table[i].name, name) == 0)
			return &api_table[i];
	}
	return NULL;
}

const char *api_op_at(size_t at, enum api_role *ret_role)
{
	if (at >= ARRAY_LEN(api_table))
		return NULL;
	*ret_role = (enum api_role)(api_table[at].flags & ROLE_MASK);
	return api_table[at].name;
}

static enum api_role needed_role(const struct api_op *op, const struct json *message)
{
	if (op->only_reads && op->only_reads(message))
		return ROLE_READ;
	return op->flags & ROLE_MASK ? (enum api_role)(op->flags & ROLE_MASK) : ROLE_ADMINISTER;
}

static void dispatch(struct api_call *call)
{
	const char *name = json_get_string(call->message, "op", "");
	const struct api_op *op = find_op(name);
	enum api_role needed;

	if (!op) {
		api_fail(call, API_USAGE, "there is no operation '%.60s'", name);
		return;
	}
	needed = needed_role(op, call->message);
	/* Where it entered the cluster, and nowhere else. */
	call->audited = (call->ipc || call->remote) && needed > ROLE_READ;
	call->audit_streams = op->flags & STREAMS;
	if (call->identity.role < needed)
		api_fail(call, API_REFUSED,
			"%s may not do this: it needs the role '%s', and %s has '%s'; %s have it",
			call->identity.who, api_role_name(needed), call->identity.who,
			api_role_name(call->identity.role), api_role_holders(needed));
	else
		op->handler(call);
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

static const char *own_name(const struct svc *svc)
{
	const char *name = cluster_local_name(svc->cluster);

	return name && name[0] ? name : "this node";
}

int api_accept(uid_t uid, gid_t gid, void *data _unused_)
{
	enum api_role role = identity_role_of_user(uid, gid);

	return role == ROLE_NONE ? -EACCES : (int)role;
}

void api_on_ipc(struct ipc_request *request, const struct json *message, void *data)
{
	struct api_call *call = call_new(data, message);

	if (!call) {
		ipc_reply(request, json_object_new());
		return;
	}
	call->ipc = request;
	call->identity.role = (enum api_role)ipc_request_tag(request);
	identity_user_name(
		ipc_request_uid(request), call->identity.who, sizeof(call->identity.who));
	snprintf(call->identity.from, sizeof(call->identity.from), "%s", own_name(call->svc));
	dispatch(call);
}

void api_on_remote(struct svc *svc, struct remote_request *request, const struct json *message,
	const struct identity *identity)
{
	struct api_call *call = call_new(svc, message);

	if (!call) {
		remote_reply(request, json_object_new());
		return;
	}
	call->remote = request;
	call->identity = *identity;
	dispatch(call);
}

int api_ask(struct svc *svc, const struct json *message,
	void (*answered)(struct json *answer, void *data), void *data)
{
	struct api_call *call = call_new(svc, message);

	if (!call)
		return -ENOMEM;
	call->answered = answered;
	call->answered_data = data;
	call->from_peer = true;
	call->identity.role = ROLE_ADMINISTER;
	snprintf(call->identity.who, sizeof(call->identity.who), "node %s", own_name(svc));
	dispatch(call);
	return 0;
}

void api_on_peer(struct svc *svc, struct peer_request *request, const char *from,
	const struct json *message, const struct json *identity)
{
	struct api_call *call = call_new(svc, message);

	if (!call) {
		peer_reply(request, json_object_new());
		return;
	}
	call->peer = request;
	call->from_peer = true;
	identity_from_json(identity, from, &call->identity);
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
	json_set(message, "identity", identity_to_json(&call->identity));
	snprintf(call->forwarded_to, sizeof(call->forwarded_to), "%s", node);
	call->data = call->forwarded_to;
	r = peer_call(call->svc->peer, node, message, FORWARD_TIMEOUT_NS, on_forwarded, call);
	if (r < 0)
		api_fail(call, API_UNREACHABLE, "%s cannot be asked: %s", node, strerror(-r));
}
