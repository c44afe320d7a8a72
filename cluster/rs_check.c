/* SPDX-License-Identifier: MIT
 *
 * Whether all members still have the same store: at one place in the order of an epoch everybody
 * takes a view of its own, hashes it anew, piece by piece, and says what came out.
 */
#include "cluster/rs_core.h"

/* Version 3 of the protocol. */
static bool is_spoken(const struct rs *rs)
{
	return rs->protocol >= 3;
}

void rs_check_reset(struct rs *rs)
{
	store_view_free(take_ptr(rs->check_view));
	rs->is_checking = false;
	rs->check_mark = 0;
}

void rs_check(struct rs *rs, uint64_t now_ns)
{
	struct rs_msg msg = {.type = RS_WIRE_CHECK, .epoch = rs->epoch};

	rs->now_ns = now_ns;
	if (!is_spoken(rs) || !rs_is_complete(rs) || rs->n_peers == 1 ||
		rs->peers[0].id != rs->local_id)
		return;
	msg.check.position = rs->delivered;
	rs_send(rs, &msg);
}

static void begin(struct rs *rs)
{
	rs_check_reset(rs);
	for (size_t i = 0; i < rs->n_peers; i++)
		rs->peers[i].has_checked = false;
	rs->check_position = rs->delivered;
	rs->is_checking = store_view_new(rs->store, &rs->check_view) == 0;
	/* Without a view there is nothing to answer. */
	rs->check_mark = rs->is_checking ? rs->mark : 0;
}

void rs_check_answer(struct rs *rs)
{
	struct rs_msg msg = {
		.type = RS_WIRE_CHECK,
		.epoch = rs->epoch,
		.check = {.is_answer = true, .position = rs->check_position},
	};

	/* Whose copy is declared worthless must not have been the only one with what was done. */
	if (rs->check_mark == 0 || rs->check_view || rs->saved < rs->check_mark)
		return;
	rs->check_mark = 0;
	memcpy(msg.check.digest, rs->check_digest, sizeof(msg.check.digest));
	rs_send(rs, &msg);
}

void rs_check_some(struct rs *rs)
{
	int r = store_view_digest_some(rs->check_view, rs->work_bytes, rs->check_digest);

	if (r > 0)
		return;
	store_view_free(take_ptr(rs->check_view));
	if (r < 0)
		rs->check_mark = 0;
	rs_check_answer(rs);
}

static bool is_same(const struct rs_peer *a, const struct rs_peer *b)
{
	return memcmp(a->checked, b->checked, RS_DIGEST_BYTES) == 0;
}

/* What most have; of two halves, what the leader of the epoch has. */
static const struct rs_peer *who_is_right(const struct rs *rs)
{
	for (size_t i = 0; i < rs->n_peers; i++) {
		size_t n_same = 0;

		for (size_t k = 0; k < rs->n_peers; k++)
			n_same += is_same(&rs->peers[i], &rs->peers[k]);
		if (2 * n_same > rs->n_peers)
			return &rs->peers[i];
	}
	return &rs->peers[rs->leader];
}

/* Everybody has said, at a place behind our first confirmation, that our stores are equal and
 * saved: so all count us, and nothing was done that we do not have. */
static void take_generation(struct rs *rs)
{
	if (rs->meta.generation == rs->epoch.generation)
		return;
	rs->meta.generation = rs->epoch.generation;
	/* What is applied here counts as saved when this is, too. */
	rs->mark++;
	rs->epoch_mark++;
}

/* Everybody has heard the same answers, and concludes the same. */
static void conclude(struct rs *rs)
{
	const struct rs_peer *right = who_is_right(rs);
	bool we_differ = false;

	rs->is_checking = false;
	rs->stats.n_checks++;
	for (size_t i = 0; i < rs->n_peers; i++) {
		if (is_same(&rs->peers[i], right))
			continue;
		rs->stats.n_differing++;
		we_differ = we_differ || rs->peers[i].id == rs->local_id;
		if (rs->ops->differs)
			rs->ops->differs(rs->peers[i].id, rs->data);
	}
	if (!we_differ) {
		take_generation(rs);
		return;
	}
	/* It does not lead any more, and is fetched anew. */
	store_digest_drop(rs->store);
	rs->meta.is_worthless = true;
	rs->mark++;
	rs_ask_sync(rs);
}

void rs_on_check(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	const struct rs_check *check = &msg->check;
	struct rs_peer *peer = rs_peer_find(rs, sender);

	if (!is_spoken(rs)) {
		rs->stats.n_ignored++;
		return;
	}
	if (!check->is_answer) {
		if (peer == &rs->peers[0] && rs_is_complete(rs))
			begin(rs);
		return;
	}
	if (!rs->is_checking || check->position != rs->check_position || peer->has_checked) {
		rs->stats.n_ignored++;
		return;
	}
	peer->has_checked = true;
	memcpy(peer->checked, check->digest, RS_DIGEST_BYTES);
	for (size_t i = 0; i < rs->n_peers; i++) {
		if (!rs->peers[i].has_checked)
			return;
	}
	conclude(rs);
}
