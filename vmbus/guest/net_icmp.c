/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

/* Echo requests of this guest carry its own id and nothing else that matters. */
#define PING_ID         0x7664
#define PING_DATA_BYTES 48

static void echo_reply(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns)
{
	struct icmp_echo *reply = (struct icmp_echo *)ipv4_payload(net);

	if (packet->size_bytes > IPV4_PAYLOAD_BYTES)
		return;
	memcpy(reply, packet->payload, packet->size_bytes);
	reply->type = ICMP_ECHO_REPLY;
	reply->checksum = 0;
	reply->checksum = inet_checksum(inet_sum(0, reply, packet->size_bytes));
	ipv4_send(net, packet->source, IPV4_PROTOCOL_ICMP, packet->size_bytes, now_ns);
}

void icmp_input(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns)
{
	const struct icmp_echo *echo = (const struct icmp_echo *)packet->payload;
	struct net_ping *ping = &net->ping;

	if (packet->size_bytes < sizeof(*echo) ||
		inet_checksum(inet_sum(0, packet->payload, packet->size_bytes))) {
		net->counters.malformed++;
		return;
	}
	if (echo->type == ICMP_ECHO_REQUEST && !packet->broadcast)
		echo_reply(net, packet, now_ns);
	if (echo->type == ICMP_ECHO_REPLY && ping->waiting && packet->source == ping->ip &&
		echo->id == be16(PING_ID) && echo->sequence == be16(ping->sequence)) {
		ping->waiting = false;
		ping->answered = true;
		ping->rtt_ns = now_ns - ping->sent_ns;
	}
}

void net_ping_send(struct net *net, uint32_t ip, uint64_t now_ns)
{
	struct icmp_echo *echo = (struct icmp_echo *)ipv4_payload(net);
	size_t size_bytes = sizeof(*echo) + PING_DATA_BYTES;

	net->ping = (struct net_ping){
		.waiting = true,
		.ip = ip,
		.sequence = (uint16_t)(net->ping.sequence + 1),
		.sent_ns = now_ns,
	};
	*echo = (struct icmp_echo){
		.type = ICMP_ECHO_REQUEST,
		.id = be16(PING_ID),
		.sequence = be16(net->ping.sequence),
	};
	memset(echo + 1, 'v', PING_DATA_BYTES);
	echo->checksum = inet_checksum(inet_sum(0, echo, size_bytes));
	ipv4_send(net, ip, IPV4_PROTOCOL_ICMP, size_bytes, now_ns);
}
