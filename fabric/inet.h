/* SPDX-License-Identifier: MIT
 *
 * inet.h - the fields of Internet protocols that the switch reads or writes, as offsets from the
 * start of their header, and the numbers that mean something to it. Freestanding.
 *
 * Sources: RFC 826 (ARP), 791 (IPv4), 8200 (IPv6), 4302 (AH), 9293 (TCP), 768 (UDP), 792 and 1256
 * (ICMP), 4443 (ICMPv6), 4861 (neighbour discovery), 951 and 2131 (DHCP), 8415 and 7341 (DHCPv6),
 * 1042 (IP over 802.2); protocol numbers are IANA's. IEEE 802.1Q has the types of tags.
 */
#ifndef VIADUCT_FABRIC_INET_H
#define VIADUCT_FABRIC_INET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	ETHERTYPE_MIN = 0x0600, /* what is less is the length of an 802.3 frame */
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_RARP = 0x8035,
	ETHERTYPE_IPV6 = 0x86dd,
};

/* Of a tag, by the standard or by what was in use before there was one. */
static inline bool ethertype_is_tag(uint16_t ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100 ||
	       ethertype == 0x9200;
}

/* 802.2 and SNAP headers behind the length of an 802.3 frame: aa aa 03, an organisation, and an
 * Ethernet type. */
enum {
	SNAP_ORGANISATION = 3,
	SNAP_BYTES = 8,
};

enum {
	ARP_HARDWARE = 0,
	ARP_PROTOCOL = 2,
	ARP_HARDWARE_BYTES = 4,
	ARP_PROTOCOL_BYTES = 5,
	ARP_OPERATION = 6,
	ARP_SENDER_MAC = 8, /* these for IPv4 over Ethernet */
	ARP_SENDER_IP = 14,
	ARP_TARGET_MAC = 18,
	ARP_TARGET_IP = 24,
	ARP_BYTES = 28,
	ARP_HARDWARE_ETHERNET = 1,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	ARP_REVERSE_REQUEST = 3,
};

enum {
	IPV4_LENGTH = 2, /* u16, header included */
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6, /* u16: flags and offset */
	IPV4_TTL = 8,
	IPV4_PROTOCOL = 9,
	IPV4_CSUM = 10,
	IPV4_ADDRESSES = 12, /* source and destination, 4 bytes each */
	IPV4_MIN_BYTES = 20,
	IPV4_MORE_OR_OFFSET = 0x3fff, /* set in a fragment */
	IPV4_OFFSET = 0x1fff,         /* set in all fragments but the first */
};

enum {
	IPV6_LENGTH = 4, /* u16, header not included */
	IPV6_NEXT = 6,
	IPV6_HOP_LIMIT = 7,
	IPV6_ADDRESSES = 8, /* 16 bytes each */
	IPV6_BYTES = 40,
	IPV6_HOP_BY_HOP = 0,
	IPV6_ROUTING = 43,
	IPV6_FRAGMENT = 44,
	IPV6_AUTHENTICATION = 51,
	IPV6_DESTINATION_OPTIONS = 60,
	IPV6_OPTION_MIN_BYTES = 8,
	IPV6_FRAGMENT_FIELD = 2, /* u16 in the fragment header: offset and flag */
	IPV6_FRAGMENT_OFFSET = 0xfff8,
	IPV6_FRAGMENT_MORE = 1,
};

/* Of a header that another one follows, and not protected against being read. */
static inline bool ipv6_is_extension(uint8_t next)
{
	return next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_FRAGMENT ||
	       next == IPV6_AUTHENTICATION || next == IPV6_DESTINATION_OPTIONS;
}

enum {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ESP = 50,
	PROTOCOL_ICMPV6 = 58,
};

enum {
	TCP_SEQUENCE = 4,
	TCP_DATA_OFFSET = 12, /* upper half: words of 4 bytes */
	TCP_FLAGS = 13,
	TCP_CSUM = 16,
	TCP_MIN_BYTES = 20,
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_CWR = 0x80,
};

enum {
	UDP_LENGTH = 4,
	UDP_CSUM = 6,
	UDP_BYTES = 8,
};

enum {
	ICMP_TYPE = 0,
	ICMP_CODE = 1,
	ICMP_ECHO_ID = 4, /* u16 */
	ICMP_MIN_BYTES = 4,
	ICMP_ECHO_BYTES = 8,
	ICMP_ECHO_REPLY = 0,
	ICMP_REDIRECT = 5,
	ICMP_ECHO_REQUEST = 8,
	ICMP_ROUTER_ADVERTISEMENT = 9,
};

enum {
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	ICMPV6_ROUTER_SOLICITATION = 133,
	ICMPV6_ROUTER_ADVERTISEMENT = 134,
	ICMPV6_NEIGHBOUR_SOLICITATION = 135,
	ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136,
	ICMPV6_REDIRECT = 137,
};

/* Neighbour discovery: from the start of the ICMPv6 header to the target, which all but the
 * router's messages have, and the fixed part of each; options follow. */
enum {
	ND_TARGET = 8, /* 16 bytes */
	ND_ROUTER_SOLICITATION_BYTES = 8,
	ND_ROUTER_ADVERTISEMENT_BYTES = 16,
	ND_NEIGHBOUR_BYTES = 24, /* solicitation and advertisement */
	ND_REDIRECT_BYTES = 40,
	ND_OPTION_UNIT_BYTES = 8, /* of the length in an option's second byte */
	ND_OPTION_LINK_ADDRESS = 2,
	ND_OPTION_SOURCE_LINK = 1,
	ND_OPTION_TARGET_LINK = 2,
};

enum {
	DHCP_SERVER_PORT = 67,
	DHCP_CLIENT_PORT = 68,
	DHCP_OP = 0, /* from the start of UDP's payload */
	DHCP_OP_REQUEST = 1,
	DHCP_OP_REPLY = 2,
};

enum {
	DHCPV6_CLIENT_PORT = 546,
	DHCPV6_SERVER_PORT = 547, /* and relay agents' */
	DHCPV6_TYPE = 0,          /* from the start of UDP's payload */
	DHCPV6_SOLICIT = 1,
	DHCPV6_ADVERTISE = 2,
	DHCPV6_REPLY = 7,
	DHCPV6_RECONFIGURE = 10,
	DHCPV6_RELAY_REPLY = 13,
	DHCPV6_V4_RESPONSE = 21,
};

#endif
