/* SPDX-License-Identifier: MIT */
#include "fabric/acl.h"
#include "tests/unit/fabric/acl_support.h"

#define NEXT_T0 (5 * NS_PER_SEC) /* on the other node: it started a moment ago */

enum {
	METER,
	OUT,
	IN,
	DENY,
	N_RULES,
};

static struct acl_rule rules[N_RULES];

static struct acl *new_acl(void)
{
	struct acl *acl;

	for (unsigned i = 0; i < N_RULES; i++)
		rules[i] = (struct acl_rule){.action = ACL_ALLOW,
			.directions = ACL_BOTH,
			.weight = N_RULES - i,
			.protocol = ACL_ANY_PROTOCOL};
	rules[METER].action = ACL_METER;
	rules[DENY].action = ACL_DENY;
	rules[OUT].directions = ACL_OUTBOUND;
	rules[OUT].stateful = rules[IN].stateful = true;
	rules[OUT].idle_s = 100;
	rules[IN].directions = ACL_INBOUND;
	rules[IN].protocol = PROTOCOL_UDP;
	rules[IN].local = side_ports("*", 53, 53);
	assert_int_equal(acl_new(rules, N_RULES, 0x5eed, &acl), 0);
	return acl;
}

static enum drop check_in(struct acl *acl, struct headers h, uint64_t now_ns)
{
	return acl_check(acl, &h, 100, false, now_ns);
}

static void send_out(struct acl *acl, struct headers h, uint64_t now_ns)
{
	assert_int_equal(acl_check(acl, &h, 100, true, now_ns), DROP_NONE);
}

/* One conversation of each kind. */
static struct acl *used_acl(void)
{
	struct acl *acl = new_acl();

	send_out(acl, tcp_headers(1, 1000, 2, 80, TCP_SYN), T0);
	send_out(acl, tcp_headers(1, 1001, 2, 80, TCP_SYN), T0);
	check_in(acl, tcp_headers(2, 80, 1, 1001, TCP_SYN | TCP_ACK), T0);
	send_out(acl, tcp_headers(1, 1001, 2, 80, TCP_FIN | TCP_ACK), T0 + NS_PER_SEC);
	send_out(acl, tcp_headers(1, 1002, 2, 80, TCP_SYN), T0 + 85 * NS_PER_SEC);
	check_in(acl, tcp_headers(2, 80, 1, 1002, TCP_RST | TCP_ACK), T0 + 85 * NS_PER_SEC);
	send_out(acl, echo_headers(true, 1, 2, true, 7), T0 + 3 * NS_PER_SEC);
	check_in(acl, port_headers(PROTOCOL_UDP, 3, 999, 1, 53), T0 + 4 * NS_PER_SEC);
	send_out(acl, port_headers(PROTOCOL_UDP, 1, 53, 3, 999), T0 + 4 * NS_PER_SEC);
	assert_int_equal(acl_n_conversations(acl), 5);
	return acl;
}

static int restore(struct acl *acl, const void *data, size_t size_bytes, uint64_t now_ns)
{
	struct reader in = reader_make(data, size_bytes);
	int r = acl_restore(acl, &in, now_ns);

	return r < 0 ? r : (int)in.left_bytes;
}

static void assert_saves_as(struct acl *acl, uint64_t now_ns, const struct buf *saved)
{
	struct buf again = {0};

	acl_save(acl, now_ns, &again);
	assert_false(again.failed);
	assert_int_equal(again.size_bytes, saved->size_bytes);
	assert_memory_equal(again.data, saved->data, saved->size_bytes);
	buf_fini(&again);
}

static void test_moves(void **state)
{
	struct acl *acl = used_acl(), *moved = new_acl();
	uint64_t left_ns = T0 + 90 * NS_PER_SEC;
	struct buf saved = {0};

	(void)state;
	acl_save(acl, left_ns, &saved);
	assert_int_equal(restore(moved, saved.data, saved.size_bytes, NEXT_T0), 0);
	assert_int_equal(acl_n_conversations(moved), 5);
	assert_saves_as(moved, NEXT_T0, &saved);
	for (unsigned i = 0; i < N_RULES; i++) {
		assert_int_equal(acl_rule(moved, i)->n_frames, acl_rule(acl, i)->n_frames);
		assert_int_equal(acl_rule(moved, i)->n_bytes, acl_rule(acl, i)->n_bytes);
	}
	assert_int_equal(acl_rule(moved, METER)->n_frames, 9);
	/* Half-open, half-closed, closing; an echo, somebody else's; what was none. */
	assert_int_equal(check_in(moved, tcp_headers(2, 80, 1, 1000, TCP_ACK), NEXT_T0), DROP_NONE);
	assert_int_equal(check_in(moved, tcp_headers(2, 80, 1, 1001, TCP_ACK), NEXT_T0), DROP_NONE);
	assert_int_equal(check_in(moved, tcp_headers(2, 80, 1, 1002, TCP_ACK), NEXT_T0), DROP_NONE);
	assert_int_equal(check_in(moved, echo_headers(true, 2, 1, false, 7), NEXT_T0), DROP_NONE);
	assert_int_equal(check_in(moved, echo_headers(true, 2, 1, true, 7), NEXT_T0), DROP_ACL);
	assert_int_equal(check_in(moved, tcp_headers(2, 80, 1, 1003, TCP_ACK), NEXT_T0), DROP_ACL);
	/* Its last seconds go on counting. */
	assert_int_equal(
		check_in(moved, tcp_headers(2, 80, 1, 1002, TCP_ACK), NEXT_T0 + 5 * NS_PER_SEC),
		DROP_ACL);
	/* The second FIN ends what the first was said of before. */
	check_in(moved, tcp_headers(2, 80, 1, 1001, TCP_FIN | TCP_ACK), NEXT_T0);
	assert_int_equal(
		check_in(moved, tcp_headers(2, 80, 1, 1001, TCP_ACK), NEXT_T0 + CONN_CLOSING_NS),
		DROP_ACL);
	buf_fini(&saved);
	acl_free(acl);
	acl_free(moved);
}

static void test_idle_time_is_kept(void **state)
{
	struct acl *acl = used_acl(), *moved = new_acl();
	struct buf saved = {0};

	(void)state;
	/* The first half-open one was idle for 99 of its 100 seconds. */
	acl_save(acl, T0 + 99 * NS_PER_SEC, &saved);
	assert_int_equal(restore(moved, saved.data, saved.size_bytes, NEXT_T0), 0);
	assert_int_equal(
		check_in(moved, tcp_headers(2, 80, 1, 1000, TCP_ACK), NEXT_T0 + NS_PER_SEC),
		DROP_ACL);
	assert_int_equal(
		check_in(moved, tcp_headers(2, 80, 1, 1001, TCP_ACK), NEXT_T0 + NS_PER_SEC),
		DROP_NONE);
	/* What has ended stays behind. */
	buf_reset(&saved);
	acl_save(acl, T0 + 1000 * NS_PER_SEC, &saved);
	assert_int_equal(restore(moved, saved.data, saved.size_bytes, NEXT_T0), 0);
	assert_int_equal(acl_n_conversations(moved), 0);
	buf_fini(&saved);
	acl_free(acl);
	acl_free(moved);
}

/* After a refused restore: no conversations, counters as they were, and it works. */
static void assert_usable(struct acl *acl, uint64_t n_metered)
{
	assert_int_equal(acl_n_conversations(acl), 0);
	assert_int_equal(acl_rule(acl, METER)->n_frames, n_metered);
	assert_int_equal(check_in(acl, tcp_headers(2, 80, 1, 1000, TCP_ACK), T0), DROP_ACL);
	send_out(acl, tcp_headers(1, 1000, 2, 80, TCP_SYN), T0);
	assert_int_equal(check_in(acl, tcp_headers(2, 80, 1, 1000, TCP_ACK), T0), DROP_NONE);
	assert_int_equal(acl_n_conversations(acl), 1);
	assert_int_equal(acl_rule(acl, METER)->n_frames, n_metered + 3);
}

static void test_every_truncation(void **state)
{
	struct acl *acl = used_acl(), *other = new_acl();
	struct buf saved = {0};
	uint64_t n_metered = 0;

	(void)state;
	acl_save(acl, T0 + 90 * NS_PER_SEC, &saved);
	for (size_t len = 0; len < saved.size_bytes; len++, n_metered += 3) {
		_cleanup_free_ uint8_t *exact = malloc(len ? len : 1);

		assert_non_null(exact);
		memcpy(exact, saved.data, len);
		assert_int_equal(restore(other, exact, len, T0), -EBADMSG);
		assert_usable(other, n_metered);
	}
	/* What follows is somebody else's. */
	buf_u8(&saved, 0x55);
	assert_int_equal(restore(other, saved.data, saved.size_bytes, T0), 1);
	buf_fini(&saved);
	acl_free(acl);
	acl_free(other);
}

/* What was taken can be taken elsewhere, and works. */
static void assert_good(struct acl *acl, struct acl *other)
{
	struct buf saved = {0};

	acl_save(acl, T0, &saved);
	assert_int_equal(restore(other, saved.data, saved.size_bytes, NEXT_T0), 0);
	assert_saves_as(other, NEXT_T0, &saved);
	send_out(acl, tcp_headers(1, 1000, 2, 80, TCP_SYN), T0);
	assert_int_equal(check_in(acl, tcp_headers(2, 80, 1, 1000, TCP_ACK), T0), DROP_NONE);
	buf_fini(&saved);
}

static void test_random_changes(void **state)
{
	struct acl *acl = used_acl(), *other = new_acl(), *third = new_acl();
	struct buf saved = {0};
	uint64_t random = 0xbad;
	unsigned n_taken = 0, n_refused = 0;

	(void)state;
	acl_save(acl, T0 + 90 * NS_PER_SEC, &saved);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned n_changes = 1 + random_below(&random, 3);
		uint64_t n_metered = acl_rule(other, METER)->n_frames;
		_cleanup_free_ uint8_t *copy = malloc(saved.size_bytes);

		assert_non_null(copy);
		memcpy(copy, saved.data, saved.size_bytes);
		while (n_changes--)
			copy[random_below(&random, (unsigned)saved.size_bytes)] =
				(uint8_t)random_next(&random);
		if (restore(other, copy, saved.size_bytes, T0) < 0) {
			assert_usable(other, n_metered);
			n_refused++;
		} else {
			assert_good(other, third);
			n_taken++;
		}
	}
	assert_true(n_taken > 1000 && n_refused > 1000);
	buf_fini(&saved);
	acl_free(acl);
	acl_free(other);
	acl_free(third);
}

/* One conversation as it is on the wire, behind its number and that of no rules' counters. */
struct saved_conn {
	uint8_t flags, protocol, state, finished_by;
	uint16_t local_port, remote_port;
	uint32_t idle_s, idle_ms;
};

static void put_conn(struct buf *out, const struct saved_conn *c)
{
	uint8_t addresses[2 * HEADERS_IP_BYTES] = {10, 0, 0, 1, 10, 0, 0, 2};

	buf_u8(out, c->flags);
	buf_u8(out, c->protocol);
	buf_u8(out, c->state);
	buf_u8(out, c->finished_by);
	buf_bytes(out, addresses, c->flags & 1 ? sizeof(addresses) : 8);
	buf_le16(out, c->local_port);
	buf_le16(out, c->remote_port);
	buf_le32(out, c->idle_s);
	buf_le32(out, c->idle_ms);
}

static int restore_conns(const struct saved_conn *conns, uint16_t n_said, unsigned n)
{
	struct conn_table *table;
	struct buf bytes = {0};
	struct reader in;
	int r;

	assert_int_equal(conn_table_new(8, 1, &table), 0);
	buf_le16(&bytes, n_said);
	for (unsigned i = 0; i < n; i++)
		put_conn(&bytes, &conns[i]);
	in = reader_make(bytes.data, bytes.size_bytes);
	r = conn_restore(table, &in, T0);
	assert_int_equal(conn_count(table), r < 0 ? 0 : n);
	conn_table_free(table);
	buf_fini(&bytes);
	return r;
}

static void test_contradictions(void **state)
{
	static const struct saved_conn good[] = {
		{.protocol = 6, .state = 1, .idle_s = 20, .idle_ms = 19999},
		{.protocol = 6, .state = 0, .local_port = 1, .idle_s = 20, .finished_by = 3},
		{.protocol = 17, .state = 2, .idle_s = CONN_MAX_IDLE_S},
		{.flags = 1, .protocol = 58, .state = 2, .idle_s = 1},
		{.flags = 6, .protocol = 1, .state = 1, .idle_s = 1},
	};
	static const struct saved_conn bad[] = {
		{.protocol = 6, .state = 3, .idle_s = 20},
		{.protocol = 6, .state = 0, .idle_s = 20, .finished_by = 4},
		{.protocol = 6, .state = 2, .idle_s = 20, .finished_by = 3},
		{.protocol = 6, .state = 1, .idle_s = 20, .idle_ms = 20000},
		{.protocol = 6, .state = 0, .idle_s = 20, .idle_ms = 10000},
		{.protocol = 6, .state = 1, .idle_s = 0},
		{.protocol = 6, .state = 1, .idle_s = CONN_MAX_IDLE_S + 1},
		{.protocol = 6, .state = 1, .idle_s = UINT32_MAX, .idle_ms = UINT32_MAX},
		{.protocol = 6, .state = 1, .idle_s = 20, .flags = 6},
		{.protocol = 6, .state = 1, .idle_s = 20, .flags = 8},
		{.protocol = 17, .state = 0, .idle_s = 20},
		{.protocol = 17, .state = 2, .idle_s = 20, .finished_by = 1},
		{.protocol = 47, .state = 2, .idle_s = 20},
		{.protocol = 58, .state = 2, .idle_s = 20},
		{.protocol = 1, .state = 2, .idle_s = 20, .flags = 1},
		{.protocol = 1, .state = 2, .idle_s = 20, .local_port = 1},
		{.protocol = 1, .state = 2, .idle_s = 20, .flags = 2},
		{.protocol = 1, .state = 2, .idle_s = 20, .flags = 4},
	};
	struct saved_conn twice[] = {good[0], good[1], good[0]};

	(void)state;
	assert_int_equal(restore_conns(good, ARRAY_LEN(good), ARRAY_LEN(good)), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct saved_conn both[] = {good[0], bad[i]};

		both[1].remote_port = both[1].protocol == 1 ? 0 : 77;
		assert_int_equal(restore_conns(both, 2, 2), -EBADMSG);
	}
	assert_int_equal(restore_conns(twice, 3, 3), -EBADMSG);
	assert_int_equal(restore_conns(good, 2, 1), -EBADMSG);
	assert_int_equal(restore_conns(good, 9, 5), -EBADMSG);
	assert_int_equal(restore_conns(good, 65535, 5), -EBADMSG);
}

static void test_other_rules(void **state)
{
	struct acl_rule allow = {
		.directions = ACL_BOTH, .protocol = ACL_ANY_PROTOCOL, .action = ACL_ALLOW};
	struct acl *stateless, *empty, *acl = used_acl();
	uint8_t state_of_none[20] = {1, 0, 9};
	struct buf saved = {0};

	(void)state;
	assert_int_equal(acl_new(&allow, 1, 1, &stateless), 0);
	assert_int_equal(acl_new(NULL, 0, 1, &empty), 0);
	acl_save(acl, T0, &saved);
	assert_int_equal(restore(stateless, saved.data, saved.size_bytes, T0), -EBADMSG);
	assert_int_equal(restore(empty, saved.data, saved.size_bytes, T0), -EBADMSG);
	assert_int_equal(restore(stateless, state_of_none, sizeof(state_of_none), T0), 0);
	assert_int_equal(acl_rule(stateless, 0)->n_frames, 9);
	assert_int_equal(restore(acl, state_of_none, sizeof(state_of_none), T0), -EBADMSG);
	assert_int_equal(acl_n_conversations(acl), 0);
	/* Conversations that no rule could have let begin. */
	state_of_none[18] = 1;
	assert_int_equal(restore(stateless, state_of_none, sizeof(state_of_none), T0), -EBADMSG);
	buf_reset(&saved);
	acl_save(empty, T0, &saved);
	assert_int_equal(restore(empty, saved.data, saved.size_bytes, T0), 0);
	buf_fini(&saved);
	acl_free(stateless);
	acl_free(empty);
	acl_free(acl);
}

/* More than may travel: those in use go along, those nobody answered stay. */
static void test_full_table(void **state)
{
	struct acl *acl = new_acl(), *moved = new_acl();
	struct buf saved = {0};

	(void)state;
	for (unsigned i = 0; i < CONN_MAX_ENTRIES; i++) {
		struct headers h = tcp_headers(1, (uint16_t)(1000 + i), 2, 80, TCP_SYN);

		send_out(acl, h, T0 + i);
		if (i < 100)
			check_in(acl, answer_to(&h), T0 + i);
	}
	assert_int_equal(acl_n_conversations(acl), CONN_MAX_ENTRIES);
	acl_save(acl, T0 + CONN_MAX_ENTRIES, &saved);
	assert_true(saved.size_bytes <= ACL_SAVE_MAX_BYTES);
	assert_int_equal(restore(moved, saved.data, saved.size_bytes, NEXT_T0), 0);
	assert_in_range(acl_n_conversations(moved), 2000, CONN_MAX_ENTRIES - 1);
	assert_saves_as(moved, NEXT_T0, &saved);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(
			check_in(moved, tcp_headers(2, 80, 1, (uint16_t)(1000 + i), TCP_ACK),
				NEXT_T0),
			DROP_NONE);
	assert_int_equal(
		check_in(moved, tcp_headers(2, 80, 1, 1000 + 100, TCP_ACK), NEXT_T0), DROP_ACL);
	assert_int_equal(
		check_in(moved, tcp_headers(2, 80, 1, 1000 + CONN_MAX_ENTRIES - 1, TCP_ACK),
			NEXT_T0),
		DROP_NONE);
	buf_fini(&saved);
	acl_free(acl);
	acl_free(moved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_idle_time_is_kept),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_other_rules),
		cmocka_unit_test(test_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
