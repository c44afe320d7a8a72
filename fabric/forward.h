/* SPDX-License-Identifier: MIT
 *
 * forward.h - the forwarding decision: which ports a frame leaves by, and in which form. A pure
 * function of the switch's state, the port a frame came from, its addresses and tag, and the time.
 *
 * Rules
 *   - A frame never leaves by the port it came from, nor in a VLAN that the egress does not carry.
 *   - A port that may not spoof sends with its own address only, and is sent unicast for its own
 *     address only: the switch knows where such an address is, so a frame for an unknown one cannot
 *     be for it. Unknown unicast goes to the uplink and to the ports that may spoof.
 *   - Broadcast and multicast go to all ports of the VLAN.
 *   - What looks like a tag behind the outer tag may leave only with an outer tag. Otherwise a VM
 *     could nest tags and have the second one count on the next switch.
 *   - Muted ports neither send nor receive.
 *   - Addresses behind a private VLAN's ports are known by its primary VLAN, whichever of its VLANs
 *     a frame is of.
 *   - IP multicast goes to the ports that want it where that is known (mcast.h), and to uplinks.
 *
 * The result names the egress ports and whether the source address should be learned; doing so is
 * the caller's, and so are the tags: `tci` for those that leave tagged. Priority bits are kept.
 *
 * Threads: several may call it at once, as long as nobody changes the switch.
 */
#ifndef VIADUCT_FABRIC_FORWARD_H
#define VIADUCT_FABRIC_FORWARD_H

#include "base/eth_ops.h"
#include "fabric/drop.h"
#include "fabric/fdb.h"
#include "fabric/mcast.h"
#include "fabric/vlan.h"

#define FWD_MAX_PORTS FDB_MAX_PORTS

/* What the decision knows of a port. */
struct fwd_port {
	bool present;
	bool muted;
	bool spoofing; /* may use any source address, and is sent unknown unicast; uplinks */
	uint8_t mac[ETH_ADDR_LEN];
	struct vlan_policy vlan;
};

struct fwd_switch {
	struct fdb *fdb;
	struct mcast *mcast;              /* NULL: multicast goes to all */
	uint16_t primary_of[VLAN_N_VIDS]; /* of a secondary VLAN; 0: it is none */
	unsigned n_slots;                 /* ports are below this */
	struct fwd_port ports[FWD_MAX_PORTS];
};

/* What it looks at of a frame, in normal form. */
struct fwd_key {
	uint8_t dst[ETH_ADDR_LEN];
	uint8_t src[ETH_ADDR_LEN];
	bool tagged;
	bool inner_tag;
	uint16_t tci;
};

struct fwd_out {
	uint16_t port;
	bool tagged;
};

struct fwd_result {
	uint16_t vid;
	uint16_t fid; /* the VLAN by which its addresses are known */
	uint16_t tci; /* for tagged copies */
	bool learn;   /* fdb_learn(fid, src, in_port), also when the frame itself is dropped; false
		       * if it would tell nothing new */
	int owner;    /* of the ports that may spoof: the port that has the source pinned, or -1 */
	bool flooded; /* not to one known place: broadcast, multicast, unknown */
	unsigned n_out;
	struct fwd_out out[FWD_MAX_PORTS];
};

/* DROP_NONE with n_out > 0, or the reason why the frame goes nowhere (with n_out 0). */
enum drop forward(const struct fwd_switch *sw, unsigned in_port, const struct fwd_key *key,
	uint64_t now_ns, struct fwd_result *ret);

/* Uplinks have no address of their own. */
static inline bool fwd_port_has_mac(const struct fwd_port *port)
{
	static const uint8_t none[ETH_ADDR_LEN];

	return __builtin_memcmp(port->mac, none, ETH_ADDR_LEN) != 0;
}

static inline unsigned fwd_fid(const struct fwd_switch *sw, unsigned vid)
{
	return sw->primary_of[vid] ? sw->primary_of[vid] : vid;
}

/* The VLAN under which the address of a port is pinned in the FDB. */
static inline unsigned fwd_pin_vid(const struct fwd_port *port)
{
	if (port->vlan.mode == VLAN_TRUNK)
		return FDB_ANY_VLAN;
	return vlan_is_private(&port->vlan) ? port->vlan.primary : port->vlan.pvid;
}

#endif
