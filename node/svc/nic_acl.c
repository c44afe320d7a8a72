/* SPDX-License-Identifier: MIT
 *
 * nic_acl.c - one rule of an access list, checked. What equals its default is left out: 256 rules
 * and four adapters must fit into one record.
 */
#include "node/svc/nic.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MAX_WEIGHT     65535
#define MAX_IDLE_S     86400
#define MAX_TEXT_BYTES 64

enum side_kind {
	SIDE_ANY,
	SIDE_MAC,
	SIDE_IPV4,
	SIDE_IPV6,
	SIDE_WRONG,
};

static const char *const keys[] = {"action", "direction", "weight", "protocol", "local", "remote",
	"local_ports", "remote_ports", "stateful", "idle_s"};

static bool is_one_of(const char *text, const char *const *names, size_t n)
{
	for (size_t i = 0; text && i < n; i++) {
		if (strcmp(names[i], text) == 0)
			return true;
	}
	return false;
}

/* A whole number of at most `max`, and nothing else. */
static bool parse_number(const char *text, long max, long *ret_value)
{
	char *end;
	long value;

	if (text[0] < '0' || text[0] > '9')
		return false;
	value = strtol(text, &end, 10);
	if (*end || value > max)
		return false;
	*ret_value = value;
	return true;
}

static bool is_mac(const char *text)
{
	unsigned b[6];
	int n = -1;

	return strlen(text) == 17 &&
	       (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
			&n) == 6 ||
		       sscanf(text, "%2x-%2x-%2x-%2x-%2x-%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4],
			       &b[5], &n) == 6) &&
	       n == 17;
}

static enum side_kind side_kind(const char *text)
{
	char address[MAX_TEXT_BYTES];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint8_t bytes[16];
	long prefix = 0;

	if (strcmp(text, "*") == 0)
		return SIDE_ANY;
	if (len >= sizeof(address) || (slash && !parse_number(slash + 1, 128, &prefix)))
		return SIDE_WRONG;
	memcpy(address, text, len);
	address[len] = '\0';
	if (is_mac(address))
		return prefix <= 48 ? SIDE_MAC : SIDE_WRONG;
	if (inet_pton(AF_INET, address, bytes) == 1)
		return prefix <= 32 ? SIDE_IPV4 : SIDE_WRONG;
	return inet_pton(AF_INET6, address, bytes) == 1 ? SIDE_IPV6 : SIDE_WRONG;
}

static int check_side(const struct json *wanted, const char *key, struct json *rule,
	enum side_kind *ret_kind, struct nic_error *error)
{
	const struct json *value = json_get(wanted, key);
	const char *text = json_string(value, "*");

	*ret_kind = SIDE_ANY;
	if (!value)
		return 0;
	if (!json_is_string(value) || side_kind(text) == SIDE_WRONG)
		return nic_refuse(error,
			"the rule's %s address '%.60s' is no address; give an IP or MAC address, "
			"with /LENGTH for a range, or *",
			key, json_string(value, "?"));
	*ret_kind = side_kind(text);
	if (*ret_kind != SIDE_ANY)
		json_set_string(rule, key, text);
	return 0;
}

static int check_sides(const struct json *wanted, struct json *rule, struct nic_error *error)
{
	const char *protocol = json_get_string(rule, "protocol", "");
	enum side_kind local, remote;
	int r = check_side(wanted, "local", rule, &local, error);

	if (r == 0)
		r = check_side(wanted, "remote", rule, &remote, error);
	if (r < 0)
		return r;
	if (local != SIDE_ANY && remote != SIDE_ANY && local != remote)
		return nic_refuse(error,
			"the rule's addresses are of two kinds, and no frame has both; give two "
			"IPv4, two IPv6 or two MAC addresses, or * for one of them");
	if (strcmp(protocol, "icmp") == 0 && (local == SIDE_IPV6 || remote == SIDE_IPV6))
		return nic_refuse(error, "icmp does not go with IPv6 addresses; say icmpv6");
	if (strcmp(protocol, "icmpv6") == 0 && (local == SIDE_IPV4 || remote == SIDE_IPV4))
		return nic_refuse(error, "icmpv6 does not go with IPv4 addresses; say icmp");
	return 0;
}

/* A text, or a number that is one. */
static const char *text_of(const struct json *value, char *buffer, size_t size_bytes)
{
	if (json_is_string(value))
		return strlen(json_string(value, "")) < MAX_TEXT_BYTES ? json_string(value, "")
								       : "?";
	if (!json_is_int(value))
		return "?";
	snprintf(buffer, size_bytes, "%lld", (long long)json_int(value, 0));
	return buffer;
}

static int check_protocol(const struct json *wanted, struct json *rule, struct nic_error *error)
{
	static const char *const names[] = {"tcp", "udp", "icmp", "icmpv6"};
	const struct json *value = json_get(wanted, "protocol");
	char buffer[24];
	const char *text;
	long number;

	if (!value)
		return 0;
	text = text_of(value, buffer, sizeof(buffer));
	if (!is_one_of(text, names, ARRAY_LEN(names)) && !parse_number(text, 255, &number))
		return nic_refuse(error,
			"'%.40s' is no protocol; say tcp, udp, icmp, icmpv6 or a number from 0 to "
			"255",
			text);
	json_set_string(rule, "protocol", text);
	return 0;
}

static bool has_ports(const char *protocol)
{
	static const char *const names[] = {"tcp", "udp", "6", "17"};

	return is_one_of(protocol, names, ARRAY_LEN(names));
}

/* "53" or "80-90". */
static bool ports_are_valid(const char *text)
{
	const char *dash = strchr(text, '-');
	char first[8];
	long min, max;

	if (!dash)
		return parse_number(text, 65535, &min) && min > 0;
	if (dash - text >= (ptrdiff_t)sizeof(first))
		return false;
	memcpy(first, text, (size_t)(dash - text));
	first[dash - text] = '\0';
	return parse_number(first, 65535, &min) && parse_number(dash + 1, 65535, &max) && min > 0 &&
	       min <= max;
}

static int check_ports(
	const struct json *wanted, const char *key, struct json *rule, struct nic_error *error)
{
	const struct json *value = json_get(wanted, key);
	char buffer[24];
	const char *text;

	if (!value)
		return 0;
	text = text_of(value, buffer, sizeof(buffer));
	if (!ports_are_valid(text))
		return nic_refuse(error,
			"the rule's %s '%.40s' are no ports; give one from 1 to 65535, or a range "
			"like 80-90",
			key, text);
	if (!has_ports(json_get_string(rule, "protocol", "")))
		return nic_refuse(error,
			"only tcp and udp have ports, so a rule with %s must name one of them as "
			"its protocol",
			key);
	json_set_string(rule, key, text);
	return 0;
}

static int check_number(const struct json *wanted, const char *key, int64_t min, int64_t max,
	struct json *rule, struct nic_error *error)
{
	const struct json *value = json_get(wanted, key);

	if (!value)
		return 0;
	if (!json_is_int(value) || json_int(value, 0) < min || json_int(value, 0) > max)
		return nic_refuse(error, "the rule's %s must be a whole number from %lld to %lld",
			key, (long long)min, (long long)max);
	if (json_int(value, 0) != 0)
		json_set_int(rule, key, json_int(value, 0));
	return 0;
}

static int check_state(const struct json *wanted, struct json *rule, struct nic_error *error)
{
	const struct json *stateful = json_get(wanted, "stateful");

	if (stateful && !json_is_bool(stateful))
		return nic_refuse(error, "the rule's stateful must be true or false");
	if (!json_get_bool(wanted, "stateful", false)) {
		if (json_get(rule, "idle_s"))
			return nic_refuse(error,
				"idle_s ends the conversations of stateful rules, and this rule is "
				"not stateful; make it that, or leave idle_s out");
		return 0;
	}
	if (strcmp(json_get_string(rule, "action", ""), "allow") != 0)
		return nic_refuse(error,
			"only an allow rule can be stateful: what is denied or metered has no "
			"answers to let in");
	json_set_bool(rule, "stateful", true);
	return 0;
}

static int check_names(const struct json *wanted, struct json *rule, struct nic_error *error)
{
	static const char *const actions[] = {"allow", "deny", "meter"};
	static const char *const directions[] = {"in", "out", "both"};
	const struct json *direction = json_get(wanted, "direction");
	const char *action = json_get_string(wanted, "action", NULL), *key;
	struct json *value;
	void *at = NULL;

	if (!json_is_object(wanted))
		return nic_refuse(error, "a rule is an object with an action, not a bare value");
	while (json_next(wanted, &at, &key, &value)) {
		if (!is_one_of(key, keys, ARRAY_LEN(keys)))
			return nic_refuse(error,
				"a rule has no '%.40s'; it has action, direction, weight, "
				"protocol, local, remote, local_ports, remote_ports, stateful and "
				"idle_s",
				key);
	}
	if (!is_one_of(action, actions, ARRAY_LEN(actions)))
		return nic_refuse(error,
			"the rule's action must be allow, deny or meter, and is '%.40s'",
			action ? action : "");
	json_set_string(rule, "action", action);
	if (direction &&
		!is_one_of(json_string(direction, NULL), directions, ARRAY_LEN(directions)))
		return nic_refuse(error,
			"the rule's direction must be in, out or both, as its owner sees it");
	json_set_string(rule, "direction", json_string(direction, "both"));
	return 0;
}

int nic_rule_make(const struct json *wanted, struct json **ret_rule, struct nic_error *error)
{
	_cleanup_json_ struct json *rule = json_object_new();
	int r = check_names(wanted, rule, error);

	if (r == 0)
		r = check_number(wanted, "weight", 0, MAX_WEIGHT, rule, error);
	if (r == 0)
		r = check_protocol(wanted, rule, error);
	if (r == 0)
		r = check_sides(wanted, rule, error);
	if (r == 0)
		r = check_ports(wanted, "local_ports", rule, error);
	if (r == 0)
		r = check_ports(wanted, "remote_ports", rule, error);
	if (r == 0)
		r = check_number(wanted, "idle_s", 1, MAX_IDLE_S, rule, error);
	if (r == 0)
		r = check_state(wanted, rule, error);
	if (r == 0)
		*ret_rule = take_ptr(rule);
	return r;
}
