/* SPDX-License-Identifier: MIT
 *
 * Who takes part, and with which store: from a membership change to the decision.
 */
#include "cluster/rs_core.h"

/* Of the members as we see them; others may see it otherwise for a while (silence), and then the
 * last SYNC_START delivered is the one that counts. */
static uint32_t coordinator(const struct rs *rs)
{
	for (size_t i = 0; i < rs->n_members; i++) {
		if (!rs->members[i].is_silent && !rs->members[i].is_outdated)
			return rs->members[i].id;
	}
	return 0;
}

/* Everybody who answers, as far as we know. */
static void list_participants(const struct rs *rs, struct rs_sync *ret_sync)
{
	struct rs_sync sync = {};

	for (size_t i = 0; i < rs->n_members; i++) {
		if (!rs->members[i].is_silent && !rs->members[i].is_outdated)
			sync.participants[sync.n_participants++] = rs->members[i].id;
	}
	*ret_sync = sync;
}

void rs_start_sync(struct rs *rs)
{
	struct rs_msg msg = {.type = RS_WIRE_SYNC_START};

	if (rs->start_pending)
		return;
	rs->proposed = MAX(rs->proposed, rs->meta.promised) + 1;
	if (rs->proposed > RS_MAX_GENERATION)
		return;
	msg.epoch = (struct rs_epoch){
		.generation = rs->proposed,
		.initiator = rs->local_id,
		.nonce = rs->nonce++,
	};
	list_participants(rs, &msg.sync);
	rs->start_pending = true;
	rs_send(rs, &msg);
}

void rs_ask_sync(struct rs *rs)
{
	struct rs_msg msg = {.type = RS_WIRE_SYNC_REQUEST, .epoch = rs->epoch};

	if (coordinator(rs) == rs->local_id) {
		rs_start_sync(rs);
		return;
	}
	rs->asked = true;
	/* After a membership change nobody has to be told. */
	if (rs->epoch.generation == 0)
		return;
	list_participants(rs, &msg.sync);
	rs_send(rs, &msg);
}

static bool is_listed(const struct rs_sync *sync, uint32_t id)
{
	for (uint32_t i = 0; i < sync->n_participants; i++) {
		if (sync->participants[i] == id)
			return true;
	}
	return false;
}

static void note_silent(struct rs *rs, struct rs_member *member)
{
	if (member->is_silent || member->id == rs->local_id)
		return;
	member->is_silent = true;
	rs->stats.n_silent++;
}

void rs_on_sync_request(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	/* What it speaks is asked again. */
	rs_member_find(rs, sender)->is_outdated = false;
	/* Of an earlier epoch: its sender has been, or will be, served by a later SYNC_START. */
	if (!rs_epoch_equal(&msg->epoch, &rs->epoch) || msg->sync.participants[0] != rs->local_id) {
		rs->stats.n_ignored++;
		return;
	}
	/* Whom the sender has waited for in vain we need not wait for as well. */
	for (size_t i = 0; i < rs->n_members; i++) {
		if (!is_listed(&msg->sync, rs->members[i].id))
			note_silent(rs, &rs->members[i]);
	}
	rs_start_sync(rs);
}

static bool promise_is_under_way(const struct rs *rs)
{
	return rs->saved < rs->promise_mark;
}

void rs_state_send(struct rs *rs)
{
	struct rs_msg msg = {.type = RS_WIRE_STATE,
		.epoch = rs->epoch,
		.state = {
			.promised = rs->meta.promised,
			.generation = rs->meta.generation,
			.version = rs->meta.version,
			.accepted = rs->accepted,
			.quorate = rs->votes.quorate,
			.is_worthless = rs->meta.is_worthless,
			.votes = rs->votes.votes,
			.quorum_votes = rs->votes.quorum_votes,
			.device_votes = rs->votes.device_votes,
		}};

	int r = store_digest_some(rs->store, rs->work_bytes);

	rs->state_is_due = true;
	rs->is_hashing = r > 0;
	if (r > 0 || (r == 0 && promise_is_under_way(rs)))
		return;
	rs->state_is_due = false;
	if (r < 0 || rs_digest(rs, msg.state.digest) < 0) {
		rs_withdraw(rs);
		return;
	}
	/* Both speak of the same votes. */
	rs->votes_sent = rs->votes;
	rs_hello_send(rs);
	rs_send(rs, &msg);
}

static bool participants_are_members(const struct rs *rs, const struct rs_sync *sync)
{
	for (uint32_t i = 0; i < sync->n_participants; i++) {
		if (!rs_member_find(rs, sync->participants[i]))
			return false;
	}
	return true;
}

/* The promise has to be on the disk before anybody hears of it: rs_state_send() waits. Until then
 * it is kept as if it were. */
static bool accept(struct rs *rs, uint64_t generation)
{
	if (generation <= rs->meta.promised)
		return false;
	rs->meta.promised = generation;
	rs->promise_mark = ++rs->mark;
	rs->ops->save_meta(&rs->meta, rs->data);
	return true;
}

void rs_on_sync_start(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	const struct rs_sync *sync = &msg->sync;

	/* Of an earlier membership, or of somebody who does not know that it is no part of this
	 * one. */
	if (msg->epoch.initiator != sender || !participants_are_members(rs, sync) ||
		rs_member_find(rs, sender)->is_outdated) {
		rs->stats.n_ignored++;
		return;
	}
	rs->stats.n_syncs++;
	if (sender == rs->local_id)
		rs->start_pending = false;
	rs_epoch_leave(rs);
	rs_enter(rs, RS_GATHER);
	rs->epoch = msg->epoch;
	rs->proposed = MAX(rs->proposed, msg->epoch.generation);
	for (uint32_t i = 0; i < sync->n_participants; i++)
		rs->peers[i] = (struct rs_peer){
			.id = sync->participants[i],
			.hello = {.oldest = 1, .newest = 1},
		};
	rs->n_peers = sync->n_participants;
	if (!rs_peer_find(rs, rs->local_id)) {
		/* With a disk that does not answer we would only hold them up again. */
		rs->ask_is_due = rs->saved < rs->mark;
		if (!rs->ask_is_due)
			rs_ask_sync(rs);
		return;
	}
	rs->accepted = accept(rs, msg->epoch.generation);
	rs_enter(rs, RS_EXCHANGE);
	rs_state_send(rs);
}

static bool all_states_are_here(const struct rs *rs)
{
	for (size_t i = 0; i < rs->n_peers; i++) {
		if (!rs->peers[i].has_state)
			return false;
	}
	return true;
}

static bool all_have_accepted(struct rs *rs)
{
	bool accepted = true;

	for (size_t i = 0; i < rs->n_peers; i++) {
		accepted = accepted && rs->peers[i].state.accepted;
		rs->proposed = MAX(rs->proposed, rs->peers[i].state.promised);
	}
	return accepted;
}

/* Of the participants, or of those that are not behind alone. */
static bool are_quorum(const struct rs *rs, bool without_behind)
{
	uint64_t votes = 0, needed = 0, nodes_needed = 0, device_votes = 0;

	for (size_t i = 0; i < rs->n_peers; i++) {
		const struct rs_state *state = &rs->peers[i].state;

		if (!state->quorate || state->quorum_votes == 0 ||
			(rs->protocol > 1 && rs->peers[i].hello.nodes_needed == 0))
			return false;
		if (!without_behind || !rs->peers[i].is_behind)
			votes += state->votes;
		needed = MAX(needed, (uint64_t)state->quorum_votes);
		nodes_needed = MAX(nodes_needed, (uint64_t)rs->peers[i].hello.nodes_needed);
		device_votes = MAX(device_votes, (uint64_t)state->device_votes);
	}
	/* A device's votes are none of a copy of the store: from version 2 on they do not count. */
	if (rs->protocol == 1)
		return !without_behind && votes + device_votes >= needed;
	return votes >= nodes_needed;
}

/* Peers ascend by id, so the first of equals is the lowest. */
static size_t choose_leader(const struct rs *rs)
{
	size_t leader = 0;

	for (size_t i = 1; i < rs->n_peers; i++) {
		const struct rs_state *a = &rs->peers[i].state, *b = &rs->peers[leader].state;

		if (a->is_worthless != b->is_worthless   ? b->is_worthless
			: a->generation != b->generation ? a->generation > b->generation
							 : a->version > b->version)
			leader = i;
	}
	return leader;
}

/* What was done in a generation whose store is worthless here must be in another store. */
static bool nothing_is_missing(const struct rs *rs, const struct rs_peer *leader)
{
	for (size_t i = 0; i < rs->n_peers; i++) {
		const struct rs_state *state = &rs->peers[i].state;

		if (state->is_worthless && (leader->state.is_worthless ||
						   state->generation > leader->state.generation))
			return false;
	}
	return true;
}

/* The same content may have come about in two ways, as deleted keys leave nothing behind. Every
 * change has a version of its own, so the last one tells. */
static bool has_history_of(const struct rs_peer *a, const struct rs_peer *b)
{
	return a->state.version == b->state.version;
}

static bool has_digest_of(const struct rs_peer *a, const struct rs_peer *b)
{
	return memcmp(a->state.digest, b->state.digest, RS_DIGEST_BYTES) == 0;
}

/* Who does not have the leader's store. Where the others are no quorum, all have to have it. */
static void mark_behind(struct rs *rs, const struct rs_peer *leader)
{
	rs->handover_done = true;
	for (size_t i = 0; i < rs->n_peers; i++) {
		rs->peers[i].is_behind = !has_digest_of(&rs->peers[i], leader);
		if (rs->peers[i].is_behind)
			rs->handover_done = false;
	}
	if (are_quorum(rs, true))
		return;
	for (size_t i = 0; i < rs->n_peers; i++)
		rs->peers[i].is_behind = false;
}

static void start_without_outdated(struct rs *rs)
{
	if (rs->mode == RS_OUTDATED)
		return;
	rs->asked = true;
	if (coordinator(rs) != rs->local_id)
		return;
	rs_version_tell(rs);
	rs_start_sync(rs);
}

/* All STATEs are here, the same ones at every participant. */
static void decide(struct rs *rs)
{
	const struct rs_peer *self = rs_peer_find(rs, rs->local_id), *leader;
	bool accepted = all_have_accepted(rs);

	if (!rs_version_settle(rs)) {
		start_without_outdated(rs);
		return;
	}
	if (!accepted) {
		/* The initiator knows now which generation is high enough. */
		if (rs->epoch.initiator == rs->local_id)
			rs_start_sync(rs);
		return;
	}
	rs->leader = choose_leader(rs);
	leader = &rs->peers[rs->leader];
	if (!are_quorum(rs, false) || !nothing_is_missing(rs, leader)) {
		rs_enter(rs, RS_NO_QUORUM);
		rs_pending_fail(rs, RS_PENDING_UNCERTAIN, -EIO);
		rs_pending_fail(rs, RS_PENDING_UNSENT, -EHOSTDOWN);
		return;
	}
	mark_behind(rs, leader);
	if (has_digest_of(self, leader)) {
		if (has_history_of(self, leader))
			rs_pending_resolve(rs);
		else
			rs_pending_fail(rs, RS_PENDING_UNCERTAIN, -EIO);
		rs->meta.version = leader->state.version;
		rs_epoch_begin(rs);
		rs_become_synced(rs);
		if (leader->id == rs->local_id && !rs->handover_done)
			rs_handover_start(rs);
	} else {
		rs_enter(rs, RS_UPDATE);
		rs_pending_fail(rs, RS_PENDING_UNCERTAIN, -EIO);
	}
}

void rs_on_state(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	struct rs_peer *peer = rs_peer_find(rs, sender);
	const struct rs_state *state = &msg->state;
	bool holds_together = state->accepted ? state->promised == msg->epoch.generation
					      : state->promised >= msg->epoch.generation;

	if (peer->has_state || !holds_together) {
		rs->stats.n_malformed++;
		return;
	}
	peer->has_state = true;
	peer->state = *state;
	rs_arm(rs);
	if (all_states_are_here(rs))
		decide(rs);
}

/* Nobody can go on before that member says something: all know, the coordinator included. */
static bool holds_up_all(const struct rs *rs, uint32_t id)
{
	const struct rs_peer *peer = rs_peer_find(rs, id);

	if (rs->mode == RS_EXCHANGE && all_states_are_here(rs))
		return id == rs->epoch.initiator; /* somebody refused: it has to start again */
	if (rs->mode == RS_EXCHANGE)
		return peer && !peer->has_state;
	if (!peer || (rs->mode != RS_UPDATE && rs->mode != RS_SYNCED))
		return false;
	if (!rs->handover_done)
		return id == rs->peers[rs->leader].id;
	/* What we have still to do ourselves, no sync would make quicker. */
	return id != rs->local_id && !rs_peer_is_synced(peer);
}

/* Only we know that we wait for it. */
static bool holds_up_us(const struct rs *rs, uint32_t id)
{
	const struct rs_peer *peer = rs_peer_find(rs, id);

	if (rs->mode == RS_GATHER && rs->epoch.generation == 0)
		return id == coordinator(rs);
	/* Our own disk we wait for without a limit; others do not. */
	return rs->mode == RS_SYNCED && peer && id != rs->local_id && rs_peer_counts(rs, peer) &&
	       rs_pending_is_unconfirmed(rs) && peer->confirmed < rs_pending_first_position(rs);
}

static bool is_awaited(const struct rs *rs, uint32_t id)
{
	return (rs->asked && id == coordinator(rs)) || holds_up_all(rs, id) || holds_up_us(rs, id);
}

bool rs_is_waiting(const struct rs *rs)
{
	if (rs->mode == RS_DOWN || rs->mode == RS_OUTDATED)
		return false;
	/* Having withdrawn, we wait for the time to ask again. */
	if (rs->mode == RS_GATHER)
		return true;
	for (size_t i = 0; i < rs->n_members; i++) {
		if (is_awaited(rs, rs->members[i].id))
			return true;
	}
	return false;
}

void rs_silence(struct rs *rs)
{
	bool only_we_know = rs->mode == RS_GATHER || rs_is_complete(rs);
	bool awaited[RS_MAX_MEMBERS];

	/* Others wait for our disk; who holds up whom, they will know. */
	if (promise_is_under_way(rs) || rs->ask_is_due)
		return;
	for (size_t i = 0; i < rs->n_members; i++) {
		awaited[i] = is_awaited(rs, rs->members[i].id);
		only_we_know = only_we_know || holds_up_us(rs, rs->members[i].id);
	}
	for (size_t i = 0; i < rs->n_members; i++) {
		if (awaited[i])
			note_silent(rs, &rs->members[i]);
	}
	if (only_we_know || coordinator(rs) == rs->local_id)
		rs_ask_sync(rs);
	else
		rs->asked = true;
}

void rs_leave_out(struct rs *rs, uint32_t id)
{
	struct rs_member *member = rs_member_find(rs, id);

	if (!member || member->is_silent || member->is_outdated || id == rs->local_id)
		return;
	note_silent(rs, member);
	if (rs_peer_find(rs, id) || rs->mode == RS_GATHER)
		rs_ask_sync(rs);
}
