/* SPDX-License-Identifier: MIT
 *
 * api_where.c - where VMs can run: for each node nothing or all reasons why not, and which one
 * would be chosen. Asked of the store as it is at that moment.
 */
#include "node/svc/place_view.h"
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

/* An answer has a limit (base/ipc.h); what does not fit is asked for again, from `next` on. */
#define MAX_ANSWER_BYTES (512U << 10)
#define BYTES_BESIDE     64 /* of a node or a reason, beside its text */

struct table {
	struct svc *svc;
	struct place *place;
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n_nodes;
	size_t size_bytes;
};

static const char *node_name(const struct table *table, uint32_t id)
{
	for (size_t i = 0; i < table->n_nodes; i++) {
		if (id && table->nodes[i].id == id)
			return table->nodes[i].name;
	}
	return "";
}

static struct json *reasons_json(struct table *table, const char *vm, uint32_t node_id)
{
	struct place_reason reasons[PLACE_MAX_REASONS];
	int n = place_why_not(table->place, vm, node_id, reasons, PLACE_MAX_REASONS);
	struct json *list = json_array_new();

	for (int i = 0; i < n; i++) {
		json_append_string(list, reasons[i].text);
		table->size_bytes += strlen(reasons[i].text) + BYTES_BESIDE;
	}
	return list;
}

static struct json *vm_json(struct table *table, const struct place_listed *vm)
{
	struct json *entry = json_object_new(), *nodes = json_array_new();
	const char *where = node_name(table, vm->node_id);

	json_set_string(entry, "vm", vm->name);
	json_set_string(entry, "node", where);
	json_set_bool(entry, "running", vm->is_running);
	json_set_string(entry, "priority", place_priority_name(vm->priority));
	for (size_t i = 0; i < table->n_nodes; i++) {
		struct json *node = json_object_new();

		json_set_string(node, "node", table->nodes[i].name);
		json_set(node, "reasons", reasons_json(table, vm->name, table->nodes[i].id));
		json_append(nodes, node);
		table->size_bytes += strlen(table->nodes[i].name) + BYTES_BESIDE;
	}
	json_set(entry, "nodes", nodes);
	/* One that runs would be moved away from where it is; another one can start there as well.
	 */
	json_set_string(entry, "chosen",
		node_name(table,
			place_choose(table->place, vm->name, vm->is_running ? vm->node_id : 0)));
	table->size_bytes += strlen(vm->name) + 4 * BYTES_BESIDE;
	return entry;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct place_listed *)a)->name, ((const struct place_listed *)b)->name);
}

static struct json *answer(
	struct table *table, struct place_listed *vms, size_t n, const char *only, const char *from)
{
	struct json *result = json_object_new(), *list = json_array_new();
	size_t i = 0;

	qsort(vms, n, sizeof(*vms), by_name);
	for (; i < n && table->size_bytes < MAX_ANSWER_BYTES; i++) {
		if (only ? strcmp(vms[i].name, only) == 0 : strcmp(vms[i].name, from) >= 0)
			json_append(list, vm_json(table, &vms[i]));
	}
	json_set(result, "vms", list);
	if (i < n)
		json_set_string(result, "next", vms[i].name);
	return result;
}

/* vm.where {[vm], [from]} */
void api_vm_where(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", NULL);
	_cleanup_free_ struct table *table = calloc(1, sizeof(*table));
	_cleanup_free_ struct place_listed *vms = NULL;
	struct vm_view view;
	size_t n;

	if (name && !api_need_vm(call, name, &view))
		return;
	if (!table || place_view(call->svc, &table->place) < 0 ||
		place_list(table->place, &vms, &n) < 0) {
		if (table)
			place_free(table->place);
		api_fail(call, API_FAILED, "out of memory");
		return;
	}
	table->svc = call->svc;
	table->n_nodes = cluster_nodes(call->svc->cluster, table->nodes, ARRAY_LEN(table->nodes));
	api_reply(call, answer(table, vms, n, name, json_get_string(call->message, "from", "")));
	place_free(table->place);
}
