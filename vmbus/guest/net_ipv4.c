/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

uint32_t inet_sum(uint32_t sum, const void *data, size_t size_bytes)
{
	const uint8_t *at = data;
	uint64_t wide = sum;

	for (; size_bytes >= sizeof(uint32_t); size_bytes -= sizeof(uint32_t)) {
		uint32_t word;

		memcpy(&word, at, sizeof(word));
		wide += word;
		at += sizeof(word);
	}
	if (size_bytes >= sizeof(uint16_t)) {
		uint16_t half;

		memcpy(&half, at, sizeof(half));
		wide += half;
		at += sizeof(half);
	}
	if (size_bytes & 1)
		wide += *at;
	wide = (wide & UINT32_MAX) + (wide >> 32);
	return (uint32_t)(wide + (wide >> 32));
}

uint16_t inet_checksum(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

uint32_t inet_pseudo_sum(uint32_t source, uint32_t destination, uint8_t protocol, size_t size_bytes)
{
	struct {
		uint32_t source, destination;
		uint8_t zero, protocol;
		uint16_t length;
	} pseudo = {be32(source), be32(destination), 0, protocol, be16((uint16_t)size_bytes)};

	return inet_sum(0, &pseudo, sizeof(pseudo));
}

/* The checks of the header; false when the packet is not to be believed. */
static bool header_is_sound(const struct ipv4_header *ip, size_t size_bytes, unsigned checked)
{
	size_t header_bytes;

	if (size_bytes < sizeof(*ip) || ip->version_ihl >> 4 != 4)
		return false;
	header_bytes = (ip->version_ihl & 0xf) * 4U;
	if (header_bytes < sizeof(*ip) || be16(ip->length) < header_bytes ||
		be16(ip->length) > size_bytes)
		return false;
	return checked & NET_IP_CHECKED || inet_checksum(inet_sum(0, ip, header_bytes)) == 0;
}

static bool is_broadcast(const struct net *net, uint32_t ip)
{
	return ip == IPV4_BROADCAST || ip == (net->ip | ~net->mask);
}

void ipv4_input(
	struct net *net, const uint8_t *data, size_t size_bytes, unsigned checked, uint64_t now_ns)
{
	const struct ipv4_header *ip = (const struct ipv4_header *)data;
	struct ipv4_packet packet;
	size_t header_bytes;

	if (!header_is_sound(ip, size_bytes, checked)) {
		net->counters.malformed++;
		return;
	}
	header_bytes = (ip->version_ihl & 0xf) * 4U;
	packet = (struct ipv4_packet){
		.source = be32(ip->source),
		.destination = be32(ip->destination),
		.payload = data + header_bytes,
		.size_bytes = be16(ip->length) - header_bytes,
		.transport_checked = checked & NET_TRANSPORT_CHECKED,
	};
	packet.broadcast = is_broadcast(net, packet.destination);
	/* Nothing here is larger than a frame, so nobody needs to fragment what is meant for us. */
	if (!net->ip || be16(ip->fragment) & IPV4_FRAGMENT_MASK || packet.source >> 28 == 0xe ||
		is_broadcast(net, packet.source) || packet.source == 0 ||
		(!packet.broadcast && packet.destination != net->ip))
		return;
	switch (ip->protocol) {
	case IPV4_PROTOCOL_ICMP:
		icmp_input(net, &packet, now_ns);
		break;
	case IPV4_PROTOCOL_UDP:
		udp_input(net, &packet, now_ns);
		break;
	case IPV4_PROTOCOL_TCP:
		tcp_input(net, &packet, now_ns);
		break;
	default:
		break;
	}
}

uint8_t *ipv4_payload(struct net *net)
{
	return net->frame + ETH_HEADER_BYTES + IPV4_HEADER_BYTES;
}

bool ipv4_send(
	struct net *net, uint32_t to, uint8_t protocol, size_t payload_bytes, uint64_t now_ns)
{
	struct ipv4_header *ip = (struct ipv4_header *)(net->frame + ETH_HEADER_BYTES);

	*ip = (struct ipv4_header){
		.version_ihl = IPV4_VERSION_IHL,
		.length = be16((uint16_t)(IPV4_HEADER_BYTES + payload_bytes)),
		.id = be16(net->next_ip_id++),
		.fragment = be16(IPV4_DONT_FRAGMENT),
		.ttl = IPV4_TTL,
		.protocol = protocol,
		.source = be32(net->ip),
		.destination = be32(to),
	};
	ip->checksum = inet_checksum(inet_sum(0, ip, sizeof(*ip)));
	return arp_send(net, to, ETH_HEADER_BYTES + IPV4_HEADER_BYTES + payload_bytes, now_ns);
}
