/* SPDX-License-Identifier: MIT
 *
 * Owner records: {node, epoch} under "owner/OBJECT".
 */
#include "cluster/cluster.h"

#include <stdio.h>
#include <string.h>

#define OWNER_PREFIX "owner/"

static int make_key(const char *object, char ret_key[CLUSTER_KEY_MAX_LEN + 1])
{
	if (!object[0] || strlen(object) > CLUSTER_KEY_MAX_LEN - strlen(OWNER_PREFIX))
		return -EINVAL;
	snprintf(ret_key, CLUSTER_KEY_MAX_LEN + 1, OWNER_PREFIX "%s", object);
	return 0;
}

int cluster_owner_get(
	const struct cluster *cluster, const char *object, struct cluster_owner *ret_owner)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct json *record;
	int64_t node_id, epoch;
	uint64_t version;
	int r;

	r = make_key(object, key);
	if (r < 0)
		return r;
	r = cluster_get(cluster, key, &record, &version);
	if (r == -ENOENT) {
		*ret_owner = (struct cluster_owner){};
		return 0;
	}
	if (r < 0)
		return r;
	node_id = json_get_int(record, "node", -1);
	epoch = json_get_int(record, "epoch", -1);
	if (node_id < 0 || node_id > UINT32_MAX || epoch < 1)
		return -EBADMSG;
	*ret_owner = (struct cluster_owner){
		.node_id = (uint32_t)node_id,
		.epoch = (uint64_t)epoch,
		.version = version,
	};
	return 0;
}

/* The version is what counts; that the rest does not belong to it is a mistake of the caller. */
static bool contradicts(
	const struct cluster *cluster, const char *object, const struct cluster_owner *expected)
{
	struct cluster_owner now;

	return cluster_owner_get(cluster, object, &now) == 0 && now.version == expected->version &&
	       (now.node_id != expected->node_id || now.epoch != expected->epoch);
}

int cluster_owner_cas(struct cluster *cluster, const char *object,
	const struct cluster_owner *expected, uint32_t node_id, cluster_done_fn done, void *data)
{
	_cleanup_json_ struct json *record = json_object_new();
	char key[CLUSTER_KEY_MAX_LEN + 1];
	int r;

	r = make_key(object, key);
	if (r < 0)
		return r;
	if (expected->version == CLUSTER_ANY_VERSION || expected->epoch >= INT64_MAX ||
		contradicts(cluster, object, expected))
		return -EINVAL;
	if (!record)
		return -ENOMEM;
	r = json_set_int(record, "node", node_id);
	if (r == 0)
		r = json_set_int(record, "epoch", (int64_t)expected->epoch + 1);
	if (r < 0)
		return r;
	return cluster_cas(cluster, key, expected->version, json_ref(record), done, data);
}
