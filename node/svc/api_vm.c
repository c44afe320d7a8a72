/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define CALL_TIMEOUT_NS    (10 * NS_PER_SEC)
#define SERIAL_MAX_WAIT_MS 20000

struct vm_view {
	const struct json *config;
	const struct json *state; /* vmstate/NAME or NULL */
	uint64_t config_version;
	struct cluster_owner owner;
	struct cluster_node node; /* the owner; id 0: nobody, or not configured any more */
};

static int view(struct svc *svc, const char *name, struct vm_view *ret)
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

/* What the owner last said, unless the owner is not there to say anything. */
static const char *state_of(const struct vm_view *v, const char **ret_reason)
{
	const char *state = json_get_string(v->state, "state", "Off");
	bool off = strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0;

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

static bool is_off(const char *state)
{
	return strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0;
}

static struct json *view_json(const char *name, const struct vm_view *v)
{
	struct json *j = json_object_new();
	const char *reason;
	const char *state = state_of(v, &reason);

	json_set_string(j, "name", name);
	json_set_string(j, "state", state);
	json_set_string(j, "reason", reason);
	json_set_string(j, "node", v->node.id ? v->node.name : "-");
	json_set_int(j, "epoch", (int64_t)v->owner.epoch);
	json_set_int(j, "memory_bytes", (int64_t)vm_config_memory(v->config));
	json_set_int(j, "vps", json_get_int(v->config, "vps", 1));
	json_set_int(j, "since", json_get_int(v->state, "since", 0));
	json_set(j, "nics", json_copy(json_get(v->config, "nics")));
	return j;
}

/* The VM's view, or the call has been failed. */
static bool need_vm(struct api_call *call, const char *name, struct vm_view *ret)
{
	if (view(call->svc, name, ret) == 0)
		return true;
	api_fail(call, API_NOT_FOUND, "there is no VM '%.63s'; see 'viaduct vm list'", name);
	return false;
}

/* True when this node is the VM's owner; otherwise the call is on its way there (or failed). */
static bool at_owner(struct api_call *call, const char *name, const struct vm_view *v)
{
	if (v->node.id == cluster_local_id(call->svc->cluster))
		return true;
	if (call->from_peer)
		api_fail(call, API_CONFLICT, "%s moved meanwhile; try again", name);
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

	if (view(l->svc, name, &v) == 0)
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

static struct json *show_json(const char *name, const struct vm_view *v)
{
	struct json *j = view_json(name, v);

	json_set_string(j, "kernel", json_get_string(v->config, "kernel", ""));
	json_set_string(j, "cmdline", json_get_string(v->config, "cmdline", ""));
	return j;
}

static void on_info(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	const char *name = json_get_string(call->message, "vm", "");
	struct json *result, *vm;
	struct vm_view v;

	if (!need_vm(call, name, &v))
		return;
	result = json_object_new();
	vm = show_json(name, &v);
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

	if (!need_vm(call, name, &v))
		return;
	if (v.node.id && v.node.id != cluster_local_id(call->svc->cluster) && v.node.has_service &&
		!call->from_peer) {
		api_forward(call, v.node.name);
		return;
	}
	if (!vp || !vp->chan ||
		chan_call(vp->chan, "vm.info", NULL, NULL, 0, CALL_TIMEOUT_NS, on_info, call) < 0)
		on_info(-ENOTCONN, NULL, NULL, 0, call);
}

/* ---- start ---- */

static void on_vm_started(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	const char *name = json_get_string(call->message, "vm", "");
	struct vmproc *vp = vmproc_find(call->svc, name);

	if (!vp) {
		api_fail(call, API_FAILED, "%s ended while it was starting", name);
		return;
	}
	if (error < 0) {
		vmproc_publish(call->svc, name, vp->epoch, "Failed", strerror(-error));
		vmproc_destroy(vp);
		api_fail(call, API_FAILED, "%s did not start: %s", name,
			json_get_string(reply, "error", strerror(-error)));
		return;
	}
	vp->state = VMPROC_RUNNING;
	vmproc_publish(call->svc, name, vp->epoch, "Running", "");
	api_reply(call, NULL);
}

static void on_vm_prepared(struct vmproc *vp, int error, const char *text, void *data)
{
	struct api_call *call = data;
	int r;

	if (error < 0) {
		vmproc_publish(call->svc, vp->name, vp->epoch, "Failed", text);
		api_fail(call, API_FAILED, "%s did not start: %s", vp->name, text);
		vmproc_destroy(vp);
		return;
	}
	r = vmproc_start(vp, on_vm_started, call);
	if (r < 0)
		on_vm_started(r, NULL, NULL, 0, call);
}

static void on_owned(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	const char *name = json_get_string(call->message, "vm", "");
	const char *why;
	struct vmproc *vp;
	struct vm_view v;
	int r;

	if (error < 0) {
		api_fail_errno(call, error, "the VM was not started");
		return;
	}
	if (!need_vm(call, name, &v))
		return;
	r = vmproc_new(call->svc, name, (struct json *)v.config, v.owner.epoch, false,
		on_vm_prepared, call, &vp);
	if (r < 0) {
		why = r == -ENODEV ? "this node has no usable /dev/kvm" : strerror(-r);
		vmproc_publish(call->svc, name, v.owner.epoch, "Failed", why);
		api_fail(call, API_FAILED, "%s was not started: %s", name, why);
	} else {
		vmproc_publish(call->svc, name, v.owner.epoch, "Starting", "");
	}
}

static bool has_room(struct api_call *call, const char *name, const struct vm_view *v)
{
	uint64_t need = vm_config_memory(v->config), free_bytes = svc_memory_free(call->svc);

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
	char object[SVC_NAME_MAX_LEN + 8];
	struct vm_view v;
	int r;

	if (!need_vm(call, name, &v) || !api_needs_quorum(call))
		return;
	if (!node)
		node = v.node.id ? v.node.name : cluster_local_name(svc->cluster);
	if (strcmp(node, cluster_local_name(svc->cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	state = state_of(&v, &reason);
	if (!is_off(state)) {
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
	if (!has_room(call, name, &v))
		return;
	snprintf(object, sizeof(object), "vm/%s", name);
	r = cluster_owner_cas(
		svc->cluster, object, &v.owner, cluster_local_id(svc->cluster), on_owned, call);
	if (r < 0)
		api_fail_errno(call, r, "the VM was not started");
}

/* ---- stop ---- */

void api_vm_stop(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct vmproc *vp;
	struct vm_view v;

	if (!need_vm(call, name, &v) || !at_owner(call, name, &v))
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

/* ---- serial ---- */

static void answer_serial(struct api_call *call)
{
	struct vmproc *vp = vmproc_find(call->svc, json_get_string(call->message, "vm", ""));
	struct json *result;
	uint64_t first, from;
	char *text;

	if (!vp) {
		api_fail(call, API_CONFLICT, "the VM does not run here any more");
		return;
	}
	first = vp->serial_end - vp->serial.size_bytes;
	from = MIN(call->after, vp->serial_end);
	from = MAX(from, first);
	text = strndup((const char *)vp->serial.data + (from - first), vp->serial_end - from);
	result = json_object_new();
	json_set_string(result, "text", text ? text : "");
	json_set_int(result, "end", (int64_t)vp->serial_end);
	free(text);
	api_reply(call, result);
}

static void on_sent(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail(call, API_FAILED, "the guest does not take input: %s",
			json_get_string(reply, "error", strerror(-error)));
		return;
	}
	result = json_object_new();
	json_set_int(result, "end", (int64_t)call->after);
	api_reply(call, result);
}

/* {vm, send: TEXT} types; {vm, after: N, wait_ms} reads what came since byte N. */
void api_vm_serial(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	const char *send = json_get_string(call->message, "send", NULL);
	int64_t wait_ms = json_get_int(call->message, "wait_ms", 0);
	struct json *message;
	struct vmproc *vp;
	struct vm_view v;

	if (!need_vm(call, name, &v) || !at_owner(call, name, &v))
		return;
	vp = vmproc_find(call->svc, name);
	if (!vp || !vp->chan || vp->state == VMPROC_PREPARING) {
		api_fail(call, API_CONFLICT, "%s does not run", name);
		return;
	}
	if (send) {
		call->after = vp->serial_end;
		message = json_object_new();
		json_set_string(message, "text", send);
		if (chan_call(vp->chan, "vm.serial", message, NULL, 0, CALL_TIMEOUT_NS, on_sent,
			    call) < 0)
			api_fail(call, API_FAILED, "%s cannot be reached", name);
		return;
	}
	call->after = (uint64_t)json_get_int(call->message, "after", 0);
	if (vp->serial_end > call->after || wait_ms <= 0)
		answer_serial(call);
	else
		api_wait(call, &vp->serial_waiters, MIN(wait_ms, (int64_t)SERIAL_MAX_WAIT_MS),
			answer_serial);
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

static int only_volume(
	const char *key, const struct json *value _unused_, uint64_t version _unused_, void *data)
{
	const char **name = data;

	*name = strchr(key, '/') + 1;
	return 0;
}

void api_vm_migrate(struct api_call *call)
{
	const struct json *m = call->message;
	const char *name = json_get_string(m, "vm", "");
	const char *to = json_get_string(m, "node", "");
	const char *kind = json_get_string(m, "kind", "live");
	const char *volume = json_get_string(m, "volume", NULL);
	bool quick = strcmp(kind, "quick") == 0;
	struct cluster_node target;
	enum api_code code;
	struct json *result;
	struct vmproc *vp;
	struct vm_view v;
	struct job *job;
	const char *why;
	int r;

	if (!need_vm(call, name, &v))
		return;
	if (cluster_find_node(call->svc->cluster, to, &target) < 0) {
		api_fail(call, API_NOT_FOUND,
			"there is no node '%.63s'; see 'viaduct cluster status'", to);
		return;
	}
	if (!api_needs_quorum(call) || !at_owner(call, name, &v))
		return;
	vp = vmproc_find(call->svc, name);
	why = check_migration(call, name, vp, to, &target, &code);
	if (why) {
		api_fail(call, code, "%s cannot be moved to %s: %s", name, to, why);
		return;
	}
	if (quick && !volume)
		cluster_for_each(call->svc->cluster, "volume/", only_volume, &volume);
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
		why = r == -ENETUNREACH ? "no cluster network may carry a migration between the "
					  "two nodes and is up"
					: strerror(-r);
		job_finish(job, JOB_FAILED, API_REFUSED, why);
		api_fail(call, API_REFUSED, "%s cannot be moved to %s: %s", name, to, why);
		return;
	}
	result = json_object_new();
	json_set_string(result, "job", job->id);
	api_reply(call, result);
}
