/* SPDX-License-Identifier: MIT */
#include "node/deploy/check.h"
#include "node/deploy/schema.h"
#include "node/deploy/subnet.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINKS 8

/* ---- helpers for all checks ---- */

const struct doc *check_find(const struct doc *list, const char *key, const char *value)
{
	for (size_t i = 0; i < doc_length(list); i++) {
		const char *text = doc_get_text(doc_at(list, i), key);

		if (text && strcmp(text, value) == 0)
			return doc_at(list, i);
	}
	return NULL;
}

static void append_name(char *names, size_t size_bytes, const char *name)
{
	size_t len = strlen(names);

	if (name)
		snprintf(names + len, size_bytes - len, "%s%s", len ? "|" : "", name);
}

void check_refers(const struct doc *file, const char *list, const struct doc *name,
	const char *what, struct problems *problems)
{
	const struct doc *entries = doc_get(file, list);
	char names[2048] = "";
	const char *guess;

	if (!doc_text(name) || !name->text[0] || check_find(entries, "name", name->text))
		return;
	for (size_t i = 0; i < doc_length(entries); i++)
		append_name(names, sizeof(names), doc_get_text(doc_at(entries, i), "name"));
	guess = schema_guess(name->text, names);
	problem(problems, name->at, "there is no %s '%.63s' in this file%s", what, name->text,
		guess[0] ? guess : "; add it, or name another");
}

void check_unique(
	const struct doc *list, const char *key, const char *what, struct problems *problems)
{
	for (size_t i = 0; i < doc_length(list); i++) {
		const struct doc *value = doc_get(doc_at(list, i), key);
		const struct doc *first =
			doc_text(value) ? check_find(list, key, value->text) : NULL;

		if (first && first != doc_at(list, i))
			problem(problems, value->at,
				"%s '%.63s' is there already, in line %u; choose another", what,
				value->text, doc_get(first, key)->at.line);
	}
}

void check_names(const struct doc *file, const char *list, const struct doc *names,
	const char *what, struct problems *problems)
{
	for (size_t i = 0; i < doc_length(names); i++) {
		const struct doc *name = doc_at(names, i);

		check_refers(file, list, name, what, problems);
		for (size_t k = 0; doc_text(name) && k < i; k++) {
			if (doc_text(doc_at(names, k)) &&
				strcmp(doc_at(names, k)->text, name->text) == 0)
				problem(problems, name->at,
					"%s '%.63s' is named twice; once is "
					"enough",
					what, name->text);
		}
	}
}

/* ---- networks ---- */

static void check_overlap(const struct doc *networks, size_t at, struct problems *problems)
{
	const struct doc *text = doc_get(doc_at(networks, at), "subnet");
	struct subnet subnet, other;

	if (!doc_text(text) || !subnet_parse(text->text, &subnet))
		return;
	for (size_t i = 0; i < at; i++) {
		const struct doc *earlier = doc_get(doc_at(networks, i), "subnet");

		if (doc_text(earlier) && subnet_parse(earlier->text, &other) &&
			subnet_overlaps(&subnet, &other)) {
			problem(problems, text->at,
				"subnet %.60s overlaps %.60s of line %u; each network needs a "
				"subnet of its own",
				text->text, earlier->text, earlier->at.line);
			return;
		}
	}
}

static void check_order(const struct doc *networks, struct problems *problems)
{
	for (size_t i = 0; i < doc_length(networks); i++) {
		const struct doc *order = doc_get(doc_at(networks, i), "migration-order");
		const struct doc *first;

		if (!doc_text(order) || strcmp(order->text, "0") == 0 ||
			strcmp(order->text, "never") == 0)
			continue;
		first = check_find(networks, "migration-order", order->text);
		if (first != doc_at(networks, i))
			problem(problems, order->at,
				"migration-order %.20s is another network's, in line %u; each "
				"network needs a place of its own",
				order->text, doc_get(first, "migration-order")->at.line);
	}
}

static void check_networks(const struct doc *file, struct problems *problems)
{
	const struct doc *networks = doc_get(file, "networks");
	char number[4];
	size_t n_links = 0;

	check_unique(networks, "name", "network", problems);
	check_unique(networks, "link", "link", problems);
	check_order(networks, problems);
	for (size_t i = 0; i < doc_length(networks); i++) {
		check_overlap(networks, i, problems);
		n_links += doc_get(doc_at(networks, i), "link") != NULL;
	}
	if (networks && n_links == 0) {
		problem(problems, networks->at,
			"no network has a 'link', so the nodes would not hear each other; give "
			"the heartbeat's network link: 0");
		return;
	}
	for (size_t i = 0; i < n_links && i < MAX_LINKS; i++) {
		snprintf(number, sizeof(number), "%zu", i);
		if (!check_find(networks, "link", number)) {
			problem(problems, networks->at,
				"there are %zu links but none is link %zu; number them from 0",
				n_links, i);
			return;
		}
	}
}

/* ---- nodes ---- */

static void check_address(const struct doc *file, const struct doc *name, const struct doc *address,
	struct problems *problems)
{
	const struct doc *networks = doc_get(file, "networks");
	const char *text = doc_get_text(check_find(networks, "name", name->text), "subnet");
	struct subnet subnet;

	check_refers(file, "networks", name, "network", problems);
	if (doc_text(address) && text && subnet_parse(text, &subnet) &&
		!subnet_has(&subnet, address->text))
		problem(problems, address->at,
			"%.46s is no address in the subnet %.60s of network %.63s; one of both is "
			"wrong",
			address->text, text, name->text);
}

/* The same address before that in the file, or NULL. */
static const struct doc *find_address(
	const struct doc *nodes, const struct doc *address, const struct doc **ret_node)
{
	for (size_t i = 0; i < doc_length(nodes); i++) {
		const struct doc *map = doc_get(doc_at(nodes, i), "addresses");

		for (size_t k = 0; map && map->kind == DOC_MAP && k < map->n; k++) {
			*ret_node = doc_at(nodes, i);
			if (map->values[k] == address)
				return NULL;
			if (doc_text(map->values[k]) &&
				strcmp(map->values[k]->text, address->text) == 0)
				return map->values[k];
		}
	}
	return NULL;
}

static void check_addresses(
	const struct doc *file, const struct doc *node, struct problems *problems)
{
	const struct doc *nodes = doc_get(file, "nodes"), *networks = doc_get(file, "networks");
	const struct doc *map = doc_get(node, "addresses"), *other, *first;

	if (!map || map->kind != DOC_MAP)
		return;
	for (size_t i = 0; i < map->n; i++) {
		check_address(file, map->keys[i], map->values[i], problems);
		first = doc_text(map->values[i]) ? find_address(nodes, map->values[i], &other)
						 : NULL;
		if (first)
			problem(problems, map->values[i]->at,
				"address %.46s is there already, of %s in line %u; choose another",
				first->text,
				doc_get_text(other, "name") ? doc_get_text(other, "name")
							    : "a node",
				first->at.line);
	}
	for (size_t i = 0; i < doc_length(networks); i++) {
		const char *name = doc_get_text(doc_at(networks, i), "name");

		if (name && doc_get(doc_at(networks, i), "link") && !doc_get(map, name))
			problem(problems, map->at,
				"there is no address in network %.63s, which is a link of "
				"corosync; "
				"every node needs one there",
				name);
	}
}

void check_cluster(const struct doc *file, struct problems *problems)
{
	const struct doc *nodes = doc_get(file, "nodes"), *volumes = doc_get(file, "volumes");

	check_networks(file, problems);
	check_unique(nodes, "name", "node", problems);
	check_unique(nodes, "id", "node id", problems);
	for (size_t i = 0; i < doc_length(nodes); i++)
		check_addresses(file, doc_at(nodes, i), problems);
	if (nodes && doc_length(nodes) == 0)
		problem(problems, nodes->at, "a cluster needs a node; there is none");
	check_unique(volumes, "name", "volume", problems);
	check_unique(volumes, "path", "volume path", problems);
}
