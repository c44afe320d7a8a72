/* SPDX-License-Identifier: MIT */
#include "fabric/pvlan.h"

#include <string.h>

enum role {
	ROLE_NONE, /* the policy says nothing about this VLAN */
	ROLE_PLAIN,
	ROLE_PRIMARY,
	ROLE_SECONDARY,
};

static enum role role_of(const struct vlan_policy *vlan, unsigned vid)
{
	if (vlan->mode == VLAN_TRUNK || vid == 0)
		return ROLE_NONE;
	if (!vlan_is_private(vlan))
		return vid == vlan->pvid ? ROLE_PLAIN : ROLE_NONE;
	if (vid == vlan->primary)
		return ROLE_PRIMARY;
	return vid == vlan->pvid || bitmap_test(vlan->allowed, vid) ? ROLE_SECONDARY : ROLE_NONE;
}

static bool contradict(const struct vlan_policy *a, const struct vlan_policy *b, unsigned vid)
{
	enum role role_a = role_of(a, vid), role_b = role_of(b, vid);

	if (role_a == ROLE_NONE || role_b == ROLE_NONE)
		return false;
	return role_a != role_b || (role_a == ROLE_SECONDARY && a->primary != b->primary);
}

bool pvlan_conflicts(const struct fwd_switch *sw, unsigned slot, const struct vlan_policy *vlan,
	unsigned *ret_vid, unsigned *ret_slot)
{
	for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid++) {
		if (role_of(vlan, vid) == ROLE_NONE)
			continue;
		for (unsigned i = 0; i < sw->n_slots; i++) {
			if (i == slot || !sw->ports[i].present ||
				!contradict(vlan, &sw->ports[i].vlan, vid))
				continue;
			*ret_vid = vid;
			*ret_slot = i;
			return true;
		}
	}
	return false;
}

void pvlan_map(struct fwd_switch *sw)
{
	memset(sw->primary_of, 0, sizeof(sw->primary_of));
	for (unsigned i = 0; i < sw->n_slots; i++) {
		const struct vlan_policy *vlan = &sw->ports[i].vlan;

		if (!sw->ports[i].present || !vlan_is_private(vlan))
			continue;
		for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid++) {
			if (role_of(vlan, vid) == ROLE_SECONDARY)
				sw->primary_of[vid] = vlan->primary;
		}
	}
}
