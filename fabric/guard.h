/* SPDX-License-Identifier: MIT
 *
 * guard.h - what a port's owner may not do to others: answer DHCP requests, announce itself as a
 * router, claim addresses that are not his. Checked on frames that come in by the port.
 *
 *   GUARD_DHCP       messages only a DHCP server sends: UDP from port 67, or op BOOTREPLY to port
 *                    68 (RFC 2131); DHCPv6 from port 547, or of a server's message types
 *                    (RFC 8415)
 *   GUARD_ROUTER     router advertisements and redirects: ICMPv6 134 and 137 (RFC 4861), ICMP 5
 *                    and 9 (RFC 792, 1256)
 *   GUARD_ADDRESSES  ARP and neighbour discovery that contradict the port: a sender's or target's
 *                    link-layer address that is not the port's, an IP address claimed that is not
 *                    among the port's (when it has any)
 *
 * Claimed are: the sender of ARP; the source of neighbour discovery, and the target of its
 * advertisements and redirects; what a probe asks for that names no sender (RFC 5227, 4862), for
 * whoever wants that address gives it up. IPv4 and IPv6 addresses are one list: a port that has any
 * needs its link-local ones in it, too.
 *
 * What a guard cannot see it refuses (RFC 7113): the first fragment of a message, or a whole one,
 * whose upper header is hidden and could be what it looks for; such a message cut short; malformed
 * packets of its protocols; frames behind more tags than headers.h follows. Later fragments pass:
 * nobody can put them together without the first, and the header that counts is in there, as IPv6
 * fragments must not overlap (RFC 5722). Neighbour discovery in fragments, which nobody takes
 * (RFC 6980), is refused by GUARD_ADDRESSES; GUARD_DHCP refuses fragments to the port of a DHCP
 * client, as in IPv4 a later one might replace what was checked. What is inside ESP and tunnels is
 * not looked at.
 *
 * Pure. Threads: any.
 */
#ifndef VIADUCT_FABRIC_GUARD_H
#define VIADUCT_FABRIC_GUARD_H

#include "fabric/drop.h"
#include "fabric/headers.h"

enum guard_flag {
	GUARD_DHCP = 1 << 0,
	GUARD_ROUTER = 1 << 1,
	GUARD_ADDRESSES = 1 << 2,
};

#define GUARD_MAX_ADDRESSES 16

struct guard_address {
	bool ipv6;
	uint8_t ip[HEADERS_IP_BYTES]; /* as in struct headers */
};

struct guard {
	uint32_t flags;
	uint8_t mac[ETH_ADDR_LEN]; /* the port's; with a port that may spoof, the frame's source is
				    * compared instead: zero */
	unsigned n_addresses;      /* 0: any */
	struct guard_address addresses[GUARD_MAX_ADDRESSES];
};

/* `headers` are those of `frame`, from headers_parse(). DROP_NONE, DROP_DHCP_GUARD,
 * DROP_ROUTER_GUARD or DROP_ADDRESS_GUARD. */
enum drop guard_check(const struct guard *guard, const struct headers *headers,
	const uint8_t *frame, size_t size_bytes);

#endif
