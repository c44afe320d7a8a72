/* SPDX-License-Identifier: MIT
 *
 * vlan.h - the VLAN policy of a port: which VLAN a frame belongs to when it comes in, which VLANs
 * may leave and whether with a tag.
 *
 * Inside a switch a VLAN is a number from 0 to 4094. 0 stands for frames that no port assigned to a
 * VLAN: what "untagged" ports and the native side of an uplink exchange. On the wire the VIDs 0
 * (priority tag) and 4095 are reserved by 802.1Q and can be in no policy.
 *
 *   mode         untagged frames in   tagged frames in         out untagged      out tagged
 *   untagged     VLAN 0               dropped                  VLAN 0            -
 *   access       the access VLAN      dropped                  the access VLAN   -
 *   trunk        the native VLAN      their VLAN, if carried   the native VLAN   the allowed VLANs
 *   isolated     the secondary VLAN   dropped                  the primary       -
 *   community    the secondary VLAN   dropped                  both              -
 *   promiscuous  the primary VLAN     dropped                  primary and       -
 *                                                              secondaries
 *
 * A priority tag (VID 0) counts as no tag. A trunk carries its native VLAN whether it is among the
 * allowed ones or not; native VLAN 0 is what is called "untagged" elsewhere.
 *
 * The last three are private VLANs (RFC 5517): one primary VLAN, divided into secondary ones that
 * are told apart by the direction of traffic only. A secondary VLAN belongs to one primary, and
 * addresses are known by the primary (forward.h).
 */
#ifndef VIADUCT_FABRIC_VLAN_H
#define VIADUCT_FABRIC_VLAN_H

#include "base/bitmap.h"

#define VLAN_VID_MIN 1
#define VLAN_VID_MAX 4094
#define VLAN_N_VIDS  4096
/* The longest vlan_list_format(): every second VLAN. */
#define VLAN_LIST_MAX_LEN (VLAN_N_VIDS / 2 * 5)

enum vlan_mode {
	VLAN_UNTAGGED,
	VLAN_ACCESS,
	VLAN_TRUNK,
	VLAN_ISOLATED,
	VLAN_COMMUNITY,
	VLAN_PROMISCUOUS,
};

struct vlan_policy {
	enum vlan_mode mode;
	uint16_t pvid;    /* VLAN of frames without a tag */
	uint16_t primary; /* of private VLANs, else 0 */
	/* Trunks: VLANs carried with a tag. Private VLANs: those that leave. */
	uint64_t allowed[BITMAP_WORDS(VLAN_N_VIDS)];
};

void vlan_policy_untagged(struct vlan_policy *policy);
/* -EINVAL for a reserved VID. */
int vlan_policy_access(struct vlan_policy *policy, unsigned vid);
/* -EINVAL for native VID 4095 and for reserved VIDs among `allowed`. */
int vlan_policy_trunk(struct vlan_policy *policy, unsigned native_vid,
	const uint64_t allowed[BITMAP_WORDS(VLAN_N_VIDS)]);
/* Private VLANs: -EINVAL for a reserved VID, or one that is primary and secondary. */
int vlan_policy_isolated(struct vlan_policy *policy, unsigned primary, unsigned secondary);
int vlan_policy_community(struct vlan_policy *policy, unsigned primary, unsigned secondary);
int vlan_policy_promiscuous(struct vlan_policy *policy, unsigned primary,
	const uint64_t secondaries[BITMAP_WORDS(VLAN_N_VIDS)]);
/* An uplink: untagged frames are VLAN 0, and every VLAN is carried. */
void vlan_policy_uplink(struct vlan_policy *policy);

static inline bool vlan_vid_is_usable(int64_t vid)
{
	return vid >= VLAN_VID_MIN && vid <= VLAN_VID_MAX;
}

static inline bool vlan_is_private(const struct vlan_policy *policy)
{
	return policy->primary != 0;
}

/* May frames of this VLAN leave by the port? */
static inline bool vlan_carries(const struct vlan_policy *policy, unsigned vid)
{
	if (vid == policy->pvid)
		return policy->mode != VLAN_ISOLATED;
	return (policy->mode == VLAN_TRUNK || vlan_is_private(policy)) &&
	       bitmap_test(policy->allowed, vid);
}

/* May frames with this VLAN's tag come in? */
static inline bool vlan_accepts_tag(const struct vlan_policy *policy, unsigned vid)
{
	return policy->mode == VLAN_TRUNK && vlan_carries(policy, vid);
}

/* For a VLAN that the port carries: does it leave with a tag? */
static inline bool vlan_leaves_tagged(const struct vlan_policy *policy, unsigned vid)
{
	return policy->mode == VLAN_TRUNK && vid != policy->pvid;
}

/* The next VLAN after `vid` (start with -1) that the port may send in, or -1. */
int vlan_next(const struct vlan_policy *policy, int vid);

const char *vlan_mode_name(enum vlan_mode mode);
/* -EINVAL. */
int vlan_mode_parse(const char *name, enum vlan_mode *ret_mode);

/* "2-4,7": VIDs from 1 to 4094 and ranges of them, in any order; at least one. -EINVAL. */
int vlan_list_parse(const char *text, uint64_t ret_map[BITMAP_WORDS(VLAN_N_VIDS)]);
/* The same text in its shortest form, ascending; to free(). NULL on a failed allocation. */
char *vlan_list_format(const uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)]);

#endif
