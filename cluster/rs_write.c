/* SPDX-License-Identifier: MIT
 *
 * Writes: requested here, sent, applied in the order of delivery, confirmed by all, reported.
 *
 * The list of pending writes is in the order of requests, which is the order of sending, of
 * delivery and of confirmation; so applied ones come first, then doubtful, sent and queued ones.
 */
#include "cluster/rs_core.h"

static bool is_writable(const struct rs *rs)
{
	return rs->votes.quorate && rs->mode != RS_DOWN && rs->mode != RS_NO_QUORUM &&
	       rs->mode != RS_OUTDATED;
}

int rs_write(struct rs *rs, const char *key, uint64_t expected, const char *value,
	size_t value_bytes, rs_done_fn done, void *data, uint64_t now_ns)
{
	size_t key_len = strlen(key);
	struct rs_pending *pending;

	if (!rs_key_is_valid(key, key_len) || (value && value_bytes == 0))
		return -EINVAL;
	if (value_bytes > RS_VALUE_MAX_BYTES)
		return -EMSGSIZE;
	if (!is_writable(rs))
		return -EHOSTDOWN;
	if (rs->n_pending >= RS_MAX_WRITES ||
		rs->pending_bytes + key_len + value_bytes > RS_MAX_WRITES_BYTES)
		return -ENOBUFS;
	pending = malloc(sizeof(*pending) + key_len + value_bytes);
	if (!pending)
		return -ENOMEM;
	*pending = (struct rs_pending){
		.state = RS_PENDING_QUEUED,
		.ticket = ++rs->last_ticket,
		.expected = expected,
		.is_delete = !value,
		.key_len = (uint16_t)key_len,
		.value_bytes = value ? (uint32_t)value_bytes : 0,
		.done = done,
		.data = data,
	};
	memcpy(pending->bytes, key, key_len);
	if (value)
		memcpy(pending->bytes + key_len, value, value_bytes);
	list_append(&rs->pending, &pending->siblings);
	rs->n_pending++;
	rs->pending_bytes += key_len + pending->value_bytes;
	rs->now_ns = now_ns;
	rs_pending_send(rs);
	return 0;
}

static void report(struct rs *rs, struct rs_pending *pending, int error)
{
	list_remove(&pending->siblings);
	rs->n_pending--;
	rs->pending_bytes -= pending->key_len + pending->value_bytes;
	if (pending->done)
		pending->done(error, pending->version, pending->data);
	free(pending);
}

static struct rs_pending *find_state(struct rs *rs, unsigned mask)
{
	struct rs_pending *pending;

	list_for_each(pending, &rs->pending, siblings) {
		if (mask & 1U << pending->state)
			return pending;
	}
	return NULL;
}

static struct rs_pending *find_ticket(struct rs *rs, uint64_t ticket)
{
	struct rs_pending *pending;

	list_for_each(pending, &rs->pending, siblings) {
		if (pending->ticket == ticket && pending->state == RS_PENDING_SENT)
			return pending;
	}
	return NULL;
}

void rs_pending_fail(struct rs *rs, unsigned mask, int error)
{
	struct rs_pending *pending;

	/* From the start each time: callbacks may add to the list. */
	while ((pending = find_state(rs, mask))) {
		pending->version = 0;
		report(rs, pending, pending->was_sent ? -EIO : error);
	}
}

void rs_pending_carry(struct rs *rs)
{
	struct rs_pending *pending;

	list_for_each(pending, &rs->pending, siblings) {
		if (pending->state == RS_PENDING_APPLIED)
			pending->position = 0;
	}
}

void rs_pending_resolve(struct rs *rs)
{
	struct rs_pending *pending;

	list_for_each(pending, &rs->pending, siblings) {
		if (pending->state == RS_PENDING_DOUBTFUL)
			pending->state = RS_PENDING_QUEUED;
	}
}

static struct rs_pending *first_pending(const struct rs *rs)
{
	if (list_empty(&rs->pending))
		return NULL;
	return list_entry(rs->pending.next, struct rs_pending, siblings);
}

bool rs_pending_is_unconfirmed(const struct rs *rs)
{
	const struct rs_pending *first = first_pending(rs);

	return first && first->state == RS_PENDING_APPLIED;
}

uint64_t rs_pending_first_position(const struct rs *rs)
{
	return first_pending(rs)->position;
}

void rs_pending_send(struct rs *rs)
{
	struct rs_pending *pending;

	/* Delivered too late, the rest would not be applied by anybody. */
	if (rs->mode != RS_SYNCED || !rs->votes.quorate ||
		rs->delivered >= rs_version_max_position(rs))
		return;
	list_for_each(pending, &rs->pending, siblings) {
		struct rs_msg msg = {.type = RS_WIRE_WRITE,
			.epoch = rs->epoch,
			.write = {
				.ticket = pending->ticket,
				.expected = pending->expected,
				.is_delete = pending->is_delete,
				.key_len = pending->key_len,
				.value_bytes = pending->value_bytes,
				.key = pending->bytes,
				.value = pending->bytes + pending->key_len,
			}};

		if (pending->state != RS_PENDING_QUEUED)
			continue;
		pending->state = RS_PENDING_SENT;
		pending->was_sent = true;
		rs_send(rs, &msg);
	}
}

bool rs_peer_counts(const struct rs *rs, const struct rs_peer *peer)
{
	return !peer->is_behind || peer->is_ready || rs->delivered >= RS_AHEAD_MAX ||
	       rs->delivered_bytes > RS_AHEAD_MAX_BYTES;
}

/* By all who count; false: one of them does not have the epoch's store yet. */
static bool confirmed_position(const struct rs *rs, uint64_t *ret_position)
{
	*ret_position = UINT64_MAX;
	for (size_t i = 0; i < rs->n_peers; i++) {
		const struct rs_peer *peer = &rs->peers[i];

		if (!rs_peer_counts(rs, peer))
			continue;
		if (!peer->is_ready)
			return false;
		*ret_position = MIN(*ret_position, peer->confirmed);
	}
	return true;
}

void rs_pending_confirm(struct rs *rs)
{
	struct rs_pending *first;
	uint64_t confirmed;

	/* Also what an earlier epoch has left: it is done when this epoch's store is everywhere. */
	if (rs->mode != RS_SYNCED || rs->saved < rs->epoch_mark ||
		!confirmed_position(rs, &confirmed))
		return;
	while (rs_pending_is_unconfirmed(rs)) {
		first = first_pending(rs);
		if (first->position > confirmed)
			break;
		rs->stats.n_ahead += !rs_is_complete(rs);
		rs_arm(rs);
		report(rs, first, first->error);
	}
}

/* Who was behind does not lead those who counted all the time: what they did without it, it may not
 * have, and in its place something else. */
static uint64_t generation_of_store(const struct rs *rs)
{
	if (rs_peer_find(rs, rs->local_id)->is_behind)
		return rs->peers[rs->leader].state.generation;
	return rs->epoch.generation;
}

void rs_epoch_begin(struct rs *rs)
{
	rs->meta.generation = generation_of_store(rs);
	rs->meta.is_worthless = false;
	rs->epoch_mark = ++rs->mark;
}

void rs_become_synced(struct rs *rs)
{
	struct rs_peer *self = rs_peer_find(rs, rs->local_id);

	/* Else what is done without us may be ahead; our first confirmation will come back behind
	 * it. */
	self->is_ready = !self->is_behind;
	rs_enter(rs, RS_SYNCED);
	rs_pending_send(rs);
	rs_confirm(rs); /* it may have been saved while it was reported */
}

static int change_store(
	struct rs *rs, const char *key, const struct rs_write *write, uint64_t version)
{
	if (write->is_delete)
		return store_delete(rs->store, key);
	return store_put(rs->store, key, write->key_len, write->value, write->value_bytes, version);
}

/* The same at every member: it depends on the store, the message and its place in the order. The
 * version that the writer is told goes to *ret_version. */
static int apply_write(
	struct rs *rs, uint32_t sender, const struct rs_write *write, uint64_t *ret_version)
{
	char key[RS_KEY_MAX_LEN + 1];
	const struct store_entry *entry;
	uint64_t version;
	int r;

	memcpy(key, write->key, write->key_len);
	key[write->key_len] = '\0';
	entry = store_find(rs->store, key);
	*ret_version = entry ? entry->version : 0;
	if (write->expected != RS_ANY_VERSION && write->expected != *ret_version)
		return -ESTALE;
	if (write->is_delete && !entry)
		return 0;
	if (!entry && !rs_version_has_room(rs))
		return -ENOSPC;
	version = rs_version_make(rs, (size_t)(rs_peer_find(rs, sender) - rs->peers));
	r = change_store(rs, key, write, version);
	if (r < 0)
		return r;
	*ret_version = write->is_delete ? 0 : version;
	rs->meta.version = version;
	entry = write->is_delete ? NULL : store_find(rs->store, key);
	rs->ops->save_entry(key, entry, rs->data);
	rs->ops->applied(key, entry, version, rs->data);
	return 0;
}

void rs_apply(struct rs *rs, uint32_t sender, const struct rs_write *write)
{
	struct rs_pending *pending;
	uint64_t version;
	int error;

	rs->applied++;
	rs->mark++;
	rs->stats.n_applied++;
	error = apply_write(rs, sender, write, &version);
	if (error == -ENOMEM) {
		rs_withdraw(rs); /* others will have applied it */
		return;
	}
	if (sender != rs->local_id) {
		rs->to_confirm = rs->applied;
		return;
	}
	pending = find_ticket(rs, write->ticket);
	if (!pending)
		return;
	pending->state = RS_PENDING_APPLIED;
	pending->error = error;
	pending->version = version;
	pending->position = rs->applied;
}

/* An own write came back after its epoch ended here. Members that stayed with us have dropped it
 * too; but somebody who was in another ring for a moment may not have known of the end yet, and his
 * store may be the one that goes on. The next decision tells. */
static void take_back(struct rs *rs, uint64_t ticket)
{
	struct rs_pending *pending = find_ticket(rs, ticket);

	if (!pending)
		return;
	pending->state = RS_PENDING_DOUBTFUL;
	rs->stats.n_void++;
	/* No decision lies ahead. */
	if (rs->mode == RS_NO_QUORUM)
		rs_pending_fail(rs, RS_PENDING_UNCERTAIN, -EIO);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void chain_extend(struct rs *rs, uint32_t sender, const struct rs_write *write)
{
	uint64_t last = rs->delivered ? rs->chain[rs->delivered % RS_CHAIN_LENGTH] : 0;

	if (sender != rs->last_writer)
		rs->last_other = rs->delivered;
	rs->last_writer = sender;
	rs->delivered++;
	rs->delivered_bytes += write->key_len + write->value_bytes;
	rs->chain[rs->delivered % RS_CHAIN_LENGTH] = mix(mix(last + sender) + write->ticket);
}

void rs_on_write(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	bool is_current = rs_epoch_equal(&msg->epoch, &rs->epoch) && rs_peer_find(rs, sender) &&
			  (rs->mode == RS_SYNCED || rs->mode == RS_UPDATE) &&
			  msg->version == rs->protocol &&
			  rs->delivered < rs_version_max_position(rs);

	if (!is_current) {
		if (sender == rs->local_id)
			take_back(rs, msg->write.ticket);
		else
			rs->stats.n_ignored++;
		return;
	}
	chain_extend(rs, sender, &msg->write);
	if (rs->mode == RS_UPDATE)
		rs_replay_add(rs, sender, msg);
	else
		rs_apply(rs, sender, &msg->write);
	/* No more versions in this epoch; the next one has new ones. */
	if (rs->delivered == rs_version_max_position(rs))
		rs_ask_sync(rs);
}

/* The first confirmation says that we have the epoch's store. */
static bool others_wait(const struct rs *rs, uint64_t position)
{
	if (rs->n_peers == 1)
		return false;
	return !rs->has_confirmed || (rs->to_confirm > rs->confirmed && position > rs->confirmed);
}

void rs_confirm(struct rs *rs)
{
	struct rs_msg msg = {.type = RS_WIRE_ACK, .epoch = rs->epoch};
	uint64_t position = rs->saved - rs->epoch_mark;

	if (rs->mode != RS_SYNCED || rs->saved < rs->epoch_mark)
		return;
	msg.ack = (struct rs_ack){position, rs->chain[position % RS_CHAIN_LENGTH]};
	if (others_wait(rs, position)) {
		rs->has_confirmed = true;
		rs->confirmed = position;
		rs_send(rs, &msg);
	}
	rs_peer_find(rs, rs->local_id)->confirmed = position;
	rs_pending_confirm(rs);
}

static bool is_of_our_order(const struct rs *rs, const struct rs_ack *ack)
{
	if (ack->position == 0)
		return true;
	return ack->position <= rs->delivered && rs->delivered - ack->position < RS_CHAIN_LENGTH &&
	       ack->chain == rs->chain[ack->position % RS_CHAIN_LENGTH];
}

/* From here on it counts. What was done before without it, it may not have got to yet: its own
 * writes apart, which nobody waits for it to confirm. We ourselves have, with what comes before
 * this message in the order. */
static void become_ready(struct rs *rs, struct rs_peer *peer)
{
	peer->is_ready = true;
	if (peer->is_behind && peer->id != rs->local_id)
		peer->caught_up_at = rs->last_writer == peer->id ? rs->last_other : rs->delivered;
}

void rs_on_ack(struct rs *rs, uint32_t sender, const struct rs_msg *msg)
{
	struct rs_peer *peer = rs_peer_find(rs, sender);
	bool was_synced = rs_peer_is_synced(peer);

	/* Of another order than ours: our ways have parted, and the membership change is to come.
	 */
	if (!is_of_our_order(rs, &msg->ack) ||
		(sender != rs->local_id && msg->ack.position < peer->confirmed)) {
		rs->stats.n_ignored++;
		return;
	}
	if (!was_synced)
		rs_arm(rs);
	if (!peer->is_ready)
		become_ready(rs, peer);
	if (sender != rs->local_id)
		peer->confirmed = msg->ack.position;
	if (!was_synced && rs_peer_is_synced(peer))
		rs->ops->changed(rs->data);
	rs_pending_confirm(rs);
}
