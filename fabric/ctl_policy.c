/* SPDX-License-Identifier: MIT
 *
 * ctl_policy.c - the policy keys of requests about ports: guards, access list, bandwidth, mirror.
 * Each key that is there replaces what the configuration had; the rest stays.
 */
#include "fabric/ctl_ops.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* A nested object as a request of its own, for the getters of ctl_parse.c. */
struct nested {
	struct ctl_call call;
	char op[96];
};

static const struct json *nest(
	struct ctl_call *call, const struct json *object, const char *name, struct nested *nested)
{
	snprintf(nested->op, sizeof(nested->op), "%.40s, %.40s", call->op, name);
	nested->call = (struct ctl_call){.op = nested->op, .message = object};
	return object;
}

/* 1: there it is; 0: it is absent or null. */
static int get_nested(struct ctl_call *call, const char *key, struct nested *nested)
{
	const struct json *value = ctl_get(call, key);

	if (!value)
		return 0;
	if (!json_is_object(value))
		return refuse(&call->why, -EINVAL, "%s: \"%s\" must be an object", call->op, key);
	nest(call, value, key, nested);
	return 1;
}

/* The refusal of a nested request is the request's. */
static int give_up(struct ctl_call *call, const struct nested *nested, int error)
{
	if (error < 0)
		call->why = nested->call.why;
	return error;
}

/* ---- guards ---- */

static int get_flag(struct ctl_call *call, const char *key, uint32_t flag, uint32_t *flags)
{
	bool on;
	int r = ctl_get_bool(call, key, *flags & flag, &on);

	if (r == 0)
		*flags = on ? *flags | flag : *flags & ~flag;
	return r;
}

static int parse_ip(const char *text, struct guard_address *ret)
{
	*ret = (struct guard_address){.ipv6 = strchr(text, ':') != NULL};
	return inet_pton(ret->ipv6 ? AF_INET6 : AF_INET, text, ret->ip) == 1 ? 0 : -EINVAL;
}

static int get_addresses(struct ctl_call *call, struct guard *guard)
{
	const struct json *ips = ctl_get(call, "ips");

	if (!ips)
		return 0;
	if (!json_is_array(ips) || json_length(ips) > GUARD_MAX_ADDRESSES)
		return refuse(&call->why, -EINVAL,
			"%s: \"ips\" must be a list of at most %u IP addresses", call->op,
			GUARD_MAX_ADDRESSES);
	guard->n_addresses = 0;
	for (size_t i = 0; i < json_length(ips); i++) {
		const char *text = json_string(json_at(ips, i), "");

		if (parse_ip(text, &guard->addresses[guard->n_addresses++]) < 0)
			return refuse(&call->why, -EINVAL, "%s: '%.50s' is not an IP address",
				call->op, text);
	}
	return 0;
}

static int get_guards(struct ctl_call *call, struct guard *guard)
{
	struct nested nested;
	int r = get_nested(call, "guards", &nested);

	if (r <= 0)
		return r;
	r = get_flag(&nested.call, "dhcp", GUARD_DHCP, &guard->flags);
	r = r ?: get_flag(&nested.call, "router", GUARD_ROUTER, &guard->flags);
	r = r ?: get_flag(&nested.call, "addresses", GUARD_ADDRESSES, &guard->flags);
	r = r ?: get_addresses(&nested.call, guard);
	return give_up(call, &nested, r);
}

/* ---- access list ---- */

static int get_word(struct ctl_call *call, const char *key, const char *const *words,
	const int *values, unsigned n, int *ret_value)
{
	const char *word;
	int r = ctl_need_string(call, key, &word);

	for (unsigned i = 0; r == 0 && i < n; i++) {
		if (strcmp(words[i], word) == 0) {
			*ret_value = values[i];
			return 0;
		}
	}
	return r
		       ?: refuse(&call->why, -EINVAL, "%s: \"%s\" cannot be '%.30s'", call->op, key,
				  word);
}

static int get_protocol(struct ctl_call *call, uint16_t *ret_protocol)
{
	static const char *const names[] = {"icmp", "tcp", "udp", "icmpv6"};
	static const int numbers[] = {1, 6, 17, 58};
	const struct json *value = ctl_get(call, "protocol");
	int64_t number = ACL_ANY_PROTOCOL;
	int named = ACL_ANY_PROTOCOL;
	int r = 0;

	if (json_is_string(value)) {
		r = get_word(call, "protocol", names, numbers, ARRAY_LEN(names), &named);
		number = named;
	} else if (value) {
		r = ctl_get_int(call, "protocol", 0, 255, ACL_ANY_PROTOCOL, &number);
	}
	*ret_protocol = (uint16_t)number;
	return r;
}

static int get_ports(struct ctl_call *call, const char *key, struct acl_side *side)
{
	unsigned first, last;
	const char *text;
	char rest;
	int n, r = ctl_get_string(call, key, &text);

	if (r < 0 || !text)
		return r;
	n = strspn(text, "0123456789-") == strlen(text)
		    ? sscanf(text, "%5u-%5u%c", &first, &last, &rest)
		    : 0;
	if (n == 1)
		last = first;
	if (n < 1 || n > 2 || first == 0 || last < first || last > UINT16_MAX)
		return refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be a port or a range of ports like 8000-8080", call->op,
			key);
	side->port_min = (uint16_t)first;
	side->port_max = (uint16_t)last;
	return 0;
}

static int get_side(
	struct ctl_call *call, const char *key, const char *ports_key, struct acl_side *side)
{
	const char *text;
	int r = ctl_get_string(call, key, &text);

	if (r == 0 && text && acl_side_parse(text, side) < 0)
		r = refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be an address or prefix like 10.0.0.0/8, fd00::/16 or "
			"00:15:5d:00:00:00/24, or *",
			call->op, key);
	return r ?: get_ports(call, ports_key, side);
}

static int get_rule(struct ctl_call *call, struct acl_rule *rule)
{
	static const char *const actions[] = {"allow", "deny", "meter"};
	static const int action_values[] = {ACL_ALLOW, ACL_DENY, ACL_METER};
	static const char *const directions[] = {"in", "out", "both"};
	static const int direction_values[] = {ACL_INBOUND, ACL_OUTBOUND, ACL_BOTH};
	int action = ACL_ALLOW, direction = ACL_BOTH;
	int64_t weight = 0, idle_s = 0;
	int r;

	*rule = (struct acl_rule){.protocol = ACL_ANY_PROTOCOL};
	r = get_word(call, "action", actions, action_values, ARRAY_LEN(actions), &action);
	r = r
		    ?: get_word(call, "direction", directions, direction_values,
			       ARRAY_LEN(directions), &direction);
	r = r ?: ctl_get_int(call, "weight", 0, UINT32_MAX, 0, &weight);
	r = r ?: get_protocol(call, &rule->protocol);
	r = r ?: get_side(call, "local", "local_ports", &rule->local);
	r = r ?: get_side(call, "remote", "remote_ports", &rule->remote);
	r = r ?: ctl_get_bool(call, "stateful", false, &rule->stateful);
	r = r ?: ctl_get_int(call, "idle_s", 0, 86400, 0, &idle_s);
	if (r < 0)
		return r;
	rule->action = (enum acl_action)action;
	rule->directions = (uint8_t)direction;
	rule->weight = (uint32_t)weight;
	rule->idle_s = (uint32_t)idle_s;
	return acl_rule_error(rule) ? refuse(&call->why, -EINVAL, "%s: this rule %s", call->op,
					      acl_rule_error(rule))
				    : 0;
}

static int make_acl(struct acl_rule *rules, unsigned n_rules, struct acl **ret_acl)
{
	uint64_t seed = 0;

	*ret_acl = NULL;
	if (n_rules == 0)
		return 0;
	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
	return acl_new(rules, n_rules, seed, ret_acl);
}

static int get_acl(struct ctl_call *call, struct acl **ret_acl)
{
	const struct json *list = ctl_get(call, "acl");
	_cleanup_free_ struct acl_rule *rules = NULL;
	struct nested nested;
	int r = 0;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_length(list) > ACL_MAX_RULES)
		return refuse(&call->why, -EINVAL, "%s: \"acl\" must be a list of at most %u rules",
			call->op, ACL_MAX_RULES);
	rules = calloc(json_length(list) + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < json_length(list); i++) {
		char name[32];

		snprintf(name, sizeof(name), "rule %zu of \"acl\"", i);
		nest(call, json_at(list, i), name, &nested);
		r = give_up(call, &nested, get_rule(&nested.call, &rules[i]));
	}
	return r ?: make_acl(rules, (unsigned)json_length(list), ret_acl);
}

/* ---- bandwidth ---- */

static int get_bandwidth(struct ctl_call *call, struct qos_config *qos)
{
	int64_t max_bps = 0, min_bps = 0, weight = 0, storm_fps = 0;
	struct nested nested;
	int r = get_nested(call, "bandwidth", &nested);

	if (r <= 0)
		return r;
	r = ctl_get_int(&nested.call, "max_bps", 0, (int64_t)QOS_MAX_RATE_BPS,
		(int64_t)qos->max_bps, &max_bps);
	r = r
		    ?: ctl_get_int(&nested.call, "min_bps", 0, (int64_t)QOS_MAX_RATE_BPS,
			       (int64_t)qos->min_bps, &min_bps);
	r = r ?: ctl_get_int(&nested.call, "weight", 0, QOS_MAX_WEIGHT, qos->weight, &weight);
	r = r ?: ctl_get_int(&nested.call, "storm_fps", 0, UINT32_MAX, qos->storm_fps, &storm_fps);
	if (r < 0)
		return give_up(call, &nested, r);
	*qos = (struct qos_config){.max_bps = (uint64_t)max_bps,
		.min_bps = (uint64_t)min_bps,
		.weight = (uint32_t)weight,
		.storm_fps = (uint32_t)storm_fps};
	return 0;
}

static int get_mirror(struct ctl_call *call, enum mirror_role *role)
{
	const char *text;
	int r = ctl_get_string(call, "mirror", &text);

	if (r == 0 && text && mirror_role_parse(text, role) < 0)
		r = refuse(&call->why, -EINVAL,
			"%s: \"mirror\" must be none, source or destination", call->op);
	return r;
}

int ctl_get_policy(struct ctl_call *call, struct vport_config *config)
{
	int r = get_guards(call, &config->policy.guard);

	r = r ?: get_bandwidth(call, &config->qos);
	r = r ?: get_mirror(call, &config->policy.mirror);
	return r ?: get_acl(call, &config->policy.acl);
}
