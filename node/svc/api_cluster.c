/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* ---- cluster.status ---- */

static int count_one(
	const char *key _unused_, const struct json *value, uint64_t version _unused_, void *data)
{
	struct json *counts = data;
	const char *node = json_get_string(value, "node", "");

	json_set_int(counts, node, json_get_int(counts, node, 0) + 1);
	return 0;
}

static int count_running(const char *key, const struct json *value, uint64_t version, void *data)
{
	if (strcmp(json_get_string(value, "state", ""), "Off") == 0 ||
		strcmp(json_get_string(value, "state", ""), "Failed") == 0)
		return 0;
	return count_one(key, value, version, data);
}

static struct json *nodes_json(struct svc *svc)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	_cleanup_json_ struct json *vms = json_object_new();
	struct json *list = json_array_new();

	cluster_for_each(svc->cluster, "vmstate/", count_running, vms);
	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();
		bool up = nodes[i].is_member;

		json_set_int(entry, "id", nodes[i].id);
		json_set_string(entry, "name", nodes[i].name);
		json_set_string(entry, "state",
			!up                     ? "Down"
			: !nodes[i].has_service ? "NoService"
			: nodes[i].is_silent    ? "NoAnswer"
			: !nodes[i].is_synced   ? "Joining"
						: "Up");
		json_set_int(entry, "protocol", nodes[i].protocol);
		json_set_string(entry, "address", nodes[i].ring_addr[0]);
		json_set_int(entry, "vms", up ? json_get_int(vms, nodes[i].name, 0) : 0);
		json_append(list, entry);
	}
	return list;
}

void api_cluster_status(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	struct turn_times turn = loop_longest_turn(call->svc->loop);
	struct json *result = json_object_new();
	struct cluster_status status;

	cluster_get_status(cluster, &status);
	json_set_string(result, "node", cluster_local_name(cluster));
	json_set_bool(result, "connected", cluster_is_connected(cluster));
	json_set_bool(result, "quorate", cluster_is_quorate(cluster));
	json_set_bool(result, "synced", cluster_is_synced(cluster));
	json_set_int(result, "expected_votes", status.expected_votes);
	json_set_int(result, "total_votes", status.total_votes);
	json_set_int(result, "quorum_votes", status.quorum_votes);
	json_set_int(result, "nodes_needed", status.nodes_needed);
	json_set_int(result, "generation", (int64_t)status.generation);
	json_set_int(result, "store_version", (int64_t)status.store_version);
	json_set_int(result, "store_keys", (int64_t)status.n_keys);
	json_set_string(result, "digest", status.digest);
	json_set_bool(result, "is_second", status.connect_error == -EADDRINUSE);
	json_set_bool(result, "is_example", status.connect_error == -EADDRNOTAVAIL);
	json_set_int(result, "longest_turn_us", (int64_t)(turn.longest_ns / NS_PER_US));
	json_set_int(result, "longest_turn_own_us", (int64_t)(turn.longest_own_ns / NS_PER_US));
	json_set_string(
		result, "store_error", status.store_error ? strerror(-status.store_error) : "");
	json_set_int(result, "protocol", status.protocol);
	json_set_int(result, "protocol_newest", status.protocol_newest);
	json_set_int(result, "protocol_floor", status.protocol_floor);
	json_set_int(result, "protocol_needed", status.protocol_needed);
	json_set(result, "nodes", nodes_json(call->svc));
	if (call->svc->evicted)
		json_set(result, "evicted", json_copy(call->svc->evicted));
	api_reply(call, result);
}

/* ---- cluster.upgrade ---- */

static void on_upgraded(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail_errno(call, error, "the upgrade is not finished");
		return;
	}
	result = json_object_new();
	json_set_string(result, "note",
		"the upgrade is finished: nodes with an older version are kept out from now on");
	api_reply(call, result);
}

void api_cluster_upgrade(struct api_call *call)
{
	struct cluster_node node = {};
	struct json *result;
	unsigned version = 0;
	int r;

	if (!api_needs_quorum(call))
		return;
	r = cluster_upgrade(call->svc->cluster, &version, &node, on_upgraded, call);
	if (r == -EUNATCH) {
		api_fail(call, API_REFUSED,
			"node %s is not there to say which version of the store's protocol it "
			"speaks: start viaductd on it, or remove the node from the cluster",
			node.name);
	} else if (r == -EPROTONOSUPPORT) {
		api_fail(call, API_REFUSED,
			"node %s speaks version %u of the store's protocol, others speak %u: "
			"update viaduct on %s first",
			node.name, node.protocol, version, node.name);
	} else if (r == -EALREADY) {
		result = json_object_new();
		json_set_string(result, "note",
			"there is nothing to finish: all nodes have the newest version that the "
			"cluster uses");
		api_reply(call, result);
	} else if (r < 0) {
		api_fail_errno(call, r, "the upgrade is not finished");
	}
}
