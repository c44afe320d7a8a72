/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/drain.h"

#define MIB       (1ULL << 20)
#define MAX_NODES 6
#define MAX_VMS   40
#define N_ROUNDS  3000

static const char *const names[] = {"h1", "h2", "h3", "h4", "h5", "h6"};

struct world {
	struct drain_node nodes[MAX_NODES];
	uint64_t room[MAX_NODES];
	size_t n_nodes;
	struct drain_vm vms[MAX_VMS]; /* all of node 1 */
	char texts[MAX_VMS][16];
	size_t n_vms;
	struct drain_request request;
};

static void add_node(struct world *w, uint64_t room_bytes)
{
	w->room[w->n_nodes] = room_bytes;
	w->nodes[w->n_nodes] = (struct drain_node){
		.id = (uint32_t)w->n_nodes + 1,
		.name = names[w->n_nodes],
		.takes = true,
		.why_no_live = "",
	};
	w->n_nodes++;
}

static struct drain_vm *add_vm(struct world *w, const char *name, uint64_t memory_bytes)
{
	struct drain_vm *vm = &w->vms[w->n_vms];

	snprintf(w->texts[w->n_vms], sizeof(w->texts[0]), "%s", name);
	*vm = (struct drain_vm){
		.name = w->texts[w->n_vms++],
		.node_id = 1,
		.runs = true,
		.priority = PLACE_MEDIUM,
		.memory_bytes = memory_bytes,
		.why_not = "",
		.why_not_move = "",
	};
	return vm;
}

static struct place *picture(const struct world *w)
{
	struct place *place;

	assert_int_equal(place_new(&place), 0);
	for (size_t i = 0; i < w->n_nodes; i++) {
		const struct place_node node = {
			.id = w->nodes[i].id,
			.name = w->nodes[i].name,
			.is_up = w->nodes[i].takes,
			.has_kvm = true,
			.vm_memory_bytes = w->room[i],
			.cpus = 4,
			.cpu_digest = "",
		};

		assert_int_equal(place_add_node(place, &node), 0);
	}
	for (size_t i = 0; i < w->n_vms; i++) {
		const struct place_vm vm = {
			.name = w->vms[i].name,
			.node_id = w->vms[i].node_id,
			.is_running = w->vms[i].runs,
			.cpu_digest = "",
			.memory_bytes = w->vms[i].memory_bytes,
			.vps = 1,
			.priority = w->vms[i].priority,
			.anti_affinity = "",
		};

		assert_int_equal(place_add_vm(place, &vm), 0);
	}
	return place;
}

static struct drain_plan *plan(struct world *w)
{
	struct place *place = picture(w);
	struct drain_plan *made;

	if (!w->request.why_no_quick)
		w->request.why_no_quick = "";
	w->request.except = 1;
	w->request.nodes = w->nodes;
	w->request.n_nodes = w->n_nodes;
	w->request.vms = w->vms;
	w->request.n_vms = w->n_vms;
	assert_int_equal(drain_plan(place, &w->request, &made), 0);
	place_free(place);
	return made;
}

static void assert_step(const struct drain_plan *made, size_t n, const char *vm,
	enum drain_kind kind, uint32_t target)
{
	assert_true(n < made->n_steps);
	assert_string_equal(made->steps[n].vm, vm);
	assert_string_equal(drain_kind_name(made->steps[n].kind), drain_kind_name(kind));
	assert_int_equal(made->steps[n].target_id, target);
}

static void the_order_is_priority_then_size_then_name(void **state)
{
	struct world w = {0};
	struct drain_plan *made;

	(void)state;
	add_node(&w, 0);
	add_node(&w, 4096 * MIB);
	add_vm(&w, "off", 4096 * MIB)->runs = false;
	add_vm(&w, "b", 128 * MIB);
	add_vm(&w, "a", 128 * MIB);
	add_vm(&w, "large", 256 * MIB);
	add_vm(&w, "low", 512 * MIB)->priority = PLACE_LOW;
	add_vm(&w, "high", 64 * MIB)->priority = PLACE_HIGH;
	made = plan(&w);
	assert_int_equal(made->n_steps, 6);
	assert_step(made, 0, "high", DRAIN_LIVE, 2);
	assert_step(made, 1, "large", DRAIN_LIVE, 2);
	assert_step(made, 2, "a", DRAIN_LIVE, 2);
	assert_step(made, 3, "b", DRAIN_LIVE, 2);
	assert_step(made, 4, "low", DRAIN_LIVE, 2);
	assert_step(made, 5, "off", DRAIN_OWNER, 2);
	drain_plan_free(made);
}

static void what_was_decided_takes_room(void **state)
{
	struct world w = {0};
	struct drain_plan *made;

	(void)state;
	add_node(&w, 0);
	add_node(&w, 300 * MIB);
	add_node(&w, 200 * MIB);
	add_vm(&w, "x", 200 * MIB);
	add_vm(&w, "y", 150 * MIB);
	add_vm(&w, "z", 100 * MIB);
	add_vm(&w, "w", 100 * MIB);
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_LIVE, 2);
	assert_step(made, 1, "y", DRAIN_LIVE, 3);
	assert_step(made, 2, "w", DRAIN_LIVE, 2);
	assert_step(made, 3, "z", DRAIN_BLOCKED, 0);
	/* All reasons, of all nodes that come into question. */
	assert_int_equal(made->steps[3].n_reasons, 2);
	assert_non_null(strstr(made->steps[3].reasons[0].text, "h2: "));
	assert_non_null(strstr(made->steps[3].reasons[1].text, "h3: "));
	drain_plan_free(made);
}

static void one_target_is_the_only_one(void **state)
{
	struct world w = {0};
	struct drain_plan *made;

	(void)state;
	add_node(&w, 0);
	add_node(&w, 1024 * MIB);
	add_node(&w, 150 * MIB);
	add_vm(&w, "x", 100 * MIB);
	add_vm(&w, "y", 100 * MIB);
	add_vm(&w, "off", 100 * MIB)->runs = false;
	w.request.target_id = 3;
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_LIVE, 3);
	assert_step(made, 1, "y", DRAIN_BLOCKED, 0);
	assert_int_equal(made->steps[1].n_reasons, 1);
	assert_step(made, 2, "off", DRAIN_OWNER, 3);
	drain_plan_free(made);
}

static void ways_other_than_a_live_migration(void **state)
{
	struct world w = {0};
	struct drain_plan *made;

	(void)state;
	add_node(&w, 0);
	add_node(&w, 1024 * MIB);
	add_node(&w, 512 * MIB);
	w.nodes[1].why_no_live = "no network";
	add_vm(&w, "x", 100 * MIB);
	/* Another node can have it without a stop. */
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_LIVE, 3);
	drain_plan_free(made);
	w.nodes[2].why_no_live = "no network either";
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_QUICK, 2);
	drain_plan_free(made);
	w.request.why_no_quick = "no volume";
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_BLOCKED, 0);
	assert_int_equal(made->steps[0].n_reasons, 4);
	assert_string_equal(made->steps[0].reasons[2].text, "h3: no network either");
	drain_plan_free(made);
	w.request.force = true;
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_STOP, 2);
	assert_int_equal(made->steps[0].n_reasons, 4);
	drain_plan_free(made);
	/* What is under way with it is not to be disturbed, by force neither. */
	w.vms[0].why_not = "it is being moved already";
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_BLOCKED, 0);
	drain_plan_free(made);
}

static void nobody_else_is_there(void **state)
{
	struct world w = {0};
	struct drain_plan *made;

	(void)state;
	add_node(&w, 0);
	add_node(&w, 1024 * MIB);
	w.nodes[1].takes = false;
	add_vm(&w, "x", 100 * MIB);
	add_vm(&w, "off", 100 * MIB)->runs = false;
	w.request.force = true;
	made = plan(&w);
	assert_step(made, 0, "x", DRAIN_BLOCKED, 0);
	assert_step(made, 1, "off", DRAIN_BLOCKED, 0);
	assert_string_equal(
		made->steps[1].reasons[0].text, "there is no other node that is up and not paused");
	drain_plan_free(made);
}

static void estimates_follow_what_is_known(void **state)
{
	struct world w = {0};
	struct drain_plan *made;
	unsigned before;

	(void)state;
	add_node(&w, 0);
	add_node(&w, 65536 * MIB);
	add_vm(&w, "x", 10240 * MIB);
	made = plan(&w);
	before = made->steps[0].seconds;
	assert_in_range(before, 100, 110);
	drain_plan_free(made);
	w.request.link_bytes_per_s = 1024 * MIB;
	made = plan(&w);
	assert_in_range(made->steps[0].seconds, 10, 13);
	drain_plan_free(made);
	w.vms[0].dirty_bytes_per_s = 500 * MIB;
	made = plan(&w);
	assert_in_range(made->steps[0].seconds, 19, 24);
	drain_plan_free(made);
	/* More than the link carries: as long as it takes to throttle it, not forever. */
	w.vms[0].dirty_bytes_per_s = UINT64_MAX;
	w.request.link_bytes_per_s = 1;
	made = plan(&w);
	assert_in_range(made->steps[0].seconds, 86400, 86402);
	drain_plan_free(made);
}

static void names_are_checked(void **state)
{
	struct world w = {0};
	struct drain_plan *made = NULL;
	char name[PLACE_NAME_MAX_LEN + 2];
	struct place *place;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	add_node(&w, 0);
	place = picture(&w);
	add_vm(&w, "x", MIB)->name = name;
	w.request.why_no_quick = "";
	w.request.vms = w.vms;
	w.request.n_vms = 1;
	assert_int_equal(drain_plan(place, &w.request, &made), -EINVAL);
	assert_null(made);
	place_free(place);
	drain_plan_free(NULL);
}

/* ---- whatever the cluster is like ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static void make_world(struct world *w)
{
	size_t n_nodes = 1 + below(MAX_NODES), n_vms = below(MAX_VMS + 1);

	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < n_nodes; i++) {
		add_node(w, below(4096) * MIB);
		w->nodes[i].takes = i == 0 || below(5);
		w->nodes[i].why_no_live = below(4) ? "" : "no network";
	}
	for (size_t i = 0; i < n_vms; i++) {
		struct drain_vm *vm;
		char name[16];

		snprintf(name, sizeof(name), "vm%zu", i);
		vm = add_vm(w, name, (1 + below(1024)) * MIB);
		vm->runs = below(4);
		vm->priority = (enum place_priority)below(4);
		vm->why_not = below(10) ? "" : "it is being moved";
		vm->why_not_move = below(10) ? "" : "it is paused";
	}
	w->request.force = below(2);
	w->request.why_no_quick = below(2) ? "" : "no volume";
	w->request.target_id = below(4) || n_nodes < 2 ? 0 : 2 + (uint32_t)below(n_nodes - 1);
}

/* The plan is done in a model, step by step. */
static void follow(const struct world *w, const struct drain_plan *made)
{
	uint64_t used[MAX_NODES + 1] = {0};
	uint32_t where[MAX_VMS];

	for (size_t i = 0; i < w->n_vms; i++)
		where[i] = 1;
	for (size_t i = 0; i < made->n_steps; i++) {
		const struct drain_step *step = &made->steps[i];
		const struct drain_vm *vm = NULL;
		bool blocked = step->kind == DRAIN_BLOCKED;

		for (size_t k = 0; k < w->n_vms; k++) {
			if (strcmp(w->vms[k].name, step->vm) != 0)
				continue;
			assert_int_equal(where[k], 1); /* it was not in the plan before */
			vm = &w->vms[k];
			where[k] = blocked ? UINT32_MAX : step->target_id;
		}
		assert_non_null(vm);
		assert_int_equal(blocked, step->target_id == 0);
		assert_true(!blocked || step->n_reasons > 0);
		if (blocked)
			continue;
		assert_in_range(step->target_id, 2, w->n_nodes);
		assert_true(w->nodes[step->target_id - 1].takes);
		assert_true(!w->request.target_id || step->target_id == w->request.target_id);
		assert_true(step->kind != DRAIN_STOP || w->request.force);
		assert_int_equal(step->kind == DRAIN_OWNER, !vm->runs);
		assert_true(
			step->kind != DRAIN_LIVE || !w->nodes[step->target_id - 1].why_no_live[0]);
		if (step->kind == DRAIN_LIVE || step->kind == DRAIN_QUICK)
			used[step->target_id] += vm->memory_bytes;
		assert_true(used[step->target_id] <= w->room[step->target_id - 1]);
	}
	/* Nobody is left but those that are blocked. */
	for (size_t i = 0; i < w->n_vms; i++)
		assert_int_not_equal(where[i], 1);
}

static void shuffle(struct world *w)
{
	for (size_t i = w->n_vms; i > 1; i--) {
		size_t k = below(i);
		struct drain_vm vm = w->vms[k];

		w->vms[k] = w->vms[i - 1];
		w->vms[i - 1] = vm;
	}
}

static void every_plan_can_be_followed(void **state)
{
	static struct world w;

	(void)state;
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		struct drain_plan *made, *again;

		make_world(&w);
		made = plan(&w);
		assert_int_equal(made->n_steps, w.n_vms);
		follow(&w, made);
		/* However the VMs are named, the plan is the same. */
		shuffle(&w);
		again = plan(&w);
		assert_string_equal(made->digest, again->digest);
		drain_plan_free(made);
		drain_plan_free(again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order_is_priority_then_size_then_name),
		cmocka_unit_test(what_was_decided_takes_room),
		cmocka_unit_test(one_target_is_the_only_one),
		cmocka_unit_test(ways_other_than_a_live_migration),
		cmocka_unit_test(nobody_else_is_there),
		cmocka_unit_test(estimates_follow_what_is_known),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(every_plan_can_be_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
