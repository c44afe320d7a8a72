/* SPDX-License-Identifier: MIT */
#include "node/ctl/trace_frame.h"

#include "base/bytes.h"

enum {
	MIN_BYTES = 60,
	TPID = 0x8100,
	TYPE_IPV4 = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_IPV6 = 0x86dd,
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	ICMPV6 = 58,
	TCP_SYN = 0x02,
	TTL = 64,
};

/* RFC 1071. */
static uint16_t checksum(const uint8_t *data, size_t size_bytes, uint32_t sum)
{
	for (size_t i = 0; i + 1 < size_bytes; i += 2)
		sum += load_be16(data + i);
	if (size_bytes & 1)
		sum += (uint32_t)data[size_bytes - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The upper header: its size, and where its checksum is (0: it has none). */
static size_t build_upper(const struct trace_spec *spec, uint8_t *at, size_t *ret_csum_at)
{
	switch (spec->protocol) {
	case TCP:
		store_be16(at, spec->src_port);
		store_be16(at + 2, spec->dst_port);
		at[12] = 5 << 4; /* header length in words */
		at[13] = TCP_SYN;
		store_be16(at + 14, 0xffff);
		*ret_csum_at = 16;
		return 20;
	case UDP:
		store_be16(at, spec->src_port);
		store_be16(at + 2, spec->dst_port);
		store_be16(at + 4, 8);
		*ret_csum_at = 6;
		return 8;
	case ICMP:
	case ICMPV6:
		at[0] = (uint8_t)spec->src_port;
		at[1] = (uint8_t)spec->dst_port;
		*ret_csum_at = 2;
		return 8;
	default:
		*ret_csum_at = 0;
		return 0;
	}
}

static size_t build_ip(const struct trace_spec *spec, uint8_t *at)
{
	size_t header_bytes = spec->ipv6 ? 40 : 20, address_bytes = spec->ipv6 ? 16 : 4;
	uint8_t *addresses = at + (spec->ipv6 ? 8 : 12), *upper = at + header_bytes;
	uint32_t pseudo = spec->protocol;
	size_t csum_at, upper_bytes = build_upper(spec, upper, &csum_at);

	memcpy(addresses, spec->ip_src, address_bytes);
	memcpy(addresses + address_bytes, spec->ip_dst, address_bytes);
	if (spec->ipv6) {
		at[0] = 6 << 4;
		store_be16(at + 4, (uint16_t)upper_bytes);
		at[6] = spec->protocol;
		at[7] = TTL;
	} else {
		at[0] = 4 << 4 | 5;
		store_be16(at + 2, (uint16_t)(header_bytes + upper_bytes));
		at[8] = TTL;
		at[9] = spec->protocol;
		store_be16(at + 10, checksum(at, header_bytes, 0));
	}
	/* The pseudo header: addresses, length, protocol; ICMP for IPv4 has none. */
	pseudo += (uint32_t)upper_bytes;
	for (size_t i = 0; i < 2 * address_bytes; i += 2)
		pseudo += load_be16(addresses + i);
	if (csum_at)
		store_be16(upper + csum_at,
			checksum(upper, upper_bytes, spec->protocol == ICMP ? 0 : pseudo));
	return header_bytes + upper_bytes;
}

/* A request for the destination's address. */
static size_t build_arp(const struct trace_spec *spec, uint8_t *at)
{
	store_be16(at, 1); /* Ethernet */
	store_be16(at + 2, TYPE_IPV4);
	at[4] = 6;
	at[5] = 4;
	store_be16(at + 6, 1);
	memcpy(at + 8, spec->src, 6);
	memcpy(at + 14, spec->ip_src, 4);
	memcpy(at + 24, spec->ip_dst, 4);
	return 28;
}

size_t trace_frame_build(const struct trace_spec *spec, uint8_t ret_frame[TRACE_FRAME_MAX_BYTES])
{
	size_t at = 12;

	memset(ret_frame, 0, TRACE_FRAME_MAX_BYTES);
	memcpy(ret_frame, spec->dst, 6);
	memcpy(ret_frame + 6, spec->src, 6);
	if (spec->vlan >= 0) {
		store_be16(ret_frame + at, TPID);
		store_be16(ret_frame + at + 2, (uint16_t)(spec->priority << 13 | spec->vlan));
		at += 4;
	}
	store_be16(ret_frame + at, spec->ethertype);
	at += 2;
	if (spec->ethertype == TYPE_IPV4 || spec->ethertype == TYPE_IPV6)
		at += build_ip(spec, ret_frame + at);
	else if (spec->ethertype == TYPE_ARP)
		at += build_arp(spec, ret_frame + at);
	return at < MIN_BYTES ? MIN_BYTES : at;
}
