/* SPDX-License-Identifier: MIT
 *
 * headers.h - what a frame says of itself beyond its Ethernet header: ARP, IPv4, IPv6, and the
 * first fields of TCP, UDP and ICMP. Guards, access lists and connection tracking decide by it.
 *
 * Hostile: every field is read after its bounds were checked, nothing is believed about lengths,
 * and what is hidden - in a later fragment, behind extension headers without end - is reported as
 * hidden, so that whoever decides can refuse it (RFC 7113).
 *
 * An 802.2 SNAP header (RFC 1042) is as good as an Ethernet type: receivers take either, so a
 * guard that stopped there could be walked around. A length of IP that is 0 or more than the frame
 * has means "to the end of the frame", as super-frames have it; bytes behind a shorter one are
 * padding. What the length of UDP says is not looked at.
 *
 * Layouts: RFC 826 (ARP), 791 (IPv4), 8200 (IPv6 and its extension headers), 4302 (AH), 9293, 768,
 * 792, 4443. Frames are in normal form (fabric/frame.h). Pure.
 */
#ifndef VIADUCT_FABRIC_HEADERS_H
#define VIADUCT_FABRIC_HEADERS_H

#include "base/eth_ops.h"

enum headers_l3 {
	HEADERS_L3_OTHER,
	HEADERS_L3_ARP, /* for IPv4 over Ethernet; any other ARP is malformed */
	HEADERS_L3_IPV4,
	HEADERS_L3_IPV6,
};

#define HEADERS_MAX_INNER_TAGS 2 /* a SNAP header counts as one */
#define HEADERS_MAX_EXTENSIONS 8 /* of IPv6; behind more the rest counts as hidden */
#define HEADERS_IP_BYTES       16

struct headers {
	uint8_t dst[ETH_ADDR_LEN], src[ETH_ADDR_LEN];
	uint16_t ethertype; /* behind at most HEADERS_MAX_INNER_TAGS inner tags */
	enum headers_l3 l3;
	/* It claims to be `l3` and does not hold together (too short, wrong version, lengths that
	 * contradict each other): nothing below is set. With HEADERS_L3_OTHER: it ends inside a tag
	 * or SNAP header. */
	bool malformed;

	/* IPv4 and IPv6. Addresses of IPv4 are in the first 4 bytes, the rest is zero. */
	uint8_t ip_src[HEADERS_IP_BYTES], ip_dst[HEADERS_IP_BYTES];
	/* The packet is longer than the frame, which only a super-frame's may be. */
	bool truncated;
	uint8_t ttl;      /* or hop limit */
	uint8_t protocol; /* behind the extension headers that were followed */
	bool fragment;    /* part of a fragmented datagram */
	bool first;       /* and the first part of it; always set when not a fragment */
	/* The upper header is not in this frame, or not whole: a later fragment, a first fragment
	 * or frame too short, too many extension headers, or protected (ESP). The fields below are
	 * not set; `protocol` is of the header that could not be read. With HEADERS_L3_OTHER:
	 * behind more tags than were followed; nothing else is set. */
	bool hidden;

	/* The upper header; of which protocol it is says what else is set. */
	uint16_t l4_at;    /* from the start of the frame */
	uint16_t l4_bytes; /* of it that are in the frame, as far as the IP header covers them */
	bool has_ports;    /* TCP, UDP */
	uint16_t src_port, dst_port;
	uint8_t tcp_flags;
	bool has_icmp; /* ICMP in IPv4, ICMPv6 in IPv6 */
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id; /* of echo requests and replies, else 0 */

	/* ARP. */
	struct {
		uint16_t operation;
		uint8_t sender_mac[ETH_ADDR_LEN], target_mac[ETH_ADDR_LEN];
		uint8_t sender_ip[4], target_ip[4];
	} arp;
};

/* `frame` has at least ETH_HEADER_BYTES. Writes all of `ret`. */
void headers_parse(const uint8_t *frame, size_t size_bytes, struct headers *ret);

#endif
