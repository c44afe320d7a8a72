/* SPDX-License-Identifier: MIT
 *
 * pvlan.h - what the ports of a switch together say about private VLANs (RFC 5517): which VLAN is
 * secondary to which, and whether a port's policy contradicts another's. A VLAN is plain, primary,
 * or secondary to one primary; access ports and private ones must agree about it, trunks carry any.
 *
 * Pure.
 */
#ifndef VIADUCT_FABRIC_PVLAN_H
#define VIADUCT_FABRIC_PVLAN_H

#include "fabric/forward.h"

/* Does `vlan` on the port `slot` contradict another port of the switch? If so the VLAN and that
 * port. */
bool pvlan_conflicts(const struct fwd_switch *sw, unsigned slot, const struct vlan_policy *vlan,
	unsigned *ret_vid, unsigned *ret_slot);
/* Compute sw->primary_of from the ports that are there. */
void pvlan_map(struct fwd_switch *sw);

#endif
