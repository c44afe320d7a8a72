/* SPDX-License-Identifier: MIT */
#include "fabric/ctl_ops.h"
#include "base/base64.h"

#include <string.h>

const struct json *ctl_get(const struct ctl_call *call, const char *key)
{
	const struct json *value = json_get(call->message, key);
	bool has_type = json_is_string(value) || json_is_int(value) || json_is_bool(value) ||
			json_is_object(value) || json_is_array(value);

	/* A real number has none of these types, but is somebody's mistake and not nothing. */
	return has_type || json_get_real(call->message, key, 0) != 0 ? value : NULL;
}

int ctl_get_string(struct ctl_call *call, const char *key, const char **ret_value)
{
	const struct json *value = ctl_get(call, key);

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
	const struct json *value = ctl_get(call, key);

	if (value && (!json_is_int(value) || json_int(value, 0) < min || json_int(value, 0) > max))
		return refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be a whole number from %lld to %lld", call->op, key,
			(long long)min, (long long)max);
	*ret_value = value ? json_int(value, fallback) : fallback;
	return 0;
}

int ctl_get_bool(struct ctl_call *call, const char *key, bool fallback, bool *ret_value)
{
	const struct json *value = ctl_get(call, key);

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

/* [{vlan, mac}] */
int ctl_need_statics(struct ctl_call *call, const char *key,
	struct fdb_static ret_statics[FDB_MAX_STATIC], unsigned *ret_n)
{
	const struct json *list = ctl_get(call, key);
	size_t n = json_length(list);

	if (!json_is_array(list) || n > FDB_MAX_STATIC)
		return refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be a list of at most %u addresses", call->op, key,
			FDB_MAX_STATIC);
	for (size_t i = 0; i < n; i++) {
		struct ctl_call entry = *call;
		int64_t vlan;
		int r;

		entry.message = json_at(list, i);
		r = ctl_need_mac(&entry, "mac", ret_statics[i].mac);
		r = r ?: ctl_get_int(&entry, "vlan", 0, VLAN_VID_MAX, 0, &vlan);
		if (r < 0) {
			call->why = entry.why;
			return r;
		}
		ret_statics[i].vid = (uint16_t)vlan;
	}
	*ret_n = (unsigned)n;
	return 0;
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

/* The VLAN keys of a request, of which each mode takes some. */
struct vlan_keys {
	int64_t vid, native, primary, secondary;
	const char *allowed, *secondaries;
};

enum {
	KEY_VID = 1,
	KEY_NATIVE = 2,
	KEY_ALLOWED = 4,
	KEY_PRIMARY = 8,
	KEY_SECONDARY = 16,
	KEY_SECONDARIES = 32,
};

static const unsigned mode_keys[] = {
	[VLAN_UNTAGGED] = 0,
	[VLAN_ACCESS] = KEY_VID,
	[VLAN_TRUNK] = KEY_NATIVE | KEY_ALLOWED,
	[VLAN_ISOLATED] = KEY_PRIMARY | KEY_SECONDARY,
	[VLAN_COMMUNITY] = KEY_PRIMARY | KEY_SECONDARY,
	[VLAN_PROMISCUOUS] = KEY_PRIMARY | KEY_SECONDARIES,
};

static int get_vlan_keys(struct ctl_call *call, struct vlan_keys *keys)
{
	const int64_t max = VLAN_VID_MAX + 1;
	int r = ctl_get_string(call, "allowed", &keys->allowed);

	r = r ?: ctl_get_string(call, "secondaries", &keys->secondaries);
	r = r ?: ctl_get_int(call, "vid", 0, max, 0, &keys->vid);
	r = r ?: ctl_get_int(call, "native", 0, max, 0, &keys->native);
	r = r ?: ctl_get_int(call, "primary", 0, max, 0, &keys->primary);
	return r ?: ctl_get_int(call, "secondary", 0, max, 0, &keys->secondary);
}

/* Keys of another mode are somebody's mistake; 0 and empty ones say nothing. */
static int check_vlan_keys(struct ctl_call *call, enum vlan_mode mode, const struct vlan_keys *keys)
{
	const struct {
		const char *name;
		unsigned key;
		bool given;
	} given[] = {
		{"vid", KEY_VID, keys->vid != 0},
		{"native", KEY_NATIVE, keys->native != 0},
		{"allowed", KEY_ALLOWED, keys->allowed && keys->allowed[0]},
		{"primary", KEY_PRIMARY, keys->primary != 0},
		{"secondary", KEY_SECONDARY, keys->secondary != 0},
		{"secondaries", KEY_SECONDARIES, keys->secondaries && keys->secondaries[0]},
	};

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		if (given[i].given && !(mode_keys[mode] & given[i].key))
			return refuse(&call->why, -EINVAL, "%s: mode %s does not go with \"%s\"",
				call->op, vlan_mode_name(mode), given[i].name);
	}
	return 0;
}

static int get_list(struct ctl_call *call, enum vlan_mode mode, const char *key, const char *text,
	uint64_t ret_map[BITMAP_WORDS(VLAN_N_VIDS)])
{
	if (!text || !text[0])
		return refuse(&call->why, -EINVAL,
			"%s: mode %s needs \"%s\", a list of VLANs like 2-4,7", call->op,
			vlan_mode_name(mode), key);
	if (vlan_list_parse(text, ret_map) < 0)
		return refuse(&call->why, -EINVAL,
			"%s: \"%s\" must be a list like 2-4,7 of VLANs from 1 to 4094 (0 and "
			"4095 are reserved)",
			call->op, key);
	return 0;
}

static int get_trunk(
	struct ctl_call *call, const struct vlan_keys *keys, struct vlan_policy *policy)
{
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)];
	int r = get_list(call, VLAN_TRUNK, "allowed", keys->allowed, map);

	if (r < 0)
		return r;
	if (keys->native != 0 && !vlan_vid_is_usable(keys->native))
		return refuse(&call->why, -EINVAL,
			"%s: VLAN %lld is reserved and cannot be native; VLANs are 1 to 4094, 0 "
			"leaves untagged frames untagged",
			call->op, (long long)keys->native);
	return vlan_policy_trunk(policy, (unsigned)keys->native, map);
}

static int get_private(struct ctl_call *call, enum vlan_mode mode, const struct vlan_keys *keys,
	struct vlan_policy *policy)
{
	unsigned primary = (unsigned)keys->primary, secondary = (unsigned)keys->secondary;
	uint64_t map[BITMAP_WORDS(VLAN_N_VIDS)];
	int r;

	if (mode == VLAN_PROMISCUOUS) {
		r = get_list(call, mode, "secondaries", keys->secondaries, map);
		if (r < 0)
			return r;
		r = vlan_policy_promiscuous(policy, primary, map);
	} else if (mode == VLAN_COMMUNITY) {
		r = vlan_policy_community(policy, primary, secondary);
	} else {
		r = vlan_policy_isolated(policy, primary, secondary);
	}
	if (r < 0)
		return refuse(&call->why, -EINVAL,
			"%s: mode %s needs \"primary\" and \"%s\", different VLANs from 1 to 4094",
			call->op, vlan_mode_name(mode),
			mode == VLAN_PROMISCUOUS ? "secondaries" : "secondary");
	return 0;
}

static int get_mode(struct ctl_call *call, enum vlan_mode *ret_mode)
{
	const char *text;
	int r = ctl_get_string(call, "mode", &text);

	if (r == 0 && text && vlan_mode_parse(text, ret_mode) < 0)
		r = refuse(&call->why, -EINVAL,
			"%s: \"mode\" must be untagged, access, trunk, isolated, community or "
			"promiscuous",
			call->op);
	return r;
}

int ctl_get_vlan(struct ctl_call *call, struct vlan_policy *ret_policy)
{
	enum vlan_mode mode = VLAN_UNTAGGED;
	struct vlan_keys keys;
	int r = get_mode(call, &mode);

	r = r ?: get_vlan_keys(call, &keys);
	r = r ?: check_vlan_keys(call, mode, &keys);
	if (r < 0)
		return r;
	switch (mode) {
	case VLAN_UNTAGGED:
		vlan_policy_untagged(ret_policy);
		return 0;
	case VLAN_ACCESS:
		if (vlan_policy_access(ret_policy, (unsigned)keys.vid) < 0)
			return refuse(&call->why, -EINVAL,
				"%s: mode access needs \"vid\" from 1 to 4094; %lld is reserved",
				call->op, (long long)keys.vid);
		return 0;
	case VLAN_TRUNK:
		return get_trunk(call, &keys, ret_policy);
	case VLAN_ISOLATED:
	case VLAN_COMMUNITY:
	case VLAN_PROMISCUOUS:
		return get_private(call, mode, &keys, ret_policy);
	}
	return -EINVAL;
}

bool ctl_has_vlan(const struct ctl_call *call)
{
	static const char *const keys[] = {
		"mode", "vid", "native", "allowed", "primary", "secondary", "secondaries"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (ctl_get(call, keys[i]))
			return true;
	}
	return false;
}

int ctl_get_list(
	struct ctl_call *call, const char *key, size_t max, const char **ret_texts, size_t *ret_n)
{
	const struct json *list = ctl_get(call, key);

	if (list && (!json_is_array(list) || json_length(list) > max))
		return refuse(&call->why, -EINVAL, "%s: \"%s\" must be a list of at most %zu",
			call->op, key, max);
	*ret_n = json_length(list);
	for (size_t i = 0; i < *ret_n; i++) {
		ret_texts[i] = json_string(json_at(list, i), NULL);
		if (!ret_texts[i])
			return refuse(&call->why, -EINVAL, "%s: \"%s\" must be a list of strings",
				call->op, key);
	}
	return 0;
}

int ctl_need_bytes(struct ctl_call *call, const char *key, size_t max_bytes, struct buf *out)
{
	const char *text;
	int r = ctl_need_string(call, key, &text);

	r = r ?: base64_decode(text, out);
	if (r == -EBADMSG)
		return refuse(&call->why, -EINVAL, "%s: \"%s\" must be base64", call->op, key);
	if (r == 0 && out->size_bytes > max_bytes)
		return refuse(&call->why, -EINVAL, "%s: \"%s\" is longer than %zu bytes", call->op,
			key, max_bytes);
	return r;
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
