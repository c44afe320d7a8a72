/* SPDX-License-Identifier: MIT
 *
 * Changes of the bindings of this node's adapters: nic.change, nic.order.
 */
#include "node/svc/svc.h"

#include "node/host/order.h"

#include <stdio.h>
#include <string.h>

#define ERROR_BYTES 384

/* ---- one adapter ---- */

struct wish {
	struct svc *svc;
	const char *action;
	enum host_component component;
	bool force;
};

static const char *owner_of(struct svc *svc, const char *nic)
{
	struct host_use uses[NIC_MAX_USES];
	size_t n = nic_uses(svc, uses);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(uses[i].uplink, nic) == 0)
			return uses[i].switch_name;
	}
	return NULL;
}

static int unbind(struct wish *wish, const char *nic, char *error)
{
	const char *owner = owner_of(wish->svc, nic);

	if (owner) {
		snprintf(error, ERROR_BYTES,
			"%s is the uplink of switch %s; give the switch another one with 'viaduct "
			"switch set %s --uplink OTHER', or delete it with 'viaduct switch delete "
			"%s', then unbind",
			nic, owner, owner, owner);
		return -EBUSY;
	}
	return host_nic_give_back(wish->svc->host, nic, error, ERROR_BYTES);
}

static int repair(struct wish *wish, const char *nic, char *error)
{
	const char *owner = owner_of(wish->svc, nic);
	int r;

	if (owner)
		return nic_take(wish->svc, nic, owner, wish->force, error, ERROR_BYTES);
	r = host_nic_give_back(wish->svc->host, nic, error, ERROR_BYTES);
	return r == -ENOENT ? 0 : r; /* nothing is wrong with it */
}

static int apply(struct wish *wish, const char *nic, char *error)
{
	if (strcmp(wish->action, "unbind") == 0)
		return unbind(wish, nic, error);
	if (strcmp(wish->action, "repair") == 0)
		return repair(wish, nic, error);
	if (wish->component == HOST_VIADUCT_SWITCH)
		return unbind(wish, nic, error);
	if (strcmp(wish->action, "disable") == 0)
		return host_component_disable(
			wish->svc->host, nic, wish->component, error, ERROR_BYTES);
	return host_component_enable(wish->svc->host, nic, wish->component, error, ERROR_BYTES);
}

static void append_outcome(struct json *list, const char *nic, int r, const char *error)
{
	struct json *entry = json_object_new();

	json_set_string(entry, "nic", nic);
	/* What is not there to be undone is no failure when everything was asked for. */
	json_set_string(entry, "outcome",
		r == 0                             ? "done"
		: r == -ENOENT || r == -EOPNOTSUPP ? "unchanged"
						   : "failed");
	json_set_string(entry, "text", r == 0 ? "" : error);
	json_append(list, entry);
}

static void apply_to_all(struct api_call *call, struct wish *wish)
{
	struct json *result, *list;
	char error[ERROR_BYTES];
	struct host_net net;
	int r = host_net_read(&net);

	if (r < 0) {
		api_fail(call, API_FAILED, "the kernel does not tell its network adapters: %s",
			strerror(-r));
		return;
	}
	list = json_array_new();
	for (size_t i = 0; i < net.n_nics; i++) {
		error[0] = '\0';
		r = apply(wish, net.nics[i].name, error);
		append_outcome(list, net.nics[i].name, r, error);
	}
	host_net_fini(&net);
	result = json_object_new();
	json_set(result, "changes", list);
	api_reply(call, result);
}

static void apply_to_one(struct api_call *call, struct wish *wish, const char *nic)
{
	char error[ERROR_BYTES] = "";
	struct json *result, *list;
	int r = apply(wish, nic, error);

	if (r < 0) {
		api_fail(call, nic_code(r), "%s", error[0] ? error : strerror(-r));
		return;
	}
	list = json_array_new();
	append_outcome(list, nic, 0, "");
	result = json_object_new();
	json_set(result, "changes", list);
	api_reply(call, result);
}

/* ---- binding: a switch's record names the adapter ---- */

static void reply_bound(struct api_call *call)
{
	struct json *result = json_object_new(), *list = json_array_new();

	append_outcome(list, json_get_string(call->message, "nic", ""), 0, "");
	json_set(result, "changes", list);
	api_reply(call, result);
}

static void on_switch_made(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;
	const char *nic = json_get_string(call->message, "nic", "");
	char text[ERROR_BYTES] = "";

	if (error == 0) {
		reply_bound(call);
		return;
	}
	host_nic_give_back(call->svc->host, nic, text, sizeof(text));
	api_fail_errno(call, error, "the switch was not made, and the adapter was given back");
}

static void bind_to_new_switch(struct api_call *call, const char *nic, const char *name)
{
	struct cluster *cluster = call->svc->cluster;
	char key[2 * SVC_NAME_MAX_LEN + 16], error[ERROR_BYTES] = "";
	struct json *record;
	int r;

	if (!api_needs_quorum(call))
		return;
	r = nic_take(call->svc, nic, name, json_get_bool(call->message, "force", false), error,
		sizeof(error));
	if (r < 0) {
		api_fail(call, nic_code(r), "%s", error[0] ? error : strerror(-r));
		return;
	}
	record = json_object_new();
	json_set_string(record, "type", "external");
	json_set_string(record, "uplink", nic);
	snprintf(key, sizeof(key), "switch/%s/%s", cluster_local_name(cluster), name);
	r = cluster_cas(cluster, key, 0, record, on_switch_made, call);
	if (r < 0)
		on_switch_made(r, 0, call);
}

static void bind_nic(struct api_call *call, const char *nic)
{
	const char *name = json_get_string(call->message, "switch", NULL);
	const char *owner = owner_of(call->svc, nic);
	char key[2 * SVC_NAME_MAX_LEN + 16], error[ERROR_BYTES] = "";
	const struct json *record;
	uint64_t version;
	int r;

	if (owner && name && strcmp(owner, name) != 0) {
		api_fail(call, API_CONFLICT,
			"%s is the uplink of switch %s already; give that one another with "
			"'viaduct "
			"switch set %s --uplink OTHER' first",
			nic, owner, owner);
	} else if (owner) {
		r = nic_take(call->svc, nic, owner, json_get_bool(call->message, "force", false),
			error, sizeof(error));
		if (r < 0)
			api_fail(call, nic_code(r), "%s", error[0] ? error : strerror(-r));
		else
			reply_bound(call);
	} else if (!name || !svc_name_is_valid(name)) {
		api_fail(call, API_USAGE,
			"no switch names %s as its uplink; say which one is to be made for it: "
			"--switch NAME",
			nic);
	} else {
		snprintf(key, sizeof(key), "switch/%s/%s", cluster_local_name(call->svc->cluster),
			name);
		if (cluster_get(call->svc->cluster, key, &record, &version) == 0)
			api_fail(call, API_CONFLICT,
				"switch %s exists without %s; 'viaduct switch set %s --uplink %s' "
				"gives it that uplink",
				name, nic, name, nic);
		else
			bind_to_new_switch(call, nic, name);
	}
}

void api_nic_change(struct api_call *call)
{
	static const char *const actions[] = {"enable", "disable", "bind", "unbind", "repair"};
	const char *nic = json_get_string(call->message, "nic", "");
	const char *protocol = json_get_string(call->message, "protocol", NULL);
	struct wish wish = {
		.svc = call->svc,
		.action = json_get_string(call->message, "action", ""),
		.force = json_get_bool(call->message, "force", false),
	};
	bool all = strcmp(nic, "*") == 0, known = false, of_component, bind;

	if (!nic_at_node(call))
		return;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		known |= strcmp(wish.action, actions[i]) == 0;
	of_component = strcmp(wish.action, "enable") == 0 || strcmp(wish.action, "disable") == 0;
	if (!known || (!all && !host_nic_name_is_valid(nic)) ||
		of_component != (protocol != NULL)) {
		api_fail(call, API_USAGE,
			"a change of bindings needs an adapter, and to enable or disable also a "
			"protocol");
		return;
	}
	if (protocol && !host_component_from_name(protocol, &wish.component)) {
		api_fail(call, API_USAGE,
			"there is no protocol '%.40s': ipv4, ipv6, bridge, team or viaduct_switch",
			protocol);
		return;
	}
	bind = strcmp(wish.action, "bind") == 0 ||
	       (protocol && wish.component == HOST_VIADUCT_SWITCH &&
		       strcmp(wish.action, "enable") == 0);
	if (bind && all)
		api_fail(call, API_USAGE, "a switch has one uplink: name the adapter to bind");
	else if (bind)
		bind_nic(call, nic);
	else if (all)
		apply_to_all(call, &wish);
	else
		apply_to_one(call, &wish, nic);
}

/* ---- nic.order ---- */

static struct json *order_json(const struct host_net *net, int family)
{
	struct host_order_entry *entries = calloc(net->n_nics + 1, sizeof(*entries));
	struct json *list = json_array_new();
	size_t n = entries ? host_order_list(net, family, entries) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json *entry = json_object_new();

		json_set_string(entry, "nic", entries[i].nic);
		if (entries[i].ranked)
			json_set_int(entry, "metric", entries[i].metric);
		json_set_bool(entry, "default", entries[i].has_default);
		json_append(list, entry);
	}
	free(entries);
	return list;
}

static void describe_step(const struct host_order_step *step, char *text, size_t size_bytes)
{
	char prefix[HOST_ADDRESS_TEXT];

	if (step->is_address)
		snprintf(text, size_bytes, "connected route of %s on %s: metric %u -> %u",
			host_address_text(step->address.family, step->address.local,
				step->address.prefix_len, prefix),
			step->nic, step->from, step->to);
	else
		snprintf(text, size_bytes, "default route over %s: metric %u -> %u", step->nic,
			step->from, step->to);
}

/* 0, or an error with a sentence. Each step that was done, or would be, is in `steps`. */
static int move_nic(struct api_call *call, const struct host_net *net, int family,
	enum host_move move, struct json *steps, char *error)
{
	const char *nic = json_get_string(call->message, "nic", "");
	bool dry = json_get_bool(call->message, "dry_run", false);
	_cleanup_free_ struct host_order_step *plan = NULL;
	char text[192];
	size_t n = 0;
	int r = host_order_plan(net, family, nic, move, &plan, &n);

	if (r == -ENODEV)
		snprintf(error, ERROR_BYTES, "there is no network adapter '%.15s'", nic);
	else if (r == -ENOENT)
		snprintf(error, ERROR_BYTES,
			"%.15s has no address and no route of this protocol, so it has no place in "
			"the order",
			nic);
	for (size_t i = 0; i < n && r == 0; i++) {
		describe_step(&plan[i], text, sizeof(text));
		if (!dry)
			r = host_order_apply(call->svc->host, &plan[i]);
		if (r < 0)
			snprintf(error, ERROR_BYTES, "%s: %s; the steps before it were done", text,
				strerror(-r));
		else
			json_append_string(steps, text);
	}
	return r;
}

static int parse_move(const char *text)
{
	static const char *const moves[] = {
		[HOST_MOVE_UP] = "up",
		[HOST_MOVE_DOWN] = "down",
		[HOST_MOVE_TOP] = "top",
		[HOST_MOVE_BOTTOM] = "bottom",
	};

	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		if (strcmp(moves[i], text) == 0)
			return (int)i;
	}
	return -EINVAL;
}

void api_nic_order(struct api_call *call)
{
	const char *move_text = json_get_string(call->message, "move", NULL);
	enum host_component component = HOST_N_COMPONENTS;
	int move = move_text ? parse_move(move_text) : 0, family, r;
	char error[ERROR_BYTES] = "";
	struct json *result, *steps;
	struct host_net net;

	if (!nic_at_node(call))
		return;
	host_component_from_name(json_get_string(call->message, "protocol", ""), &component);
	if ((component != HOST_IPV4 && component != HOST_IPV6) || move < 0) {
		api_fail(call, API_USAGE,
			"ipv4 and ipv6 have an order of adapters; one moves up, down, top or "
			"bottom");
		return;
	}
	family = component == HOST_IPV4 ? AF_INET : AF_INET6;
	r = host_net_read(&net);
	if (r < 0) {
		api_fail(call, API_FAILED, "the kernel does not tell its network adapters: %s",
			strerror(-r));
		return;
	}
	steps = json_array_new();
	if (move_text)
		r = move_nic(call, &net, family, (enum host_move)move, steps, error);
	host_net_fini(&net);
	if (r == 0)
		r = host_net_read(&net);
	if (r < 0) {
		json_unref(steps);
		api_fail(call, nic_code(r), "%s", error[0] ? error : strerror(-r));
		return;
	}
	result = json_object_new();
	json_set(result, "order", order_json(&net, family));
	json_set(result, "steps", steps);
	json_set_bool(result, "dry_run", json_get_bool(call->message, "dry_run", false));
	host_net_fini(&net);
	api_reply(call, result);
}
