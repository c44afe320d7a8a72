/* SPDX-License-Identifier: MIT
 *
 * differ_network.c - cluster networks: names, roles, metrics, and which of them migrations take.
 */
#include "node/deploy/differ_impl.h"

#include <stdio.h>
#include <string.h>

static void diff_network(const struct json *net, const struct json *present, struct json *steps)
{
	static const char *const keys[] = {"role", "metric"};
	const struct json *metric = json_get(net, "metric");
	bool is_auto = json_is_string(metric), changed;
	struct json *step = step_add(steps, "change", "network %s (%s)",
		json_get_string(net, "name", ""), json_get_string(net, "subnet", ""));
	struct json *request = step_request(step, "network.set");

	json_set_string(request, "name", json_get_string(net, "subnet", ""));
	changed = value_differs(step, "name", json_get(present, "name"), json_get(net, "name"));
	if (changed)
		json_set(request, "rename", json_copy(json_get(net, "name")));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct json *value = json_get(net, keys[i]);

		if (!value || (i == 1 && is_auto))
			continue;
		if (i == 1 && json_get_bool(present, "auto_metric", false)) {
			step_detail(
				step, "metric: automatic -> %lld", (long long)json_int(value, 0));
		} else if (!value_differs(step, keys[i], json_get(present, keys[i]), value)) {
			continue;
		}
		json_set(request, keys[i], json_copy(value));
		changed = true;
	}
	if (is_auto && !json_get_bool(present, "auto_metric", true)) {
		step_detail(step, "metric: %lld -> automatic",
			(long long)json_get_int(present, "metric", 0));
		json_set_bool(request, "auto_metric", true);
		changed = true;
	}
	if (!changed)
		json_set_string(step, "action", "none");
}

/* ---- the list for migrations: one for the cluster, so one step ---- */

static int64_t place_of(const struct json *net)
{
	return json_get_int(net, "migration_order", 0);
}

/* The one that comes next after that place; NULL. */
static const struct json *next_placed(const struct json *networks, int64_t after)
{
	const struct json *best = NULL;

	for (size_t i = 0; i < json_length(networks); i++) {
		const struct json *net = json_at(networks, i);

		if (place_of(net) > after && (!best || place_of(net) < place_of(best)))
			best = net;
	}
	return best;
}

static void append_subnet(struct json *list, const struct json *net)
{
	json_append_string(list, json_get_string(net, "subnet", ""));
}

static void list_present(const struct json *present, struct json *order, struct json *excluded)
{
	const struct json *net = NULL;

	while ((net = next_placed(present, net ? place_of(net) : 0)))
		append_subnet(order, net);
	for (size_t i = 0; i < json_length(present); i++) {
		if (place_of(json_at(present, i)) < 0)
			append_subnet(excluded, json_at(present, i));
	}
}

static const struct json *same_subnet(const struct json *networks, const struct json *net)
{
	return list_find(networks, "subnet", json_get_string(net, "subnet", ""));
}

static bool says_place(const struct json *wanted, const struct json *net)
{
	return json_get(same_subnet(wanted, net), "migration_order") != NULL;
}

/* Those for which the file says nothing stay in their order, behind and between the others. */
static void list_wanted(const struct json *wanted, const struct json *present, struct json *order,
	struct json *excluded)
{
	const struct json *placed = next_placed(wanted, 0), *kept = NULL;

	do {
		do {
			kept = next_placed(present, kept ? place_of(kept) : 0);
		} while (kept && says_place(wanted, kept));
		for (; placed && (!kept || place_of(placed) <= (int64_t)json_length(order) + 1);
			placed = next_placed(wanted, place_of(placed))) {
			if (same_subnet(present, placed))
				append_subnet(order, placed);
		}
		if (kept)
			append_subnet(order, kept);
	} while (kept);
	for (size_t i = 0; i < json_length(present); i++) {
		const struct json *net = json_at(present, i), *file = same_subnet(wanted, net);

		if (place_of(says_place(wanted, net) ? file : net) < 0)
			append_subnet(excluded, net);
	}
}

/* As people know them: by the names that they have, or will have when the step is done. */
static void name_all(const struct json *subnets, const struct json *wanted,
	const struct json *present, char *text, size_t size_bytes)
{
	size_t len = 0;

	snprintf(text, size_bytes, "none");
	for (size_t i = 0; i < json_length(subnets) && len < size_bytes; i++) {
		const char *subnet = json_string(json_at(subnets, i), "");
		const struct json *net = list_find(wanted, "subnet", subnet);

		if (!net)
			net = list_find(present, "subnet", subnet);
		len += (size_t)snprintf(text + len, size_bytes - len, "%s%s", i ? ", " : "",
			json_get_string(net, "name", subnet));
	}
}

static bool list_differs(struct json *step, const char *key, struct json *const lists[2],
	const struct json *wanted, const struct json *present)
{
	char old[1024], new[1024];

	if (json_is_equal(lists[0], lists[1]))
		return false;
	name_all(lists[0], wanted, present, old, sizeof(old));
	name_all(lists[1], wanted, present, new, sizeof(new));
	step_detail(step, "%s: %s -> %s", key, old, new);
	return true;
}

static void diff_migration(
	const struct json *wanted, const struct json *present, struct json *steps)
{
	struct json *order[2] = {json_array_new(), json_array_new()};
	struct json *excluded[2] = {json_array_new(), json_array_new()};
	struct json *step = step_add(steps, "change", "networks for migrations");
	struct json *request = step_request(step, "network.migration");
	bool changed;

	list_present(present, order[0], excluded[0]);
	list_wanted(wanted, present, order[1], excluded[1]);
	changed = list_differs(step, "order", order, wanted, present);
	if (list_differs(step, "excluded", excluded, wanted, present) || changed) {
		json_set(request, "order", json_ref(order[1]));
		json_set(request, "excluded", json_ref(excluded[1]));
	} else {
		json_set_string(step, "action", "none");
	}
	for (size_t i = 0; i < 2; i++) {
		json_unref(order[i]);
		json_unref(excluded[i]);
	}
}

void diff_networks(const struct json *file, const struct json *cluster, struct json *steps)
{
	const struct json *wanted = json_get(file, "networks");

	for (size_t i = 0; i < json_length(wanted); i++) {
		const struct json *net = json_at(wanted, i);
		const struct json *present = list_find(json_get(cluster, "networks"), "subnet",
			json_get_string(net, "subnet", ""));

		if (present)
			diff_network(net, present, steps);
		else
			step_waits(step_add(steps, "create", "network %s (%s)",
					   json_get_string(net, "name", ""),
					   json_get_string(net, "subnet", "")),
				"networks are found, not made: no node has an address in this "
				"subnet "
				"yet; give them theirs");
	}
	diff_migration(wanted, json_get(cluster, "networks"), steps);
}
