/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

static const uint8_t broadcast_mac[ETH_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void net_init(struct net *net, const struct net_link *link, const uint8_t mac[ETH_MAC_BYTES],
	uint32_t ip, unsigned prefix_length, uint32_t gateway)
{
	memset(net, 0, sizeof(*net));
	net->link = *link;
	memcpy(net->mac, mac, ETH_MAC_BYTES);
	net->ip = ip;
	net->mask = prefix_length ? ~0U << (32 - prefix_length) : 0;
	net->gateway = gateway;
	tcp_init(&net->tcp);
}

void net_input(
	struct net *net, const void *frame, size_t size_bytes, unsigned checked, uint64_t now_ns)
{
	const struct eth_header *eth = frame;
	const uint8_t *payload = (const uint8_t *)frame + sizeof(*eth);

	net->counters.rx_frames++;
	if (size_bytes < sizeof(*eth)) {
		net->counters.malformed++;
		return;
	}
	if (!(eth->to[0] & 1) && memcmp(eth->to, net->mac, ETH_MAC_BYTES)) {
		net->counters.foreign++;
		return;
	}
	switch (be16(eth->type)) {
	case ETHERTYPE_ARP:
		arp_input(net, payload, size_bytes - sizeof(*eth), now_ns);
		break;
	case ETHERTYPE_IPV4:
		ipv4_input(net, payload, size_bytes - sizeof(*eth), checked, now_ns);
		break;
	case ETHERTYPE_MARKER:
		net->counters.markers++;
		break;
	default:
		break;
	}
}

bool eth_send(struct net *net, uint16_t type, const uint8_t to[ETH_MAC_BYTES], size_t payload_bytes)
{
	struct eth_header *eth = (struct eth_header *)net->frame;
	size_t size_bytes = sizeof(*eth) + payload_bytes;

	memcpy(eth->to, to, ETH_MAC_BYTES);
	memcpy(eth->from, net->mac, ETH_MAC_BYTES);
	eth->type = be16(type);
	if (size_bytes < ETH_MIN_BYTES) {
		memset(net->frame + size_bytes, 0, ETH_MIN_BYTES - size_bytes);
		size_bytes = ETH_MIN_BYTES;
	}
	if (!net->link.send(net->link.nic, net->frame, size_bytes)) {
		net->counters.tx_dropped++;
		return false;
	}
	net->counters.tx_frames++;
	return true;
}

bool net_send_marker(struct net *net, const void *text, size_t size_bytes)
{
	size_bytes = MIN_OF(size_bytes, (size_t)ETH_MTU_BYTES);
	memcpy(net->frame + ETH_HEADER_BYTES, text, size_bytes);
	return eth_send(net, ETHERTYPE_MARKER, broadcast_mac, size_bytes);
}

void net_run(struct net *net, uint64_t now_ns)
{
	arp_run(net, now_ns);
	tcp_run(net, now_ns);
}

uint64_t net_deadline(const struct net *net)
{
	return MIN_OF(arp_deadline(net), tcp_deadline(&net->tcp));
}
