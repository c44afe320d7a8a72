/* SPDX-License-Identifier: MIT
 *
 * Handing the leader's store over to those who have another one.
 *
 * The leader takes its snapshot when the sync is decided, before any write of the epoch, and sends
 * a few chunks ahead of what has come back to it: so the snapshot does not fill the queues on the
 * way, and writes find their place between chunks.
 */
#include "cluster/rs_core.h"

/* Small enough that what arrives in one turn is soon dealt with. */
#define CHUNK_BYTES  (RS_CHUNK_MAX_BYTES / 2)
#define WINDOW_BYTES (8 * CHUNK_BYTES)
/* What all members together may have under way beside what they may do without those who are
 * behind; more is a member that breaks the rules. */
#define HEADER_MAX_BYTES 64U
#define REPLAY_MAX_BYTES                                                                           \
	(RS_AHEAD_MAX_BYTES + RS_AHEAD_MAX * HEADER_MAX_BYTES +                                    \
		RS_MAX_MEMBERS * (RS_MAX_WRITES_BYTES + RS_MAX_WRITES * HEADER_MAX_BYTES))

static void snapshot_drop(struct rs *rs)
{
	store_view_free(rs->snapshot);
	rs->snapshot = NULL;
	buf_fini(&rs->snapshot_ahead);
	rs->snapshot_at = rs->snapshot_bytes = rs->snapshot_sent_bytes = 0;
}

static void incoming_drop(struct rs *rs)
{
	store_free(rs->incoming);
	rs->incoming = NULL;
	buf_fini(&rs->incoming_rest);
	rs->incoming_bytes = 0;
}

void rs_handover_reset(struct rs *rs)
{
	struct rs_replay *replay;

	while ((replay = list_pop(&rs->replay, struct rs_replay, siblings)))
		free(replay);
	rs->replay_bytes = 0;
	snapshot_drop(rs);
	incoming_drop(rs);
	rs->handover_done = false;
}

/* The next chunk's bytes are made when it is time to send them. */
static bool make_ahead(struct rs *rs, size_t size_bytes)
{
	const struct store_entry *entry;

	while (rs->snapshot_ahead.size_bytes < size_bytes &&
		(entry = store_view_at(rs->snapshot, rs->snapshot_at))) {
		store_entry_put(entry, &rs->snapshot_ahead);
		rs->snapshot_at++;
	}
	return !rs->snapshot_ahead.failed;
}

static bool send_chunk(struct rs *rs)
{
	size_t left_bytes = rs->snapshot_bytes - rs->snapshot_sent_bytes;
	struct rs_msg msg = {.type = RS_WIRE_UPDATE,
		.epoch = rs->epoch,
		.update = {
			.offset_bytes = (uint32_t)rs->snapshot_sent_bytes,
			.size_bytes = (uint32_t)MIN(left_bytes, (size_t)CHUNK_BYTES),
			.total_bytes = (uint32_t)rs->snapshot_bytes,
		}};

	if (!make_ahead(rs, msg.update.size_bytes))
		return false;
	msg.update.bytes = rs->snapshot_ahead.data;
	rs->snapshot_sent_bytes += msg.update.size_bytes;
	rs_send(rs, &msg);
	buf_drop(&rs->snapshot_ahead, msg.update.size_bytes);
	return true;
}

static void send_complete(struct rs *rs)
{
	const struct rs_peer *leader = &rs->peers[rs->leader];
	struct rs_msg msg = {.type = RS_WIRE_UPDATE_COMPLETE,
		.epoch = rs->epoch,
		.update_complete = {
			.total_bytes = (uint32_t)rs->snapshot_bytes,
			.n_keys = (uint32_t)store_view_n_keys(rs->snapshot),
		}};

	memcpy(msg.update_complete.digest, leader->state.digest, RS_DIGEST_BYTES);
	rs_send(rs, &msg);
}

/* Everything up to `limit_bytes`; the last byte brings the end with it. */
static void send_until(struct rs *rs, size_t limit_bytes)
{
	while (rs->snapshot_sent_bytes < MIN(limit_bytes, rs->snapshot_bytes)) {
		if (!send_chunk(rs)) {
			rs_withdraw(rs);
			return;
		}
		if (rs->snapshot_sent_bytes == rs->snapshot_bytes)
			send_complete(rs);
	}
}

void rs_handover_start(struct rs *rs)
{
	if (store_view_new(rs->store, &rs->snapshot) < 0) {
		rs_withdraw(rs);
		return;
	}
	rs->snapshot_bytes = store_snapshot_bytes(rs->store);
	if (rs->snapshot_bytes == 0)
		send_complete(rs);
	else
		send_until(rs, WINDOW_BYTES);
}

static bool is_leader(const struct rs *rs, uint32_t id)
{
	return rs->peers[rs->leader].id == id;
}

static int incoming_begin(struct rs *rs)
{
	if (rs->incoming)
		return 0;
	if (rs->ops->stage)
		rs->ops->stage(NULL, 0, rs->data);
	return store_new(&rs->incoming);
}

/* Entries are parsed, hashed and staged as they come, so that little is left for the end. */
static int incoming_add(struct rs *rs, const struct rs_update *update)
{
	size_t taken_bytes;
	struct reader in;
	int r = incoming_begin(rs);

	if (r < 0)
		return r;
	buf_bytes(&rs->incoming_rest, update->bytes, update->size_bytes);
	if (rs->incoming_rest.failed)
		return -ENOMEM;
	rs->incoming_bytes += update->size_bytes;
	in = reader_make(rs->incoming_rest.data, rs->incoming_rest.size_bytes);
	r = store_parse_some(rs->incoming, &in);
	if (r < 0)
		return r;
	taken_bytes = rs->incoming_rest.size_bytes - in.left_bytes;
	if (rs->ops->stage && taken_bytes > 0)
		rs->ops->stage(rs->incoming_rest.data, taken_bytes, rs->data);
	buf_drop(&rs->incoming_rest, taken_bytes);
	store_digest_ahead(rs->incoming, SIZE_MAX);
	return 0;
}

void rs_on_update(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	const struct rs_update *update = &msg->update;
	int r;

	if (!is_leader(rs, sender) || rs->handover_done) {
		rs->stats.n_malformed++;
		return;
	}
	rs_arm(rs);
	if (sender == rs->local_id)
		send_until(rs, update->offset_bytes + update->size_bytes + WINDOW_BYTES);
	if (rs->mode != RS_UPDATE)
		return;
	r = update->offset_bytes == rs->incoming_bytes ? incoming_add(rs, update) : -EBADMSG;
	if (r == -EBADMSG)
		rs->stats.n_malformed++;
	if (r < 0)
		rs_withdraw(rs);
}

static bool entries_equal(const struct store_entry *a, const struct store_entry *b)
{
	return a->version == b->version && a->value_bytes == b->value_bytes &&
	       memcmp(a->value, b->value, a->value_bytes) == 0;
}

/* In order of keys, what the new store has otherwise than the one before. */
static void report_next(struct rs *rs)
{
	const struct store_entry *was = store_at(rs->replaced, rs->replaced_at);
	const struct store_entry *is = store_at(rs->store, rs->reported_at);
	int order = !was ? 1 : !is ? -1 : strcmp(was->key, is->key);

	rs->replaced_at += order <= 0;
	rs->reported_at += order >= 0;
	if (order < 0)
		rs->ops->applied(was->key, NULL, rs->meta.version, rs->data);
	else if (order > 0 || !entries_equal(was, is))
		rs->ops->applied(is->key, is, is->version, rs->data);
}

static bool is_reported(const struct rs *rs)
{
	return !store_at(rs->replaced, rs->replaced_at) && !store_at(rs->store, rs->reported_at);
}

static void replay(struct rs *rs)
{
	struct rs_replay *entry;
	struct rs_msg msg;
	uint16_t version;

	while (rs->mode == RS_UPDATE &&
		(entry = list_pop(&rs->replay, struct rs_replay, siblings))) {
		if (rs_wire_parse(entry->bytes, entry->size_bytes, rs->newest, &msg, &version) == 0)
			rs_apply(rs, entry->sender, &msg.write);
		free(entry);
	}
}

/* What came: is it what the leader said it has? */
static int incoming_check(struct rs *rs, const struct rs_update_complete *complete)
{
	const struct rs_state *leader = &rs->peers[rs->leader].state;
	uint8_t digest[RS_DIGEST_BYTES];
	int r = incoming_begin(rs);

	if (r < 0)
		return r;
	if (complete->total_bytes != rs->incoming_bytes || rs->incoming_rest.size_bytes > 0 ||
		complete->n_keys != store_n_keys(rs->incoming))
		return -EBADMSG;
	r = store_digest(rs->incoming, digest);
	if (r == 0 && (memcmp(digest, complete->digest, sizeof(digest)) != 0 ||
			      memcmp(digest, leader->digest, sizeof(digest)) != 0))
		r = -EBADMSG;
	return r;
}

static void report_end(struct rs *rs)
{
	rs->is_reporting = false;
	replay(rs);
	if (rs->mode == RS_UPDATE)
		rs_become_synced(rs);
}

void rs_report_some(struct rs *rs)
{
	unsigned n = 0;

	while (rs->is_reporting && !is_reported(rs) && n++ < rs->work_keys)
		report_next(rs);
	if (rs->is_reporting && is_reported(rs)) {
		report_end(rs);
		return;
	}
	if (rs->is_reporting || store_drop_some(rs->replaced, rs->work_keys))
		return;
	store_free(rs->replaced);
	rs->replaced = NULL;
}

/* Something else begins, and whoever looks on has to know by then. */
void rs_report_rest(struct rs *rs)
{
	while (rs->is_reporting && !is_reported(rs))
		report_next(rs);
	rs->is_reporting = false;
}

static void take_over(struct rs *rs, const struct rs_update_complete *complete)
{
	int r = incoming_check(rs, complete);

	if (r == -EBADMSG)
		rs->stats.n_malformed++;
	if (r < 0) {
		rs_withdraw(rs);
		return;
	}
	store_free(rs->replaced);
	rs->replaced = rs->store;
	rs->store = take_ptr(rs->incoming);
	incoming_drop(rs);
	rs->meta.version = rs->peers[rs->leader].state.version;
	rs_epoch_begin(rs);
	rs->ops->save_store(rs->store, &rs->meta, rs->data);
	rs->stats.n_updates++;
	rs->replaced_at = rs->reported_at = 0;
	rs->is_reporting = true;
	rs_report_some(rs);
}

void rs_on_update_complete(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	if (!is_leader(rs, sender) || rs->handover_done) {
		rs->stats.n_malformed++;
		return;
	}
	rs_arm(rs);
	rs->handover_done = true;
	snapshot_drop(rs);
	if (rs->mode == RS_UPDATE)
		take_over(rs, &msg->update_complete);
}

void rs_replay_add(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	struct rs_replay *entry = NULL;

	buf_reset(&rs->out);
	rs_wire_put(&rs->out, msg);
	if (rs->replay_bytes + rs->out.size_bytes <= REPLAY_MAX_BYTES)
		entry = malloc(sizeof(*entry) + rs->out.size_bytes);
	if (!entry) {
		rs_withdraw(rs);
		return;
	}
	entry->sender = sender;
	entry->size_bytes = rs->out.size_bytes;
	memcpy(entry->bytes, rs->out.data, rs->out.size_bytes);
	list_append(&rs->replay, &entry->siblings);
	rs->replay_bytes += rs->out.size_bytes;
}
