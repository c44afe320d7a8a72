/* SPDX-License-Identifier: MIT
 *
 * scrub.step: one step of a scrub or of its way back.
 */
#include "node/svc/scrub.h"
#include "node/svc/switch.h"

#include <stdio.h>
#include <string.h>

#define RECORD_MAX_BYTES 16384
#define ERROR_BYTES      384

/* Calls fn for each adapter of a VM here that is attached to the switch; true ends it. */
static bool each_user(struct svc *svc, const char *name,
	bool (*fn)(struct vmproc *vp, size_t nic, void *data), void *data)
{
	const char *node = cluster_local_name(svc->cluster);
	char text[SVC_NAME_MAX_LEN + 1];
	struct vmproc *vp;

	list_for_each(vp, &svc->vms, link) {
		const struct json *nics = json_get(vp->config, "nics");

		for (size_t i = 0; i < json_length(nics); i++) {
			const char *reference = json_get_string(json_at(nics, i), "switch", "");

			if (switchd_resolve(svc, node, reference, text, sizeof(text)) &&
				strcmp(text, name) == 0 && fn(vp, i, data))
				return true;
		}
	}
	return false;
}

static bool note_user(struct vmproc *vp, size_t nic _unused_, void *data)
{
	*(const char **)data = vp->name;
	return true;
}

const char *scrub_user_of(struct svc *svc, const char *name)
{
	const char *vm = NULL;

	each_user(svc, name, note_user, &vm);
	return vm;
}

bool scrub_record_is_valid(const struct json *record)
{
	_cleanup_json_ struct json *copy = json_is_object(record) ? json_copy(record) : NULL;
	_cleanup_json_ struct json *made = NULL;
	_cleanup_free_ char *text = NULL;
	struct nic_error error;

	if (!copy)
		return false;
	/* What a scrub leaves of an internal switch's only adapter; no request says that. */
	if (json_get_int(copy, "management", 0) == -1)
		json_delete(copy, "management");
	text = json_dump(record, 0);
	return text && strlen(text) <= RECORD_MAX_BYTES &&
	       switch_record_change(NULL, copy, &made, &error) == 0;
}

static void on_written(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, "the step was not done");
	else
		api_reply(call, NULL);
}

static void write_record(
	struct api_call *call, const char *key, uint64_t version, struct json *record)
{
	int r = cluster_cas(call->svc->cluster, key, version, record, on_written, call);

	if (r < 0)
		api_fail_errno(call, r, "the step was not done");
}

static void delete_adapter(struct api_call *call, const char *key, const struct json *record,
	uint64_t version, const char *ifname)
{
	const struct json *adapters = json_get(record, "adapters");
	struct json *changed = json_copy(record), *left;

	if (adapters) {
		left = json_array_new();
		for (size_t i = 0; i < json_length(adapters); i++) {
			const struct json *adapter = json_at(adapters, i);

			if (strcmp(json_get_string(adapter, "ifname", ""), ifname) != 0)
				json_append(left, json_copy(adapter));
		}
		json_set(changed, "adapters", left);
	} else if (strcmp(json_get_string(record, "type", ""), "internal") == 0) {
		json_set_int(changed, "management", -1); /* one that says nothing has one */
	} else {
		json_delete(changed, "management");
	}
	write_record(call, key, version, changed);
}

static void on_port_removed(int error _unused_, const struct json *reply _unused_,
	int *fds _unused_, size_t n_fds _unused_, void *data _unused_)
{
}

/* The guest keeps its adapter; there is nothing behind it any more. */
static bool disconnect(struct vmproc *vp, size_t nic, void *data _unused_)
{
	struct json *message = json_object_new();

	json_set_stringf(message, "port", "%s/nic%zu", vp->name, nic);
	switchd_call(vp->svc->switchd, "port.remove", message, on_port_removed, NULL);
	return false;
}

static void delete_switch(
	struct api_call *call, const char *key, const char *name, uint64_t version, bool force)
{
	const char *vm = scrub_user_of(call->svc, name);

	if (vm && !force) {
		api_fail(call, API_REFUSED, "%s runs on switch %s", vm, name);
		return;
	}
	/* The switch process takes requests in order: ports go before their switch. */
	each_user(call->svc, name, disconnect, NULL);
	write_record(call, key, version, NULL);
}

static void unbind(struct api_call *call, const char *nic)
{
	struct host_use uses[NIC_MAX_USES];
	size_t n = nic_uses(call->svc, uses);
	char error[ERROR_BYTES] = "";
	int r;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(uses[i].uplink, nic) == 0) {
			api_fail(call, API_CONFLICT, "%s is still the uplink of switch %s", nic,
				uses[i].switch_name);
			return;
		}
	}
	r = host_nic_give_back(call->svc->host, nic, error, sizeof(error));
	/* It may have been bound without ever having had anything, or be gone. */
	if (r < 0 && r != -ENOENT && r != -ENODEV)
		api_fail(call, nic_code(r), "%s", error);
	else
		api_reply(call, NULL);
}

static void bind_back(struct api_call *call, const char *nic, const char *name)
{
	char error[ERROR_BYTES] = "";
	int r = nic_take(call->svc, nic, name, json_get_bool(call->message, "force", false), error,
		sizeof(error));

	if (r < 0)
		api_fail(call, nic_code(r), "%s", error);
	else
		api_reply(call, NULL);
}

static void restore(struct api_call *call, const char *key, const struct json *step)
{
	const struct json *wanted = json_get(step, "record"), *present = NULL;
	_cleanup_free_ char *wanted_text = NULL, *present_text = NULL;
	uint64_t version = 0;

	if (!scrub_record_is_valid(wanted)) {
		api_fail(call, API_USAGE, "the record of the switch makes no sense");
		return;
	}
	if (cluster_get(call->svc->cluster, key, &present, &version) < 0)
		version = 0;
	wanted_text = json_dump(wanted, 0);
	present_text = version ? json_dump(present, 0) : NULL;
	if (wanted_text && present_text && strcmp(wanted_text, present_text) == 0)
		api_reply(call, NULL);
	else
		write_record(call, key, version, json_copy(wanted));
}

void api_scrub_step(struct api_call *call)
{
	const struct json *step = json_get(call->message, "step"), *record;
	const char *kind = json_get_string(step, "kind", "");
	const char *name = json_get_string(step, "switch", "");
	const char *nic = json_get_string(step, "nic", "");
	bool on_nic = strcmp(kind, "unbind") == 0 || strcmp(kind, "bind") == 0;
	char key[2 * SVC_NAME_MAX_LEN + 16];
	uint64_t version;

	if (!nic_at_node(call))
		return;
	if ((on_nic && !host_nic_name_is_valid(nic)) ||
		(strcmp(kind, "unbind") != 0 && !svc_name_is_valid(name))) {
		api_fail(call, API_USAGE, "a step needs the name of a switch or an adapter");
		return;
	}
	if (!api_needs_quorum(call))
		return;
	snprintf(key, sizeof(key), "switch/%s/%s", cluster_local_name(call->svc->cluster), name);
	if (strcmp(kind, "unbind") == 0)
		unbind(call, nic);
	else if (strcmp(kind, "bind") == 0)
		bind_back(call, nic, name);
	else if (strcmp(kind, "restore") == 0)
		restore(call, key, step);
	else if (strcmp(kind, "adapter") != 0 && strcmp(kind, "switch") != 0)
		api_fail(call, API_USAGE, "there is no step '%.40s'", kind);
	else if (cluster_get(call->svc->cluster, key, &record, &version) < 0)
		api_fail(call, API_NOT_FOUND, "there is no switch '%s' any more", name);
	else if (strcmp(kind, "adapter") == 0)
		delete_adapter(call, key, record, version, nic);
	else
		delete_switch(call, key, name, version, json_get_bool(step, "force", false));
}
