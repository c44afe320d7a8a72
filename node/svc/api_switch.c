/* SPDX-License-Identifier: MIT
 *
 * api_switch.c - requests about virtual switches. They change the switch's record; the node that
 * has the switch brings its switch process in line (switchd_sync.c).
 */
#include "node/svc/svc.h"
#include "node/svc/switch.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES (2 * SVC_NAME_MAX_LEN + 16)

static void on_changed(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, "nothing was changed");
	else
		api_reply(call, NULL);
}

/* Takes over `record`. */
static void write_record(
	struct api_call *call, const char *key, uint64_t version, struct json *record)
{
	int r = cluster_cas(call->svc->cluster, key, version, record, on_changed, call);

	if (r < 0)
		api_fail_errno(call, r, "nothing was changed");
}

static const char *node_of(const struct api_call *call)
{
	return json_get_string(call->message, "node", cluster_local_name(call->svc->cluster));
}

/* The record that the request names. False: the call has been failed. */
static bool need_switch(struct api_call *call, const struct json **ret_record,
	uint64_t *ret_version, char ret_key[KEY_BYTES])
{
	const char *name = json_get_string(call->message, "name", "");

	snprintf(ret_key, KEY_BYTES, "switch/%.63s/%.63s", node_of(call), name);
	if (cluster_get(call->svc->cluster, ret_key, ret_record, ret_version) == 0)
		return true;
	api_fail(call, API_NOT_FOUND, "%.63s has no switch '%.63s'; see 'viaduct switch list'",
		node_of(call), name);
	return false;
}

/* Only the node itself knows what is attached to what. */
static bool is_elsewhere(struct api_call *call)
{
	if (strcmp(node_of(call), cluster_local_name(call->svc->cluster)) == 0)
		return false;
	api_forward(call, node_of(call));
	return true;
}

/* ---- all adapters of a node's switches ---- */

struct gathering {
	const char *node;
	const char *without; /* not of this switch; NULL: of all */
	struct json *adapters;
};

static int gather_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct gathering *g = data;
	const char *name = strrchr(key, '/') + 1;
	_cleanup_json_ struct json *adapters = switch_adapters(record, g->node, name);

	for (size_t i = 0; i < json_length(adapters); i++) {
		struct json *adapter = json_ref(json_at(adapters, i));

		json_set_string(adapter, "switch", name);
		if (!g->without || strcmp(g->without, name) != 0)
			json_append(g->adapters, adapter);
		else
			json_unref(adapter);
	}
	return 0;
}

static struct json *gather(struct svc *svc, const char *node, const char *without)
{
	struct gathering g = {.node = node, .without = without, .adapters = json_array_new()};
	char prefix[SVC_NAME_MAX_LEN + 16];

	snprintf(prefix, sizeof(prefix), "switch/%.63s/", node);
	cluster_for_each(svc->cluster, prefix, gather_one, &g);
	return g.adapters;
}

/* ---- create ---- */

struct former {
	const char *name;
	const char *by; /* lent */
};

static int find_former(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct former *f = data;

	if (strcmp(json_get_string(record, "renamed_from", ""), f->name) == 0)
		f->by = strrchr(key, '/') + 1;
	return f->by != NULL;
}

/* True: free. Otherwise the call has been failed. */
static bool name_is_free(
	struct api_call *call, const char *node, const char *name, const struct json *record)
{
	_cleanup_json_ struct json *others = gather(call->svc, node, NULL);
	_cleanup_json_ struct json *own = switch_adapters(record, node, name);
	const struct json *other = NULL;
	struct former former = {.name = name};
	char prefix[SVC_NAME_MAX_LEN + 16];

	snprintf(prefix, sizeof(prefix), "switch/%s/", node);
	cluster_for_each(call->svc->cluster, prefix, find_former, &former);
	if (former.by) {
		api_fail(call, API_CONFLICT,
			"switch %s is being renamed to %s; finish that first, with 'viaduct switch "
			"rename %s %s'",
			name, former.by, name, former.by);
		return false;
	}
	if (json_length(own))
		other = switch_adapter_find(
			others, "ifname", json_get_string(json_at(own, 0), "ifname", ""));
	if (other && strcmp(json_get_string(other, "switch", ""), name) != 0) {
		api_fail(call, API_CONFLICT,
			"the host's adapter would be interface %s, which is adapter %s of switch "
			"%s already; choose a name that differs in its first 12 characters",
			json_get_string(other, "ifname", ""), json_get_string(other, "name", ""),
			json_get_string(other, "switch", ""));
		return false;
	}
	return true;
}

/* NULL, or the first that this node does not have. */
static const char *missing_uplink(const struct json *uplinks)
{
	for (size_t i = 0; i < json_length(uplinks); i++) {
		const char *name = json_string(json_at(uplinks, i), "");

		if (if_nametoindex(name) == 0)
			return name;
	}
	return NULL;
}

/* May this node's adapters be the switch's? False: the call has been failed. */
static bool may_bind(struct api_call *call, const struct json *record)
{
	_cleanup_json_ struct json *uplinks = switch_uplinks(record);
	const char *missing = missing_uplink(uplinks);
	const char *name = json_get_string(call->message, "name", "");
	char error[384] = "";

	if (json_get_bool(call->message, "force", false))
		return true;
	if (missing) {
		api_fail(call, API_REFUSED,
			"%s has no network adapter '%s', so the switch cannot be bound to it; 'ip "
			"link' lists those there are; --force binds it when it comes",
			node_of(call), missing);
		return false;
	}
	if (!call->svc->host)
		return true;
	for (size_t i = 0; i < json_length(uplinks); i++) {
		if (nic_may_take(call->svc, json_string(json_at(uplinks, i), ""), name, error,
			    sizeof(error)) < 0) {
			api_fail(call, API_REFUSED, "%s", error);
			return false;
		}
	}
	return true;
}

void api_switch_create(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	const char *name = json_get_string(call->message, "name", "");
	_cleanup_json_ struct json *record = NULL;
	const char *node = node_of(call);
	struct cluster_node found;
	struct nic_error error;
	char key[KEY_BYTES];

	if (!svc_name_is_valid(name)) {
		api_fail(call, API_USAGE,
			"a switch needs a name of at most %d characters: letters, digits, - _ .",
			SVC_NAME_MAX_LEN);
		return;
	}
	if (switch_record_change(NULL, call->message, &record, &error) < 0) {
		api_fail(call, API_USAGE, "%s", error.text);
		return;
	}
	/* A machine that is in no cluster yet is nobody's node. */
	if (!node[0] && !api_needs_quorum(call))
		return;
	if (cluster_find_node(cluster, node, &found) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no node '%.63s'", node);
		return;
	}
	/* Only the node itself knows its adapters. */
	if (json_length(json_get(record, "uplinks")) + (json_get(record, "uplink") != NULL) > 0 &&
		is_elsewhere(call))
		return;
	if (!api_needs_quorum(call) || !name_is_free(call, node, name, record) ||
		(strcmp(node, cluster_local_name(cluster)) == 0 && !may_bind(call, record)))
		return;
	snprintf(key, sizeof(key), "switch/%s/%s", node, name);
	write_record(call, key, 0, take_ptr(record));
}

/* ---- set ---- */

/* {name, [node], [uplink | uplinks], [team], [bandwidth_mode], [link_bps], [logical],
 * [add_static | remove_static]} */
void api_switch_set(struct api_call *call)
{
	_cleanup_json_ struct json *changed = NULL;
	const struct json *record;
	struct nic_error error;
	char key[KEY_BYTES];
	uint64_t version;
	bool binds;

	if (!need_switch(call, &record, &version, key) || is_elsewhere(call) ||
		!api_needs_quorum(call))
		return;
	if (json_get(call->message, "management")) {
		api_fail(call, API_USAGE,
			"the host's adapters are changed with 'viaduct switch adapter set'");
		return;
	}
	if (switch_record_change(record, call->message, &changed, &error) < 0) {
		api_fail(call, API_USAGE, "switch %s: %s",
			json_get_string(call->message, "name", ""), error.text);
		return;
	}
	binds = json_get(call->message, "uplink") || json_get(call->message, "uplinks");
	if (!binds || may_bind(call, changed))
		write_record(call, key, version, take_ptr(changed));
}

/* ---- delete ---- */

void api_switch_delete(struct api_call *call)
{
	const char *name = json_get_string(call->message, "name", "");
	char key[KEY_BYTES], text[SVC_NAME_MAX_LEN + 1];
	const struct json *record;
	struct vmproc *vp;
	uint64_t version;

	if (!need_switch(call, &record, &version, key) || is_elsewhere(call) ||
		!api_needs_quorum(call))
		return;
	list_for_each(vp, &call->svc->vms, link) {
		const struct json *nics = json_get(vp->config, "nics");

		for (size_t i = 0; i < json_length(nics); i++) {
			const char *reference = json_get_string(json_at(nics, i), "switch", "");

			if (switchd_resolve(
				    call->svc, node_of(call), reference, text, sizeof(text)) &&
				strcmp(text, name) == 0) {
				api_fail(call, API_CONFLICT, "switch %s is in use by %s", name,
					vp->name);
				return;
			}
		}
	}
	write_record(call, key, version, NULL);
}

/* ---- list ---- */

struct switch_listing {
	struct svc *svc;
	struct json *list;
	const struct json *live; /* of viaduct-vswitchd, for this node; or NULL */
	const char *node;
};

/* What the switch process of that node has of it; of another node's, what it told last. */
static void set_state(struct json *entry, struct svc *svc, const char *name,
	const struct json *record, bool local)
{
	const char *node = json_get_string(entry, "node", ""), *state = "up";
	const struct json *told;
	struct cluster_node found;
	char key[KEY_BYTES], why[SWITCHD_WHY_BYTES] = "";
	uint64_t version;

	snprintf(key, sizeof(key), "switchstate/%.63s/%.63s", node, name);
	if (local) {
		state = switchd_state(svc->switchd, name, record, why, sizeof(why));
	} else if (cluster_find_node(svc->cluster, node, &found) < 0 || !found.has_service) {
		state = "unknown";
		snprintf(why, sizeof(why), "viaductd does not run on %.63s", node);
	} else if (cluster_get(svc->cluster, key, &told, &version) == 0) {
		state = json_get_string(told, "state", state);
		snprintf(why, sizeof(why), "%s", json_get_string(told, "reason", ""));
	}
	json_set_string(entry, "state", state);
	json_set_string(entry, "reason", why);
}

static int list_switch(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	static const char *const copied[] = {"team", "bandwidth_mode", "link_bps"};
	struct switch_listing *l = data;
	struct json *entry = json_object_new();
	const char *node = strchr(key, '/') + 1;
	const char *name = strrchr(key, '/') + 1;
	bool local = strncmp(node, l->node, strlen(l->node)) == 0 && node[strlen(l->node)] == '/';

	json_set_string(entry, "name", name);
	json_set_stringf(entry, "node", "%.*s", (int)(name - node - 1), node);
	json_set_string(entry, "type", json_get_string(record, "type", ""));
	json_set_string(entry, "uplink", json_get_string(record, "uplink", ""));
	json_set(entry, "uplinks", switch_uplinks(record));
	json_set_string(entry, "logical", json_get_string(record, "logical", ""));
	for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
		if (json_get(record, copied[i]))
			json_set(entry, copied[i], json_copy(json_get(record, copied[i])));
	}
	for (size_t i = 0; local && i < json_length(l->live); i++) {
		const struct json *live = json_at(l->live, i);

		if (strcmp(json_get_string(live, "name", ""), name) != 0)
			continue;
		json_set(entry, "ports", json_copy(json_get(live, "ports")));
		if (json_get(live, "team"))
			json_set(entry, "team", json_copy(json_get(live, "team")));
	}
	set_state(entry, l->svc, name, record, local);
	json_append(l->list, entry);
	return 0;
}

static void on_switches(const struct json *switches, void *data)
{
	struct api_call *call = data;
	struct switch_listing l = {
		.svc = call->svc,
		.list = json_array_new(),
		.live = switches,
		.node = cluster_local_name(call->svc->cluster),
	};
	struct json *result = json_object_new();

	cluster_for_each(call->svc->cluster, "switch/", list_switch, &l);
	json_set(result, "switches", l.list);
	api_reply(call, result);
}

void api_switch_list(struct api_call *call)
{
	const char *node = json_get_string(call->message, "node", NULL);

	if (node && !call->from_peer && strcmp(node, cluster_local_name(call->svc->cluster)) != 0) {
		api_forward(call, node);
		return;
	}
	switchd_list(call->svc, on_switches, call);
}

/* ---- the host's adapters ---- */

/* What add, remove and set begin with: the switch's adapters, a copy to change. */
static bool begin_adapters(struct api_call *call, const struct json **ret_record,
	uint64_t *ret_version, char ret_key[KEY_BYTES], struct json **ret_adapters)
{
	if (!need_switch(call, ret_record, ret_version, ret_key) || !api_needs_quorum(call))
		return false;
	if (strcmp(json_get_string(*ret_record, "type", ""), "private") == 0) {
		api_fail(call, API_REFUSED,
			"a private switch connects VMs only, so the host has no adapter on it; "
			"make "
			"an internal one");
		return false;
	}
	*ret_adapters = switch_adapters(
		*ret_record, node_of(call), json_get_string(call->message, "name", ""));
	return true;
}

/* Takes over `adapters`. */
static void write_adapters(struct api_call *call, const struct json *record, uint64_t version,
	const char *key, struct json *adapters)
{
	struct json *changed = json_copy(record);

	json_delete(changed, "management");
	json_set(changed, "adapters", adapters);
	write_record(call, key, version, changed);
}

static size_t find_adapter(const struct json *adapters, const char *name)
{
	size_t at = 0;

	while (at < json_length(adapters) &&
		strcmp(json_get_string(json_at(adapters, at), "name", ""), name) != 0)
		at++;
	return at;
}

/* The list with number `at` left out (`adapter` NULL) or replaced by `adapter`, taken over. */
static struct json *with_adapter(const struct json *adapters, size_t at, struct json *adapter)
{
	struct json *changed = json_array_new();

	for (size_t i = 0; i < json_length(adapters); i++) {
		if (i != at)
			json_append(changed, json_ref(json_at(adapters, i)));
		else if (adapter)
			json_append(changed, adapter);
	}
	return changed;
}

/* {name, [node], adapter: {name, [mac], policy}} */
void api_switch_adapter_add(struct api_call *call)
{
	_cleanup_json_ struct json *adapters = NULL;
	_cleanup_json_ struct json *others = NULL;
	const char *name = json_get_string(call->message, "name", "");
	const struct json *wanted = json_get(call->message, "adapter"), *record;
	struct nic_error error;
	struct json *adapter;
	char key[KEY_BYTES];
	uint64_t version;
	int r;

	if (!begin_adapters(call, &record, &version, key, &adapters))
		return;
	if (json_length(adapters) >= SWITCH_MAX_ADAPTERS) {
		api_fail(call, API_CONFLICT,
			"switch %s has %d adapters of the host already, and more are not possible; "
			"remove one",
			name, SWITCH_MAX_ADAPTERS);
		return;
	}
	others = gather(call->svc, node_of(call), NULL);
	if (find_adapter(adapters, json_get_string(wanted, "name", "")) < json_length(adapters)) {
		api_fail(call, API_CONFLICT, "switch %s has an adapter '%s' already", name,
			json_get_string(wanted, "name", ""));
		return;
	}
	r = switch_adapter_make(wanted, node_of(call), name, others, &adapter, &error);
	if (r < 0) {
		api_fail(call, r == -EEXIST ? API_CONFLICT : API_USAGE, "%s", error.text);
		return;
	}
	json_append(adapters, adapter);
	write_adapters(call, record, version, key, take_ptr(adapters));
}

static bool need_adapter(struct api_call *call, const struct json *adapters, size_t *ret_at)
{
	const char *adapter = json_get_string(call->message, "adapter", "");

	*ret_at = find_adapter(adapters, adapter);
	if (*ret_at < json_length(adapters))
		return true;
	api_fail(call, API_NOT_FOUND,
		"switch %s has no adapter '%.63s'; see 'viaduct switch adapter list'",
		json_get_string(call->message, "name", ""), adapter);
	return false;
}

/* {name, [node], adapter: NAME, set: {policy}} */
void api_switch_adapter_set(struct api_call *call)
{
	_cleanup_json_ struct json *adapters = NULL;
	const struct json *record;
	struct nic_error error;
	struct json *adapter;
	char key[KEY_BYTES];
	uint64_t version;
	size_t at;

	if (!begin_adapters(call, &record, &version, key, &adapters) ||
		!need_adapter(call, adapters, &at))
		return;
	if (nic_config_change(json_at(adapters, at), json_get(call->message, "set"), NIC_OF_HOST,
		    &adapter, &error) < 0) {
		api_fail(call, API_USAGE, "adapter %s: %s",
			json_get_string(call->message, "adapter", ""), error.text);
		return;
	}
	write_adapters(call, record, version, key, with_adapter(adapters, at, adapter));
}

static void on_adapter_removed(int error, uint64_t version, void *data)
{
	struct api_call *call = data;
	_cleanup_free_ char *lease = take_ptr(call->data);

	if (error == 0)
		cluster_mac_release(call->svc->cluster, lease);
	on_changed(error, version, call);
}

/* {name, [node], adapter: NAME} */
void api_switch_adapter_remove(struct api_call *call)
{
	_cleanup_json_ struct json *adapters = NULL;
	const struct json *record;
	struct json *changed;
	char key[KEY_BYTES];
	uint64_t version;
	size_t at;
	int r;

	if (!begin_adapters(call, &record, &version, key, &adapters) ||
		!need_adapter(call, adapters, &at))
		return;
	if (strcmp(json_get_string(record, "type", ""), "internal") == 0 &&
		json_length(adapters) == 1) {
		api_fail(call, API_REFUSED,
			"it is the only adapter of the host, and without one the switch would not "
			"be internal; add another first");
		return;
	}
	changed = json_copy(record);
	json_delete(changed, "management");
	json_set(changed, "adapters", with_adapter(adapters, at, NULL));
	call->data = strdup(json_get_string(json_at(adapters, at), "lease", ""));
	r = call->data ? cluster_cas(call->svc->cluster, key, version, json_ref(changed),
				 on_adapter_removed, call)
		       : -ENOMEM;
	json_unref(changed);
	if (r < 0)
		on_adapter_removed(r, 0, call);
}

static const struct json *live_port(const struct json *switches, const char *ifname)
{
	char id[SWITCH_IFNAME_MAX_LEN + 16];

	snprintf(id, sizeof(id), "management/%s", ifname);
	for (size_t i = 0; i < json_length(switches); i++) {
		const struct json *ports = json_get(json_at(switches, i), "ports");

		for (size_t k = 0; k < json_length(ports); k++) {
			if (strcmp(json_get_string(json_at(ports, k), "id", ""), id) == 0)
				return json_at(ports, k);
		}
	}
	return NULL;
}

static void on_adapter_ports(const struct json *switches, void *data)
{
	struct api_call *call = data;
	const char *name = json_get_string(call->message, "name", NULL);
	_cleanup_json_ struct json *adapters = gather(call->svc, node_of(call), NULL);
	struct json *result = json_object_new(), *list = json_array_new();

	for (size_t i = 0; i < json_length(adapters); i++) {
		struct json *adapter = json_at(adapters, i);
		const struct json *port =
			live_port(switches, json_get_string(adapter, "ifname", ""));

		if (name && strcmp(json_get_string(adapter, "switch", ""), name) != 0)
			continue;
		json_set_string(adapter, "node", node_of(call));
		if (port) {
			json_set_string(adapter, "mac", json_get_string(port, "mac", ""));
			json_set(adapter, "port", json_copy(port));
		}
		json_append(list, json_ref(adapter));
	}
	json_set(result, "adapters", list);
	api_reply(call, result);
}

/* {[name], [node]} -> {adapters: [{switch, node, name, ifname, mac, policy, [port]}]} */
void api_switch_adapter_list(struct api_call *call)
{
	const struct json *record;
	char key[KEY_BYTES];
	uint64_t version;

	if (json_get_string(call->message, "name", NULL) &&
		!need_switch(call, &record, &version, key))
		return;
	if (!is_elsewhere(call))
		switchd_list(call->svc, on_adapter_ports, call);
}
