/* SPDX-License-Identifier: MIT
 *
 * MAC leases. Two records make one:
 *
 *   mac/00:15:5d:12:34:56    {"owner": "vm/VM1/nic0", "static": true}  whose the address is
 *   maclease/vm/VM1/nic0     {"mac": "00:15:5d:12:34:56"}              where to look for it
 *
 * The first is the truth, and exists once for an address because it is created with "must not
 * exist". The second is a hint: without it, or when it is wrong, the owner's address is found or
 * claimed anew, so that whoever dies between the two writes leaves nothing that the next request
 * does not mend.
 *
 * A request is a loop: look at the store, do the next write that is missing, look again. It ends by
 * writing the hint, even if that says the same already: then the lease is known to all members.
 */
#include "cluster/macrange.h"

#include <stdio.h>
#include <string.h>

#define MAC_PREFIX   "mac/"
#define LEASE_PREFIX "maclease/"
#define MAX_ATTEMPTS 64

struct request {
	struct cluster *cluster;
	char owner[CLUSTER_KEY_MAX_LEN + 1];
	char node[CLUSTER_NAME_MAX_LEN + 1]; /* whose range is preferred */
	char wanted[MAC_TEXT_LEN + 1];       /* "" for any */
	char mac[MAC_TEXT_LEN + 1];          /* being claimed */
	char claimed[MAC_TEXT_LEN + 1];      /* "" until this request created a record */
	char former[MAC_TEXT_LEN + 1];       /* what the lease was before, "" if the same or none */
	unsigned n_attempts;
	cluster_mac_fn done;
	void *data;
};

static void advance(struct request *request);

/* To lower case with colons. Unicast only, and not zero. */
static int normalise(const char *text, char ret_mac[MAC_TEXT_LEN + 1])
{
	uint64_t mac;
	int r = mac_parse(text, &mac);

	if (r < 0)
		return r;
	mac_text(mac, ret_mac);
	return 0;
}

/* The owner of an address, NULL for none. */
static const char *find_owner(const struct cluster *cluster, const char *mac, uint64_t *ret_version)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct json *record;

	snprintf(key, sizeof(key), MAC_PREFIX "%s", mac);
	if (cluster_get(cluster, key, &record, ret_version) < 0)
		return NULL;
	return json_get_string(record, "owner", "");
}

static bool is_owned_by(const struct cluster *cluster, const char *mac, const char *owner)
{
	const char *present = find_owner(cluster, mac, NULL);

	return present && strcmp(present, owner) == 0;
}

/* What the hint says, "" for nothing sensible; its version goes to *ret_version, 0 without one. */
static void read_hint(const struct cluster *cluster, const char *owner,
	char ret_mac[MAC_TEXT_LEN + 1], uint64_t *ret_version)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct json *record;

	ret_mac[0] = '\0';
	*ret_version = 0;
	snprintf(key, sizeof(key), LEASE_PREFIX "%s", owner);
	if (cluster_get(cluster, key, &record, ret_version) == 0 &&
		normalise(json_get_string(record, "mac", ""), ret_mac) < 0)
		ret_mac[0] = '\0';
}

static int write_text(struct cluster *cluster, const char *prefix, const char *name,
	uint64_t expected, const char *field, const char *text, bool is_static,
	cluster_done_fn done, void *data)
{
	_cleanup_json_ struct json *record = json_object_new();
	char key[CLUSTER_KEY_MAX_LEN + 1];
	int r;

	if (!record)
		return -ENOMEM;
	r = json_set_string(record, field, text);
	if (r == 0 && is_static)
		r = json_set_bool(record, "static", true);
	if (r < 0)
		return r;
	snprintf(key, sizeof(key), "%s%s", prefix, name);
	return cluster_cas(cluster, key, expected, json_ref(record), done, data);
}

/* Give an address back, if it is (still) that owner's. */
static int drop_mac(struct cluster *cluster, const char *mac, const char *owner)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	uint64_t version;

	if (!is_owned_by(cluster, mac, owner))
		return 0;
	find_owner(cluster, mac, &version);
	snprintf(key, sizeof(key), MAC_PREFIX "%s", mac);
	return cluster_cas(cluster, key, version, NULL, NULL, NULL);
}

static void finish(struct request *request, int error)
{
	/* What was claimed on the way and is not what came out. */
	if (request->claimed[0] && (error < 0 || strcmp(request->claimed, request->mac) != 0))
		drop_mac(request->cluster, request->claimed, request->owner);
	if (request->former[0] && error == 0)
		drop_mac(request->cluster, request->former, request->owner);
	request->done(error, error < 0 ? NULL : request->mac, request->data);
	free(request);
}

static void on_claimed(int error, uint64_t version, void *data)
{
	struct request *request = data;

	(void)version;
	if (error == 0)
		memcpy(request->claimed, request->mac, sizeof(request->claimed));
	if (error == 0 || error == -ESTALE)
		advance(request);
	else
		finish(request, error);
}

static void on_hinted(int error, uint64_t version, void *data)
{
	struct request *request = data;

	(void)version;
	/* Somebody else asked for the same owner at the same time; what they got is what we get. */
	if (error == -ESTALE)
		advance(request);
	else
		finish(request, error);
}

/* What is in use, while an address is chosen. */
struct usage {
	const char *owner;
	struct mac_range range;
	uint64_t n_in_range;
	char own[MAC_TEXT_LEN + 1]; /* an address of the owner's whose hint was lost */
};

static int count_use(
	const char *key, const struct json *value, uint64_t version _unused_, void *data)
{
	struct usage *usage = data;
	uint64_t mac;

	if (mac_parse(key + strlen(MAC_PREFIX), &mac) < 0)
		return 0;
	usage->n_in_range += mac_range_has(&usage->range, mac);
	if (strcmp(json_get_string(value, "owner", ""), usage->owner) == 0)
		mac_text(mac, usage->own);
	return 0;
}

/* The range of a node that has this address, other than the preferred one. */
static const struct mac_range *find_foreign(
	const struct mac_pools *pools, const char *node, uint64_t mac)
{
	for (size_t i = 0; i < pools->n_nodes; i++) {
		if (strcmp(pools->nodes[i].name, node) != 0 &&
			mac_range_has(&pools->nodes[i].range, mac))
			return &pools->nodes[i].range;
	}
	return NULL;
}

/* The first free address behind the owner's place in the range. As many steps as addresses are in
 * use find one, if there is one. */
static int choose_from_range(
	struct request *request, const struct mac_range *range, const struct mac_pools *avoid)
{
	struct usage usage = {.owner = request->owner, .range = *range};
	uint64_t size = mac_range_size(range), place = 2166136261U, n_left, at;

	(void)cluster_for_each(request->cluster, MAC_PREFIX, count_use, &usage);
	if (usage.n_in_range >= size)
		return -ENOSPC;
	for (const char *c = request->owner; *c; c++)
		place = (uint32_t)((place ^ (uint8_t)*c) * 16777619U);
	at = place % size;
	n_left = MIN(size, usage.n_in_range + 1 + (avoid ? CLUSTER_MAX_NODES + 1 : 0));
	for (; n_left > 0; n_left--) {
		const struct mac_range *foreign =
			avoid ? find_foreign(avoid, request->node, range->first + at) : NULL;

		if (foreign) {
			at = (foreign->last + 1 - range->first) % size;
			continue;
		}
		mac_text(range->first + at, request->mac);
		if (!find_owner(request->cluster, request->mac, NULL))
			return 0;
		at = (at + 1) % size;
	}
	return -ENOSPC;
}

static const char *address_of(const struct cluster *cluster, const char *node, char text[64])
{
	struct cluster_node found;

	if (cluster_find_node(cluster, node, &found) < 0 || !found.ring_addr[0][0])
		return node;
	snprintf(text, 64, "%s", found.ring_addr[0]);
	return text;
}

/* The node's own range first, then what no node prefers, then anything. */
static int choose_from_pools(struct request *request)
{
	struct mac_pools pools;
	struct mac_range range;
	char address[64];
	int r;

	mac_pools_read(request->cluster, &pools);
	r = mac_pools_node_range(&pools, request->node,
		address_of(request->cluster, request->node, address), &range);
	if (r == 0)
		r = choose_from_range(request, &range, NULL);
	for (size_t i = 0; r == -ENOSPC && i < 2 * pools.n_pools; i++)
		r = choose_from_range(request, &pools.pools[i % pools.n_pools].range,
			i < pools.n_pools ? &pools : NULL);
	return r;
}

/* Whoever died before the hint was written left an address that is the owner's. */
static bool find_own(struct request *request)
{
	struct usage usage = {.owner = request->owner};

	(void)cluster_for_each(request->cluster, MAC_PREFIX, count_use, &usage);
	memcpy(request->mac, usage.own, sizeof(request->mac));
	return usage.own[0];
}

static int choose(struct request *request, const char *hint)
{
	const char *owner;

	if (request->wanted[0]) {
		memcpy(request->mac, request->wanted, sizeof(request->mac));
		owner = find_owner(request->cluster, request->mac, NULL);
		return owner && strcmp(owner, request->owner) != 0 ? -EADDRINUSE : 0;
	}
	if (hint[0]) {
		owner = find_owner(request->cluster, hint, NULL);
		memcpy(request->mac, hint, sizeof(request->mac));
		if (!owner || strcmp(owner, request->owner) == 0)
			return 0;
	}
	return find_own(request) ? 0 : choose_from_pools(request);
}

static int next_write(struct request *request)
{
	char hint[MAC_TEXT_LEN + 1];
	uint64_t version;
	int r;

	if (request->n_attempts++ == MAX_ATTEMPTS)
		return -EBUSY;
	read_hint(request->cluster, request->owner, hint, &version);
	r = choose(request, hint);
	if (r < 0)
		return r;
	if (!is_owned_by(request->cluster, request->mac, request->owner))
		return write_text(request->cluster, MAC_PREFIX, request->mac, 0, "owner",
			request->owner, request->wanted[0], on_claimed, request);
	memcpy(request->former, hint, sizeof(request->former));
	if (strcmp(hint, request->mac) == 0)
		request->former[0] = '\0';
	return write_text(request->cluster, LEASE_PREFIX, request->owner, version, "mac",
		request->mac, false, on_hinted, request);
}

static void advance(struct request *request)
{
	int r = next_write(request);

	if (r < 0)
		finish(request, r);
}

static bool owner_is_valid(const char *owner)
{
	return owner[0] && strlen(owner) <= CLUSTER_KEY_MAX_LEN - strlen(LEASE_PREFIX);
}

int cluster_mac_lease(struct cluster *cluster, const char *owner, const char *wanted,
	cluster_mac_fn done, void *data)
{
	return cluster_mac_lease_at(
		cluster, owner, wanted, cluster_local_name(cluster), done, data);
}

int cluster_mac_lease_at(struct cluster *cluster, const char *owner, const char *wanted,
	const char *node, cluster_mac_fn done, void *data)
{
	struct request *request;
	int r;

	if (!owner_is_valid(owner))
		return -EINVAL;
	request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	request->cluster = cluster;
	request->done = done;
	request->data = data;
	snprintf(request->owner, sizeof(request->owner), "%s", owner);
	snprintf(request->node, sizeof(request->node), "%s", node);
	r = wanted ? normalise(wanted, request->wanted) : 0;
	if (r == 0)
		r = next_write(request);
	if (r < 0)
		free(request);
	return r;
}

int cluster_mac_release(struct cluster *cluster, const char *owner)
{
	char key[CLUSTER_KEY_MAX_LEN + 1], mac[MAC_TEXT_LEN + 1];
	uint64_t version;
	int r;

	if (!owner_is_valid(owner))
		return -EINVAL;
	read_hint(cluster, owner, mac, &version);
	if (version == 0)
		return -ENOENT;
	r = mac[0] ? drop_mac(cluster, mac, owner) : 0;
	if (r < 0)
		return r;
	snprintf(key, sizeof(key), LEASE_PREFIX "%s", owner);
	return cluster_cas(cluster, key, version, NULL, NULL, NULL);
}
