/* SPDX-License-Identifier: MIT */
#include "fabric/mcast_parse.h"
#include "base/clock.h"
#include "tests/unit/fabric/mcast_support.h"
#include "tests/unit/fabric/support.h"

static struct message m;
static struct mcast_message parsed;

/* From memory of exactly the frame's size, so that reading past it is noticed. */
static enum mcast_kind parse(void)
{
	uint8_t *exact = malloc(MAX(m.size_bytes, (size_t)1));

	assert_non_null(exact);
	memcpy(exact, m.frame, m.size_bytes);
	memset(&parsed, 0xa5, sizeof(parsed));
	mcast_parse(&m.headers, exact, m.size_bytes, &parsed);
	free(exact);
	if (parsed.kind != MCAST_NOTHING)
		assert_int_equal(parsed.ipv6, m.headers.l3 == HEADERS_L3_IPV6);
	return parsed.kind;
}

static void assert_change(unsigned index, const uint8_t *group, bool join)
{
	assert_true(index < parsed.n_changes);
	assert_memory_equal(parsed.changes[index].group, group, HEADERS_IP_BYTES);
	assert_int_equal(parsed.changes[index].join, join);
}

static void test_single_reports(void **state)
{
	static const struct {
		bool ipv6, join;
		uint8_t type;
	} rows[] = {
		{false, true, IGMP_V1_REPORT},
		{false, true, IGMP_V2_REPORT},
		{false, false, IGMP_V2_LEAVE},
		{true, true, MLD_V1_REPORT},
		{true, false, MLD_V1_DONE},
	};
	uint8_t group[HEADERS_IP_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make_group(group, rows[i].ipv6, 7);
		message_single(&m, rows[i].ipv6, rows[i].type, 0, group);
		assert_int_equal(parse(), MCAST_REPORT);
		assert_int_equal(parsed.n_changes, 1);
		assert_false(parsed.more);
		assert_change(0, group, rows[i].join);
		/* More bytes are summed up and otherwise passed over (RFC 2236, 2.5). */
		message_resize(&m, m.headers.l4_bytes + 3);
		message_seal(&m);
		assert_int_equal(parse(), MCAST_REPORT);
	}
}

static void test_queries(void **state)
{
	static const struct {
		bool ipv6;
		unsigned code;
		size_t message_bytes;
		uint64_t response_ms;
	} rows[] = {
		{false, 0, IGMP_MIN_BYTES, 10000}, /* v1 */
		{false, 50, IGMP_MIN_BYTES, 5000},
		{false, 200, IGMP_MIN_BYTES, 20000}, /* v2 has no exponents */
		{false, 100, IGMP_V3_QUERY_BYTES, 10000},
		{false, 0x80, IGMP_V3_QUERY_BYTES, 12800},
		{false, 0xff, IGMP_V3_QUERY_BYTES, 3174400},
		{true, 10000, MLD_V1_BYTES, 10000},
		{true, 0xffff, MLD_V1_BYTES, 65535},
		{true, 10000, MLD_V2_QUERY_BYTES, 10000},
		{true, 0x8000, MLD_V2_QUERY_BYTES, 32768},
		{true, 0xffff, MLD_V2_QUERY_BYTES, 8387584},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bytes[MLD_V2_QUERY_BYTES] = {rows[i].ipv6 ? MLD_QUERY : IGMP_QUERY};

		if (rows[i].ipv6)
			store_be16(bytes + MLD_RESPONSE, (uint16_t)rows[i].code);
		else
			bytes[IGMP_CODE] = (uint8_t)rows[i].code;
		message_make(&m, rows[i].ipv6, message_protocol(rows[i].ipv6), bytes,
			rows[i].message_bytes);
		assert_int_equal(parse(), MCAST_QUERY);
		assert_int_equal(parsed.response_ns, rows[i].response_ms * NS_PER_MS);
	}
}

/* Of a length between two versions, about a group, about sources, to other than all hosts. */
static void test_queries_that_ask_not_all(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		size_t v1_bytes = ipv6 ? MLD_V1_BYTES : IGMP_MIN_BYTES;
		uint8_t group[HEADERS_IP_BYTES];

		make_group(group, ipv6, 1);
		message_single(&m, ipv6, ipv6 ? MLD_QUERY : IGMP_QUERY, 10, group);
		assert_int_equal(parse(), MCAST_NOTHING);

		message_query(&m, ipv6);
		m.headers.ip_dst[15 - 12 * !ipv6] = 2;
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);

		for (size_t more = 1; more < 4; more++) {
			message_query(&m, ipv6);
			message_resize(&m, v1_bytes + more);
			message_seal(&m);
			assert_int_equal(parse(), MCAST_NOTHING);
		}
		message_resize(&m, v1_bytes + 4);
		message_seal(&m);
		assert_int_equal(parse(), MCAST_QUERY);
		message_at(&m)[v1_bytes + 3] = 1; /* a source, which is not there either */
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);
	}
}

static void test_records(void **state)
{
	static const struct {
		uint8_t type, n_sources, n_aux;
		int join; /* -1: says nothing */
	} rows[] = {
		{RECORD_IS_INCLUDE, 0, 0, false},
		{RECORD_IS_INCLUDE, 2, 0, true},
		{RECORD_IS_EXCLUDE, 0, 0, true},
		{RECORD_IS_EXCLUDE, 3, 1, true},
		{RECORD_TO_INCLUDE, 0, 0, false},
		{RECORD_TO_INCLUDE, 1, 0, true},
		{RECORD_TO_EXCLUDE, 0, 2, true},
		{RECORD_ALLOW, 0, 0, -1},
		{RECORD_ALLOW, 1, 0, true},
		{RECORD_BLOCK, 1, 0, -1},
		{0, 0, 0, -1},
		{7, 1, 255, -1},
		{255, 0, 0, -1},
	};

	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		uint8_t group[HEADERS_IP_BYTES];
		unsigned n = 0;

		message_report(&m, ipv6);
		assert_int_equal(parse(), MCAST_REPORT);
		assert_int_equal(parsed.n_changes, 0);
		for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
			make_group(group, ipv6, i);
			message_add_record(
				&m, rows[i].type, group, rows[i].n_sources, rows[i].n_aux);
		}
		assert_int_equal(parse(), MCAST_REPORT);
		assert_false(parsed.more);
		for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
			make_group(group, ipv6, i);
			if (rows[i].join >= 0)
				assert_change(n++, group, rows[i].join);
		}
		assert_int_equal(parsed.n_changes, n);
	}
}

static void test_many_records(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		uint8_t group[HEADERS_IP_BYTES];

		message_report(&m, ipv6);
		for (unsigned i = 0; i < MCAST_MAX_RECORDS + 20; i++) {
			make_group(group, ipv6, i);
			message_add_record(&m, RECORD_IS_EXCLUDE, group, 0, 0);
			assert_int_equal(parse(), MCAST_REPORT);
			assert_int_equal(parsed.n_changes, MIN(i + 1, 0U + MCAST_MAX_RECORDS));
			assert_int_equal(parsed.more, i >= MCAST_MAX_RECORDS);
		}
	}
}

static void test_records_that_contradict(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		uint8_t group[HEADERS_IP_BYTES];
		uint8_t *record;

		make_group(group, ipv6, 1);
		message_report(&m, ipv6);
		message_add_record(&m, RECORD_IS_EXCLUDE, group, 1, 1);
		record = message_at(&m) + REPORT_BYTES;
		/* More records than there are: none counts. */
		for (unsigned n = 2; n < 65536; n += 1000) {
			store_be16(message_at(&m) + REPORT_N_RECORDS, (uint16_t)n);
			message_seal(&m);
			assert_int_equal(parse(), MCAST_NOTHING);
			assert_int_equal(parsed.n_changes, 0);
		}
		/* Fewer: the rest is none. */
		store_be16(message_at(&m) + REPORT_N_RECORDS, 0);
		message_seal(&m);
		assert_int_equal(parse(), MCAST_REPORT);
		assert_int_equal(parsed.n_changes, 0);
		/* Sources and auxiliary data past the end. */
		store_be16(message_at(&m) + REPORT_N_RECORDS, 1);
		store_be16(record + RECORD_N_SOURCES, 0xffff);
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);
		store_be16(record + RECORD_N_SOURCES, 1);
		record[RECORD_AUX_WORDS] = 2;
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);
		record[RECORD_AUX_WORDS] = 1;
		message_seal(&m);
		assert_int_equal(parse(), MCAST_REPORT);
	}
}

static void make_kind(unsigned kind, bool ipv6)
{
	static const uint8_t hello[] = {PIM_V2_HELLO, 0, 0, 0, 0, 1, 0, 2, 0, 105};
	uint8_t advertisement[8] = {ipv6 ? MLD_ROUTER_ADVERTISEMENT : IGMP_ROUTER_ADVERTISEMENT};
	uint8_t group[HEADERS_IP_BYTES];

	make_group(group, ipv6, 3);
	switch (kind) {
	case 0:
		message_query(&m, ipv6);
		break;
	case 1:
		message_join(&m, ipv6, group);
		break;
	case 2:
		message_leave(&m, ipv6, group);
		break;
	case 3:
		message_report(&m, ipv6);
		message_add_record(&m, RECORD_TO_EXCLUDE, group, 0, 0);
		break;
	case 4:
		message_make(&m, ipv6, message_protocol(ipv6), advertisement, 8);
		break;
	case 5:
		message_make(&m, ipv6, PROTOCOL_PIM, hello, sizeof(hello));
		break;
	}
}

#define N_KINDS 6

static void test_routers(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		make_kind(4, ipv6);
		assert_int_equal(parse(), MCAST_ROUTER);
		make_kind(5, ipv6);
		assert_int_equal(parse(), MCAST_ROUTER);
		message_at(&m)[0] = PIM_V2_HELLO + 1;
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);
	}
}

/* Whatever is cut off, with a checksum that holds or not, and whether the IP header knows or not.
 */
static void test_truncated(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < N_KINDS * 2; kind++) {
		bool ipv6 = kind >= N_KINDS;
		size_t full_bytes;

		make_kind(kind % N_KINDS, ipv6);
		full_bytes = m.headers.l4_bytes;
		for (size_t n = 0; n < full_bytes; n++) {
			make_kind(kind % N_KINDS, ipv6);
			m.size_bytes = m.headers.l4_at + n;
			assert_int_equal(parse(), MCAST_NOTHING);
			message_resize(&m, n);
			message_seal(&m);
			/* A Hello's options are not looked at, its first four bytes are. */
			if (kind % N_KINDS == 5 && n >= PIM_MIN_BYTES)
				assert_int_equal(parse(), MCAST_ROUTER);
			else
				assert_int_equal(parse(), MCAST_NOTHING);
		}
		make_kind(kind % N_KINDS, ipv6);
		m.size_bytes = m.headers.l4_at - 1;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.size_bytes = 0;
		assert_int_equal(parse(), MCAST_NOTHING);
	}
}

static void test_every_bit_is_summed(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < N_KINDS * 2; kind++) {
		make_kind(kind % N_KINDS, kind >= N_KINDS);
		assert_int_not_equal(parse(), MCAST_NOTHING);
		for (size_t bit = 0; bit < m.headers.l4_bytes * 8U; bit++) {
			message_at(&m)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(parse(), MCAST_NOTHING);
			message_at(&m)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void test_what_headers_forbid(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < N_KINDS * 2; kind++) {
		bool ipv6 = kind >= N_KINDS;

		make_kind(kind % N_KINDS, ipv6);
		m.headers.ttl = 2;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.headers.ttl = 1;
		m.headers.dst[0] = 2;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.headers.dst[0] = ipv6 ? 0x33 : 1;
		m.headers.hidden = true;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.headers.hidden = false;
		m.headers.fragment = true;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.headers.fragment = false;
		m.headers.malformed = true;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.headers.malformed = false;
		m.headers.l3 = HEADERS_L3_ARP;
		assert_int_equal(parse(), MCAST_NOTHING);
		m.headers.l3 = ipv6 ? HEADERS_L3_IPV6 : HEADERS_L3_IPV4;
		m.headers.protocol = 17;
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);
	}
	/* IGMP in IPv6 and MLD in IPv4 are neither. */
	make_kind(1, false);
	m.headers.l3 = HEADERS_L3_IPV6;
	message_seal(&m);
	assert_int_equal(parse(), MCAST_NOTHING);
	make_kind(1, true);
	m.headers.l3 = HEADERS_L3_IPV4;
	message_seal(&m);
	assert_int_equal(parse(), MCAST_NOTHING);
}

static void test_mld_sources(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 5; kind++) {
		bool is_report = kind >= 1 && kind <= 3;

		make_kind(kind, true);
		m.headers.ip_src[1] = 0xbf; /* the end of fe80::/10 */
		message_seal(&m);
		assert_int_not_equal(parse(), MCAST_NOTHING);
		memset(m.headers.ip_src, 0, HEADERS_IP_BYTES);
		message_seal(&m);
		assert_int_equal(parse() == MCAST_NOTHING, !is_report);
		m.headers.ip_src[0] = 0x20;
		message_seal(&m);
		assert_int_equal(parse(), MCAST_NOTHING);
	}
}

static void test_group_addresses(void **state)
{
	static const struct {
		bool ipv6;
		uint8_t group[HEADERS_IP_BYTES];
		bool is_group;
		uint8_t mac[ETH_ADDR_LEN];
	} rows[] = {
		{false, {239, 1, 2, 3}, true, {1, 0, 0x5e, 1, 2, 3}},
		{false, {224, 129, 2, 3}, true, {1, 0, 0x5e, 1, 2, 3}},
		{false, {224, 0, 1, 0}, true, {1, 0, 0x5e, 0, 1, 0}},
		{false, {224, 0, 0, 251}, false, {0}},
		{false, {239, 0, 0, 1}, false, {0}},
		{false, {239, 128, 0, 1}, false, {0}},
		{false, {223, 1, 2, 3}, false, {0}},
		{false, {240, 1, 2, 3}, false, {0}},
		{false, {0}, false, {0}},
		{true, {0xff, 2, [12] = 0, 0, 0, 0xfb}, true, {0x33, 0x33, 0, 0, 0, 0xfb}},
		{true, {0xff, 2, [11] = 1, 0xff, 1, 2, 3}, true, {0x33, 0x33, 0xff, 1, 2, 3}},
		{true, {0xff, 0x3e, [12] = 9, 8, 7, 6}, true, {0x33, 0x33, 9, 8, 7, 6}},
		{true, {0xff, 2, [15] = 1}, false, {0}},
		{true, {0xff, 0x0e, [11] = 5, [15] = 1}, false, {0}},
		{true, {0xff, 1, [15] = 9}, false, {0}},
		{true, {0xff, 0x10, [15] = 9}, false, {0}},
		{true, {0xfe, 0x80, [15] = 9}, false, {0}},
		{true, {0}, false, {0}},
	};
	uint8_t mac[ETH_ADDR_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ipv6 = !rows[i].ipv6;

		memset(mac, 0xee, sizeof(mac));
		assert_int_equal(
			mcast_group_mac(rows[i].ipv6, rows[i].group, mac), rows[i].is_group);
		if (rows[i].is_group) {
			assert_memory_equal(mac, rows[i].mac, ETH_ADDR_LEN);
			assert_true(mcast_mac_is_group(mac, &ipv6));
			assert_int_equal(ipv6, rows[i].ipv6);
		} else {
			assert_int_equal(mac[0], 0xee);
		}
		/* Nor do reports of what is no group count. */
		message_join(&m, rows[i].ipv6, rows[i].group);
		assert_int_equal(parse(), MCAST_REPORT);
		assert_int_equal(parsed.n_changes, rows[i].is_group);
	}
}

static void test_other_addresses(void **state)
{
	static const uint8_t macs[][ETH_ADDR_LEN] = {
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{1, 0, 0x5e, 0x80, 1, 1},
		{1, 0, 0x5e, 0, 0, 0xff},
		{1, 0, 0x5f, 1, 1, 1},
		{1, 0x80, 0xc2, 0, 0, 0x10},
		{2, 0, 0x5e, 1, 1, 1},
		{0x33, 0x33, 0, 0, 0, 1},
		{0x33, 0x32, 1, 1, 1, 1},
		{3, 0xbf, 10, 0, 0, 1},
	};
	bool ipv6;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(macs); i++)
		assert_false(mcast_mac_is_group(macs[i], &ipv6));
}

/* Any bytes, with headers that say anything of them: in bounds, and what comes out is sound. */
static void test_random(void **state)
{
	uint64_t random = 0x5eed;
	unsigned n_reports = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		bool ipv6 = random_below(&random, 2);
		uint8_t mac[ETH_ADDR_LEN];

		make_kind(random_below(&random, N_KINDS), ipv6);
		for (unsigned n = random_below(&random, 4); n; n--)
			message_at(&m)[random_below(&random, m.headers.l4_bytes)] =
				(uint8_t)random_next(&random);
		if (random_below(&random, 2))
			message_resize(&m, m.headers.l4_bytes + random_below(&random, 64));
		message_seal(&m);
		if (random_below(&random, 8) == 0)
			m.headers.l4_at = (uint16_t)random_next(&random);
		if (random_below(&random, 8) == 0)
			m.size_bytes = random_below(&random, (unsigned)m.size_bytes);
		if (parse() != MCAST_REPORT)
			continue;
		n_reports++;
		assert_true(parsed.n_changes <= MCAST_MAX_RECORDS);
		for (unsigned j = 0; j < parsed.n_changes; j++)
			assert_true(mcast_group_mac(ipv6, parsed.changes[j].group, mac));
	}
	assert_true(n_reports > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_reports),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_queries_that_ask_not_all),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_records_that_contradict),
		cmocka_unit_test(test_routers),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_every_bit_is_summed),
		cmocka_unit_test(test_what_headers_forbid),
		cmocka_unit_test(test_mld_sources),
		cmocka_unit_test(test_group_addresses),
		cmocka_unit_test(test_other_addresses),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
