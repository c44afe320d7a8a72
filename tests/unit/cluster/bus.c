/* SPDX-License-Identifier: MIT */
#include "tests/unit/cluster/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "tests/unit/cluster/bus_impl.h"

#define SETTLE_MAX_STEPS 4000000

uint64_t bus_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint64_t bus_random(struct bus *bus, uint64_t n)
{
	bus->random = bus_mix(bus->random);
	return bus->random % n;
}

struct item *item_new(enum item_type type, uint32_t sender, const void *bytes, size_t size_bytes)
{
	struct item *item = calloc(1, sizeof(*item) + size_bytes);

	assert_non_null(item);
	item->type = type;
	item->sender = sender;
	item->size_bytes = size_bytes;
	if (size_bytes)
		memcpy(item->bytes, bytes, size_bytes);
	return item;
}

void items_drop(struct list *items)
{
	struct item *item;

	while ((item = list_pop(items, struct item, siblings)))
		free(item);
}

static struct ring *ring_new(struct bus *bus, unsigned nodes)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	assert_non_null(ring);
	ring->serial = ++bus->last_ring;
	ring->nodes = nodes;
	return ring;
}

static void ring_unref(struct ring *ring)
{
	if (--ring->n_refs > 0)
		return;
	for (size_t i = 0; i < ring->n_items; i++)
		free(ring->items[i]);
	free(ring->items);
	free(ring);
}

static void ring_add(struct ring *ring, struct item *item)
{
	if (ring->n_items == ring->capacity) {
		ring->capacity = ring->capacity ? ring->capacity * 2 : 64;
		ring->items = realloc(ring->items, ring->capacity * sizeof(struct item *));
		assert_non_null(ring->items);
	}
	if (item->type == ITEM_JOIN)
		item->view = ring->last_view | 1U << item->sender;
	else if (item->type == ITEM_LEAVE)
		item->view = ring->last_view & ~(1U << item->sender);
	if (item->type != ITEM_MESSAGE)
		ring->last_view = item->view;
	ring->items[ring->n_items++] = item;
}

/* The node's side. */

static void tell_view(struct node *node, unsigned view)
{
	struct item *item;

	if (view == node->view)
		return;
	node->view = view;
	item = item_new(ITEM_ACTIVATE, 0, NULL, 0);
	item->view = view;
	item->ring = node->ring->serial;
	list_append(&node->inbox, &item->siblings);
}

/* Those who left in one change, those who came one by one, as CPG does. Who was in another ring
 * meanwhile has left, even if it is back. */
static void tell_changes(struct node *node, unsigned view)
{
	unsigned stayed = node->view & view & node->together;

	node->together = UINT_MAX;
	if (!(view & 1U << node->id) || !node->joined) {
		node->view = 0;
		return;
	}
	tell_view(node, stayed);
	for (uint32_t id = 1; id <= BUS_MAX_NODES; id++) {
		if (view & 1U << id)
			tell_view(node, node->view | 1U << id);
	}
}

static void node_take(struct node *node, const struct item *item)
{
	struct item *copy;

	switch (item->type) {
	case ITEM_JOIN:
		if (item->sender == node->id && node->rs) {
			node->joined = true;
			tell_view(node, item->view);
			return;
		}
		/* fall through */
	case ITEM_LEAVE:
		if (node->joined)
			tell_view(node, item->view);
		return;
	case ITEM_ACTIVATE:
		tell_changes(node, item->view);
		return;
	case ITEM_MESSAGE:
		if (!node->joined || !(node->view & 1U << item->sender))
			return;
		copy = item_new(ITEM_MESSAGE, item->sender, item->bytes, item->size_bytes);
		list_append(&node->inbox, &copy->siblings);
		return;
	}
}

static void node_take_next(struct node *node)
{
	node_take(node, node->ring->items[node->taken++]);
}

/* One message of the process gets its place in the order; the sender has it at once. */
static void node_send(struct node *node)
{
	ring_add(node->ring, list_pop(&node->outbox, struct item, siblings));
	while (node->taken < node->ring->n_items && bus_random(node->bus, 2))
		node_take_next(node);
}

/* `nodes` leave their ring together: agree on what they have got from it. */
static void ring_leave(struct bus *bus, struct ring *ring, unsigned nodes)
{
	size_t cut = 0;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		if (nodes & 1U << id)
			cut = MAX(cut, bus->nodes[id].taken);
	}
	cut += bus_random(bus, ring->n_items - cut + 1);
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!(nodes & 1U << id))
			continue;
		for (; node->taken < ring->n_items; node->taken++) {
			const struct item *item = ring->items[node->taken];

			if (node->taken < cut ||
				(item->type != ITEM_ACTIVATE && nodes & 1U << item->sender))
				node_take(node, item);
		}
		node->taken = 0;
		node->together &= nodes;
		node->ring = NULL;
		ring_unref(ring);
	}
}

static void ring_form(struct bus *bus, unsigned nodes)
{
	struct ring *ring = ring_new(bus, nodes), *old;
	struct item *activate;
	unsigned view = 0;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		old = bus->nodes[id].ring;
		if (nodes & 1U << id && old)
			ring_leave(bus, old, old->nodes & nodes);
	}
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!(nodes & 1U << id))
			continue;
		node->ring = ring;
		ring->n_refs++;
		node->votes_are_news = true;
		if (node->rs && node->joined)
			view |= 1U << id;
	}
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		while (nodes & 1U << id && !list_empty(&bus->nodes[id].outbox) &&
			bus_random(bus, 3))
			ring_add(ring, list_pop(&bus->nodes[id].outbox, struct item, siblings));
	}
	activate = item_new(ITEM_ACTIVATE, 0, NULL, 0);
	activate->view = view;
	ring_add(ring, activate);
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		if (nodes & 1U << id && bus->nodes[id].rs && !bus->nodes[id].joined)
			ring_add(ring, item_new(ITEM_JOIN, id, NULL, 0));
	}
}

void bus_split(struct bus *bus, const unsigned sides[BUS_MAX_NODES + 1])
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		unsigned nodes = 0, lower = 0;

		for (uint32_t other = 1; other <= bus->n_nodes; other++) {
			if (sides[other] != sides[id])
				continue;
			nodes |= 1U << other;
			lower += other < id;
		}
		if (lower == 0 && (!bus->nodes[id].ring || bus->nodes[id].ring->nodes != nodes))
			ring_form(bus, nodes);
	}
}

void bus_heal(struct bus *bus)
{
	const unsigned together[BUS_MAX_NODES + 1] = {};

	bus_split(bus, together);
}

void bus_set_device_votes(struct bus *bus, uint32_t votes)
{
	bus->device_votes = votes;
	for (uint32_t id = 1; id <= bus->n_nodes; id++)
		bus->nodes[id].votes_are_news = true;
}

void bus_set_max_position(struct bus *bus, uint64_t max_position)
{
	bus->max_position = max_position;
}

struct bus *bus_new(unsigned n_nodes, uint64_t seed)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	assert_non_null(bus);
	assert_true(n_nodes <= BUS_MAX_NODES);
	bus->random = bus_mix(seed);
	bus->n_nodes = n_nodes;
	bus->now_ns = 1;
	for (uint32_t id = 1; id <= n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		node->bus = bus;
		node->id = id;
		node->together = UINT_MAX;
		list_init(&node->outbox);
		list_init(&node->inbox);
	}
	bus_heal(bus);
	return bus;
}

void bus_free(struct bus *bus)
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		process_fini(node);
		ring_unref(node->ring);
	}
	free(bus);
}

void bus_start(struct bus *bus, uint32_t id)
{
	struct node *node = &bus->nodes[id];

	process_start(node);
	node->votes_are_news = true;
	ring_add(node->ring, item_new(ITEM_JOIN, id, NULL, 0));
}

void bus_kill(struct bus *bus, uint32_t id)
{
	struct node *node = &bus->nodes[id];

	/* What the process gave to corosync is still sent, as far as it had been. */
	while (!list_empty(&node->outbox) && bus_random(bus, 2))
		ring_add(node->ring, list_pop(&node->outbox, struct item, siblings));
	process_kill(node);
	node->joined = false;
	node->view = 0;
	ring_add(node->ring, item_new(ITEM_LEAVE, id, NULL, 0));
}

bool bus_is_running(const struct bus *bus, uint32_t id)
{
	return bus->nodes[id].rs;
}

void bus_hang(struct bus *bus, uint32_t id, bool hung)
{
	bus->nodes[id].hung = hung;
}

static bool step_of(struct node *node, unsigned what)
{
	bool can_take = node->rs && !node->hung && !list_empty(&node->inbox);

	if (what == 0 && !list_empty(&node->outbox))
		node_send(node);
	else if (what <= 1 && node->taken < node->ring->n_items)
		node_take_next(node);
	else if (what <= 2 && can_take)
		process_take(node);
	else if (what <= 3 && node->votes_are_news && !node->hung)
		process_hear_votes(node);
	else if (node->in_turn && (!can_take || what == 4))
		process_turn_end(node);
	else
		return false;
	return true;
}

bool bus_step(struct bus *bus)
{
	unsigned first_node = (unsigned)bus_random(bus, bus->n_nodes);
	unsigned what = (unsigned)bus_random(bus, 5);

	for (unsigned i = 0; i < bus->n_nodes * 5; i++) {
		struct node *node = &bus->nodes[1 + (first_node + i / 5) % bus->n_nodes];

		if (step_of(node, (what + i) % 5)) {
			bus->now_ns += bus_random(bus, 100000);
			bus_check_invariants(bus);
			return true;
		}
	}
	return false;
}

bool bus_is_busy(const struct bus *bus)
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		const struct node *node = &bus->nodes[id];

		if (!list_empty(&node->outbox) || node->taken < node->ring->n_items ||
			(!node->hung && !list_empty(&node->inbox)))
			return true;
	}
	return false;
}

/* Time goes on to the next deadline; false: there is none. */
static bool tick(struct bus *bus)
{
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		const struct node *node = &bus->nodes[id];

		if (node->rs && !node->hung && rs_deadline(node->rs))
			next_ns = MIN(next_ns, rs_deadline(node->rs));
	}
	if (next_ns == UINT64_MAX)
		return false;
	bus_wait(bus, next_ns > bus->now_ns ? next_ns - bus->now_ns : 0);
	return true;
}

void bus_wait(struct bus *bus, uint64_t ns)
{
	bus->now_ns += ns;
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!node->rs || node->hung)
			continue;
		rs_tick(node->rs, bus->now_ns);
		node->in_turn = true;
	}
}

void bus_settle(struct bus *bus)
{
	for (unsigned i = 0; i < SETTLE_MAX_STEPS; i++) {
		if (!bus_step(bus) && !tick(bus))
			return;
	}
	fail_msg("the cluster does not come to rest");
}
