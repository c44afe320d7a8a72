/* SPDX-License-Identifier: MIT */
#include "fabric/ctl_ops.h"

#include <string.h>

/* The value of `key`, or NULL when it is absent or null. */
static const struct json *get(const struct ctl_call *call, const char *key)
{
	const struct json *value = json_get(call->message, key);
	bool has_type = json_is_string(value) || json_is_int(value) || json_is_bool(value) ||
			json_is_object(value) || json_is_array(value);

	/* A real number has none of these types, but is somebody's mistake and not nothing. */
	return has_type || json_get_real(call->message, key, 0) != 0 ? value : NULL;
}

int ctl_get_string(struct ctl_call *call, const char *key, const char **ret_value)
{
	const struct json *value = get(call, key);

	if (value && !json_is_string(value))
		return refuse(&call->why, -EINVAL, "%s: \"%s\" must be a string", call->op, key);
	*ret_value = value ? json_string(value, NULL) : NULL;
	return 0;
}

int ctl_need_string(struct ctl_call *call, const char *key, const char **ret_value)
{
	const char *value;
	int r = ctl_get_string(call, key, &value);

	if (r < 0)
		return r;
	if (!value)
		return refuse(&call->why, -EINVAL, "%s needs \"%s\", a string", call->op, key);
	*ret_value = value;
	return 0;
}

int ctl_get_int(struct ctl_call *call, const char *key, int64_t min, int64_t max, int64_t fallback,
	int64_t *ret_value)
{
	const struct json *value = get(call, key);

	if (value && (!json_is_int(value) || json_int(value, 0) < min || json_int(value, 0) > max))
		return refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be a whole number from %lld to %lld", call->op, key,
			(long long)min, (long long)max);
	*ret_value = value ? json_int(value, fallback) : fallback;
	return 0;
}

int ctl_get_bool(struct ctl_call *call, const char *key, bool fallback, bool *ret_value)
{
	const struct json *value = get(call, key);

	if (value && !json_is_bool(value))
		return refuse(
			&call->why, -EINVAL, "%s: \"%s\" must be true or false", call->op, key);
	*ret_value = json_get_bool(call->message, key, fallback);
	return 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool parse_mac(const char *text, uint8_t ret_mac[ETH_ADDR_LEN])
{
	for (unsigned i = 0; i < ETH_ADDR_LEN; i++, text += 3) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0)
			return false;
		ret_mac[i] = (uint8_t)(high << 4 | low);
		if (i == ETH_ADDR_LEN - 1 ? text[2] != '\0' : text[2] != ':' && text[2] != '-')
			return false;
	}
	return true;
}

int ctl_need_mac(struct ctl_call *call, const char *key, uint8_t ret_mac[ETH_ADDR_LEN])
{
	static const uint8_t zero[ETH_ADDR_LEN];
	uint8_t mac[ETH_ADDR_LEN];
	const char *text;
	int r = ctl_need_string(call, key, &text);

	if (r < 0)
		return r;
	if (!parse_mac(text, mac))
		return refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be a MAC address like 00:15:5d:00:00:01", call->op, key);
	if (mac[0] & 1 || memcmp(mac, zero, sizeof(zero)) == 0)
		return refuse(&call->why, -EINVAL, "%s: a port cannot have the MAC address %s",
			call->op, text);
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
}

static int refuse_key(struct ctl_call *call, enum vlan_mode mode, const char *key)
{
	return refuse(&call->why, -EINVAL, "%s: mode %s does not go with \"%s\"", call->op,
		vlan_mode_name(mode), key);
}

static int get_trunk(
	struct ctl_call *call, int64_t native_vid, const char *allowed, struct vlan_policy *policy)
{
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)];

	if (!allowed)
		return refuse(&call->why, -EINVAL,
			"%s: mode trunk needs \"allowed\", a list of VLANs like 2-4,7", call->op);
	if (vlan_list_parse(allowed, map) < 0)
		return refuse(&call->why, -EINVAL,
			"%s: \"allowed\" must be a list like 2-4,7 of VLANs from 1 to 4094 (0 and "
			"4095 are reserved)",
			call->op);
	if (native_vid != 0 && !vlan_vid_is_usable(native_vid))
		return refuse(&call->why, -EINVAL,
			"%s: VLAN %lld is reserved and cannot be native; VLANs are 1 to 4094, 0 "
			"leaves untagged frames untagged",
			call->op, (long long)native_vid);
	return vlan_policy_trunk(policy, (unsigned)native_vid, map);
}

int ctl_get_vlan(struct ctl_call *call, struct vlan_policy *ret_policy)
{
	const char *mode_text, *allowed;
	enum vlan_mode mode = VLAN_UNTAGGED;
	int64_t vid, native_vid;
	int r = ctl_get_string(call, "mode", &mode_text);

	if (r == 0)
		r = ctl_get_string(call, "allowed", &allowed);
	if (r == 0)
		r = ctl_get_int(call, "vid", 0, VLAN_VID_MAX + 1, 0, &vid);
	if (r == 0)
		r = ctl_get_int(call, "native", 0, VLAN_VID_MAX + 1, 0, &native_vid);
	if (r < 0)
		return r;
	if (mode_text && vlan_mode_parse(mode_text, &mode) < 0)
		return refuse(&call->why, -EINVAL, "%s: \"mode\" must be untagged, access or trunk",
			call->op);
	if (allowed && allowed[0] == '\0')
		allowed = NULL;
	if (vid != 0 && mode != VLAN_ACCESS)
		return refuse_key(call, mode, "vid");
	if (native_vid != 0 && mode != VLAN_TRUNK)
		return refuse_key(call, mode, "native");
	if (allowed && mode != VLAN_TRUNK)
		return refuse_key(call, mode, "allowed");
	if (mode == VLAN_TRUNK)
		return get_trunk(call, native_vid, allowed, ret_policy);
	vlan_policy_untagged(ret_policy);
	if (mode == VLAN_ACCESS && vlan_policy_access(ret_policy, (unsigned)vid) < 0)
		return refuse(&call->why, -EINVAL,
			"%s: mode access needs \"vid\" from 1 to 4094; %lld is reserved", call->op,
			(long long)vid);
	return 0;
}

int ctl_need_switch(struct ctl_call *call, const char *key, struct vswitch **ret_sw)
{
	struct vswitch *sw;
	const char *name;
	int r = ctl_need_string(call, key, &name);

	if (r < 0)
		return r;
	sw = vswitch_find(call->fabric, name);
	if (!sw)
		return refuse(&call->why, -ENOENT, "there is no switch %.80s", name);
	*ret_sw = sw;
	return 0;
}

int ctl_need_port(struct ctl_call *call, struct vport **ret_port)
{
	struct vport *port;
	const char *id;
	int r = ctl_need_string(call, "port", &id);

	if (r < 0)
		return r;
	port = vport_find(call->fabric, id);
	if (!port)
		return refuse(&call->why, -ENOENT, "there is no port %.160s", id);
	*ret_port = port;
	return 0;
}

int ctl_need_fds(struct ctl_call *call, size_t n_fds, const char *what)
{
	if (call->n_fds != n_fds)
		return refuse(&call->why, -EINVAL, "%s takes %s, but %zu descriptors came with it",
			call->op, what, call->n_fds);
	return 0;
}
