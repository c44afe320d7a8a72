/* SPDX-License-Identifier: MIT
 *
 * What work of the network stack adapters do: offload.show, offload.set.
 */
#include "node/svc/svc.h"
#include "node/svc/nic.h"

#include "node/host/ethtool.h"
#include "node/host/sysctl.h"
#include "node/host/tcp.h"

#include <stdio.h>
#include <string.h>

#define MAX_CONNECTIONS 1000 /* an answer is limited */
#define CHIMNEY_TRUTH   "in host: Linux has no TCP chimney"

static const char *const chimney_settings[] = {"disabled", "enabled", "automatic"};

/* ---- global settings: the labels of 'netsh int tcp show global' ---- */

static void append_global(struct json *list, const char *label, const char *value)
{
	struct json *entry = json_object_new();

	json_set_string(entry, "label", label);
	json_set_string(entry, "value", value);
	json_append(list, entry);
}

static const char *chimney_of(struct svc *svc)
{
	char key[SVC_NAME_MAX_LEN + 16];
	const struct json *record;
	uint64_t version;

	snprintf(key, sizeof(key), "offload/%s", cluster_local_name(svc->cluster));
	if (cluster_get(svc->cluster, key, &record, &version) < 0)
		return "disabled";
	return json_get_string(record, "chimney", "disabled");
}

static bool spreads(const struct host_net *net)
{
	struct nic_channels channels;

	for (size_t i = 0; i < net->n_nics; i++) {
		if (nic_get_channels(net->nics[i].name, &channels) == 0 && channels.rx > 1)
			return true;
	}
	return false;
}

static const char *sysctl_word(const char *path, const char *const *words, int n)
{
	int value;

	return sysctl_get(path, &value) < 0 ? "unknown"
	       : value >= 0 && value < n    ? words[value]
					    : words[n - 1];
}

static struct json *globals_json(struct svc *svc, const struct host_net *net)
{
	static const char *const tuning[] = {"disabled", "normal"};
	static const char *const ecn[] = {"disabled", "enabled", "enabled when the peer asks"};
	static const char *const timestamps[] = {"disabled", "enabled"};
	struct json *list = json_array_new();
	char text[96];

	append_global(list, "Receive-Side Scaling State", spreads(net) ? "enabled" : "disabled");
	snprintf(text, sizeof(text), "%.16s (%s)", chimney_of(svc), CHIMNEY_TRUTH);
	append_global(list, "Chimney Offload State", text);
	append_global(list, "Direct Cache Access", "not set here: the processor decides");
	append_global(list, "Receive Window Auto-Tuning Level",
		sysctl_word("ipv4/tcp_moderate_rcvbuf", tuning, ARRAY_LEN(tuning)));
	if (sysctl_get_text("ipv4/tcp_congestion_control", text, sizeof(text)) < 0)
		snprintf(text, sizeof(text), "unknown");
	append_global(list, "Add-On Congestion Control Provider", text);
	append_global(list, "ECN Capability", sysctl_word("ipv4/tcp_ecn", ecn, ARRAY_LEN(ecn)));
	append_global(list, "RFC 1323 Timestamps",
		sysctl_word("ipv4/tcp_timestamps", timestamps, ARRAY_LEN(timestamps)));
	return list;
}

/* ---- adapters of the host ---- */

static bool feature(const char *nic, enum nic_feature which)
{
	bool on = false;

	return nic_get_feature(nic, which, &on) == 0 && on;
}

static const char *checksum_text(bool tx, bool rx)
{
	return tx && rx ? "Rx & Tx Enabled" : tx ? "Tx Enabled" : rx ? "Rx Enabled" : "Disabled";
}

static void rss_text(const char *nic, char *text, size_t size_bytes)
{
	struct nic_channels channels;
	const char *hash;

	if (nic_get_channels(nic, &channels) < 0)
		snprintf(text, size_bytes, "Not available");
	else if (channels.rx < 2)
		snprintf(text, size_bytes, "Disabled, 1 queue of %u", MAX(channels.max_rx, 1U));
	else
		snprintf(text, size_bytes, "Enabled, %u queues of %u%s%s", channels.rx,
			channels.max_rx, nic_get_rx_hash(nic, &hash) == 0 ? ", by " : "",
			nic_get_rx_hash(nic, &hash) == 0 ? hash : "");
}

static struct json *host_json(const struct host_nic *nic, const char *owner)
{
	bool tx = feature(nic->name, NIC_TX_CHECKSUM), rx = feature(nic->name, NIC_RX_CHECKSUM);
	bool tso = feature(nic->name, NIC_TSO), lro = feature(nic->name, NIC_LRO);
	struct json *entry = json_object_new();
	char text[96];

	json_set_string(entry, "adapter", nic->name);
	json_set_string(entry, "of", "host");
	json_set_string(entry, "switch", owner);
	json_set_string(entry, "task_offload", tx || rx || tso || lro ? "Enabled" : "Disabled");
	/* The kernel does not tell them apart. */
	json_set_string(entry, "tcp_checksum", checksum_text(tx, rx));
	json_set_string(entry, "udp_checksum", checksum_text(tx, rx));
	json_set_string(entry, "lso",
		tso                           ? "Enabled"
		: feature(nic->name, NIC_GSO) ? "By the kernel"
					      : "Disabled");
	json_set_string(entry, "rsc",
		lro                           ? "Enabled"
		: feature(nic->name, NIC_GRO) ? "By the kernel"
					      : "Disabled");
	rss_text(nic->name, text, sizeof(text));
	json_set_string(entry, "rss", text);
	return entry;
}

/* ---- adapters of VMs: what their guests have, and what they will have ---- */

struct listing {
	struct svc *svc;
	struct json *list;
	const char *vm, *switch_name;
};

const struct json *api_vm_offloads(struct svc *svc, const char *name, const struct vm_view *view)
{
	const struct vmproc *vp = vmproc_find(svc, name);
	const struct json *saved = json_get(view->state, "offloads");

	if (vp)
		return vp->offloads;
	return nic_offloads_are_valid(saved, view->config) ? saved : NULL;
}

static const char *state_text(bool on)
{
	return on ? "Enabled" : "Disabled";
}

/* In the words that adapters of the host have. */
static void set_offloads(struct json *entry, const struct json *offload)
{
	bool tx = nic_offload_has(offload, NIC_CSUM_TX), rx = nic_offload_has(offload, NIC_CSUM_RX);

	json_set_string(entry, "task_offload", state_text(tx || rx));
	json_set_string(entry, "tcp_checksum", checksum_text(tx, rx));
	json_set_string(entry, "udp_checksum", checksum_text(tx, rx));
	json_set_string(entry, "lso", state_text(nic_offload_has(offload, NIC_LSO)));
	json_set_string(entry, "rsc", state_text(nic_offload_has(offload, NIC_RSC)));
	json_set_string(entry, "rss", state_text(nic_offload_has(offload, NIC_RSS)));
}

/* It runs where nobody answers. */
static void set_unknown(struct json *entry)
{
	static const char *const keys[] = {
		"task_offload", "tcp_checksum", "udp_checksum", "lso", "rsc", "rss"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_set_string(entry, keys[i], "Unknown");
}

/* What is shown of `offload` and differs from what `entry` shows; NULL: nothing does. */
static struct json *differences(const struct json *entry, const struct json *offload)
{
	_cleanup_json_ struct json *all = json_object_new();
	struct json *differing = NULL, *value;
	const char *key;
	void *at = NULL;

	set_offloads(all, offload);
	while (json_next(all, &at, &key, &value)) {
		if (json_is_equal(value, json_get(entry, key)))
			continue;
		if (!differing)
			differing = json_object_new();
		json_set(differing, key, json_ref(value));
	}
	return differing;
}

static void append_vm_nic(struct listing *l, const char *vm, size_t at, const struct vm_view *view)
{
	const struct json *nic = json_at(json_get(view->config, "nics"), at);
	const struct json *in_force = json_at(api_vm_offloads(l->svc, vm, view), at);
	const struct json *recorded = json_get(nic, "offload");
	struct json *entry = json_object_new(), *next;
	const char *reason, *state = api_vm_state(view, &reason);

	json_set_stringf(entry, "adapter", "%s/nic%zu", vm, at);
	json_set_string(entry, "of", "vm");
	json_set_string(entry, "vm_state", state);
	json_set_string(entry, "switch", json_get_string(nic, "switch", ""));
	if (in_force || api_vm_is_off(view) || strcmp(state, "Saved") == 0)
		set_offloads(entry, in_force ? in_force : recorded);
	else
		set_unknown(entry);
	next = differences(entry, recorded);
	if (next)
		json_set(entry, "next", next);
	json_append(l->list, entry);
}

static int list_vm(
	const char *key, const struct json *config, uint64_t version _unused_, void *data)
{
	const char *name = strchr(key, '/') + 1;
	const struct json *nics = json_get(config, "nics");
	struct listing *l = data;
	char text[SVC_NAME_MAX_LEN + 1];
	struct vm_view view;

	if (api_vm_view(l->svc, name, &view) < 0 || (l->vm && strcmp(l->vm, name) != 0) ||
		(!l->vm && view.owner.node_id != cluster_local_id(l->svc->cluster)))
		return 0;
	for (size_t i = 0; i < json_length(nics); i++) {
		const char *reference = json_get_string(json_at(nics, i), "switch", "");
		const char *found = switchd_resolve(
			l->svc, cluster_local_name(l->svc->cluster), reference, text, sizeof(text));

		if (!l->switch_name || (found && strcmp(found, l->switch_name) == 0))
			append_vm_nic(l, name, i, &view);
	}
	return 0;
}

/* ---- offload.show ---- */

static const char *owner_in(const struct host_use *uses, size_t n, const char *nic)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(uses[i].uplink, nic) == 0)
			return uses[i].switch_name;
	}
	return "";
}

static bool host_nic_is_wanted(const struct api_call *call, const char *nic, const char *owner)
{
	const char *host = json_get_string(call->message, "host", NULL);
	const char *switch_name = json_get_string(call->message, "switch", NULL);
	char tap[HOST_NIC_NAME_MAX_LEN + 1];

	if (json_get_string(call->message, "vm", NULL))
		return false;
	if (host)
		return strcmp(host, nic) == 0;
	if (!switch_name)
		return true;
	snprintf(tap, sizeof(tap), "vs-%.12s", switch_name);
	return strcmp(owner, switch_name) == 0 || strcmp(tap, nic) == 0;
}

static struct json *adapters_json(struct api_call *call, const struct host_net *net)
{
	struct listing l = {
		.svc = call->svc,
		.list = json_array_new(),
		.vm = json_get_string(call->message, "vm", NULL),
		.switch_name = json_get_string(call->message, "switch", NULL),
	};
	struct host_use uses[NIC_MAX_USES];
	size_t n = nic_uses(call->svc, uses);

	for (size_t i = 0; i < net->n_nics; i++) {
		const char *owner = owner_in(uses, n, net->nics[i].name);

		if (host_nic_is_wanted(call, net->nics[i].name, owner))
			json_append(l.list, host_json(&net->nics[i], owner));
	}
	if (!json_get_string(call->message, "host", NULL))
		cluster_for_each(call->svc->cluster, "vm/", list_vm, &l);
	return l.list;
}

static void add_connections(struct json *result)
{
	struct host_tcp *connections = calloc(MAX_CONNECTIONS, sizeof(*connections));
	struct json *list = json_array_new();
	size_t n = 0, total = 0;

	if (connections)
		host_tcp_read(connections, MAX_CONNECTIONS, &n, &total);
	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();

		json_set_string(entry, "local", connections[i].local);
		json_set_string(entry, "remote", connections[i].remote);
		json_set_string(entry, "state", connections[i].state);
		json_set_string(entry, "offload_state", "InHost");
		json_append(list, entry);
	}
	free(connections);
	json_set(result, "connections", list);
	json_set_int(result, "connections_total", (int64_t)total);
}

/* True when what the request wants to see exists; otherwise the call was failed. */
static bool check_show(struct api_call *call, const struct host_net *net)
{
	const char *host = json_get_string(call->message, "host", NULL);
	const char *switch_name = json_get_string(call->message, "switch", NULL);
	const char *vm = json_get_string(call->message, "vm", NULL);
	const char *local = cluster_local_name(call->svc->cluster);
	char key[2 * SVC_NAME_MAX_LEN + 16];
	const struct json *record;
	uint64_t version;

	if (!!host + !!switch_name + !!vm > 1) {
		api_fail(call, API_USAGE, "one of an adapter, a switch and a VM");
		return false;
	}
	if (host && !host_net_find(net, host)) {
		api_fail(call, API_NOT_FOUND, "there is no network adapter '%.15s'", host);
		return false;
	}
	snprintf(key, sizeof(key), "%s%s%s%.63s", vm ? "vm" : "switch/", vm ? "" : local, "/",
		vm            ? vm
		: switch_name ? switch_name
			      : "");
	if ((vm || switch_name) && cluster_get(call->svc->cluster, key, &record, &version) < 0) {
		api_fail(call, API_NOT_FOUND, "there is no %s '%.63s' here", vm ? "VM" : "switch",
			vm ? vm : switch_name);
		return false;
	}
	return true;
}

/* What a VM's guest has is known where the VM is. */
static bool goes_to_owner(struct api_call *call)
{
	const char *vm = json_get_string(call->message, "vm", NULL);
	struct vm_view view;

	if (!vm || call->from_peer || api_vm_view(call->svc, vm, &view) < 0 || !view.node.id ||
		view.node.id == cluster_local_id(call->svc->cluster) || !view.node.has_service)
		return false;
	api_forward(call, view.node.name);
	return true;
}

/* {[host | switch | vm], [node], [connections]} -> {node, global, adapters: [{adapter, of, switch,
 * task_offload, tcp_checksum, udp_checksum, lso, rsc, rss}], [connections]}. An adapter of a VM has
 * {vm_state} too, and {next: {...}} with those that will be others when its guest starts. */
void api_offload_show(struct api_call *call)
{
	struct json *result;
	struct host_net net;
	int r;

	if (goes_to_owner(call) || !nic_at_node(call))
		return;
	r = host_net_read(&net);
	if (r < 0) {
		api_fail(call, API_FAILED, "the kernel does not tell its network adapters: %s",
			strerror(-r));
		return;
	}
	if (check_show(call, &net)) {
		result = json_object_new();
		json_set_string(result, "node", cluster_local_name(call->svc->cluster));
		json_set(result, "global", globals_json(call->svc, &net));
		json_set(result, "adapters", adapters_json(call, &net));
		if (json_get_bool(call->message, "connections", false))
			add_connections(result);
		api_reply(call, result);
	}
	host_net_fini(&net);
}

/* ---- offload.set ---- */

static int set_checksum(const char *nic, const char *value)
{
	bool tx = strcmp(value, "tx") == 0 || strcmp(value, "both") == 0;
	bool rx = strcmp(value, "rx") == 0 || strcmp(value, "both") == 0;
	int r;

	if (!tx && !rx && strcmp(value, "off") != 0)
		return -EINVAL;
	r = nic_set_feature(nic, NIC_RX_CHECKSUM, rx);
	return r < 0 ? r : nic_set_feature(nic, NIC_TX_CHECKSUM, tx);
}

/* What the adapter does and what the kernel does in its place go together. One of both is enough
 * to have it on; off means neither. */
static int set_pair(
	const char *nic, enum nic_feature by_nic, enum nic_feature by_kernel, const char *value)
{
	bool on = strcmp(value, "on") == 0;
	int kernel, hardware;

	if (!on && strcmp(value, "off") != 0)
		return -EINVAL;
	kernel = nic_set_feature(nic, by_kernel, on);
	hardware = nic_set_feature(nic, by_nic, on);
	if (on && hardware == 0)
		return 0;
	return kernel < 0 ? kernel : on ? 0 : hardware;
}

static int set_rss(const char *nic, const char *value)
{
	struct nic_channels channels;
	int r;

	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return -EINVAL;
	r = nic_get_channels(nic, &channels);
	if (r < 0)
		return r;
	if (strcmp(value, "on") == 0 && channels.max_rx < 2)
		return -EOPNOTSUPP;
	return nic_set_rx_channels(nic, strcmp(value, "on") == 0 ? channels.max_rx : 1);
}

/* Frames that the adapter has put together lose what a switch needs to pass them on; the kernel's
 * way (GRO) keeps it. */
static int set_rsc(struct svc *svc, const char *nic, const char *value)
{
	struct host_use uses[NIC_MAX_USES];
	size_t n = nic_uses(svc, uses);

	if (owner_in(uses, n, nic)[0] && strcmp(value, "on") == 0)
		return nic_set_feature(nic, NIC_GRO, true);
	return set_pair(nic, NIC_LRO, NIC_GRO, value);
}

/* 0, or an error; `*ret_what` is the setting that failed. */
static int set_nic(struct api_call *call, const char *nic, const char **ret_what)
{
	static const char *const keys[] = {"tcp_checksum", "lso", "rsc", "rss"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys) && r == 0; i++) {
		const char *value = json_get_string(call->message, keys[i], NULL);

		if (!value)
			continue;
		*ret_what = keys[i];
		r = i == 0   ? set_checksum(nic, value)
		    : i == 1 ? set_pair(nic, NIC_TSO, NIC_GSO, value)
		    : i == 2 ? set_rsc(call->svc, nic, value)
			     : set_rss(nic, value);
	}
	return r;
}

static void on_chimney_set(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	struct json *result;

	if (error < 0) {
		api_fail_errno(call, error, "the setting was not stored");
		return;
	}
	result = json_object_new();
	json_set_string(result, "chimney", json_get_string(call->message, "chimney", ""));
	json_set_string(result, "state", CHIMNEY_TRUTH);
	api_reply(call, result);
}

static void set_chimney(struct api_call *call, const char *value)
{
	struct cluster *cluster = call->svc->cluster;
	char key[SVC_NAME_MAX_LEN + 16];
	struct json *record;
	bool known = false;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(chimney_settings); i++)
		known |= strcmp(chimney_settings[i], value) == 0;
	if (!known) {
		api_fail(call, API_USAGE, "the chimney is enabled, disabled or automatic");
		return;
	}
	if (!api_needs_quorum(call))
		return;
	record = json_object_new();
	json_set_string(record, "chimney", value);
	snprintf(key, sizeof(key), "offload/%s", cluster_local_name(cluster));
	r = cluster_cas(cluster, key, CLUSTER_ANY_VERSION, record, on_chimney_set, call);
	if (r < 0)
		api_fail_errno(call, r, "the setting was not stored");
}

void api_offload_set(struct api_call *call)
{
	const char *nic = json_get_string(call->message, "nic", NULL);
	const char *chimney = json_get_string(call->message, "chimney", NULL), *what = NULL;
	int r;

	if (!nic_at_node(call))
		return;
	if (!nic == !chimney || (nic && !host_nic_name_is_valid(nic))) {
		api_fail(call, API_USAGE,
			"either an adapter and what is to be set on it, or the chimney");
		return;
	}
	if (chimney) {
		set_chimney(call, chimney);
		return;
	}
	r = set_nic(call, nic, &what);
	if (r == 0 && !what)
		api_fail(call, API_USAGE, "say what is to be set on %s", nic);
	else if (r == -EINVAL)
		api_fail(call, API_USAGE, "%s cannot be that: %s", what,
			strcmp(what, "tcp_checksum") == 0 ? "tx, rx, both or off" : "on or off");
	else if (r == -ENODEV)
		api_fail(call, API_NOT_FOUND, "there is no network adapter '%s'", nic);
	else if (r < 0)
		api_fail(call, nic_code(r), "%s of %s cannot be set so: %s", what, nic,
			r == -EOPNOTSUPP ? "its driver does not have it" : strerror(-r));
	else
		api_reply(call, NULL);
}
