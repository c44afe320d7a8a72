/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "base/log.h"
#include "node/host/order.h"

#include <stdio.h>
#include <string.h>

#define MAX_ESSENTIAL 32

bool nic_at_node(struct api_call *call)
{
	const char *local = cluster_local_name(call->svc->cluster);
	const char *node = json_get_string(call->message, "node", NULL);

	if (!local)
		api_fail(call, API_NO_QUORUM,
			"corosync does not answer on this node, so its switches are not known; is "
			"it "
			"running?");
	else if (node && !call->from_peer && strcmp(node, local) != 0)
		api_forward(call, node);
	else if (!call->svc->host)
		api_fail(call, API_FAILED,
			"the adapters of %s cannot be managed; the log of viaductd says why",
			local);
	else
		return true;
	return false;
}

enum api_code nic_code(int error)
{
	switch (error) {
	case -ENODEV:
		return API_NOT_FOUND;
	case -EINVAL:
		return API_USAGE;
	case -EBUSY:
	case -EOPNOTSUPP:
		return API_REFUSED;
	case -ENOENT:
		return API_CONFLICT;
	default:
		return API_FAILED;
	}
}

/* ---- who uses an adapter ---- */

struct collect {
	struct host_use *uses;
	size_t n;
};

static int collect_use(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct collect *c = data;
	const char *name = strrchr(key, '/') + 1;
	const char *one = json_get_string(record, "uplink", NULL);
	const struct json *many = json_get(record, "uplinks");

	if (one && c->n < NIC_MAX_USES)
		c->uses[c->n++] = (struct host_use){name, one};
	for (size_t i = 0; i < json_length(many) && c->n < NIC_MAX_USES; i++)
		c->uses[c->n++] = (struct host_use){name, json_string(json_at(many, i), "")};
	return 0;
}

size_t nic_uses(struct svc *svc, struct host_use ret_uses[NIC_MAX_USES])
{
	struct collect c = {.uses = ret_uses};
	char prefix[SVC_NAME_MAX_LEN + 16];

	snprintf(prefix, sizeof(prefix), "switch/%s/", cluster_local_name(svc->cluster));
	cluster_for_each(svc->cluster, prefix, collect_use, &c);
	return c.n;
}

/* What corosync and the other nodes reach this node by. */
static size_t essential_addresses(const struct cluster_node *local, const struct cluster_net *nets,
	size_t n_nets, const char **ret_addresses)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(local->ring_addr) && n < MAX_ESSENTIAL; i++) {
		if (local->ring_addr[i][0])
			ret_addresses[n++] = local->ring_addr[i];
	}
	for (size_t i = 0; i < n_nets; i++) {
		for (size_t k = 0; k < nets[i].n_interfaces && n < MAX_ESSENTIAL; k++) {
			/* A network that only one node is in carries nothing of the cluster. */
			if (nets[i].interfaces[k].node_id == local->id &&
				nets[i].role != CLUSTER_ROLE_NONE && nets[i].n_interfaces > 1)
				ret_addresses[n++] = nets[i].interfaces[k].address;
		}
	}
	return n;
}

/* host_nic_take() or host_nic_may_take(), with this node's addresses. */
typedef int (*take_fn)(struct host *host, const char *nic, const struct host_take *take,
	char *error, size_t size_bytes);

static int call_take(struct svc *svc, take_fn fn, const char *nic, const char *switch_name,
	bool force, char *error, size_t size_bytes)
{
	struct cluster_net nets[CLUSTER_MAX_NETS];
	const char *essential[MAX_ESSENTIAL];
	struct cluster_node local = {0};
	size_t n_nets = cluster_nets(svc->cluster, nets, ARRAY_LEN(nets));
	struct host_take take = {
		.switch_name = switch_name, .essential = essential, .force = force};

	cluster_find_node(svc->cluster, cluster_local_name(svc->cluster), &local);
	take.n_essential = essential_addresses(&local, nets, n_nets, essential);
	return fn(svc->host, nic, &take, error, size_bytes);
}

int nic_take(struct svc *svc, const char *nic, const char *switch_name, bool force, char *error,
	size_t size_bytes)
{
	return call_take(svc, host_nic_take, nic, switch_name, force, error, size_bytes);
}

int nic_may_take(
	struct svc *svc, const char *nic, const char *switch_name, char *error, size_t size_bytes)
{
	return call_take(svc, host_nic_may_take, nic, switch_name, false, error, size_bytes);
}

void nic_release(struct svc *svc, const char *nic)
{
	struct host_use uses[NIC_MAX_USES];
	size_t n = nic_uses(svc, uses);
	char error[256] = "";
	int r;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(uses[i].uplink, nic) == 0)
			return;
	}
	r = host_nic_give_back(svc->host, nic, error, sizeof(error));
	if (r < 0 && r != -ENOENT && r != -ENODEV)
		log_warning("%s does not get back what it had: %s", nic, error);
}

/* ---- nic.list, nic.bindings ---- */

struct view {
	struct svc *svc;
	struct host_net net;
	struct host_use uses[NIC_MAX_USES];
	size_t n_uses;
};

static bool view_init(struct api_call *call, struct view *view)
{
	int r = host_net_read(&view->net);

	if (r < 0) {
		api_fail(call, API_FAILED, "the kernel does not tell its network adapters: %s",
			strerror(-r));
		return false;
	}
	view->svc = call->svc;
	view->n_uses = nic_uses(call->svc, view->uses);
	return true;
}

static struct json *addresses_json(const struct view *view, const struct host_nic *nic)
{
	struct json *list = json_array_new();
	char text[HOST_ADDRESS_TEXT];

	for (size_t i = 0; i < view->net.n_addresses; i++) {
		const struct host_address *a = &view->net.addresses[i];

		if (a->ifindex == nic->ifindex)
			json_append_string(
				list, host_address_text(a->family, a->local, a->prefix_len, text));
	}
	return list;
}

static struct json *nic_json(const struct view *view, const struct host_nic *nic)
{
	struct json *entry = json_object_new();
	struct host_bindings b;

	host_bindings_get(view->svc->host, &view->net, nic, view->uses, view->n_uses, &b);
	json_set_string(entry, "name", nic->name);
	json_set_int(entry, "index", nic->ifindex);
	json_set_stringf(entry, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
		nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	json_set_string(entry, "kind", host_nic_kind_name(nic->kind));
	json_set_string(entry, "driver", nic->driver);
	json_set_string(entry, "bus", nic->bus);
	json_set_int(entry, "mtu", nic->mtu_bytes);
	json_set_int(entry, "speed_mbps", nic->speed_mbps);
	json_set_string(entry, "link", !nic->up ? "disabled" : nic->carrier ? "up" : "no carrier");
	json_set_string(entry, "master", b.master);
	json_set_string(entry, "owner", b.owner ? b.owner : "");
	json_set(entry, "addresses", addresses_json(view, nic));
	return entry;
}

void api_nic_list(struct api_call *call)
{
	struct json *result, *list;
	struct view view;

	if (!nic_at_node(call) || !view_init(call, &view))
		return;
	list = json_array_new();
	for (size_t i = 0; i < view.net.n_nics; i++)
		json_append(list, nic_json(&view, &view.net.nics[i]));
	host_net_fini(&view.net);
	result = json_object_new();
	json_set_string(result, "node", cluster_local_name(call->svc->cluster));
	json_set(result, "nics", list);
	api_reply(call, result);
}

static void append_problem(
	struct json *problems, const char *nic, const char *problem, const char *cure)
{
	struct json *entry = json_object_new();

	json_set_string(entry, "nic", nic);
	json_set_string(entry, "problem", problem);
	json_set_string(entry, "cure", cure);
	json_append(problems, entry);
}

static struct json *components_json(
	const struct view *view, const struct host_nic *nic, struct json *problems)
{
	struct json *list = json_array_new();
	char problem[256], cure[256];
	struct host_bindings b;

	host_bindings_get(view->svc->host, &view->net, nic, view->uses, view->n_uses, &b);
	for (int i = 0; i < HOST_N_COMPONENTS; i++) {
		struct json *entry = json_object_new();

		json_set_string(entry, "name", host_component_name(i));
		json_set_string(entry, "title", host_component_title(i));
		json_set_bool(entry, "enabled", b.enabled[i]);
		json_set_bool(entry, "remembered", b.remembered[i]);
		if (b.enabled[i] && (i == HOST_BRIDGE || i == HOST_TEAM))
			json_set_string(entry, "of", b.master);
		if (b.enabled[i] && i == HOST_VIADUCT_SWITCH)
			json_set_string(entry, "of", b.owner);
		json_append(list, entry);
	}
	if (!host_bindings_judge(nic, &b, view->uses, view->n_uses, problem, cure, sizeof(problem)))
		append_problem(problems, nic->name, problem, cure);
	return list;
}

/* Uplinks that do not exist. */
static void judge_missing(const struct view *view, struct json *problems)
{
	char problem[256], cure[256];

	for (size_t i = 0; i < view->n_uses; i++) {
		if (host_net_find(&view->net, view->uses[i].uplink))
			continue;
		snprintf(problem, sizeof(problem),
			"switch %.63s has the uplink %.15s, and there is no such adapter",
			view->uses[i].switch_name, view->uses[i].uplink);
		snprintf(cure, sizeof(cure), "viaduct switch set %.63s --uplink OTHER",
			view->uses[i].switch_name);
		append_problem(problems, view->uses[i].uplink, problem, cure);
	}
}

static bool is_wanted(const struct host_nic *nic, const char *wanted)
{
	return !wanted || strcmp(wanted, "*") == 0 || strcmp(wanted, nic->name) == 0;
}

void api_nic_bindings(struct api_call *call)
{
	const char *wanted = json_get_string(call->message, "nic", NULL);
	struct json *result, *list, *problems;
	struct view view;

	if (!nic_at_node(call) || !view_init(call, &view))
		return;
	if (wanted && strcmp(wanted, "*") != 0 && !host_net_find(&view.net, wanted)) {
		host_net_fini(&view.net);
		api_fail(call, API_NOT_FOUND, "there is no network adapter '%.15s'", wanted);
		return;
	}
	list = json_array_new();
	problems = json_array_new();
	for (size_t i = 0; i < view.net.n_nics; i++) {
		const struct host_nic *nic = &view.net.nics[i];
		struct json *entry;

		if (!is_wanted(nic, wanted))
			continue;
		entry = nic_json(&view, nic);
		json_set(entry, "components", components_json(&view, nic, problems));
		json_append(list, entry);
	}
	judge_missing(&view, problems);
	host_net_fini(&view.net);
	result = json_object_new();
	json_set_string(result, "node", cluster_local_name(call->svc->cluster));
	json_set(result, "nics", list);
	json_set(result, "problems", problems);
	api_reply(call, result);
}
