/* SPDX-License-Identifier: MIT */
#include "cluster/drain.h"

#include "base/bytes.h"
#include "cluster/sha256.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BYTES_PER_S (100ULL << 20) /* a network of 1 Gbit/s */
#define SET_UP_SECONDS      1
#define MAX_PER_NODE        16 /* reasons asked of one node */

static const char *const kind_names[] = {
	[DRAIN_LIVE] = "live",
	[DRAIN_QUICK] = "quick",
	[DRAIN_STOP] = "stop",
	[DRAIN_OWNER] = "owner",
	[DRAIN_BLOCKED] = "blocked",
};

const char *drain_kind_name(enum drain_kind kind)
{
	return kind_names[kind];
}

/* ---- order ---- */

static int compare(const void *a, const void *b)
{
	const struct drain_vm *x = *(const struct drain_vm *const *)a;
	const struct drain_vm *y = *(const struct drain_vm *const *)b;

	if (x->runs != y->runs)
		return x->runs ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->memory_bytes != y->memory_bytes)
		return x->memory_bytes > y->memory_bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* ---- reasons ---- */

static void _printf_(2, 3) add_reason(struct drain_step *step, const char *format, ...)
{
	va_list args;

	if (!step->reasons || step->n_reasons == DRAIN_MAX_REASONS)
		return;
	va_start(args, format);
	vsnprintf(step->reasons[step->n_reasons].text, sizeof(step->reasons->text), format, args);
	va_end(args);
	step->n_reasons++;
}

/* ---- one VM ---- */

struct planning {
	struct place *place;
	const struct drain_request *request;
};

static const struct drain_node *node_of(const struct planning *p, uint32_t id)
{
	for (size_t i = 0; i < p->request->n_nodes; i++) {
		if (p->request->nodes[i].id == id)
			return &p->request->nodes[i];
	}
	return NULL;
}

static bool may_take(const struct planning *p, const struct drain_node *node)
{
	return node->id != p->request->except &&
	       (!p->request->target_id || node->id == p->request->target_id);
}

/* How it gets there; DRAIN_BLOCKED: in no way. */
static enum drain_kind way_to(const struct planning *p, const struct drain_node *node)
{
	if (!node->why_no_live[0])
		return DRAIN_LIVE;
	return p->request->why_no_quick[0] ? DRAIN_BLOCKED : DRAIN_QUICK;
}

static bool can_run_on(
	const struct planning *p, const struct drain_vm *vm, const struct drain_node *node)
{
	struct place_reason reason;

	return may_take(p, node) && node->id != vm->node_id &&
	       place_why_not(p->place, vm->name, node->id, &reason, 1) == 0;
}

/* The best node, or, where nothing leads to that one, another that can have it. */
static const struct drain_node *choose(const struct planning *p, const struct drain_vm *vm)
{
	const struct drain_request *request = p->request;
	const struct drain_node *best = NULL;

	if (!request->target_id)
		best = node_of(p, place_choose(p->place, vm->name,
					  request->except ? request->except : vm->node_id));
	for (int pass = DRAIN_LIVE; pass <= DRAIN_QUICK; pass++) {
		if (best && can_run_on(p, vm, best) && way_to(p, best) == (enum drain_kind)pass)
			return best;
		for (size_t i = 0; i < request->n_nodes; i++) {
			const struct drain_node *node = &request->nodes[i];

			if (way_to(p, node) == (enum drain_kind)pass && can_run_on(p, vm, node))
				return node;
		}
	}
	return NULL;
}

static void say_why_not(const struct planning *p, const struct drain_vm *vm,
	const struct drain_node *node, struct drain_step *step)
{
	struct place_reason reasons[MAX_PER_NODE];
	int n = place_why_not(p->place, vm->name, node->id, reasons, ARRAY_LEN(reasons));

	for (int i = 0; i < n && i < MAX_PER_NODE; i++)
		add_reason(step, "%s: %s", node->name, reasons[i].text);
	if (n == 0 && way_to(p, node) == DRAIN_BLOCKED) {
		add_reason(step, "%s: %s", node->name, node->why_no_live);
		add_reason(step, "%s: %s", node->name, p->request->why_no_quick);
	}
}

/* Who becomes the owner of one that does not run (any more): where it could start best, else
 * whoever is there, for it needs nothing. */
static const struct drain_node *choose_owner(const struct planning *p, const struct drain_vm *vm)
{
	const struct drain_request *request = p->request;
	const struct drain_node *best = NULL;

	if (!request->target_id)
		best = node_of(p, place_choose(p->place, vm->name,
					  request->except ? request->except : vm->node_id));
	if (best && best->takes && may_take(p, best))
		return best;
	for (size_t i = 0; i < request->n_nodes; i++) {
		const struct drain_node *node = &request->nodes[i];

		if (node->takes && may_take(p, node) && node->id != vm->node_id)
			return node;
	}
	return NULL;
}

static unsigned estimate(const struct planning *p, const struct drain_vm *vm, enum drain_kind kind)
{
	uint64_t rate =
		p->request->link_bytes_per_s ? p->request->link_bytes_per_s : DEFAULT_BYTES_PER_S;
	uint64_t bytes = vm->memory_bytes, seconds;

	if (kind != DRAIN_LIVE && kind != DRAIN_QUICK)
		return kind == DRAIN_STOP ? SET_UP_SECONDS : 0;
	if (kind == DRAIN_QUICK)
		bytes *= 2; /* written, then read */
	else if (vm->dirty_bytes_per_s < rate / 2)
		rate -= vm->dirty_bytes_per_s;
	else
		rate /= 2; /* it converges when it is made to */
	seconds = bytes / (rate ? rate : 1) + 1;
	return SET_UP_SECONDS + (unsigned)MIN(seconds, 86400ULL);
}

static void decide(const struct planning *p, const struct drain_vm *vm, struct drain_step *step)
{
	const struct drain_request *request = p->request;
	const struct drain_node *node = NULL;

	step->kind = DRAIN_BLOCKED;
	if (vm->why_not[0]) {
		add_reason(step, "%s", vm->why_not);
		return;
	}
	if (!vm->runs) {
		node = choose_owner(p, vm);
		step->kind = DRAIN_OWNER;
	} else if (!vm->why_not_move[0]) {
		node = choose(p, vm);
		step->kind = node ? way_to(p, node) : DRAIN_BLOCKED;
	}
	if (!node && vm->runs) {
		if (vm->why_not_move[0])
			add_reason(step, "%s", vm->why_not_move);
		else
			for (size_t i = 0; i < request->n_nodes; i++) {
				if (may_take(p, &request->nodes[i]))
					say_why_not(p, vm, &request->nodes[i], step);
			}
		if (request->force)
			node = choose_owner(p, vm);
		step->kind = DRAIN_STOP;
	}
	if (!node) {
		step->kind = DRAIN_BLOCKED;
		if (!step->n_reasons)
			add_reason(step, "there is no other node that is up and not paused");
		return;
	}
	step->target_id = node->id;
	step->seconds = estimate(p, vm, step->kind);
	if (step->kind == DRAIN_LIVE || step->kind == DRAIN_QUICK)
		place_move(p->place, vm->name, node->id);
}

/* ---- the plan ---- */

static int make_digest(struct drain_plan *plan)
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *sha;
	int r = sha256_new(&sha);

	if (r < 0)
		return r;
	sha256_begin(sha);
	for (size_t i = 0; i < plan->n_steps; i++) {
		char line[PLACE_NAME_MAX_LEN + 64];
		int n = snprintf(line, sizeof(line), "%s %s %u\n", plan->steps[i].vm,
			kind_names[plan->steps[i].kind], plan->steps[i].target_id);

		sha256_add(sha, line, (size_t)n);
	}
	r = sha256_end(sha, digest);
	sha256_free(sha);
	for (size_t i = 0; r == 0 && i < DRAIN_DIGEST_LEN / 2; i++)
		snprintf(plan->digest + 2 * i, 3, "%02x", digest[i]);
	return r;
}

/* Reasons take much room, and most steps have none. */
static int plan_one(const struct planning *p, const struct drain_vm *vm, struct drain_step *step)
{
	struct place_reason *all = calloc(DRAIN_MAX_REASONS, sizeof(*all));

	if (!all)
		return -ENOMEM;
	snprintf(step->vm, sizeof(step->vm), "%s", vm->name);
	step->priority = vm->priority;
	step->memory_bytes = vm->memory_bytes;
	step->from_id = vm->node_id;
	step->reasons = all;
	decide(p, vm, step);
	step->reasons = NULL;
	if (step->n_reasons) {
		step->reasons = reallocarray(all, step->n_reasons, sizeof(*all));
		return step->reasons ? 0 : -ENOMEM;
	}
	free(all);
	return 0;
}

int drain_plan(
	struct place *place, const struct drain_request *request, struct drain_plan **ret_plan)
{
	const struct planning p = {.place = place, .request = request};
	_cleanup_free_ const struct drain_vm **order = calloc(request->n_vms + 1, sizeof(*order));
	struct drain_plan *plan =
		calloc(1, sizeof(*plan) + request->n_vms * sizeof(plan->steps[0]));
	int r = order && plan ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < request->n_vms; i++) {
		order[i] = &request->vms[i];
		if (strlen(order[i]->name) > PLACE_NAME_MAX_LEN)
			r = -EINVAL;
	}
	if (r == 0)
		qsort(order, request->n_vms, sizeof(*order), compare);
	for (size_t i = 0; r == 0 && i < request->n_vms; i++) {
		plan->n_steps = i + 1;
		r = plan_one(&p, order[i], &plan->steps[i]);
	}
	if (r == 0)
		r = make_digest(plan);
	if (r < 0) {
		drain_plan_free(plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

void drain_plan_free(struct drain_plan *plan)
{
	for (size_t i = 0; plan && i < plan->n_steps; i++)
		free(plan->steps[i].reasons);
	free(plan);
}
