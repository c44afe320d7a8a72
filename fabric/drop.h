/* SPDX-License-Identifier: MIT
 *
 * drop.h - why the switch does not forward a frame. One table: the reasons, the names under which
 * the control interface counts them, and what they mean.
 *
 * Counted at the port the frame came from, except DROP_FULL and DROP_ERROR, which are counted at
 * the port it was to leave by.
 */
#ifndef VIADUCT_FABRIC_DROP_H
#define VIADUCT_FABRIC_DROP_H

#define DROP_REASONS(X)                                                                            \
	X(DROP_RUNT, "runt")         /* shorter than its Ethernet header and tag */                \
	X(DROP_GIANT, "giant")       /* over ETH_FRAME_MAX_BYTES */                                \
	X(DROP_OFFLOAD, "offload")   /* checksum or segmentation request that does not hold */     \
	X(DROP_MUTED, "muted")       /* from a muted port */                                       \
	X(DROP_SOURCE, "source")     /* source address zero or multicast */                        \
	X(DROP_SPOOFED, "spoofed")   /* source address is not the port's */                        \
	X(DROP_TAGGED, "tagged")     /* an 802.1Q tag from a port that may not send any */         \
	X(DROP_VLAN, "vlan")         /* of a VLAN that the port does not carry */                  \
	X(DROP_RESERVED, "reserved") /* to 01:80:c2:00:00:0x, which bridges never forward */       \
	X(DROP_HAIRPIN, "hairpin")   /* its destination is where it came from */                   \
	X(DROP_NOWHERE, "nowhere")   /* no port takes it */                                        \
	X(DROP_FULL, "full")         /* egress had no room */                                      \
	X(DROP_ERROR, "error")       /* egress refused it */

enum drop {
	DROP_NONE,
#define X(symbol, name) symbol,
	DROP_REASONS(X)
#undef X
		N_DROPS,
};

static inline const char *drop_name(enum drop drop)
{
	static const char *const names[N_DROPS] = {[DROP_NONE] = "none",
#define X(symbol, name) [symbol] = name,
		DROP_REASONS(X)
#undef X
	};

	return names[drop];
}

#endif
