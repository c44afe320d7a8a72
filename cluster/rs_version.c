/* SPDX-License-Identifier: MIT
 *
 * Which version of the protocol an epoch speaks, and what depends on it.
 */
#include "cluster/rs_core.h"

uint16_t rs_floor(const struct rs *rs)
{
	const struct store_entry *entry = store_find(rs->store, RS_PROTOCOL_KEY);
	int64_t floor = entry ? json_get_int(store_entry_json(entry), "floor", 0) : 0;

	return floor > 0 && floor < UINT16_MAX ? (uint16_t)floor : 0;
}

/* Version 1 had no HELLO; who speaks nothing else does not send or understand one. */
static bool has_hello(const struct rs *rs)
{
	return rs->newest > 1;
}

static struct rs_hello own_hello(const struct rs *rs)
{
	const struct rs_votes *votes = &rs->votes;

	return (struct rs_hello){
		.oldest = rs->oldest,
		.newest = rs->newest,
		.floor = rs_floor(rs),
		.nodes_needed = votes->nodes_needed ? votes->nodes_needed : votes->quorum_votes,
	};
}

void rs_hello_send(struct rs *rs)
{
	struct rs_msg msg = {
		.type = RS_WIRE_HELLO,
		.epoch = rs->epoch,
		.hello = own_hello(rs),
	};

	if (has_hello(rs))
		rs_send(rs, &msg);
}

void rs_on_hello(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	struct rs_peer *peer = rs_peer_find(rs, sender);

	/* After its STATE is too late: some may have concluded by then. */
	if (peer->has_state || !has_hello(rs)) {
		rs->stats.n_ignored++;
		return;
	}
	peer->hello = msg->hello;
	rs_arm(rs);
}

/* What the participants can settle on. */
struct settled {
	uint16_t floor;
	uint16_t version;
};

static struct settled settle(const struct rs *rs)
{
	struct settled settled = {.floor = 1, .version = UINT16_MAX};

	for (size_t i = 0; i < rs->n_peers; i++)
		settled.floor = MAX(settled.floor, rs->peers[i].hello.floor);
	/* More than version 1 has room for; its speakers have not even understood the SYNC_START.
	 */
	if (rs->n_peers > RS_MAX_MEMBERS_V1)
		settled.floor = MAX(settled.floor, (uint16_t)2);
	for (size_t i = 0; i < rs->n_peers; i++) {
		if (rs->peers[i].hello.newest >= settled.floor)
			settled.version = MIN(settled.version, rs->peers[i].hello.newest);
	}
	/* Nobody reaches it. */
	settled.version = MAX(settled.version == UINT16_MAX ? 0 : settled.version, settled.floor);
	return settled;
}

bool rs_version_settle(struct rs *rs)
{
	struct settled settled = settle(rs);
	bool all_can = true, we_can = true;

	for (size_t i = 0; i < rs->n_peers; i++) {
		const struct rs_peer *peer = &rs->peers[i];
		struct rs_member *member = rs_member_find(rs, peer->id);
		bool can = peer->hello.oldest <= settled.version &&
			   peer->hello.newest >= settled.floor;

		member->newest = peer->hello.newest;
		member->is_outdated = !can;
		all_can = all_can && can;
		if (peer->id == rs->local_id)
			we_can = can;
	}
	if (!we_can)
		rs_refuse(rs, settled.version);
	else if (all_can)
		rs->protocol = settled.version;
	return all_can;
}

void rs_version_tell(struct rs *rs)
{
	struct rs_msg msg = {
		.type = RS_WIRE_HELLO,
		.version = settle(rs).floor,
		.epoch = rs->epoch,
		.hello = own_hello(rs),
	};

	if (has_hello(rs))
		rs_send(rs, &msg);
}

bool rs_version_is_past(const struct rs *rs)
{
	return has_hello(rs) && rs_floor(rs) > rs->newest;
}

static unsigned writer_bits(const struct rs *rs)
{
	return rs->protocol == 1 ? RS_WRITER_BITS_V1 : RS_WRITER_BITS;
}

uint64_t rs_version_make(const struct rs *rs, size_t writer)
{
	return rs->epoch.generation << 32 | rs->applied << writer_bits(rs) | writer;
}

uint64_t rs_version_max_position(const struct rs *rs)
{
	return rs->max_position ? rs->max_position : (1ULL << (32 - writer_bits(rs))) - 1;
}

bool rs_version_has_room(const struct rs *rs)
{
	return store_n_keys(rs->store) < RS_MAX_KEYS_V1 || rs_floor(rs) > 1;
}
