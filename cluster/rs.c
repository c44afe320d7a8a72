/* SPDX-License-Identifier: MIT */
#include "cluster/rs.h"
#include "cluster/rs_core.h"

#define MODE(mode) (1U << (mode))

/* Every message: who handles it and when. Modes not listed drop it: a straggler of an epoch that
 * has ended, or of no concern to a member that waits. Sizes are rs_wire_parse()'s to check. */
static const struct {
	void (*handler)(struct rs *rs, uint32_t sender, const struct rs_msg *msg);
	unsigned modes;
	bool of_epoch; /* of the current one and from one of its participants */
} handlers[] = {
	[RS_WIRE_SYNC_REQUEST] = {rs_on_sync_request,
		MODE(RS_GATHER) | MODE(RS_EXCHANGE) | MODE(RS_UPDATE) | MODE(RS_SYNCED) |
			MODE(RS_NO_QUORUM),
		false},
	[RS_WIRE_SYNC_START] = {rs_on_sync_start,
		MODE(RS_GATHER) | MODE(RS_EXCHANGE) | MODE(RS_UPDATE) | MODE(RS_SYNCED) |
			MODE(RS_NO_QUORUM),
		false},
	[RS_WIRE_HELLO] = {rs_on_hello, MODE(RS_EXCHANGE), true},
	[RS_WIRE_STATE] = {rs_on_state, MODE(RS_EXCHANGE), true},
	[RS_WIRE_UPDATE] = {rs_on_update, MODE(RS_UPDATE) | MODE(RS_SYNCED), true},
	[RS_WIRE_UPDATE_COMPLETE] = {rs_on_update_complete, MODE(RS_UPDATE) | MODE(RS_SYNCED),
		true},
	/* Also in other modes: an own write that comes back too late is sent again. */
	[RS_WIRE_WRITE] = {rs_on_write,
		MODE(RS_GATHER) | MODE(RS_EXCHANGE) | MODE(RS_UPDATE) | MODE(RS_SYNCED) |
			MODE(RS_NO_QUORUM),
		false},
	[RS_WIRE_ACK] = {rs_on_ack, MODE(RS_UPDATE) | MODE(RS_SYNCED), true},
	[RS_WIRE_CHECK] = {rs_on_check, MODE(RS_SYNCED), true},
};

int rs_new(const struct rs_config *config, const struct rs_ops *ops, void *data,
	struct store *store, const struct rs_meta *meta, struct rs **ret_rs)
{
	struct rs *rs;

	if (meta->generation > meta->promised || meta->promised > RS_MAX_GENERATION ||
		config->max_position > RS_MAX_POSITION)
		return -EINVAL;
	rs = calloc(1, sizeof(*rs));
	if (!rs)
		return -ENOMEM;
	rs->chain = calloc(RS_CHAIN_LENGTH, sizeof(rs->chain[0]));
	if (!rs->chain || !buf_extend(&rs->out, RS_WIRE_MAX_BYTES)) {
		free(rs->chain);
		free(rs);
		return -ENOMEM;
	}
	rs->ops = ops;
	rs->data = data;
	rs->silence_ns = config->silence_ns ? config->silence_ns : RS_SILENCE_NS;
	rs->max_position = config->max_position;
	rs->nonce = config->nonce;
	rs->work_bytes = config->work_bytes ? config->work_bytes : RS_WORK_BYTES;
	rs->work_keys = config->work_keys ? config->work_keys : RS_WORK_KEYS;
	rs->oldest = config->oldest ? config->oldest : RS_WIRE_OLDEST;
	rs->newest = config->newest ? config->newest : RS_WIRE_NEWEST;
	rs->store = store;
	rs->meta = *meta;
	list_init(&rs->replay);
	list_init(&rs->pending);
	*ret_rs = rs;
	return 0;
}

void rs_free(struct rs *rs)
{
	struct rs_pending *pending;

	if (!rs)
		return;
	while ((pending = list_pop(&rs->pending, struct rs_pending, siblings)))
		free(pending);
	rs_handover_reset(rs);
	rs_check_reset(rs);
	store_free(rs->replaced);
	buf_fini(&rs->out);
	free(rs->chain);
	store_free(rs->store);
	free(rs);
}

struct rs_member *rs_member_find(const struct rs *rs, uint32_t id)
{
	for (size_t i = 0; i < rs->n_members; i++) {
		if (rs->members[i].id == id)
			return (struct rs_member *)&rs->members[i];
	}
	return NULL;
}

struct rs_peer *rs_peer_find(const struct rs *rs, uint32_t id)
{
	for (size_t i = 0; i < rs->n_peers; i++) {
		if (rs->peers[i].id == id)
			return (struct rs_peer *)&rs->peers[i];
	}
	return NULL;
}

void rs_arm(struct rs *rs)
{
	rs->deadline_ns = rs->now_ns + rs->silence_ns;
}

/* After each input: no deadline when nobody has to answer, a new one when somebody begins to. */
static void deadline_update(struct rs *rs)
{
	if (!rs_is_waiting(rs))
		rs->deadline_ns = 0;
	else if (rs->deadline_ns == 0)
		rs_arm(rs);
}

void rs_enter(struct rs *rs, enum rs_mode mode)
{
	rs->mode = mode;
	rs_arm(rs);
	rs->ops->changed(rs->data);
}

void rs_send(struct rs *rs, const struct rs_msg *msg)
{
	struct rs_msg copy = *msg;

	if (rs_wire_is_settled(msg->type))
		copy.version = rs->protocol;
	buf_reset(&rs->out);
	rs_wire_put(&rs->out, &copy);
	rs->ops->multicast(rs->out.data, rs->out.size_bytes, rs->data);
}

void rs_epoch_leave(struct rs *rs)
{
	rs_report_rest(rs);
	rs_check_reset(rs);
	rs->is_hashing = rs->state_is_due = rs->ask_is_due = false;
	rs_handover_reset(rs);
	rs_pending_carry(rs);
	rs->n_peers = 0;
	rs->protocol = 0;
	rs->delivered = rs->delivered_bytes = rs->applied = 0;
	rs->last_writer = 0;
	rs->last_other = 0;
	rs->has_confirmed = false;
	rs->to_confirm = 0;
	rs->asked = false;
}

void rs_withdraw(struct rs *rs)
{
	rs_epoch_leave(rs);
	rs_enter(rs, RS_GATHER);
	/* The others will apply it if it gets there before they learn of our absence. */
	rs_pending_fail(rs, 1U << RS_PENDING_SENT, -EIO);
}

void rs_connect(struct rs *rs, uint32_t local_id)
{
	rs_disconnect(rs);
	rs->local_id = local_id;
}

void rs_disconnect(struct rs *rs)
{
	rs_epoch_leave(rs);
	rs->epoch = (struct rs_epoch){};
	rs->n_members = 0;
	rs->start_pending = false;
	rs->deadline_ns = 0;
	if (rs->mode != RS_DOWN) {
		rs->mode = RS_DOWN;
		rs->ops->changed(rs->data);
	}
	rs_pending_fail(rs, 1U << RS_PENDING_SENT | RS_PENDING_UNCERTAIN, -EIO);
	rs_pending_fail(rs, RS_PENDING_UNSENT, -EHOSTDOWN);
}

static void members_set(struct rs *rs, const uint32_t *members, size_t n_members)
{
	struct rs_member next[RS_MAX_MEMBERS];
	const struct rs_member *old;

	for (size_t i = 0; i < n_members; i++) {
		old = rs_member_find(rs, members[i]);
		next[i] = (struct rs_member){.id = members[i]};
		if (old)
			next[i] = *old;
	}
	memcpy(rs->members, next, n_members * sizeof(next[0]));
	rs->n_members = n_members;
}

void rs_confchg(struct rs *rs, const uint32_t *members, size_t n_members, uint64_t now_ns)
{
	rs->now_ns = now_ns;
	rs_epoch_leave(rs);
	rs->epoch = (struct rs_epoch){};
	rs->start_pending = false;
	/* More than the protocol has room for: wait until there are fewer. */
	members_set(rs, members, n_members > RS_MAX_MEMBERS ? 0 : n_members);
	/* That we are too new for the others may have changed with them. */
	if (rs->mode == RS_OUTDATED && rs->needed > rs->newest)
		return;
	if (!rs_member_find(rs, rs->local_id)) {
		rs_disconnect(rs);
		return;
	}
	if (rs_version_is_past(rs)) {
		rs_refuse(rs, rs_floor(rs));
		return;
	}
	rs_enter(rs, RS_GATHER);
	rs_ask_sync(rs);
	deadline_update(rs);
}

void rs_refuse(struct rs *rs, uint16_t needed)
{
	rs->needed = needed;
	rs_epoch_leave(rs);
	rs_enter(rs, RS_OUTDATED);
	rs_pending_fail(rs, 1U << RS_PENDING_SENT | RS_PENDING_UNCERTAIN, -EIO);
	rs_pending_fail(rs, RS_PENDING_UNSENT, -EHOSTDOWN);
}

static void dispatch(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	bool fits = handlers[msg->type].modes & MODE(rs->mode) &&
		    (!rs_wire_is_settled(msg->type) || !handlers[msg->type].of_epoch ||
			    msg->version == rs->protocol);

	if (fits && handlers[msg->type].of_epoch)
		fits = rs_epoch_equal(&msg->epoch, &rs->epoch) && rs_peer_find(rs, sender);
	if (fits)
		handlers[msg->type].handler(rs, sender, msg);
	else
		rs->stats.n_ignored++;
}

void rs_deliver(
	struct rs *rs, uint32_t sender, const void *bytes, size_t size_bytes, uint64_t now_ns)
{
	struct rs_member *member = rs_member_find(rs, sender);
	uint16_t version = 0;
	struct rs_msg msg;
	int r;

	if (rs->mode == RS_DOWN || !member)
		return;
	rs->now_ns = now_ns;
	r = rs_wire_parse(bytes, size_bytes, rs->newest, &msg, &version);
	if (r == 0) {
		member->is_silent = false;
		dispatch(rs, sender, &msg);
	} else if (r == -EPROTONOSUPPORT) {
		if (rs->mode != RS_OUTDATED)
			rs_refuse(rs, version);
	} else {
		rs->stats.n_malformed++;
	}
	deadline_update(rs);
}

void rs_set_votes(struct rs *rs, const struct rs_votes *votes, uint64_t now_ns)
{
	const struct rs_votes *sent = &rs->votes_sent;
	bool is_news = votes->quorate != sent->quorate || votes->votes != sent->votes ||
		       votes->quorum_votes != sent->quorum_votes ||
		       votes->device_votes != sent->device_votes ||
		       votes->nodes_needed != sent->nodes_needed;

	rs->now_ns = now_ns;
	rs->votes = *votes;
	if (!votes->quorate)
		rs_pending_fail(rs, RS_PENDING_UNSENT, -EHOSTDOWN);
	/* Who has not sent its STATE yet will send the new votes. */
	if (is_news && !rs->state_is_due &&
		(rs->mode == RS_EXCHANGE || rs->mode == RS_UPDATE || rs->mode == RS_SYNCED ||
			rs->mode == RS_NO_QUORUM))
		rs_ask_sync(rs);
	deadline_update(rs);
}

uint64_t rs_mark(const struct rs *rs)
{
	return rs->mark;
}

void rs_saved(struct rs *rs, uint64_t mark, uint64_t now_ns)
{
	rs->now_ns = now_ns;
	rs->saved = MAX(rs->saved, mark);
	if (rs->state_is_due && !rs->is_hashing)
		rs_state_send(rs);
	if (rs->ask_is_due && rs->saved == rs->mark) {
		rs->ask_is_due = false;
		rs_ask_sync(rs);
	}
	rs_confirm(rs);
	rs_check_answer(rs);
	deadline_update(rs);
}

void rs_suspect(struct rs *rs, uint32_t id, uint64_t now_ns)
{
	rs->now_ns = now_ns;
	if (rs->mode != RS_DOWN && rs->mode != RS_OUTDATED)
		rs_leave_out(rs, id);
	deadline_update(rs);
}

void rs_tick(struct rs *rs, uint64_t now_ns)
{
	bool is_due = rs->deadline_ns && now_ns >= rs->deadline_ns;
	/* Then it was this process that did not answer. */
	bool has_slept = is_due && now_ns - rs->deadline_ns > rs->silence_ns / 2;

	rs->now_ns = now_ns;
	if (is_due)
		rs_arm(rs);
	if (is_due && !has_slept)
		rs_silence(rs);
	deadline_update(rs);
}

bool rs_has_work(const struct rs *rs)
{
	return rs->is_hashing || rs->replaced || rs->check_view;
}

void rs_work(struct rs *rs, uint64_t now_ns)
{
	rs->now_ns = now_ns;
	if (rs->is_hashing)
		rs_state_send(rs);
	else if (rs->replaced)
		rs_report_some(rs);
	else if (rs->check_view)
		rs_check_some(rs);
	deadline_update(rs);
}

uint64_t rs_deadline(const struct rs *rs)
{
	return rs->deadline_ns;
}

enum rs_mode rs_mode(const struct rs *rs)
{
	return rs->mode;
}

uint16_t rs_needed(const struct rs *rs)
{
	return rs->mode == RS_OUTDATED ? rs->needed : 0;
}

uint16_t rs_protocol(const struct rs *rs)
{
	return rs->protocol;
}

uint16_t rs_member_newest(const struct rs *rs, uint32_t id)
{
	const struct rs_member *member = rs_member_find(rs, id);

	return member ? member->newest : 0;
}

const struct store *rs_store(const struct rs *rs)
{
	return rs->store;
}

int rs_view(struct rs *rs, struct store_view **ret_view)
{
	return store_view_new(rs->store, ret_view);
}

const struct rs_meta *rs_meta(const struct rs *rs)
{
	return &rs->meta;
}

int rs_digest(struct rs *rs, uint8_t ret_digest[RS_DIGEST_BYTES])
{
	return store_digest(rs->store, ret_digest);
}

bool rs_known_digest(struct rs *rs, uint8_t ret_digest[RS_DIGEST_BYTES])
{
	if (!store_digest_is_known(rs->store) && store_snapshot_bytes(rs->store) > RS_WORK_BYTES)
		return false;
	return !rs->is_hashing && rs_digest(rs, ret_digest) == 0;
}

bool rs_has_member(const struct rs *rs, uint32_t id)
{
	return rs_member_find(rs, id);
}

bool rs_peer_is_synced(const struct rs_peer *peer)
{
	return peer->is_ready && peer->confirmed >= peer->caught_up_at;
}

bool rs_member_is_synced(const struct rs *rs, uint32_t id)
{
	const struct rs_peer *peer = rs_peer_find(rs, id);

	return rs->mode == RS_SYNCED && peer && rs_peer_is_synced(peer);
}

bool rs_is_synced(const struct rs *rs)
{
	return rs_member_is_synced(rs, rs->local_id);
}

bool rs_is_complete(const struct rs *rs)
{
	if (rs->mode != RS_SYNCED)
		return false;
	for (size_t i = 0; i < rs->n_peers; i++) {
		if (!rs_peer_is_synced(&rs->peers[i]))
			return false;
	}
	return true;
}

uint64_t rs_position(const struct rs *rs)
{
	return rs->applied;
}

uint64_t rs_epoch_generation(const struct rs *rs)
{
	return rs->epoch.generation;
}

const struct rs_stats *rs_stats(const struct rs *rs)
{
	return &rs->stats;
}
