/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster/rs_wire.h"

static const struct rs_epoch epoch = {.generation = 7, .initiator = 3, .nonce = 0x1234};

static const struct rs_msg examples[] = {
	{.type = RS_WIRE_SYNC_REQUEST,
		.epoch = {7, 3, 0x1234},
		.sync = {.n_participants = 1, .participants = {9}}},
	{.type = RS_WIRE_SYNC_START,
		.epoch = {7, 3, 0x1234},
		.sync = {.n_participants = 3, .participants = {1, 2, 0xffffffff}}},
	{.type = RS_WIRE_STATE,
		.epoch = {7, 3, 0x1234},
		.state = {.promised = 7,
			.generation = 6,
			.version = 1ULL << 40,
			.accepted = true,
			.quorate = true,
			.votes = 1,
			.quorum_votes = 2,
			.digest = {1, 2, 3}}},
	{.type = RS_WIRE_UPDATE,
		.epoch = {7, 3, 0x1234},
		.update =
			{.offset_bytes = 10, .size_bytes = 5, .total_bytes = 15, .bytes = "hello"}},
	{.type = RS_WIRE_UPDATE_COMPLETE,
		.epoch = {7, 3, 0x1234},
		.update_complete = {.total_bytes = 15, .n_keys = 2, .digest = {9}}},
	{.type = RS_WIRE_WRITE,
		.epoch = {7, 3, 0x1234},
		.write = {.ticket = 5,
			.expected = UINT64_MAX,
			.key_len = 6,
			.key = "vm/VM1",
			.value_bytes = 4,
			.value = "null"}},
	{.type = RS_WIRE_WRITE,
		.epoch = {7, 3, 0x1234},
		.write = {.ticket = 6,
			.expected = 1,
			.is_delete = true,
			.key_len = 1,
			.key = "k",
			.value = ""}},
	{.type = RS_WIRE_ACK, .epoch = {7, 3, 0x1234}, .ack = {.position = 8, .chain = 9}},
	{.type = RS_WIRE_HELLO,
		.epoch = {7, 3, 0x1234},
		.hello = {.oldest = 1, .newest = 2, .floor = 2, .nodes_needed = 3}},
	{.type = RS_WIRE_CHECK,
		.version = 3,
		.epoch = {7, 3, 0x1234},
		.check = {.is_answer = true, .position = 4, .digest = {1, 2}}},
};

static struct buf bytes_of(const struct rs_msg *msg)
{
	struct buf out = {};

	rs_wire_put(&out, msg);
	assert_false(out.failed);
	return out;
}

static int parse(const void *bytes, size_t size_bytes)
{
	/* A copy of exactly that size, so that reading further is seen. */
	void *copy = malloc(size_bytes ? size_bytes : 1);
	struct rs_msg msg;
	uint16_t version;
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, size_bytes);
	r = rs_wire_parse(copy, size_bytes, RS_WIRE_NEWEST, &msg, &version);
	free(copy);
	return r;
}

static void what_is_put_is_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		struct buf out = bytes_of(&examples[i]), again;
		struct rs_msg msg;
		uint16_t version;

		assert_int_equal(
			rs_wire_parse(out.data, out.size_bytes, RS_WIRE_NEWEST, &msg, &version), 0);
		assert_int_equal(msg.type, examples[i].type);
		assert_true(rs_epoch_equal(&msg.epoch, &epoch));
		again = bytes_of(&msg);
		assert_int_equal(again.size_bytes, out.size_bytes);
		assert_memory_equal(again.data, out.data, out.size_bytes);
		buf_fini(&out);
		buf_fini(&again);
	}
}

/* The bytes themselves, so that a change of format is noticed. */
static void layout_is_what_the_header_says(void **state)
{
	static const uint8_t expected[] = {'V', 'T', 'R', 'S', 1, 0, 6,
		0,                                                    /* magic, version, type */
		7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x34, 0x12, 0, 0, /* epoch */
		5, 0, 0, 0, 0, 0, 0, 0,                               /* ticket */
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,       /* expected */
		6, 0, 0, 0, 4, 0, 0, 0,                               /* sizes and flags */
		'v', 'm', '/', 'V', 'M', '1', 'n', 'u', 'l', 'l'};
	struct buf out = bytes_of(&examples[5]);

	(void)state;
	assert_int_equal(out.size_bytes, sizeof(expected));
	assert_memory_equal(out.data, expected, sizeof(expected));
	buf_fini(&out);
}

static void truncated_and_extended_messages_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		struct buf out = bytes_of(&examples[i]);

		for (size_t size = 0; size < out.size_bytes; size++)
			assert_int_equal(parse(out.data, size), -EBADMSG);
		buf_u8(&out, 0);
		assert_int_equal(parse(out.data, out.size_bytes), -EBADMSG);
		buf_fini(&out);
	}
}

static void other_versions_are_told_apart(void **state)
{
	struct buf out = bytes_of(&examples[0]);
	struct rs_msg msg;
	uint16_t version = 0;

	(void)state;
	store_le16(out.data + offsetof(struct rs_wire_header, version), 9);
	assert_int_equal(rs_wire_parse(out.data, out.size_bytes, RS_WIRE_NEWEST, &msg, &version),
		-EPROTONOSUPPORT);
	assert_int_equal(version, 9);
	store_le32(out.data, 0);
	assert_int_equal(
		rs_wire_parse(out.data, out.size_bytes, RS_WIRE_NEWEST, &msg, &version), -EBADMSG);
	buf_fini(&out);
}

/* One field changed at a time; each makes the message contradict itself. */
static void contradictions_are_refused(void **state)
{
	static const struct {
		size_t example;
		size_t at;
		size_t size;
		uint64_t value;
	} changes[] = {
		{0, offsetof(struct rs_wire_header, type), 2, 0},
		{0, offsetof(struct rs_wire_header, type), 2, 9},
		{0, offsetof(struct rs_wire_header, type), 2, 0xffff},
		{0, offsetof(struct rs_wire_header, epoch), 8, 0},
		{0, offsetof(struct rs_wire_header, epoch), 8, RS_MAX_GENERATION + 1},
		{0, offsetof(struct rs_wire_sync, n_participants), 4, 0},
		{0, offsetof(struct rs_wire_sync, n_participants), 4, 0xffffffff},
		{0, offsetof(struct rs_wire_sync, reserved), 4, 1},
		{1, offsetof(struct rs_wire_sync, n_participants), 4, 2},
		{1, offsetof(struct rs_wire_sync, n_participants), 4, RS_MAX_MEMBERS + 1},
		{1, sizeof(struct rs_wire_sync), 4, 2},     /* 2, 2, ... */
		{1, sizeof(struct rs_wire_sync) + 4, 4, 0}, /* 1, 0, ... */
		{2, offsetof(struct rs_wire_state, promised), 8, RS_MAX_GENERATION + 1},
		{2, offsetof(struct rs_wire_state, generation), 8, 8},
		{2, offsetof(struct rs_wire_state, flags), 4, 8},
		{3, offsetof(struct rs_wire_update, offset_bytes), 4, 11},
		{3, offsetof(struct rs_wire_update, offset_bytes), 4, 0xffffffff},
		{3, offsetof(struct rs_wire_update, size_bytes), 4, 0},
		{3, offsetof(struct rs_wire_update, size_bytes), 4, 4},
		{3, offsetof(struct rs_wire_update, size_bytes), 4, 0xfffffffb},
		{3, offsetof(struct rs_wire_update, total_bytes), 4, RS_STORE_MAX_BYTES + 1},
		{3, offsetof(struct rs_wire_update, reserved), 4, 1},
		{4, offsetof(struct rs_wire_update_complete, total_bytes), 4, 0xffffffff},
		{5, offsetof(struct rs_wire_write, key_len), 2, 0},
		{5, offsetof(struct rs_wire_write, key_len), 2, 7},
		{5, offsetof(struct rs_wire_write, key_len), 2, 0xffff},
		{5, offsetof(struct rs_wire_write, flags), 2, RS_WRITE_DELETE}, /* with a value */
		{5, offsetof(struct rs_wire_write, flags), 2, 2},
		{5, offsetof(struct rs_wire_write, value_bytes), 4, 3},
		{5, offsetof(struct rs_wire_write, value_bytes), 4, 0xffffffff},
		{5, sizeof(struct rs_wire_write), 1, 0}, /* in the key */
		{5, sizeof(struct rs_wire_write), 1, 0xe4},
		{6, offsetof(struct rs_wire_write, flags), 2, 0}, /* no value to write */
		{9, offsetof(struct rs_wire_check, flags), 4, 2},
		{9, offsetof(struct rs_wire_check, reserved), 4, 1},
		{9, offsetof(struct rs_wire_header, version), 2, 2}, /* which has no such message */
		{8, offsetof(struct rs_wire_hello, oldest), 2, 0},
		{8, offsetof(struct rs_wire_hello, oldest), 2, 3},
		{8, offsetof(struct rs_wire_hello, newest), 2, 0},
		{8, offsetof(struct rs_wire_hello, reserved), 2, 1},
		{8, offsetof(struct rs_wire_header, version), 2, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct buf out = bytes_of(&examples[changes[i].example]);
		uint64_t value = htole64(changes[i].value);

		memcpy(out.data + changes[i].at, &value, changes[i].size);
		assert_int_equal(parse(out.data, out.size_bytes), -EBADMSG);
		buf_fini(&out);
	}
}

static void oversized_messages_are_refused(void **state)
{
	static char value[RS_VALUE_MAX_BYTES + 1];
	struct rs_msg msg = examples[5];
	struct buf out;

	(void)state;
	memset(value, '1', sizeof(value));
	msg.write.value = value;
	msg.write.value_bytes = RS_VALUE_MAX_BYTES;
	out = bytes_of(&msg);
	assert_int_equal(parse(out.data, out.size_bytes), 0);
	buf_fini(&out);
	msg.write.value_bytes++;
	out = bytes_of(&msg);
	assert_int_equal(parse(out.data, out.size_bytes), -EBADMSG);
	buf_fini(&out);

	msg = examples[3];
	msg.update = (struct rs_update){
		.size_bytes = RS_CHUNK_MAX_BYTES + 1, .total_bytes = 1U << 20, .bytes = value};
	out = bytes_of(&msg);
	assert_int_equal(parse(out.data, out.size_bytes), -EBADMSG);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_parsed),
		cmocka_unit_test(layout_is_what_the_header_says),
		cmocka_unit_test(truncated_and_extended_messages_are_refused),
		cmocka_unit_test(other_versions_are_told_apart),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(oversized_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
