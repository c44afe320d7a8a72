/* SPDX-License-Identifier: MIT */
#include "fabric/forward.h"
#include "fabric/frame.h"

#include <string.h>

static bool is_multicast(const uint8_t mac[ETH_ADDR_LEN])
{
	return mac[0] & 1;
}

/* 802.1Q table 8-1: addresses that end at the first bridge (pause, spanning tree, LLDP). */
static bool is_reserved(const uint8_t mac[ETH_ADDR_LEN])
{
	static const uint8_t prefix[] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	return memcmp(mac, prefix, sizeof(prefix)) == 0 && mac[5] < 0x10;
}

static enum drop check_source(const struct fwd_port *port, const uint8_t src[ETH_ADDR_LEN])
{
	static const uint8_t zero[ETH_ADDR_LEN];

	if (is_multicast(src) || memcmp(src, zero, sizeof(zero)) == 0)
		return DROP_SOURCE;
	if (!port->spoofing && memcmp(src, port->mac, ETH_ADDR_LEN) != 0)
		return DROP_SPOOFED;
	return DROP_NONE;
}

/* The VLAN of a frame that comes in by `port`. */
static enum drop classify(const struct fwd_port *port, const struct fwd_key *key, uint16_t *ret_vid)
{
	uint16_t vid = key->tagged ? key->tci & FRAME_VID_MASK : 0;

	if (port->vlan.mode != VLAN_TRUNK && (vid != 0 || key->inner_tag))
		return DROP_TAGGED;
	if (vid == 0)
		vid = port->vlan.pvid;
	else if (!vlan_accepts_tag(&port->vlan, vid))
		return DROP_VLAN;
	*ret_vid = vid;
	return DROP_NONE;
}

/* The port behind which `mac` is, or -ENOENT. A trunk's pin counts where it carries. */
static int find_place(
	const struct fwd_switch *sw, unsigned vid, const uint8_t mac[ETH_ADDR_LEN], uint64_t now_ns)
{
	int port = fdb_lookup(sw->fdb, fwd_fid(sw, vid), mac, now_ns);

	if (port < 0) {
		port = fdb_lookup(sw->fdb, FDB_ANY_VLAN, mac, now_ns);
		if (port >= 0 && !vlan_carries(&sw->ports[port].vlan, vid))
			port = -ENOENT;
	}
	return port;
}

/* Does the port carry a VLAN whose addresses are known together with those of `vid`? */
static bool carries_fid(const struct fwd_switch *sw, const struct fwd_port *port, unsigned vid)
{
	if (vlan_carries(&port->vlan, vid))
		return true;
	for (unsigned other = VLAN_VID_MIN; other <= VLAN_VID_MAX; other++) {
		if (fwd_fid(sw, other) == fwd_fid(sw, vid) && vlan_carries(&port->vlan, other))
			return true;
	}
	return false;
}

/* Frames of a port that has an address and may not spoof teach nothing: it is pinned. Of the
 * others, what they say about an address that one of our own ports owns is not believed. */
static void look_at_source(const struct fwd_switch *sw, unsigned in_port,
	const uint8_t src[ETH_ADDR_LEN], uint64_t now_ns, struct fwd_result *result)
{
	unsigned owner;

	if (!sw->ports[in_port].spoofing)
		return;
	if (fdb_source(sw->fdb, FDB_ANY_VLAN, src, in_port, now_ns, &owner) == FDB_PINNED &&
		carries_fid(sw, &sw->ports[owner], result->vid)) {
		result->owner = (int)owner;
		return;
	}
	switch (fdb_source(sw->fdb, result->fid, src, in_port, now_ns, &owner)) {
	case FDB_PINNED:
		result->owner = (int)owner;
		break;
	case FDB_NEWS:
		result->learn = true;
		break;
	case FDB_KNOWN:
		break;
	}
}

static void add_out(const struct fwd_switch *sw, unsigned index, const struct fwd_key *key,
	struct fwd_result *result)
{
	const struct fwd_port *port = &sw->ports[index];
	bool tagged;

	if (!port->present || port->muted || !vlan_carries(&port->vlan, result->vid))
		return;
	tagged = vlan_leaves_tagged(&port->vlan, result->vid);
	if (key->inner_tag && !tagged)
		return;
	result->out[result->n_out++] = (struct fwd_out){.port = (uint16_t)index, .tagged = tagged};
}

/* Unknown unicast: to whom it could be for. */
static void flood_unicast(const struct fwd_switch *sw, unsigned in_port, const struct fwd_key *key,
	struct fwd_result *result)
{
	for (unsigned i = 0; i < sw->n_slots; i++) {
		if (i != in_port && sw->ports[i].spoofing)
			add_out(sw, i, key, result);
	}
}

static void flood_multicast(const struct fwd_switch *sw, unsigned in_port,
	const struct fwd_key *key, uint64_t now_ns, struct fwd_result *result)
{
	uint64_t wanted[BITMAP_WORDS(FDB_MAX_PORTS)];
	bool pruned = sw->mcast && mcast_ports(sw->mcast, result->fid, key->dst, now_ns, wanted);

	for (unsigned i = 0; i < sw->n_slots; i++) {
		if (i != in_port &&
			(!pruned || bitmap_test(wanted, i) || !fwd_port_has_mac(&sw->ports[i])))
			add_out(sw, i, key, result);
	}
}

enum drop forward(const struct fwd_switch *sw, unsigned in_port, const struct fwd_key *key,
	uint64_t now_ns, struct fwd_result *ret)
{
	const struct fwd_port *in = &sw->ports[in_port];
	enum drop drop = in->muted ? DROP_MUTED : check_source(in, key->src);
	int to;

	ret->learn = false;
	ret->owner = -1;
	ret->flooded = false;
	ret->n_out = 0;
	if (!drop)
		drop = classify(in, key, &ret->vid);
	if (drop)
		return drop;
	ret->fid = (uint16_t)fwd_fid(sw, ret->vid);
	ret->tci = (uint16_t)((key->tagged ? key->tci & ~FRAME_VID_MASK : 0) | ret->vid);
	look_at_source(sw, in_port, key->src, now_ns, ret);
	if (is_reserved(key->dst))
		return DROP_RESERVED;
	to = is_multicast(key->dst) ? -ENOENT : find_place(sw, ret->vid, key->dst, now_ns);
	if (to == (int)in_port)
		return DROP_HAIRPIN;
	ret->flooded = to < 0;
	if (to >= 0)
		add_out(sw, (unsigned)to, key, ret);
	else if (is_multicast(key->dst))
		flood_multicast(sw, in_port, key, now_ns, ret);
	else
		flood_unicast(sw, in_port, key, ret);
	return ret->n_out ? DROP_NONE : DROP_NOWHERE;
}
