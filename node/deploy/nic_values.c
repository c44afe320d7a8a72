/* SPDX-License-Identifier: MIT
 *
 * nic_values.c - the settings of network adapters, as people write them, become those of
 * node/svc/nic.h: the same checks as of a request, and the form in which the store has them.
 */
#include "node/deploy/schema.h"
#include "node/svc/nic.h"

#include <stdio.h>
#include <string.h>

/* What a file's setting says of the VLAN, and what it is there. */
static const struct {
	const char *key, *mode, *value; /* where its value goes; NULL: nowhere */
} modes[] = {
	{"vlan", "access", "vid"},
	{"trunk", "trunk", "allowed"},
	{"isolated", "isolated", "secondary"},
	{"community", "community", "secondary"},
	{"promiscuous", "promiscuous", "secondaries"},
	{"untagged", "untagged", NULL},
};

/* "200,201": primary and secondary. NULL, or what is wrong. */
static const char *set_private(struct json *nic, const char *key, const char *text)
{
	char *end;
	long primary = strtol(text, &end, 10);

	if (end == text || *end != ',' || !end[1])
		return "give the primary VLAN and the secondary, as 200,201";
	json_set_int(nic, "primary", primary);
	if (strcmp(key, "secondaries") == 0) {
		json_set_string(nic, key, end + 1);
		return NULL;
	}
	text = end + 1;
	json_set_int(nic, key, strtol(text, &end, 10));
	return *end ? "give the primary VLAN and one secondary, as 200,201" : NULL;
}

static const char *set_mode(struct json *nic, const struct json *values)
{
	const char *why = NULL;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		const struct json *value = json_get(values, modes[i].key);

		json_delete(nic, modes[i].key);
		if (!value)
			continue;
		if (n++)
			return "it has several VLAN settings, and an adapter can be in one VLAN "
			       "mode "
			       "only; keep one of vlan, trunk, isolated, community, promiscuous, "
			       "untagged";
		json_set_string(nic, "mode", modes[i].mode);
		if (modes[i].value && i < 2)
			json_set(nic, modes[i].value, json_copy(value));
		else if (modes[i].value)
			why = set_private(nic, modes[i].value, json_string(value, ""));
		if (why)
			return why;
	}
	if (json_get(values, "native") && !json_get(values, "trunk"))
		return "'native' is the VLAN of a trunk's frames without a tag, and there is no "
		       "'trunk'; add one, or use vlan";
	return NULL;
}

static struct json *make(const struct doc *doc, struct json *values, bool sound, enum nic_kind kind,
	struct problems *problems)
{
	_cleanup_json_ struct json *nic = json_copy(values);
	struct json *config;
	struct nic_error error;
	const char *why = set_mode(nic, values);

	if (why) {
		problem(problems, doc->at, "this network adapter makes no sense: %s", why);
		return values;
	}
	if (!sound)
		return values;
	if (kind == NIC_OF_HOST) {
		json_delete(nic, "name");
		json_delete(nic, "mac");
	}
	if (nic_config_change(NULL, nic, kind, &config, &error) < 0) {
		problem(problems, doc->at, "this network adapter makes no sense: %s", error.text);
		return values;
	}
	for (size_t i = 0; kind == NIC_OF_HOST && i < 2; i++) {
		const char *key = i ? "mac" : "name";

		if (json_get(values, key))
			json_set(config, key, json_copy(json_get(values, key)));
	}
	json_unref(values);
	return config;
}

struct json *schema_after_nic(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems)
{
	return make(doc, values, sound, NIC_OF_VM, problems);
}

struct json *schema_after_adapter(
	const struct doc *doc, struct json *values, bool sound, struct problems *problems)
{
	return make(doc, values, sound, NIC_OF_HOST, problems);
}
