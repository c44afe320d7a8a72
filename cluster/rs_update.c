/* SPDX-License-Identifier: MIT
 *
 * Handing the leader's store over to those who have another one.
 *
 * The leader takes its snapshot when the sync is decided, before any write of the epoch, and sends
 * a few chunks ahead of what has come back to it: so the snapshot does not fill the queues on the
 * way, and writes find their place between chunks.
 */
#include "cluster/rs_core.h"

#define WINDOW_BYTES (8 * RS_CHUNK_MAX_BYTES)
/* What all members together may have under way; more is a member that breaks the rules. */
#define REPLAY_MAX_BYTES (RS_MAX_MEMBERS * (RS_MAX_WRITES_BYTES + RS_MAX_WRITES * 64U))

void rs_handover_reset(struct rs *rs)
{
	struct rs_replay *replay;

	while ((replay = list_pop(&rs->replay, struct rs_replay, siblings)))
		free(replay);
	rs->replay_bytes = 0;
	buf_fini(&rs->snapshot);
	buf_fini(&rs->incoming);
	rs->snapshot_sent_bytes = 0;
	rs->handover_done = false;
}

static void send_chunk(struct rs *rs)
{
	size_t left_bytes = rs->snapshot.size_bytes - rs->snapshot_sent_bytes;
	struct rs_msg msg = {.type = RS_WIRE_UPDATE,
		.epoch = rs->epoch,
		.update = {
			.offset_bytes = (uint32_t)rs->snapshot_sent_bytes,
			.size_bytes = (uint32_t)MIN(left_bytes, (size_t)RS_CHUNK_MAX_BYTES),
			.total_bytes = (uint32_t)rs->snapshot.size_bytes,
			.bytes = rs->snapshot.data + rs->snapshot_sent_bytes,
		}};

	rs->snapshot_sent_bytes += msg.update.size_bytes;
	rs_send(rs, &msg);
}

static void send_complete(struct rs *rs)
{
	const struct rs_peer *leader = &rs->peers[rs->leader];
	struct rs_msg msg = {.type = RS_WIRE_UPDATE_COMPLETE,
		.epoch = rs->epoch,
		.update_complete = {
			.total_bytes = (uint32_t)rs->snapshot.size_bytes,
			.n_keys = (uint32_t)store_n_keys(rs->store),
		}};

	memcpy(msg.update_complete.digest, leader->state.digest, RS_DIGEST_BYTES);
	rs_send(rs, &msg);
}

/* Everything up to `limit_bytes`; the last byte brings the end with it. */
static void send_until(struct rs *rs, size_t limit_bytes)
{
	while (rs->snapshot_sent_bytes < MIN(limit_bytes, rs->snapshot.size_bytes)) {
		send_chunk(rs);
		if (rs->snapshot_sent_bytes == rs->snapshot.size_bytes)
			send_complete(rs);
	}
}

void rs_handover_start(struct rs *rs)
{
	store_snapshot(rs->store, &rs->snapshot);
	if (rs->snapshot.failed)
		rs_withdraw(rs);
	else if (rs->snapshot.size_bytes == 0)
		send_complete(rs);
	else
		send_until(rs, WINDOW_BYTES);
}

static bool is_leader(const struct rs *rs, uint32_t id)
{
	return rs->peers[rs->leader].id == id;
}

void rs_on_update(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	const struct rs_update *update = &msg->update;

	if (!is_leader(rs, sender) || rs->handover_done) {
		rs->stats.n_malformed++;
		return;
	}
	rs_arm(rs);
	if (sender == rs->local_id)
		send_until(rs, update->offset_bytes + update->size_bytes + WINDOW_BYTES);
	if (rs->mode != RS_UPDATE)
		return;
	if (update->offset_bytes != rs->incoming.size_bytes) {
		rs->stats.n_malformed++;
		rs_withdraw(rs);
		return;
	}
	buf_bytes(&rs->incoming, update->bytes, update->size_bytes);
	if (rs->incoming.failed)
		rs_withdraw(rs);
}

static bool entries_equal(const struct store_entry *a, const struct store_entry *b)
{
	return a->version == b->version && a->value_bytes == b->value_bytes &&
	       memcmp(a->value, b->value, a->value_bytes) == 0;
}

static void report_differences(struct rs *rs, const struct store *old)
{
	const struct store_entry *was, *is;
	size_t i = 0, j = 0;
	int order;

	while ((was = store_at(old, i)) || store_at(rs->store, j)) {
		is = store_at(rs->store, j);
		order = !was ? 1 : !is ? -1 : strcmp(was->key, is->key);
		if (order < 0)
			rs->ops->applied(was->key, NULL, rs->meta.version, rs->data);
		else if (order > 0 || !entries_equal(was, is))
			rs->ops->applied(is->key, is, is->version, rs->data);
		i += order <= 0;
		j += order >= 0;
	}
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

/* The bytes that came: are they what the leader said it has? */
static int incoming_check(
	struct rs *rs, const struct rs_update_complete *complete, struct store **ret_store)
{
	const struct rs_state *leader = &rs->peers[rs->leader].state;
	uint8_t digest[RS_DIGEST_BYTES];
	struct store *store;
	int r;

	if (complete->total_bytes != rs->incoming.size_bytes)
		return -EBADMSG;
	r = store_from_snapshot(rs->incoming.data, rs->incoming.size_bytes, &store);
	if (r < 0)
		return r;
	r = store_digest(store, digest);
	if (r == 0 && (complete->n_keys != store_n_keys(store) ||
			      memcmp(digest, complete->digest, sizeof(digest)) != 0 ||
			      memcmp(digest, leader->digest, sizeof(digest)) != 0))
		r = -EBADMSG;
	if (r < 0)
		store_free(store);
	else
		*ret_store = store;
	return r;
}

static void take_over(struct rs *rs, const struct rs_update_complete *complete)
{
	struct rs_meta meta = {
		.generation = rs->epoch.generation,
		.promised = rs->meta.promised,
		.version = rs->peers[rs->leader].state.version,
	};
	struct store *store, *old = rs->store;
	int r;

	r = incoming_check(rs, complete, &store);
	if (r == -EBADMSG)
		rs->stats.n_malformed++;
	if (r == 0) {
		r = rs->ops->save_store(store, &meta, rs->data);
		if (r < 0)
			store_free(store);
	}
	if (r < 0) {
		rs_withdraw(rs);
		return;
	}
	buf_fini(&rs->incoming);
	rs->store = store;
	rs->meta = meta;
	rs->stats.n_updates++;
	report_differences(rs, old);
	store_free(old);
	replay(rs);
	if (rs->mode == RS_UPDATE)
		rs_become_synced(rs);
}

void rs_on_update_complete(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	if (!is_leader(rs, sender) || rs->handover_done) {
		rs->stats.n_malformed++;
		return;
	}
	rs_arm(rs);
	rs->handover_done = true;
	buf_fini(&rs->snapshot);
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
