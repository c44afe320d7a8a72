/* SPDX-License-Identifier: MIT */
#include "fabric/fdb.h"
#include "base/list.h"

#include <string.h>

#define N_BUCKETS 4096

struct node {
	struct list in_bucket;
	struct list in_port; /* learned: the port's, oldest first; free ones in fdb->unused */
	uint64_t key;
	uint64_t seen_ns;
	uint16_t port;
	bool pinned;
};

struct port_entries {
	struct list learned;
	unsigned n_learned;
	struct node pin; /* in use when pin.pinned */
};

struct fdb {
	struct list buckets[N_BUCKETS];
	struct port_entries ports[FDB_MAX_PORTS];
	struct list unused;
	uint64_t seed;
	unsigned n_learned, max_learned;
	struct node statics[FDB_MAX_STATIC]; /* in use when pinned */
	unsigned n_statics;                  /* the last one in use, and those before it */
	struct node nodes[];
};

static uint64_t make_key(unsigned vid, const uint8_t mac[ETH_ADDR_LEN])
{
	uint64_t key = vid;

	for (unsigned i = 0; i < ETH_ADDR_LEN; i++)
		key = key << 8 | mac[i];
	return key;
}

static struct list *bucket_of(const struct fdb *fdb, uint64_t key)
{
	uint64_t h = key ^ fdb->seed;

	/* The finaliser of MurmurHash3: every bit of the key reaches every bit of the hash. */
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 33;
	return (struct list *)&fdb->buckets[h % N_BUCKETS];
}

static struct node *find(const struct fdb *fdb, uint64_t key)
{
	struct list *bucket = bucket_of(fdb, key);
	struct node *node;

	list_for_each(node, bucket, in_bucket) {
		if (node->key == key)
			return node;
	}
	return NULL;
}

static bool is_static(const struct fdb *fdb, const struct node *node)
{
	return node >= fdb->statics && node < fdb->statics + FDB_MAX_STATIC;
}

static bool is_old(const struct node *node, uint64_t now_ns)
{
	return !node->pinned && now_ns >= node->seen_ns + FDB_AGE_NS;
}

int fdb_new(unsigned max_learned, uint64_t seed, struct fdb **ret_fdb)
{
	struct fdb *fdb;

	if (max_learned == 0)
		return -EINVAL;
	fdb = calloc(1, sizeof(*fdb) + max_learned * sizeof(fdb->nodes[0]));
	if (!fdb)
		return -ENOMEM;
	fdb->seed = seed;
	fdb->max_learned = max_learned;
	list_init(&fdb->unused);
	for (unsigned i = 0; i < N_BUCKETS; i++)
		list_init(&fdb->buckets[i]);
	for (unsigned i = 0; i < FDB_MAX_PORTS; i++)
		list_init(&fdb->ports[i].learned);
	for (unsigned i = 0; i < max_learned; i++)
		list_append(&fdb->unused, &fdb->nodes[i].in_port);
	*ret_fdb = fdb;
	return 0;
}

void fdb_free(struct fdb *fdb)
{
	free(fdb);
}

int fdb_lookup(
	const struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], uint64_t now_ns)
{
	const struct node *node = find(fdb, make_key(vid, mac));

	return node && !is_old(node, now_ns) ? node->port : -ENOENT;
}

enum fdb_source fdb_source(const struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN],
	unsigned port, uint64_t now_ns, unsigned *ret_owner)
{
	const struct node *node = find(fdb, make_key(vid, mac));

	if (node && node->pinned) {
		*ret_owner = node->port;
		return FDB_PINNED;
	}
	/* Now may be a moment before then: each thread has a clock reading of its own. */
	if (node && node->port == port && now_ns < node->seen_ns + FDB_REFRESH_NS)
		return FDB_KNOWN;
	return FDB_NEWS;
}

static void forget(struct fdb *fdb, struct node *node)
{
	list_remove(&node->in_bucket);
	list_remove(&node->in_port);
	list_append(&fdb->unused, &node->in_port);
	fdb->ports[node->port].n_learned--;
	fdb->n_learned--;
}

static void evict_one(struct fdb *fdb)
{
	struct port_entries *largest = &fdb->ports[0];

	for (unsigned i = 1; i < FDB_MAX_PORTS; i++) {
		if (fdb->ports[i].n_learned > largest->n_learned)
			largest = &fdb->ports[i];
	}
	forget(fdb, list_entry(largest->learned.next, struct node, in_port));
}

void fdb_learn(struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], unsigned port,
	uint64_t now_ns)
{
	uint64_t key = make_key(vid, mac);
	struct node *node = find(fdb, key);

	if (node && node->pinned)
		return;
	if (node) {
		fdb->ports[node->port].n_learned--;
		list_remove(&node->in_port);
	} else {
		if (fdb->n_learned == fdb->max_learned)
			fdb_age(fdb, now_ns);
		if (fdb->n_learned == fdb->max_learned)
			evict_one(fdb);
		node = list_pop(&fdb->unused, struct node, in_port);
		node->key = key;
		list_append(bucket_of(fdb, key), &node->in_bucket);
		fdb->n_learned++;
	}
	node->port = (uint16_t)port;
	node->seen_ns = now_ns;
	list_append(&fdb->ports[port].learned, &node->in_port);
	fdb->ports[port].n_learned++;
}

static bool is_same(uint64_t key, uint64_t other, bool any_vlan)
{
	const uint64_t address = (1ULL << 48) - 1;

	return any_vlan ? (key & address) == (other & address) : key == other;
}

/* Forget what was learned under `key`, or under its address in any VLAN. */
static void forget_learned(struct fdb *fdb, uint64_t key, bool any_vlan)
{
	struct node *node, *after;

	for (unsigned port = 0; port < FDB_MAX_PORTS; port++) {
		list_for_each_safe(node, after, &fdb->ports[port].learned, in_port) {
			if (is_same(node->key, key, any_vlan))
				forget(fdb, node);
		}
	}
}

static void drop_static(struct node *node)
{
	list_remove(&node->in_bucket);
	node->pinned = false;
}

int fdb_pin(struct fdb *fdb, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], unsigned port)
{
	struct node *pin = &fdb->ports[port].pin;
	uint64_t key = make_key(vid, mac);
	const struct node *other = find(fdb, key);

	if (pin->pinned)
		return -EBUSY;
	if (other && other->pinned && !is_static(fdb, other))
		return -EADDRINUSE;
	forget_learned(fdb, key, vid == FDB_ANY_VLAN);
	for (unsigned i = 0; i < fdb->n_statics; i++) {
		if (fdb->statics[i].pinned &&
			is_same(fdb->statics[i].key, key, vid == FDB_ANY_VLAN))
			drop_static(&fdb->statics[i]);
	}
	*pin = (struct node){.key = key, .port = (uint16_t)port, .pinned = true};
	list_append(bucket_of(fdb, key), &pin->in_bucket);
	return 0;
}

void fdb_set_static(
	struct fdb *fdb, const struct fdb_static *entries, unsigned n_entries, unsigned port)
{
	for (unsigned i = 0; i < fdb->n_statics; i++) {
		if (fdb->statics[i].pinned)
			drop_static(&fdb->statics[i]);
	}
	fdb->n_statics = MIN(n_entries, FDB_MAX_STATIC);
	for (unsigned i = 0; i < fdb->n_statics; i++) {
		struct node *node = &fdb->statics[i];
		uint64_t key = make_key(entries[i].vid, entries[i].mac);
		struct node *other = find(fdb, key);

		if ((other && other->pinned) || find(fdb, make_key(FDB_ANY_VLAN, entries[i].mac)))
			continue;
		if (other)
			forget(fdb, other);
		*node = (struct node){.key = key, .port = (uint16_t)port, .pinned = true};
		list_append(bucket_of(fdb, key), &node->in_bucket);
	}
}

void fdb_forget_port(struct fdb *fdb, unsigned port)
{
	struct port_entries *entries = &fdb->ports[port];

	while (!list_empty(&entries->learned))
		forget(fdb, list_entry(entries->learned.next, struct node, in_port));
	if (entries->pin.pinned) {
		list_remove(&entries->pin.in_bucket);
		entries->pin.pinned = false;
	}
	for (unsigned i = 0; i < fdb->n_statics; i++) {
		if (fdb->statics[i].pinned && fdb->statics[i].port == port)
			drop_static(&fdb->statics[i]);
	}
}

void fdb_age(struct fdb *fdb, uint64_t now_ns)
{
	struct node *node, *after;

	for (unsigned port = 0; port < FDB_MAX_PORTS; port++) {
		/* Oldest first: the first young one ends it. */
		list_for_each_safe(node, after, &fdb->ports[port].learned, in_port) {
			if (!is_old(node, now_ns))
				break;
			forget(fdb, node);
		}
	}
}

unsigned fdb_n_learned(const struct fdb *fdb)
{
	return fdb->n_learned;
}

static bool visit(const struct node *node, uint64_t now_ns, fdb_visit_fn fn, void *data)
{
	struct fdb_entry entry = {
		.vid = (uint16_t)(node->key >> 48),
		.port = node->port,
		.pinned = node->pinned,
		.age_ns = node->pinned ? 0 : now_ns - node->seen_ns,
	};

	for (unsigned i = 0; i < ETH_ADDR_LEN; i++)
		entry.mac[i] = (uint8_t)(node->key >> (8 * (ETH_ADDR_LEN - 1 - i)));
	return fn(&entry, data);
}

void fdb_for_each(const struct fdb *fdb, uint64_t now_ns, fdb_visit_fn fn, void *data)
{
	for (unsigned port = 0; port < FDB_MAX_PORTS; port++) {
		const struct port_entries *entries = &fdb->ports[port];
		const struct node *node;

		if (entries->pin.pinned && !visit(&entries->pin, now_ns, fn, data))
			return;
		list_for_each(node, &entries->learned, in_port) {
			if (!is_old(node, now_ns) && !visit(node, now_ns, fn, data))
				return;
		}
	}
	for (unsigned i = 0; i < fdb->n_statics; i++) {
		if (fdb->statics[i].pinned && !visit(&fdb->statics[i], now_ns, fn, data))
			return;
	}
}
