/* SPDX-License-Identifier: MIT
 *
 * forward_check.h - what must hold of every forwarding decision, written down a second time and
 * without looking at how forward.c does it. For the property test and the fuzz target.
 */
#ifndef VIADUCT_TESTS_FABRIC_FORWARD_CHECK_H
#define VIADUCT_TESTS_FABRIC_FORWARD_CHECK_H

#include "fabric/forward.h"

#include <string.h>

/* The VLAN a frame is of when it comes in by `port`, or -1: it must not come in at all. */
static inline int check_ingress_vlan(const struct fwd_port *port, const struct fwd_key *key)
{
	unsigned vid = key->tagged ? key->tci & 0xfff : 0;

	switch (port->vlan.mode) {
	case VLAN_UNTAGGED:
		return vid == 0 && !key->inner_tag ? 0 : -1;
	case VLAN_ACCESS:
	case VLAN_ISOLATED:
	case VLAN_COMMUNITY:
	case VLAN_PROMISCUOUS:
		return vid == 0 && !key->inner_tag ? port->vlan.pvid : -1;
	case VLAN_TRUNK:
		if (vid == 0 || vid == port->vlan.pvid)
			return port->vlan.pvid;
		return vid < 4095 && (port->vlan.allowed[vid / 64] >> (vid % 64) & 1) ? (int)vid
										      : -1;
	}
	return -1;
}

/* As the wire shows it: the VLAN that a copy left with belongs to the egress, and is the frame's.
 */
static inline const char *check_egress(const struct fwd_port *port, const struct fwd_key *key,
	const struct fwd_out *out, int vid, uint16_t tci)
{
	if (!port->present)
		return "left by a port that is not there";
	if (port->muted)
		return "left by a muted port";
	if (!out->tagged && key->inner_tag)
		return "what looks like a tag left without one in front of it";
	switch (port->vlan.mode) {
	case VLAN_UNTAGGED:
		return out->tagged || vid != 0 ? "left an untagged port in a VLAN" : NULL;
	case VLAN_ACCESS:
		return out->tagged || vid != port->vlan.pvid ? "left an access port of another VLAN"
							     : NULL;
	case VLAN_ISOLATED:
		return out->tagged || vid != port->vlan.primary
			       ? "left an isolated port and is not of the primary VLAN"
			       : NULL;
	case VLAN_COMMUNITY:
		return out->tagged || (vid != port->vlan.primary && vid != port->vlan.pvid)
			       ? "left a community port of another community"
			       : NULL;
	case VLAN_PROMISCUOUS:
		return out->tagged || (vid != port->vlan.primary &&
					      !(port->vlan.allowed[vid / 64] >> (vid % 64) & 1))
			       ? "left a promiscuous port of other VLANs"
			       : NULL;
	case VLAN_TRUNK:
		if (!out->tagged)
			return vid != port->vlan.pvid ? "left a trunk untagged, not native" : NULL;
		if ((tci & 0xfff) != vid)
			return "left a trunk with another VLAN's tag";
		if (!(port->vlan.allowed[vid / 64] >> (vid % 64) & 1))
			return "left a trunk in a VLAN that is not allowed";
	}
	return NULL;
}

/* NULL, or what is wrong with the decision. */
static inline const char *check_decision(const struct fwd_switch *sw, unsigned in_port,
	const struct fwd_key *key, enum drop drop, const struct fwd_result *result)
{
	const struct fwd_port *in = &sw->ports[in_port];
	int vid = check_ingress_vlan(in, key);
	bool seen[FWD_MAX_PORTS] = {false};
	const char *wrong;

	if ((drop == DROP_NONE) != (result->n_out > 0))
		return "neither dropped nor forwarded, or both";
	if (result->n_out == 0)
		return NULL;
	if (in->muted)
		return "came in by a muted port";
	if (vid < 0)
		return "came in in a VLAN that the port may not use";
	if (!in->spoofing && memcmp(key->src, in->mac, ETH_ADDR_LEN) != 0)
		return "came in with another's address";
	for (unsigned i = 0; i < result->n_out; i++) {
		const struct fwd_out *out = &result->out[i];

		if (out->port == in_port)
			return "left by the port it came from";
		if (out->port >= sw->n_slots || seen[out->port])
			return "left twice, or by no port";
		seen[out->port] = true;
		wrong = check_egress(&sw->ports[out->port], key, out, vid, result->tci);
		if (wrong)
			return wrong;
	}
	return NULL;
}

#endif
