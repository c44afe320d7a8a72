/* SPDX-License-Identifier: MIT
 *
 * acl_support.h - what the tests of access lists and conversations share: headers as
 * headers_parse() makes them, rules and frames at random.
 */
#ifndef VIADUCT_TESTS_FABRIC_ACL_SUPPORT_H
#define VIADUCT_TESTS_FABRIC_ACL_SUPPORT_H

#include "fabric/acl.h"
#include "fabric/inet.h"
#include "tests/unit/fabric/support.h"

#define T0 (1000 * NS_PER_SEC)

static inline struct acl_side side_of(const char *text)
{
	struct acl_side side = {0};

	assert_int_equal(acl_side_parse(text, &side), 0);
	return side;
}

static inline struct acl_side side_ports(const char *text, uint16_t min, uint16_t max)
{
	struct acl_side side = side_of(text);

	side.port_min = min;
	side.port_max = max;
	return side;
}

/* 10.0.0.NN or fd00::NN. */
static inline void make_ip(uint8_t ip[HEADERS_IP_BYTES], bool ipv6, unsigned number)
{
	memset(ip, 0, HEADERS_IP_BYTES);
	ip[0] = ipv6 ? 0xfd : 10;
	ip[ipv6 ? HEADERS_IP_BYTES - 1 : 3] = (uint8_t)number;
}

static inline struct headers ip_headers(bool ipv6, uint8_t protocol, unsigned src, unsigned dst)
{
	struct headers h = {
		.ethertype = ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4,
		.l3 = ipv6 ? HEADERS_L3_IPV6 : HEADERS_L3_IPV4,
		.protocol = protocol,
		.first = true,
	};

	make_mac(h.src, src);
	make_mac(h.dst, dst);
	make_ip(h.ip_src, ipv6, src);
	make_ip(h.ip_dst, ipv6, dst);
	return h;
}

static inline struct headers port_headers(
	uint8_t protocol, unsigned src, uint16_t src_port, unsigned dst, uint16_t dst_port)
{
	struct headers h = ip_headers(false, protocol, src, dst);

	h.has_ports = true;
	h.src_port = src_port;
	h.dst_port = dst_port;
	return h;
}

static inline struct headers tcp_headers(
	unsigned src, uint16_t src_port, unsigned dst, uint16_t dst_port, uint8_t flags)
{
	struct headers h = port_headers(PROTOCOL_TCP, src, src_port, dst, dst_port);

	h.tcp_flags = flags;
	return h;
}

static inline struct headers echo_headers(
	bool ipv6, unsigned src, unsigned dst, bool request, uint16_t id)
{
	struct headers h = ip_headers(ipv6, ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP, src, dst);

	h.has_icmp = true;
	h.icmp_type = ipv6 ? (request ? ICMPV6_ECHO_REQUEST : ICMPV6_ECHO_REPLY)
			   : (request ? ICMP_ECHO_REQUEST : ICMP_ECHO_REPLY);
	h.icmp_id = id;
	return h;
}

/* What would answer: addresses and ports exchanged, a reply to a request. */
static inline struct headers answer_to(const struct headers *h)
{
	struct headers answer = *h;

	memcpy(answer.src, h->dst, ETH_ADDR_LEN);
	memcpy(answer.dst, h->src, ETH_ADDR_LEN);
	memcpy(answer.ip_src, h->ip_dst, HEADERS_IP_BYTES);
	memcpy(answer.ip_dst, h->ip_src, HEADERS_IP_BYTES);
	answer.src_port = h->dst_port;
	answer.dst_port = h->src_port;
	if (h->has_icmp && h->icmp_type == ICMP_ECHO_REQUEST)
		answer.icmp_type = ICMP_ECHO_REPLY;
	if (h->has_icmp && h->icmp_type == ICMPV6_ECHO_REQUEST)
		answer.icmp_type = ICMPV6_ECHO_REPLY;
	return answer;
}

static inline void random_side(
	uint64_t *random, struct acl_side *side, unsigned kind, bool has_ports)
{
	static const unsigned bits[] = {[ACL_MAC] = 48, [ACL_IPV4] = 32, [ACL_IPV6] = 128};

	*side = (struct acl_side){0};
	if (kind != ACL_ANY && random_below(random, 3)) {
		side->kind = kind;
		if (kind == ACL_MAC)
			make_mac(side->address, random_below(random, 4));
		else
			make_ip(side->address, kind == ACL_IPV6, random_below(random, 4));
		side->prefix_bits = (uint8_t)(bits[kind] - random_below(random, 4));
		if (random_below(random, 4) == 0)
			side->prefix_bits = (uint8_t)random_below(random, bits[kind] + 1);
		for (unsigned i = side->prefix_bits; i < bits[kind]; i++)
			side->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	}
	if (has_ports && random_below(random, 2)) {
		side->port_min = (uint16_t)random_below(random, 4);
		side->port_max = (uint16_t)(side->port_min + random_below(random, 3));
	}
}

static inline void random_rule(uint64_t *random, struct acl_rule *rule, bool may_be_stateful)
{
	static const uint16_t protocols[] = {ACL_ANY_PROTOCOL, ACL_ANY_PROTOCOL, PROTOCOL_TCP,
		PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOL_ICMPV6};
	unsigned kind = random_below(random, 4);
	bool has_ports;

	*rule = (struct acl_rule){
		.action = random_below(random, 3),
		.directions = (uint8_t)(1 + random_below(random, 3)),
		.weight = random_below(random, 4),
		.protocol = protocols[random_below(random, ARRAY_LEN(protocols))],
	};
	has_ports = rule->protocol == ACL_ANY_PROTOCOL || rule->protocol == PROTOCOL_TCP ||
		    rule->protocol == PROTOCOL_UDP;
	random_side(random, &rule->local, kind, has_ports);
	random_side(random, &rule->remote, kind, has_ports);
	rule->stateful = may_be_stateful && rule->action == ACL_ALLOW && random_below(random, 4);
	if (rule->stateful && random_below(random, 2))
		rule->idle_s = 1 + random_below(random, 20);
	assert_null(acl_rule_error(rule));
}

static inline void random_upper(uint64_t *random, struct headers *h)
{
	static const uint8_t flags[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK,
		TCP_ACK | TCP_FIN, TCP_ACK | TCP_FIN, TCP_RST, TCP_RST | TCP_ACK, 0, 0xff};
	static const uint8_t types[] = {ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, ICMP_ECHO_REQUEST, 3,
		ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY};
	bool ipv6 = h->l3 == HEADERS_L3_IPV6;

	if (h->protocol == PROTOCOL_TCP || h->protocol == PROTOCOL_UDP) {
		h->has_ports = true;
		h->src_port = (uint16_t)random_below(random, 5);
		h->dst_port = (uint16_t)random_below(random, 5);
		if (h->protocol == PROTOCOL_TCP)
			h->tcp_flags = flags[random_below(random, ARRAY_LEN(flags))];
	} else if (h->protocol == (ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) {
		h->has_icmp = true;
		h->icmp_type = types[random_below(random, ARRAY_LEN(types))];
		h->icmp_id = (uint16_t)random_below(random, 2);
	}
}

static inline void random_headers(uint64_t *random, struct headers *h)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_UDP,
		PROTOCOL_UDP, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_ESP, IPV6_FRAGMENT,
		IPV6_DESTINATION_OPTIONS, IPV6_HOP_BY_HOP};
	unsigned l3 = random_below(random, 10);
	unsigned src = random_below(random, 4), dst = random_below(random, 4);
	uint8_t protocol = protocols[random_below(random, ARRAY_LEN(protocols))];

	*h = (struct headers){0};
	if (l3 < 2) {
		make_mac(h->src, src);
		make_mac(h->dst, dst);
		h->l3 = l3 ? HEADERS_L3_ARP : HEADERS_L3_OTHER;
		h->malformed = random_below(random, 3) == 0;
		h->hidden = !l3 && !h->malformed && random_below(random, 2);
		return;
	}
	if (random_below(random, 16) == 0) {
		h->l3 = l3 < 6 ? HEADERS_L3_IPV4 : HEADERS_L3_IPV6;
		make_mac(h->src, src);
		make_mac(h->dst, dst);
		h->malformed = true;
		return;
	}
	*h = ip_headers(l3 >= 6, protocol, src, dst);
	h->hidden = protocol == PROTOCOL_ESP || random_below(random, 8) == 0;
	h->fragment = h->hidden;
	if (!h->hidden)
		random_upper(random, h);
}

#endif
