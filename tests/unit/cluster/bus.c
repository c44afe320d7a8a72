/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>

#include "base/list.h"
#include "tests/unit/cluster/bus.h"

#define SETTLE_MAX_STEPS 4000000
#define VERSION_SLOTS    (1U << 16)

enum item_type { ITEM_MESSAGE, ITEM_JOIN, ITEM_LEAVE, ITEM_ACTIVATE };

/* What is ordered in a ring, waits to be sent by a node, or waits to be taken by a process. */
struct item {
	struct list siblings;
	enum item_type type;
	uint32_t sender;
	unsigned view; /* ITEM_JOIN, ITEM_ACTIVATE; in an inbox: the new membership */
	uint64_t ring; /* in an inbox: where that was decided */
	size_t size_bytes;
	uint8_t bytes[];
};

struct ring {
	uint64_t serial;
	unsigned nodes;     /* bit per id */
	unsigned last_view; /* membership of the group at the end of the order */
	struct item **items;
	size_t n_items, capacity;
	unsigned n_refs;
};

struct node {
	struct bus *bus;
	uint32_t id;
	struct ring *ring;
	size_t taken;      /* items of the ring */
	bool joined;       /* the process is in the group, at this node */
	unsigned view;     /* the group as this node has told its process */
	unsigned together; /* who shared all rings since then */
	bool votes_are_news;
	struct list outbox; /* of the process, not in the ring yet */
	struct list inbox;  /* for the process */

	bool hung;
	struct rs *rs; /* NULL: no process */
	struct store *mirror;
	uint64_t n_changes;
	bool in_turn;
	uint64_t heard_ring; /* of the last membership change the process took */

	struct store *disk; /* written, not necessarily committed */
	struct buf committed;
	struct rs_meta committed_meta;
};

struct bus {
	uint64_t random;
	uint64_t now_ns;
	unsigned n_nodes;
	uint32_t device_votes;
	uint64_t max_position;
	uint64_t last_ring;
	struct node nodes[BUS_MAX_NODES + 1];
	struct {
		uint64_t key;
		uint64_t value;
	} versions[VERSION_SLOTS]; /* invariant 3: (key, version) -> content, as hashes */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint64_t bus_random(struct bus *bus, uint64_t n)
{
	bus->random = mix(bus->random);
	return bus->random % n;
}

static uint64_t hash(const void *data, size_t size_bytes, uint64_t seed)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size_bytes; i++)
		seed = (seed ^ bytes[i]) * 0x100000001b3ULL;
	return mix(seed);
}

static struct item *item_new(
	enum item_type type, uint32_t sender, const void *bytes, size_t size_bytes)
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

static void items_drop(struct list *items)
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

/* The process's side. */

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct node *node = data;

	list_append(&node->outbox, &item_new(ITEM_MESSAGE, node->id, bytes, size_bytes)->siblings);
}

static void check_version(struct bus *bus, const char *key, const struct store_entry *entry)
{
	uint64_t k = hash(key, strlen(key), entry->version) | 1;
	uint64_t v = hash(entry->value, entry->value_bytes, 7);
	size_t slot = k % VERSION_SLOTS;

	for (size_t n = 0; bus->versions[slot].key; n++, slot = (slot + 1) % VERSION_SLOTS) {
		if (n == 64)
			return;
		if (bus->versions[slot].key != k)
			continue;
		assert_true(bus->versions[slot].value == v);
		return;
	}
	bus->versions[slot].key = k;
	bus->versions[slot].value = v;
}

static void on_applied(
	const char *key, const struct store_entry *entry, uint64_t version, void *data)
{
	struct node *node = data;

	assert_true(version != 0);
	node->n_changes++;
	if (!entry) {
		assert_int_equal(store_delete(node->mirror, key), 0);
		return;
	}
	assert_true(entry->version == version);
	check_version(node->bus, key, entry);
	assert_int_equal(store_put(node->mirror, key, entry->key_len, entry->value,
				 entry->value_bytes, version),
		0);
}

static void on_changed(void *data)
{
	(void)data;
}

static void on_save_entry(const char *key, const struct store_entry *entry, void *data)
{
	struct node *node = data;

	if (entry)
		assert_int_equal(store_put(node->disk, key, entry->key_len, entry->value,
					 entry->value_bytes, entry->version),
			0);
	else
		assert_int_equal(store_delete(node->disk, key), 0);
}

static int on_save_meta(const struct rs_meta *meta, void *data)
{
	struct node *node = data;

	buf_reset(&node->committed);
	store_snapshot(node->disk, &node->committed);
	node->committed_meta = *meta;
	return 0;
}

static int on_save_store(const struct store *store, const struct rs_meta *meta, void *data)
{
	struct buf snapshot = {};
	struct node *node = data;

	store_snapshot(store, &snapshot);
	store_free(node->disk);
	assert_int_equal(store_from_snapshot(snapshot.data, snapshot.size_bytes, &node->disk), 0);
	buf_fini(&snapshot);
	return on_save_meta(meta, data);
}

static const struct rs_ops ops = {
	.multicast = on_multicast,
	.applied = on_applied,
	.changed = on_changed,
	.save_entry = on_save_entry,
	.save_store = on_save_store,
	.save_meta = on_save_meta,
};

static void turn_end(struct node *node)
{
	if (!node->in_turn)
		return;
	node->in_turn = false;
	rs_flush(node->rs);
	on_save_meta(rs_meta(node->rs), node);
	rs_saved(node->rs);
}

static struct rs_votes votes_of(const struct node *node)
{
	uint32_t needed = node->bus->n_nodes + node->bus->device_votes;
	uint32_t present =
		(uint32_t)__builtin_popcount(node->ring->nodes) + node->bus->device_votes;

	needed = needed / 2 + 1;
	return (struct rs_votes){
		.quorate = present >= needed,
		.votes = 1,
		.quorum_votes = needed,
		.device_votes = node->bus->device_votes,
	};
}

static void process_hear_votes(struct node *node)
{
	struct rs_votes votes = votes_of(node);

	node->votes_are_news = false;
	if (!node->rs)
		return;
	rs_set_votes(node->rs, &votes, node->bus->now_ns);
	node->in_turn = true;
}

static void process_confchg(struct node *node, unsigned view)
{
	uint32_t ids[BUS_MAX_NODES];
	size_t n = 0;

	for (uint32_t id = 1; id <= node->bus->n_nodes; id++) {
		if (view & 1U << id)
			ids[n++] = id;
	}
	rs_confchg(node->rs, ids, n, node->bus->now_ns);
}

static void process_take(struct node *node)
{
	struct item *item = list_pop(&node->inbox, struct item, siblings);

	if (item->type == ITEM_MESSAGE)
		rs_deliver(
			node->rs, item->sender, item->bytes, item->size_bytes, node->bus->now_ns);
	else
		process_confchg(node, item->view);
	if (item->type != ITEM_MESSAGE)
		node->heard_ring = item->ring;
	node->in_turn = true;
	free(item);
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
	bus->random = mix(seed);
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

		rs_free(node->rs);
		store_free(node->mirror);
		store_free(node->disk);
		buf_fini(&node->committed);
		items_drop(&node->outbox);
		items_drop(&node->inbox);
		ring_unref(node->ring);
	}
	free(bus);
}

void bus_start(struct bus *bus, uint32_t id)
{
	struct node *node = &bus->nodes[id];
	struct rs_config config = {
		.silence_ns = BUS_SILENCE_NS,
		.max_position = bus->max_position,
		.nonce = (uint32_t)bus_random(bus, UINT32_MAX),
	};
	struct store *store;

	assert_null(node->rs);
	store_free(node->disk);
	store_free(node->mirror);
	assert_int_equal(
		store_from_snapshot(node->committed.data, node->committed.size_bytes, &node->disk),
		0);
	assert_int_equal(store_from_snapshot(
				 node->committed.data, node->committed.size_bytes, &node->mirror),
		0);
	assert_int_equal(
		store_from_snapshot(node->committed.data, node->committed.size_bytes, &store), 0);
	assert_int_equal(rs_new(&config, &ops, node, store, &node->committed_meta, &node->rs), 0);
	rs_connect(node->rs, id);
	node->n_changes = 0;
	node->votes_are_news = true;
	ring_add(node->ring, item_new(ITEM_JOIN, id, NULL, 0));
}

void bus_kill(struct bus *bus, uint32_t id)
{
	struct node *node = &bus->nodes[id];

	assert_non_null(node->rs);
	/* What the process gave to corosync is still sent, as far as it had been. */
	while (!list_empty(&node->outbox) && bus_random(bus, 2))
		ring_add(node->ring, list_pop(&node->outbox, struct item, siblings));
	items_drop(&node->outbox);
	items_drop(&node->inbox);
	rs_free(node->rs);
	node->rs = NULL;
	node->joined = false;
	node->hung = false;
	node->in_turn = false;
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
		turn_end(node);
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

struct rs *bus_rs(struct bus *bus, uint32_t id)
{
	return bus->nodes[id].rs;
}

uint64_t bus_now_ns(const struct bus *bus)
{
	return bus->now_ns;
}

void bus_inject(struct bus *bus, uint32_t sender, const void *bytes, size_t size_bytes)
{
	on_multicast(bytes, size_bytes, &bus->nodes[sender]);
}

static void on_done(int error, uint64_t version, void *data)
{
	struct bus_outcome *outcome = data;

	outcome->n_done++;
	outcome->error = error;
	outcome->version = version;
}

int bus_write(struct bus *bus, uint32_t id, const char *key, uint64_t expected, const char *value,
	struct bus_outcome *ret_outcome)
{
	*ret_outcome = (struct bus_outcome){};
	return rs_write(bus->nodes[id].rs, key, expected, value, value ? strlen(value) : 0, on_done,
		ret_outcome, bus->now_ns);
}

const char *bus_get(struct bus *bus, uint32_t id, const char *key)
{
	static char text[4][256];
	static unsigned turn;
	const struct store_entry *entry = store_find(rs_store(bus->nodes[id].rs), key);

	turn = (turn + 1) % 4;
	snprintf(text[turn], sizeof(text[turn]), "%.*s", entry ? (int)entry->value_bytes : 0,
		entry ? entry->value : "");
	return text[turn];
}

uint64_t bus_version(struct bus *bus, uint32_t id, const char *key)
{
	const struct store_entry *entry = store_find(rs_store(bus->nodes[id].rs), key);

	return entry ? entry->version : 0;
}

uint64_t bus_n_changes(const struct bus *bus, uint32_t id)
{
	return bus->nodes[id].n_changes;
}

static void assert_same_content(struct rs *rs, struct store *store)
{
	uint8_t a[RS_DIGEST_BYTES], b[RS_DIGEST_BYTES];

	assert_int_equal(rs_digest(rs, a), 0);
	assert_int_equal(store_digest(store, b), 0);
	assert_memory_equal(a, b, sizeof(a));
}

/* Whether two processes know that they are in one membership, so that invariant 1 speaks of them.
 */
static bool are_together(const struct node *x, const struct node *y)
{
	return x->rs && y->rs && x->ring == y->ring && x->heard_ring == x->ring->serial &&
	       y->heard_ring == y->ring->serial && rs_mode(x->rs) == RS_SYNCED &&
	       rs_mode(y->rs) == RS_SYNCED &&
	       rs_epoch_generation(x->rs) == rs_epoch_generation(y->rs) &&
	       rs_position(x->rs) == rs_position(y->rs);
}

void bus_check_invariants(struct bus *bus)
{
	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		for (uint32_t other = 1; other < id; other++) {
			const struct node *x = &bus->nodes[id], *y = &bus->nodes[other];

			if (are_together(x, y))
				assert_same_content(x->rs, (struct store *)rs_store(y->rs));
		}
	}
}

void bus_check_agreement(struct bus *bus)
{
	struct rs *first = NULL;
	struct store *committed;

	for (uint32_t id = 1; id <= bus->n_nodes; id++) {
		struct node *node = &bus->nodes[id];

		if (!node->rs)
			continue;
		first = first ? first : node->rs;
		assert_int_equal(rs_mode(node->rs), RS_SYNCED);
		assert_true(rs_is_complete(node->rs));
		for (uint32_t other = 1; other <= bus->n_nodes; other++)
			assert_true(rs_member_is_synced(node->rs, other) ==
				    (bus->nodes[other].rs != NULL));
		assert_same_content(node->rs, (struct store *)rs_store(first));
		assert_same_content(node->rs, node->mirror);
		assert_int_equal(store_from_snapshot(node->committed.data,
					 node->committed.size_bytes, &committed),
			0);
		assert_same_content(node->rs, committed);
		store_free(committed);
		assert_memory_equal(
			rs_meta(node->rs), &node->committed_meta, sizeof(node->committed_meta));
		assert_int_equal(rs_meta(node->rs)->generation, rs_meta(first)->generation);
		assert_int_equal(rs_meta(node->rs)->version, rs_meta(first)->version);
	}
}
