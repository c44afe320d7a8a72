/* SPDX-License-Identifier: MIT */
#include "fabric/mcast.h"
#include "fabric/mcast_parse.h"
#include "tests/unit/fabric/mcast_support.h"
#include "tests/unit/fabric/support.h"

#define T0      (1000 * NS_PER_SEC)
#define SETTLED (T0 + MCAST_SETTLE_NS)
#define ALL     0xffffU /* ports that mcast_ports() leaves to the caller */
#define VID     5

static struct mcast *mcast;
static struct message m;

static int setup(void **state)
{
	(void)state;
	return mcast_new(0x1234, &mcast);
}

static int teardown(void **state)
{
	(void)state;
	mcast_free(mcast);
	return 0;
}

static bool snoop(unsigned vid, unsigned port, uint64_t now_ns)
{
	struct mcast_message said;

	mcast_parse(&m.headers, m.frame, m.size_bytes, &said);
	return mcast_snoop(mcast, vid, port, &said, now_ns);
}

static void query(unsigned port, bool ipv6, uint64_t now_ns)
{
	message_query(&m, ipv6);
	assert_false(snoop(VID, port, now_ns));
}

static void join(unsigned port, bool ipv6, unsigned number, uint64_t now_ns)
{
	uint8_t group[HEADERS_IP_BYTES];

	make_group(group, ipv6, number);
	message_join(&m, ipv6, group);
	assert_true(snoop(VID, port, now_ns));
}

static void leave(unsigned port, bool ipv6, unsigned number, uint64_t now_ns)
{
	uint8_t group[HEADERS_IP_BYTES];

	make_group(group, ipv6, number);
	message_leave(&m, ipv6, group);
	assert_true(snoop(VID, port, now_ns));
}

/* The first 16 ports as bits, or ALL. */
static unsigned fold(bool some, const uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)])
{
	if (!some)
		return ALL;
	assert_int_equal(bitmap_count(ports, BITMAP_WORDS(FDB_MAX_PORTS)),
		__builtin_popcountll(ports[0] & 0x7fff));
	return (unsigned)ports[0];
}

static unsigned ports_of(unsigned vid, bool ipv6, unsigned number, uint64_t now_ns)
{
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)];
	uint8_t group[HEADERS_IP_BYTES], mac[ETH_ADDR_LEN];

	make_group(group, ipv6, number);
	assert_true(mcast_group_mac(ipv6, group, mac));
	return fold(mcast_ports(mcast, vid, mac, now_ns, ports), ports);
}

static unsigned report_ports(unsigned vid, bool ipv6, uint64_t now_ns)
{
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)];

	return fold(mcast_report_ports(mcast, vid, ipv6, now_ns, ports), ports);
}

static void test_members_and_querier(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		query(1, ipv6, T0);
		join(2, ipv6, 7, T0 + 1);
		join(3, ipv6, 7, T0 + 2);
		join(4, ipv6, 8, T0 + 3);
		assert_int_equal(ports_of(VID, ipv6, 7, SETTLED), 1 << 1 | 1 << 2 | 1 << 3);
		assert_int_equal(ports_of(VID, ipv6, 8, SETTLED), 1 << 1 | 1 << 4);
		/* Nobody is known to want it; another VLAN; another protocol. */
		assert_int_equal(ports_of(VID, ipv6, 9, SETTLED), ALL);
		assert_int_equal(ports_of(VID + 1, ipv6, 7, SETTLED), ALL);
	}
	assert_int_equal(report_ports(VID, false, SETTLED), 1 << 1);
	assert_int_equal(report_ports(VID + 1, false, SETTLED), ALL);
}

static void test_reports_v3(void **state)
{
	uint8_t group[HEADERS_IP_BYTES];

	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		query(1, ipv6, T0);
		message_report(&m, ipv6);
		for (unsigned i = 0; i < 10; i++) {
			make_group(group, ipv6, i);
			message_add_record(&m, i % 2 ? RECORD_TO_EXCLUDE : RECORD_ALLOW, group,
				i % 2 ? 0 : 2, 0);
		}
		assert_true(snoop(VID, 2, T0));
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(ports_of(VID, ipv6, i, SETTLED), 1 << 1 | 1 << 2);
		message_report(&m, ipv6);
		make_group(group, ipv6, 3);
		message_add_record(&m, RECORD_TO_INCLUDE, group, 0, 0);
		assert_true(snoop(VID, 2, SETTLED));
		assert_int_equal(ports_of(VID, ipv6, 3, SETTLED + MCAST_LAST_NS), ALL);
		assert_int_equal(ports_of(VID, ipv6, 4, SETTLED + MCAST_LAST_NS), 1 << 1 | 1 << 2);
	}
}

static void test_what_is_never_pruned(void **state)
{
	static const uint8_t groups[][HEADERS_IP_BYTES] = {
		{224, 0, 0, 251}, {239, 128, 0, 5}, {0xff, 2, [15] = 1}};
	static const uint8_t macs[][ETH_ADDR_LEN] = {{1, 0, 0x5e, 0, 0, 251}, {1, 0, 0x5e, 0, 0, 5},
		{0x33, 0x33, 0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {[5] = 4},
		{[5] = 6}, {1, 0x80, 0xc2, 0, 0, 0x21}};
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)];

	(void)state;
	query(1, false, T0);
	query(1, true, T0);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		message_join(&m, i == 2, groups[i]);
		assert_true(snoop(VID, 2, T0));
	}
	for (size_t i = 0; i < ARRAY_LEN(macs); i++)
		assert_false(mcast_ports(mcast, VID, macs[i], SETTLED, ports));
}

/* Solicited-node groups are pruned where somebody reported them, and only there. */
static void test_solicited_node(void **state)
{
	static const uint8_t group[HEADERS_IP_BYTES] = {0xff, 2, [11] = 1, 0xff, 1, 2, 3};
	static const uint8_t mac[ETH_ADDR_LEN] = {0x33, 0x33, 0xff, 1, 2, 3};
	uint64_t ports[BITMAP_WORDS(FDB_MAX_PORTS)];

	(void)state;
	query(1, true, T0);
	assert_false(mcast_ports(mcast, VID, mac, SETTLED, ports));
	message_report(&m, true);
	message_add_record(&m, RECORD_TO_EXCLUDE, group, 0, 0);
	memset(m.headers.ip_src, 0, HEADERS_IP_BYTES); /* the address is tentative still */
	message_seal(&m);
	assert_true(snoop(VID, 2, T0));
	assert_true(mcast_ports(mcast, VID, mac, SETTLED, ports));
	assert_int_equal(ports[0], 1 << 1 | 1 << 2);
}

static void test_querier_times_out(void **state)
{
	(void)state;
	join(2, false, 7, T0);
	assert_false(mcast_has_querier(mcast, VID, T0));
	assert_int_equal(ports_of(VID, false, 7, SETTLED), ALL);
	assert_int_equal(report_ports(VID, false, T0), ALL);
	query(1, false, T0);
	assert_true(mcast_has_querier(mcast, VID, T0));
	assert_false(mcast_has_querier(mcast, VID + 1, T0));
	/* Its reports are kept together from the beginning, its groups when all have answered. */
	assert_int_equal(report_ports(VID, false, T0), 1 << 1);
	assert_int_equal(ports_of(VID, false, 7, SETTLED - 1), ALL);
	assert_int_equal(ports_of(VID, false, 7, SETTLED), 1 << 1 | 1 << 2);
	/* A second query has nobody wait again. */
	query(1, false, T0 + 125 * NS_PER_SEC);
	join(2, false, 7, T0 + 126 * NS_PER_SEC);
	assert_int_equal(ports_of(VID, false, 7, T0 + 127 * NS_PER_SEC), 1 << 1 | 1 << 2);
	assert_int_equal(ports_of(VID, false, 7, T0 + 125 * NS_PER_SEC + MCAST_QUERIER_NS - 1),
		1 << 1 | 1 << 2);
	assert_int_equal(ports_of(VID, false, 7, T0 + 125 * NS_PER_SEC + MCAST_QUERIER_NS), ALL);
	assert_false(mcast_has_querier(mcast, VID, T0 + 125 * NS_PER_SEC + MCAST_QUERIER_NS));
	assert_int_equal(report_ports(VID, false, T0 + 125 * NS_PER_SEC + MCAST_QUERIER_NS), ALL);
	/* One that comes back does: in the meantime some memberships ran out. */
	query(1, false, T0 + 500 * NS_PER_SEC);
	join(2, false, 7, T0 + 501 * NS_PER_SEC);
	assert_int_equal(ports_of(VID, false, 7, T0 + 509 * NS_PER_SEC), ALL);
	assert_int_equal(ports_of(VID, false, 7, T0 + 510 * NS_PER_SEC), 1 << 1 | 1 << 2);
}

/* IGMP's queries ask nobody for groups of IPv6. */
static void test_queriers_are_apart(void **state)
{
	(void)state;
	query(1, false, T0);
	join(2, true, 7, T0);
	assert_int_equal(ports_of(VID, true, 7, SETTLED), ALL);
	assert_int_equal(report_ports(VID, true, SETTLED), ALL);
	query(3, true, T0);
	assert_int_equal(ports_of(VID, true, 7, SETTLED), 1 << 2 | 1 << 3);
	assert_int_equal(report_ports(VID, true, SETTLED), 1 << 3);
	assert_int_equal(report_ports(VID, false, SETTLED), 1 << 1);
}

/* A querier may give hosts more time, but not without end. */
static void test_response_times(void **state)
{
	(void)state;
	join(2, true, 7, T0);
	message_query(&m, true);
	store_be16(message_at(&m) + MLD_RESPONSE, 60000);
	message_seal(&m);
	assert_false(snoop(VID, 1, T0));
	assert_int_equal(ports_of(VID, true, 7, T0 + 60 * NS_PER_SEC - 1), ALL);
	assert_int_equal(ports_of(VID, true, 7, T0 + 60 * NS_PER_SEC), 1 << 1 | 1 << 2);

	message_query(&m, true);
	message_resize(&m, MLD_V2_QUERY_BYTES);
	store_be16(message_at(&m) + MLD_RESPONSE, 0xffff);
	message_seal(&m);
	assert_false(snoop(VID, 1, T0 + 2000 * NS_PER_SEC));
	for (unsigned i = 0; i < 4; i++) {
		query(1, true, T0 + (2000 + 100 * i) * NS_PER_SEC);
		join(2, true, 7, T0 + (2000 + 100 * i) * NS_PER_SEC);
	}
	assert_int_equal(ports_of(VID, true, 7, T0 + 2259 * NS_PER_SEC), ALL);
	assert_int_equal(ports_of(VID, true, 7, T0 + 2260 * NS_PER_SEC), 1 << 1 | 1 << 2);
}

static void test_ageing(void **state)
{
	uint64_t at_ns = T0 + 100 * NS_PER_SEC;

	(void)state;
	query(1, false, T0);
	join(2, false, 7, T0);
	join(3, false, 7, at_ns);
	query(1, false, at_ns);
	query(1, false, T0 + 200 * NS_PER_SEC);
	assert_int_equal(
		ports_of(VID, false, 7, T0 + MCAST_MEMBER_NS - 1), 1 << 1 | 1 << 2 | 1 << 3);
	assert_int_equal(ports_of(VID, false, 7, T0 + MCAST_MEMBER_NS), 1 << 1 | 1 << 3);
	assert_int_equal(ports_of(VID, false, 7, at_ns + MCAST_MEMBER_NS), ALL);
}

static void test_routers(void **state)
{
	static const uint8_t hello[4] = {PIM_V2_HELLO};
	static const uint8_t advertisement[8] = {IGMP_ROUTER_ADVERTISEMENT};

	(void)state;
	query(1, false, T0);
	join(2, false, 7, T0);
	message_make(&m, false, PROTOCOL_PIM, hello, sizeof(hello));
	assert_false(snoop(VID, 3, T0 + NS_PER_SEC));
	message_make(&m, false, PROTOCOL_IGMP, advertisement, sizeof(advertisement));
	assert_false(snoop(VID, 4, T0 + 2 * NS_PER_SEC));
	assert_int_equal(ports_of(VID, false, 7, SETTLED), 0x1e);
	assert_int_equal(report_ports(VID, false, SETTLED), 0x1a);
	/* A router alone asks nobody. */
	assert_int_equal(ports_of(VID, false, 7, T0 + MCAST_QUERIER_NS + 1), ALL);
	query(1, false, T0 + 200 * NS_PER_SEC);
	assert_int_equal(report_ports(VID, false, T0 + MCAST_QUERIER_NS + NS_PER_SEC), 0x12);
	assert_int_equal(report_ports(VID, false, T0 + MCAST_QUERIER_NS + 2 * NS_PER_SEC), 0x2);
}

static void test_leave(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		query(1, ipv6, T0);
		join(2, ipv6, 7, T0);
		join(3, ipv6, 7, T0);
		leave(2, ipv6, 7, SETTLED);
		leave(2, ipv6, 7, SETTLED + NS_PER_SEC); /* again: no longer */
		leave(4, ipv6, 7, SETTLED);              /* never was there */
		leave(2, ipv6, 8, SETTLED);
		assert_int_equal(ports_of(VID, ipv6, 7, SETTLED + MCAST_LAST_NS - 1), 0xe);
		assert_int_equal(ports_of(VID, ipv6, 7, SETTLED + MCAST_LAST_NS), 0xa);
		/* Somebody else behind the port answered the querier. */
		leave(3, ipv6, 7, SETTLED + 5 * NS_PER_SEC);
		join(3, ipv6, 7, SETTLED + 6 * NS_PER_SEC);
		assert_int_equal(ports_of(VID, ipv6, 7, SETTLED + 20 * NS_PER_SEC), 0xa);
		/* The last member: nobody is known to want it. */
		leave(3, ipv6, 7, SETTLED + 20 * NS_PER_SEC);
		assert_int_equal(ports_of(VID, ipv6, 7, SETTLED + 22 * NS_PER_SEC), ALL);
	}
}

/* 239.1.0.7 and 230.129.0.7 have one address. Who leaves one still wants the other. */
static void test_groups_that_share_an_address(void **state)
{
	static const uint8_t other[HEADERS_IP_BYTES] = {230, 129, 0, 7};

	(void)state;
	query(1, false, T0);
	join(2, false, 7, T0);
	message_leave(&m, false, other);
	assert_true(snoop(VID, 2, SETTLED));
	assert_int_equal(ports_of(VID, false, 7, SETTLED + MCAST_LAST_NS), 0x6);
	message_join(&m, false, other);
	assert_true(snoop(VID, 2, SETTLED));
	leave(2, false, 7, SETTLED);
	message_leave(&m, false, other);
	assert_true(snoop(VID, 2, SETTLED));
	assert_int_equal(ports_of(VID, false, 7, SETTLED + MCAST_LAST_NS), 0x6);
	assert_int_equal(ports_of(VID, false, 7, SETTLED + MCAST_MEMBER_NS), ALL);
	/* What is forgotten does not matter any more. */
	query(1, false, SETTLED + MCAST_MEMBER_NS);
	join(2, false, 7, SETTLED + MCAST_MEMBER_NS);
	leave(2, false, 7, SETTLED + MCAST_MEMBER_NS + MCAST_SETTLE_NS);
	join(3, false, 7, SETTLED + MCAST_MEMBER_NS + MCAST_SETTLE_NS);
	assert_int_equal(ports_of(VID, false, 7,
				 SETTLED + MCAST_MEMBER_NS + MCAST_SETTLE_NS + MCAST_LAST_NS),
		0xa);
}

/* Who wants more groups than a port may have gets all of them, until long after. */
static void test_full_port(void **state)
{
	uint64_t later_ns = T0 + 200 * NS_PER_SEC;

	(void)state;
	query(1, false, T0);
	join(3, false, 1, T0);
	join(4, false, 5000, T0);
	for (unsigned i = 0; i < MCAST_PORT_GROUPS; i++)
		join(2, false, i, T0);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0x12);
	join(2, false, MCAST_PORT_GROUPS, SETTLED);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0x16);
	assert_int_equal(ports_of(VID, false, MCAST_PORT_GROUPS, SETTLED), ALL);
	/* It still need not hear other hosts' reports. */
	assert_int_equal(report_ports(VID, false, SETTLED), 0x2);
	query(1, false, later_ns);
	join(4, false, 5000, later_ns);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED + MCAST_MEMBER_NS - 1), 0x16);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED + MCAST_MEMBER_NS), 0x12);
	/* And has room again. */
	query(1, false, SETTLED + MCAST_MEMBER_NS);
	join(2, false, 6000, SETTLED + MCAST_MEMBER_NS);
	join(2, false, 6001, SETTLED + MCAST_MEMBER_NS);
	assert_int_equal(ports_of(VID, false, 6000, SETTLED + MCAST_MEMBER_NS + 1), 0x6);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED + MCAST_MEMBER_NS + 1), 0x12);
}

static bool count_entry(const struct mcast_entry *entry, void *data)
{
	unsigned *counts = data;

	counts[entry->port]++;
	return true;
}

/* Ports that fill the table make room for who has little, and get everything instead. */
static void test_full_table_is_fair(void **state)
{
	unsigned counts[FDB_MAX_PORTS] = {0}, n = 0;

	(void)state;
	query(1, false, T0);
	for (unsigned port = 2; port < 12; port++) {
		for (unsigned i = 0; i < 1000; i++)
			join(port, false, 1000 * port + i, T0 + i);
	}
	for (unsigned i = 0; i < 20; i++)
		join(13, false, i, T0);
	mcast_for_each(mcast, T0 + 1, count_entry, counts);
	for (unsigned port = 0; port < FDB_MAX_PORTS; port++) {
		assert_true(counts[port] <= MCAST_PORT_GROUPS);
		n += counts[port];
	}
	assert_int_equal(n, MCAST_MAX_GROUPS - 1); /* one is the querier */
	assert_int_equal(counts[13], 20);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ports_of(VID, false, i, SETTLED), 1 << 13 | 0xffe);
}

/* Who makes room for others is not pruned of what it gave up. */
static void test_eviction_loses_nothing(void **state)
{
	(void)state;
	query(1, false, T0);
	for (unsigned port = 2; port < 10; port++) {
		for (unsigned i = 0; i < MCAST_PORT_GROUPS - (port == 9); i++)
			join(port, false, 1000 * port + i, T0 + i);
	}
	assert_int_equal(ports_of(VID, false, 2000, SETTLED), 0x6);
	assert_int_equal(ports_of(VID, false, 3000, SETTLED), 0xa);
	join(10, false, 2000, T0 + 1000);
	assert_int_equal(ports_of(VID, false, 2000, SETTLED), 1 << 10 | 0x6);
	assert_int_equal(ports_of(VID, false, 3000, SETTLED), 0xe);
}

/* A router for which there is no room is one in all VLANs. */
static void test_router_without_room(void **state)
{
	(void)state;
	query(1, false, T0);
	for (unsigned i = 0; i < MCAST_PORT_GROUPS; i++)
		join(2, false, i, T0);
	join(3, false, 5000, T0);
	query(2, false, T0);
	assert_int_equal(report_ports(VID, false, T0), 0x6);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0xe);
}

static void test_report_with_too_many_records(void **state)
{
	uint8_t group[HEADERS_IP_BYTES];

	(void)state;
	query(1, false, T0);
	join(3, false, 5000, T0);
	message_report(&m, false);
	for (unsigned i = 0; i < MCAST_MAX_RECORDS; i++) {
		make_group(group, false, i);
		message_add_record(&m, RECORD_TO_EXCLUDE, group, 0, 0);
	}
	assert_true(snoop(VID, 2, T0));
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0xa);
	make_group(group, false, 5000);
	message_add_record(&m, RECORD_TO_EXCLUDE, group, 0, 0);
	assert_true(snoop(VID, 2, T0));
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0xe);
}

static void test_forget_port(void **state)
{
	(void)state;
	query(1, false, T0);
	query(2, false, T0);
	for (unsigned i = 0; i < MCAST_PORT_GROUPS + 5; i++)
		join(2, false, i, T0);
	join(3, false, 0, T0);
	assert_int_equal(ports_of(VID, false, 0, SETTLED), 0xe);
	mcast_forget_port(mcast, 2);
	mcast_forget_port(mcast, 2);
	assert_int_equal(ports_of(VID, false, 0, SETTLED), 0xa);
	assert_int_equal(ports_of(VID, false, 1, SETTLED), ALL);
	assert_int_equal(report_ports(VID, false, SETTLED), 0x2);
}

struct listing {
	unsigned n, limit;
	struct mcast_entry entries[8];
};

static bool list_entry_of(const struct mcast_entry *entry, void *data)
{
	struct listing *listing = data;

	assert_true(listing->n < ARRAY_LEN(listing->entries));
	listing->entries[listing->n++] = *entry;
	return listing->n < listing->limit;
}

static void test_listing(void **state)
{
	struct listing listing = {.limit = 8};

	(void)state;
	query(1, false, T0);
	join(4, true, 0x102, T0 + 5);
	join(2, false, 0x304, T0 + 7);
	join(2, false, 0x305, T0 + 8);
	mcast_for_each(mcast, T0 + 10, list_entry_of, &listing);
	assert_int_equal(listing.n, 3);
	assert_int_equal(listing.entries[0].port, 2);
	assert_int_equal(listing.entries[0].vid, VID);
	assert_int_equal(listing.entries[0].age_ns, 3);
	assert_memory_equal(
		listing.entries[0].mac, ((uint8_t[]){1, 0, 0x5e, 1, 3, 4}), ETH_ADDR_LEN);
	assert_int_equal(listing.entries[2].port, 4);
	assert_int_equal(listing.entries[2].age_ns, 5);
	assert_memory_equal(
		listing.entries[2].mac, ((uint8_t[]){0x33, 0x33, 0, 1, 1, 2}), ETH_ADDR_LEN);
	listing = (struct listing){.limit = 2};
	mcast_for_each(mcast, T0 + 10, list_entry_of, &listing);
	assert_int_equal(listing.n, 2);
	listing = (struct listing){.limit = 8};
	mcast_for_each(mcast, T0 + 6 + MCAST_MEMBER_NS, list_entry_of, &listing);
	assert_int_equal(listing.n, 2);
}

static void test_save_and_restore(void **state)
{
	static const uint8_t other[HEADERS_IP_BYTES] = {230, 129, 0, 7};
	uint64_t later_ns = T0 + 50 * NS_PER_SEC;
	struct buf saved = {0}, again = {0};
	struct reader in;

	(void)state;
	query(2, false, T0);
	query(2, true, T0);
	join(2, false, 7, T0);
	join(2, true, 8, T0);
	join(2, false, 9, T0);
	join(3, false, 10, T0);
	message_join(&m, false, other);
	assert_true(snoop(VID, 2, T0)); /* with 7's address */
	leave(2, false, 9, T0);
	mcast_save_port(mcast, 2, later_ns, &saved);
	assert_false(saved.failed);
	assert_int_equal(saved.size_bytes, 3 + 4 * 19);

	/* Another switch, with another clock. */
	mcast_free(mcast);
	assert_int_equal(mcast_new(0x4321, &mcast), 0);
	query(1, false, 1);
	query(1, true, 1);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(mcast_restore_port(mcast, 4, &in, 5), 0);
	assert_true(reader_done(&in));
	assert_int_equal(ports_of(VID, false, 7, MCAST_SETTLE_NS + 1), 0x12);
	assert_int_equal(ports_of(VID, true, 8, MCAST_SETTLE_NS + 1), 0x12);
	assert_int_equal(ports_of(VID, false, 9, MCAST_SETTLE_NS + 1), ALL);
	assert_int_equal(report_ports(VID, true, MCAST_SETTLE_NS + 1), 0x12);
	mcast_save_port(mcast, 4, 5, &again);
	assert_int_equal(again.size_bytes, saved.size_bytes);
	assert_memory_equal(again.data, saved.data, saved.size_bytes);
	/* It still is several groups. */
	leave(4, false, 7, 6);
	assert_int_equal(ports_of(VID, false, 7, MCAST_SETTLE_NS + 1), 0x12);
	buf_fini(&saved);
	buf_fini(&again);
}

static void test_save_of_a_full_port(void **state)
{
	struct buf saved = {0};
	struct reader in;

	(void)state;
	for (unsigned i = 0; i < MCAST_PORT_GROUPS + 1; i++)
		join(2, false, i, T0);
	query(2, false, T0);
	mcast_save_port(mcast, 2, T0, &saved);
	mcast_forget_port(mcast, 2);
	query(1, false, T0);
	join(4, false, 5000, T0);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0x12);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(mcast_restore_port(mcast, 3, &in, T0), 0);
	assert_int_equal(ports_of(VID, false, 5000, SETTLED), 0x1a);
	assert_int_equal(ports_of(VID, false, 5, SETTLED), 0xa);
	assert_int_equal(report_ports(VID, false, SETTLED), 0xa);
	buf_fini(&saved);
}

static void test_restore_of_wrong_bytes(void **state)
{
	enum { FIRST = 3, VID_AT = FIRST, FLAGS = FIRST + 2, GROUP = FIRST + 3, SIZE = FIRST + 19 };
	static const struct {
		size_t at;
		uint8_t byte;
	} rows[] = {
		{0, 0x04},          /* the port's flags */
		{1, 2},             /* more than there are */
		{2, 1},             /* more than there may be */
		{VID_AT + 1, 0x0f}, /* a VLAN that is none, with the next */
		{VID_AT + 1, 0x10}, /* and one beyond */
		{FLAGS, 0x04},      /* its flags */
		{GROUP, 10},        /* no group */
		{GROUP + 4, 1},     /* longer than an address of IPv4 */
		{GROUP + 15, 1},    /* the same */
	};
	uint8_t good[SIZE] = {0, 1, [VID_AT] = 0xff, 1, [GROUP] = 239, 1, 0, 7};
	uint8_t router[SIZE] = {0, 1, [FLAGS] = 2};
	struct reader in = reader_make(good, sizeof(good));

	(void)state;
	assert_int_equal(mcast_restore_port(mcast, 2, &in, T0), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bad[SIZE];

		memcpy(bad, good, SIZE);
		bad[rows[i].at] = rows[i].byte;
		in = reader_make(bad, SIZE);
		assert_int_equal(mcast_restore_port(mcast, 2, &in, T0), -EBADMSG);
	}
	for (size_t n = 0; n < SIZE; n++) {
		in = reader_make(good, n);
		assert_int_equal(mcast_restore_port(mcast, 2, &in, T0), -EBADMSG);
	}
	in = reader_make(router, SIZE); /* of several groups */
	assert_int_equal(mcast_restore_port(mcast, 2, &in, T0), -EBADMSG);
	router[FLAGS] = 0;
	in = reader_make(router, SIZE);
	assert_int_equal(mcast_restore_port(mcast, 2, &in, T0), 0);
}

/* Against a table that has room for everything: whoever asked for a group and did not leave it
 * is sent it, whatever all the others do. */
#define N_PORTS  14
#define N_GROUPS 256

static void check_nothing_is_lost(
	uint64_t until_ns[N_PORTS][2][N_GROUPS], bool ipv6, unsigned number, uint64_t now_ns)
{
	unsigned ports = ports_of(VID, ipv6, number, now_ns);

	for (unsigned port = 0; port < N_PORTS; port++) {
		if (now_ns < until_ns[port][ipv6][number])
			assert_true(ports >> port & 1);
	}
}

static void test_nothing_is_lost(void **state)
{
	static uint64_t until_ns[N_PORTS][2][N_GROUPS];
	uint64_t random = 0xfeed, now_ns = T0;
	unsigned n_pruned = 0;

	(void)state;
	memset(until_ns, 0, sizeof(until_ns));
	for (unsigned i = 0; i < 100000; i++) {
		unsigned port = random_below(&random, N_PORTS), what = random_below(&random, 100);
		bool ipv6 = random_below(&random, 2);
		/* Some want few groups, some all of them. */
		unsigned number = random_below(&random, port < 6 ? 8 : N_GROUPS);

		now_ns += random_below(&random, 20) * NS_PER_MS;
		if (i % 5000 == 0)
			query(0, ipv6, now_ns);
		if (what < 80) {
			join(port, ipv6, number, now_ns);
			until_ns[port][ipv6][number] = now_ns + MCAST_MEMBER_NS;
		} else if (what < 98) {
			leave(port, ipv6, number, now_ns);
			until_ns[port][ipv6][number] =
				MIN(until_ns[port][ipv6][number], now_ns + MCAST_LAST_NS);
		} else if (i % 100 == 0) {
			mcast_forget_port(mcast, port);
			memset(until_ns[port], 0, sizeof(until_ns[port]));
		}
		check_nothing_is_lost(until_ns, ipv6, number, now_ns);
		n_pruned += ports_of(VID, ipv6, number, now_ns) != ALL;
	}
	assert_true(n_pruned > 10000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_members_and_querier),
		TEST(test_reports_v3),
		TEST(test_what_is_never_pruned),
		TEST(test_solicited_node),
		TEST(test_querier_times_out),
		TEST(test_queriers_are_apart),
		TEST(test_response_times),
		TEST(test_ageing),
		TEST(test_routers),
		TEST(test_leave),
		TEST(test_groups_that_share_an_address),
		TEST(test_full_port),
		TEST(test_full_table_is_fair),
		TEST(test_eviction_loses_nothing),
		TEST(test_router_without_room),
		TEST(test_report_with_too_many_records),
		TEST(test_forget_port),
		TEST(test_listing),
		TEST(test_save_and_restore),
		TEST(test_save_of_a_full_port),
		TEST(test_restore_of_wrong_bytes),
		TEST(test_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
