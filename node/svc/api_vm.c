/* SPDX-License-Identifier: MIT */
#include "node/svc/mac.h"
#include "node/svc/network.h"

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
	char path[320];

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

struct start {
	struct api_call *call;
	char name[SVC_NAME_MAX_LEN + 1];
	bool is_saved;
	struct saved saved;
};

static void start_free(struct start *start)
{
	saved_fini(&start->saved);
	free(start);
}

static void start_failed(struct start *start, uint64_t epoch, const char *why)
{
	struct svc *svc = start->call->svc;

	if (start->is_saved)
		saved_keep(svc, start->name, epoch, &start->saved, why);
	else
		vmproc_publish(svc, start->name, epoch, "Failed", why);
	api_fail(start->call, API_FAILED, "%s did not start: %s", start->name, why);
	start_free(start);
}

/* The process ended while it was asked: vmproc.c fails the call. */
static struct vmproc *still_starting(struct start *start)
{
	return vmproc_find(start->call->svc, start->name);
}

static void on_vm_started(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct start *start = data;
	struct vmproc *vp = still_starting(start);

	if (error < 0) {
		uint64_t epoch = vp->epoch;

		vmproc_destroy(vp);
		start_failed(start, epoch, json_get_string(reply, "error", strerror(-error)));
		return;
	}
	vp->state = VMPROC_RUNNING;
	vp->starting = NULL;
	vmproc_publish(vp->svc, start->name, vp->epoch, "Running", "");
	vmproc_sync_nics(vp);
	if (start->is_saved)
		saved_remove(vp->svc, &start->saved);
	api_reply(start->call, NULL);
	start_free(start);
}

static void start_vm(struct start *start, struct vmproc *vp)
{
	int r = vmproc_start(vp, on_vm_started, start);

	if (r < 0)
		on_vm_started(r, NULL, NULL, 0, start);
}

static void on_vm_loaded(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct start *start = data;

	if (error < 0)
		on_vm_started(error, reply, NULL, 0, start);
	else
		start_vm(start, still_starting(start));
}

static void on_vm_prepared(struct vmproc *vp, int error, const char *text, void *data)
{
	struct start *start = data;
	char why[256];

	if (error == 0 && !start->is_saved) {
		start_vm(start, vp);
		return;
	}
	if (error == 0) {
		error = saved_load(vp, &start->saved, on_vm_loaded, start, why, sizeof(why));
		text = why;
	}
	if (error < 0) {
		uint64_t epoch = vp->epoch;

		snprintf(why, sizeof(why), "%s", text); /* may be the process's own */
		vp->starting = NULL;
		vmproc_destroy(vp);
		start_failed(start, epoch, why);
	}
}

void api_start_over(struct start *start, uint64_t epoch, const char *why)
{
	start_failed(start, epoch, why);
}

static void on_owned(int error, uint64_t version _unused_, void *data)
{
	struct start *start = data;
	struct svc *svc = start->call->svc;
	struct vmproc *vp;
	struct vm_view v;
	int r;

	if (error < 0) {
		api_fail_errno(start->call, error, "the VM was not started");
		start_free(start);
		return;
	}
	if (!api_need_vm(start->call, start->name, &v)) {
		start_free(start);
		return;
	}
	r = vmproc_new(svc, start->name, (struct json *)v.config, start->saved.offloads,
		v.owner.epoch, start->is_saved, on_vm_prepared, start, &vp);
	if (r < 0) {
		start_failed(start, v.owner.epoch,
			r == -ENODEV ? "this node has no usable /dev/kvm" : strerror(-r));
		return;
	}
	vp->starting = start;
	if (start->is_saved)
		saved_keep(svc, start->name, v.owner.epoch, &start->saved, "starting");
	else
		vmproc_publish(svc, start->name, v.owner.epoch, "Starting", "");
}

static bool has_room(struct api_call *call, const char *name, const struct vm_view *v)
{
	uint64_t need = vm_config_room(v->config), free_bytes = svc_memory_free(call->svc);

	if (need <= free_bytes)
		return true;
	api_fail(call, API_FULL, "%s is full: %llu MiB free for VMs of %llu MiB, %s needs %llu MiB",
		cluster_local_name(call->svc->cluster), (unsigned long long)(free_bytes >> 20),
		(unsigned long long)(call->svc->options.vm_memory_bytes >> 20), name,
		(unsigned long long)(need >> 20));
	return false;
}

void api_vm_start(struct api_call *call)
{
	struct svc *svc = call->svc;
	const char *name = json_get_string(call->message, "vm", "");
	const char *node = json_get_string(call->message, "node", NULL);
	const char *reason, *state;
	char object[SVC_NAME_MAX_LEN + 8], text[400];
	struct start *start;
	struct vm_view v;
	int r;

	if (!api_need_vm(call, name, &v) || !api_needs_quorum(call))
		return;
	if (!node)
		node = v.node.id ? v.node.name : cluster_local_name(svc->cluster);
	if (strcmp(node, cluster_local_name(svc->cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	state = api_vm_state(&v, &reason);
	if (!is_off(state) && !is_saved(state)) {
		/* A dead owner may only seem dead: its VM may still write. Nothing here can know
		 * better yet. */
		if (strcmp(state, "Unknown") == 0)
			api_fail(call, API_CONFLICT,
				"%s belongs to %s and may still run there (%s); it can start again "
				"when that "
				"node is back",
				name, v.node.id ? v.node.name : "nobody", reason);
		else
			api_fail(call, API_CONFLICT, "%s is not off: it is with %s", name,
				v.node.id ? v.node.name : "nobody");
		return;
	}
	if (vmproc_find(svc, name)) {
		api_fail(call, API_CONFLICT, "%s is still coming or going here", name);
		return;
	}
	if (!mac_may_start(svc, name, v.config, text, sizeof(text))) {
		api_fail(call, API_CONFLICT, "%s was not started: %s", name, text);
		return;
	}
	if (!has_room(call, name, &v))
		return;
	start = calloc(1, sizeof(*start));
	if (!start) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	start->call = call;
	snprintf(start->name, sizeof(start->name), "%s", name);
	start->is_saved = is_saved(state);
	saved_note(&v, &start->saved);
	snprintf(object, sizeof(object), "vm/%s", name);
	r = cluster_owner_cas(
		svc->cluster, object, &v.owner, cluster_local_id(svc->cluster), on_owned, start);
	if (r < 0) {
		api_fail_errno(call, r, "the VM was not started");
		start_free(start);
	}
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

static const char *check_migration(struct api_call *call, const char *name, const struct vmproc *vp,
	const char *to, struct cluster_node *ret_target, enum api_code *ret_code)
{
	struct cluster *cluster = call->svc->cluster;

	*ret_code = API_CONFLICT;
	if (!vp || vp->state != VMPROC_RUNNING)
		return "it is not running";
	if (vp->out || vp->quick)
		return "it is being moved already";
	if (vp->n_changes > 0)
		return "a network adapter of it is being changed; try again in a moment";
	if (cluster_find_node(cluster, to, ret_target) < 0) {
		*ret_code = API_NOT_FOUND;
		return "there is no such node";
	}
	if (ret_target->id == cluster_local_id(cluster))
		return "it is there already";
	(void)name;
	*ret_code = API_UNREACHABLE;
	if (!ret_target->is_member)
		return "that node is down";
	if (!ret_target->has_service || !ret_target->is_synced)
		return "no ready viaductd runs on that node";
	return NULL;
}

void api_vm_migrate(struct api_call *call)
{
	const struct json *m = call->message;
	const char *name = json_get_string(m, "vm", "");
	const char *to = json_get_string(m, "node", "");
	const char *kind = json_get_string(m, "kind", "live");
	const char *volume = json_get_string(m, "volume", NULL);
	bool quick = strcmp(kind, "quick") == 0;
	char text[400];
	struct cluster_node target;
	enum api_code code;
	struct json *result;
	struct vmproc *vp;
	struct vm_view v;
	struct job *job;
	const char *why;
	int r;

	if (!api_need_vm(call, name, &v))
		return;
	if (cluster_find_node(call->svc->cluster, to, &target) < 0) {
		api_fail(call, API_NOT_FOUND,
			"there is no node '%.63s'; see 'viaduct cluster status'", to);
		return;
	}
	if (!api_needs_quorum(call) || !api_at_owner(call, name, &v))
		return;
	vp = vmproc_find(call->svc, name);
	why = check_migration(call, name, vp, to, &target, &code);
	if (why) {
		api_fail(call, code, "%s cannot be moved to %s: %s", name, to, why);
		return;
	}
	if (quick && !volume)
		volume = volume_first(call->svc);
	if (quick && !volume) {
		api_fail(call, API_REFUSED,
			"a quick migration needs a shared volume; make one with 'viaduct volume "
			"create'");
		return;
	}
	job = job_new(call->svc, quick ? "quick-migrate" : "live-migrate", name,
		cluster_local_name(call->svc->cluster), to);
	if (!job) {
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	r = quick ? quick_out_start(vp, job, &target, volume) : mig_out_start(vp, job, &target, m);
	if (r < 0) {
		why = strerror(-r);
		if (r == -ENETUNREACH) {
			network_explain(call->svc, &target, text, sizeof(text));
			why = text;
		}
		job_finish(job, JOB_FAILED, API_REFUSED, why);
		api_fail(call, API_REFUSED, "%s cannot be moved to %s: %s", name, to, why);
		return;
	}
	result = json_object_new();
	json_set_string(result, "job", job->id);
	api_reply(call, result);
}
