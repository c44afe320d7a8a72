/* SPDX-License-Identifier: MIT */
#include "vmbus/net_packet.h"

#include "base/bytes.h"
#include "base/eth_ops.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86DD

#define MAX_TAGS 2

#define IP4_MIN_BYTES       20U
#define IP4_LENGTH_AT       2
#define IP4_FRAGMENT_AT     6
#define IP4_FRAGMENT_MASK   0x3FFF /* more fragments, or an offset */
#define IP4_PROTOCOL_AT     9
#define IP4_CHECKSUM_AT     10
#define IP4_ADDRESSES_AT    12
#define IP4_ADDRESSES_BYTES 8

#define IP6_BYTES           40U
#define IP6_LENGTH_AT       4
#define IP6_NEXT_AT         6
#define IP6_ADDRESSES_AT    8
#define IP6_ADDRESSES_BYTES 32
#define IP6_MAX_EXTENSIONS  8
#define IP6_HOP_BY_HOP      0
#define IP6_ROUTING         43
#define IP6_DESTINATION     60

#define TCP_MIN_BYTES 20
#define UDP_BYTES     8

bool net_is_tagged(const uint8_t *frame)
{
	uint16_t ethertype = load_be16(frame + NET_ADDRESSES_BYTES);

	return ethertype == NET_ETHERTYPE_8021Q || ethertype == NET_ETHERTYPE_8021AD;
}

static int find_ip(const uint8_t *frame, size_t size_bytes, struct net_layers *layers)
{
	size_t at = NET_ADDRESSES_BYTES;

	for (unsigned n_tags = 0; n_tags <= MAX_TAGS; n_tags++) {
		if (at + 2 > size_bytes)
			return -ENOENT;
		switch (load_be16(frame + at)) {
		case NET_ETHERTYPE_8021Q:
		case NET_ETHERTYPE_8021AD:
			at += ETH_TAG_BYTES;
			continue;
		case ETHERTYPE_IPV4:
		case ETHERTYPE_IPV6:
			layers->ipv6 = load_be16(frame + at) == ETHERTYPE_IPV6;
			layers->ip_at = (uint32_t)at + 2;
			return 0;
		default:
			return -ENOENT;
		}
	}
	return -ENOENT;
}

static int find_ip4(
	const uint8_t *frame, size_t size_bytes, enum net_length length, struct net_layers *layers)
{
	const uint8_t *ip = frame + layers->ip_at;
	size_t room_bytes = size_bytes - layers->ip_at;
	size_t header_bytes, total_bytes;

	if (room_bytes < IP4_MIN_BYTES || ip[0] >> 4 != 4)
		return -EBADMSG;
	header_bytes = (ip[0] & 0xF) * 4U;
	total_bytes = length == NET_LENGTH_OF_IP ? load_be16(ip + IP4_LENGTH_AT) : room_bytes;
	if (header_bytes < IP4_MIN_BYTES || header_bytes > total_bytes || total_bytes > room_bytes)
		return -EBADMSG;

	if (!(load_be16(ip + IP4_FRAGMENT_AT) & IP4_FRAGMENT_MASK))
		layers->protocol = ip[IP4_PROTOCOL_AT];
	layers->l4_at = layers->ip_at + (uint32_t)header_bytes;
	layers->end_at = layers->ip_at + (uint32_t)total_bytes;
	return 0;
}

static bool is_ip6_extension(uint8_t next)
{
	return next == IP6_HOP_BY_HOP || next == IP6_ROUTING || next == IP6_DESTINATION;
}

static int find_ip6(
	const uint8_t *frame, size_t size_bytes, enum net_length length, struct net_layers *layers)
{
	const uint8_t *ip = frame + layers->ip_at;
	size_t room_bytes = size_bytes - layers->ip_at;
	size_t at = IP6_BYTES, total_bytes;
	uint8_t next;

	if (room_bytes < IP6_BYTES || ip[0] >> 4 != 6)
		return -EBADMSG;
	total_bytes =
		length == NET_LENGTH_OF_IP ? IP6_BYTES + load_be16(ip + IP6_LENGTH_AT) : room_bytes;
	if (total_bytes > room_bytes)
		return -EBADMSG;

	next = ip[IP6_NEXT_AT];
	for (unsigned n = 0; is_ip6_extension(next); n++) {
		if (n == IP6_MAX_EXTENSIONS || at + 2 > total_bytes)
			return -EBADMSG;
		layers->routed |= next == IP6_ROUTING;
		next = ip[at];
		at += (ip[at + 1] + 1U) * 8;
	}
	if (at > total_bytes)
		return -EBADMSG;

	layers->protocol = next;
	layers->l4_at = layers->ip_at + (uint32_t)at;
	layers->end_at = layers->ip_at + (uint32_t)total_bytes;
	return 0;
}

static int find_payload(const uint8_t *frame, struct net_layers *layers)
{
	size_t room_bytes = layers->end_at - layers->l4_at;
	size_t header_bytes;

	switch (layers->protocol) {
	case NET_IP_TCP:
		if (room_bytes < TCP_MIN_BYTES)
			return -EBADMSG;
		header_bytes = (frame[layers->l4_at + 12] >> 4) * 4U;
		if (header_bytes < TCP_MIN_BYTES)
			return -EBADMSG;
		break;
	case NET_IP_UDP:
		header_bytes = UDP_BYTES;
		break;
	default:
		layers->protocol = 0;
		return 0;
	}
	if (header_bytes > room_bytes)
		return -EBADMSG;
	layers->payload_at = layers->l4_at + (uint32_t)header_bytes;
	if (layers->payload_at > NET_HEADERS_MAX_BYTES)
		return -EBADMSG;
	return 0;
}

int net_layers_find(const uint8_t *frame, size_t size_bytes, enum net_length length,
	struct net_layers *ret_layers)
{
	struct net_layers layers = {0};
	int r;

	r = find_ip(frame, size_bytes, &layers);
	if (r)
		return r;
	r = layers.ipv6 ? find_ip6(frame, size_bytes, length, &layers)
			: find_ip4(frame, size_bytes, length, &layers);
	if (r)
		return r;
	r = find_payload(frame, &layers);
	if (r)
		return r;
	*ret_layers = layers;
	return 0;
}

static uint64_t add_with_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

uint64_t net_sum(uint64_t sum, const void *data, size_t size_bytes)
{
	const uint8_t *at = data;
	uint64_t word;

	for (; size_bytes >= sizeof(word); size_bytes -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = add_with_carry(sum, word);
	}
	if (size_bytes) {
		word = 0;
		memcpy(&word, at, size_bytes);
		sum = add_with_carry(sum, word);
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t net_sum_finish(uint64_t sum)
{
	return (uint16_t)~fold(sum);
}

uint64_t net_sum_pseudo(const uint8_t *frame, const struct net_layers *layers, size_t l4_bytes)
{
	const uint8_t *ip = frame + layers->ip_at;
	uint8_t tail[8];
	uint64_t sum;

	if (layers->ipv6)
		sum = net_sum(0, ip + IP6_ADDRESSES_AT, IP6_ADDRESSES_BYTES);
	else
		sum = net_sum(0, ip + IP4_ADDRESSES_AT, IP4_ADDRESSES_BYTES);
	store_be32(tail, (uint32_t)l4_bytes);
	store_be32(tail + 4, layers->protocol);
	return net_sum(sum, tail, sizeof(tail));
}

static size_t ip4_header_bytes(const uint8_t *ip)
{
	return (ip[0] & 0xF) * 4U;
}

void net_ip4_checksum_write(uint8_t *ip)
{
	uint16_t checksum;

	memset(ip + IP4_CHECKSUM_AT, 0, 2);
	checksum = net_sum_finish(net_sum(0, ip, ip4_header_bytes(ip)));
	memcpy(ip + IP4_CHECKSUM_AT, &checksum, 2);
}

bool net_ip4_checksum_ok(const uint8_t *ip)
{
	return net_sum_finish(net_sum(0, ip, ip4_header_bytes(ip))) == 0;
}

int net_checksum_complete(uint8_t *frame, size_t size_bytes, size_t start, size_t offset)
{
	uint16_t checksum;

	if (start > size_bytes || size_bytes - start < 2 || offset > size_bytes - start - 2)
		return -EINVAL;
	checksum = net_sum_finish(net_sum(0, frame + start, size_bytes - start));
	/* In UDP 0 says that there is no checksum; in TCP both forms of zero are the same. */
	if (checksum == 0)
		checksum = 0xFFFF;
	memcpy(frame + start + offset, &checksum, 2);
	return 0;
}
