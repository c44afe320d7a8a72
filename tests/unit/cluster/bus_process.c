/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/cluster/bus_impl.h"

static uint64_t hash(const void *data, size_t size_bytes, uint64_t seed)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size_bytes; i++)
		seed = (seed ^ bytes[i]) * 0x100000001b3ULL;
	return bus_mix(seed);
}

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

	node->disk_is_dirty = true;
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

	if (node->disk_is_dirty) {
		buf_reset(&node->committed);
		store_snapshot(node->disk, &node->committed);
		node->disk_is_dirty = false;
	}
	node->committed_meta = *meta;
	return 0;
}

static int on_save_store(const struct store *store, const struct rs_meta *meta, void *data)
{
	struct buf snapshot = {};
	struct node *node = data;

	store_snapshot(store, &snapshot);
	node->disk_is_dirty = true;
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

void process_turn_end(struct node *node)
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

void process_hear_votes(struct node *node)
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

void process_take(struct node *node)
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

static struct store *read_disk(const struct node *node)
{
	struct store *store;

	assert_int_equal(
		store_from_snapshot(node->committed.data, node->committed.size_bytes, &store), 0);
	return store;
}

void process_start(struct node *node)
{
	struct rs_config config = {
		.silence_ns = BUS_SILENCE_NS,
		.max_position = node->bus->max_position,
		.nonce = (uint32_t)bus_random(node->bus, UINT32_MAX),
	};

	assert_null(node->rs);
	store_free(node->disk);
	store_free(node->mirror);
	node->disk = read_disk(node);
	node->disk_is_dirty = false;
	node->mirror = read_disk(node);
	assert_int_equal(
		rs_new(&config, &ops, node, read_disk(node), &node->committed_meta, &node->rs), 0);
	rs_connect(node->rs, node->id);
	node->n_changes = 0;
}

void process_kill(struct node *node)
{
	assert_non_null(node->rs);
	items_drop(&node->outbox);
	items_drop(&node->inbox);
	rs_free(node->rs);
	node->rs = NULL;
	node->hung = false;
	node->in_turn = false;
}

void process_fini(struct node *node)
{
	rs_free(node->rs);
	store_free(node->mirror);
	store_free(node->disk);
	buf_fini(&node->committed);
	items_drop(&node->outbox);
	items_drop(&node->inbox);
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
		committed = read_disk(node);
		assert_same_content(node->rs, committed);
		store_free(committed);
		assert_memory_equal(
			rs_meta(node->rs), &node->committed_meta, sizeof(node->committed_meta));
		assert_int_equal(rs_meta(node->rs)->generation, rs_meta(first)->generation);
		assert_int_equal(rs_meta(node->rs)->version, rs_meta(first)->version);
	}
}
