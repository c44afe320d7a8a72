/* SPDX-License-Identifier: MIT
 *
 * differ_nic.c - two configurations of a network adapter compared, setting by setting, where what
 * is absent is the default.
 */
#include "node/deploy/differ_impl.h"

#include <stdio.h>
#include <string.h>

static const char *const vlan_keys[] = {
	"vid", "allowed", "native", "primary", "secondary", "secondaries"};

/* Settings with a default; those of a group are members of that object. */
enum default_kind { DEFAULT_OFF, DEFAULT_ON, DEFAULT_ZERO, DEFAULT_EMPTY, DEFAULT_TEXT };
static const struct setting {
	const char *name, *group, *key;
	enum default_kind kind;
	const char *text;
	bool of_vm;
} settings[] = {
	{"switch", NULL, "switch", DEFAULT_TEXT, "", true},
	{"mtu", NULL, "mtu", DEFAULT_ZERO, NULL, true},
	{"spoofing", NULL, "spoofing", DEFAULT_OFF},
	{"dhcp-guard", "guards", "dhcp", DEFAULT_OFF},
	{"router-guard", "guards", "router", DEFAULT_OFF},
	{"address-guard", "guards", "addresses", DEFAULT_OFF},
	{"ip", "guards", "ips", DEFAULT_EMPTY},
	{"acl", NULL, "acl", DEFAULT_EMPTY},
	{"max-bandwidth", "bandwidth", "max_bps", DEFAULT_ZERO},
	{"min-bandwidth", "bandwidth", "min_bps", DEFAULT_ZERO},
	{"weight", "bandwidth", "weight", DEFAULT_ZERO},
	{"storm-limit", "bandwidth", "storm_fps", DEFAULT_ZERO},
	{"mirror", NULL, "mirror", DEFAULT_TEXT, "none"},
	{"csum", "offload", "csum", DEFAULT_TEXT, "both", true},
	{"lso", "offload", "lso", DEFAULT_ON, NULL, true},
	{"rsc", "offload", "rsc", DEFAULT_ON, NULL, true},
	{"rss", "offload", "rss", DEFAULT_ON, NULL, true},
};
#define MTU_DEFAULT 1500

static void describe_vlan(const struct json *nic, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s", json_get_string(nic, "mode", "untagged"));
	for (size_t i = 0; i < ARRAY_LEN(vlan_keys); i++) {
		const struct json *value = json_get(nic, vlan_keys[i]);
		size_t len = strlen(text);

		if (json_is_string(value))
			snprintf(text + len, size_bytes - len, "%s%.64s",
				strcmp(vlan_keys[i], "secondaries") == 0 ? "," : " ",
				json_string(value, ""));
		else if (json_is_int(value) && strcmp(vlan_keys[i], "native") == 0)
			snprintf(text + len, size_bytes - len, " native %lld",
				(long long)json_int(value, 0));
		else if (json_is_int(value))
			snprintf(text + len, size_bytes - len, "%s%lld",
				strcmp(vlan_keys[i], "secondary") == 0 ? "," : " ",
				(long long)json_int(value, 0));
	}
}

void nic_describe(const struct json *nic, char *text, size_t size_bytes)
{
	char vlan[160];

	describe_vlan(nic, vlan, sizeof(vlan));
	if (json_get_string(nic, "switch", NULL))
		snprintf(text, size_bytes, "switch %s, VLAN: %s",
			json_get_string(nic, "switch", ""), vlan);
	else
		snprintf(text, size_bytes, "VLAN: %s", vlan);
}

static struct json *default_of(const struct setting *s)
{
	switch (s->kind) {
	case DEFAULT_OFF:
	case DEFAULT_ON:
		return json_bool_new(s->kind == DEFAULT_ON);
	case DEFAULT_ZERO:
		return json_int_new(strcmp(s->key, "mtu") == 0 ? MTU_DEFAULT : 0);
	case DEFAULT_EMPTY:
		return json_array_new();
	default:
		return json_string_new(s->text);
	}
}

/* A new reference. */
static struct json *value_of(const struct json *nic, const struct setting *s)
{
	struct json *value = json_get(s->group ? json_get(nic, s->group) : nic, s->key);

	return value && !json_is_null(value) ? json_ref(value) : default_of(s);
}

static void add_line(
	struct json *lines, const char *name, const struct json *old, const struct json *new)
{
	_cleanup_json_ struct json *step = json_object_new();

	json_set(step, "details", json_ref(lines));
	value_differs(step, name, old, new);
}

/* To what the file says, or back to the default. */
static void set_change(struct json *changes, const struct setting *s, const struct json *new)
{
	const struct json *value = json_get(s->group ? json_get(new, s->group) : new, s->key);
	struct json *object = changes;

	if (s->group) {
		if (!json_get(changes, s->group))
			json_set(changes, s->group, json_object_new());
		object = json_get(changes, s->group);
	}
	if (value)
		json_set(object, s->key, json_copy(value));
	else
		json_set_string(object, s->key, NULL);
}

static bool vlan_diff(
	const struct json *old, const struct json *new, struct json *changes, struct json *lines)
{
	char before[160], after[160];
	bool differs = strcmp(json_get_string(old, "mode", "untagged"),
			       json_get_string(new, "mode", "untagged")) != 0;

	for (size_t i = 0; i < ARRAY_LEN(vlan_keys); i++) {
		const struct json *a = json_get(old, vlan_keys[i]),
				  *b = json_get(new, vlan_keys[i]);

		/* "native: 0" says as much as nothing. */
		if (json_int(a, 1) == 0)
			a = NULL;
		if (json_int(b, 1) == 0)
			b = NULL;
		differs |= !json_is_equal(a, b);
	}
	if (!differs)
		return false;
	json_set_string(changes, "mode", json_get_string(new, "mode", "untagged"));
	for (size_t i = 0; i < ARRAY_LEN(vlan_keys); i++) {
		if (json_get(new, vlan_keys[i]))
			json_set(changes, vlan_keys[i], json_copy(json_get(new, vlan_keys[i])));
	}
	describe_vlan(old, before, sizeof(before));
	describe_vlan(new, after, sizeof(after));
	{
		_cleanup_json_ struct json *a = json_string_new(before),
					   *b = json_string_new(after);

		add_line(lines, "VLAN", a, b);
	}
	return true;
}

bool nic_diff(const struct json *old, const struct json *new, enum nic_kind kind,
	struct json *changes, struct json *lines)
{
	bool differs = vlan_diff(old, new, changes, lines);

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];
		_cleanup_json_ struct json *before = NULL, *after = NULL;

		if (s->of_vm && kind != NIC_OF_VM)
			continue;
		before = value_of(old, s);
		after = value_of(new, s);
		if (json_is_equal(before, after))
			continue;
		add_line(lines, s->name, before, after);
		set_change(changes, s, new);
		differs = true;
	}
	return differs;
}
