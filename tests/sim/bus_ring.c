/* SPDX-License-Identifier: MIT
 *
 * Rings: their order, who has taken what of it, and what becomes of it when they break and merge.
 */
#include <stdio.h>

#include "tests/sim/bus_impl.h"

/* What a node sends when it has the token, as corosync's max_messages. */
#define TOKEN_MESSAGES 17

static void *must_have(void *memory)
{
	if (!memory) {
		fprintf(stderr, "no memory\n");
		abort();
	}
	return memory;
}

struct item *item_new(enum item_type type, uint32_t sender, const void *bytes, size_t size_bytes)
{
	struct item *item = must_have(calloc(1, sizeof(*item) + size_bytes));

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

static struct ring *ring_new(struct bus *bus, uint64_t nodes)
{
	struct ring *ring = must_have(calloc(1, sizeof(*ring)));

	ring->serial = ++bus->last_ring;
	ring->nodes = nodes;
	ring->token_id = (uint32_t)__builtin_ctzll(nodes) + 1;
	ring->token_ns = bus->now_ns;
	return ring;
}

void ring_unref(struct ring *ring)
{
	if (--ring->n_refs > 0)
		return;
	for (size_t i = 0; i < ring->n_items; i++)
		free(ring->items[i]);
	free(ring->items);
	free(ring);
}

void ring_add(struct ring *ring, struct item *item, uint64_t at_ns)
{
	item->at_ns = at_ns;
	if (ring->n_items == ring->capacity) {
		ring->capacity = ring->capacity ? ring->capacity * 2 : 64;
		ring->items =
			must_have(realloc(ring->items, ring->capacity * sizeof(struct item *)));
	}
	if (item->type == ITEM_JOIN)
		item->view = ring->last_view | bit(item->sender);
	else if (item->type == ITEM_LEAVE)
		item->view = ring->last_view & ~(bit(item->sender));
	if (item->type != ITEM_MESSAGE)
		ring->last_view = item->view;
	ring->items[ring->n_items++] = item;
}

/* The node's side. */

static void tell_view(struct node *node, uint64_t view)
{
	struct item *item;

	if (view == node->view)
		return;
	node->view = view;
	item = item_new(ITEM_ACTIVATE, 0, NULL, 0);
	item->view = view;
	item->ring = node->ring->serial;
	item->at_ns = node->bus->now_ns;
	list_append(&node->inbox, &item->siblings);
}

/* Those who left in one change, those who came one by one, as CPG does. Who was in another ring
 * meanwhile has left, even if it is back. */
static void tell_changes(struct node *node, uint64_t view)
{
	uint64_t stayed = node->view & view & node->together;

	node->together = UINT64_MAX;
	if (!(view & bit(node->id)) || !node->joined) {
		node->view = 0;
		return;
	}
	tell_view(node, stayed);
	for (uint32_t id = 1; id <= node->bus->n_nodes; id++) {
		if (view & bit(id))
			tell_view(node, node->view | bit(id));
	}
}

static void node_take_message(struct node *node, const struct item *item)
{
	enum bus_mutation mutation = node->bus->mutation;
	struct item *copy, *last;

	if (mutation == BUS_LOSES_MESSAGES && bus_random(node->bus, 256) == 0)
		return;
	copy = item_new(ITEM_MESSAGE, item->sender, item->bytes, item->size_bytes);
	copy->at_ns = node->bus->now_ns;
	list_append(&node->inbox, &copy->siblings);
	last = list_entry(copy->siblings.prev, struct item, siblings);
	if (mutation == BUS_SWAPS_MESSAGES && node->inbox.next != &copy->siblings &&
		last->type == ITEM_MESSAGE && bus_random(node->bus, 64) == 0) {
		list_remove(&last->siblings);
		list_append(&node->inbox, &last->siblings);
	}
}

static void node_take(struct node *node, const struct item *item)
{

	switch (item->type) {
	case ITEM_JOIN:
		if (item->sender == node->id) {
			if (!node->connected || item->life != node->life)
				return; /* of a process that is gone */
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
		if (!node->joined || !(node->view & bit(item->sender)))
			return;
		node_take_message(node, item);
		return;
	}
}

void node_take_next(struct node *node)
{
	node_take(node, node->ring->items[node->taken++]);
}

/* What the process gave it gets its place in the order; the sender has it first. */
void node_send(struct node *node)
{
	unsigned n = node->bus->pace == BUS_PACE_LAN ? TOKEN_MESSAGES : 1;
	struct item *item;

	for (; n > 0 && (item = list_pop(&node->outbox, struct item, siblings)); n--) {
		pace_sent(node, item->size_bytes);
		ring_add(node->ring, item, MAX(node->bus->now_ns, node->ring->token_ns));
	}
	while (node->taken < node->ring->n_items && bus_chance(node->bus, 2))
		node_take_next(node);
}

/* What was given to corosync and not sent when something ends is sent in part. */
void node_send_some(struct node *node, struct ring *ring, uint64_t n)
{
	while (!list_empty(&node->outbox) && node->bus->pace == BUS_PACE_RANDOM &&
		bus_random(node->bus, n))
		ring_add(ring, list_pop(&node->outbox, struct item, siblings), node->bus->now_ns);
}

/* `nodes` leave their ring together: agree on what they have got from it. */
static void ring_leave(struct bus *bus, struct ring *ring, uint64_t nodes)
{
	size_t cut = 0;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		if (nodes & bit(id))
			cut = MAX(cut, bus->nodes[id].taken);
	}
	if (bus->pace == BUS_PACE_RANDOM)
		cut += bus_random(bus, ring->n_items - cut + 1);
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!(nodes & bit(id)))
			continue;
		for (; node->taken < ring->n_items; node->taken++) {
			const struct item *item = ring->items[node->taken];

			if (node->taken < cut ||
				(item->type != ITEM_ACTIVATE && nodes & bit(item->sender)))
				node_take(node, item);
		}
		node->taken = 0;
		node->together &= nodes;
		node->ring = NULL;
		ring_unref(ring);
	}
}

void node_join(struct node *node)
{
	struct item *item = item_new(ITEM_JOIN, node->id, NULL, 0);

	item->life = node->life;
	ring_add(node->ring, item, node->bus->now_ns);
}

static void ring_form(struct bus *bus, uint64_t nodes)
{
	struct ring *ring = ring_new(bus, nodes), *old;
	struct item *activate;
	uint64_t view = 0;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		old = bus->nodes[id].ring;
		if (nodes & bit(id) && old)
			ring_leave(bus, old, old->nodes & nodes);
	}
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!(nodes & bit(id)))
			continue;
		node->ring = ring;
		ring->n_refs++;
		node->votes_are_news = true;
		if (node->connected && node->joined)
			view |= bit(id);
	}
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		if (nodes & bit(id))
			node_send_some(&bus->nodes[id], ring, 3);
	}
	activate = item_new(ITEM_ACTIVATE, 0, NULL, 0);
	activate->view = view;
	ring_add(ring, activate, bus->now_ns);
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		if (nodes & bit(id) && bus->nodes[id].connected && !bus->nodes[id].joined)
			node_join(&bus->nodes[id]);
	}
}

void bus_split(struct bus *bus, const unsigned sides[BUS_MAX_NODES + 1])
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		uint64_t nodes = 0;
		unsigned lower = 0;

		for (uint32_t other = 1; other <= bus->n_nodes; other++) {
			if (sides[other] != sides[id])
				continue;
			nodes |= bit(other);
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
