/* SPDX-License-Identifier: MIT
 *
 * api_top.c - what `viaduct top` shows and no other request has in so few bytes: all VMs, the
 * memory of the nodes, and the moves that are under way on any of them.
 */
#include "node/svc/gather.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define MAX_VMS    4000 /* an answer has a megabyte */
#define TIMEOUT_NS (800 * NS_PER_MS)

struct summary {
	struct svc *svc;
	struct json *vms, *used; /* bytes by node */
	size_t n;
};

static int add_vm(const char *key, const struct json *config, uint64_t version _unused_, void *data)
{
	struct summary *s = data;
	const char *name = strchr(key, '/') + 1, *reason, *state, *node;
	int64_t memory_bytes = (int64_t)vm_config_memory(config);
	struct vm_view v;
	struct json *vm;

	s->n++;
	if (api_vm_view(s->svc, name, &v) < 0)
		return 0;
	state = api_vm_state(&v, &reason);
	node = v.node.id ? v.node.name : "-";
	if (strcmp(state, "Off") != 0 && strcmp(state, "Failed") != 0 &&
		strcmp(state, "Saved") != 0)
		json_set_int(s->used, node, json_get_int(s->used, node, 0) + memory_bytes);
	if (json_length(s->vms) == MAX_VMS)
		return 0;
	vm = json_object_new();
	json_set_string(vm, "name", name);
	json_set_string(vm, "state", state);
	json_set_string(vm, "node", node);
	json_set_int(vm, "memory_bytes", memory_bytes);
	if (strcmp(state, "Running") == 0)
		json_set_string(vm, "heartbeat", json_get_string(v.state, "heartbeat", ""));
	json_append(s->vms, vm);
	return 0;
}

static struct json *nodes_json(struct svc *svc, const struct json *used)
{
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(svc->cluster, nodes, ARRAY_LEN(nodes));
	struct json *list = json_array_new();

	for (size_t i = 0; i < n; i++) {
		char key[CLUSTER_NAME_MAX_LEN + 8];
		struct json *node = json_object_new();
		const struct json *record = NULL;
		uint64_t version;

		snprintf(key, sizeof(key), "node/%s", nodes[i].name);
		(void)cluster_get(svc->cluster, key, &record, &version);
		json_set_string(node, "name", nodes[i].name);
		json_set_int(node, "vm_memory_bytes", json_get_int(record, "vm_memory_bytes", 0));
		json_set_int(node, "used_bytes", json_get_int(used, nodes[i].name, 0));
		json_append(list, node);
	}
	return list;
}

static void on_jobs(const struct json *replies, void *data)
{
	struct api_call *call = data;
	struct summary s = {.svc = call->svc, .vms = json_array_new(), .used = json_object_new()};
	struct json *result = json_object_new(), *running = json_array_new();

	for (size_t i = 0; i < json_length(replies); i++) {
		const struct json *jobs = json_get(json_get(json_at(replies, i), "answer"), "jobs");

		for (size_t k = 0; k < json_length(jobs); k++) {
			struct json *job = json_at(jobs, k);

			if (strcmp(json_get_string(job, "state", ""), "running") != 0)
				continue;
			job = json_copy(job);
			json_delete(job, "report");
			json_append(running, job);
		}
	}
	cluster_for_each(call->svc->cluster, "vm/", add_vm, &s);
	json_set(result, "nodes", nodes_json(call->svc, s.used));
	json_set(result, "vms", s.vms);
	json_set_int(result, "n_vms", (int64_t)s.n);
	json_set(result, "moves", running);
	json_unref(s.used);
	api_reply(call, result);
}

void api_top_show(struct api_call *call)
{
	struct json *request = json_object_new();

	json_set_string(request, "op", "job.list");
	if (gather(call->svc, NULL, request, TIMEOUT_NS, on_jobs, call) < 0)
		api_fail(call, API_FAILED, "out of memory");
}
