/* SPDX-License-Identifier: MIT
 *
 * One core, with the other member played by hand: what a confirmation, a state and a hand-over must
 * be like to count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster/rs.h"
#include "cluster/rs_core.h"

#define MAX_SENT 64

/* Node 1, the core; node 2 is us. */
struct hand {
	struct rs *rs;
	struct buf sent[MAX_SENT];
	size_t n_sent, n_delivered;
	uint64_t now_ns;
	bool disk_stalls;
	unsigned n_meta_saved;
	unsigned n_done;
	int error;
};

static void on_multicast(const void *bytes, size_t size_bytes, void *data)
{
	struct hand *hand = data;

	assert_true(hand->n_sent < MAX_SENT);
	buf_bytes(&hand->sent[hand->n_sent++], bytes, size_bytes);
}

static void on_applied(
	const char *key, const struct store_entry *entry, uint64_t version, void *data)
{
	(void)key;
	(void)entry;
	(void)version;
	(void)data;
}

static void on_changed(void *data)
{
	(void)data;
}

static void on_save_entry(const char *key, const struct store_entry *entry, void *data)
{
	(void)key;
	(void)entry;
	(void)data;
}

static void on_save_store(const struct store *store, const struct rs_meta *meta, void *data)
{
	(void)store;
	(void)meta;
	(void)data;
}

static void on_save_meta(const struct rs_meta *meta, void *data)
{
	struct hand *hand = data;

	(void)meta;
	hand->n_meta_saved++;
}

static const struct rs_ops ops = {
	.multicast = on_multicast,
	.applied = on_applied,
	.changed = on_changed,
	.save_entry = on_save_entry,
	.save_store = on_save_store,
	.save_meta = on_save_meta,
};

static void on_done(int error, uint64_t version, void *data)
{
	struct hand *hand = data;

	(void)version;
	hand->n_done++;
	hand->error = error;
}

static void turn_end(struct hand *hand)
{
	while (rs_has_work(hand->rs))
		rs_work(hand->rs, hand->now_ns);
	if (!hand->disk_stalls)
		rs_saved(hand->rs, rs_mark(hand->rs), hand->now_ns);
}

/* The core's own messages come back to it. */
static void deliver_own(struct hand *hand)
{
	while (hand->n_delivered < hand->n_sent) {
		struct buf *message = &hand->sent[hand->n_delivered++];

		rs_deliver(hand->rs, 1, message->data, message->size_bytes, ++hand->now_ns);
		turn_end(hand);
	}
}

static void deliver(struct hand *hand, const struct rs_msg *msg)
{
	struct buf out = {};

	rs_wire_put(&out, msg);
	rs_deliver(hand->rs, 2, out.data, out.size_bytes, ++hand->now_ns);
	turn_end(hand);
	buf_fini(&out);
}

/* The last message of that type that the core sent. */
static struct rs_msg last_sent(const struct hand *hand, enum rs_wire_type type)
{
	struct rs_msg msg;
	uint16_t version;

	for (size_t i = hand->n_sent; i > 0; i--) {
		const struct buf *message = &hand->sent[i - 1];

		assert_int_equal(rs_wire_parse(message->data, message->size_bytes, RS_WIRE_NEWEST,
					 &msg, &version),
			0);
		if (msg.type == type)
			return msg;
	}
	fail_msg("the core sent no message of type %d", type);
	return msg;
}

static struct hand *hand_new(void)
{
	const struct rs_votes votes = {.quorate = true, .votes = 1, .quorum_votes = 2};
	const struct rs_config config = {.silence_ns = 1000};
	const struct rs_meta meta = {};
	const uint32_t members[] = {1, 2};
	struct hand *hand = calloc(1, sizeof(*hand));
	struct store *store;

	assert_non_null(hand);
	assert_int_equal(store_new(&store), 0);
	assert_int_equal(rs_new(&config, &ops, hand, store, &meta, &hand->rs), 0);
	rs_connect(hand->rs, 1);
	rs_set_votes(hand->rs, &votes, ++hand->now_ns);
	rs_confchg(hand->rs, members, 2, ++hand->now_ns);
	return hand;
}

static void hand_free(struct hand *hand)
{
	rs_free(hand->rs);
	for (size_t i = 0; i < hand->n_sent; i++)
		buf_fini(&hand->sent[i]);
	free(hand);
}

/* Node 2's answer to the SYNC_START, with the same store as the core's. */
static struct rs_msg state_of_node2(const struct hand *hand)
{
	struct rs_msg msg = last_sent(hand, RS_WIRE_STATE);

	msg.state.accepted = true;
	return msg;
}

static struct hand *hand_synced(void)
{
	struct hand *hand = hand_new();
	struct rs_msg msg;

	deliver_own(hand);
	assert_int_equal(rs_mode(hand->rs), RS_EXCHANGE);
	msg = state_of_node2(hand);
	deliver(hand, &msg);
	assert_int_equal(rs_mode(hand->rs), RS_SYNCED);
	msg = (struct rs_msg){.type = RS_WIRE_ACK, .epoch = msg.epoch};
	deliver(hand, &msg);
	deliver_own(hand);
	assert_true(rs_is_complete(hand->rs));
	return hand;
}

static void write_a(struct hand *hand)
{
	assert_int_equal(
		rs_write(hand->rs, "a", RS_ANY_VERSION, "1", 1, on_done, hand, ++hand->now_ns), 0);
	deliver_own(hand);
}

/* A write of node 2, so that the core says which order it has seen. */
static struct rs_msg ack_after_write_of_node2(struct hand *hand, struct rs_epoch epoch)
{
	deliver(hand, &(struct rs_msg){.type = RS_WIRE_WRITE,
			      .epoch = epoch,
			      .write = {.ticket = 1,
				      .expected = RS_ANY_VERSION,
				      .key = "b",
				      .key_len = 1,
				      .value = "2",
				      .value_bytes = 1}});
	return last_sent(hand, RS_WIRE_ACK);
}

static void done_when_the_other_confirms(void **state)
{
	struct hand *hand = hand_synced();
	struct rs_msg ack;

	(void)state;
	write_a(hand);
	assert_int_equal(hand->n_done, 0);
	ack = ack_after_write_of_node2(hand, last_sent(hand, RS_WIRE_WRITE).epoch);
	assert_int_equal(ack.ack.position, 2);
	deliver(hand, &ack);
	assert_int_equal(hand->n_done, 1);
	assert_int_equal(hand->error, 0);
	hand_free(hand);
}

static void confirmation_of_another_order_does_not_count(void **state)
{
	struct hand *hand = hand_synced();
	struct rs_msg ack;

	(void)state;
	write_a(hand);
	ack = ack_after_write_of_node2(hand, last_sent(hand, RS_WIRE_WRITE).epoch);
	ack.ack.chain++;
	deliver(hand, &ack);
	ack.ack.chain--;
	ack.ack.position = 1; /* that chain is of two */
	deliver(hand, &ack);
	ack.ack.position = 3; /* more than there was */
	deliver(hand, &ack);
	ack.ack.position = UINT64_MAX;
	deliver(hand, &ack);
	assert_int_equal(hand->n_done, 0);
	hand_free(hand);
}

/* Both have deleted the key before they knew that the epoch is over, each for a writer of its own:
 * the stores are equal, and only one of the deletions has happened. */
static void equal_content_is_not_the_same_history(void **state)
{
	(void)state;
	for (unsigned other = 0; other < 2; other++) {
		const uint32_t members[] = {1, 2};
		struct hand *hand = hand_synced();
		struct rs_msg msg;

		write_a(hand);
		msg = ack_after_write_of_node2(hand, last_sent(hand, RS_WIRE_WRITE).epoch);
		deliver(hand, &msg);
		assert_int_equal(hand->n_done, 1);
		assert_int_equal(
			rs_write(hand->rs, "a", store_find(rs_store(hand->rs), "a")->version, NULL,
				0, on_done, hand, ++hand->now_ns),
			0);
		deliver_own(hand);
		rs_confchg(hand->rs, members, 2, ++hand->now_ns);
		deliver_own(hand);
		assert_int_equal(rs_mode(hand->rs), RS_EXCHANGE);
		msg = state_of_node2(hand);
		msg.state.version += other;
		deliver(hand, &msg);
		assert_int_equal(rs_mode(hand->rs), RS_SYNCED);
		msg = (struct rs_msg){.type = RS_WIRE_ACK, .epoch = msg.epoch};
		deliver(hand, &msg);
		assert_int_equal(hand->n_done, 2);
		assert_int_equal(hand->error, other ? -EIO : 0);
		assert_true(rs_is_complete(hand->rs));
		hand_free(hand);
	}
}

static void silent_member_is_left_out_by_request_of_time(void **state)
{
	struct hand *hand = hand_synced();
	struct rs_msg start;

	(void)state;
	write_a(hand);
	assert_true(rs_deadline(hand->rs) != 0);
	hand->now_ns = rs_deadline(hand->rs);
	rs_tick(hand->rs, hand->now_ns);
	start = last_sent(hand, RS_WIRE_SYNC_START);
	assert_int_equal(start.sync.n_participants, 1);
	assert_int_equal(start.sync.participants[0], 1);
	deliver_own(hand);
	/* One vote of two: the write's fate is open. */
	assert_int_equal(rs_mode(hand->rs), RS_NO_QUORUM);
	assert_int_equal(hand->n_done, 1);
	assert_int_equal(hand->error, -EIO);
	hand_free(hand);
}

static void own_sleep_is_not_others_silence(void **state)
{
	struct hand *hand = hand_synced();
	size_t n_sent;

	(void)state;
	write_a(hand);
	n_sent = hand->n_sent;
	hand->now_ns = rs_deadline(hand->rs) + 100000;
	rs_tick(hand->rs, hand->now_ns);
	assert_int_equal(hand->n_sent, n_sent);
	assert_true(rs_deadline(hand->rs) > hand->now_ns);
	hand_free(hand);
}

static void no_answer_without_the_promise_on_disk(void **state)
{
	struct hand *hand = hand_new();

	(void)state;
	hand->disk_stalls = true;
	deliver_own(hand);
	assert_int_equal(hand->n_meta_saved, 1);
	assert_int_equal(hand->n_sent, 1); /* the SYNC_START */
	assert_int_equal(rs_mode(hand->rs), RS_EXCHANGE);
	/* It is nobody else's fault, and nothing is begun anew because of it. */
	hand->now_ns = rs_deadline(hand->rs);
	rs_tick(hand->rs, hand->now_ns);
	assert_int_equal(hand->n_sent, 1);
	assert_int_equal(rs_stats(hand->rs)->n_silent, 0);
	hand->disk_stalls = false;
	turn_end(hand);
	assert_true(last_sent(hand, RS_WIRE_STATE).state.accepted);
	hand_free(hand);
}

/* What is not saved here is confirmed to nobody, ourselves included. */
static void nothing_is_confirmed_before_it_is_saved(void **state)
{
	struct hand *hand = hand_synced();
	struct rs_msg ack;
	size_t n_sent;

	(void)state;
	hand->disk_stalls = true;
	write_a(hand);
	n_sent = hand->n_sent;
	deliver(hand, &(struct rs_msg){.type = RS_WIRE_WRITE,
			      .epoch = last_sent(hand, RS_WIRE_WRITE).epoch,
			      .write = {.ticket = 1,
				      .expected = RS_ANY_VERSION,
				      .key = "b",
				      .key_len = 1,
				      .value = "2",
				      .value_bytes = 1}});
	assert_int_equal(hand->n_sent, n_sent);
	rs_saved(hand->rs, rs_mark(hand->rs) - 1, hand->now_ns); /* the first of the two */
	assert_int_equal(last_sent(hand, RS_WIRE_ACK).ack.position, 1);
	rs_saved(hand->rs, rs_mark(hand->rs), hand->now_ns);
	ack = last_sent(hand, RS_WIRE_ACK);
	assert_int_equal(ack.ack.position, 2);
	assert_int_equal(hand->n_done, 0);
	deliver(hand, &ack);
	assert_int_equal(hand->n_done, 1);
	hand_free(hand);
}

static void own_write_waits_for_the_own_disk(void **state)
{
	struct hand *hand = hand_synced();
	struct rs_msg ack;

	(void)state;
	write_a(hand);
	ack = ack_after_write_of_node2(hand, last_sent(hand, RS_WIRE_WRITE).epoch);
	deliver(hand, &ack);
	assert_int_equal(hand->n_done, 1);
	hand->disk_stalls = true;
	write_a(hand);
	ack.ack.position = 3;
	ack.ack.chain = hand->rs->chain[3];
	deliver(hand, &ack);
	assert_int_equal(hand->n_done, 1);
	assert_true(rs_deadline(hand->rs) == 0); /* for as long as it takes */
	hand->disk_stalls = false;
	turn_end(hand);
	assert_int_equal(hand->n_done, 2);
	hand_free(hand);
}

/* Left out because of its disk, it comes back when that has done its work, and not before. */
static void who_cannot_save_does_not_ask_to_take_part(void **state)
{
	struct hand *hand = hand_synced();
	struct rs_msg start;
	size_t n_sent;

	(void)state;
	hand->disk_stalls = true;
	ack_after_write_of_node2(hand, last_sent(hand, RS_WIRE_STATE).epoch);
	n_sent = hand->n_sent;
	start = (struct rs_msg){.type = RS_WIRE_SYNC_START,
		.epoch = {.generation = 10, .initiator = 2},
		.sync = {.n_participants = 1, .participants = {2}}};
	deliver(hand, &start);
	assert_int_equal(rs_mode(hand->rs), RS_GATHER);
	hand->now_ns = rs_deadline(hand->rs);
	rs_tick(hand->rs, hand->now_ns);
	assert_int_equal(hand->n_sent, n_sent);
	hand->disk_stalls = false;
	turn_end(hand);
	assert_int_equal(hand->n_sent, n_sent + 1);
	assert_true(last_sent(hand, RS_WIRE_SYNC_START).epoch.generation > 10);
	hand_free(hand);
}

static void refusal_makes_the_initiator_go_higher(void **state)
{
	struct hand *hand = hand_new();
	struct rs_msg msg;

	(void)state;
	deliver_own(hand);
	msg = state_of_node2(hand);
	msg.state.accepted = false;
	msg.state.promised = 41;
	deliver(hand, &msg);
	assert_int_equal(last_sent(hand, RS_WIRE_SYNC_START).epoch.generation, 42);
	hand_free(hand);
}

static void states_that_contradict_themselves_are_dropped(void **state)
{
	struct hand *hand = hand_new();
	struct rs_msg msg, wrong;

	(void)state;
	deliver_own(hand);
	msg = state_of_node2(hand);
	wrong = msg;
	wrong.state.promised++; /* and yet accepted */
	deliver(hand, &wrong);
	wrong = msg;
	wrong.state.accepted = false;
	wrong.state.promised = wrong.state.generation = 0; /* refused for a lower promise */
	deliver(hand, &wrong);
	assert_int_equal(rs_stats(hand->rs)->n_malformed, 2);
	assert_int_equal(rs_mode(hand->rs), RS_EXCHANGE);
	deliver(hand, &msg);
	assert_int_equal(rs_mode(hand->rs), RS_SYNCED);
	deliver(hand, &msg); /* once is enough */
	assert_int_equal(rs_mode(hand->rs), RS_SYNCED);
	hand_free(hand);
}

/* Node 2 claims a store that the core has to take over. */
static struct hand *hand_updating(struct rs_msg *ret_msg)
{
	struct hand *hand = hand_new();
	struct rs_msg msg;

	deliver_own(hand);
	msg = state_of_node2(hand);
	msg.state.version = 5;
	memset(msg.state.digest, 7, sizeof(msg.state.digest));
	deliver(hand, &msg);
	assert_int_equal(rs_mode(hand->rs), RS_UPDATE);
	*ret_msg = msg;
	return hand;
}

static void store_that_is_not_what_was_announced_is_refused(void **state)
{
	struct rs_msg msg, update, complete;
	struct hand *hand = hand_updating(&msg);

	(void)state;
	update = (struct rs_msg){.type = RS_WIRE_UPDATE,
		.epoch = msg.epoch,
		.update = {.size_bytes = 4, .total_bytes = 4, .bytes = "abcd"}};
	deliver(hand, &update);
	assert_int_equal(rs_mode(hand->rs), RS_UPDATE);
	complete = (struct rs_msg){.type = RS_WIRE_UPDATE_COMPLETE,
		.epoch = msg.epoch,
		.update_complete = {.total_bytes = 4, .n_keys = 1}};
	memset(complete.update_complete.digest, 7, RS_DIGEST_BYTES);
	deliver(hand, &complete);
	assert_int_equal(rs_mode(hand->rs), RS_GATHER);
	assert_int_equal(rs_stats(hand->rs)->n_malformed, 1);
	assert_int_equal(store_n_keys(rs_store(hand->rs)), 0);
	/* It asks for another sync, in a while and not at once. */
	hand->now_ns = rs_deadline(hand->rs);
	rs_tick(hand->rs, hand->now_ns);
	assert_true(last_sent(hand, RS_WIRE_SYNC_START).epoch.generation > msg.epoch.generation);
	hand_free(hand);
}

static void chunks_must_follow_each_other(void **state)
{
	struct rs_msg msg, update;
	struct hand *hand = hand_updating(&msg);

	(void)state;
	update = (struct rs_msg){.type = RS_WIRE_UPDATE,
		.epoch = msg.epoch,
		.update = {.offset_bytes = 4, .size_bytes = 4, .total_bytes = 8, .bytes = "abcd"}};
	deliver(hand, &update);
	assert_int_equal(rs_mode(hand->rs), RS_GATHER);
	hand_free(hand);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(done_when_the_other_confirms),
		cmocka_unit_test(confirmation_of_another_order_does_not_count),
		cmocka_unit_test(equal_content_is_not_the_same_history),
		cmocka_unit_test(silent_member_is_left_out_by_request_of_time),
		cmocka_unit_test(own_sleep_is_not_others_silence),
		cmocka_unit_test(no_answer_without_the_promise_on_disk),
		cmocka_unit_test(nothing_is_confirmed_before_it_is_saved),
		cmocka_unit_test(own_write_waits_for_the_own_disk),
		cmocka_unit_test(who_cannot_save_does_not_ask_to_take_part),
		cmocka_unit_test(refusal_makes_the_initiator_go_higher),
		cmocka_unit_test(states_that_contradict_themselves_are_dropped),
		cmocka_unit_test(store_that_is_not_what_was_announced_is_refused),
		cmocka_unit_test(chunks_must_follow_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
