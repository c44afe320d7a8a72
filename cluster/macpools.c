/* SPDX-License-Identifier: MIT
 *
 * The pools that MACs are leased from: what there is, and changes by people. A change is checked
 * against the leases that are there; one that is made in the same moment may end up outside of all
 * pools, where it is as unique as any other.
 */
#include "cluster/macrange.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAC_PREFIX   "mac/"
#define POOL_PREFIX  "macpool/"
#define RANGE_PREFIX "macrange/"
#define MAX_HOLDERS  3

const char *cluster_mac_owner(const struct cluster *cluster, const char *mac)
{
	char key[sizeof(MAC_PREFIX) + MAC_TEXT_LEN], text[MAC_TEXT_LEN + 1];
	const struct json *record;
	uint64_t value;

	if (mac_parse(mac, &value) < 0)
		return NULL;
	mac_text(value, text);
	snprintf(key, sizeof(key), MAC_PREFIX "%s", text);
	if (cluster_get(cluster, key, &record, NULL) < 0)
		return NULL;
	return json_get_string(record, "owner", "");
}

/* ---- what there is ---- */

struct listing {
	struct cluster_mac_pool *pools;
	size_t n;
};

static void add(struct listing *listing, size_t max, const struct mac_pool *pool, bool is_node)
{
	struct cluster_mac_pool *out = &listing->pools[listing->n];

	if (listing->n == max)
		return;
	*out = (struct cluster_mac_pool){
		.is_node = is_node, .is_set = pool->is_set, .size = mac_range_size(&pool->range)};
	snprintf(out->name, sizeof(out->name), "%s", pool->name);
	mac_text(pool->range.first, out->first);
	mac_text(pool->range.last, out->last);
	listing->n++;
}

static int count_use(
	const char *key, const struct json *value _unused_, uint64_t version _unused_, void *data)
{
	const char *mac = key + strlen(MAC_PREFIX);
	struct listing *listing = data;

	for (size_t i = 0; i < listing->n; i++) {
		struct cluster_mac_pool *pool = &listing->pools[i];

		pool->used += strcmp(mac, pool->first) >= 0 && strcmp(mac, pool->last) <= 0;
	}
	return 0;
}

size_t cluster_mac_pools(
	const struct cluster *cluster, struct cluster_mac_pool *ret_pools, size_t max)
{
	struct listing listing = {.pools = ret_pools};
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nodes = cluster_nodes(cluster, nodes, CLUSTER_MAX_NODES);
	struct mac_pools pools;

	mac_pools_read(cluster, &pools);
	for (size_t i = 0; i < pools.n_pools; i++)
		add(&listing, max, &pools.pools[i], false);
	for (size_t i = 0; i < n_nodes; i++) {
		for (size_t k = 0; k < pools.n_nodes; k++) {
			if (strcmp(pools.nodes[k].name, nodes[i].name) == 0)
				add(&listing, max, &pools.nodes[k], true);
		}
	}
	(void)cluster_for_each(cluster, MAC_PREFIX, count_use, &listing);
	return listing.n;
}

/* ---- changes ---- */

struct change {
	struct cluster *cluster;
	enum cluster_mac_change what;
	const char *name;
	bool has_range;
	struct mac_range range;
	struct mac_pools before, after;
	char *error;
	size_t error_size_bytes;
};

static int refuse(struct change *change, int error, const char *format, ...) _printf_(3, 4);
static int refuse(struct change *change, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(change->error, change->error_size_bytes, format, args);
	va_end(args);
	return error;
}

static bool name_is_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t len = strlen(name);

	return len >= 1 && len <= CLUSTER_NAME_MAX_LEN && strspn(name, allowed) == len &&
	       !strchr("-_.", name[0]);
}

static int parse_range(struct change *change, const char *first, const char *last)
{
	const char *why;

	if (!first && !last)
		return 0;
	if (!first || !last)
		return refuse(change, -EINVAL, "a range needs its first and its last address");
	for (unsigned i = 0; i < 2; i++) {
		const char *text = i == 0 ? first : last;
		uint64_t *mac = i == 0 ? &change->range.first : &change->range.last;

		/* Group addresses are told apart from nonsense. */
		if (mac_parse(text, mac) == 0)
			continue;
		if (strlen(text) >= 2 && strchr("13579bdfBDF", text[1]))
			return refuse(change, -EINVAL,
				"%.20s is an address of a group (multicast), which no adapter can "
				"have",
				text);
		return refuse(change, -EINVAL,
			"'%.20s' is no MAC address; give one like 00:15:5d:01:00:00", text);
	}
	why = mac_range_error(&change->range);
	if (why)
		return refuse(change, -EINVAL, "the range %s", why);
	change->has_range = true;
	return 0;
}

static size_t find_pool(const struct mac_pools *pools, const char *name)
{
	size_t at = 0;

	while (at < pools->n_pools && strcmp(pools->pools[at].name, name) != 0)
		at++;
	return at;
}

static int check_overlap(
	struct change *change, const struct mac_pool *others, size_t n, const char *kind)
{
	for (size_t i = 0; i < n; i++) {
		char first[MAC_TEXT_LEN + 1], last[MAC_TEXT_LEN + 1];

		if (strcmp(others[i].name, change->name) == 0 ||
			!mac_range_overlaps(&others[i].range, &change->range))
			continue;
		mac_text(others[i].range.first, first);
		mac_text(others[i].range.last, last);
		return refuse(change, -EEXIST, "it overlaps %s %s, %s to %s", kind, others[i].name,
			first, last);
	}
	return 0;
}

struct holders {
	const struct change *change;
	size_t n;
	char text[256];
};

/* Dynamic leases that would be in no pool any more. */
static int find_holder(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct holders *holders = data;
	const struct change *change = holders->change;
	size_t len = strlen(holders->text);
	uint64_t mac;

	if (mac_parse(key + strlen(MAC_PREFIX), &mac) < 0 ||
		json_get_bool(value, "static", false) || !mac_pools_find(&change->before, mac) ||
		mac_pools_find(&change->after, mac))
		return 0;
	if (holders->n++ < MAX_HOLDERS)
		snprintf(holders->text + len, sizeof(holders->text) - len, "%s%s (%.60s)",
			len ? ", " : "", key + strlen(MAC_PREFIX),
			json_get_string(value, "owner", "?"));
	return 0;
}

static int check_holders(struct change *change)
{
	struct holders holders = {.change = change};
	char more[48] = "";

	(void)cluster_for_each(change->cluster, MAC_PREFIX, find_holder, &holders);
	if (holders.n == 0)
		return 0;
	if (holders.n > MAX_HOLDERS)
		snprintf(more, sizeof(more), " and %zu more", holders.n - MAX_HOLDERS);
	return refuse(change, -EBUSY,
		"%zu address%s of pool %s would be in no pool any more: %s%s; remove these "
		"adapters first",
		holders.n, holders.n == 1 ? "" : "es", change->name, holders.text, more);
}

static int check_pool(struct change *change)
{
	size_t at = find_pool(&change->before, change->name);
	bool exists = at < change->before.n_pools;
	int r;

	if (!name_is_valid(change->name))
		return refuse(change, -EINVAL,
			"a pool's name is 1 to %d letters, digits, '-', '_' or '.'",
			CLUSTER_NAME_MAX_LEN);
	if (change->what != CLUSTER_MAC_POOL_REMOVE && !change->has_range)
		return refuse(change, -EINVAL, "a range needs its first and its last address");
	if (change->what == CLUSTER_MAC_POOL_ADD && exists)
		return refuse(change, -EEXIST, "there is a pool %s already", change->name);
	if (change->what != CLUSTER_MAC_POOL_ADD && !exists)
		return refuse(change, -ENOENT,
			"there is no pool '%.63s'; see 'viaduct mac pool list'", change->name);
	if (change->what == CLUSTER_MAC_POOL_ADD && change->before.n_pools == MAC_MAX_POOLS)
		return refuse(change, -EEXIST, "there are %d pools, and more are not possible",
			MAC_MAX_POOLS);
	if (change->what == CLUSTER_MAC_POOL_REMOVE && change->before.n_pools == 1)
		return refuse(change, -EBUSY,
			"it is the last pool, and without one no adapter could get an address; add "
			"another first");
	if (change->what == CLUSTER_MAC_POOL_REMOVE) {
		change->after.pools[at] = change->after.pools[--change->after.n_pools];
	} else {
		r = check_overlap(change, change->before.pools, change->before.n_pools, "pool");
		if (r < 0)
			return r;
		if (!exists)
			at = change->after.n_pools++;
		change->after.pools[at].range = change->range;
	}
	return check_holders(change);
}

static int check_node(struct change *change)
{
	const struct mac_pool *pool = mac_pools_find(&change->before, change->range.first);
	struct cluster_node node;

	if (cluster_find_node(change->cluster, change->name, &node) < 0)
		return refuse(change, -ENOENT, "there is no node '%.63s'", change->name);
	if (!change->has_range)
		return 0;
	if (!pool || !mac_range_has(&pool->range, change->range.last))
		return refuse(change, -EINVAL,
			"the range of a node lies within one of the cluster's pools; add a pool "
			"first, or see 'viaduct mac pool list'");
	return check_overlap(
		change, change->before.nodes, change->before.n_nodes, "the range of node");
}

static struct json *range_json(const struct mac_range *range, bool is_set)
{
	struct json *record = json_object_new();
	char text[MAC_TEXT_LEN + 1];

	mac_text(range->first, text);
	json_set_string(record, "first", text);
	mac_text(range->last, text);
	json_set_string(record, "last", text);
	if (is_set)
		json_set_bool(record, "set", true);
	return record;
}

static struct json *record_of(const struct change *change)
{
	struct json *record;

	if (change->has_range)
		return range_json(&change->range, change->what == CLUSTER_MAC_NODE_SET);
	if (change->what != CLUSTER_MAC_POOL_REMOVE || strcmp(change->name, MAC_DEFAULT_POOL) != 0)
		return NULL;
	/* Without a record it would be there. */
	record = json_object_new();
	json_set_bool(record, "off", true);
	return record;
}

int cluster_mac_change(struct cluster *cluster, enum cluster_mac_change what, const char *name,
	const char *first, const char *last, char *error, size_t error_size_bytes,
	cluster_done_fn done, void *data)
{
	struct change change = {.cluster = cluster,
		.what = what,
		.name = name,
		.error = error,
		.error_size_bytes = error_size_bytes};
	char key[CLUSTER_KEY_MAX_LEN + 1];
	uint64_t version = 0;
	struct json *record;
	int r;

	error[0] = '\0';
	mac_pools_read(cluster, &change.before);
	change.after = change.before;
	r = what == CLUSTER_MAC_POOL_REMOVE ? 0 : parse_range(&change, first, last);
	if (r == 0)
		r = what == CLUSTER_MAC_NODE_SET ? check_node(&change) : check_pool(&change);
	if (r < 0)
		return r;
	snprintf(key, sizeof(key), "%s%s",
		what == CLUSTER_MAC_NODE_SET ? RANGE_PREFIX : POOL_PREFIX, name);
	(void)cluster_get(cluster, key, NULL, &version);
	record = record_of(&change);
	return cluster_cas(cluster, key, version, record, done, data);
}

void cluster_mac_publish_range(struct cluster *cluster)
{
	const char *name = cluster_local_name(cluster);
	char key[CLUSTER_KEY_MAX_LEN + 1];
	struct cluster_node self;
	struct mac_pools pools;
	struct mac_range range;
	uint64_t version = 0;

	if (!cluster_is_synced(cluster) || cluster_find_node(cluster, name, &self) < 0)
		return;
	mac_pools_read(cluster, &pools);
	for (size_t i = 0; i < pools.n_nodes; i++) {
		if (strcmp(pools.nodes[i].name, name) == 0)
			return;
	}
	if (mac_pools_node_range(
		    &pools, name, self.ring_addr[0][0] ? self.ring_addr[0] : name, &range) < 0)
		return;
	snprintf(key, sizeof(key), RANGE_PREFIX "%s", name);
	(void)cluster_get(cluster, key, NULL, &version);
	(void)cluster_cas(cluster, key, version, range_json(&range, false), NULL, NULL);
}
