/* SPDX-License-Identifier: MIT
 *
 * acl_rule.c - one rule: whether it makes sense, how specific it is, and which frames it matches.
 */
#include "fabric/acl.h"
#include "fabric/acl_list.h"
#include "fabric/inet.h"

static bool names_ports(const struct acl_side *side)
{
	return side->port_min || side->port_max;
}

unsigned acl_side_max_bits(const struct acl_side *side)
{
	switch (side->kind) {
	case ACL_MAC:
		return ETH_ADDR_LEN * 8;
	case ACL_IPV4:
		return 32;
	case ACL_IPV6:
		return HEADERS_IP_BYTES * 8;
	default:
		return 0;
	}
}

bool acl_side_has_bits_behind_prefix(const struct acl_side *side)
{
	unsigned at = side->prefix_bits / 8;
	uint8_t rest =
		at < HEADERS_IP_BYTES ? (uint8_t)(side->address[at] << side->prefix_bits % 8) : 0;

	for (unsigned i = at + 1; i < HEADERS_IP_BYTES; i++)
		rest |= side->address[i];
	return rest;
}

static const char *side_error(const struct acl_side *side)
{
	if ((unsigned)side->kind > ACL_IPV6)
		return "has an unknown kind of address";
	if (side->prefix_bits > acl_side_max_bits(side))
		return "has a prefix that is longer than its address";
	if (acl_side_has_bits_behind_prefix(side))
		return "has an address with bits behind its prefix";
	if (side->port_min > side->port_max)
		return "has a range of ports that ends before it begins";
	return NULL;
}

/* Two sides that no frame can have together. */
static const char *sides_error(const struct acl_side *local, const struct acl_side *remote)
{
	if (local->kind == ACL_ANY || remote->kind == ACL_ANY || local->kind == remote->kind)
		return NULL;
	if (local->kind == ACL_MAC || remote->kind == ACL_MAC)
		return "names both MAC and IP addresses";
	return "names both IPv4 and IPv6 addresses";
}

static const char *protocol_error(const struct acl_rule *rule)
{
	bool ports = names_ports(&rule->local) || names_ports(&rule->remote);

	if (rule->protocol == ACL_ANY_PROTOCOL)
		return NULL;
	if (rule->protocol > UINT8_MAX)
		return "names a protocol above 255";
	if (ports && rule->protocol != PROTOCOL_TCP && rule->protocol != PROTOCOL_UDP)
		return "names ports, which only TCP and UDP have";
	return NULL;
}

static const char *stateful_error(const struct acl_rule *rule)
{
	if (rule->stateful && rule->action != ACL_ALLOW)
		return "is stateful, which only rules that allow can be";
	if (rule->idle_s && !rule->stateful)
		return "has an idle time-out, but is not stateful";
	if (rule->idle_s > CONN_MAX_IDLE_S)
		return "has an idle time-out of more than a week";
	return NULL;
}

const char *acl_rule_error(const struct acl_rule *rule)
{
	const char *error = NULL;

	if ((unsigned)rule->action > ACL_METER)
		return "has an unknown action";
	if (rule->directions == 0 || rule->directions & ~ACL_BOTH)
		return "is for no direction that there is";
	error = side_error(&rule->local);
	error = error ?: side_error(&rule->remote);
	error = error ?: sides_error(&rule->local, &rule->remote);
	error = error ?: protocol_error(rule);
	return error ?: stateful_error(rule);
}

unsigned acl_rule_specificity(const struct acl_rule *rule)
{
	unsigned bits = (unsigned)rule->local.prefix_bits + rule->remote.prefix_bits;
	unsigned n_ports = (unsigned)names_ports(&rule->local) + names_ports(&rule->remote);

	return bits << 3 | (rule->protocol != ACL_ANY_PROTOCOL) << 2 | n_ports;
}

/* IP, or something in which there may be IP of either version. */
static bool is_ip(const struct headers *headers)
{
	if (headers->l3 == HEADERS_L3_OTHER)
		return headers->hidden || headers->malformed;
	return headers->l3 == HEADERS_L3_IPV4 || headers->l3 == HEADERS_L3_IPV6;
}

/* Nothing of the IP header can be seen. */
static bool is_opaque(const struct headers *headers)
{
	return headers->malformed || headers->l3 == HEADERS_L3_OTHER;
}

/* The upper protocol is behind extension headers that were not followed to their end. */
static bool is_protocol_hidden(const struct headers *headers)
{
	return headers->l3 == HEADERS_L3_IPV6 && headers->hidden &&
	       ipv6_is_extension(headers->protocol);
}

static bool may_have_ports(const struct headers *headers)
{
	return headers->protocol == PROTOCOL_TCP || headers->protocol == PROTOCOL_UDP ||
	       is_protocol_hidden(headers);
}

static bool has_prefix(const uint8_t *address, const struct acl_side *side)
{
	unsigned n_bytes = side->prefix_bits / 8, n_bits = side->prefix_bits % 8;

	if (memcmp(address, side->address, n_bytes) != 0)
		return false;
	return n_bits == 0 || (address[n_bytes] ^ side->address[n_bytes]) >> (8 - n_bits) == 0;
}

/* `unseen`: what the rule makes of what it cannot see. */
static bool address_matches(const struct acl_side *side, const struct headers *headers,
	const uint8_t *mac, const uint8_t *ip, bool unseen)
{
	enum headers_l3 version = side->kind == ACL_IPV6 ? HEADERS_L3_IPV6 : HEADERS_L3_IPV4;

	if (side->kind == ACL_ANY)
		return true;
	if (side->kind == ACL_MAC)
		return has_prefix(mac, side);
	if (!is_ip(headers) || (headers->l3 != version && headers->l3 != HEADERS_L3_OTHER))
		return false;
	return is_opaque(headers) ? unseen : has_prefix(ip, side);
}

static bool protocol_matches(
	const struct acl_rule *rule, const struct headers *headers, bool unseen)
{
	if (rule->protocol == ACL_ANY_PROTOCOL)
		return true;
	if (!is_ip(headers))
		return false;
	if (is_opaque(headers) || is_protocol_hidden(headers))
		return unseen;
	return headers->protocol == rule->protocol;
}

static bool port_matches(const struct acl_side *side, uint16_t port)
{
	return !names_ports(side) || (port >= side->port_min && port <= side->port_max);
}

static bool ports_match(const struct acl_side *source, const struct acl_side *destination,
	const struct headers *headers, bool unseen)
{
	if (!names_ports(source) && !names_ports(destination))
		return true;
	if (!is_ip(headers))
		return false;
	if (is_opaque(headers))
		return unseen;
	if (headers->hidden)
		return unseen && may_have_ports(headers);
	return headers->has_ports && port_matches(source, headers->src_port) &&
	       port_matches(destination, headers->dst_port);
}

bool acl_rule_matches(const struct acl_rule *rule, const struct headers *headers, bool outbound)
{
	const struct acl_side *source = outbound ? &rule->local : &rule->remote;
	const struct acl_side *destination = outbound ? &rule->remote : &rule->local;
	bool unseen = rule->action == ACL_DENY;

	return address_matches(source, headers, headers->src, headers->ip_src, unseen) &&
	       address_matches(destination, headers, headers->dst, headers->ip_dst, unseen) &&
	       protocol_matches(rule, headers, unseen) &&
	       ports_match(source, destination, headers, unseen);
}
