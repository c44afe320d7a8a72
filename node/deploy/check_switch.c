/* SPDX-License-Identifier: MIT */
#include "node/deploy/check.h"

#include <stdio.h>
#include <string.h>

#define IFNAME_UNIQUE_LEN 12 /* of an adapter's name, in "vs-NAME" */

bool check_switch_is_on(const struct doc *a_switch, const char *node)
{
	const char *only = doc_get_text(a_switch, "node");
	const struct doc *nodes = doc_get(a_switch, "nodes");

	if (!node || (!only && !nodes))
		return true;
	if (only)
		return strcmp(only, node) == 0;
	for (size_t i = 0; i < doc_length(nodes); i++) {
		if (doc_text(doc_at(nodes, i)) && strcmp(doc_at(nodes, i)->text, node) == 0)
			return true;
	}
	return false;
}

const struct doc *check_find_switch(const struct doc *file, const char *reference, const char *node)
{
	static const char *const keys[] = {"name", "logical"};
	const struct doc *switches = doc_get(file, "switches");

	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		for (size_t i = 0; i < doc_length(switches); i++) {
			const char *name = doc_get_text(doc_at(switches, i), keys[k]);

			if (name && strcmp(name, reference) == 0 &&
				check_switch_is_on(doc_at(switches, i), node))
				return doc_at(switches, i);
		}
	}
	return NULL;
}

/* ---- on each node, whatever its switches have ---- */

/* What only one switch of a node may have. */
struct use {
	const struct doc *what; /* the text */
	const char *by;         /* the switch */
};

struct uses {
	struct use *list;
	size_t n, n_room;
};

/* The earlier use of that text (its first `len` characters), or NULL; then it is used from now on.
 */
static const struct use *use(struct uses *uses, const struct doc *what, size_t len, const char *by)
{
	for (size_t i = 0; i < uses->n; i++) {
		if (strncmp(uses->list[i].what->text, what->text, len) == 0)
			return &uses->list[i];
	}
	if (uses->n < uses->n_room)
		uses->list[uses->n++] = (struct use){what, by};
	return NULL;
}

static void check_uplink(const struct doc *node, const struct doc *uplink, const char *name,
	struct uses *uses, struct problems *problems)
{
	const char *node_name = doc_get_text(node, "name");
	const struct doc *declared = doc_get(node, "uplinks");
	const struct use *earlier;
	bool is_declared = false;

	if (!doc_text(uplink))
		return;
	earlier = use(uses, uplink, SIZE_MAX, name);
	if (earlier)
		problem(problems, uplink->at,
			"%s's adapter %.15s is switch %.63s's already, in line %u; an adapter is "
			"the uplink of one switch",
			node_name, uplink->text, earlier->by, earlier->what->at.line);
	for (size_t i = 0; i < doc_length(declared); i++)
		is_declared |= doc_text(doc_at(declared, i)) &&
			       strcmp(doc_at(declared, i)->text, uplink->text) == 0;
	if (declared && !is_declared)
		problem(problems, uplink->at,
			"%.15s is not among the uplinks of node %s in line %u; add it there, or "
			"choose one of those",
			uplink->text, node_name, declared->at.line);
}

static void check_adapters(
	const struct doc *a_switch, const char *name, struct uses *uses, struct problems *problems)
{
	const struct doc *adapters = doc_get(a_switch, "adapters");
	const char *type = doc_get_text(a_switch, "type");
	const struct use *earlier;

	/* An internal switch has an adapter of its own name. */
	if (type && strcmp(type, "internal") == 0 && !check_find(adapters, "name", name)) {
		earlier = use(uses, doc_get(a_switch, "name"), IFNAME_UNIQUE_LEN, name);
		if (earlier)
			problem(problems, doc_get(a_switch, "name")->at,
				"the host's adapter would be interface vs-%.12s, as the one in "
				"line "
				"%u; choose a name that differs in its first 12 characters",
				name, earlier->what->at.line);
	}
	for (size_t i = 0; i < doc_length(adapters); i++) {
		const struct doc *adapter = doc_get(doc_at(adapters, i), "name");

		earlier = doc_text(adapter) ? use(uses, adapter, IFNAME_UNIQUE_LEN, name) : NULL;
		if (earlier && earlier->what != adapter)
			problem(problems, adapter->at,
				"the adapter would be interface vs-%.12s, as the one in line %u; "
				"choose a name that differs in its first 12 characters",
				adapter->text, earlier->what->at.line);
	}
}

static void check_node(const struct doc *file, const struct doc *node, struct uses uses[2],
	struct problems *problems)
{
	const struct doc *switches = doc_get(file, "switches");
	const char *node_name = doc_get_text(node, "name");

	for (size_t i = 0; node_name && i < doc_length(switches); i++) {
		const struct doc *s = doc_at(switches, i), *uplinks = doc_get(s, "uplinks");
		const char *name = doc_get_text(s, "name");

		if (!name || !check_switch_is_on(s, node_name))
			continue;
		for (size_t k = 0; k < i; k++) {
			const char *other = doc_get_text(doc_at(switches, k), "name");

			if (other && strcmp(other, name) == 0 &&
				check_switch_is_on(doc_at(switches, k), node_name))
				problem(problems, doc_get(s, "name")->at,
					"node %s has a switch '%.63s' already, in line %u; choose "
					"another name or node",
					node_name, name, doc_at(switches, k)->at.line);
		}
		check_uplink(node, doc_get(s, "uplink"), name, &uses[0], problems);
		for (size_t k = 0; k < doc_length(uplinks); k++)
			check_uplink(node, doc_at(uplinks, k), name, &uses[0], problems);
		check_adapters(s, name, &uses[1], problems);
	}
}

void check_switches(const struct doc *file, struct problems *problems)
{
	const struct doc *nodes = doc_get(file, "nodes"), *switches = doc_get(file, "switches");
	size_t n_room = doc_length(switches) * 9;

	for (size_t i = 0; i < doc_length(switches); i++) {
		const struct doc *s = doc_at(switches, i);

		check_refers(file, "nodes", doc_get(s, "node"), "node", problems);
		check_names(file, "nodes", doc_get(s, "nodes"), "node", problems);
	}
	for (size_t i = 0; i < doc_length(nodes); i++) {
		struct uses uses[2] = {{calloc(n_room + 1, sizeof(struct use)), 0, n_room},
			{calloc(n_room + 1, sizeof(struct use)), 0, n_room}};

		if (uses[0].list && uses[1].list)
			check_node(file, doc_at(nodes, i), uses, problems);
		free(uses[0].list);
		free(uses[1].list);
	}
}
