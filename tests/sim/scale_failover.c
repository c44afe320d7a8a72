/* SPDX-License-Identifier: MIT
 *
 * What it takes to decide where the VMs of a node that has died start: the picture of the whole
 * cluster, and the plan. It is computation, so it is measured, not simulated.
 */
#include "tests/sim/scale.h"

#include <stdio.h>

#include "base/clock.h"
#include "cluster/failover.h"

#define MIB (1ULL << 20)

static bool add_node(struct place *place, uint32_t id, unsigned n_vms_each)
{
	char name[32];
	const struct place_node node = {
		.id = id,
		.name = name,
		.why_not = "",
		.is_up = id != 1,
		.has_kvm = true,
		.vm_memory_bytes = 2ULL * n_vms_each * 1024 * MIB,
		.cpus = 64,
		.cpu_digest = "",
	};

	snprintf(name, sizeof(name), "host%u", id);
	return place_add_node(place, &node) == 0;
}

static bool add_vm(struct place *place, unsigned number, uint32_t node_id)
{
	char name[32];
	const struct place_vm vm = {
		.name = name,
		.node_id = node_id,
		.is_running = node_id != 1,
		.cpu_digest = "",
		.memory_bytes = 1024 * MIB,
		.vps = 2,
		.priority = PLACE_MEDIUM,
		.anti_affinity = "",
	};

	snprintf(name, sizeof(name), "VM%05u", number);
	return place_add_vm(place, &vm) == 0;
}

/* The VMs of node 1, which is gone. */
static unsigned plan(struct place *place, unsigned n_nodes, unsigned n_vms)
{
	unsigned n = 0, n_placed = 0, size = n_vms / n_nodes + 1;
	struct failover_vm *vms = calloc(size, sizeof(*vms));
	struct failover_step *steps = calloc(size, sizeof(*steps));
	char(*names)[32] = calloc(size, sizeof(*names));

	for (unsigned i = 0; vms && steps && names && i < n_vms && n < size; i += n_nodes) {
		snprintf(names[n], sizeof(names[n]), "VM%05u", i);
		vms[n] = (struct failover_vm){names[n], PLACE_MEDIUM, 0, 3, 0};
		n++;
	}
	if (n && failover_plan(place, vms, n, NULL, 0, steps) == 0) {
		for (unsigned i = 0; i < n; i++)
			n_placed += steps[i].to > 1;
	}
	free(vms);
	free(steps);
	free(names);
	return n_placed == n ? n : 0;
}

bool scale_print_failover(unsigned n_vms)
{
	static const unsigned sizes[] = {3, 5, 16, 32, 64};

	printf("\nWhere the VMs of a dead node start; measured, in ms\n\n%5s | %8s %12s %12s\n",
		"nodes", "VMs", "the picture", "the plan");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t begun_ns = clock_mono_ns(), seen_ns;
		unsigned n_nodes = sizes[i], n;
		struct place *place;
		bool ok = place_new(&place) == 0;

		for (uint32_t id = 1; ok && id <= n_nodes; id++)
			ok = add_node(place, id, n_vms / n_nodes + 1);
		for (unsigned vm = 0; ok && vm < n_vms; vm++)
			ok = add_vm(place, vm, 1 + vm % n_nodes);
		seen_ns = clock_mono_ns();
		n = ok ? plan(place, n_nodes, n_vms) : 0;
		if (!n)
			return false;
		printf("%5u | %8u %12.2f %12.2f\n", n_nodes, n,
			(double)(seen_ns - begun_ns) / (double)NS_PER_MS,
			(double)(clock_mono_ns() - seen_ns) / (double)NS_PER_MS);
		place_free(place);
	}
	return true;
}
