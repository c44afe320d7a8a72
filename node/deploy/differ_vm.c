/* SPDX-License-Identifier: MIT */
#include "node/deploy/differ_impl.h"
#include "node/svc/policy.h"

#include <stdio.h>
#include <string.h>

/* A machine's settings: they count from its start on. */
static const struct {
	const char *key, *name;
} machine[] = {
	{"kernel", "kernel"},
	{"initrd", "initrd"},
	{"cmdline", "cmdline"},
	{"vps", "vps"},
	{"vram_bytes", "video"},
};
static const struct {
	const char *key, *name;
} memory[] = {
	{"memory_bytes", "memory"},
	{"min_memory_bytes", "min-memory"},
	{"max_memory_bytes", "max-memory"},
};

/* One VM: what the file says, and what there is. */
struct vm {
	const char *name;
	const struct json *new, *old;
	bool is_off;
	bool prune;
	struct json *steps;
};

static bool state_is_off(const struct json *vm)
{
	const char *state = json_get_string(vm, "state", "Off");

	return strcmp(state, "Off") == 0 || strcmp(state, "Failed") == 0;
}

static struct json *vm_request(struct json *step, const char *op, const struct vm *vm)
{
	struct json *request = step_request(step, op);

	json_set_string(request, "vm", vm->name);
	return request;
}

/* Only while it is off. */
static void needs_off(struct json *step, const struct vm *vm)
{
	if (!vm->is_off)
		step_waits(step,
			"%s is %s, and this is possible only while it is off; 'viaduct vm "
			"stop %s', then apply again",
			vm->name, json_get_string(vm->old, "state", ""), vm->name);
}

/* ---- the machine ---- */

static void print_size(const struct json *bytes, char text[32])
{
	snprintf(text, 32, "%lldM", (long long)(json_int(bytes, 0) >> 20));
}

static bool size_differs(
	struct json *step, const char *name, const struct json *old, const struct json *new)
{
	char before[32], after[32];

	if (json_is_equal(old, new))
		return false;
	print_size(old, before);
	print_size(new, after);
	step_detail(step, "%s: %s -> %s", name, before, after);
	return true;
}

static void diff_machine(const struct vm *vm)
{
	struct json *step = step_add(vm->steps, "none", "VM %s", vm->name);
	struct json *request = vm_request(step, "vm.change", vm);

	for (size_t i = 0; i < ARRAY_LEN(machine); i++) {
		const struct json *a = json_get(vm->old, machine[i].key);
		const struct json *b = json_get(vm->new, machine[i].key);
		bool differs = strcmp(machine[i].key, "vram_bytes") == 0
				       ? size_differs(step, machine[i].name, a, b)
				       : value_differs(step, machine[i].name, a, b);

		if (!differs)
			continue;
		json_set_string(step, "action", "change");
		if (b)
			json_set(request, machine[i].key, json_copy(b));
		else
			json_set_string(request, machine[i].key, NULL);
	}
	if (strcmp(json_get_string(step, "action", ""), "change") == 0)
		needs_off(step, vm);
}

/* A running VM's limits can change, but it cannot have more than it was started with. */
static void diff_memory(const struct vm *vm)
{
	struct json *step = step_add(vm->steps, "none", "memory of VM %s", vm->name);
	struct json *request = vm_request(step, "vm.memory", vm);

	for (size_t i = 0; i < ARRAY_LEN(memory); i++) {
		const struct json *b = json_get(vm->new, memory[i].key);

		if (size_differs(step, memory[i].name, json_get(vm->old, memory[i].key), b))
			json_set_string(step, "action", "change");
		json_set(request, memory[i].key, json_copy(b));
	}
	if (strcmp(json_get_string(step, "action", ""), "change") != 0 || vm->is_off)
		return;
	if (json_get_int(vm->new, "max_memory_bytes", 0) >
		json_get_int(vm->old, "max_memory_bytes", 0))
		needs_off(step, vm);
	else
		json_set_string(step, "disruptive",
			"limits count at once, what it starts with from its next start on");
}

/* ---- network adapters: by their place in the list ---- */

static void add_nic(const struct vm *vm, size_t at, const struct json *nic)
{
	struct json *step =
		step_add(vm->steps, "create", "network adapter %zu of VM %s", at, vm->name);
	char text[256];

	nic_describe(nic, text, sizeof(text));
	step_detail(step, "%s", text);
	json_set(vm_request(step, "vm.nic.add", vm), "nic", json_copy(nic));
	needs_off(step, vm);
}

static void diff_nic(const struct vm *vm, size_t at, const struct json *old, const struct json *new)
{
	struct json *step =
		step_add(vm->steps, "none", "network adapter %zu of VM %s", at, vm->name);
	_cleanup_json_ struct json *changes = json_object_new();
	const char *mac = json_get_string(new, "mac", NULL);
	struct json *request;

	if (mac && strcmp(mac, json_get_string(old, "mac", "")) != 0) {
		value_differs(step, "mac", json_get(old, "mac"), json_get(new, "mac"));
		step_waits(step,
			"an adapter keeps its MAC: 'viaduct vm nic remove %s %zu', then apply "
			"again",
			vm->name, at);
		return;
	}
	if (!nic_diff(old, new, NIC_OF_VM, changes, json_get(step, "details")))
		return;
	json_set_string(step, "action", "change");
	request = vm_request(step, "vm.nic.set", vm);
	json_set_int(request, "nic", (int64_t)at);
	json_set(request, "set", json_ref(changes));
	if (json_get(changes, "switch") || json_get(changes, "mtu"))
		needs_off(step, vm);
	else if (!vm->is_off)
		json_set_string(step, "disruptive",
			json_get(changes, "offload")
				? "the port changes at once, offloads at the VM's next start"
				: "the running VM's port changes at once");
}

static void diff_nics(const struct vm *vm)
{
	const struct json *old = json_get(vm->old, "nics"), *new = json_get(vm->new, "nics");

	/* From the end, so that the numbers of those before stay. */
	for (size_t i = json_length(old); vm->prune && i > json_length(new); i--) {
		struct json *step = step_add(
			vm->steps, "remove", "network adapter %zu of VM %s", i - 1, vm->name);

		json_set_int(vm_request(step, "vm.nic.remove", vm), "nic", (int64_t)i - 1);
		needs_off(step, vm);
	}
	for (size_t i = 0; i < json_length(new); i++) {
		if (i < json_length(old))
			diff_nic(vm, i, json_at(old, i), json_at(new, i));
		else
			add_nic(vm, i, json_at(new, i));
	}
}

/* ---- disks: by their LUN ---- */

static const struct json *find_lun(const struct json *disks, int64_t lun)
{
	for (size_t i = 0; i < json_length(disks); i++) {
		if (json_get_int(json_at(disks, i), "lun", -1) == lun)
			return json_at(disks, i);
	}
	return NULL;
}

static struct json *disk_step(
	const struct vm *vm, const char *action, const char *op, const struct json *disk)
{
	int64_t lun = json_get_int(disk, "lun", 0);
	struct json *step =
		step_add(vm->steps, action, "disk at LUN %lld of VM %s", (long long)lun, vm->name);
	struct json *request = vm_request(step, op, vm);

	if (strcmp(op, "disk.add") == 0) {
		step_detail(step, "%s: %s", json_get_string(disk, "kind", "disk"),
			json_get_string(disk, "path", "empty"));
		json_set(request, "disk", json_copy(disk));
	} else {
		json_set_int(request, "lun", lun);
	}
	return step;
}

static void remove_disk(const struct vm *vm, const struct json *disk)
{
	struct json *step = disk_step(vm, "remove", "disk.remove", disk);

	if (!vm->is_off)
		json_set_string(step, "disruptive", "the running VM loses the disk at once");
}

static bool disk_differs(const struct json *old, const struct json *new, const char *key)
{
	return json_get(new, key) && !json_is_equal(json_get(old, key), json_get(new, key));
}

static void diff_disk(const struct vm *vm, const struct json *old, const struct json *new)
{
	bool same_path = json_is_equal(json_get(old, "path"), json_get(new, "path"));
	bool is_dvd = strcmp(json_get_string(new, "kind", ""), "dvd") == 0;
	bool same = !disk_differs(old, new, "kind") && !disk_differs(old, new, "read_only") &&
		    !disk_differs(old, new, "serial");
	struct json *step, *request;

	if (same && same_path)
		return;
	if (!same || !is_dvd) {
		remove_disk(vm, old);
		disk_step(vm, "create", "disk.add", new);
		return;
	}
	step = disk_step(vm, "change", "disk.medium", new);
	value_differs(step, "medium", json_get(old, "path"), json_get(new, "path"));
	request = json_get(step, "request");
	if (json_get(new, "path"))
		json_set(request, "path", json_copy(json_get(new, "path")));
	if (!vm->is_off)
		json_set_string(step, "disruptive", "the medium in the running VM's drive changes");
}

static void diff_disks(const struct vm *vm)
{
	const struct json *old = json_get(vm->old, "disks"), *new = json_get(vm->new, "disks");

	for (size_t i = 0; vm->prune && i < json_length(old); i++) {
		if (!find_lun(new, json_get_int(json_at(old, i), "lun", -1)))
			remove_disk(vm, json_at(old, i));
	}
	for (size_t i = 0; i < json_length(new); i++) {
		const struct json *disk = json_at(new, i);
		const struct json *there = find_lun(old, json_get_int(disk, "lun", -1));

		if (there)
			diff_disk(vm, there, disk);
		else
			disk_step(vm, "create", "disk.add", disk);
	}
}

/* ---- policy: the whole of it, when the file has one ---- */

static void diff_policy(const struct vm *vm)
{
	static const char *const keys[] = {"priority", "preferred", "possible", "anti_affinity",
		"failback", "max_restarts", "restart_window_s", "heartbeat"};
	_cleanup_json_ struct json *old = NULL, *new = NULL;
	struct json *step, *request;
	bool differs = false;

	if (!json_get(vm->new, "policy"))
		return;
	old = policy_complete(json_get(vm->old, "policy"));
	new = policy_complete(json_get(vm->new, "policy"));
	step = step_add(vm->steps, "none", "policy of VM %s", vm->name);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		differs |= value_differs(
			step, keys[i], json_get(old, keys[i]), json_get(new, keys[i]));
	if (!differs)
		return;
	json_set_string(step, "action", "change");
	request = vm_request(step, "vm.change", vm);
	json_set(request, "policy", json_copy(json_get(vm->new, "policy")));
}

/* ---- the whole ---- */

static void create_vm(const struct vm *vm, const struct json *cluster)
{
	struct json *step = step_add(vm->steps, "create", "VM %s", vm->name);
	struct json *request = step_request(step, "vm.create"), *value;
	const char *node = json_get_string(vm->new, "node", ""), *key;
	void *at = NULL;

	while (json_next(vm->new, &at, &key, &value)) {
		if (strcmp(key, "policy") != 0)
			json_set(request, key, json_copy(value));
	}
	step_detail(step,
		"on %s: memory %lldM, %lld virtual processors, %zu network adapters, %zu "
		"disks",
		node, (long long)(json_get_int(vm->new, "memory_bytes", 0) >> 20),
		(long long)json_get_int(vm->new, "vps", 1), json_length(json_get(vm->new, "nics")),
		json_length(json_get(vm->new, "disks")));
	if (!list_find(json_get(cluster, "nodes"), "name", node))
		step_waits(step, "%s is not a node of the cluster yet", node);
	else
		diff_policy(vm);
}

void diff_vms(const struct json *file, const struct json *cluster, bool prune, struct json *steps)
{
	const struct json *wanted = json_get(file, "vms");

	for (size_t i = 0; i < json_length(wanted); i++) {
		struct vm vm = {.new = json_at(wanted, i), .prune = prune, .steps = steps};

		vm.name = json_get_string(vm.new, "name", "");
		vm.old = list_find(json_get(cluster, "vms"), "name", vm.name);
		vm.is_off = state_is_off(vm.old);
		if (!vm.old) {
			create_vm(&vm, cluster);
			continue;
		}
		diff_machine(&vm);
		diff_memory(&vm);
		diff_nics(&vm);
		diff_disks(&vm);
		diff_policy(&vm);
	}
}

void prune_vms(const struct json *file, const struct json *cluster, struct json *steps)
{
	const struct json *present = json_get(cluster, "vms");

	for (size_t i = 0; i < json_length(present); i++) {
		struct vm vm = {.old = json_at(present, i), .steps = steps};
		struct json *step;

		vm.name = json_get_string(vm.old, "name", "");
		vm.is_off = state_is_off(vm.old);
		if (list_find(json_get(file, "vms"), "name", vm.name))
			continue;
		step = step_add(steps, "remove", "VM %s", vm.name);
		vm_request(step, "vm.delete", &vm);
		json_set_string(step, "disruptive", "its configuration is gone; its disks stay");
		needs_off(step, &vm);
	}
}
