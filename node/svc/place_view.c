/* SPDX-License-Identifier: MIT */
#include "node/svc/place_view.h"

#include "base/log.h"
#include "fabric/vlan.h"
#include "node/svc/node_facts.h"
#include "node/svc/node_limit.h"
#include "node/svc/policy.h"
#include "node/svc/svc.h"
#include "node/svc/vlan_watch.h"

#include <stdio.h>
#include <string.h>

#define MAX_VOLUMES PLACE_MAX_REACHED
#define KEY_BYTES   (2 * SVC_NAME_MAX_LEN + 32)

/* Texts are lent by the store for as long as this takes. */
struct view {
	struct svc *svc;
	struct place *place;
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	const char *digests[CLUSTER_MAX_NODES];
	size_t n_nodes;
	struct {
		const char *name, *path;
		size_t path_len;
	} volumes[MAX_VOLUMES];
	size_t n_volumes;
	/* of the node, or the VM, at hand */
	struct place_switch switches[PLACE_MAX_SWITCHES];
	char *vids[PLACE_MAX_SWITCHES];
	size_t n_switches;
	struct place_volume reach[PLACE_MAX_REACHED];
	char *nic_vids[PLACE_MAX_NICS];
	struct policy policy;
	const char *preferred[PLACE_MAX_LISTED], *possible[PLACE_MAX_LISTED];
};

static const struct json *get(struct view *view, const char *kind, const char *name)
{
	char key[KEY_BYTES];
	const struct json *value;
	uint64_t version;

	snprintf(key, sizeof(key), "%s/%s", kind, name);
	return cluster_get(view->svc->cluster, key, &value, &version) == 0 ? value : NULL;
}

/* ---- nodes ---- */

static int add_switch(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct view *view = data;
	const char *of = strchr(key, '/') + 1; /* NODE/NAME */
	const struct json *state = get(view, "switchstate", of);
	struct place_switch *net;

	if (view->n_switches == PLACE_MAX_SWITCHES)
		return 1;
	net = &view->switches[view->n_switches];
	*net = (struct place_switch){
		.name = strrchr(key, '/') + 1,
		.logical = json_get_string(record, "logical", ""),
		.state = "up",
	};
	/* One that is up may still have a reason: a setting that it goes on without. */
	if (strcmp(json_get_string(state, "state", "up"), "up") != 0)
		net->state = json_get_string(state, "reason", "it is not there");
	if (strcmp(json_get_string(record, "type", ""), "external") == 0) {
		view->vids[view->n_switches] =
			vlan_watch_reached(get(view, "vlan", of), view->nodes, view->n_nodes);
		net->vids = view->vids[view->n_switches];
	}
	view->n_switches++;
	return 0;
}

static void forget_switches(struct view *view)
{
	for (size_t i = 0; i < view->n_switches; i++)
		free(take_ptr(view->vids[i]));
	view->n_switches = 0;
}

static size_t find_reach(struct view *view, const struct json *volumes)
{
	struct json *why_not;
	const char *name;
	void *at = NULL;
	size_t n = 0;

	while (n < PLACE_MAX_REACHED && json_next(volumes, &at, &name, &why_not))
		view->reach[n++] = (struct place_volume){name, json_string(why_not, "")};
	return n;
}

static int add_node(struct view *view, size_t at)
{
	const struct cluster_node *member = &view->nodes[at];
	const struct json *facts = get(view, "node", member->name);
	const struct json *state = get(view, "nodestate", member->name);
	struct place_node node = {
		.id = member->id,
		.name = member->name,
		.is_up = cluster_node_takes_part(member),
		.is_paused = strcmp(json_get_string(state, "state", ""), "paused") == 0,
		.max_vms = node_limit_read(get(view, "nodepolicy", member->name)),
		.switches = view->switches,
		.volumes = view->reach,
	};
	char prefix[KEY_BYTES];
	int r;

	node_record_read(facts, &node);
	view->digests[at] = node.cpu_digest;
	snprintf(prefix, sizeof(prefix), "switch/%s/", member->name);
	cluster_for_each(view->svc->cluster, prefix, add_switch, view);
	node.n_switches = view->n_switches;
	node.n_volumes = find_reach(view, json_get(facts, "volumes"));
	r = place_add_node(view->place, &node);
	forget_switches(view);
	return r;
}

/* ---- VMs ---- */

static int note_volume(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct view *view = data;
	const char *path = json_get_string(record, "path", "");
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (view->n_volumes < MAX_VOLUMES && len > 0) {
		view->volumes[view->n_volumes].name = strchr(key, '/') + 1;
		view->volumes[view->n_volumes].path = path;
		view->volumes[view->n_volumes++].path_len = len;
	}
	return 0;
}

struct needs {
	struct place_nic nics[PLACE_MAX_NICS];
	const char *volumes[PLACE_MAX_VOLUMES];
	size_t n_nics, n_volumes;
};

static void need_volume(struct needs *needs, const char *name)
{
	for (size_t i = 0; i < needs->n_volumes; i++) {
		if (strcmp(needs->volumes[i], name) == 0)
			return;
	}
	if (needs->n_volumes < PLACE_MAX_VOLUMES)
		needs->volumes[needs->n_volumes++] = name;
}

/* The volume that the file is on, if it is on one: of volumes within volumes the inner one. */
static void need_file(struct view *view, struct needs *needs, const char *file)
{
	const char *found = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < view->n_volumes; i++) {
		size_t len = view->volumes[i].path_len;

		if (len > longest && strncmp(file, view->volumes[i].path, len) == 0 &&
			(file[len] == '/' || len == 1)) {
			found = view->volumes[i].name;
			longest = len;
		}
	}
	if (found)
		need_volume(needs, found);
}

static void find_volumes(
	struct view *view, struct needs *needs, const struct vm_view *vm, const char *state)
{
	const struct json *disks = json_get(vm->config, "disks");

	need_file(view, needs, json_get_string(vm->config, "kernel", ""));
	need_file(view, needs, json_get_string(vm->config, "initrd", ""));
	for (size_t i = 0; i < json_length(disks); i++)
		need_file(view, needs, json_get_string(json_at(disks, i), "path", ""));
	if (strcmp(state, "Saved") == 0 && json_get_string(vm->state, "volume", "")[0])
		need_volume(needs, json_get_string(vm->state, "volume", ""));
}

/* The VLANs of an adapter, to free(); NULL: none. */
static char *nic_vids(const struct json *nic)
{
	const char *mode = json_get_string(nic, "mode", "untagged");
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)] = {0};
	char *text = NULL;

	if (strcmp(mode, "untagged") == 0)
		return NULL;
	reach_add_nic(nic, map);
	bitmap_clear(map, 0);
	if (bitmap_count(map, ARRAY_LEN(map)) > 0)
		text = vlan_list_format(map);
	return text;
}

static void find_nics(struct view *view, struct needs *needs, const struct json *config)
{
	const struct json *nics = json_get(config, "nics");

	for (size_t i = 0; i < json_length(nics) && i < PLACE_MAX_NICS; i++) {
		const struct json *nic = json_at(nics, i);

		view->nic_vids[i] = nic_vids(nic);
		needs->nics[needs->n_nics++] = (struct place_nic){
			.switch_name = json_get_string(nic, "switch", ""),
			.vids = view->nic_vids[i] ? view->nic_vids[i] : "",
		};
	}
}

static bool state_is(const char *state, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(state, names[i]) == 0)
			return true;
	}
	return false;
}

/* Where it is, what its owner said, and by which processors it goes on. */
static void find_state(
	struct view *view, const char *name, struct vm_view *vm, struct place_vm *ret_vm)
{
	static const char *const still[] = {"Off", "Failed", "Saved"};
	const char *where, *reason, *state;
	char object[SVC_NAME_MAX_LEN + 8];

	snprintf(object, sizeof(object), "vm/%s", name);
	cluster_owner_get(view->svc->cluster, object, &vm->owner);
	vm->state = get(view, "vmstate", name);
	where = json_get_string(vm->state, "node", "");
	for (size_t i = 0; i < view->n_nodes; i++) {
		if (view->nodes[i].id == vm->owner.node_id)
			vm->node = view->nodes[i];
	}
	state = api_vm_state(vm, &reason);
	ret_vm->node_id = vm->node.id;
	ret_vm->is_running = vm->node.is_member && !state_is(state, still, ARRAY_LEN(still));
	ret_vm->cpu_digest = "";
	for (size_t i = 0; i < view->n_nodes; i++) {
		if (ret_vm->is_running ? view->nodes[i].id == vm->node.id
				       : strcmp(state, "Saved") == 0 &&
						 strcmp(view->nodes[i].name, where) == 0)
			ret_vm->cpu_digest = view->digests[i];
	}
}

static void find_policy(struct view *view, const char *name, struct place_vm *vm)
{
	struct policy *policy = &view->policy;

	policy_get(view->svc, name, policy);
	for (size_t i = 0; i < policy->n_preferred; i++)
		view->preferred[i] = policy->preferred[i];
	for (size_t i = 0; i < policy->n_possible; i++)
		view->possible[i] = policy->possible[i];
	vm->priority = policy->priority;
	vm->preferred = view->preferred;
	vm->n_preferred = policy->n_preferred;
	vm->possible = view->possible;
	vm->n_possible = policy->n_possible;
	vm->anti_affinity = policy->anti_affinity;
}

static unsigned vps_of(const struct json *config)
{
	int64_t vps = json_get_int(config, "vps", 0);

	return vps > 0 && vps <= PLACE_MAX_CPUS ? (unsigned)vps : 0;
}

static int add_vm(const char *key, const struct json *config, uint64_t version _unused_, void *data)
{
	struct view *view = data;
	const char *name = strchr(key, '/') + 1, *reason;
	struct vm_view of = {.config = config};
	struct needs needs = {.n_nics = 0};
	struct place_vm vm = {
		.name = name,
		.memory_bytes = MIN(vm_config_room(config), PLACE_MAX_MEMORY),
		.vps = vps_of(config),
		.nics = needs.nics,
		.volumes = needs.volumes,
	};
	int r;

	find_state(view, name, &of, &vm);
	find_policy(view, name, &vm);
	find_nics(view, &needs, config);
	find_volumes(view, &needs, &of, api_vm_state(&of, &reason));
	vm.n_nics = needs.n_nics;
	vm.n_volumes = needs.n_volumes;
	r = place_add_vm(view->place, &vm);
	for (size_t i = 0; i < PLACE_MAX_NICS; i++)
		free(take_ptr(view->nic_vids[i]));
	if (r < 0 && r != -ENOMEM)
		log_debug("VM %s is left out of placement: %s", name, strerror(-r));
	return r == -ENOMEM ? r : 0;
}

int place_view(struct svc *svc, struct place **ret_place)
{
	_cleanup_free_ struct view *view = calloc(1, sizeof(*view));
	int r = view ? place_new(&view->place) : -ENOMEM;

	if (r < 0)
		return r;
	view->svc = svc;
	view->n_nodes = cluster_nodes(svc->cluster, view->nodes, ARRAY_LEN(view->nodes));
	for (size_t i = 0; r == 0 && i < view->n_nodes; i++) {
		r = add_node(view, i);
		if (r < 0 && r != -ENOMEM) {
			log_debug("node %s is left out of placement: %s", view->nodes[i].name,
				strerror(-r));
			r = 0;
		}
	}
	if (r == 0)
		cluster_for_each(svc->cluster, "volume/", note_volume, view);
	if (r == 0)
		r = cluster_for_each(svc->cluster, "vm/", add_vm, view);
	if (r < 0) {
		place_free(view->place);
		return r;
	}
	*ret_place = view->place;
	return 0;
}
