/* SPDX-License-Identifier: MIT */
#include "fabric/guard.h"
#include "base/bytes.h"
#include "fabric/inet.h"

/* A frame and whose it is; the upper header in place. */
struct subject {
	const struct guard *guard;
	const struct headers *headers;
	const uint8_t *l4;
	size_t l4_bytes;
};

static bool is_ip(const struct headers *headers)
{
	return headers->l3 == HEADERS_L3_IPV4 || headers->l3 == HEADERS_L3_IPV6;
}

/* Could this be a message of `protocol`, for all that can be seen? */
static bool may_hide(const struct headers *headers, uint8_t protocol)
{
	if (!is_ip(headers))
		return headers->l3 == HEADERS_L3_OTHER && (headers->hidden || headers->malformed);
	if (headers->malformed)
		return true;
	if (!headers->hidden || !headers->first)
		return false;
	return headers->protocol == protocol ||
	       (headers->l3 == HEADERS_L3_IPV6 && ipv6_is_extension(headers->protocol));
}

/* A datagram whose first byte of payload says that a server sent it; a fragmented one might be
 * given another first byte when it is put together. */
static bool is_reply(const struct subject *subject, bool (*is_reply_type)(uint8_t type))
{
	return subject->headers->fragment || subject->l4_bytes <= UDP_BYTES ||
	       is_reply_type(subject->l4[UDP_BYTES]);
}

static bool is_dhcp_reply(uint8_t op)
{
	return op == DHCP_OP_REPLY;
}

static bool is_dhcpv6_reply(uint8_t type)
{
	return type == DHCPV6_ADVERTISE || type == DHCPV6_REPLY || type == DHCPV6_RECONFIGURE ||
	       type == DHCPV6_RELAY_REPLY || type == DHCPV6_V4_RESPONSE;
}

static bool is_dhcp_servers(const struct subject *subject)
{
	const struct headers *headers = subject->headers;

	if (may_hide(headers, PROTOCOL_UDP))
		return true;
	if (!headers->has_ports || headers->protocol != PROTOCOL_UDP)
		return false;
	if (headers->l3 == HEADERS_L3_IPV4)
		return headers->src_port == DHCP_SERVER_PORT ||
		       (headers->dst_port == DHCP_CLIENT_PORT && is_reply(subject, is_dhcp_reply));
	if (headers->src_port == DHCPV6_SERVER_PORT)
		return true;
	/* Relay agents, which listen where servers do, are answered as well. What goes to a server
	 * may be long, and no fragment of IPv6 replaces another. */
	if (headers->dst_port == DHCPV6_SERVER_PORT)
		return subject->l4_bytes <= UDP_BYTES || is_dhcpv6_reply(subject->l4[UDP_BYTES]);
	return headers->dst_port == DHCPV6_CLIENT_PORT && is_reply(subject, is_dhcpv6_reply);
}

static bool is_routers(const struct subject *subject)
{
	const struct headers *headers = subject->headers;
	bool ipv6 = headers->l3 == HEADERS_L3_IPV6;

	if (may_hide(headers, ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP))
		return true;
	if (!headers->has_icmp)
		return false;
	if (ipv6)
		return headers->icmp_type == ICMPV6_ROUTER_ADVERTISEMENT ||
		       headers->icmp_type == ICMPV6_REDIRECT;
	return headers->icmp_type == ICMP_REDIRECT ||
	       headers->icmp_type == ICMP_ROUTER_ADVERTISEMENT;
}

static bool is_zero(const uint8_t *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static bool is_own_mac(const struct subject *subject, const uint8_t mac[ETH_ADDR_LEN])
{
	const uint8_t *own = subject->guard->mac;

	if (is_zero(own, ETH_ADDR_LEN))
		own = subject->headers->src;
	return memcmp(own, mac, ETH_ADDR_LEN) == 0;
}

static bool is_own_ip(const struct subject *subject, bool ipv6, const uint8_t *ip)
{
	const struct guard *guard = subject->guard;
	size_t ip_bytes = ipv6 ? HEADERS_IP_BYTES : sizeof(subject->headers->arp.sender_ip);

	for (unsigned i = 0; i < guard->n_addresses; i++) {
		const struct guard_address *address = &guard->addresses[i];

		if (address->ipv6 == ipv6 && memcmp(address->ip, ip, ip_bytes) == 0)
			return true;
	}
	return guard->n_addresses == 0;
}

static bool arp_contradicts(const struct subject *subject)
{
	const struct headers *headers = subject->headers;
	const uint8_t *claimed = headers->arp.sender_ip;

	if (headers->malformed || !is_own_mac(subject, headers->arp.sender_mac))
		return true;
	if (is_zero(claimed, sizeof(headers->arp.sender_ip)))
		claimed = headers->arp.target_ip;
	return !is_own_ip(subject, false, claimed);
}

/* How long a message of neighbour discovery is without its options; 0: it is another message. */
static size_t nd_fixed_bytes(uint8_t type)
{
	switch (type) {
	case ICMPV6_ROUTER_SOLICITATION:
		return ND_ROUTER_SOLICITATION_BYTES;
	case ICMPV6_ROUTER_ADVERTISEMENT:
		return ND_ROUTER_ADVERTISEMENT_BYTES;
	case ICMPV6_NEIGHBOUR_SOLICITATION:
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
		return ND_NEIGHBOUR_BYTES;
	case ICMPV6_REDIRECT:
		return ND_REDIRECT_BYTES;
	default:
		return 0;
	}
}

/* The options from `at` on: each must be whole, and each link-layer address the port's. */
static bool nd_options_contradict(const struct subject *subject, size_t at)
{
	while (at < subject->l4_bytes) {
		const uint8_t *option = subject->l4 + at;
		size_t left_bytes = subject->l4_bytes - at;
		size_t option_bytes;

		if (left_bytes < ND_OPTION_UNIT_BYTES)
			return true;
		option_bytes = (size_t)option[1] * ND_OPTION_UNIT_BYTES;
		if (option_bytes == 0 || option_bytes > left_bytes)
			return true;
		if ((option[0] == ND_OPTION_SOURCE_LINK || option[0] == ND_OPTION_TARGET_LINK) &&
			(option_bytes != ND_OPTION_UNIT_BYTES ||
				!is_own_mac(subject, option + ND_OPTION_LINK_ADDRESS)))
			return true;
		at += option_bytes;
	}
	return false;
}

static bool nd_contradicts(const struct subject *subject)
{
	const struct headers *headers = subject->headers;
	size_t fixed_bytes;
	bool probes, claims_target;

	if (may_hide(headers, PROTOCOL_ICMPV6))
		return true;
	fixed_bytes = headers->has_icmp ? nd_fixed_bytes(headers->icmp_type) : 0;
	if (fixed_bytes == 0)
		return false;
	if (headers->fragment || headers->truncated || subject->l4_bytes < fixed_bytes)
		return true;
	probes = is_zero(headers->ip_src, HEADERS_IP_BYTES);
	if (!probes && !is_own_ip(subject, true, headers->ip_src))
		return true;
	claims_target = headers->icmp_type == ICMPV6_NEIGHBOUR_ADVERTISEMENT ||
			headers->icmp_type == ICMPV6_REDIRECT ||
			(headers->icmp_type == ICMPV6_NEIGHBOUR_SOLICITATION && probes);
	if (claims_target && !is_own_ip(subject, true, subject->l4 + ND_TARGET))
		return true;
	return nd_options_contradict(subject, fixed_bytes);
}

static bool contradicts_port(const struct subject *subject)
{
	switch (subject->headers->l3) {
	case HEADERS_L3_ARP:
		return arp_contradicts(subject);
	case HEADERS_L3_IPV4:
		return false; /* neither ARP nor neighbour discovery, whatever it is */
	default:
		return nd_contradicts(subject);
	}
}

static const struct {
	enum guard_flag flag;
	enum drop drop;
	bool (*refuses)(const struct subject *subject);
} checks[] = {
	{GUARD_DHCP, DROP_DHCP_GUARD, is_dhcp_servers},
	{GUARD_ROUTER, DROP_ROUTER_GUARD, is_routers},
	{GUARD_ADDRESSES, DROP_ADDRESS_GUARD, contradicts_port},
};

enum drop guard_check(const struct guard *guard, const struct headers *headers,
	const uint8_t *frame, size_t size_bytes)
{
	size_t l4_at = MIN((size_t)headers->l4_at, size_bytes);
	struct subject subject = {
		.guard = guard,
		.headers = headers,
		.l4 = frame + l4_at,
		.l4_bytes = MIN((size_t)headers->l4_bytes, size_bytes - l4_at),
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if ((guard->flags & checks[i].flag) && checks[i].refuses(&subject))
			return checks[i].drop;
	}
	return DROP_NONE;
}
