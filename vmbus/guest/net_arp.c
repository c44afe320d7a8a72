/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/net.h"

#define RETRY_NS     (500 * NS_PER_MS)
#define MAX_REQUESTS 3

/* An old entry goes on being used while it is asked for again. */
#define STALE_NS (60 * NS_PER_S)

static const uint8_t broadcast_mac[ETH_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct arp_entry *entry_find(struct net *net, uint32_t ip)
{
	for (size_t i = 0; i < ARP_N_ENTRIES; i++) {
		if (net->arp[i].ip == ip)
			return &net->arp[i];
	}
	return NULL;
}

/* The entry of this address; a new one takes the place of the one that was updated longest ago. */
static struct arp_entry *entry_get(struct net *net, uint32_t ip)
{
	struct arp_entry *entry = entry_find(net, ip);
	struct arp_entry *oldest = &net->arp[0];

	if (entry)
		return entry;
	for (size_t i = 0; i < ARP_N_ENTRIES; i++) {
		entry = &net->arp[i];
		if (entry->ip == 0) {
			oldest = entry;
			break;
		}
		if (entry->updated_ns < oldest->updated_ns)
			oldest = entry;
	}
	memset(oldest, 0, offsetof(struct arp_entry, pending));
	oldest->ip = ip;
	return oldest;
}

bool net_is_local(const struct net *net, uint32_t ip)
{
	return net->ip && ((ip ^ net->ip) & net->mask) == 0;
}

static void arp_emit(
	struct net *net, uint16_t operation, const uint8_t *target_mac, uint32_t target_ip)
{
	struct arp_packet *arp = (struct arp_packet *)(net->frame + ETH_HEADER_BYTES);

	*arp = (struct arp_packet){
		.hardware = be16(ARP_HARDWARE_ETHERNET),
		.protocol = be16(ETHERTYPE_IPV4),
		.hardware_length = ETH_MAC_BYTES,
		.protocol_length = sizeof(uint32_t),
		.operation = be16(operation),
		.sender_ip = be32(net->ip),
		.target_ip = be32(target_ip),
	};
	memcpy(arp->sender_mac, net->mac, ETH_MAC_BYTES);
	if (operation == ARP_REPLY)
		memcpy(arp->target_mac, target_mac, ETH_MAC_BYTES);
	eth_send(net, ETHERTYPE_ARP, target_mac, sizeof(*arp));
}

void net_announce(struct net *net)
{
	if (net->ip)
		arp_emit(net, ARP_REQUEST, broadcast_mac, net->ip);
}

int net_arp_lookup(const struct net *net, uint32_t ip, uint8_t ret_mac[ETH_MAC_BYTES])
{
	for (size_t i = 0; i < ARP_N_ENTRIES; i++) {
		const struct arp_entry *entry = &net->arp[i];

		if (ip && entry->ip == ip && entry->resolved) {
			memcpy(ret_mac, entry->mac, ETH_MAC_BYTES);
			return 0;
		}
	}
	return -EAGAIN;
}

static void entry_ask(struct net *net, struct arp_entry *entry, uint64_t now_ns)
{
	entry->n_requests++;
	entry->retry_ns = now_ns + RETRY_NS;
	arp_emit(net, ARP_REQUEST, broadcast_mac, entry->ip);
}

void net_arp_request(struct net *net, uint32_t ip, uint64_t now_ns)
{
	struct arp_entry *entry;

	if (!net->ip || !ip)
		return;
	entry = entry_get(net, ip);
	entry->resolved = false;
	entry->n_requests = 0;
	entry->updated_ns = now_ns;
	entry_ask(net, entry, now_ns);
}

static void entry_resolve(struct net *net, struct arp_entry *entry, const uint8_t *mac)
{
	size_t pending_bytes = entry->pending_bytes;

	memcpy(entry->mac, mac, ETH_MAC_BYTES);
	entry->resolved = true;
	entry->n_requests = 0;
	entry->pending_bytes = 0;
	if (!pending_bytes)
		return;
	memcpy(net->frame, entry->pending, pending_bytes);
	eth_send(net, ETHERTYPE_IPV4, mac, pending_bytes - ETH_HEADER_BYTES);
}

void arp_input(struct net *net, const uint8_t *data, size_t size_bytes, uint64_t now_ns)
{
	const struct arp_packet *arp = (const struct arp_packet *)data;
	struct arp_entry *entry;
	uint32_t sender_ip;

	if (size_bytes < sizeof(*arp) || arp->hardware != be16(ARP_HARDWARE_ETHERNET) ||
		arp->protocol != be16(ETHERTYPE_IPV4) || arp->hardware_length != ETH_MAC_BYTES ||
		arp->protocol_length != sizeof(uint32_t) || arp->sender_mac[0] & 1) {
		net->counters.malformed++;
		return;
	}
	sender_ip = be32(arp->sender_ip);
	if (!net_is_local(net, sender_ip) || sender_ip == net->ip)
		return;
	entry = entry_find(net, sender_ip);
	if (be32(arp->target_ip) == net->ip) {
		/* Who asks for us will hear from us. */
		entry = entry_get(net, sender_ip);
		if (arp->operation == be16(ARP_REQUEST))
			arp_emit(net, ARP_REPLY, arp->sender_mac, sender_ip);
	}
	if (entry) {
		uint8_t mac[ETH_MAC_BYTES];

		memcpy(mac, arp->sender_mac, ETH_MAC_BYTES);
		entry->updated_ns = now_ns;
		entry_resolve(net, entry, mac);
	}
}

bool arp_send(struct net *net, uint32_t ip, size_t frame_bytes, uint64_t now_ns)
{
	struct arp_entry *entry;

	if (ip == IPV4_BROADCAST || ip == (net->ip | ~net->mask))
		return eth_send(net, ETHERTYPE_IPV4, broadcast_mac, frame_bytes - ETH_HEADER_BYTES);
	if (!net_is_local(net, ip))
		ip = net->gateway;
	if (!ip) {
		net->counters.tx_dropped++;
		return false;
	}
	entry = entry_get(net, ip);
	if (entry->resolved) {
		bool sent =
			eth_send(net, ETHERTYPE_IPV4, entry->mac, frame_bytes - ETH_HEADER_BYTES);

		if (now_ns > entry->updated_ns + STALE_NS && now_ns >= entry->retry_ns)
			entry_ask(net, entry, now_ns);
		return sent;
	}
	if (entry->pending_bytes)
		net->counters.tx_dropped++;
	memcpy(entry->pending, net->frame, frame_bytes);
	entry->pending_bytes = (uint16_t)frame_bytes;
	if (entry->n_requests == 0) {
		entry->updated_ns = now_ns;
		entry_ask(net, entry, now_ns);
	}
	return true;
}

void arp_run(struct net *net, uint64_t now_ns)
{
	for (size_t i = 0; i < ARP_N_ENTRIES; i++) {
		struct arp_entry *entry = &net->arp[i];

		if (!entry->ip || entry->resolved || now_ns < entry->retry_ns)
			continue;
		if (entry->n_requests < MAX_REQUESTS) {
			entry_ask(net, entry, now_ns);
			continue;
		}
		if (entry->pending_bytes)
			net->counters.tx_dropped++;
		memset(entry, 0, offsetof(struct arp_entry, pending));
	}
}

uint64_t arp_deadline(const struct net *net)
{
	uint64_t deadline = NEVER_NS;

	for (size_t i = 0; i < ARP_N_ENTRIES; i++) {
		const struct arp_entry *entry = &net->arp[i];

		if (entry->ip && !entry->resolved)
			deadline = MIN_OF(deadline, entry->retry_ns);
	}
	return deadline;
}
