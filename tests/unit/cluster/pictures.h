/* SPDX-License-Identifier: MIT
 *
 * pictures.h - usual nodes and VMs for the tests of placement; cmocka.h comes first.
 */
#ifndef VIADUCT_TESTS_UNIT_CLUSTER_PICTURES_H
#define VIADUCT_TESTS_UNIT_CLUSTER_PICTURES_H

#include "cluster/place.h"

#define MIB (1ULL << 20)

static const struct place_switch prod = {.name = "Prod", .logical = "Corp", .vids = "2-4"};
static const struct place_volume v1 = {.name = "V1", .why_not = ""};

static inline struct place_node usual_node(uint32_t id, const char *name)
{
	return (struct place_node){
		.id = id,
		.name = name,
		.is_up = true,
		.has_kvm = true,
		.vm_memory_bytes = 4096 * MIB,
		.cpus = 4,
		.cpu_digest = "",
		.switches = &prod,
		.n_switches = 1,
		.volumes = &v1,
		.n_volumes = 1,
	};
}

static inline struct place_vm usual_vm(const char *name)
{
	return (struct place_vm){
		.name = name,
		.memory_bytes = 1024 * MIB,
		.vps = 2,
		.priority = PLACE_MEDIUM,
	};
}

static inline struct place *picture(void)
{
	struct place *place;

	assert_int_equal(place_new(&place), 0);
	return place;
}

static inline void add_node(struct place *place, struct place_node node)
{
	assert_int_equal(place_add_node(place, &node), 0);
}

static inline void add_vm(struct place *place, struct place_vm vm)
{
	assert_int_equal(place_add_vm(place, &vm), 0);
}

static inline struct place *three_nodes(void)
{
	struct place *place = picture();

	add_node(place, usual_node(1, "host1"));
	add_node(place, usual_node(2, "host2"));
	add_node(place, usual_node(3, "host3"));
	return place;
}

#endif
