/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000

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
	if (!json_get_bool(reply, "connected", false))
		printf("corosync does not answer on this node; what follows is what was known "
		       "last\n");
	printf("Quorum   %s (%lld of %lld votes, %lld needed)\n",
		json_get_bool(reply, "quorate", false) ? "yes" : "NO",
		(long long)json_get_int(reply, "total_votes", 0),
		(long long)json_get_int(reply, "expected_votes", 0),
		(long long)json_get_int(reply, "quorum_votes", 0));
	printf("Store    %s, %lld keys, generation %lld, digest %.16s\n\n",
		json_get_bool(reply, "synced", false) ? "in sync" : "NOT IN SYNC",
		(long long)json_get_int(reply, "store_keys", 0),
		(long long)json_get_int(reply, "generation", 0),
		json_get_string(reply, "digest", ""));
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
