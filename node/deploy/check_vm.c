/* SPDX-License-Identifier: MIT */
#include "node/deploy/check.h"
#include "node/deploy/schema.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void no_switch(const struct doc *file, const struct doc *reference, const char *vm,
	const char *node, struct problems *problems)
{
	const struct doc *elsewhere = check_find_switch(file, reference->text, NULL);
	const struct doc *switches = doc_get(file, "switches");
	char names[2048] = "";
	const char *guess;

	if (elsewhere) {
		problem(problems, reference->at,
			"node %.63s, where %.63s begins, has no switch '%.63s'; that is another "
			"node's, in line %u",
			node, vm, reference->text, elsewhere->at.line);
		return;
	}
	for (size_t i = 0; i < doc_length(switches); i++) {
		for (unsigned k = 0; k < 2; k++) {
			const char *name =
				doc_get_text(doc_at(switches, i), k ? "logical" : "name");
			size_t len = strlen(names);

			if (name)
				snprintf(names + len, sizeof(names) - len, "%s%s", len ? "|" : "",
					name);
		}
	}
	guess = schema_guess(reference->text, names);
	problem(problems, reference->at, "there is no switch '%.63s' in this file%s",
		reference->text, guess[0] ? guess : "; add it to 'switches', or name another");
}

static void check_nics(const struct doc *file, const struct doc *vm, struct problems *problems)
{
	const struct doc *nics = doc_get(vm, "nics");
	const char *node = doc_get_text(vm, "node"), *name = doc_get_text(vm, "name");

	for (size_t i = 0; i < doc_length(nics); i++) {
		const struct doc *reference = doc_get(doc_at(nics, i), "switch");

		if (!doc_text(reference) || !reference->text[0] || !node ||
			!check_find(doc_get(file, "nodes"), "name", node))
			continue;
		if (!check_find_switch(file, reference->text, node))
			no_switch(file, reference, name ? name : "the VM", node, problems);
	}
}

/* ---- what may be there once in the whole cluster ---- */

struct texts {
	struct once {
		const struct doc *text;
		bool shared; /* read only */
	} * list;
	size_t n, n_room;
};

static int by_text(const void *a, const void *b)
{
	const struct once *x = a, *y = b;
	int order = strcasecmp(x->text->text, y->text->text);

	if (order)
		return order;
	return x->text->at.line < y->text->at.line ? -1 : x->text->at.line > y->text->at.line;
}

static void add(struct texts *texts, const struct doc *text, bool shared)
{
	struct once *larger;

	if (!doc_text(text) || !text->text[0])
		return;
	if (texts->n == texts->n_room) {
		larger = reallocarray(texts->list, texts->n_room + 256, sizeof(*larger));
		if (!larger)
			return;
		texts->list = larger;
		texts->n_room += 256;
	}
	texts->list[texts->n++] = (struct once){text, shared};
}

static void add_macs(struct texts *macs, const struct doc *objects, const char *list)
{
	for (size_t i = 0; i < doc_length(objects); i++) {
		const struct doc *adapters = doc_get(doc_at(objects, i), list);

		for (size_t k = 0; k < doc_length(adapters); k++)
			add(macs, doc_get(doc_at(adapters, k), "mac"), false);
	}
}

static void complain(const struct texts *texts, const char *format, struct problems *problems)
{
	if (texts->n > 0)
		qsort(texts->list, texts->n, sizeof(texts->list[0]), by_text);
	for (size_t i = 1; i < texts->n; i++) {
		const struct once *a = &texts->list[i - 1], *b = &texts->list[i];
		char text[PROBLEM_TEXT_BYTES];

		if (strcasecmp(a->text->text, b->text->text) != 0 || (a->shared && b->shared))
			continue;
		snprintf(text, sizeof(text), "%.120s is there already, in line %u; %s",
			b->text->text, a->text->at.line, format);
		problem(problems, b->text->at, "%s", text);
	}
	free(texts->list);
}

static bool is_on(const char *text)
{
	return text && (strcasecmp(text, "on") == 0 || strcasecmp(text, "yes") == 0 ||
			       strcasecmp(text, "true") == 0);
}

static void check_shared_things(const struct doc *file, struct problems *problems)
{
	const struct doc *vms = doc_get(file, "vms");
	struct texts macs = {}, disks = {};

	add_macs(&macs, vms, "nics");
	add_macs(&macs, doc_get(file, "switches"), "adapters");
	complain(&macs, "a MAC address belongs to one adapter; choose another, or leave it out",
		problems);
	for (size_t i = 0; i < doc_length(vms); i++) {
		const struct doc *list = doc_get(doc_at(vms, i), "disks");

		for (size_t k = 0; k < doc_length(list); k++) {
			const struct doc *disk = doc_at(list, k);
			const char *kind = doc_get_text(disk, "kind");

			add(&disks, doc_get(disk, "path"),
				(kind && strcmp(kind, "dvd") == 0) ||
					is_on(doc_get_text(disk, "read-only")));
		}
	}
	complain(&disks,
		"two that write one disk destroy it; give each its own, or make both read-only",
		problems);
}

static void check_policy(const struct doc *file, const struct doc *vm, struct problems *problems)
{
	const struct doc *policy = doc_get(vm, "policy"), *node = doc_get(vm, "node");
	const struct doc *possible = doc_get(policy, "possible");
	bool is_possible = false;

	check_names(file, "nodes", doc_get(policy, "preferred"), "node", problems);
	check_names(file, "nodes", possible, "node", problems);
	for (size_t i = 0; i < doc_length(possible); i++)
		is_possible |= doc_text(node) && doc_text(doc_at(possible, i)) &&
			       strcmp(doc_at(possible, i)->text, node->text) == 0;
	if (doc_length(possible) > 0 && doc_text(node) && !is_possible)
		problem(problems, possible->at,
			"the VM begins on %.63s, which is not among the possible owners; add it, "
			"or begin elsewhere",
			node->text);
}

static void check_switch_adapters_of_all(const struct doc *switches, struct problems *problems)
{
	/* One MAC on several nodes would be one address in several places. */
	for (size_t i = 0; i < doc_length(switches); i++) {
		const struct doc *s = doc_at(switches, i), *adapters = doc_get(s, "adapters");

		if (doc_get(s, "node") || doc_length(doc_get(s, "nodes")) == 1)
			continue;
		for (size_t k = 0; k < doc_length(adapters); k++) {
			const struct doc *mac = doc_get(doc_at(adapters, k), "mac");

			if (doc_text(mac))
				problem(problems, mac->at,
					"this switch is on several nodes, and a MAC address "
					"belongs "
					"to one adapter; leave it out, or make a switch for each "
					"node");
		}
	}
}

void check_vms(const struct doc *file, struct problems *problems)
{
	const struct doc *vms = doc_get(file, "vms");

	check_unique(vms, "name", "VM", problems);
	for (size_t i = 0; i < doc_length(vms); i++) {
		const struct doc *vm = doc_at(vms, i);

		check_refers(file, "nodes", doc_get(vm, "node"), "node", problems);
		check_nics(file, vm, problems);
		check_policy(file, vm, problems);
	}
	check_switch_adapters_of_all(doc_get(file, "switches"), problems);
	check_shared_things(file, problems);
}
