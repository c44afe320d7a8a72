/* SPDX-License-Identifier: MIT
 *
 * packet.h - frames of the Internet's protocols, written as strings of their bytes, layer by layer.
 * Lengths of IP are left to packet_make(): 0xeeee stands for the right one.
 */
#ifndef VIADUCT_TESTS_FABRIC_PACKET_H
#define VIADUCT_TESTS_FABRIC_PACKET_H

#include "tests/unit/fabric/support.h"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* The port of the tests and its addresses: MAC ...:05, 10.0.0.5, fe80::5 and 2001:db8::5. */
#define OWN_MAC   "\x02\0\0\0\0\x05"
#define OTHER_MAC "\x02\0\0\0\0\x09"
#define OWN_IP4   "\x0a\0\0\x05"
#define OTHER_IP4 "\x0a\0\0\x09"
#define NO_IP4    "\0\0\0\0"
#define OWN_LINK  "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x05"
#define OWN_IP6   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05"
#define OTHER_IP6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
#define NO_IP6    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

#define ETH(type) "\xff\xff\xff\xff\xff\xff" OWN_MAC type
#define ARP       "\x08\x06"
#define IP4       "\x08\x00"
#define IP6       "\x86\xdd"

/* Fields of IPv4 between its length and its addresses: identification, fragment, TTL, protocol. */
#define IPV4_FROM(source, fragment, protocol)                                                      \
	"\x45\0\xee\xee\0\x01" fragment "\x40" protocol "\0\0" source "\x0a\0\0\x63"
#define IPV4_PART(fragment, protocol) IPV4_FROM(OWN_IP4, fragment, protocol)
#define IPV4(protocol)                IPV4_PART("\0\0", protocol)
#define IPV6_FROM(source, next)                                                                    \
	"\x60\0\0\0\xee\xee" next "\xff" source "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
#define IPV6(next) IPV6_FROM(OWN_LINK, next)

#define P_ICMP     "\x01"
#define P_TCP      "\x06"
#define P_UDP      "\x11"
#define P_ICMPV6   "\x3a"
#define P_ROUTING  "\x2b"
#define P_FRAGMENT "\x2c"
#define P_ESP      "\x32"
#define P_AH       "\x33"
#define P_OPTIONS  "\x3c"

/* Extension headers of IPv6 of 8 bytes (AH: 16). */
#define OPTIONS(next)             next "\0\x01\x04\0\0\0\0"
#define ROUTING(next)             next "\0\0\0\0\0\0\0"
#define AH(next)                  next "\x02\0\0\0\0\0\x07\0\0\0\x01\0\0\0\0"
#define FRAGMENT(next, field)     next "\0" field "\0\0\0\x01"
#define UDP(source, target)       source target "\0\x10\0\0"
#define TCP(source, target, flag) source target "\0\0\0\x01\0\0\0\x02\x50" flag "\x10\0\0\0\0\0"

#define ARP_FIXED "\0\x01\x08\0\x06\x04"
#define ARP_PACKET(operation, mac, ip, target_mac, target_ip)                                      \
	ARP_FIXED "\0" operation mac ip target_mac target_ip

#define ND_FIXED(type)        type "\0\0\0\0\0\0\0"
#define ND(type, target)      ND_FIXED(type) target
#define LINK_OPTION(kind, of) kind "\x01" of
#define SOURCE_LINK(of)       LINK_OPTION("\x01", of)
#define TARGET_LINK(of)       LINK_OPTION("\x02", of)

/* The frame in memory of exactly its size, so that a sanitizer sees what reads past it. To free().
 */
static inline uint8_t *packet_make(const uint8_t *bytes, size_t size_bytes)
{
	uint8_t *frame = malloc(size_bytes);

	assert_non_null(frame);
	memcpy(frame, bytes, size_bytes);
	for (size_t at = ETH_HEADER_BYTES; at + 6 <= size_bytes; at++) {
		if (frame[at] >> 4 == 4 && load_be16(frame + at + 2) == 0xeeee) {
			store_be16(frame + at + 2, (uint16_t)(size_bytes - at));
			break;
		}
		if (frame[at] >> 4 == 6 && load_be16(frame + at + 4) == 0xeeee) {
			store_be16(frame + at + 4, (uint16_t)(size_bytes - at - 40));
			break;
		}
	}
	return frame;
}

#endif
