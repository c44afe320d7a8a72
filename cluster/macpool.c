/* SPDX-License-Identifier: MIT
 *
 * MAC leases. Two records make one:
 *
 *   mac/00:15:5d:12:34:56    {"owner": "vm/VM1/nic0"}     whose the address is
 *   maclease/vm/VM1/nic0     {"mac": "00:15:5d:12:34:56"} where to look for it
 *
 * The first is the truth, and exists once for an address because it is created with "must not
 * exist". The second is a hint: without it, or when it is wrong, the owner's address is found or
 * claimed anew, so that whoever dies between the two writes leaves nothing that the next request
 * does not mend.
 *
 * A request is a loop: look at the store, do the next write that is missing, look again. It ends by
 * writing the hint, even if that says the same already: then the lease is known to all members.
 */
#include "cluster/cluster.h"

#include <stdio.h>
#include <string.h>

#define MAC_TEXT_LEN 17
#define MAC_PREFIX   "mac/"
#define LEASE_PREFIX "maclease/"
#define POOL_PREFIX  "00:15:5d:"
#define POOL_SIZE    (1U << 24)
#define MAX_ATTEMPTS 64

struct request {
	struct cluster *cluster;
	char owner[CLUSTER_KEY_MAX_LEN + 1];
	char wanted[MAC_TEXT_LEN + 1];  /* "" for any */
	char mac[MAC_TEXT_LEN + 1];     /* being claimed */
	char claimed[MAC_TEXT_LEN + 1]; /* "" until this request created a record */
	char former[MAC_TEXT_LEN + 1];  /* what the lease was before, "" if the same or none */
	unsigned n_attempts;
	cluster_mac_fn done;
	void *data;
};

static void advance(struct request *request);

/* To lower case with colons. Unicast only, and not zero. */
static int normalise(const char *text, char ret_mac[MAC_TEXT_LEN + 1])
{
	unsigned o[6];
	int end = 0;

	if (strlen(text) != MAC_TEXT_LEN)
		return -EINVAL;
	if (sscanf(text, "%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%n", &o[0], &o[1],
		    &o[2], &o[3], &o[4], &o[5], &end) != 6 ||
		end != MAC_TEXT_LEN)
		return -EINVAL;
	if ((o[0] & 1) || !(o[0] | o[1] | o[2] | o[3] | o[4] | o[5]))
		return -EINVAL;
	snprintf(ret_mac, MAC_TEXT_LEN + 1, "%02x:%02x:%02x:%02x:%02x:%02x", o[0], o[1], o[2], o[3],
		o[4], o[5]);
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
	uint64_t expected, const char *field, const char *text, cluster_done_fn done, void *data)
{
	_cleanup_json_ struct json *record = json_object_new();
	char key[CLUSTER_KEY_MAX_LEN + 1];
	int r;

	if (!record)
		return -ENOMEM;
	r = json_set_string(record, field, text);
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

/* The first address behind the owner's place in the pool that is free or the owner's already. */
static int choose_from_pool(struct request *request)
{
	uint32_t place = 2166136261U;

	for (const char *c = request->owner; *c; c++)
		place = (place ^ (uint8_t)*c) * 16777619U;
	for (uint32_t i = 0; i < POOL_SIZE; i++) {
		uint32_t low = (place + i) % POOL_SIZE;

		snprintf(request->mac, sizeof(request->mac), POOL_PREFIX "%02x:%02x:%02x",
			low >> 16 & 0xff, low >> 8 & 0xff, low & 0xff);
		if (!find_owner(request->cluster, request->mac, NULL) ||
			is_owned_by(request->cluster, request->mac, request->owner))
			return 0;
	}
	return -ENOSPC;
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
	return choose_from_pool(request);
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
			request->owner, on_claimed, request);
	memcpy(request->former, hint, sizeof(request->former));
	if (strcmp(hint, request->mac) == 0)
		request->former[0] = '\0';
	return write_text(request->cluster, LEASE_PREFIX, request->owner, version, "mac",
		request->mac, on_hinted, request);
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
