/* SPDX-License-Identifier: MIT */
#include "node/deploy/cluster_file.h"
#include "node/deploy/check.h"
#include "node/deploy/schema.h"

#include <string.h>

static void set_default(struct json *object, const char *key)
{
	if (!json_get(object, key))
		json_set(object, key, json_array_new());
}

/* An internal switch has an adapter of its own name. */
static void add_own_adapter(struct json *a_switch)
{
	const char *name = json_get_string(a_switch, "name", "");
	struct json *adapters = json_get(a_switch, "adapters"), *own, *all;

	if (strcmp(json_get_string(a_switch, "type", ""), "internal") != 0)
		return;
	for (size_t i = 0; i < json_length(adapters); i++) {
		if (strcmp(json_get_string(json_at(adapters, i), "name", ""), name) == 0)
			return;
	}
	all = json_array_new();
	own = json_object_new();
	json_set_string(own, "name", name);
	json_append(all, own);
	for (size_t i = 0; i < json_length(adapters); i++)
		json_append(all, json_ref(json_at(adapters, i)));
	json_set(a_switch, "adapters", all);
}

static void append_switch(struct json *list, const struct json *a_switch, const char *node)
{
	struct json *one = json_object_new(), *value;
	void *at = NULL;
	const char *key;

	json_set_string(one, "node", node);
	while (json_next(a_switch, &at, &key, &value)) {
		if (strcmp(key, "node") != 0 && strcmp(key, "nodes") != 0)
			json_set(one, key, json_copy(value));
	}
	add_own_adapter(one);
	json_append(list, one);
}

/* One for each node. */
static void spread_switches(struct json *values)
{
	const struct json *switches = json_get(values, "switches");
	const struct json *nodes = json_get(values, "nodes");
	struct json *list = json_array_new();

	for (size_t i = 0; i < json_length(switches); i++) {
		const struct json *s = json_at(switches, i), *names = json_get(s, "nodes");

		if (json_get(s, "node")) {
			append_switch(list, s, json_get_string(s, "node", ""));
			continue;
		}
		for (size_t k = 0; k < json_length(names ? names : nodes); k++)
			append_switch(list, s,
				names ? json_string(json_at(names, k), "")
				      : json_get_string(json_at(nodes, k), "name", ""));
	}
	json_set(values, "switches", list);
}

int cluster_file_read(
	const char *text, size_t len, struct problems *problems, struct json **ret_values)
{
	_cleanup_json_ struct json *values = NULL;
	_cleanup_doc_ struct doc *doc = NULL;
	int r = doc_parse(text, len, problems, &doc);

	if (r == 0 && !doc) {
		problem(problems, (struct place_in_file){1, 1},
			"the file is empty; docs/cluster-file.md has an example");
		r = -EBADMSG;
	}
	if (r == 0) {
		values = schema_read(&schema_file, doc, problems);
		check_cluster(doc, problems);
		check_switches(doc, problems);
		check_vms(doc, problems);
	}
	if (problems->n > 0) {
		problems_sort(problems);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	if (r < 0)
		return r;
	if (!values)
		return -ENOMEM;
	set_default(values, "switches");
	set_default(values, "volumes");
	set_default(values, "vms");
	if (!json_get(json_get(values, "cluster"), "token"))
		json_set_string(json_get(values, "cluster"), "token", "default");
	spread_switches(values);
	*ret_values = take_ptr(values);
	return 0;
}
