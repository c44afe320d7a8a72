/* SPDX-License-Identifier: MIT
 *
 * net_wire.h - headers of Ethernet II, ARP (RFC 826), IPv4 (RFC 791), ICMP (RFC 792), UDP (RFC 768)
 * and TCP (RFC 9293). Fields are big-endian: be16() and be32() convert both ways.
 */
#ifndef VIADUCT_VMBUS_GUEST_NET_WIRE_H
#define VIADUCT_VMBUS_GUEST_NET_WIRE_H

#include "vmbus/proto/wire.h"

static inline uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

#define ETH_MAC_BYTES    6
#define ETH_HEADER_BYTES 14
#define ETH_MTU_BYTES    1500
#define ETH_FRAME_BYTES  (ETH_HEADER_BYTES + ETH_MTU_BYTES)
#define ETH_MIN_BYTES    60

#define ETHERTYPE_IPV4   0x0800
#define ETHERTYPE_ARP    0x0806
#define ETHERTYPE_MARKER 0x88b5 /* IEEE 802 local experimental 1 */

struct eth_header {
	uint8_t to[ETH_MAC_BYTES];
	uint8_t from[ETH_MAC_BYTES];
	uint16_t type;
} _wire_;
WIRE_SIZE(struct eth_header, ETH_HEADER_BYTES);

#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST           1
#define ARP_REPLY             2

struct arp_packet {
	uint16_t hardware;
	uint16_t protocol;
	uint8_t hardware_length;
	uint8_t protocol_length;
	uint16_t operation;
	uint8_t sender_mac[ETH_MAC_BYTES];
	uint32_t sender_ip;
	uint8_t target_mac[ETH_MAC_BYTES];
	uint32_t target_ip;
} _wire_;
WIRE_SIZE(struct arp_packet, 28);

#define IPV4_VERSION_IHL   0x45
#define IPV4_HEADER_BYTES  20
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_FRAGMENT_MASK 0x3fff /* more fragments, and the offset */
#define IPV4_TTL           64
#define IPV4_PROTOCOL_ICMP 1
#define IPV4_PROTOCOL_TCP  6
#define IPV4_PROTOCOL_UDP  17
#define IPV4_BROADCAST     0xffffffffU
#define IPV4_PAYLOAD_BYTES (ETH_MTU_BYTES - IPV4_HEADER_BYTES)

struct ipv4_header {
	uint8_t version_ihl;
	uint8_t tos;
	uint16_t length;
	uint16_t id;
	uint16_t fragment;
	uint8_t ttl;
	uint8_t protocol;
	uint16_t checksum;
	uint32_t source;
	uint32_t destination;
} _wire_;
WIRE_SIZE(struct ipv4_header, IPV4_HEADER_BYTES);

#define ICMP_ECHO_REPLY   0
#define ICMP_ECHO_REQUEST 8

struct icmp_echo {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	uint16_t id;
	uint16_t sequence;
} _wire_;
WIRE_SIZE(struct icmp_echo, 8);

struct udp_header {
	uint16_t source;
	uint16_t destination;
	uint16_t length;
	uint16_t checksum; /* 0: none */
} _wire_;
WIRE_SIZE(struct udp_header, 8);

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2

struct tcp_header {
	uint16_t source;
	uint16_t destination;
	uint32_t sequence;
	uint32_t acknowledgment;
	uint8_t data_offset; /* upper four bits, in words */
	uint8_t flags;
	uint16_t window;
	uint16_t checksum;
	uint16_t urgent;
} _wire_;
WIRE_SIZE(struct tcp_header, 20);

struct tcp_mss_option {
	uint8_t kind;
	uint8_t length;
	uint16_t mss;
} _wire_;
WIRE_SIZE(struct tcp_mss_option, 4);

#endif
