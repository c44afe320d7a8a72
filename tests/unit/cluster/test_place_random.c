/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/cluster/pictures.h"

#define N_NAMES    64
#define MAX_RANDOM 24

struct world {
	struct place_switch nets[8][3];
	struct place_volume reach[8][3];
	struct place_node nodes[8];
	struct place_nic nics[MAX_RANDOM][2];
	const char *volumes[MAX_RANDOM][2], *preferred[MAX_RANDOM][2], *possible[MAX_RANDOM][6];
	struct place_vm vms[MAX_RANDOM];
	size_t n_nodes, n_vms;
};

static char names[N_NAMES][8];
static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static const char *one_of(const char *const *list, size_t n)
{
	return list[next_random((uint32_t)n)];
}

static void random_node(struct world *w, size_t i)
{
	static const char *const vids[] = {NULL, "", "1-100", "7", "2-4,9"};
	static const char *const states[] = {"", "up", "gone"};
	static const char *const digests[] = {"", "aa", "bb"};
	struct place_node *node = &w->nodes[i];

	for (size_t k = 0; k < 3; k++) {
		w->nets[i][k] = (struct place_switch){
			.name = names[40 + k],
			.logical = next_random(2) ? "Corp" : "",
			.state = one_of(states, 3),
			.vids = one_of(vids, 5),
		};
		w->reach[i][k] = (struct place_volume){names[44 + k], next_random(4) ? "" : "no"};
	}
	*node = (struct place_node){
		.id = (uint32_t)(3 * i + 1),
		.name = names[i],
		.is_up = next_random(8) > 0,
		.is_paused = next_random(8) == 0,
		.has_kvm = next_random(8) > 0,
		.vm_memory_bytes = (1 + next_random(8)) * 1024 * MIB,
		.numa_memory_bytes = next_random(3) * 2048 * MIB,
		.cpus = next_random(9),
		.numa_cpus = next_random(4),
		.cpu_digest = one_of(digests, 3),
		.max_vms = next_random(4) ? 0 : next_random(4),
		.switches = w->nets[i],
		.n_switches = next_random(4),
		.volumes = w->reach[i],
		.n_volumes = next_random(4),
	};
}

static void random_vm(struct world *w, size_t i)
{
	static const char *const vids[] = {"", "", "7", "3-4", "50"};
	static const char *const digests[] = {"", "", "aa", "bb"};
	static const char *const classes[] = {"", "dc", "web"};
	const char *switches[] = {names[40], names[41], names[42], "Corp", ""};

	for (size_t k = 0; k < 2; k++) {
		w->nics[i][k] = (struct place_nic){one_of(switches, 5), one_of(vids, 5)};
		w->volumes[i][k] = names[44 + next_random(3)];
		w->preferred[i][k] = names[next_random(8)];
	}
	for (size_t k = 0; k < 6; k++)
		w->possible[i][k] = names[next_random(8)];
	w->vms[i] = (struct place_vm){
		.name = names[10 + i],
		.node_id = next_random((uint32_t)(3 * w->n_nodes)),
		.is_running = next_random(2),
		.cpu_digest = one_of(digests, 4),
		.memory_bytes = next_random(2048) * MIB,
		.vps = next_random(5),
		.nics = w->nics[i],
		.n_nics = next_random(3),
		.volumes = w->volumes[i],
		.n_volumes = next_random(3),
		.priority = (enum place_priority)next_random(4),
		.preferred = w->preferred[i],
		.n_preferred = next_random(3),
		.possible = w->possible[i],
		.n_possible = next_random(2) ? 0 : next_random(7),
		.anti_affinity = one_of(classes, 3),
	};
}

static void random_world(struct world *w)
{
	for (size_t i = 0; i < N_NAMES; i++)
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
	w->n_nodes = 1 + next_random(8);
	w->n_vms = 1 + next_random(MAX_RANDOM - 1);
	for (size_t i = 0; i < w->n_nodes; i++)
		random_node(w, i);
	for (size_t i = 0; i < w->n_vms; i++)
		random_vm(w, i);
}

static struct place *picture_of(const struct world *w, size_t first, size_t step)
{
	struct place *place = picture();

	for (size_t i = 0; i < w->n_nodes; i++)
		add_node(place, w->nodes[(first + i * step) % w->n_nodes]);
	for (size_t i = 0; i < w->n_vms; i++)
		add_vm(place, w->vms[(first + i * step) % w->n_vms]);
	return place;
}

/* A chosen node has no reason against it; where none is chosen all have one. */
static void check_choice(
	struct place *place, const struct world *w, const char *vm, uint32_t except)
{
	uint32_t chosen = place_choose(place, vm, except);
	struct place_reason reasons[PLACE_MAX_REASONS];

	assert_true(!chosen || chosen != except);
	if (chosen)
		assert_int_equal(place_why_not(place, vm, chosen, reasons, PLACE_MAX_REASONS), 0);
	for (size_t i = 0; i < w->n_nodes; i++) {
		uint32_t id = w->nodes[i].id;
		int n = place_why_not(place, vm, id, reasons, PLACE_MAX_REASONS);

		assert_int_equal(n, place_count_reasons(place, vm, id));
		if (!chosen && id != except)
			assert_true(n > 0);
		for (int k = 0; k < n; k++)
			assert_true(reasons[k].text[0]);
	}
}

static void random_pictures_keep_the_rules(void **state)
{
	(void)state;
	for (uint32_t run = 0; run < 2000; run++) {
		struct world w;
		struct place *place;

		seed = run;
		random_world(&w);
		place = picture_of(&w, 0, 1);
		for (size_t i = 0; i < w.n_vms; i++) {
			const char *vm = w.vms[i].name;
			uint32_t chosen = place_choose(place, vm, w.vms[i].node_id);

			check_choice(place, &w, vm, 0);
			check_choice(place, &w, vm, w.vms[i].node_id);
			if (chosen)
				assert_int_equal(place_move(place, vm, chosen), 0);
		}
		place_free(place);
	}
}

static bool same_answers(const struct place *a, const struct place *b, const struct world *w)
{
	struct place_reason x[PLACE_MAX_REASONS], y[PLACE_MAX_REASONS];

	for (size_t i = 0; i < w->n_vms; i++) {
		const char *vm = w->vms[i].name;

		if (place_choose(a, vm, 0) != place_choose(b, vm, 0))
			return false;
		for (size_t k = 0; k < w->n_nodes; k++) {
			uint32_t id = w->nodes[k].id;
			int n = place_why_not(a, vm, id, x, PLACE_MAX_REASONS);

			if (place_why_not(b, vm, id, y, PLACE_MAX_REASONS) != n)
				return false;
			for (int t = 0; t < n; t++) {
				if (strcmp(x[t].text, y[t].text) != 0)
					return false;
			}
		}
	}
	return true;
}

/* ... and what was counted while VMs moved is what a new picture counts. */
static void order_of_adding_does_not_matter(void **state)
{
	(void)state;
	for (uint32_t run = 0; run < 1000; run++) {
		struct world w;
		struct place *place, *other;

		seed = run;
		random_world(&w);
		place = picture_of(&w, 0, 1);
		other = picture_of(&w, w.n_nodes * w.n_vms - 1, w.n_nodes * w.n_vms - 1);
		assert_true(same_answers(place, other, &w));
		place_free(other);
		for (size_t i = 0; i < w.n_vms; i++) {
			uint32_t chosen = place_choose(place, w.vms[i].name, 0);

			if (!chosen)
				continue;
			place_move(place, w.vms[i].name, chosen);
			w.vms[i].node_id = chosen;
			w.vms[i].is_running = true;
		}
		other = picture_of(&w, 0, 1);
		assert_true(same_answers(place, other, &w));
		place_free(other);
		place_free(place);
	}
}

/* 64 nodes, 10,000 VMs, every pair asked: bounded by the time limit of the test. */
static void a_large_cluster_is_asked_for_all_pairs(void **state)
{
	static char node_names[64][16], switch_names[16][16];
	struct place_switch nets[16];
	struct place *place = picture();
	struct place_reason reasons[PLACE_MAX_REASONS];
	char name[32], class[32], vids[32];
	size_t n_reasons = 0, n_chosen = 0;

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		snprintf(switch_names[i], sizeof(switch_names[i]), "switch%zu", i);
		nets[i] = (struct place_switch){.name = switch_names[i], .vids = "1-2000"};
	}
	for (uint32_t i = 0; i < 64; i++) {
		struct place_node node = usual_node(i + 1, node_names[i]);

		snprintf(node_names[i], sizeof(node_names[i]), "host%u", i + 1);
		node.vm_memory_bytes = 1ULL << 40;
		node.switches = nets;
		node.n_switches = 16;
		add_node(place, node);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		struct place_nic nic = {switch_names[i % 16], vids};
		struct place_vm vm = usual_vm(name);

		snprintf(name, sizeof(name), "VM%u", i);
		snprintf(class, sizeof(class), "class%u", i / 4);
		snprintf(vids, sizeof(vids), "%u", i % 2100 + 1);
		vm.nics = &nic;
		vm.n_nics = 1;
		vm.anti_affinity = class;
		vm.node_id = i % 64 + 1;
		vm.is_running = true;
		add_vm(place, vm);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "VM%u", i);
		for (uint32_t id = 1; id <= 64; id++)
			n_reasons +=
				(size_t)place_why_not(place, name, id, reasons, PLACE_MAX_REASONS);
		n_chosen += place_choose(place, name, i % 64 + 1) != 0;
	}
	assert_int_equal(n_chosen, 10000 - 4 * 100);
	assert_int_equal(n_reasons, 4 * 100 * 63); /* where it is it stays */
	place_free(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_pictures_keep_the_rules),
		cmocka_unit_test(order_of_adding_does_not_matter),
		cmocka_unit_test(a_large_cluster_is_asked_for_all_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
