/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

/* What an administrator has to do something about. */
static void print_store_troubles(const struct json *reply)
{
	const char *error = json_get_string(reply, "store_error", "");
	int64_t newest = json_get_int(reply, "protocol_newest", 0);
	int64_t needed = json_get_int(reply, "protocol_needed", 0);
	int64_t spoken = json_get_int(reply, "protocol", 0);
	int64_t floor = json_get_int(reply, "protocol_floor", 0);

	if (error[0])
		printf("         this node's copy cannot be written (%s), so it takes no part; "
		       "make "
		       "room in its state folder, it then goes on by itself\n",
			error);
	if (needed)
		printf("         this node speaks version %lld of the store's protocol, the "
		       "cluster "
		       "uses %lld: %s\n",
			(long long)newest, (long long)needed,
			needed > newest ? "update viaduct on this node"
					: "update the other nodes first");
	if (spoken && spoken < newest)
		printf("         speaks version %lld for nodes that are not updated yet\n",
			(long long)spoken);
	else if (spoken && floor < spoken)
		printf("         an upgrade is not finished: see 'viaduct cluster upgrade'\n");
	printf("\n");
}

int cmd_cluster_upgrade(const struct ctl_args *args)
{
	return ctl_ask(args, ctl_request("cluster.upgrade"), EXIT_OK, TIMEOUT_MS);
}

int cmd_cluster_status(const struct ctl_args *args)
{
	static const char *const headings[] = {"Node", "Id", "State", "VMs", "Address"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *nodes;
	struct table *table;
	int r = ctl_call(args, ctl_request("cluster.status"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	if (json_get(reply, "evicted"))
		printf("This node was evicted from the cluster. 'viaduct node invite' on one of "
		       "its "
		       "nodes, then\n'viaduct node join' here make it a node again; what follows "
		       "is "
		       "what was known last\n");
	else if (json_get_bool(reply, "is_second", false))
		printf("another viaductd of this node is in the cluster already: a node has one; "
		       "end the one that is too much\n");
	else if (json_get_bool(reply, "is_example", false))
		printf("this machine is no node of a cluster yet: corosync.conf is the example of "
		       "its package; 'viaduct cluster config' makes one, or 'viaduct node join' "
		       "brings one\n");
	else if (!json_get_bool(reply, "connected", false))
		printf("corosync does not answer on this node; what follows is what was known "
		       "last\n");
	printf("Quorum   %s (%lld of %lld votes, %lld needed)\n",
		json_get_bool(reply, "quorate", false) ? "yes" : "NO",
		(long long)json_get_int(reply, "total_votes", 0),
		(long long)json_get_int(reply, "expected_votes", 0),
		(long long)json_get_int(reply, "quorum_votes", 0));
	if (json_get_int(reply, "nodes_needed", 0))
		printf("         the quorum device has no copy of the store, so its vote does not "
		       "count "
		       "there: %lld votes of nodes are needed to change anything\n",
			(long long)json_get_int(reply, "nodes_needed", 0));
	printf("Store    %s, %lld keys, generation %lld, digest %.16s\n",
		json_get_bool(reply, "synced", false) ? "in sync" : "NOT IN SYNC",
		(long long)json_get_int(reply, "store_keys", 0),
		(long long)json_get_int(reply, "generation", 0),
		json_get_string(reply, "digest", ""));
	print_store_troubles(reply);
	nodes = json_get(reply, "nodes");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(nodes); i++) {
		const struct json *node = json_at(nodes, i);
		const char *name = json_get_string(node, "name", "");

		table_cell(table, "%s%s", name,
			strcmp(name, json_get_string(reply, "node", "")) == 0 ? " *" : "");
		table_cell(table, "%lld", (long long)json_get_int(node, "id", 0));
		table_cell(table, "%s", json_get_string(node, "state", ""));
		table_cell(table, "%lld", (long long)json_get_int(node, "vms", 0));
		table_cell(table, "%s", json_get_string(node, "address", ""));
	}
	table_print(table);
	return EXIT_OK;
}

int cmd_volume_create(const struct ctl_args *args)
{
	_cleanup_json_ struct json *reply = NULL;
	struct json *request = ctl_request("volume.create");
	int r;

	json_set_string(request, "name", args->positional[0]);
	json_set_string(request, "path", ctl_option(args, "path") ? ctl_option(args, "path") : "");
	r = ctl_call(args, request, TIMEOUT_MS, &reply);
	return r ? r : args->json ? ctl_print_json(reply) : EXIT_OK;
}

int cmd_volume_list(const struct ctl_args *args)
{
	static const char *const headings[] = {"Name", "State", "Owner", "Epoch", "Path", "Why"};
	static const char *const keys[] = {"name", "state", "owner"};
	_cleanup_json_ struct json *reply = NULL;
	const struct json *volumes;
	struct table *table;
	int r = ctl_call(args, ctl_request("volume.list"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	if (args->json)
		return ctl_print_json(reply);
	volumes = json_get(reply, "volumes");
	table = table_new(headings, ARRAY_LEN(headings));
	for (size_t i = 0; i < json_length(volumes); i++) {
		const struct json *volume = json_at(volumes, i);

		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			table_cell(table, "%s", json_get_string(volume, keys[k], ""));
		table_cell(table, "%lld", (long long)json_get_int(volume, "epoch", 0));
		table_cell(table, "%s", json_get_string(volume, "path", ""));
		table_cell(table, "%s", json_get_string(volume, "reason", ""));
	}
	table_print(table);
	return EXIT_OK;
}
