/* SPDX-License-Identifier: MIT */
#include "node/deploy/differ.h"
#include "node/deploy/differ_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- steps ---- */

static void set_text(struct json *step, const char *key, const char *format, va_list args)
	_printf_(3, 0);

static void set_text(struct json *step, const char *key, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	json_set_string(step, key, text);
}

struct json *step_add(struct json *steps, const char *action, const char *format, ...)
{
	struct json *step = json_object_new();
	va_list args;

	json_set_string(step, "action", action);
	va_start(args, format);
	set_text(step, "object", format, args);
	va_end(args);
	json_set(step, "details", json_array_new());
	json_append(steps, step);
	return step;
}

void step_detail(struct json *step, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_append_string(json_get(step, "details"), text);
}

struct json *step_request(struct json *step, const char *op)
{
	struct json *request = json_object_new();

	json_set_string(request, "op", op);
	json_set(step, "request", request);
	return request;
}

void step_waits(struct json *step, const char *format, ...)
{
	va_list args;

	json_set_string(step, "action", "wait");
	va_start(args, format);
	set_text(step, "why", format, args);
	va_end(args);
	json_delete(step, "request");
}

const struct json *list_find(const struct json *list, const char *key, const char *value)
{
	for (size_t i = 0; i < json_length(list); i++) {
		if (strcmp(json_get_string(json_at(list, i), key, ""), value) == 0)
			return json_at(list, i);
	}
	return NULL;
}

static void print_value(const struct json *value, char *text, size_t size_bytes)
{
	_cleanup_free_ char *dump = NULL;

	if (!value || json_is_null(value)) {
		snprintf(text, size_bytes, "none");
	} else if (json_is_string(value)) {
		snprintf(text, size_bytes, "%s", json_string(value, ""));
	} else if (json_is_bool(value)) {
		_cleanup_json_ struct json *yes = json_bool_new(true);

		snprintf(text, size_bytes, "%s", json_is_equal(value, yes) ? "on" : "off");
	} else {
		dump = json_dump(value, 0);
		snprintf(text, size_bytes, "%s", dump ? dump : "");
	}
}

bool value_differs(
	struct json *step, const char *name, const struct json *old, const struct json *new)
{
	char before[160], after[160];

	if (json_is_equal(old, new))
		return false;
	print_value(old, before, sizeof(before));
	print_value(new, after, sizeof(after));
	if (step)
		step_detail(step, "%s: %s -> %s", name, before, after);
	return true;
}

/* ---- nodes: they join and leave by their own commands ---- */

static void append_addresses(
	const struct json *file, const struct json *node, char *text, size_t size_bytes)
{
	const struct json *networks = json_get(file, "networks");

	text[0] = '\0';
	for (int64_t link = 0; link < 8; link++) {
		for (size_t i = 0; i < json_length(networks); i++) {
			const struct json *net = json_at(networks, i);
			size_t len = strlen(text);

			if (json_get_int(net, "link", -1) == link)
				snprintf(text + len, size_bytes - len, "%s%s", len ? "," : "",
					json_get_string(json_get(node, "addresses"),
						json_get_string(net, "name", ""), ""));
		}
	}
}

/* What the file does not name stays as people have set it. */
static void diff_node_limit(const struct json *node, const struct json *present, struct json *steps)
{
	const char *name = json_get_string(node, "name", "");
	const struct json *wanted = json_get(node, "max_vms"), *has = json_get(present, "max_vms");
	struct json *step, *request;

	if (!wanted || !value_differs(NULL, "max-vms", has, wanted))
		return;
	step = step_add(steps, "change", "node %s", name);
	value_differs(step, "max-vms", has, wanted);
	request = step_request(step, "node.set");
	json_set_string(request, "node", name);
	json_set(request, "max_vms", json_copy(wanted));
}

static void diff_node(const struct json *file, const struct json *node, const struct json *present,
	struct json *steps)
{
	const char *name = json_get_string(node, "name", "");
	char wanted[512], has[512] = "";
	struct json *step;

	append_addresses(file, node, wanted, sizeof(wanted));
	if (!present) {
		step = step_add(steps, "create", "node %s", name);
		step_waits(step,
			"a node joins by itself: 'viaduct node invite %s --id %lld --address %s' "
			"here, then 'viaduct node join' there",
			name, (long long)json_get_int(node, "id", 0), wanted);
		return;
	}
	for (size_t i = 0; i < json_length(json_get(present, "addresses")); i++)
		snprintf(has + strlen(has), sizeof(has) - strlen(has), "%s%s", i ? "," : "",
			json_string(json_at(json_get(present, "addresses"), i), ""));
	diff_node_limit(node, present, steps);
	if (json_get_int(node, "id", 0) == json_get_int(present, "id", 0) &&
		strcmp(has, wanted) == 0)
		return;
	step = step_add(steps, "change", "node %s", name);
	value_differs(step, "id", json_get(present, "id"), json_get(node, "id"));
	if (strcmp(has, wanted) != 0)
		step_detail(step, "addresses: %s -> %s", has, wanted);
	step_waits(step,
		"a node keeps its id and addresses; evict it and let it join with the new ones, or "
		"correct the file");
}

static void diff_nodes(
	const struct json *file, const struct json *cluster, bool prune, struct json *steps)
{
	const struct json *wanted = json_get(file, "nodes"), *present = json_get(cluster, "nodes");

	for (size_t i = 0; i < json_length(wanted); i++) {
		const struct json *node = json_at(wanted, i);

		diff_node(file, node, list_find(present, "name", json_get_string(node, "name", "")),
			steps);
	}
	for (size_t i = 0; prune && i < json_length(present); i++) {
		const char *name = json_get_string(json_at(present, i), "name", "");

		if (!list_find(wanted, "name", name))
			step_waits(step_add(steps, "remove", "node %s", name),
				"a node is not removed in passing: 'viaduct node evict %s'", name);
	}
}

/* ---- volumes ---- */

static void diff_volumes(const struct json *file, const struct json *cluster, struct json *steps)
{
	const struct json *wanted = json_get(file, "volumes");

	for (size_t i = 0; i < json_length(wanted); i++) {
		const struct json *volume = json_at(wanted, i);
		const char *name = json_get_string(volume, "name", "");
		const struct json *present = list_find(json_get(cluster, "volumes"), "name", name);
		struct json *step, *request;

		if (!present) {
			step = step_add(steps, "create", "volume %s", name);
			step_detail(step, "path: %s", json_get_string(volume, "path", ""));
			request = step_request(step, "volume.create");
			json_set_string(request, "name", name);
			json_set(request, "path", json_copy(json_get(volume, "path")));
		} else if (!json_is_equal(json_get(present, "path"), json_get(volume, "path"))) {
			step = step_add(steps, "change", "volume %s", name);
			value_differs(
				step, "path", json_get(present, "path"), json_get(volume, "path"));
			step_waits(step, "a volume stays where it is; make one of another name");
		}
	}
}

/* ---- the whole ---- */

size_t differ_count(const struct json *steps, const char *action)
{
	size_t n = 0;

	for (size_t i = 0; i < json_length(steps); i++)
		n += strcmp(json_get_string(json_at(steps, i), "action", ""), action) == 0;
	return n;
}

struct json *differ_plan(const struct json *file, const struct json *cluster, bool prune)
{
	_cleanup_json_ struct json *all = json_array_new();
	struct json *steps = json_array_new();

	diff_nodes(file, cluster, prune, all);
	/* What goes makes room - names, uplinks, addresses - for what comes. */
	if (prune) {
		prune_vms(file, cluster, all);
		prune_switches(file, cluster, all);
	}
	diff_networks(file, cluster, all);
	diff_volumes(file, cluster, all);
	diff_switches(file, cluster, all);
	diff_vms(file, cluster, prune, all);
	for (size_t i = 0; i < json_length(all); i++) {
		if (strcmp(json_get_string(json_at(all, i), "action", ""), "none") != 0)
			json_append(steps, json_ref(json_at(all, i)));
	}
	return steps;
}
