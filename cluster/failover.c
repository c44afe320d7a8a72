/* SPDX-License-Identifier: MIT */
#include "cluster/failover.h"

#include <stdio.h>
#include <string.h>

struct candidate {
	const struct failover_vm *vm;
	size_t index;
};

static int by_priority(const void *a, const void *b)
{
	const struct failover_vm *first = ((const struct candidate *)a)->vm;
	const struct failover_vm *second = ((const struct candidate *)b)->vm;

	if (first->priority != second->priority)
		return first->priority > second->priority ? -1 : 1;
	return strcmp(first->name, second->name);
}

/* The first reason of each node, as much as there is room for. */
static void explain(const struct place *place, const struct failover_vm *vm,
	const struct failover_node *nodes, size_t n_nodes, struct failover_step *step)
{
	size_t len;

	snprintf(step->why, sizeof(step->why), "no node can take it");
	len = strlen(step->why);
	for (size_t i = 0; i < n_nodes && len < sizeof(step->why); i++) {
		struct place_reason reason;

		if (place_why_not(place, vm->name, nodes[i].id, &reason, 1) < 1)
			snprintf(reason.text, sizeof(reason.text), "it has just failed there");
		len += (size_t)snprintf(step->why + len, sizeof(step->why) - len, "%s %s: %s",
			i ? ";" : ":", nodes[i].name, reason.text);
	}
}

static void decide(struct place *place, const struct failover_vm *vm,
	const struct failover_node *nodes, size_t n_nodes, struct failover_step *step)
{
	if (vm->priority == PLACE_NO_AUTO_START) {
		step->is_final = true;
		snprintf(step->why, sizeof(step->why), "its priority is none: people start it");
		return;
	}
	if (vm->n_restarts >= vm->max_restarts) {
		step->is_final = true;
		snprintf(step->why, sizeof(step->why),
			"it was started again %u times lately, which is as often as its policy "
			"allows",
			vm->n_restarts);
		return;
	}
	step->to = place_choose(place, vm->name, vm->avoid);
	/* Better where it has failed than nowhere. */
	if (!step->to && vm->avoid)
		step->to = place_choose(place, vm->name, 0);
	if (step->to)
		place_move(place, vm->name, step->to);
	else
		explain(place, vm, nodes, n_nodes, step);
}

int failover_plan(struct place *place, const struct failover_vm *vms, size_t n_vms,
	const struct failover_node *nodes, size_t n_nodes, struct failover_step *ret_steps)
{
	_cleanup_free_ struct candidate *order = calloc(n_vms + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n_vms; i++)
		order[i] = (struct candidate){&vms[i], i};
	qsort(order, n_vms, sizeof(*order), by_priority);
	for (size_t i = 0; i < n_vms; i++) {
		ret_steps[i] = (struct failover_step){.vm = order[i].index};
		decide(place, order[i].vm, nodes, n_nodes, &ret_steps[i]);
	}
	return 0;
}
