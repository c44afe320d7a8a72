/* SPDX-License-Identifier: MIT
 *
 * switch_record.c - the record of a virtual switch: made and changed by requests, read by what
 * keeps the switch process in line with it.
 */
#include "node/svc/switch.h"
#include "node/svc/svc.h"

#include <stdio.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *names, size_t n)
{
	for (size_t i = 0; text && i < n; i++) {
		if (strcmp(names[i], text) == 0)
			return true;
	}
	return false;
}

static bool is_external(const struct json *record)
{
	return strcmp(json_get_string(record, "type", ""), "external") == 0;
}

/* ---- settings ---- */

static bool ifname_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= SWITCH_IFNAME_MAX_LEN && !strpbrk(name, "/ \t\n:") &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_uplinks(const struct json *uplinks, struct nic_error *error)
{
	if (!json_is_array(uplinks) || json_length(uplinks) < 1 ||
		json_length(uplinks) > SWITCH_MAX_UPLINKS)
		return nic_refuse(error,
			"an external switch needs an uplink, the network adapter it is bound to, "
			"and has at most %d",
			SWITCH_MAX_UPLINKS);
	for (size_t i = 0; i < json_length(uplinks); i++) {
		const char *name = json_string(json_at(uplinks, i), "");

		if (!ifname_is_valid(name))
			return nic_refuse(error,
				"'%.40s' cannot be the name of a network adapter; 'ip link' lists "
				"those there are",
				name);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(json_string(json_at(uplinks, k), ""), name) == 0)
				return nic_refuse(error,
					"uplink %s is named twice; a team is made of different "
					"adapters",
					name);
		}
	}
	return 0;
}

static int set_uplinks(struct json *record, const struct json *changes, struct nic_error *error)
{
	const struct json *one = json_get(changes, "uplink"), *many = json_get(changes, "uplinks");
	_cleanup_json_ struct json *uplinks = NULL;
	int r;

	if (!one && !many)
		return 0;
	if (!is_external(record))
		return nic_refuse(error, "only an external switch has an uplink");
	uplinks = many ? json_copy(many) : json_array_new();
	if (one)
		json_append(uplinks, json_copy(one));
	r = check_uplinks(uplinks, error);
	if (r < 0)
		return r;
	json_delete(record, "uplink");
	json_delete(record, "uplinks");
	if (json_length(uplinks) == 1)
		json_set_string(record, "uplink", json_string(json_at(uplinks, 0), ""));
	else
		json_set(record, "uplinks", take_ptr(uplinks));
	return 0;
}

/* A team is its uplinks': with only one left it is over. */
static int set_team(struct json *record, const struct json *changes, struct nic_error *error)
{
	static const char *const modes[] = {"standby", "hash"};
	const struct json *team = json_get(changes, "team");
	const char *mode = json_get_string(team, "mode", NULL);
	bool several = json_get(record, "uplinks") != NULL;

	if (!several)
		json_delete(record, "team");
	if (!team || json_is_null(team))
		return 0;
	if (!is_one_of(mode, modes, ARRAY_LEN(modes)))
		return nic_refuse(error, "the mode of a team is standby or hash");
	if (!several)
		return nic_refuse(error,
			"a team is made of several uplinks, and this switch has %s; name them all",
			json_get(record, "uplink") ? "one" : "none");
	json_set(record, "team", json_object_new());
	return json_set_string(json_get(record, "team"), "mode", mode);
}

static int set_bandwidth(struct json *record, const struct json *changes, struct nic_error *error)
{
	static const char *const modes[] = {"none", "weight", "absolute"};
	const struct json *mode = json_get(changes, "bandwidth_mode");
	const struct json *link = json_get(changes, "link_bps");
	int64_t bps = json_int(link, -1);

	if (mode && !is_one_of(json_string(mode, NULL), modes, ARRAY_LEN(modes)))
		return nic_refuse(error, "the bandwidth mode is none, weight or absolute");
	if (link && (!json_is_int(link) ||
			    (bps != 0 && (bps < NIC_MIN_RATE_BPS || bps > NIC_MAX_RATE_BPS))))
		return nic_refuse(error,
			"the link's speed must be %lld to %lld bit/s, or 0 when it is not known",
			NIC_MIN_RATE_BPS, NIC_MAX_RATE_BPS);
	if (mode)
		json_set_string(record, "bandwidth_mode", json_string(mode, ""));
	if (link)
		json_set_int(record, "link_bps", bps);
	return 0;
}

static int set_management(struct json *record, const struct json *changes, struct nic_error *error)
{
	const struct json *management = json_get(changes, "management");
	int64_t vlan = json_int(management, -1);

	if (!management)
		return 0;
	if (strcmp(json_get_string(record, "type", ""), "private") == 0)
		return nic_refuse(error,
			"a private switch connects VMs only, so the host has no adapter on it; "
			"make an internal one");
	if (vlan == 4095)
		return nic_refuse(error,
			"VLAN 4095 is reserved by 802.1Q, so the management adapter cannot be in "
			"it; choose 1 to 4094, or 0 for none");
	if (!json_is_int(management) || vlan < 0 || vlan > 4095)
		return nic_refuse(
			error, "the management adapter's VLAN is 1 to 4094, or 0 for none");
	return json_set_int(record, "management", vlan);
}

/* {mac, [vlan]} in the way the record has it. */
static int make_static(const struct json *wanted, struct json **ret_entry, struct nic_error *error)
{
	const char *text = json_get_string(wanted, "mac", "");
	int64_t vlan = json_get_int(wanted, "vlan", 0);
	unsigned char mac[6];

	if (!nic_mac_parse(text, mac))
		return nic_refuse(error,
			"'%.20s' is not the MAC address of one machine, like 00:15:5d:00:00:01",
			text);
	if (vlan < 0 || vlan > 4094)
		return nic_refuse(
			error, "an address is in VLAN 1 to 4094, or 0 for frames without a tag");
	*ret_entry = json_object_new();
	json_set_stringf(*ret_entry, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	return json_set_int(*ret_entry, "vlan", vlan);
}

static int set_statics(struct json *record, const struct json *changes, struct nic_error *error)
{
	const struct json *add = json_get(changes, "add_static");
	const struct json *remove = json_get(changes, "remove_static");
	const struct json *before = json_get(record, "static");
	_cleanup_json_ struct json *entry = NULL, *after = NULL;
	bool found = false;

	if (!add && !remove)
		return 0;
	if (!is_external(record))
		return nic_refuse(error, "only an external switch has addresses behind an uplink");
	if (make_static(add ? add : remove, &entry, error) < 0)
		return -EINVAL;
	after = json_array_new();
	for (size_t i = 0; i < json_length(before); i++) {
		if (json_is_equal(json_at(before, i), entry))
			found = true;
		else
			json_append(after, json_ref(json_at(before, i)));
	}
	if (remove && !found)
		return nic_refuse(error,
			"%s is no static address in VLAN %d; 'viaduct switch addresses' lists them",
			json_get_string(entry, "mac", ""), (int)json_get_int(entry, "vlan", 0));
	if (add && json_length(after) >= SWITCH_MAX_STATICS)
		return nic_refuse(error, "there are %d static addresses, the most there can be",
			SWITCH_MAX_STATICS);
	if (add)
		json_append(after, json_ref(entry));
	return json_set(record, "static", take_ptr(after));
}

int switch_record_change(const struct json *old, const struct json *changes,
	struct json **ret_record, struct nic_error *error)
{
	static const char *const types[] = {"external", "internal", "private"};
	const char *type = json_get_string(old ? old : changes, "type", NULL);
	const struct json *logical = json_get(changes, "logical");
	_cleanup_json_ struct json *record = old ? json_copy(old) : json_object_new();
	int r;

	if (!is_one_of(type, types, ARRAY_LEN(types)))
		return nic_refuse(error,
			"a switch's type is external, internal or private, not '%.20s'",
			type ? type : "");
	json_set_string(record, "type", type);
	r = set_uplinks(record, changes, error);
	if (r == 0 && is_external(record) && !json_get(record, "uplink") &&
		!json_get(record, "uplinks"))
		r = nic_refuse(error, "an external switch needs an uplink, the network adapter it "
				      "is bound to");
	if (r == 0)
		r = set_team(record, changes, error);
	if (r == 0)
		r = set_bandwidth(record, changes, error);
	if (r == 0)
		r = set_management(record, changes, error);
	if (r == 0)
		r = set_statics(record, changes, error);
	if (r == 0 && logical && !json_is_null(logical) &&
		!svc_name_is_valid(json_string(logical, "")))
		r = nic_refuse(error,
			"a logical name has at most %d characters: letters, digits, - _ .",
			SVC_NAME_MAX_LEN);
	if (r < 0)
		return r;
	if (logical && json_is_null(logical))
		json_delete(record, "logical");
	else if (logical)
		json_set(record, "logical", json_copy(logical));
	*ret_record = take_ptr(record);
	return 0;
}

/* ---- what the switch process is told ---- */

struct json *switch_uplinks(const struct json *record)
{
	const char *one = json_get_string(record, "uplink", NULL);
	struct json *uplinks;

	if (json_get(record, "uplinks"))
		return json_copy(json_get(record, "uplinks"));
	uplinks = json_array_new();
	if (one)
		json_append_string(uplinks, one);
	return uplinks;
}

struct json *switch_link(const struct json *record)
{
	struct json *link = json_object_new();
	struct json *uplinks = switch_uplinks(record), *team;

	if (json_length(uplinks) > 1) {
		team = json_object_new();
		json_set_string(
			team, "mode", json_get_string(json_get(record, "team"), "mode", "standby"));
		json_set(link, "team", team);
	}
	json_set(link, "uplinks", uplinks);
	return link;
}

struct json *switch_bandwidth(const struct json *record)
{
	struct json *bandwidth = json_object_new();

	json_set_string(
		bandwidth, "bandwidth_mode", json_get_string(record, "bandwidth_mode", "none"));
	json_set_int(bandwidth, "link_bps", json_get_int(record, "link_bps", 0));
	return bandwidth;
}

struct json *switch_statics(const struct json *record)
{
	struct json *statics = json_object_new();
	const struct json *list = json_get(record, "static");

	json_set(statics, "static", list ? json_copy(list) : json_array_new());
	return statics;
}

/* ---- the host's adapters ---- */

static void set_interface(struct json *adapter, const char *name)
{
	json_set_stringf(adapter, "ifname", "vs-%.12s", name);
}

struct json *switch_adapters(const struct json *record, const char *node, const char *name)
{
	bool internal = strcmp(json_get_string(record, "type", ""), "internal") == 0;
	int64_t vlan = json_get_int(record, "management", internal ? 0 : -1);
	struct json *adapters, *adapter;

	if (json_get(record, "adapters"))
		return json_copy(json_get(record, "adapters"));
	adapters = json_array_new();
	if (vlan < 0)
		return adapters;
	adapter = json_object_new();
	json_set_string(adapter, "name", name);
	set_interface(adapter, name);
	json_set_stringf(adapter, "lease", "switch/%s/%s", node, name);
	json_set_string(adapter, "mode", vlan > 0 ? "access" : "untagged");
	if (vlan > 0)
		json_set_int(adapter, "vid", vlan);
	json_append(adapters, adapter);
	return adapters;
}

const struct json *switch_adapter_find(
	const struct json *adapters, const char *key, const char *value)
{
	for (size_t i = 0; i < json_length(adapters); i++) {
		if (strcmp(json_get_string(json_at(adapters, i), key, ""), value) == 0)
			return json_at(adapters, i);
	}
	return NULL;
}

int switch_adapter_make(const struct json *wanted, const char *node, const char *name,
	const struct json *adapters, struct json **ret_adapter, struct nic_error *error)
{
	_cleanup_json_ struct json *base = json_object_new();
	_cleanup_json_ struct json *policy = json_is_object(wanted) ? json_copy(wanted) : NULL;
	const char *adapter = json_get_string(wanted, "name", "");
	const char *mac = json_get_string(wanted, "mac", NULL);
	const struct json *other;

	if (!svc_name_is_valid(adapter))
		return nic_refuse(error,
			"an adapter needs a name of at most %d characters: letters, digits, - _ .",
			SVC_NAME_MAX_LEN);
	set_interface(base, adapter);
	other = switch_adapter_find(adapters, "ifname", json_get_string(base, "ifname", ""));
	if (other) {
		nic_refuse(error,
			"interface %s is adapter %s already; choose a name that differs in its "
			"first 12 characters",
			json_get_string(base, "ifname", ""), json_get_string(other, "name", ""));
		return -EEXIST;
	}
	json_set_string(base, "name", adapter);
	json_set_stringf(base, "lease", "switch/%s/%s/%s", node, name, adapter);
	if (mac)
		json_set_string(base, "mac", mac);
	json_delete(policy, "name");
	json_delete(policy, "mac");
	return nic_config_change(base, policy, NIC_OF_HOST, ret_adapter, error);
}
