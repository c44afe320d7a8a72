/* SPDX-License-Identifier: MIT
 *
 * When things happen. Whatever a node or a process could do next gets a time when it becomes
 * possible; the earliest one is done next.
 *
 * BUS_PACE_LAN: a token goes round and whoever has it sends (corosync's totem); what is sent is
 * there one hop later; a process handles one message after another; transactions and promises wait
 * for the disk. The numbers are those of a quiet 10 Gbit/s network and an NVMe disk. What the
 * processor needs for parsing and hashing is in HANDLE_* and DISK_BYTE_NS. A change of membership
 * takes no time here: corosync's own, a second or more, comes on top of what is measured.
 */
#include "tests/sim/bus_impl.h"

#define HOP_NS         20000U /* the token, from one node to the next */
#define SEND_NS        2000U  /* a message, and each of its bytes: 1 ns is 8 Gbit/s */
#define SEND_BYTE_NS   1U
#define IPC_NS         10000U /* between corosync and the process */
#define HANDLE_NS      5000U
#define HANDLE_BYTE_NS 5U
#define COMMIT_NS      50000U   /* a transaction that is not waited for */
#define DISK_SYNC_NS   1000000U /* one that is */
#define HASH_BYTE_NS   1U       /* SHA-256 of the store, when it has changed */
#define DISK_BYTE_NS   10U      /* of a store taken over: parsed, hashed, written */
#define WAKE_NS        10000U   /* from the thread that writes to the one that waits */
#define QUORUM_NEWS_NS 1000000U

void pace_init(struct bus *bus)
{
	bus->usual_ns = 2000ULL << bus_random(bus, 8);
	bus->rarely = 16U << bus_random(bus, 6);
}

void bus_set_calm(struct bus *bus)
{
	bus->rarely = 0;
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		bus->nodes[id].slowness = 1;
		memset(bus->nodes[id].due_ns, 0, sizeof(bus->nodes[id].due_ns));
	}
}

static uint64_t some_time(struct node *node)
{
	struct bus *bus = node->bus;
	uint64_t ns = bus_random(bus, 2 * bus->usual_ns);

	if (bus->rarely && bus_random(bus, bus->rarely) == 0)
		ns <<= bus_random(bus, 11);
	return ns * node->slowness;
}

static const struct item *first_of(const struct list *items)
{
	return list_entry(items->next, struct item, siblings);
}

/* The token goes from node to node all the time; where it is follows from where it last had work.
 */
static uint64_t token_at(const struct node *node)
{
	const struct ring *ring = node->ring;
	uint64_t n = (uint64_t)__builtin_popcountll(ring->nodes);
	uint64_t rank = (uint64_t)__builtin_popcountll(ring->nodes & (bit(node->id) - 1));
	uint64_t last = (uint64_t)__builtin_popcountll(ring->nodes & (bit(ring->token_id) - 1));
	uint64_t hops = (rank + n - last) % n;
	uint64_t ready_ns = first_of(&node->outbox)->at_ns;
	uint64_t at_ns = ring->token_ns + (hops ? hops : n) * HOP_NS;

	if (at_ns < ready_ns)
		at_ns += (ready_ns - at_ns + n * HOP_NS - 1) / (n * HOP_NS) * n * HOP_NS;
	return at_ns;
}

void pace_sent(struct node *node, size_t size_bytes)
{
	struct ring *ring = node->ring;

	ring->token_ns =
		MAX(ring->token_ns, node->bus->now_ns) + SEND_NS + size_bytes * SEND_BYTE_NS;
	ring->token_id = node->id;
}

static void be_busy(struct node *node, uint64_t ns)
{
	if (node->bus->pace == BUS_PACE_LAN)
		node->busy_until_ns =
			MAX(node->busy_until_ns, node->bus->now_ns) + ns * node->slowness;
}

void pace_handled(struct node *node, size_t size_bytes)
{
	be_busy(node, HANDLE_NS + size_bytes * HANDLE_BYTE_NS);
}

void pace_hashed(struct node *node, size_t size_bytes)
{
	be_busy(node, size_bytes * HASH_BYTE_NS);
}

void pace_took_over(struct node *node, size_t size_bytes)
{
	be_busy(node, size_bytes * DISK_BYTE_NS);
}

static uint64_t disk_due(const struct node *node)
{
	uint64_t at_ns;
	bool is_synced = disk_is_synced_next(node, &at_ns);

	return at_ns + (is_synced ? DISK_SYNC_NS : COMMIT_NS) * node->slowness;
}

static uint64_t lan_due(const struct node *node, enum action action)
{
	uint64_t now_ns = node->bus->now_ns, free_ns = MAX(now_ns, node->busy_until_ns);
	const struct item *item;

	switch (action) {
	case ACTION_TAKE:
		item = node->ring->items[node->taken];
		return MAX(now_ns,
			item->at_ns + (item->sender == node->id ? 0 : HOP_NS + node->lag_ns));
	case ACTION_SEND:
		return MAX(now_ns, token_at(node));
	case ACTION_HAND:
		return MAX(free_ns, first_of(&node->inbox)->at_ns + IPC_NS * node->slowness);
	case ACTION_VOTES:
		return free_ns + QUORUM_NEWS_NS;
	case ACTION_DISK:
		return MAX(now_ns, disk_due(node));
	case ACTION_SAVED:
		return MAX(free_ns, node->disk.free_ns + WAKE_NS * node->slowness);
	default:
		return free_ns;
	}
}

static bool is_possible(const struct node *node, enum action action)
{
	bool acts = node->rs && !node->hung;

	switch (action) {
	case ACTION_TAKE:
		return node->taken < node->ring->n_items;
	case ACTION_SEND:
		return !list_empty(&node->outbox);
	case ACTION_HAND:
		return acts && !list_empty(&node->inbox);
	case ACTION_VOTES:
		return acts && node->votes_are_news;
	case ACTION_TURN_END:
		return acts && node->in_turn;
	case ACTION_TICK:
		return acts && process_deadline(node);
	case ACTION_WORK:
		return acts && !node->in_turn && rs_has_work(node->rs);
	case ACTION_DISK:
		return disk_is_busy(node);
	case ACTION_SAVED:
		return acts && !node->in_turn && disk_has_news(node);
	case N_ACTIONS:
		break;
	}
	return false;
}

/* Decided before something else came in between: the token moves on, processes get busy, deadlines
 * are put off. */
static bool is_stale(const struct node *node, enum action action)
{
	if (action == ACTION_TICK)
		return node->deadline_ns != process_deadline(node);
	return action != ACTION_VOTES && node->bus->pace == BUS_PACE_LAN;
}

static void decide_due(struct node *node, enum action action)
{
	uint64_t *due_ns = &node->due_ns[action];
	uint64_t from_ns = node->bus->now_ns;

	if (action == ACTION_TICK) {
		node->deadline_ns = process_deadline(node);
		from_ns = MAX(from_ns, node->deadline_ns);
	}
	if (node->bus->pace == BUS_PACE_RANDOM)
		*due_ns = from_ns + some_time(node);
	else
		*due_ns = MAX(from_ns, lan_due(node, action));
	*due_ns = MAX(*due_ns, 1ULL);
}

bool pace_next(struct bus *bus, struct node **ret_node, enum action *ret_action)
{
	uint64_t first_ns = UINT64_MAX;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		for (enum action action = 0; action < N_ACTIONS; action++) {
			if (!is_possible(node, action)) {
				node->due_ns[action] = 0;
				continue;
			}
			if (node->due_ns[action] == 0 || is_stale(node, action))
				decide_due(node, action);
			if (node->due_ns[action] < first_ns) {
				first_ns = node->due_ns[action];
				*ret_node = node;
				*ret_action = action;
			}
		}
	}
	return first_ns != UINT64_MAX;
}
