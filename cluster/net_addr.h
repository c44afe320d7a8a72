/* SPDX-License-Identifier: MIT
 *
 * net_addr.h - IP addresses and subnets of either family, as values. Pure. Threads: any.
 */
#ifndef VIADUCT_CLUSTER_NET_ADDR_H
#define VIADUCT_CLUSTER_NET_ADDR_H

#include "base/err.h"

#include <netinet/in.h>

#define NET_ADDR_TEXT_BYTES   INET6_ADDRSTRLEN
#define NET_SUBNET_TEXT_BYTES (NET_ADDR_TEXT_BYTES + 4)

enum net_family {
	NET_FAMILY_NONE, /* all zeros: no address */
	NET_FAMILY_IPV4,
	NET_FAMILY_IPV6,
};

struct net_addr {
	uint8_t family;
	uint8_t bytes[16]; /* of IPv4 the first four; the rest is zero */
};

struct net_subnet {
	struct net_addr address; /* its bits behind the prefix are zero */
	uint8_t prefix_len;
};

/* "10.1.2.3" or "fd00::1"; false, and *ret_addr all zeros, for anything else. */
bool net_addr_parse(const char *text, struct net_addr *ret_addr);
/* "" for none. */
void net_addr_text(const struct net_addr *addr, char ret_text[NET_ADDR_TEXT_BYTES]);
/* IPv4 before IPv6, then by value. */
int net_addr_compare(const struct net_addr *a, const struct net_addr *b);
unsigned net_addr_bits(const struct net_addr *addr); /* 32 or 128 */
/* fe80::/10 and 169.254.0.0/16: such a subnet is on every wire, and says nothing. */
bool net_addr_is_link_local(const struct net_addr *addr);

/* From and to the socket's form. */
struct net_addr net_addr_from_socket(const struct sockaddr *address);
socklen_t net_addr_to_socket(
	const struct net_addr *addr, uint16_t port, struct sockaddr_storage *ret_address);

struct net_subnet net_subnet_of(const struct net_addr *addr, unsigned prefix_len);
/* "10.1.0.0/16", "fd00:1::/64"; false unless it is one in its only form, of 1 bit or more. */
bool net_subnet_parse(const char *text, struct net_subnet *ret_subnet);
void net_subnet_text(const struct net_subnet *subnet, char ret_text[NET_SUBNET_TEXT_BYTES]);
int net_subnet_compare(const struct net_subnet *a, const struct net_subnet *b);
bool net_subnet_has(const struct net_subnet *subnet, const struct net_addr *addr);

#endif
