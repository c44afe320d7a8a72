/* SPDX-License-Identifier: MIT
 *
 * net_packet.h - where the headers of a frame are, and Internet checksums over it.
 *
 * What: the network VSP never believes an offset that a guest or a peer gives with a frame; it
 * finds the headers itself, in its own copy. Only what checksum and segmentation offload need is
 * understood: up to two VLAN tags, IPv4 with options, IPv6 with the usual extension headers, TCP
 * and UDP.
 *
 * Frames are hostile: everything found lies inside the frame, or the frame is refused.
 */
#ifndef VIADUCT_VMBUS_NET_PACKET_H
#define VIADUCT_VMBUS_NET_PACKET_H

#include "base/err.h"

#define NET_IP_TCP 6
#define NET_IP_UDP 17

#define NET_TCP_CHECKSUM_AT 16
#define NET_UDP_CHECKSUM_AT 6

/* Ethernet with two tags, IP with all its options or extension headers, TCP with all its options.
 */
#define NET_HEADERS_MAX_BYTES 256

#define NET_ADDRESSES_BYTES  12 /* what stands in front of a tag */
#define NET_ETHERTYPE_8021Q  0x8100
#define NET_ETHERTYPE_8021AD 0x88A8

/* Has the frame, of at least ETH_HEADER_BYTES, a tag? */
bool net_is_tagged(const uint8_t *frame);

struct net_layers {
	bool ipv6;
	bool routed;         /* IPv6 routing header: the pseudo header's destination is elsewhere */
	uint8_t protocol;    /* NET_IP_TCP, NET_IP_UDP; 0: something else, or a fragment */
	uint32_t ip_at;      /* of the IP header, from the start of the frame */
	uint32_t l4_at;      /* of the TCP or UDP header; with protocol only */
	uint32_t payload_at; /* behind the TCP or UDP header; with protocol only */
	uint32_t end_at;     /* of the IP packet; what follows in the frame is padding */
};

enum net_length {
	NET_LENGTH_OF_IP,    /* the packet ends where its IP header says */
	NET_LENGTH_OF_FRAME, /* the IP header has no length yet; the packet ends with the frame */
};

/* 0; -ENOENT: not IP; -EBADMSG: IP, but its headers do not fit together or into the frame. */
int net_layers_find(const uint8_t *frame, size_t size_bytes, enum net_length length,
	struct net_layers *ret_layers);

/* One's complement sums in the byte order of the machine, which is that of the stored checksum. All
 * pieces but the last of a sum must have an even size. */
uint64_t net_sum(uint64_t sum, const void *data, size_t size_bytes);
/* The checksum of a sum. */
uint16_t net_sum_finish(uint64_t sum);
/* The pseudo header of the TCP or UDP packet in `frame`, as if it had `l4_bytes`. */
uint64_t net_sum_pseudo(const uint8_t *frame, const struct net_layers *layers, size_t l4_bytes);

/* Header checksum of the IPv4 packet. */
void net_ip4_checksum_write(uint8_t *ip);
bool net_ip4_checksum_ok(const uint8_t *ip);

/* Sum from `start` to the end of the frame into the field at start + offset, which holds the sum of
 * the pseudo header. -EINVAL when that is not inside the frame. */
int net_checksum_complete(uint8_t *frame, size_t size_bytes, size_t start, size_t offset);

#endif
