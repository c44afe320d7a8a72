/* SPDX-License-Identifier: MIT
 *
 * net.h - a small IPv4 host on one NIC: ARP, ICMP echo both ways, UDP, and the TCP services of
 * tcp.h.
 *
 * It is a state machine without clock or thread: frames and the time go in, frames come out through
 * net_link. Everything received is hostile: it is checked against its own length before use, and
 * what does not hold together is dropped and counted.
 *
 * Addresses are in host order. An interface without an address (ip 0) hears but never speaks IP.
 */
#ifndef VIADUCT_VMBUS_GUEST_NET_H
#define VIADUCT_VMBUS_GUEST_NET_H

#include "vmbus/guest/mem.h"
#include "vmbus/guest/net_wire.h"
#include "vmbus/guest/tcp.h"

struct net_link {
	/* The frame is copied. False: no room now, or the link is down; the caller drops or
	 * retries. */
	bool (*send)(void *nic, const void *frame, size_t size_bytes);
	void *nic;
};

/* Checksums that the NIC vouches for. */
#define NET_IP_CHECKED        (1U << 0)
#define NET_TRANSPORT_CHECKED (1U << 1)

#define ARP_N_ENTRIES 16

struct arp_entry {
	uint32_t ip; /* 0: free */
	uint8_t mac[ETH_MAC_BYTES];
	bool resolved;
	uint8_t n_requests; /* unanswered */
	uint64_t updated_ns;
	uint64_t retry_ns;
	/* One packet waits for the answer; the latest wins. */
	uint16_t pending_bytes;
	uint8_t pending[ETH_FRAME_BYTES];
};

/* The one echo request under way. */
struct net_ping {
	bool waiting;
	bool answered;
	uint32_t ip;
	uint16_t sequence;
	uint64_t sent_ns;
	uint64_t rtt_ns;
};

struct net_counters {
	uint64_t rx_frames, tx_frames;
	uint64_t tx_dropped; /* no room on the link, or nobody answered ARP */
	uint64_t malformed;
	uint64_t foreign; /* unicast frames for somebody else's MAC */
	uint64_t markers; /* frames of ETHERTYPE_MARKER */
};

struct net {
	struct net_link link;
	uint8_t mac[ETH_MAC_BYTES];
	uint32_t ip, mask, gateway;
	struct arp_entry arp[ARP_N_ENTRIES];
	struct net_ping ping;
	struct tcp tcp;
	struct net_counters counters;
	uint16_t next_ip_id;
	uint8_t frame[ETH_FRAME_BYTES]; /* under construction */
};

void net_init(struct net *net, const struct net_link *link, const uint8_t mac[ETH_MAC_BYTES],
	uint32_t ip, unsigned prefix_length, uint32_t gateway);
/* checked: NET_*_CHECKED. The frame is only read. */
void net_input(
	struct net *net, const void *frame, size_t size_bytes, unsigned checked, uint64_t now_ns);
/* After a batch of input, when the link has room again, and at net_deadline(): timers, and what is
 * waiting to be sent. */
void net_run(struct net *net, uint64_t now_ns);
uint64_t net_deadline(const struct net *net);

/* The address is on this interface's own network. */
bool net_is_local(const struct net *net, uint32_t ip);
/* Say to everybody where this address is. */
void net_announce(struct net *net);
/* 0: *ret_mac; -EAGAIN: not known (yet). */
int net_arp_lookup(const struct net *net, uint32_t ip, uint8_t ret_mac[ETH_MAC_BYTES]);
/* Ask again, whatever is known. */
void net_arp_request(struct net *net, uint32_t ip, uint64_t now_ns);
/* A broadcast frame of ETHERTYPE_MARKER. */
bool net_send_marker(struct net *net, const void *text, size_t size_bytes);
/* 0, or -EMSGSIZE. A packet waits for ARP if need be; nobody tells if it is lost. */
int net_udp_send(struct net *net, uint32_t ip, uint16_t source, uint16_t destination,
	const void *data, size_t size_bytes, uint64_t now_ns);
/* Sends one echo request; net->ping.answered tells. */
void net_ping_send(struct net *net, uint32_t ip, uint64_t now_ns);

/* --- between the files of the stack --- */

/* The ones' complement sum of data, added to sum; inet_checksum() folds it. */
uint32_t inet_sum(uint32_t sum, const void *data, size_t size_bytes);
uint16_t inet_checksum(uint32_t sum);
/* The sum over the pseudo header of UDP and TCP. */
uint32_t inet_pseudo_sum(
	uint32_t source, uint32_t destination, uint8_t protocol, size_t size_bytes);

/* An IPv4 packet that passed its checks. */
struct ipv4_packet {
	uint32_t source, destination;
	const uint8_t *payload;
	size_t size_bytes;
	bool transport_checked;
	bool broadcast;
};

bool eth_send(
	struct net *net, uint16_t type, const uint8_t to[ETH_MAC_BYTES], size_t payload_bytes);
void arp_input(struct net *net, const uint8_t *data, size_t size_bytes, uint64_t now_ns);
/* Send the frame under construction (its Ethernet header is still missing) to `ip`. False: dropped.
 */
bool arp_send(struct net *net, uint32_t ip, size_t frame_bytes, uint64_t now_ns);
void arp_run(struct net *net, uint64_t now_ns);
uint64_t arp_deadline(const struct net *net);
void ipv4_input(
	struct net *net, const uint8_t *data, size_t size_bytes, unsigned checked, uint64_t now_ns);
/* Where the payload of the packet under construction goes: IPV4_PAYLOAD_BYTES of room. */
uint8_t *ipv4_payload(struct net *net);
bool ipv4_send(
	struct net *net, uint32_t to, uint8_t protocol, size_t payload_bytes, uint64_t now_ns);
void icmp_input(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns);
void udp_input(struct net *net, const struct ipv4_packet *packet, uint64_t now_ns);

#endif
