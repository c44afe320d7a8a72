/* SPDX-License-Identifier: MIT */
#include "cluster/rs_wire.h"

bool rs_key_is_valid(const char *key, size_t len)
{
	if (len == 0 || len > RS_KEY_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (key[i] < ' ' || key[i] > '~')
			return false;
	}
	return true;
}

static bool parse_sync(struct reader *in, struct rs_msg *msg)
{
	struct rs_sync *sync = &msg->sync;
	uint32_t reserved;

	sync->n_participants = reader_le32(in);
	reserved = reader_le32(in);
	if (!reader_ok(in) || reserved || sync->n_participants == 0 ||
		sync->n_participants > RS_MAX_MEMBERS)
		return false;
	for (uint32_t i = 0; i < sync->n_participants; i++) {
		sync->participants[i] = reader_le32(in);
		if (i > 0 && sync->participants[i] <= sync->participants[i - 1])
			return false;
	}
	return reader_done(in);
}

static bool parse_hello(struct reader *in, struct rs_msg *msg)
{
	struct rs_hello *hello = &msg->hello;
	uint16_t reserved;

	hello->oldest = reader_le16(in);
	hello->newest = reader_le16(in);
	hello->floor = reader_le16(in);
	reserved = reader_le16(in);
	hello->nodes_needed = reader_le32(in);
	reserved |= reader_le32(in) != 0;
	return reader_done(in) && !reserved && hello->oldest > 0 && hello->oldest <= hello->newest;
}

static bool parse_state(struct reader *in, struct rs_msg *msg)
{
	struct rs_state *state = &msg->state;
	uint32_t flags;

	state->promised = reader_le64(in);
	state->generation = reader_le64(in);
	state->version = reader_le64(in);
	flags = reader_le32(in);
	state->accepted = flags & RS_STATE_ACCEPTED;
	state->quorate = flags & RS_STATE_QUORATE;
	state->is_worthless = flags & RS_STATE_WORTHLESS;
	state->votes = reader_le32(in);
	state->quorum_votes = reader_le32(in);
	state->device_votes = reader_le32(in);
	reader_bytes(in, state->digest, sizeof(state->digest));
	return reader_done(in) &&
	       !(flags & ~(uint32_t)(RS_STATE_ACCEPTED | RS_STATE_QUORATE | RS_STATE_WORTHLESS)) &&
	       state->promised <= RS_MAX_GENERATION && state->generation <= state->promised;
}

static bool parse_update(struct reader *in, struct rs_msg *msg)
{
	struct rs_update *update = &msg->update;
	uint32_t reserved;

	update->offset_bytes = reader_le32(in);
	update->size_bytes = reader_le32(in);
	update->total_bytes = reader_le32(in);
	reserved = reader_le32(in);
	update->bytes = reader_take(in, update->size_bytes);
	return reader_done(in) && !reserved && update->size_bytes > 0 &&
	       update->size_bytes <= RS_CHUNK_MAX_BYTES &&
	       update->total_bytes <= RS_STORE_MAX_BYTES &&
	       update->offset_bytes <= update->total_bytes &&
	       update->size_bytes <= update->total_bytes - update->offset_bytes;
}

static bool parse_update_complete(struct reader *in, struct rs_msg *msg)
{
	struct rs_update_complete *complete = &msg->update_complete;

	complete->total_bytes = reader_le32(in);
	complete->n_keys = reader_le32(in);
	reader_bytes(in, complete->digest, sizeof(complete->digest));
	return reader_done(in) && complete->total_bytes <= RS_STORE_MAX_BYTES;
}

static bool parse_write(struct reader *in, struct rs_msg *msg)
{
	struct rs_write *write = &msg->write;
	uint16_t flags;

	write->ticket = reader_le64(in);
	write->expected = reader_le64(in);
	write->key_len = reader_le16(in);
	flags = reader_le16(in);
	write->is_delete = flags & RS_WRITE_DELETE;
	write->value_bytes = reader_le32(in);
	write->key = reader_take(in, write->key_len);
	write->value = reader_take(in, write->value_bytes);
	return reader_done(in) && !(flags & ~RS_WRITE_DELETE) &&
	       write->value_bytes <= RS_VALUE_MAX_BYTES &&
	       write->is_delete == (write->value_bytes == 0) &&
	       rs_key_is_valid(write->key, write->key_len);
}

static bool parse_ack(struct reader *in, struct rs_msg *msg)
{
	msg->ack.position = reader_le64(in);
	msg->ack.chain = reader_le64(in);
	return reader_done(in);
}

static bool parse_check(struct reader *in, struct rs_msg *msg)
{
	struct rs_check *check = &msg->check;
	uint32_t flags, reserved;

	check->position = reader_le64(in);
	flags = reader_le32(in);
	reserved = reader_le32(in);
	reader_bytes(in, check->digest, sizeof(check->digest));
	check->is_answer = flags & RS_CHECK_ANSWER;
	return reader_done(in) && !(flags & ~(uint32_t)RS_CHECK_ANSWER) && !reserved &&
	       msg->version >= 3;
}

static void put_sync(struct buf *out, const struct rs_msg *msg)
{
	buf_le32(out, msg->sync.n_participants);
	buf_le32(out, 0);
	for (uint32_t i = 0; i < msg->sync.n_participants; i++)
		buf_le32(out, msg->sync.participants[i]);
}

static void put_hello(struct buf *out, const struct rs_msg *msg)
{
	buf_le16(out, msg->hello.oldest);
	buf_le16(out, msg->hello.newest);
	buf_le16(out, msg->hello.floor);
	buf_le16(out, 0);
	buf_le32(out, msg->hello.nodes_needed);
	buf_le32(out, 0);
}

static void put_state(struct buf *out, const struct rs_msg *msg)
{
	const struct rs_state *state = &msg->state;

	buf_le64(out, state->promised);
	buf_le64(out, state->generation);
	buf_le64(out, state->version);
	buf_le32(out, (state->accepted ? RS_STATE_ACCEPTED : 0) |
			      (state->quorate ? RS_STATE_QUORATE : 0) |
			      (state->is_worthless ? RS_STATE_WORTHLESS : 0));
	buf_le32(out, state->votes);
	buf_le32(out, state->quorum_votes);
	buf_le32(out, state->device_votes);
	buf_bytes(out, state->digest, sizeof(state->digest));
}

static void put_update(struct buf *out, const struct rs_msg *msg)
{
	buf_le32(out, msg->update.offset_bytes);
	buf_le32(out, msg->update.size_bytes);
	buf_le32(out, msg->update.total_bytes);
	buf_le32(out, 0);
	buf_bytes(out, msg->update.bytes, msg->update.size_bytes);
}

static void put_update_complete(struct buf *out, const struct rs_msg *msg)
{
	buf_le32(out, msg->update_complete.total_bytes);
	buf_le32(out, msg->update_complete.n_keys);
	buf_bytes(out, msg->update_complete.digest, sizeof(msg->update_complete.digest));
}

static void put_write(struct buf *out, const struct rs_msg *msg)
{
	const struct rs_write *write = &msg->write;

	buf_le64(out, write->ticket);
	buf_le64(out, write->expected);
	buf_le16(out, write->key_len);
	buf_le16(out, write->is_delete ? RS_WRITE_DELETE : 0);
	buf_le32(out, write->value_bytes);
	buf_bytes(out, write->key, write->key_len);
	buf_bytes(out, write->value, write->value_bytes);
}

static void put_ack(struct buf *out, const struct rs_msg *msg)
{
	buf_le64(out, msg->ack.position);
	buf_le64(out, msg->ack.chain);
}

static void put_check(struct buf *out, const struct rs_msg *msg)
{
	buf_le64(out, msg->check.position);
	buf_le32(out, msg->check.is_answer ? RS_CHECK_ANSWER : 0);
	buf_le32(out, 0);
	buf_bytes(out, msg->check.digest, sizeof(msg->check.digest));
}

static const struct {
	bool (*parse)(struct reader *in, struct rs_msg *msg);
	void (*put)(struct buf *out, const struct rs_msg *msg);
	bool is_settled;
} codecs[] = {
	[RS_WIRE_SYNC_REQUEST] = {parse_sync, put_sync, false},
	[RS_WIRE_SYNC_START] = {parse_sync, put_sync, false},
	[RS_WIRE_HELLO] = {parse_hello, put_hello, false},
	[RS_WIRE_STATE] = {parse_state, put_state, false},
	[RS_WIRE_UPDATE] = {parse_update, put_update, true},
	[RS_WIRE_UPDATE_COMPLETE] = {parse_update_complete, put_update_complete, true},
	[RS_WIRE_WRITE] = {parse_write, put_write, true},
	[RS_WIRE_ACK] = {parse_ack, put_ack, true},
	[RS_WIRE_CHECK] = {parse_check, put_check, true},
};

bool rs_wire_is_settled(enum rs_wire_type type)
{
	return codecs[type].is_settled;
}

int rs_wire_parse(const void *bytes, size_t size_bytes, uint16_t newest, struct rs_msg *ret_msg,
	uint16_t *ret_version)
{
	struct reader in = reader_make(bytes, size_bytes);
	struct rs_msg msg = {};
	uint16_t version, type;
	uint32_t magic;

	if (size_bytes > RS_WIRE_MAX_BYTES)
		return -EBADMSG;
	magic = reader_le32(&in);
	version = reader_le16(&in);
	type = reader_le16(&in);
	msg.epoch.generation = reader_le64(&in);
	msg.epoch.initiator = reader_le32(&in);
	msg.epoch.nonce = reader_le32(&in);
	if (!reader_ok(&in) || magic != RS_WIRE_MAGIC)
		return -EBADMSG;
	if (version == 0)
		return -EBADMSG;
	if (version > newest) {
		*ret_version = version;
		return -EPROTONOSUPPORT;
	}
	if (type >= ARRAY_LEN(codecs) || !codecs[type].parse)
		return -EBADMSG;
	if (msg.epoch.generation == 0 || msg.epoch.generation > RS_MAX_GENERATION)
		return -EBADMSG;
	msg.type = (enum rs_wire_type)type;
	msg.version = version;
	if (!codecs[type].parse(&in, &msg))
		return -EBADMSG;
	*ret_msg = msg;
	return 0;
}

void rs_wire_put(struct buf *out, const struct rs_msg *msg)
{
	buf_le32(out, RS_WIRE_MAGIC);
	buf_le16(out, msg->version ? msg->version : RS_WIRE_OLDEST);
	buf_le16(out, (uint16_t)msg->type);
	buf_le64(out, msg->epoch.generation);
	buf_le32(out, msg->epoch.initiator);
	buf_le32(out, msg->epoch.nonce);
	codecs[msg->type].put(out, msg);
}
