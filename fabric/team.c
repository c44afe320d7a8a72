/* SPDX-License-Identifier: MIT */
#include "fabric/team.h"
#include "base/bytes.h"

#define ADDRESS_MASK ((1ULL << 48) - 1)
/* Tells a key from a free place, whatever the address. */
#define KEY_USED (1ULL << 63)

static const char *const mode_names[] = {
	[TEAM_STANDBY] = "standby",
	[TEAM_HASH] = "hash",
};

const char *team_mode_name(enum team_mode mode)
{
	return mode_names[mode];
}

int team_mode_parse(const char *name, enum team_mode *ret_mode)
{
	for (unsigned i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (strcmp(name, mode_names[i]) == 0) {
			*ret_mode = (enum team_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- hashes ---- */

static uint64_t address_of(const uint8_t mac[ETH_ADDR_LEN])
{
	uint64_t address = 0;

	for (unsigned i = 0; i < ETH_ADDR_LEN; i++)
		address = address << 8 | mac[i];
	return address;
}

static uint64_t key_of(const uint8_t mac[ETH_ADDR_LEN], uint16_t vid)
{
	return KEY_USED | (uint64_t)vid << 48 | address_of(mac);
}

/* The finaliser of MurmurHash3. */
static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

static uint64_t hash_frame(const struct team *team, const struct team_frame *frame)
{
	uint64_t h = mix(team->seed ^ frame->size_bytes ^ (uint64_t)frame->vid << 32);
	size_t at = 0;
	uint64_t tail = 0;

	for (; frame->size_bytes - at >= sizeof(uint64_t); at += sizeof(uint64_t))
		h = mix(h ^ load_le64(frame->data + at));
	memcpy(&tail, frame->data + at, frame->size_bytes - at);
	return mix(h ^ tail);
}

/* Of a set of members the one for an address: the one with the highest hash of both, so that an
 * address moves only when its own member goes, or a better one comes. -1: the set is empty. */
static int choose(uint32_t members, const uint8_t mac[ETH_ADDR_LEN])
{
	uint64_t address = address_of(mac), best_weight = 0;
	int best = -1;

	for (unsigned i = 0; members >> i; i++) {
		uint64_t weight;

		if (!(members >> i & 1))
			continue;
		weight = mix(address | (uint64_t)(i + 1) << 48);
		if (best < 0 || weight > best_weight) {
			best = (int)i;
			best_weight = weight;
		}
	}
	return best;
}

static int first_of(uint32_t members)
{
	return members ? __builtin_ctz(members) : -1;
}

/* ---- links ---- */

static uint32_t carrying_of(const struct team *team)
{
	return team->mode == TEAM_HASH ? team->usable : team->usable & -team->usable;
}

void team_init(
	struct team *team, enum team_mode mode, unsigned n_members, uint32_t up, uint64_t seed)
{
	memset(team, 0, sizeof(*team));
	team->mode = mode;
	team->n_members = n_members;
	team->seed = seed;
	team->up = up & ((1U << n_members) - 1);
	team->usable = team->up;
	team->carrying = carrying_of(team);
	/* There was no change whose grace could matter. */
	team->carried = team->carrying;
}

static bool update(struct team *team, uint64_t now_ns)
{
	uint32_t carrying;

	for (unsigned i = 0; i < team->n_members; i++) {
		if (team_is_up(team, i) && now_ns >= team->up_since_ns[i] + TEAM_HOLD_NS)
			team->usable |= 1U << i;
	}
	team->usable &= team->up;
	if (!team->usable)
		team->usable = team->up;
	carrying = carrying_of(team);
	if (carrying == team->carrying)
		return false;
	/* While nobody carries, those before are still the ones that used to be right. */
	if (team->carrying)
		team->carried = team->carrying;
	team->carrying = carrying;
	team->changed_ns = now_ns;
	return true;
}

bool team_set_link(struct team *team, unsigned member, bool up, uint64_t now_ns)
{
	if (up == team_is_up(team, member))
		return false;
	team->up ^= 1U << member;
	if (up)
		team->up_since_ns[member] = now_ns;
	return update(team, now_ns);
}

bool team_tick(struct team *team, uint64_t now_ns)
{
	return update(team, now_ns);
}

uint64_t team_due_ns(const struct team *team)
{
	uint64_t due_ns = 0;

	for (unsigned i = 0; i < team->n_members; i++) {
		uint64_t end_ns = team->up_since_ns[i] + TEAM_HOLD_NS;

		if (((team->up & ~team->usable) >> i & 1) && (!due_ns || end_ns < due_ns))
			due_ns = end_ns;
	}
	return due_ns;
}

/* ---- our own side ---- */

static struct team_sent *sent_set(struct team *team, uint64_t key)
{
	return team->sent[mix(key ^ team->seed) % TEAM_SENT_SETS];
}

static void note_sent(struct team *team, uint64_t key, uint64_t now_ns)
{
	struct team_sent *set = sent_set(team, key), *place = &set[0];

	for (unsigned i = 0; i < TEAM_SENT_WAYS; i++) {
		if (set[i].key == key) {
			place = &set[i];
			break;
		}
		if (set[i].at_ns < place->at_ns)
			place = &set[i];
	}
	*place = (struct team_sent){.key = key, .at_ns = now_ns};
}

static bool was_sent(struct team *team, uint64_t key, uint64_t now_ns)
{
	const struct team_sent *set = sent_set(team, key);

	for (unsigned i = 0; i < TEAM_SENT_WAYS; i++) {
		if (set[i].key == key)
			return now_ns < set[i].at_ns + TEAM_SENT_NS;
	}
	return false;
}

void team_forget(struct team *team, const uint8_t mac[ETH_ADDR_LEN])
{
	const uint64_t address = address_of(mac);

	for (unsigned i = 0; i < TEAM_SENT_SETS * TEAM_SENT_WAYS; i++) {
		struct team_sent *sent = &team->sent[i / TEAM_SENT_WAYS][i % TEAM_SENT_WAYS];

		if ((sent->key & ADDRESS_MASK) == address)
			*sent = (struct team_sent){0};
	}
}

int team_send(struct team *team, const uint8_t src[ETH_ADDR_LEN], uint16_t vid, uint64_t now_ns)
{
	int member = choose(team->carrying, src);

	if (member < 0)
		return -ENETDOWN;
	note_sent(team, key_of(src, vid), now_ns);
	return member;
}

/* ---- what comes in ---- */

static bool in_grace(const struct team *team, uint64_t now_ns)
{
	return team->carried != team->carrying && now_ns < team->changed_ns + TEAM_GRACE_NS;
}

/* The frame that this is the member's copy of. A frame has one copy a member, so two of the same
 * content by one member are two frames. */
static struct team_copy *find_copy(
	struct team *team, unsigned member, uint64_t hash, uint64_t now_ns)
{
	struct team_copy *set = team->copies[hash % TEAM_COPY_SETS], *place = &set[0];

	for (unsigned i = 0; i < TEAM_COPY_WAYS; i++) {
		if (set[i].hash == hash && set[i].seen && !(set[i].seen >> member & 1) &&
			now_ns < set[i].at_ns + TEAM_COPY_NS)
			return &set[i];
		if (set[i].at_ns < place->at_ns)
			place = &set[i];
	}
	*place = (struct team_copy){.hash = hash, .at_ns = now_ns};
	return place;
}

/* Copies are remembered at all times: when members change, it depends on what came before. */
static enum drop receive_multicast(
	struct team *team, unsigned member, const struct team_frame *frame, uint64_t now_ns)
{
	bool is_right = (int)member == first_of(team->carrying) ||
			(in_grace(team, now_ns) && (int)member == first_of(team->carried));
	struct team_copy *copy = find_copy(team, member, hash_frame(team, frame), now_ns);

	copy->seen |= 1U << member;
	if (!is_right || copy->taken)
		return DROP_DUPLICATE;
	copy->taken = true;
	return DROP_NONE;
}

static enum drop receive_unicast(
	const struct team *team, unsigned member, const uint8_t dst[ETH_ADDR_LEN], uint64_t now_ns)
{
	if ((int)member == choose(team->carrying, dst) ||
		(in_grace(team, now_ns) && (int)member == choose(team->carried, dst)))
		return DROP_NONE;
	return DROP_DUPLICATE;
}

enum drop team_receive(
	struct team *team, unsigned member, const struct team_frame *frame, uint64_t now_ns)
{
	const uint8_t *dst = frame->data, *src = dst + ETH_ADDR_LEN;
	bool multicast = dst[0] & 1;

	if (team->n_members == 1)
		return DROP_NONE;
	if (was_sent(team, key_of(src, frame->vid), now_ns) &&
		(multicast || !was_sent(team, key_of(dst, frame->vid), now_ns)))
		return DROP_REFLECTED;
	return multicast ? receive_multicast(team, member, frame, now_ns)
			 : receive_unicast(team, member, dst, now_ns);
}
