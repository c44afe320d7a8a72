/* SPDX-License-Identifier: MIT
 *
 * drain_make.c - the plan of a drain, or of the way back, out of what this service knows: the
 * picture of the cluster, the VMs and what keeps each of them from moving right now.
 */
#include "node/svc/node.h"
#include "node/svc/place_view.h"
#include "node/svc/policy.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct making {
	struct svc *svc;
	const struct drain_wish *wish;
	struct drain_vm *vms;
	size_t n, max;
};

/* ---- VMs ---- */

static bool does_not_run(const char *state)
{
	return strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0 ||
	       strcmp(state, "Saved") == 0;
}

/* What this node knows of a VM of its own. */
static void look_at_process(struct svc *svc, const struct vmproc *vp, struct drain_vm *vm)
{
	const struct job *job = moves_find(svc, vm->name);

	vm->runs = vp;
	if (job)
		vm->why_not = job->state == JOB_QUEUED
				      ? "it waits to be moved already; see 'viaduct job list'"
				      : "it is being moved already";
	else if (vp && (vp->in || vp->state == VMPROC_PREPARING))
		vm->why_not = "it is starting or arriving";
	else if (vp && vp->saving)
		vm->why_not = "its state is being saved";
	else if (vp && vp->n_changes > 0)
		vm->why_not = "a network adapter of it is being changed; try again in a moment";
	else if (vp && vp->state != VMPROC_RUNNING)
		vm->why_not_move = "it is paused; 'viaduct vm resume' lets it go on";
}

/* What the store says of a VM of another node. */
static void look_at_state(struct svc *svc, const struct vm_view *view, struct drain_vm *vm)
{
	struct cluster_net net;
	const char *reason, *state = api_vm_state(view, &reason);

	vm->runs = !does_not_run(state);
	if (strcmp(state, "Unknown") == 0)
		vm->why_not = "its node is down, or has not said anything of it yet";
	else if (strcmp(state, "Paused") == 0)
		vm->why_not_move = "it is paused; 'viaduct vm resume' lets it go on";
	else if (vm->runs && strcmp(state, "Running") != 0)
		vm->why_not = "it is starting, being saved or moved; try again in a moment";
	else if (vm->runs && cluster_migration_nets(svc->cluster, view->node.id,
				     cluster_local_id(svc->cluster), &net, 1) == 0)
		vm->why_not_move = "no cluster network that is up may carry a migration from its "
				   "node";
}

static int add_vm(struct making *m, const char *name, const struct vm_view *view)
{
	struct policy policy;
	struct drain_vm *vm;

	if (m->n == m->max) {
		struct drain_vm *more;

		m->max = m->max ? 2 * m->max : 64;
		more = reallocarray(m->vms, m->max, sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->vms = more;
	}
	policy_get(m->svc, name, &policy);
	vm = &m->vms[m->n++];
	*vm = (struct drain_vm){
		.name = name,
		.node_id = view->owner.node_id,
		.priority = policy.priority,
		.memory_bytes = vm_config_room(view->config),
		.why_not = "",
		.why_not_move = "",
	};
	if (m->wish->moved)
		look_at_state(m->svc, view, vm);
	else
		look_at_process(m->svc, vmproc_find(m->svc, name), vm);
	return 0;
}

static int add_own(const char *key, const struct json *owner, uint64_t version _unused_, void *data)
{
	struct making *m = data;
	const char *name = key + strlen("owner/vm/");
	struct vm_view view;

	if ((uint32_t)json_get_int(owner, "node", 0) != cluster_local_id(m->svc->cluster) ||
		api_vm_view(m->svc, name, &view) < 0)
		return 0;
	return add_vm(m, name, &view);
}

/* Does its policy want it back, now? */
static bool wants_back(struct svc *svc, const char *vm)
{
	time_t now = time(NULL);
	struct policy policy;
	struct tm tm;

	policy_get(svc, vm, &policy);
	return localtime_r(&now, &tm) && policy_may_fail_back(&policy, (unsigned)tm.tm_hour);
}

/* Those that are still where the drain brought them: what somebody moved since stays there. */
static int add_moved(struct making *m)
{
	for (size_t i = 0; i < json_length(m->wish->moved); i++) {
		const struct json *moved = json_at(m->wish->moved, i);
		const char *name = json_get_string(moved, "vm", "");
		struct vm_view view;
		int r;

		if (api_vm_view(m->svc, name, &view) < 0 ||
			strcmp(view.node.name, json_get_string(moved, "to", "")) != 0 ||
			(m->wish->by_policy && !wants_back(m->svc, name)))
			continue;
		r = add_vm(m, name, &view);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- nodes ---- */

static size_t look_at_nodes(struct svc *svc, bool is_failback, struct cluster_node *nodes,
	struct drain_node ret_nodes[CLUSTER_MAX_NODES])
{
	size_t n = cluster_nodes(svc->cluster, nodes, CLUSTER_MAX_NODES);
	uint32_t self = cluster_local_id(svc->cluster);
	struct cluster_net net;

	for (size_t i = 0; i < n; i++) {
		bool up = cluster_node_takes_part(&nodes[i]);

		ret_nodes[i] = (struct drain_node){
			.id = nodes[i].id,
			.name = nodes[i].name,
			.takes = up && !node_is_paused(svc, nodes[i].name),
			.why_no_live = "",
		};
		if (!is_failback && nodes[i].id != self &&
			cluster_migration_nets(svc->cluster, self, nodes[i].id, &net, 1) == 0)
			ret_nodes[i].why_no_live =
				"no cluster network that is up may carry a migration to it";
	}
	return n;
}

int drain_make(struct svc *svc, const struct drain_wish *wish, struct drain_plan **ret_plan,
	char *error, size_t size_bytes)
{
	struct making m = {.svc = svc, .wish = wish};
	struct cluster_node cluster_nodes_buffer[CLUSTER_MAX_NODES];
	struct drain_node nodes[CLUSTER_MAX_NODES];
	struct drain_request request = {
		.except = wish->moved ? 0 : cluster_local_id(svc->cluster),
		.target_id = wish->moved ? cluster_local_id(svc->cluster) : wish->target_id,
		.force = wish->force,
		.why_no_quick =
			volume_first(svc) ? "" : "there is no shared volume for a quick migration",
		.link_bytes_per_s = moves_rate(svc),
		.nodes = nodes,
		.n_nodes = look_at_nodes(svc, wish->moved, cluster_nodes_buffer, nodes),
	};
	struct place *place = NULL;
	int r = place_view(svc, &place);

	if (r == 0)
		r = wish->moved ? add_moved(&m)
				: cluster_for_each(svc->cluster, "owner/vm/", add_own, &m);
	request.vms = m.vms;
	request.n_vms = m.n;
	if (r == 0)
		r = drain_plan(place, &request, ret_plan);
	if (r < 0)
		snprintf(error, size_bytes, "no plan could be made: %s", strerror(-r));
	place_free(place);
	free(m.vms);
	return r;
}

/* ---- for people ---- */

static const char *node_name(const struct cluster_node *nodes, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == id)
			return nodes[i].name;
	}
	return "";
}

struct json *drain_plan_json(struct svc *svc, const struct drain_plan *plan)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	struct json *j = json_object_new(), *steps = json_array_new();

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct drain_step *step = &plan->steps[i];
		struct json *entry = json_object_new(), *reasons = json_array_new();

		json_set_string(entry, "vm", step->vm);
		json_set_string(entry, "kind", drain_kind_name(step->kind));
		json_set_string(entry, "from", node_name(nodes, n, step->from_id));
		json_set_string(entry, "to", node_name(nodes, n, step->target_id));
		json_set_int(entry, "seconds", step->seconds);
		json_set_string(entry, "priority", place_priority_name(step->priority));
		json_set_int(entry, "memory_bytes", (int64_t)step->memory_bytes);
		for (size_t k = 0; k < step->n_reasons; k++)
			json_append_string(reasons, step->reasons[k].text);
		json_set(entry, "reasons", reasons);
		json_append(steps, entry);
	}
	json_set_string(j, "digest", plan->digest);
	json_set(j, "steps", steps);
	return j;
}
