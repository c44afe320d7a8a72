/* SPDX-License-Identifier: MIT
 *
 * drop.h - why the switch does not forward a frame. One table: the reasons, the names under which
 * the control interface counts them, and what they mean.
 *
 * Counted at the port the frame came from, except DROP_FULL and DROP_ERROR, and DROP_ACL of what a
 * port was to be sent, which are counted at the port it was to leave by.
 */
#ifndef VIADUCT_FABRIC_DROP_H
#define VIADUCT_FABRIC_DROP_H

#define DROP_REASONS(X)                                                                            \
	X(DROP_RUNT, "runt", "it is shorter than its Ethernet header and tag")                     \
	X(DROP_GIANT, "giant", "it is longer than any frame may be")                               \
	X(DROP_OFFLOAD, "offload",                                                                 \
		"it asks for a checksum or segmentation that it does not bear out")                \
	X(DROP_MUTED, "muted", "the port is muted: its VM is elsewhere or on its way")             \
	X(DROP_SOURCE, "source", "its source address is zero or a group")                          \
	X(DROP_SPOOFED, "spoofed",                                                                 \
		"its source address is not the port's, and the port may not spoof")                \
	X(DROP_TAGGED, "tagged", "it has an 802.1Q tag, and the port may not send any")            \
	X(DROP_VLAN, "vlan", "it is of a VLAN that the port does not carry")                       \
	X(DROP_RESERVED, "reserved",                                                               \
		"its destination is one that bridges never forward (01:80:c2:00:00:0x)")           \
	X(DROP_HAIRPIN, "hairpin", "its destination is where it came from")                        \
	X(DROP_NOWHERE, "nowhere", "no port takes it")                                             \
	X(DROP_DHCP_GUARD, "dhcp_guard",                                                           \
		"it is a DHCP server's message, and the port has DHCP guard")                      \
	X(DROP_ROUTER_GUARD, "router_guard",                                                       \
		"it is a router's message, and the port has router guard")                         \
	X(DROP_ADDRESS_GUARD, "address_guard", "it claims an address that is not the port's")      \
	X(DROP_ACL, "acl", "the access list denies it")                                            \
	X(DROP_STORM, "storm",                                                                     \
		"there were more broadcast or flooded frames in this second than allowed")         \
	X(DROP_DUPLICATE, "duplicate", "it is a copy that came by another member of a team")       \
	X(DROP_REFLECTED, "reflected", "it is our own, back by another member of a team")          \
	X(DROP_FULL, "full", "the port it was to leave by had no room")                            \
	X(DROP_ERROR, "error", "the port it was to leave by refused it")

enum drop {
	DROP_NONE,
#define X(symbol, name, text) symbol,
	DROP_REASONS(X)
#undef X
		N_DROPS,
};

static inline const char *drop_name(enum drop drop)
{
	static const char *const names[N_DROPS] = {[DROP_NONE] = "none",
#define X(symbol, name, text) [symbol] = name,
		DROP_REASONS(X)
#undef X
	};

	return names[drop];
}

/* Completes "the frame is dropped: ". */
static inline const char *drop_text(enum drop drop)
{
	static const char *const texts[N_DROPS] = {[DROP_NONE] = "it is not",
#define X(symbol, name, text) [symbol] = text,
		DROP_REASONS(X)
#undef X
	};

	return texts[drop];
}

#endif
