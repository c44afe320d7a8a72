/* SPDX-License-Identifier: MIT
 *
 * nic_config.c - the settings of a network adapter: changed by a request, checked as a whole, and
 * handed to the switch process.
 */
#include "node/svc/nic.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VID_MAX       4094
#define MIN_MTU_BYTES 576
#define MAX_MTU_BYTES 9000
#define DEFAULT_MTU   1500

/* What a mode goes with. */
static const struct vlan_mode {
	const char *name;
	const char *numbers[2];
	const char *list;
} modes[] = {
	{"untagged", {NULL, NULL}, NULL},
	{"access", {"vid", NULL}, NULL},
	{"trunk", {"native", NULL}, "allowed"},
	{"isolated", {"primary", "secondary"}, NULL},
	{"community", {"primary", "secondary"}, NULL},
	{"promiscuous", {"primary", NULL}, "secondaries"},
};
static const char *const vlan_keys[] = {
	"mode", "vid", "native", "allowed", "primary", "secondary", "secondaries"};
/* The rest of the policy, each a group of its own. */
static const char *const policy_keys[] = {"spoofing", "guards", "acl", "bandwidth", "mirror"};
static const char *const vm_keys[] = {"switch", "mac", "mtu", "offload"};
/* These change member by member. */
static const char *const merged_keys[] = {"guards", "bandwidth", "offload"};

int nic_refuse(struct nic_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return -EINVAL;
}

static bool is_in(const char *key, const char *const *names, size_t n)
{
	for (size_t i = 0; key && i < n; i++) {
		if (names[i] && strcmp(names[i], key) == 0)
			return true;
	}
	return false;
}

/* ---- changing ---- */

static int check_keys(const struct json *changes, enum nic_kind kind, struct nic_error *error)
{
	struct json *value;
	void *at = NULL;
	const char *key;

	if (!json_is_object(changes))
		return nic_refuse(error, "the settings of an adapter are an object of names and "
					 "values, not a bare value");
	while (json_next(changes, &at, &key, &value)) {
		bool known = is_in(key, vlan_keys, ARRAY_LEN(vlan_keys)) ||
			     is_in(key, policy_keys, ARRAY_LEN(policy_keys)) ||
			     (kind == NIC_OF_VM && is_in(key, vm_keys, ARRAY_LEN(vm_keys)));

		if (!known)
			return nic_refuse(error,
				"an adapter%s has no setting '%.40s'; see "
				"docs/commands.md for those it has",
				kind == NIC_OF_HOST ? " of a host" : "", key);
	}
	return 0;
}

static bool names_vlan(const struct json *changes)
{
	for (size_t i = 0; i < ARRAY_LEN(vlan_keys); i++) {
		const struct json *value = json_get(changes, vlan_keys[i]);

		if (value && !json_is_null(value))
			return true;
	}
	return false;
}

static int merge(
	struct json *config, const char *key, const struct json *changes, struct nic_error *error)
{
	_cleanup_json_ struct json *merged = NULL;
	struct json *value;
	void *at = NULL;
	const char *member;

	if (!json_is_object(changes))
		return nic_refuse(error, "\"%s\" must be an object of names and values", key);
	merged = json_get(config, key) ? json_copy(json_get(config, key)) : json_object_new();
	while (json_next(changes, &at, &member, &value)) {
		if (json_is_null(value))
			json_delete(merged, member);
		else
			json_set(merged, member, json_copy(value));
	}
	json_set(config, key, take_ptr(merged));
	return 0;
}

/* Unchecked. The VLAN settings that are there go when others come. */
static int apply(struct json *config, const struct json *changes, struct nic_error *error)
{
	struct json *value;
	void *at = NULL;
	const char *key;
	int r;

	if (names_vlan(changes)) {
		if (!json_get_string(changes, "mode", NULL))
			return nic_refuse(error,
				"the VLAN settings go together: name the mode too (untagged, "
				"access, trunk, isolated, community or promiscuous)");
		for (size_t i = 0; i < ARRAY_LEN(vlan_keys); i++)
			json_delete(config, vlan_keys[i]);
	}
	while (json_next(changes, &at, &key, &value)) {
		if (json_is_null(value)) {
			json_delete(config, key);
		} else if (is_in(key, merged_keys, ARRAY_LEN(merged_keys))) {
			r = merge(config, key, value, error);
			if (r < 0)
				return r;
		} else {
			json_set(config, key, json_copy(value));
		}
	}
	return 0;
}

/* ---- VLAN ---- */

const char *nic_vlan_list_error(const char *text, int64_t without)
{
	const char *at = text;

	if (!text[0])
		return "empty; give VLANs like 2-4,7";
	if (strlen(text) > NIC_LIST_MAX_BYTES)
		return "longer than any list of VLANs need be";
	for (;;) {
		char *end;
		long first, last;

		if (*at < '0' || *at > '9')
			return "no list of VLANs; give one like 2-4,7";
		first = last = strtol(at, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return "no list of VLANs; give one like 2-4,7";
			last = strtol(end + 1, &end, 10);
		}
		if (first < 1 || last > VID_MAX || first > last)
			return "beyond the VLANs 1 to 4094, of which it must name some (0 and 4095 "
			       "are reserved by 802.1Q)";
		if (without >= first && without <= last)
			return "naming the primary VLAN, which cannot be its own secondary";
		if (!*end)
			return NULL;
		if (*end != ',')
			return "no list of VLANs; give one like 2-4,7";
		at = end + 1;
	}
}

static int check_vid(const struct json *config, const char *key, struct nic_error *error)
{
	const struct json *value = json_get(config, key);
	int64_t vid = json_int(value, 0);

	if (!value && strcmp(key, "native") == 0)
		return 0;
	if (!value || !json_is_int(value))
		return nic_refuse(error, "mode %s needs \"%s\", a VLAN from 1 to 4094",
			json_get_string(config, "mode", ""), key);
	if (vid >= 1 && vid <= VID_MAX)
		return 0;
	if (vid == 0 && strcmp(key, "native") == 0)
		return 0;
	if (vid == 0)
		return nic_refuse(error,
			"VLAN 0 is no VLAN: 802.1Q keeps it for frames with a priority only, so "
			"\"%s\" cannot be 0; choose 1 to 4094, or mode untagged",
			key);
	if (vid == VID_MAX + 1)
		return nic_refuse(error,
			"VLAN 4095 is reserved by 802.1Q, so \"%s\" cannot be 4095; choose 1 to "
			"4094",
			key);
	return nic_refuse(error, "\"%s\" is %lld, but VLANs are 1 to 4094; choose one of those",
		key, (long long)vid);
}

static bool is_nothing(const struct json *value)
{
	return (json_is_int(value) && json_int(value, 1) == 0) ||
	       (json_is_string(value) && !json_string(value, "")[0]);
}

/* What belongs to another mode is refused, unless it says nothing: then it is left out. */
static int drop_others(struct json *config, const struct vlan_mode *mode, struct nic_error *error)
{
	for (size_t i = 1; i < ARRAY_LEN(vlan_keys); i++) {
		const char *key = vlan_keys[i];
		const struct json *value = json_get(config, key);

		if (!value || is_in(key, mode->numbers, ARRAY_LEN(mode->numbers)) ||
			is_in(key, &mode->list, 1))
			continue;
		if (!is_nothing(value))
			return nic_refuse(error,
				"mode %s does not go with \"%s\"; leave it out, or choose the mode "
				"that it belongs to",
				mode->name, key);
		json_delete(config, key);
	}
	return 0;
}

static int check_vlan(struct json *config, struct nic_error *error)
{
	const struct json *wanted = json_get(config, "mode");
	const char *name = json_string(wanted, wanted ? "" : "untagged"), *why;
	const struct vlan_mode *mode = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (strcmp(modes[i].name, name) == 0)
			mode = &modes[i];
	}
	if (!mode)
		return nic_refuse(error,
			"'%.40s' is no VLAN mode: say untagged, access, trunk, isolated, community "
			"or promiscuous",
			name);
	r = drop_others(config, mode, error);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(mode->numbers) && mode->numbers[i]; i++)
		r = check_vid(config, mode->numbers[i], error);
	if (r < 0)
		return r;
	if (mode->list) {
		why = nic_vlan_list_error(json_get_string(config, mode->list, ""),
			json_get_int(config, "primary", 0));
		if (why)
			return nic_refuse(error, "mode %s needs \"%s\", and that is %s", name,
				mode->list, why);
	} else if (mode->numbers[1] &&
		   json_get_int(config, "primary", 0) == json_get_int(config, "secondary", 0)) {
		return nic_refuse(error,
			"primary and secondary VLAN are both %lld, but must differ; choose another "
			"secondary",
			(long long)json_get_int(config, "primary", 0));
	}
	return 0;
}

/* ---- the other groups ---- */

static int check_bool(const struct json *object, const char *key, struct nic_error *error)
{
	const struct json *value = json_get(object, key);

	return !value || json_is_bool(value)
		       ? 0
		       : nic_refuse(error, "\"%s\" must be true or false", key);
}

static int check_choice(const struct json *object, const char *key, const char *const *names,
	size_t n, const char *choice, struct nic_error *error)
{
	const struct json *value = json_get(object, key);

	return !value || is_in(json_string(value, NULL), names, n)
		       ? 0
		       : nic_refuse(error, "\"%s\" must be %s", key, choice);
}

static int check_members(const struct json *object, const char *what, const char *const *names,
	size_t n, struct nic_error *error)
{
	struct json *value;
	const char *key;
	void *at = NULL;

	while (json_next(object, &at, &key, &value)) {
		if (!is_in(key, names, n))
			return nic_refuse(error,
				"\"%s\" has no member '%.40s'; see docs/commands.md for those it "
				"has",
				what, key);
	}
	return 0;
}

static bool is_address(const struct json *j)
{
	uint8_t bytes[16];
	const char *text = json_string(j, "");

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static int check_guards(const struct json *guards, struct nic_error *error)
{
	static const char *const names[] = {"dhcp", "router", "addresses", "ips"};
	const struct json *ips = json_get(guards, "ips");
	int r = check_members(guards, "guards", names, ARRAY_LEN(names), error);

	for (size_t i = 0; r == 0 && i < 3; i++)
		r = check_bool(guards, names[i], error);
	if (r < 0 || !ips)
		return r;
	if (!json_is_array(ips) || json_length(ips) > NIC_MAX_IPS)
		return nic_refuse(error,
			"\"ips\" must be a list of at most %d IP addresses, those that the guest "
			"may use",
			NIC_MAX_IPS);
	for (size_t i = 0; i < json_length(ips); i++) {
		if (!is_address(json_at(ips, i)))
			return nic_refuse(error,
				"'%.60s' among \"ips\" is no IP address; give one like 10.0.0.5 or "
				"fd00::5",
				json_string(json_at(ips, i), "?"));
	}
	return 0;
}

static int check_rate(const struct json *bandwidth, const char *key, int64_t min, int64_t max,
	struct nic_error *error)
{
	const struct json *value = json_get(bandwidth, key);
	int64_t rate = json_int(value, -1);

	if (!value || (json_is_int(value) && rate == 0))
		return 0;
	if (!json_is_int(value) || rate < min || rate > max)
		return nic_refuse(error,
			"\"%s\" must be a whole number from %lld to %lld, or 0 for none", key,
			(long long)min, (long long)max);
	return 0;
}

static int check_bandwidth(const struct json *bandwidth, struct nic_error *error)
{
	static const char *const names[] = {"max_bps", "min_bps", "weight", "storm_fps"};
	int64_t max = json_get_int(bandwidth, "max_bps", 0);
	int64_t min = json_get_int(bandwidth, "min_bps", 0);
	int r = check_members(bandwidth, "bandwidth", names, ARRAY_LEN(names), error);

	for (size_t i = 0; r == 0 && i < 2; i++)
		r = check_rate(bandwidth, names[i], NIC_MIN_RATE_BPS, NIC_MAX_RATE_BPS, error);
	if (r == 0)
		r = check_rate(bandwidth, "weight", 1, NIC_MAX_WEIGHT, error);
	if (r == 0)
		r = check_rate(bandwidth, "storm_fps", 1, UINT32_MAX, error);
	if (r < 0)
		return r;
	if (min > 0 && json_get_int(bandwidth, "weight", 0) > 0)
		return nic_refuse(error,
			"a minimum is either bits per second or a weight, as the switch's "
			"bandwidth mode says; give one of \"min_bps\" and \"weight\"");
	if (max > 0 && min > max)
		return nic_refuse(error,
			"the minimum of %lld bit/s is above the maximum of %lld bit/s; lower one "
			"or raise the other",
			(long long)min, (long long)max);
	return 0;
}

static int check_offload(const struct json *offload, struct nic_error *error)
{
	static const char *const names[] = {"lso", "rsc", "rss", "csum"};
	static const char *const csums[] = {"off", "tx", "rx", "both"};
	const char *csum = json_get_string(offload, "csum", "both");
	int r = check_members(offload, "offload", names, ARRAY_LEN(names), error);

	for (size_t i = 0; r == 0 && i < 3; i++)
		r = check_bool(offload, names[i], error);
	if (r == 0)
		r = check_choice(
			offload, "csum", csums, ARRAY_LEN(csums), "off, tx, rx or both", error);
	if (r == 0 && json_get_bool(offload, "lso", false) &&
		(strcmp(csum, "off") == 0 || strcmp(csum, "rx") == 0))
		return nic_refuse(error,
			"large sends (lso) need checksums of what is sent, and \"csum\" is %s; say "
			"tx or both, or switch lso off",
			csum);
	return r;
}

static int make_rules(struct json *config, struct nic_error *error)
{
	const struct json *wanted = json_get(config, "acl");
	struct json *rules;

	if (!wanted)
		return 0;
	if (!json_is_array(wanted) || json_length(wanted) > NIC_MAX_RULES)
		return nic_refuse(
			error, "\"acl\" must be a list of at most %d rules", NIC_MAX_RULES);
	rules = json_array_new();
	for (size_t i = 0; i < json_length(wanted); i++) {
		struct nic_error why;
		struct json *rule;

		if (nic_rule_make(json_at(wanted, i), &rule, &why) < 0) {
			json_unref(rules);
			return nic_refuse(error, "rule %zu: %.230s", i, why.text);
		}
		json_append(rules, rule);
	}
	return json_set(config, "acl", rules);
}

/* A group address is nobody's own. */
bool nic_mac_parse(const char *text, unsigned char ret_mac[6])
{
	static const unsigned char zero[6];
	int n = -1;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret_mac[0], &ret_mac[1],
		       &ret_mac[2], &ret_mac[3], &ret_mac[4], &ret_mac[5], &n) == 6 &&
	       n == 17 && !text[17] && !(ret_mac[0] & 1) && memcmp(ret_mac, zero, 6) != 0;
}

static bool switch_is_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t len = strlen(name);

	return len >= 1 && len <= 63 && !strchr("-_.", name[0]) && strspn(name, allowed) == len;
}

static int check_of_vm(const struct json *config, struct nic_error *error)
{
	const struct json *mtu = json_get(config, "mtu"), *mac = json_get(config, "mac");
	int64_t bytes = json_int(mtu, mtu ? 0 : DEFAULT_MTU);
	unsigned char bytes_of_mac[6];

	if (!switch_is_valid(json_get_string(config, "switch", "")))
		return nic_refuse(
			error, "it needs the name of a switch; see 'viaduct switch list'");
	if (bytes < MIN_MTU_BYTES || bytes > MAX_MTU_BYTES)
		return nic_refuse(
			error, "its MTU must be %d to %d bytes", MIN_MTU_BYTES, MAX_MTU_BYTES);
	if (mac && !nic_mac_parse(json_string(mac, ""), bytes_of_mac))
		return nic_refuse(error,
			"its MAC must be a unicast address like 00:15:5d:01:02:03; without one it "
			"gets a lease");
	return check_offload(json_get(config, "offload"), error);
}

static int check(struct json *config, enum nic_kind kind, struct nic_error *error)
{
	static const char *const mirrors[] = {"none", "source", "destination"};
	int r = check_vlan(config, error);

	if (r == 0)
		r = check_bool(config, "spoofing", error);
	if (r == 0)
		r = check_guards(json_get(config, "guards"), error);
	if (r == 0)
		r = check_bandwidth(json_get(config, "bandwidth"), error);
	if (r == 0)
		r = check_choice(config, "mirror", mirrors, ARRAY_LEN(mirrors),
			"none, source or destination", error);
	if (r == 0)
		r = make_rules(config, error);
	if (r == 0 && kind == NIC_OF_VM)
		r = check_of_vm(config, error);
	return r;
}

int nic_config_change(const struct json *old, const struct json *changes, enum nic_kind kind,
	struct json **ret_config, struct nic_error *error)
{
	_cleanup_json_ struct json *config = old ? json_copy(old) : json_object_new();
	int r = check_keys(changes, kind, error);

	if (r == 0)
		r = apply(config, changes, error);
	if (r == 0)
		r = check(config, kind, error);
	if (r == 0)
		*ret_config = take_ptr(config);
	return r;
}

/* ---- to the switch ---- */

static void copy_keys(const struct json *from, const char *const *names, size_t n, struct json *to)
{
	for (size_t i = 0; i < n; i++) {
		const struct json *value = json_get(from, names[i]);

		if (value && !json_is_null(value))
			json_set(to, names[i], json_copy(value));
	}
}

static void set_vlan(const struct json *config, struct json *message)
{
	copy_keys(config, vlan_keys, ARRAY_LEN(vlan_keys), message);
	if (!json_get(message, "mode"))
		json_set_string(message, "mode", "untagged");
}

void nic_policy_set(const struct json *config, struct json *message)
{
	set_vlan(config, message);
	copy_keys(config, policy_keys, ARRAY_LEN(policy_keys), message);
}

bool nic_setting_differs(const struct json *old, const struct json *config, const char *key)
{
	return !json_is_equal(json_get(old, key), json_get(config, key));
}

/* What the switch takes for a setting that is not made. */
static struct json *default_of(const char *key)
{
	if (strcmp(key, "spoofing") == 0)
		return json_bool_new(false);
	if (strcmp(key, "mirror") == 0)
		return json_string_new("none");
	return strcmp(key, "acl") == 0 ? json_array_new() : json_object_new();
}

bool nic_policy_diff(const struct json *old, const struct json *config, struct json *message)
{
	bool differs = false, vlan_differs = false;

	for (size_t i = 0; i < ARRAY_LEN(vlan_keys); i++)
		vlan_differs |= nic_setting_differs(old, config, vlan_keys[i]);
	if (vlan_differs)
		set_vlan(config, message);
	for (size_t i = 0; i < ARRAY_LEN(policy_keys); i++) {
		const char *key = policy_keys[i];

		if (!nic_setting_differs(old, config, key))
			continue;
		differs = true;
		json_set(message, key,
			json_get(config, key) ? json_copy(json_get(config, key)) : default_of(key));
	}
	return differs || vlan_differs;
}
