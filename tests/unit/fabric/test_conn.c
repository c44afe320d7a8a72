/* SPDX-License-Identifier: MIT */
#include "fabric/conn.h"
#include "tests/unit/fabric/acl_support.h"

#define N_ENTRIES 8
#define IDLE_S    20

static struct conn_table *table;

static int setup(void **state)
{
	(void)state;
	return conn_table_new(N_ENTRIES, 0x1234, &table);
}

static int teardown(void **state)
{
	(void)state;
	conn_table_free(table);
	return 0;
}

static struct conn_key key_of(struct headers h, bool outbound)
{
	struct conn_key key;

	assert_true(conn_key_of(&h, outbound, &key));
	return key;
}

/* The conversation of the owner, 10.0.0.1, with 10.0.0.2 by its port `number`. */
static struct conn_key key_number(uint8_t protocol, unsigned number)
{
	return key_of(port_headers(protocol, 1, (uint16_t)number, 2, 80), true);
}

static void open_number(uint8_t protocol, unsigned number, bool outbound, uint64_t now_ns)
{
	struct conn_key key = key_number(protocol, number);

	conn_open(table, &key, outbound, protocol == PROTOCOL_TCP ? TCP_SYN : 0, IDLE_S, now_ns);
}

static bool pass_number(
	uint8_t protocol, unsigned number, bool outbound, uint8_t flags, uint64_t now_ns)
{
	struct conn_key key = key_number(protocol, number);
	bool has = conn_has(table, &key, flags, now_ns);

	assert_int_equal(conn_pass(table, &key, outbound, flags, now_ns), has);
	return has;
}

static bool has_number(uint8_t protocol, unsigned number, uint64_t now_ns)
{
	struct conn_key key = key_number(protocol, number);

	return conn_has(table, &key, 0, now_ns);
}

static void test_sizes(void **state)
{
	struct conn_table *other;

	(void)state;
	assert_int_equal(conn_table_new(0, 1, &other), -EINVAL);
	assert_int_equal(conn_table_new(CONN_MAX_ENTRIES + 1, 1, &other), -EINVAL);
	conn_table_free(NULL);
}

static void test_keys(void **state)
{
	struct headers out = tcp_headers(1, 1000, 2, 80, TCP_SYN), in = answer_to(&out);
	struct conn_key a, b;

	(void)state;
	a = key_of(out, true);
	b = key_of(in, false);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(a.local_port, 1000);
	assert_int_equal(a.remote_port, 80);
	assert_int_equal(a.remote_ip[3], 2);
	/* The same addresses the other way round are another conversation. */
	b = key_of(out, false);
	assert_memory_not_equal(&a, &b, sizeof(a));
	out = echo_headers(false, 1, 2, true, 7);
	a = key_of(out, true);
	b = key_of(answer_to(&out), false);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_false(a.remote_asks);
	b = key_of(echo_headers(false, 2, 1, true, 7), false);
	assert_true(b.remote_asks);
}

static void test_what_has_no_key(void **state)
{
	struct headers bad[] = {
		{.l3 = HEADERS_L3_OTHER},
		{.l3 = HEADERS_L3_ARP},
		ip_headers(false, 47, 1, 2),
		tcp_headers(1, 1, 2, 2, 0),
		tcp_headers(1, 1, 2, 2, 0),
		echo_headers(false, 1, 2, true, 1),
		echo_headers(true, 1, 2, true, 1),
		echo_headers(true, 1, 2, true, 1),
	};
	struct conn_key key;

	(void)state;
	bad[3].hidden = true;
	bad[4].malformed = true;
	bad[5].icmp_type = 3;
	bad[6].icmp_type = ICMP_ECHO_REQUEST;
	bad[7].l3 = HEADERS_L3_IPV4;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(conn_key_of(&bad[i], true, &key));
		assert_false(conn_key_of(&bad[i], false, &key));
	}
}

static void test_idle_times(void **state)
{
	struct conn_key key = key_number(PROTOCOL_UDP, 1);
	uint64_t end_ns = T0 + IDLE_S * NS_PER_SEC;

	(void)state;
	assert_false(pass_number(PROTOCOL_UDP, 1, true, 0, T0));
	open_number(PROTOCOL_UDP, 1, true, T0);
	assert_true(has_number(PROTOCOL_UDP, 1, end_ns - 1));
	assert_false(has_number(PROTOCOL_UDP, 1, end_ns));
	assert_true(pass_number(PROTOCOL_UDP, 1, false, 0, end_ns - 1));
	assert_true(has_number(PROTOCOL_UDP, 1, end_ns));
	/* Opening once more refreshes, with another time-out. */
	conn_open(table, &key, true, 0, 0, end_ns);
	assert_int_equal(conn_count(table), 1);
	assert_true(has_number(PROTOCOL_UDP, 1, end_ns + CONN_DEFAULT_IDLE_S * NS_PER_SEC - 1));
	assert_false(has_number(PROTOCOL_UDP, 1, end_ns + CONN_DEFAULT_IDLE_S * NS_PER_SEC));
	conn_age(table, end_ns + CONN_DEFAULT_IDLE_S * NS_PER_SEC - 1);
	assert_int_equal(conn_count(table), 1);
	conn_age(table, end_ns + CONN_DEFAULT_IDLE_S * NS_PER_SEC);
	assert_int_equal(conn_count(table), 0);
	/* A clock that goes back ends nothing, and no time-out is endless. */
	conn_open(table, &key, true, 0, UINT32_MAX, T0);
	assert_true(has_number(PROTOCOL_UDP, 1, T0 - 5));
	assert_true(has_number(PROTOCOL_UDP, 1, T0 + CONN_MAX_IDLE_S * NS_PER_SEC - 1));
	assert_false(has_number(PROTOCOL_UDP, 1, T0 + CONN_MAX_IDLE_S * NS_PER_SEC));
}

static void test_fin_from_both_sides(void **state)
{
	uint64_t closing_ns;

	(void)state;
	open_number(PROTOCOL_TCP, 1, true, T0);
	assert_true(pass_number(PROTOCOL_TCP, 1, false, TCP_SYN | TCP_ACK, T0));
	assert_true(pass_number(PROTOCOL_TCP, 1, true, TCP_FIN | TCP_ACK, T0));
	assert_true(pass_number(PROTOCOL_TCP, 1, true, TCP_FIN | TCP_ACK, T0));
	/* Half closed: the other side may send on. */
	closing_ns = T0 + (IDLE_S - 1) * NS_PER_SEC;
	assert_true(pass_number(PROTOCOL_TCP, 1, false, TCP_ACK, closing_ns));
	assert_true(pass_number(PROTOCOL_TCP, 1, false, TCP_FIN | TCP_ACK, closing_ns));
	/* Nothing that is sent meanwhile makes the last seconds more. */
	assert_true(pass_number(PROTOCOL_TCP, 1, true, TCP_ACK, closing_ns + CONN_CLOSING_NS - 1));
	assert_false(pass_number(PROTOCOL_TCP, 1, true, TCP_ACK, closing_ns + CONN_CLOSING_NS));
}

static void test_reset(void **state)
{
	(void)state;
	open_number(PROTOCOL_TCP, 1, false, T0);
	assert_true(pass_number(PROTOCOL_TCP, 1, true, TCP_RST | TCP_ACK, T0));
	assert_true(pass_number(PROTOCOL_TCP, 1, false, TCP_ACK, T0 + 1));
	assert_false(has_number(PROTOCOL_TCP, 1, T0 + CONN_CLOSING_NS));
	/* Who begins again does so with the list's leave. */
	assert_false(pass_number(PROTOCOL_TCP, 1, false, TCP_SYN, T0 + 1));
	assert_true(pass_number(PROTOCOL_TCP, 1, false, TCP_SYN | TCP_ACK, T0 + 1));
	open_number(PROTOCOL_TCP, 1, false, T0 + 1);
	assert_int_equal(conn_count(table), 1);
	assert_true(pass_number(PROTOCOL_TCP, 1, false, TCP_SYN, T0 + CONN_CLOSING_NS + 1));
	/* Flags mean nothing to UDP. */
	open_number(PROTOCOL_UDP, 1, true, T0);
	assert_true(pass_number(PROTOCOL_UDP, 1, false, TCP_RST, T0));
	assert_true(has_number(PROTOCOL_UDP, 1, T0 + CONN_CLOSING_NS));
}

static void test_what_begins_none(void **state)
{
	struct headers ping = echo_headers(false, 1, 2, true, 7);
	struct conn_key key = key_number(PROTOCOL_TCP, 1);

	(void)state;
	conn_open(table, &key, true, TCP_RST, IDLE_S, T0);
	conn_open(table, &key, true, TCP_RST | TCP_ACK, IDLE_S, T0);
	key = key_of(answer_to(&ping), true);
	conn_open(table, &key, true, 0, IDLE_S, T0);
	key = key_of(answer_to(&ping), false);
	conn_open(table, &key, false, 0, IDLE_S, T0);
	assert_int_equal(conn_count(table), 0);
	conn_open(table, &key, true, 0, IDLE_S, T0);
	assert_int_equal(conn_count(table), 1);
}

static void test_strangers_evict_strangers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		open_number(PROTOCOL_TCP, i, true, T0 + i);
		assert_true(pass_number(PROTOCOL_TCP, i, false, TCP_SYN | TCP_ACK, T0 + i));
	}
	for (unsigned i = 0; i < 1000; i++)
		open_number(i % 2 ? PROTOCOL_TCP : PROTOCOL_UDP, 100 + i, false, T0 + 10 + i);
	assert_int_equal(conn_count(table), N_ENTRIES);
	for (unsigned i = 0; i < 4; i++)
		assert_true(has_number(PROTOCOL_TCP, i, T0 + 2000));
	for (unsigned i = 996; i < 1000; i++)
		assert_true(has_number(i % 2 ? PROTOCOL_TCP : PROTOCOL_UDP, 100 + i, T0 + 2000));
}

static void test_order_of_eviction(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N_ENTRIES; i++) {
		open_number(PROTOCOL_TCP, i, true, T0 + i);
		assert_true(pass_number(PROTOCOL_TCP, i, false, TCP_ACK, T0 + i));
	}
	assert_true(pass_number(PROTOCOL_TCP, 0, true, TCP_ACK, T0 + 20));
	assert_true(pass_number(PROTOCOL_TCP, 5, true, TCP_RST, T0 + 21));
	open_number(PROTOCOL_TCP, 100, true, T0 + 22); /* for the closing one */
	assert_false(has_number(PROTOCOL_TCP, 5, T0 + 22));
	open_number(PROTOCOL_TCP, 101, true, T0 + 23); /* for the unanswered one */
	assert_false(has_number(PROTOCOL_TCP, 100, T0 + 23));
	assert_true(pass_number(PROTOCOL_TCP, 101, false, TCP_ACK, T0 + 24));
	open_number(PROTOCOL_TCP, 102, true, T0 + 25); /* for the one idle longest */
	assert_false(has_number(PROTOCOL_TCP, 1, T0 + 25));
	assert_true(has_number(PROTOCOL_TCP, 0, T0 + 25));
	assert_int_equal(conn_count(table), N_ENTRIES);
}

static void test_the_ended_go_before_the_living(void **state)
{
	uint64_t later_ns = T0 + IDLE_S * NS_PER_SEC;
	struct conn_key key = key_number(PROTOCOL_UDP, 0);

	(void)state;
	conn_open(table, &key, true, 0, 2 * IDLE_S, T0);
	for (unsigned i = 1; i < N_ENTRIES; i++)
		open_number(PROTOCOL_UDP, i, true, T0);
	open_number(PROTOCOL_UDP, 100, true, later_ns);
	assert_int_equal(conn_count(table), 2);
	assert_true(has_number(PROTOCOL_UDP, 0, later_ns));
	conn_clear(table);
	assert_int_equal(conn_count(table), 0);
	assert_false(has_number(PROTOCOL_UDP, 0, later_ns));
}

/* Many keys, one after the other: entries are found, freed and used again. */
static void test_many(void **state)
{
	struct conn_table *large;
	struct headers h = port_headers(PROTOCOL_UDP, 1, 0, 2, 0);
	struct conn_key key;

	(void)state;
	assert_int_equal(conn_table_new(CONN_MAX_ENTRIES, 99, &large), 0);
	for (unsigned i = 0; i < 3 * CONN_MAX_ENTRIES; i++) {
		h.src_port = (uint16_t)i;
		key = key_of(h, true);
		conn_open(large, &key, true, 0, IDLE_S, T0 + i);
	}
	assert_int_equal(conn_count(large), CONN_MAX_ENTRIES);
	for (unsigned i = 0; i < 3 * CONN_MAX_ENTRIES; i++) {
		h.src_port = (uint16_t)i;
		key = key_of(h, true);
		assert_int_equal(conn_has(large, &key, 0, T0 + i), i >= 2 * CONN_MAX_ENTRIES);
	}
	conn_table_free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_what_has_no_key),
		cmocka_unit_test_setup_teardown(test_idle_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fin_from_both_sides, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_begins_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers_evict_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_of_eviction, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_ended_go_before_the_living, setup, teardown),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
