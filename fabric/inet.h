/* SPDX-License-Identifier: MIT
 *
 * inet.h - the few fields of IPv4, IPv6, TCP and UDP headers (RFC 791, 8200, 9293, 768) that
 * checksums and segmentation touch, as offsets. Freestanding.
 */
#ifndef VIADUCT_FABRIC_INET_H
#define VIADUCT_FABRIC_INET_H

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_RARP = 0x8035,
};

enum {
	IPV4_LENGTH = 2, /* u16, header included */
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6, /* u16: flags and offset */
	IPV4_PROTOCOL = 9,
	IPV4_CSUM = 10,
	IPV4_ADDRESSES = 12, /* source and destination, 4 bytes each */
	IPV4_MIN_BYTES = 20,
	IPV4_MORE_OR_OFFSET = 0x3fff, /* set in a fragment */
};

enum {
	IPV6_LENGTH = 4, /* u16, header not included */
	IPV6_NEXT = 6,
	IPV6_ADDRESSES = 8, /* 16 bytes each */
	IPV6_BYTES = 40,
	IPV6_HOP_BY_HOP = 0,
	IPV6_DESTINATION_OPTIONS = 60,
	IPV6_OPTION_MIN_BYTES = 8,
};

enum {
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
};

enum {
	TCP_SEQUENCE = 4,
	TCP_DATA_OFFSET = 12, /* upper half: words of 4 bytes */
	TCP_FLAGS = 13,
	TCP_CSUM = 16,
	TCP_MIN_BYTES = 20,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
};

enum {
	UDP_LENGTH = 4,
	UDP_CSUM = 6,
	UDP_BYTES = 8,
};

#endif
