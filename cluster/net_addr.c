/* SPDX-License-Identifier: MIT */
#include "cluster/net_addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool net_addr_parse(const char *text, struct net_addr *ret_addr)
{
	struct net_addr addr = {.family = NET_FAMILY_IPV4};

	if (inet_pton(AF_INET, text, addr.bytes) != 1) {
		addr = (struct net_addr){.family = NET_FAMILY_IPV6};
		if (inet_pton(AF_INET6, text, addr.bytes) != 1)
			addr = (struct net_addr){};
	}
	*ret_addr = addr;
	return addr.family != NET_FAMILY_NONE;
}

void net_addr_text(const struct net_addr *addr, char ret_text[NET_ADDR_TEXT_BYTES])
{
	ret_text[0] = '\0';
	if (addr->family != NET_FAMILY_NONE)
		inet_ntop(addr->family == NET_FAMILY_IPV4 ? AF_INET : AF_INET6, addr->bytes,
			ret_text, NET_ADDR_TEXT_BYTES);
}

int net_addr_compare(const struct net_addr *a, const struct net_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

unsigned net_addr_bits(const struct net_addr *addr)
{
	return addr->family == NET_FAMILY_IPV4 ? 32 : 128;
}

bool net_addr_is_link_local(const struct net_addr *addr)
{
	if (addr->family == NET_FAMILY_IPV4)
		return addr->bytes[0] == 169 && addr->bytes[1] == 254;
	return addr->family == NET_FAMILY_IPV6 && addr->bytes[0] == 0xfe &&
	       (addr->bytes[1] & 0xc0) == 0x80;
}

struct net_addr net_addr_from_socket(const struct sockaddr *address)
{
	struct net_addr addr = {};

	if (address->sa_family == AF_INET) {
		addr.family = NET_FAMILY_IPV4;
		memcpy(addr.bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		addr.family = NET_FAMILY_IPV6;
		memcpy(addr.bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	}
	return addr;
}

socklen_t net_addr_to_socket(
	const struct net_addr *addr, uint16_t port, struct sockaddr_storage *ret_address)
{
	*ret_address = (struct sockaddr_storage){};
	if (addr->family == NET_FAMILY_IPV4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret_address;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, addr->bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, addr->bytes, 16);
	return sizeof(*in6);
}

struct net_subnet net_subnet_of(const struct net_addr *addr, unsigned prefix_len)
{
	struct net_subnet subnet = {.address = *addr, .prefix_len = (uint8_t)prefix_len};

	for (unsigned i = 0; i < sizeof(addr->bytes); i++) {
		unsigned kept = prefix_len > 8 * i ? MIN(prefix_len - 8 * i, 8U) : 0;

		subnet.address.bytes[i] &= (uint8_t)(0xff00U >> kept);
	}
	return subnet;
}

bool net_subnet_parse(const char *text, struct net_subnet *ret_subnet)
{
	char address[NET_ADDR_TEXT_BYTES], again[NET_SUBNET_TEXT_BYTES];
	struct net_subnet subnet;
	struct net_addr addr;
	unsigned prefix_len;
	int end = 0;

	if (sscanf(text, "%45[0-9a-f.:]/%3u%n", address, &prefix_len, &end) != 2 || text[end] ||
		!net_addr_parse(address, &addr) || prefix_len < 1 ||
		prefix_len > net_addr_bits(&addr))
		return false;
	subnet = net_subnet_of(&addr, prefix_len);
	net_subnet_text(&subnet, again);
	if (strcmp(again, text) != 0)
		return false;
	*ret_subnet = subnet;
	return true;
}

void net_subnet_text(const struct net_subnet *subnet, char ret_text[NET_SUBNET_TEXT_BYTES])
{
	char address[NET_ADDR_TEXT_BYTES];

	net_addr_text(&subnet->address, address);
	snprintf(ret_text, NET_SUBNET_TEXT_BYTES, "%s/%u", address, subnet->prefix_len);
}

int net_subnet_compare(const struct net_subnet *a, const struct net_subnet *b)
{
	int order = net_addr_compare(&a->address, &b->address);

	return order != 0 ? order : (int)a->prefix_len - (int)b->prefix_len;
}

bool net_subnet_has(const struct net_subnet *subnet, const struct net_addr *addr)
{
	struct net_subnet other;

	if (addr->family == NET_FAMILY_NONE || addr->family != subnet->address.family)
		return false;
	other = net_subnet_of(addr, subnet->prefix_len);
	return net_addr_compare(&other.address, &subnet->address) == 0;
}
