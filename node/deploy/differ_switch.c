/* SPDX-License-Identifier: MIT */
#include "node/deploy/differ_impl.h"

#include <stdio.h>
#include <string.h>

static const struct json *find_switch(const struct json *list, const char *node, const char *name)
{
	for (size_t i = 0; i < json_length(list); i++) {
		if (strcmp(json_get_string(json_at(list, i), "node", ""), node) == 0 &&
			strcmp(json_get_string(json_at(list, i), "name", ""), name) == 0)
			return json_at(list, i);
	}
	return NULL;
}

static struct json *switch_request(struct json *step, const char *op, const struct json *s)
{
	struct json *request = step_request(step, op);

	json_set(request, "name", json_copy(json_get(s, "name")));
	json_set(request, "node", json_copy(json_get(s, "node")));
	if (json_get_bool(s, "force", false))
		json_set_bool(request, "force", true);
	return request;
}

static void set_team(struct json *request, const char *mode)
{
	struct json *team = json_object_new();

	json_set_string(team, "mode", mode);
	json_set(request, "team", team);
}

static void join(const struct json *list, char *text, size_t size_bytes)
{
	text[0] = '\0';
	for (size_t i = 0; i < json_length(list); i++) {
		size_t len = strlen(text);

		snprintf(text + len, size_bytes - len, "%s%s", i ? "," : "",
			json_string(json_at(list, i), ""));
	}
}

static bool is_external(const struct json *s)
{
	return strcmp(json_get_string(s, "type", ""), "external") == 0;
}

/* ---- adapters of the host ---- */

static void adapter_object(struct json *steps, const char *action, const struct json *s,
	const char *adapter, struct json **ret_step)
{
	*ret_step = step_add(steps, action, "adapter %s of switch %s on %s", adapter,
		json_get_string(s, "name", ""), json_get_string(s, "node", ""));
}

static void add_adapter(const struct json *s, const struct json *adapter, struct json *steps)
{
	struct json *step, *wanted = json_copy(adapter);
	char text[256];

	adapter_object(steps, "create", s, json_get_string(adapter, "name", ""), &step);
	nic_describe(adapter, text, sizeof(text));
	step_detail(step, "%s", text);
	json_set(switch_request(step, "switch.adapter.add", s), "adapter", wanted);
}

static void diff_adapter(
	const struct json *s, const struct json *old, const struct json *new, struct json *steps)
{
	_cleanup_json_ struct json *changes = json_object_new();
	const char *name = json_get_string(new, "name", ""),
		   *mac = json_get_string(new, "mac", NULL);
	struct json *step, *request;

	adapter_object(steps, "none", s, name, &step);
	if (mac && strcmp(mac, json_get_string(old, "mac", "")) != 0) {
		value_differs(step, "mac", json_get(old, "mac"), json_get(new, "mac"));
		step_waits(step, "an adapter keeps its MAC: remove it, then apply again");
		return;
	}
	if (!nic_diff(old, new, NIC_OF_HOST, changes, json_get(step, "details")))
		return;
	json_set_string(step, "action", "change");
	json_set_string(step, "disruptive", "the host's traffic on it changes at once");
	request = switch_request(step, "switch.adapter.set", s);
	json_set_string(request, "adapter", name);
	json_set(request, "set", json_ref(changes));
}

static void diff_adapters(const struct json *s, const struct json *present, struct json *steps)
{
	const struct json *wanted = json_get(s, "adapters");

	for (size_t i = 0; i < json_length(wanted); i++) {
		const struct json *adapter = json_at(wanted, i);
		const struct json *old =
			list_find(present, "name", json_get_string(adapter, "name", ""));

		if (old)
			diff_adapter(s, old, adapter, steps);
		else
			add_adapter(s, adapter, steps);
	}
}

/* ---- switches ---- */

static void create_switch(const struct json *s, struct json *steps, const char *disruptive)
{
	_cleanup_json_ struct json *own = json_array_new();
	struct json *step = step_add(steps, "create", "switch %s on %s",
		json_get_string(s, "name", ""), json_get_string(s, "node", ""));
	struct json *request = switch_request(step, "switch.create", s), *adapter;
	const char *team = json_get_string(s, "team", NULL);
	char text[160];

	step_detail(step, "type: %s", json_get_string(s, "type", ""));
	json_set(request, "type", json_copy(json_get(s, "type")));
	if (is_external(s)) {
		join(json_get(s, "uplinks"), text, sizeof(text));
		step_detail(step, "uplink: %s", text);
		json_set(request, "uplinks", json_copy(json_get(s, "uplinks")));
	}
	if (team)
		set_team(request, team);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const keys[] = {"logical", "bandwidth_mode", "link_bps"};

		if (!json_get(s, keys[i]))
			continue;
		value_differs(step, keys[i], NULL, json_get(s, keys[i]));
		json_set(request, keys[i], json_copy(json_get(s, keys[i])));
	}
	if (disruptive)
		json_set_string(step, "disruptive", disruptive);
	/* An internal one is made with an adapter of its name. */
	if (strcmp(json_get_string(s, "type", ""), "internal") == 0) {
		adapter = json_object_new();
		json_set(adapter, "name", json_copy(json_get(s, "name")));
		json_append(own, adapter);
	}
	diff_adapters(s, own, steps);
}

static void remove_switch(const struct json *s, struct json *steps, const char *disruptive)
{
	struct json *step = step_add(steps, "remove", "switch %s on %s",
		json_get_string(s, "name", ""), json_get_string(s, "node", ""));

	json_set_string(step, "disruptive", disruptive);
	switch_request(step, "switch.delete", s);
}

static void diff_uplinks(const struct json *old, const struct json *new, struct json *step,
	struct json *request, bool *changed)
{
	const struct json *uplinks = json_get(new, "uplinks");
	const char *mode = json_get_string(new, "team", "standby");
	const char *before = json_get_string(json_get(old, "team"), "mode", "standby");
	char a[160], b[160];

	if (!json_is_equal(json_get(old, "uplinks"), uplinks)) {
		join(json_get(old, "uplinks"), a, sizeof(a));
		join(uplinks, b, sizeof(b));
		step_detail(step, "uplink: %s -> %s", a, b);
		json_set(request, "uplinks", json_copy(uplinks));
		json_set_string(step, "disruptive",
			"the switch is bound anew: its VMs lose frames meanwhile");
		*changed = true;
	}
	if (json_length(uplinks) > 1 &&
		(strcmp(mode, before) != 0 || json_get(request, "uplinks"))) {
		if (strcmp(mode, before) != 0)
			step_detail(step, "team: %s -> %s", before, mode);
		set_team(request, mode);
		*changed = true;
	}
}

static void diff_switch(const struct json *old, const struct json *new, struct json *steps)
{
	_cleanup_json_ struct json *none = json_string_new("none"), *zero = json_int_new(0);
	struct json *step, *request;
	bool changed = false;

	if (!json_is_equal(json_get(old, "type"), json_get(new, "type"))) {
		remove_switch(old, steps, "it is made anew with another type");
		create_switch(new, steps, "VMs on it are without a network meanwhile");
		return;
	}
	step = step_add(steps, "none", "switch %s on %s", json_get_string(new, "name", ""),
		json_get_string(new, "node", ""));
	request = switch_request(step, "switch.set", new);
	if (is_external(new))
		diff_uplinks(old, new, step, request, &changed);
	if (value_differs(step, "logical", json_get(old, "logical"), json_get(new, "logical"))) {
		if (json_get(new, "logical"))
			json_set(request, "logical", json_copy(json_get(new, "logical")));
		else
			json_set_string(request, "logical", NULL);
		changed = true;
	}
	for (unsigned i = 0; i < 2; i++) {
		static const char *const keys[] = {"bandwidth_mode", "link_bps"};
		const struct json *fallback = i ? zero : none;
		const struct json *a = json_get(old, keys[i]), *b = json_get(new, keys[i]);

		if (!value_differs(step, keys[i], a ? a : fallback, b ? b : fallback))
			continue;
		json_set(request, keys[i], json_copy(b ? b : fallback));
		changed = true;
	}
	if (changed)
		json_set_string(step, "action", "change");
	diff_adapters(new, json_get(old, "adapters"), steps);
}

void diff_switches(const struct json *file, const struct json *cluster, struct json *steps)
{
	const struct json *wanted = json_get(file, "switches");

	for (size_t i = 0; i < json_length(wanted); i++) {
		const struct json *s = json_at(wanted, i);
		const char *node = json_get_string(s, "node", "");
		const struct json *old = find_switch(
			json_get(cluster, "switches"), node, json_get_string(s, "name", ""));

		if (old)
			diff_switch(old, s, steps);
		else if (list_find(json_get(cluster, "nodes"), "name", node))
			create_switch(s, steps, NULL);
		else
			step_waits(step_add(steps, "create", "switch %s on %s",
					   json_get_string(s, "name", ""), node),
				"%s is not a node of the cluster yet", node);
	}
}

void prune_switches(const struct json *file, const struct json *cluster, struct json *steps)
{
	const struct json *present = json_get(cluster, "switches");

	for (size_t i = 0; i < json_length(present); i++) {
		const struct json *s = json_at(present, i), *adapters = json_get(s, "adapters");
		const struct json *wanted = find_switch(json_get(file, "switches"),
			json_get_string(s, "node", ""), json_get_string(s, "name", ""));

		if (!wanted) {
			remove_switch(s, steps, "VMs and the host lose their connection to it");
			continue;
		}
		if (!json_is_equal(json_get(s, "type"), json_get(wanted, "type")))
			continue;
		for (size_t k = 0; k < json_length(adapters); k++) {
			const char *name = json_get_string(json_at(adapters, k), "name", "");
			struct json *step;

			if (list_find(json_get(wanted, "adapters"), "name", name))
				continue;
			adapter_object(steps, "remove", s, name, &step);
			json_set_string(step, "disruptive", "the host loses its interface");
			json_set_string(
				switch_request(step, "switch.adapter.remove", s), "adapter", name);
		}
	}
}
