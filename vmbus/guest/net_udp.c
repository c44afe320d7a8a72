/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

#define UDP_PORT_ECHO 7

int net_udp_send(struct net *net, uint32_t ip, uint16_t source, uint16_t destination,
	const void *data, size_t size_bytes, uint64_t now_ns)
{
	struct udp_header *udp = (struct udp_header *)ipv4_payload(net);
	size_t udp_bytes = sizeof(*udp) + size_bytes;
	uint16_t checksum;

	if (udp_bytes > IPV4_PAYLOAD_BYTES)
		return -EMSGSIZE;
	*udp = (struct udp_header){
		.source = be16(source),
		.destination = be16(destination),
		.length = be16((uint16_t)udp_bytes),
	};
	memcpy(udp + 1, data, size_bytes);
	checksum = inet_checksum(inet_sum(
		inet_pseudo_sum(net->ip, ip, IPV4_PROTOCOL_UDP, udp_bytes), udp, udp_bytes));
	udp->checksum = checksum ? checksum : 0xffff;
	ipv4_send(net, ip, IPV4_PROTOCOL_UDP, udp_bytes, now_ns);
	return 0;
}

void udp_input(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns)
{
	const struct udp_header *udp = (const struct udp_header *)packet->payload;
	size_t udp_bytes;
	uint32_t sum;

	if (packet->size_bytes < sizeof(*udp) || be16(udp->length) < sizeof(*udp) ||
		be16(udp->length) > packet->size_bytes) {
		net->counters.malformed++;
		return;
	}
	udp_bytes = be16(udp->length);
	sum = inet_pseudo_sum(packet->source, packet->destination, IPV4_PROTOCOL_UDP, udp_bytes);
	if (udp->checksum && !packet->transport_checked &&
		inet_checksum(inet_sum(sum, udp, udp_bytes))) {
		net->counters.malformed++;
		return;
	}
	/* Two echo ports must not talk to each other for ever. */
	if (be16(udp->destination) == UDP_PORT_ECHO && be16(udp->source) != UDP_PORT_ECHO)
		net_udp_send(net, packet->source, UDP_PORT_ECHO, be16(udp->source), udp + 1,
			udp_bytes - sizeof(*udp), now_ns);
}
