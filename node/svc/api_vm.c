/* SPDX-License-Identifier: MIT */
#include "node/svc/mac.h"
#include "node/svc/node.h"
#include "node/svc/node_limit.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS (10 * NS_PER_SEC)

int api_vm_view(struct svc *svc, const char *name, struct vm_view *ret)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	char key[SVC_NAME_MAX_LEN + 16];
	uint64_t version;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!svc_name_is_valid(name))
		return -ENOENT;
	snprintf(key, sizeof(key), "vm/%s", name);
	r = cluster_get(svc->cluster, key, &ret->config, &ret->config_version);
	if (r < 0)
		return r;
	cluster_owner_get(svc->cluster, key, &ret->owner);
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == ret->owner.node_id)
			ret->node = nodes[i];
	}
	snprintf(key, sizeof(key), "vmstate/%s", name);
	cluster_get(svc->cluster, key, &ret->state, &version);
	ret->has_ended = ret->owner.node_id &&
			 ret->owner.node_id == cluster_local_id(svc->cluster) &&
			 !vmproc_find(svc, name);
	return 0;
}

static bool is_off(const char *state)
{
	return strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0;
}

static bool is_saved(const char *state)
{
	return strcmp(state, "Saved") == 0;
}

bool vm_state_is_startable(const char *state)
{
	return is_off(state) || is_saved(state);
}

const char *api_vm_state(const struct vm_view *v, const char **ret_reason)
{
	const char *state = json_get_string(v->state, "state", "Off");
	bool off = is_off(state) || is_saved(state);

	*ret_reason = json_get_string(v->state, "reason", "");
	if (v->state && (uint64_t)json_get_int(v->state, "epoch", 0) < v->owner.epoch) {
		*ret_reason = "its new owner has not said anything yet";
		return "Unknown";
	}
	if (!off && (!v->node.id || !v->node.is_member)) {
		*ret_reason = "its node is down";
		return "Unknown";
	}
	if (!off && v->has_ended) {
		*ret_reason = "its process has ended; its state is written when there is quorum";
		return "Off";
	}
	return state;
}

bool api_vm_is_off(const struct vm_view *v)
{
	const char *reason;

	return is_off(api_vm_state(v, &reason));
}

bool api_is_busy(struct api_call *call, const char *name)
{
	const struct vmproc *vp = vmproc_find(call->svc, name);

	if (!vp)
		return false;
	if (vp->in || vp->out || vp->quick || vp->state == VMPROC_PREPARING)
		api_fail(call, API_CONFLICT,
			"%s is being moved or started; wait, or cancel that first", name);
	else if (vp->n_changes > 0)
		api_fail(call, API_CONFLICT,
			"a network adapter of %s is being changed; try again in a moment", name);
	else
		return false;
	return true;
}

static struct json *view_json(const char *name, const struct vm_view *v)
{
	struct json *j = json_object_new();
	const char *reason;
	const char *state = api_vm_state(v, &reason);

	json_set_string(j, "name", name);
	json_set_string(j, "state", state);
	json_set_string(j, "reason", reason);
	json_set_string(j, "node", v->node.id ? v->node.name : "-");
	json_set_int(j, "epoch", (int64_t)v->owner.epoch);
	json_set_string(j, "heartbeat",
		strcmp(state, "Running") == 0 ? json_get_string(v->state, "heartbeat", "") : "");
	json_set_int(j, "memory_bytes", (int64_t)vm_config_memory(v->config));
	json_set_int(j, "vps", json_get_int(v->config, "vps", 1));
	json_set_int(j, "since", json_get_int(v->state, "since", 0));
	json_set(j, "nics", json_copy(json_get(v->config, "nics")));
	return j;
}

bool api_need_vm(struct api_call *call, const char *name, struct vm_view *ret)
{
	if (api_vm_view(call->svc, name, ret) == 0)
		return true;
	api_fail(call, API_NOT_FOUND, "there is no VM '%.63s'; see 'viaduct vm list'", name);
	return false;
}

bool api_at_owner(struct api_call *call, const char *name, const struct vm_view *v)
{
	if (v->node.id == cluster_local_id(call->svc->cluster))
		return true;
	if (call->from_peer)
		api_again(call);
	else if (!v->node.id)
		api_fail(call, API_CONFLICT, "%s has no owner", name);
	else
		api_forward(call, v->node.name);
	return false;
}

/* ---- list and show ---- */

struct listing {
	struct svc *svc;
	struct json *list;
};

static int list_one(
	const char *key, const struct json *value _unused_, uint64_t version _unused_, void *data)
{
	struct listing *l = data;
	const char *name = strchr(key, '/') + 1;
	struct vm_view v;

	if (api_vm_view(l->svc, name, &v) == 0)
		json_append(l->list, view_json(name, &v));
	return 0;
}

void api_vm_list(struct api_call *call)
{
	struct listing l = {.svc = call->svc, .list = json_array_new()};
	struct json *result = json_object_new();

	cluster_for_each(call->svc->cluster, "vm/", list_one, &l);
	json_set(result, "vms", l.list);
	api_reply(call, result);
}

static struct json *show_json(struct svc *svc, const char *name, const struct vm_view *v)
{
	static const char *const copied[] = {"kernel", "initrd", "cmdline", "min_memory_bytes",
		"max_memory_bytes", "vram_bytes", "disks"};
	struct json *j = view_json(name, v);
	char path[320], key[SVC_NAME_MAX_LEN + 16];
	const struct json *restarts;

	snprintf(key, sizeof(key), "restarts/%s", name);
	if (cluster_get(svc->cluster, key, &restarts, NULL) == 0 && json_get(restarts, "last"))
		json_set(j, "restart", json_copy(json_get(restarts, "last")));
	for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
		if (json_get(v->config, copied[i]))
			json_set(j, copied[i], json_copy(json_get(v->config, copied[i])));
	}
	if (vmproc_find(svc, name) && json_get_int(v->config, "vram_bytes", 0) > 0) {
		viewer_path(svc, name, path, sizeof(path));
		json_set_string(j, "vnc", path);
	}
	return j;
}

static void on_info(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	const char *name = json_get_string(call->message, "vm", "");
	struct json *result, *vm;
	struct vm_view v;

	if (!api_need_vm(call, name, &v))
		return;
	result = json_object_new();
	vm = show_json(call->svc, name, &v);
	if (error == 0)
		json_set(vm, "live", json_copy(reply));
	json_set(result, "vm", vm);
	api_reply(call, result);
}

void api_vm_show(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct vmproc *vp = vmproc_find(call->svc, name);
	struct vm_view v;

	if (!api_need_vm(call, name, &v))
		return;
	if (v.node.id && v.node.id != cluster_local_id(call->svc->cluster) && v.node.has_service &&
		!call->from_peer) {
		api_forward(call, v.node.name);
		return;
	}
	if (!vp || !vp->chan ||
		chan_call(vp->chan, "vm.info", NULL, NULL, 0, CALL_TIMEOUT_NS, on_info, call) < 0)
		on_info(-ENOTCONN, NULL, NULL, 0, call);
	else
		list_append(&vp->calls, &call->link);
}

/* ---- start ---- */

static bool has_room(struct api_call *call, const char *name, const struct vm_view *v)
{
	uint64_t need = vm_config_room(v->config), free_bytes = svc_memory_free(call->svc);
	char text[NODE_LIMIT_WHY_BYTES];

	if (!node_limit_has_room(call->svc, text, sizeof(text))) {
		api_fail(call, API_FULL,
			"%s was not started: %s; start it elsewhere with --node, or raise the "
			"limit with 'viaduct node set'",
			name, text);
		return false;
	}
	if (need <= free_bytes)
		return true;
	api_fail(call, API_FULL, "%s is full: %llu MiB free for VMs of %llu MiB, %s needs %llu MiB",
		cluster_local_name(call->svc->cluster), (unsigned long long)(free_bytes >> 20),
		(unsigned long long)(call->svc->options.vm_memory_bytes >> 20), name,
		(unsigned long long)(need >> 20));
	return false;
}

/* A dead owner may only seem dead, and its VM still write, until its lease has run out. */
static bool may_start(struct api_call *call, const char *name, const struct vm_view *v)
{
	const char *owner = v->node.id ? v->node.name : "nobody";
	const char *reason, *state = api_vm_state(v, &reason);

	if (vm_state_is_startable(state) ||
		(strcmp(state, "Unknown") == 0 &&
			cluster_node_is_gone(call->svc->cluster, v->owner.node_id)))
		return true;
	if (strcmp(state, "Unknown") == 0)
		api_fail(call, API_CONFLICT,
			"%s belongs to %s and may still run there (%s); it can start when that "
			"node "
			"is back, or as soon as its lease has run out",
			name, owner, reason);
	else
		api_fail(call, API_CONFLICT, "%s is not off: it is with %s", name, owner);
	return false;
}

static void on_start_over(int error, enum api_code code, const char *why, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail(call, code, "%s", why);
	else
		api_reply(call, NULL);
}

void api_vm_start(struct api_call *call)
{
	struct svc *svc = call->svc;
	const char *name = json_get_string(call->message, "vm", "");
	const char *node = json_get_string(call->message, "node", NULL);
	char text[400];
	struct vm_view v;

	if (!api_need_vm(call, name, &v) || !api_needs_quorum(call))
		return;
	if (!node)
		node = v.node.id && v.node.has_service ? v.node.name
						       : cluster_local_name(svc->cluster);
	if (strcmp(node, cluster_local_name(svc->cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	if (node_is_paused(svc, node)) {
		api_fail(call, API_REFUSED,
			"%s is paused: it takes no VMs; start %s elsewhere with --node, or resume "
			"it "
			"with 'viaduct node resume %s'",
			node, name, node);
		return;
	}
	if (!may_start(call, name, &v))
		return;
	if (vmproc_find(svc, name)) {
		api_fail(call, API_CONFLICT, "%s is still coming or going here", name);
		return;
	}
	if (!mac_may_start(svc, name, v.config, text, sizeof(text))) {
		api_fail(call, API_CONFLICT, "%s was not started: %s", name, text);
		return;
	}
	if (!svc_has_lease(svc)) {
		api_fail(call, API_NO_QUORUM,
			"this node has only just joined the cluster; try again in a moment");
		return;
	}
	if (has_room(call, name, &v))
		vm_start(svc, name, &v, false, on_start_over, call);
}

/* ---- stop ---- */

void api_vm_stop(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct vmproc *vp;
	struct vm_view v;

	if (!api_need_vm(call, name, &v) || !api_at_owner(call, name, &v))
		return;
	vp = vmproc_find(call->svc, name);
	if (!vp || vp->in) {
		api_fail(call, API_CONFLICT, "%s does not run here", name);
		return;
	}
	if (vp->out || vp->quick || vp->state == VMPROC_PREPARING) {
		api_fail(call, API_CONFLICT, "%s is %s; wait, or cancel that first", name,
			vp->state == VMPROC_PREPARING ? "starting" : "being moved");
		return;
	}
	vmproc_publish(call->svc, name, vp->epoch, "Off", "turned off");
	vmproc_destroy(vp);
	api_reply(call, NULL);
}

/* ---- migrate ---- */

/* {vm, node, kind, volume, and what mig_out.c takes} */
void api_vm_migrate(struct api_call *call)
{
	const struct json *m = call->message;
	const char *name = json_get_string(m, "vm", "");
	const char *to = json_get_string(m, "node", "");
	bool quick = strcmp(json_get_string(m, "kind", "live"), "quick") == 0;
	const struct move_request request = {
		.vm = name,
		.to = to,
		.kind = quick ? MOVE_QUICK : MOVE_LIVE,
		.volume = json_get_string(m, "volume", NULL),
		.options = m,
	};
	struct cluster_node target;
	enum api_code code;
	struct json *result;
	struct vm_view v;
	struct job *job;
	char why[MOVES_WHY_BYTES];

	if (!api_need_vm(call, name, &v))
		return;
	if (cluster_find_node(call->svc->cluster, to, &target) < 0) {
		api_fail(call, API_NOT_FOUND,
			"there is no node '%.63s'; see 'viaduct cluster status'", to);
		return;
	}
	if (!api_needs_quorum(call) || !api_at_owner(call, name, &v))
		return;
	if (moves_begin(call->svc, &request, &job, &code, why, sizeof(why)) < 0) {
		api_fail(call, code, "%s cannot be moved to %s: %s", name, to, why);
		return;
	}
	result = json_object_new();
	json_set_string(result, "job", job->id);
	json_set_string(result, "state", job_state_name(job->state));
	api_reply(call, result);
}
