/* SPDX-License-Identifier: MIT
 *
 * api_nic_list.c - what there is to see of network adapters: their settings from the store, and of
 * those whose VM runs on this node the live port beside them. And how the two are kept equal.
 */
#include "node/svc/svc.h"
#include "node/svc/nic.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* ---- list ---- */

struct nic_listing {
	struct svc *svc;
	const char *vm;           /* only this one; NULL: all */
	const struct json *ports; /* {port: live port} */
	struct json *list;
};

static void list_nics(const char *name, const struct vm_view *view, const struct nic_listing *l)
{
	const struct json *nics = json_get(view->config, "nics");
	const char *reason;

	for (size_t i = 0; i < json_length(nics); i++) {
		struct json *entry = json_copy(json_at(nics, i));
		char port[SVC_NAME_MAX_LEN + 24];

		snprintf(port, sizeof(port), "%s/nic%zu", name, i);
		json_set_string(entry, "vm", name);
		json_set_int(entry, "nic", (int64_t)i);
		json_set_string(entry, "node", view->node.id ? view->node.name : "-");
		json_set_string(entry, "vm_state", api_vm_state(view, &reason));
		if (json_get(l->ports, port))
			json_set(entry, "port", json_copy(json_get(l->ports, port)));
		json_append(l->list, entry);
	}
}

static int list_vm(
	const char *key, const struct json *value _unused_, uint64_t version _unused_, void *data)
{
	const struct nic_listing *l = data;
	const char *name = strchr(key, '/') + 1;
	struct vm_view view;

	if ((!l->vm || strcmp(l->vm, name) == 0) && api_vm_view(l->svc, name, &view) == 0)
		list_nics(name, &view, l);
	return 0;
}

static struct json *ports_by_name(const struct json *switches)
{
	struct json *found = json_object_new();

	for (size_t i = 0; i < json_length(switches); i++) {
		const struct json *ports = json_get(json_at(switches, i), "ports");

		for (size_t k = 0; k < json_length(ports); k++) {
			const struct json *port = json_at(ports, k);

			json_set(found, json_get_string(port, "id", "?"), json_copy(port));
		}
	}
	return found;
}

static void on_ports(const struct json *switches, void *data)
{
	struct api_call *call = data;
	_cleanup_json_ struct json *ports = ports_by_name(switches);
	struct nic_listing l = {
		.svc = call->svc,
		.vm = json_get_string(call->message, "vm", NULL),
		.ports = ports,
		.list = json_array_new(),
	};
	struct json *result = json_object_new();

	cluster_for_each(call->svc->cluster, "vm/", list_vm, &l);
	json_set(result, "nics", l.list);
	api_reply(call, result);
}

/* {[vm]} -> {nics: [{vm, nic, node, vm_state, settings as in nic.h, [port: as in switch.list]}]} */
void api_vm_nic_list(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", NULL);
	struct vm_view view;

	if (name && !api_need_vm(call, name, &view))
		return;
	if (name && view.node.id && view.node.id != cluster_local_id(call->svc->cluster) &&
		view.node.has_service && !call->from_peer) {
		api_forward(call, view.node.name);
		return;
	}
	switchd_list(call->svc, on_ports, call);
}

/* ---- access list ---- */

/* The switch numbers the rules as it was given them. */
static void answer_rules(struct api_call *call, const struct json *port)
{
	const char *name = json_get_string(call->message, "vm", "");
	const struct json *live = json_get(port, "acl"), *rules;
	struct json *result, *list;
	struct vm_view view;
	size_t nic;

	if (!api_need_vm(call, name, &view) || !api_find_nic(call, &view, &nic))
		return;
	rules = json_get(json_at(json_get(view.config, "nics"), nic), "acl");
	result = json_object_new();
	list = json_array_new();
	for (size_t i = 0; i < json_length(rules); i++) {
		struct json *entry = json_copy(json_at(rules, i));
		const struct json *counted = json_at(live, i);

		json_set_int(entry, "rule", (int64_t)i);
		if (counted) {
			json_set_int(entry, "frames", json_get_int(counted, "frames", 0));
			json_set_int(entry, "bytes", json_get_int(counted, "bytes", 0));
		}
		json_append(list, entry);
	}
	json_set(result, "rules", list);
	json_set_int(result, "nic", (int64_t)nic);
	if (json_get(port, "conversations"))
		json_set(result, "conversations", json_copy(json_get(port, "conversations")));
	api_reply(call, result);
}

static void on_stats(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	answer_rules(data, error < 0 ? NULL : json_get(reply, "port"));
}

/* {vm, [nic]} -> {nic, rules: [{rule, settings as in nic.h, [frames, bytes]}], [conversations]};
 * counted while the VM runs. */
void api_vm_nic_acl_list(struct api_call *call)
{
	const char *name = json_get_string(call->message, "vm", "");
	struct json *message;
	struct vm_view view;
	size_t nic;

	if (!api_need_vm(call, name, &view) || !api_find_nic(call, &view, &nic))
		return;
	if (view.node.id && view.node.id != cluster_local_id(call->svc->cluster) &&
		view.node.has_service && !call->from_peer) {
		api_forward(call, view.node.name);
		return;
	}
	message = json_object_new();
	json_set_stringf(message, "port", "%s/nic%zu", name, nic);
	if (!vmproc_find(call->svc, name)) {
		json_unref(message);
		answer_rules(call, NULL);
	} else if (switchd_call(call->svc->switchd, "port.stats", message, on_stats, call) < 0) {
		answer_rules(call, NULL);
	}
}

/* ---- keeping ports in line with the store ---- */

static void on_synced(
	int error, const struct json *reply, int *fds _unused_, size_t n_fds _unused_, void *data)
{
	_cleanup_free_ char *port = data;

	if (error < 0)
		log_error("port %s does not have the policy of its configuration: %s", port,
			json_get_string(reply, "error", strerror(-error)));
}

static void sync_nic(
	struct vmproc *vp, size_t nic, const struct json *before, const struct json *after)
{
	struct json *message = json_object_new();
	char *port = NULL;

	if (!nic_policy_diff(before, after, message) ||
		asprintf(&port, "%s/nic%zu", vp->name, nic) < 0) {
		json_unref(message);
		return;
	}
	json_set_string(message, "port", port);
	if (switchd_call(vp->svc->switchd, "port.set", message, on_synced, port) < 0)
		free(port);
}

void vmproc_sync_nics(struct vmproc *vp)
{
	const struct json *config, *before, *after;
	char key[SVC_NAME_MAX_LEN + 8];
	uint64_t version;

	snprintf(key, sizeof(key), "vm/%s", vp->name);
	if (vp->n_changes > 0 || vp->state != VMPROC_RUNNING ||
		cluster_get(vp->svc->cluster, key, &config, &version) < 0)
		return;
	before = json_get(vp->config, "nics");
	after = json_get(config, "nics");
	for (size_t i = 0; i < vp->n_ports && i < json_length(after); i++)
		sync_nic(vp, i, json_at(before, i), json_at(after, i));
	json_unref(vp->config);
	vp->config = json_copy(config);
}
