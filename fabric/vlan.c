/* SPDX-License-Identifier: MIT */
#include "fabric/vlan.h"

#include <stdio.h>
#include <string.h>

static const char *const mode_names[] = {
	[VLAN_UNTAGGED] = "untagged",
	[VLAN_ACCESS] = "access",
	[VLAN_TRUNK] = "trunk",
	[VLAN_ISOLATED] = "isolated",
	[VLAN_COMMUNITY] = "community",
	[VLAN_PROMISCUOUS] = "promiscuous",
};

void vlan_policy_untagged(struct vlan_policy *policy)
{
	*policy = (struct vlan_policy){.mode = VLAN_UNTAGGED};
}

int vlan_policy_access(struct vlan_policy *policy, unsigned vid)
{
	if (!vlan_vid_is_usable(vid))
		return -EINVAL;
	*policy = (struct vlan_policy){.mode = VLAN_ACCESS, .pvid = (uint16_t)vid};
	return 0;
}

int vlan_policy_trunk(struct vlan_policy *policy, unsigned native_vid,
	const uint64_t allowed[BITMAP_WORDS(VLAN_N_VIDS)])
{
	if (native_vid > VLAN_VID_MAX || bitmap_test(allowed, 0) ||
		bitmap_test(allowed, VLAN_VID_MAX + 1))
		return -EINVAL;
	*policy = (struct vlan_policy){.mode = VLAN_TRUNK, .pvid = (uint16_t)native_vid};
	memcpy(policy->allowed, allowed, sizeof(policy->allowed));
	return 0;
}

int vlan_policy_isolated(struct vlan_policy *policy, unsigned primary, unsigned secondary)
{
	if (!vlan_vid_is_usable(primary) || !vlan_vid_is_usable(secondary) || primary == secondary)
		return -EINVAL;
	*policy = (struct vlan_policy){
		.mode = VLAN_ISOLATED, .pvid = (uint16_t)secondary, .primary = (uint16_t)primary};
	bitmap_set(policy->allowed, primary);
	return 0;
}

int vlan_policy_community(struct vlan_policy *policy, unsigned primary, unsigned secondary)
{
	int r = vlan_policy_isolated(policy, primary, secondary);

	if (r == 0) {
		policy->mode = VLAN_COMMUNITY;
		bitmap_set(policy->allowed, secondary);
	}
	return r;
}

int vlan_policy_promiscuous(struct vlan_policy *policy, unsigned primary,
	const uint64_t secondaries[BITMAP_WORDS(VLAN_N_VIDS)])
{
	if (!vlan_vid_is_usable(primary) || bitmap_test(secondaries, primary) ||
		bitmap_test(secondaries, 0) || bitmap_test(secondaries, VLAN_VID_MAX + 1))
		return -EINVAL;
	*policy = (struct vlan_policy){
		.mode = VLAN_PROMISCUOUS, .pvid = (uint16_t)primary, .primary = (uint16_t)primary};
	memcpy(policy->allowed, secondaries, sizeof(policy->allowed));
	return 0;
}

void vlan_policy_uplink(struct vlan_policy *policy)
{
	*policy = (struct vlan_policy){.mode = VLAN_TRUNK};
	for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid++)
		bitmap_set(policy->allowed, vid);
}

int vlan_next(const struct vlan_policy *policy, int vid)
{
	if (policy->mode != VLAN_TRUNK)
		return vid < policy->pvid ? policy->pvid : -1;
	for (vid++; vid <= VLAN_VID_MAX; vid++) {
		if (vlan_carries(policy, (unsigned)vid))
			return vid;
	}
	return -1;
}

const char *vlan_mode_name(enum vlan_mode mode)
{
	return mode_names[mode];
}

int vlan_mode_parse(const char *name, enum vlan_mode *ret_mode)
{
	for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (strcmp(name, mode_names[i]) == 0) {
			*ret_mode = (enum vlan_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* strtoul() would take signs and spaces. */
static int parse_vid(const char **text, unsigned *ret_vid)
{
	const char *at = *text;
	unsigned vid = 0;

	for (; *at >= '0' && *at <= '9' && vid <= VLAN_VID_MAX; at++)
		vid = vid * 10 + (unsigned)(*at - '0');
	if (at == *text || !vlan_vid_is_usable(vid))
		return -EINVAL;
	*text = at;
	*ret_vid = vid;
	return 0;
}

int vlan_list_parse(const char *text, uint64_t ret_map[BITMAP_WORDS(VLAN_N_VIDS)])
{
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)] = {0};
	unsigned first, last;

	for (;; text++) {
		if (parse_vid(&text, &first) < 0)
			return -EINVAL;
		last = first;
		if (*text == '-') {
			text++;
			if (parse_vid(&text, &last) < 0 || last < first)
				return -EINVAL;
		}
		for (unsigned vid = first; vid <= last; vid++)
			bitmap_set(map, vid);
		if (*text == '\0')
			break;
		if (*text != ',')
			return -EINVAL;
	}
	memcpy(ret_map, map, sizeof(map));
	return 0;
}

char *vlan_list_format(const uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)])
{
	char *text = malloc(VLAN_LIST_MAX_LEN + 1);
	size_t len = 0;

	if (!text)
		return NULL;
	text[0] = '\0';
	for (unsigned vid = VLAN_VID_MIN; vid <= VLAN_VID_MAX; vid++) {
		unsigned first = vid;

		if (!bitmap_test(map, vid))
			continue;
		while (vid < VLAN_VID_MAX && bitmap_test(map, vid + 1))
			vid++;
		len += (size_t)sprintf(text + len, len ? ",%u" : "%u", first);
		if (vid > first)
			len += (size_t)sprintf(text + len, "-%u", vid);
	}
	return text;
}
