/* SPDX-License-Identifier: MIT
 *
 * The processes on the bus, as cluster.c is one: turns, a disk with transactions, a connection that
 * can be lost.
 */
#include <stdio.h>

#include "cluster/rs_core.h"
#include "tests/sim/bus_impl.h"

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "%s: %d\n", what, r);
	abort();
}

/* What the core puts out. */

/* A STATE has the digest of the whole store in it. */
static void pay_for_digest(struct node *node, const void *bytes)
{
	const struct rs_wire_header *header = bytes;
	uint64_t version = rs_meta(node->rs)->version;

	if (le16toh(header->type) != RS_WIRE_STATE || node->hashed_version == version)
		return;
	node->hashed_version = version;
	pace_hashed(node, store_snapshot_bytes(rs_store(node->rs)));
}

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct node *node = data;
	struct item *item;

	if (!node->connected)
		return;
	check_sent(node, bytes, size_bytes);
	pay_for_digest(node, bytes);
	if (node->bus->watch.sent)
		node->bus->watch.sent(node->id, bytes, size_bytes, node->bus->watch_data);
	item = item_new(ITEM_MESSAGE, node->id, bytes, size_bytes);
	item->at_ns = MAX(node->bus->now_ns, node->busy_until_ns);
	list_append(&node->outbox, &item->siblings);
}

static void on_applied(
	const char *key, const struct store_entry *entry, uint64_t version, void *data)
{
	struct node *node = data;

	node->n_changes++;
	check_applied(node, key, entry, version);
	if (node->bus->watch.applied)
		node->bus->watch.applied(node->id, key, entry, version, node->bus->watch_data);
}

static void on_changed(void *data)
{
	struct node *node = data;

	if (node->bus->watch.changed)
		node->bus->watch.changed(node->id, node->bus->watch_data);
}

static void on_save_entry(const char *key, const struct store_entry *entry, void *data)
{
	disk_put(data, key, entry);
}

static void on_save_meta(const struct rs_meta *meta, void *data)
{
	disk_promise(data, meta);
}

static void on_save_store(const struct store *store, const struct rs_meta *meta, void *data)
{
	struct node *node = data;

	node->is_corrupt = false;
	pace_took_over(node, store_snapshot_bytes(store));
	disk_replace(node, store, meta);
	if (node->bus->watch.saved_store)
		node->bus->watch.saved_store(node->id, store, node->bus->watch_data);
}

static const struct rs_ops ops = {
	.multicast = on_multicast,
	.applied = on_applied,
	.changed = on_changed,
	.save_entry = on_save_entry,
	.save_store = on_save_store,
	.save_meta = on_save_meta,
};

/* What the leases put out. They are in the store's group here; where they come from is all that
 * matters for their order. */

static void on_lease_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct node *node = data;
	struct item *item;

	if (!node->connected)
		return;
	item = item_new(ITEM_MESSAGE, node->id, bytes, size_bytes);
	item->at_ns = MAX(node->bus->now_ns, node->busy_until_ns);
	list_append(&node->outbox, &item->siblings);
}

static void on_lease_renewed(uint64_t until_ns, void *data)
{
	struct node *node = data;

	if (node->bus->watch.renewed)
		node->bus->watch.renewed(node->id, until_ns, node->bus->watch_data);
}

static void on_lease_changed(void *data _unused_)
{
}

static const struct lease_ops lease_ops = {
	.multicast = on_lease_multicast,
	.renewed = on_lease_renewed,
	.changed = on_lease_changed,
};

static void lease_hear_votes(struct node *node, const struct rs_votes *votes)
{
	const struct lease_votes same = {
		votes->quorate, votes->votes, votes->quorum_votes, votes->device_votes};

	if (node->lease)
		lease_set_votes(node->lease, &same, node->bus->now_ns);
}

static bool is_of_leases(const struct item *item)
{
	return item->size_bytes >= sizeof(uint32_t) && load_le32(item->bytes) == LEASE_WIRE_MAGIC;
}

/* Turns. */

/* For BUS_CONFIRMS_EARLY: what the others would say if they had applied what this one has. */
static void forge_confirmations(struct node *node)
{
	struct rs *rs = node->rs;
	struct rs_msg msg = {
		.type = RS_WIRE_ACK,
		.epoch = rs->epoch,
		.version = rs->protocol,
		.ack = {rs->applied, rs->chain[rs->applied % RS_CHAIN_LENGTH]},
	};
	uint32_t others[RS_MAX_MEMBERS];
	size_t n_others = rs->n_peers;
	struct buf bytes = {};

	if (rs_mode(rs) != RS_SYNCED)
		return;
	rs_wire_put(&bytes, &msg);
	for (size_t i = 0; i < n_others; i++)
		others[i] = rs->peers[i].id;
	for (size_t i = 0; i < n_others; i++)
		rs_deliver(rs, others[i], bytes.data, bytes.size_bytes, node->bus->now_ns);
	buf_fini(&bytes);
}

void process_turn_end(struct node *node)
{
	if (!node->in_turn)
		return;
	node->in_turn = false;
	if (node->disk_error == 0)
		disk_commit(node);
	if (node->bus->mutation == BUS_CONFIRMS_UNSAVED)
		rs_saved(node->rs, rs_mark(node->rs), node->bus->now_ns);
	if (node->bus->mutation == BUS_CONFIRMS_EARLY)
		forge_confirmations(node);
}

void process_hear_disk(struct node *node)
{
	struct disk *disk = &node->disk;

	disk->heard = disk->mark;
	rs_saved(node->rs, disk->mark, node->bus->now_ns);
	node->in_turn = true;
	if (!disk->error)
		return;
	node->disk_error = disk->error;
	disk->error = 0;
	if (node->connected)
		process_disconnect(node);
}

/* BUS_COUNTS_DEVICE: as if the device had a copy of the store. */
static uint32_t nodes_needed_of(const struct bus *bus)
{
	if (bus->device_votes == 0 || bus->mutation == BUS_COUNTS_NO_VOTES)
		return 0;
	return bus->mutation == BUS_COUNTS_DEVICE ? 1 : bus->n_nodes / 2 + 1;
}

static struct rs_votes votes_of(const struct node *node)
{
	const struct bus *bus = node->bus;
	bool has_device =
		bus->device_side == 0 ||
		(bus->device_side != BUS_NO_SIDE && node->ring->nodes & bit(bus->device_side));
	uint32_t device_votes = has_device ? bus->device_votes : 0;
	uint32_t present = (uint32_t)__builtin_popcountll(node->ring->nodes) + device_votes;
	uint32_t needed = (bus->n_nodes + bus->device_votes) / 2 + 1;

	if (bus->mutation == BUS_COUNTS_NO_VOTES)
		needed = 1;
	return (struct rs_votes){
		.quorate = present >= needed,
		.votes = 1,
		.quorum_votes = needed,
		.device_votes = device_votes,
		.nodes_needed = nodes_needed_of(bus),
	};
}

void process_hear_votes(struct node *node)
{
	struct rs_votes votes = votes_of(node);

	node->votes_are_news = false;
	if (!node->connected)
		return;
	rs_set_votes(node->rs, &votes, node->bus->now_ns);
	lease_hear_votes(node, &votes);
	node->in_turn = true;
}

static void process_confchg(struct node *node, const struct item *item)
{
	uint32_t ids[BUS_MAX_NODES];
	char text[200] = "";
	size_t n = 0, len = 0;

	for (uint32_t id = 1; id <= node->bus->n_nodes; id++) {
		if (item->view & bit(id))
			ids[n++] = id;
	}
	for (size_t i = 0; i < n && len < sizeof(text); i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "%s%u", i ? "," : "", ids[i]);
	bus_log(node->bus, node->id, "members {%s}", text);
	if (node->bus->watch.membership)
		node->bus->watch.membership(node->id, n, node->bus->watch_data);
	node->heard_ring = item->ring;
	rs_confchg(node->rs, ids, n, node->bus->now_ns);
	if (node->lease)
		lease_confchg(node->lease, ids, n, node->bus->now_ns);
}

static bool is_lost(struct node *node, const struct item *item)
{
	const struct rs_wire_header *header = (const void *)item->bytes;

	return node->bus->mutation == BUS_LOSES_HELLOS && item->size_bytes >= sizeof(*header) &&
	       le16toh(header->type) == RS_WIRE_HELLO && bus_random(node->bus, 8) == 0;
}

void process_take(struct node *node)
{
	struct item *item = list_pop(&node->inbox, struct item, siblings);

	if (item->type == ITEM_MESSAGE && is_of_leases(item) && node->lease)
		lease_deliver(node->lease, item->sender, item->bytes, item->size_bytes,
			node->bus->now_ns);
	else if (item->type == ITEM_MESSAGE && !is_lost(node, item))
		rs_deliver(
			node->rs, item->sender, item->bytes, item->size_bytes, node->bus->now_ns);
	else if (item->type != ITEM_MESSAGE)
		process_confchg(node, item);
	pace_handled(node, item->size_bytes);
	node->in_turn = true;
	free(item);
}

void process_tick(struct node *node)
{
	rs_tick(node->rs, node->bus->now_ns);
	if (node->lease && node->bus->lease_ns)
		lease_tick(node->lease, node->bus->now_ns);
	node->in_turn = true;
}

uint64_t process_deadline(const struct node *node)
{
	uint64_t rs_ns = rs_deadline(node->rs), lease_ns = 0;

	if (node->lease && node->bus->lease_ns)
		lease_ns = lease_deadline(node->lease);
	return rs_ns && lease_ns ? MIN(rs_ns, lease_ns) : rs_ns + lease_ns;
}

bool bus_corrupt(struct bus *bus, uint32_t id)
{
	struct node *node = &bus->nodes[id];
	size_t n_keys = store_n_keys(rs_store(node->rs));
	const struct store_entry *entry;

	if (n_keys == 0)
		return false;
	entry = store_at(rs_store(node->rs), bus_random(bus, n_keys));
	bus_log(bus, id, "has a store that forgets");
	((char *)entry->value)[entry->value_bytes / 2] ^= 1;
	node->is_corrupt = true;
	return true;
}

void bus_suspect(struct bus *bus, uint32_t id, uint32_t whom)
{
	rs_suspect(bus->nodes[id].rs, whom, bus->now_ns);
	bus->nodes[id].in_turn = true;
}

void bus_check(struct bus *bus, uint32_t id)
{
	rs_check(bus->nodes[id].rs, bus->now_ns);
	bus->nodes[id].in_turn = true;
}

void process_work(struct node *node)
{
	rs_work(node->rs, node->bus->now_ns);
	node->in_turn = true;
}

/* Life. */

void process_init(struct node *node)
{
	disk_init(node);
}

void bus_preload(
	struct bus *bus, uint32_t id, const struct store *store, const struct rs_meta *meta)
{
	struct disk *disk = &bus->nodes[id].disk;

	store_free(disk->store);
	disk->store = disk_copy(store);
	disk->meta = *meta;
}

void process_start(struct node *node)
{
	struct rs_config config = {
		.silence_ns = node->bus->silence_ns,
		.max_position = node->bus->max_position,
		.nonce = (uint32_t)bus_random(node->bus, UINT32_MAX),
		.oldest = node->oldest,
		.work_bytes = node->bus->work_keys * 40ULL,
		.work_keys = node->bus->work_keys,
		.newest = node->newest,
	};
	struct store *store;

	must(node->rs ? -EALREADY : 0, "start");
	if (node->bus->is_lean) {
		store = node->disk.store;
		node->disk.store = NULL;
	} else {
		store = disk_copy(node->disk.store);
		store_free(node->mirror);
		node->mirror = disk_copy(store);
	}
	must(rs_new(&config, &ops, node, store, &node->disk.meta, &node->rs), "rs_new()");
	if (node->bus->lease_ns)
		must(lease_new(
			     node->bus->lease_ns, config.nonce | 1, &lease_ops, node, &node->lease),
			"lease_new()");
	node->n_changes = 0;
	node->checked = 0;
	node->disk_error = 0;
	node->busy_until_ns = 0;
	node->hashed_version = 0;
	disk_reset(node);
}

bool process_connect(struct node *node)
{
	/* The disk first: without it this node must not promise anything. */
	if (node->disk_error) {
		if (node->disk.fails)
			return false;
		node->disk_error = 0;
		disk_save_all(node);
	}
	rs_connect(node->rs, node->id);
	if (node->lease)
		lease_connect(node->lease, node->id);
	node->connected = true;
	/* As cluster.c does; that this is old news before long is corosync's business. */
	if (!bus_chance(node->bus, 4))
		process_hear_votes(node);
	return true;
}

void process_disconnect(struct node *node)
{
	const struct rs_votes none = {};

	bus_lose_process(node);
	rs_disconnect(node->rs);
	rs_set_votes(node->rs, &none, node->bus->now_ns);
	if (node->lease)
		lease_disconnect(node->lease);
	lease_hear_votes(node, &none);
}

void process_kill(struct node *node)
{
	disk_reset(node);
	node->is_corrupt = false;
	rs_free(node->rs);
	node->rs = NULL;
	lease_free(take_ptr(node->lease));
	node->hung = false;
	node->in_turn = false;
}

void process_fini(struct node *node)
{
	rs_free(node->rs);
	lease_free(node->lease);
	store_free(node->mirror);
	disk_fini(node);
	items_drop(&node->outbox);
	items_drop(&node->inbox);
}

/* What callers ask of them. */

struct rs *bus_rs(struct bus *bus, uint32_t id)
{
	return bus->nodes[id].rs;
}

struct lease *bus_lease(struct bus *bus, uint32_t id)
{
	return bus->nodes[id].lease;
}

enum bus_mutation bus_mutation_of(const struct bus *bus)
{
	return bus->mutation;
}

void bus_set_leases(struct bus *bus, uint64_t duration_ns)
{
	bus->lease_ns = duration_ns;
}

uint64_t bus_now_ns(const struct bus *bus)
{
	return bus->now_ns;
}

void bus_inject(struct bus *bus, uint32_t sender, const void *bytes, size_t size_bytes)
{
	struct node *node = &bus->nodes[sender];

	list_append(&node->outbox, &item_new(ITEM_MESSAGE, sender, bytes, size_bytes)->siblings);
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
	return bus_write_cb(bus, id, key, expected, value, on_done, ret_outcome);
}

int bus_write_cb(struct bus *bus, uint32_t id, const char *key, uint64_t expected,
	const char *value, rs_done_fn done, void *data)
{
	return rs_write(bus->nodes[id].rs, key, expected, value, value ? strlen(value) : 0, done,
		data, bus->now_ns);
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

uint64_t bus_disk_version(const struct bus *bus, uint32_t id, const char *key)
{
	const struct store_entry *entry = store_find(bus->nodes[id].disk.store, key);

	return entry ? entry->version : 0;
}

uint64_t bus_n_changes(const struct bus *bus, uint32_t id)
{
	return bus->nodes[id].n_changes;
}
