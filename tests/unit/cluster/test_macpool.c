/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/macrange.h"
#include "tests/unit/cluster/fake_cluster.h"

struct lease {
	unsigned n_done;
	int error;
	char mac[18];
};

static void on_lease(int error, const char *mac, void *data)
{
	struct lease *lease = data;

	lease->n_done++;
	lease->error = error;
	snprintf(lease->mac, sizeof(lease->mac), "%s", mac ? mac : "");
}

static struct lease take(struct cluster *cluster, const char *owner, const char *wanted)
{
	struct lease lease = {};
	int r = cluster_mac_lease(cluster, owner, wanted, on_lease, &lease);

	if (r < 0)
		return (struct lease){.n_done = 1, .error = r};
	fake_run(cluster);
	assert_int_equal(lease.n_done, 1);
	return lease;
}

static const char *owner_of(struct cluster *cluster, const char *mac)
{
	const struct json *record;
	char key[64];

	snprintf(key, sizeof(key), "mac/%s", mac);
	if (cluster_get(cluster, key, &record, NULL) < 0)
		return "";
	return json_get_string(record, "owner", "?");
}

static void a_lease_stays(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease first, again;

	(void)state;
	first = take(cluster, "vm/VM1/nic0", NULL);
	assert_int_equal(first.error, 0);
	assert_memory_equal(first.mac, "00:15:5d:", 9);
	assert_string_equal(owner_of(cluster, first.mac), "vm/VM1/nic0");
	again = take(cluster, "vm/VM1/nic0", NULL);
	assert_string_equal(again.mac, first.mac);
	again = take(cluster, "vm/VM1/nic0", first.mac);
	assert_string_equal(again.mac, first.mac);
	assert_int_equal(fake_n_keys(cluster), 2);
	fake_free(cluster);
}

static void addresses_are_unique(void **state)
{
	struct cluster *cluster = fake_new();
	char owner[32];

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct lease lease;

		snprintf(owner, sizeof(owner), "vm/%u/nic0", i);
		lease = take(cluster, owner, NULL);
		assert_int_equal(lease.error, 0);
		assert_string_equal(owner_of(cluster, lease.mac), owner);
	}
	assert_int_equal(fake_n_keys(cluster), 600);
	fake_free(cluster);
}

static void a_wanted_address_is_given_or_refused(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease lease;

	(void)state;
	lease = take(cluster, "vm/VM1/nic0", "02-AB-CD-EF-00-01");
	assert_int_equal(lease.error, 0);
	assert_string_equal(lease.mac, "02:ab:cd:ef:00:01");
	lease = take(cluster, "vm/VM2/nic0", "02:ab:cd:ef:00:01");
	assert_int_equal(lease.error, -EADDRINUSE);
	assert_string_equal(owner_of(cluster, "02:ab:cd:ef:00:01"), "vm/VM1/nic0");
	assert_int_equal(fake_n_keys(cluster), 2);
	fake_free(cluster);
}

static void another_address_replaces_the_former(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease first, second;

	(void)state;
	first = take(cluster, "vm/VM1/nic0", NULL);
	second = take(cluster, "vm/VM1/nic0", "00:15:5d:00:00:01");
	assert_int_equal(second.error, 0);
	assert_string_equal(second.mac, "00:15:5d:00:00:01");
	assert_string_equal(owner_of(cluster, first.mac), "");
	assert_int_equal(fake_n_keys(cluster), 2);
	second = take(cluster, "vm/VM1/nic0", NULL);
	assert_string_equal(second.mac, "00:15:5d:00:00:01");
	fake_free(cluster);
}

static void bad_addresses_and_owners_are_refused(void **state)
{
	static const char *const bad[] = {"", "00:15:5d:00:00", "00:15:5d:00:00:0g",
		"00:15:5d:00:00:001", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
		"00.15.5d.00.00.01", "00:15:5d:00:00:0", " 0:15:5d:00:00:01x"};
	struct cluster *cluster = fake_new();
	char owner[CLUSTER_KEY_MAX_LEN + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(take(cluster, "vm/VM1/nic0", bad[i]).error, -EINVAL);
	memset(owner, 'o', sizeof(owner) - 1);
	owner[sizeof(owner) - 1] = '\0';
	assert_int_equal(take(cluster, owner, NULL).error, -EINVAL);
	assert_int_equal(take(cluster, "", NULL).error, -EINVAL);
	assert_int_equal(fake_n_keys(cluster), 0);
	fake_free(cluster);
}

static void released_addresses_are_free(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease lease = take(cluster, "vm/VM1/nic0", NULL);

	(void)state;
	assert_int_equal(cluster_mac_release(cluster, "vm/VM1/nic0"), 0);
	fake_run(cluster);
	assert_int_equal(fake_n_keys(cluster), 0);
	assert_int_equal(cluster_mac_release(cluster, "vm/VM1/nic0"), -ENOENT);
	assert_int_equal(take(cluster, "vm/VM2/nic0", lease.mac).error, 0);
	fake_free(cluster);
}

/* Two requests that do not know of each other, for one owner, and for one address. */
static void requests_at_the_same_time(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease a = {}, b = {};

	(void)state;
	assert_int_equal(cluster_mac_lease(cluster, "vm/VM1/nic0", NULL, on_lease, &a), 0);
	assert_int_equal(cluster_mac_lease(cluster, "vm/VM1/nic0", NULL, on_lease, &b), 0);
	fake_run(cluster);
	assert_int_equal(a.error, 0);
	assert_int_equal(b.error, 0);
	assert_string_equal(a.mac, b.mac);
	assert_string_equal(owner_of(cluster, a.mac), "vm/VM1/nic0");
	assert_int_equal(fake_n_keys(cluster), 2);

	a = b = (struct lease){};
	assert_int_equal(
		cluster_mac_lease(cluster, "vm/A/nic0", "02:00:00:00:00:01", on_lease, &a), 0);
	assert_int_equal(
		cluster_mac_lease(cluster, "vm/B/nic0", "02:00:00:00:00:01", on_lease, &b), 0);
	fake_run(cluster);
	assert_int_equal(a.error, 0);
	assert_int_equal(b.error, -EADDRINUSE);
	assert_string_equal(owner_of(cluster, "02:00:00:00:00:01"), "vm/A/nic0");

	/* One owner, two wishes: one of them is what it has in the end, the other address is free.
	 */
	a = b = (struct lease){};
	assert_int_equal(
		cluster_mac_lease(cluster, "vm/C/nic0", "02:00:00:00:00:02", on_lease, &a), 0);
	assert_int_equal(
		cluster_mac_lease(cluster, "vm/C/nic0", "02:00:00:00:00:03", on_lease, &b), 0);
	fake_run(cluster);
	assert_int_equal(a.n_done, 1);
	assert_int_equal(b.n_done, 1);
	assert_int_equal(owner_of(cluster, "02:00:00:00:00:02")[0] != '\0', 0);
	assert_string_equal(owner_of(cluster, "02:00:00:00:00:03"), "vm/C/nic0");
	assert_int_equal(fake_n_keys(cluster), 6);
	fake_free(cluster);
}

/* Whoever died between the two writes left one of the records. */
static void half_a_lease_is_mended(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease lease = take(cluster, "vm/VM1/nic0", NULL), again;
	char key[64];

	(void)state;
	assert_int_equal(
		cluster_cas(cluster, "maclease/vm/VM1/nic0", CLUSTER_ANY_VERSION, NULL, NULL, NULL),
		0);
	fake_run(cluster);
	again = take(cluster, "vm/VM1/nic0", NULL);
	assert_string_equal(again.mac, lease.mac); /* its place in the pool leads there */

	snprintf(key, sizeof(key), "mac/%s", lease.mac);
	assert_int_equal(cluster_cas(cluster, key, CLUSTER_ANY_VERSION, NULL, NULL, NULL), 0);
	fake_run(cluster);
	again = take(cluster, "vm/VM1/nic0", NULL);
	assert_string_equal(again.mac, lease.mac);
	assert_string_equal(owner_of(cluster, lease.mac), "vm/VM1/nic0");

	/* Given to somebody else meanwhile: then it is his. */
	fake_put(cluster, key, "{\"owner\":\"vm/VM2/nic0\"}");
	again = take(cluster, "vm/VM1/nic0", NULL);
	assert_int_equal(again.error, 0);
	assert_string_not_equal(again.mac, lease.mac);
	assert_string_equal(owner_of(cluster, lease.mac), "vm/VM2/nic0");
	fake_free(cluster);
}

static void nonsense_in_the_store_is_survived(void **state)
{
	static const char *const nonsense[] = {
		"null", "7", "{\"mac\":7}", "{\"mac\":\"x\"}", "{\"mac\":\"ff:ff:ff:ff:ff:ff\"}"};
	struct cluster *cluster = fake_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		fake_put(cluster, "maclease/vm/VM1/nic0", nonsense[i]);
		assert_int_equal(take(cluster, "vm/VM1/nic0", NULL).error, 0);
	}
	fake_put(cluster, "mac/02:00:00:00:00:01", "[]");
	assert_int_equal(take(cluster, "vm/VM2/nic0", "02:00:00:00:00:01").error, -EADDRINUSE);
	fake_free(cluster);
}

static void errors_arrive_and_leave_nothing(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease lease = {};

	(void)state;
	fake_fail(cluster, -EHOSTDOWN);
	assert_int_equal(take(cluster, "vm/VM1/nic0", NULL).error, -EHOSTDOWN);
	fake_fail(cluster, 0);
	assert_int_equal(cluster_mac_lease(cluster, "vm/VM1/nic0", NULL, on_lease, &lease), 0);
	assert_true(fake_run_one(cluster)); /* the address is claimed */
	fake_fail(cluster, -EIO);
	assert_true(fake_run_one(cluster));
	assert_int_equal(lease.n_done, 1);
	assert_int_equal(lease.error, -EIO);
	fake_fail(cluster, 0);
	fake_run(cluster);
	assert_int_equal(fake_n_keys(cluster), 0); /* and given back */
	fake_free(cluster);
}

/* ---- ranges and pools ---- */

static void addresses_are_parsed(void **state)
{
	static const char *const bad[] = {"", "00155d01020", "00155d0102033", "00:15:5d:01:02",
		"00:15:5d:01:02:0g", "01:00:5e:00:00:01", "ffffffffffff", "000000000000",
		"00:00:00:00:00:00", "00.15.5d.01.02.03", "00:15:5d:01:02:03 ", "+0:15:5d:01:02:03",
		" 0:15:5d:01:02:03", "0x155d010203"};
	static const char *const good[] = {
		"00:15:5d:01:02:0f", "00-15-5D-01-02-0F", "00155d01020f", "00155D01020F"};
	char text[MAC_TEXT_LEN + 1];
	uint64_t mac;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (mac_parse(bad[i], &mac) == 0)
			fail_msg("'%s' is taken", bad[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(mac_parse(good[i], &mac), 0);
		assert_int_equal(mac, 0x00155d01020f);
	}
	mac_text(mac, text);
	assert_string_equal(text, "00:15:5d:01:02:0f");
}

/* The original's example: 192.168.7.47 has 00-15-5D-07-2F-00 to FF. */
static void a_node_has_the_range_of_the_original(void **state)
{
	struct cluster *cluster = fake_new();
	struct mac_pools pools;
	struct mac_range range;

	(void)state;
	mac_pools_read(cluster, &pools);
	assert_int_equal(pools.n_pools, 1);
	assert_int_equal(mac_pools_node_range(&pools, "node1", "192.168.7.47", &range), 0);
	assert_int_equal(range.first, 0x00155d072f00);
	assert_int_equal(range.last, 0x00155d072fff);
	assert_memory_equal(take(cluster, "vm/A/nic0", NULL).mac, "00:15:5d:07:2f:", 15);

	cluster_mac_publish_range(cluster);
	fake_run(cluster);
	/* Another host with the same two octets gets the next one. */
	mac_pools_read(cluster, &pools);
	assert_int_equal(mac_pools_node_range(&pools, "node2", "10.0.7.47", &range), 0);
	assert_int_equal(range.first, 0x00155d073000);
	fake_be(cluster, "node2");
	assert_memory_equal(take(cluster, "vm/B/nic0", NULL).mac, "00:15:5d:07:30:", 15);
	fake_free(cluster);
}

/* Two nodes that chose the same range at once: the second one moves on. */
static void ranges_that_collide_are_mended(void **state)
{
	struct cluster *cluster = fake_new();
	struct mac_pools pools;

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		fake_put(cluster, i == 1 ? "macrange/node1" : "macrange/node2",
			"{\"first\":\"00:15:5d:01:01:00\",\"last\":\"00:15:5d:01:01:ff\"}");
	}
	fake_be(cluster, "node2");
	cluster_mac_publish_range(cluster);
	fake_run(cluster);
	mac_pools_read(cluster, &pools);
	assert_int_equal(pools.n_nodes, 2);
	assert_int_equal(pools.nodes[0].range.first, 0x00155d010100);
	assert_int_equal(pools.nodes[1].range.first, 0x00155d073000);
	fake_free(cluster);
}

static int change(struct cluster *cluster, enum cluster_mac_change what, const char *name,
	const char *first, const char *last, const char *expected)
{
	char error[512];
	int r = cluster_mac_change(
		cluster, what, name, first, last, error, sizeof(error), NULL, NULL);

	fake_run(cluster);
	if (!strstr(error, expected))
		fail_msg("'%s' instead of '%s'", error, expected);
	return r;
}

static void pools_are_checked(void **state)
{
	static const struct {
		enum cluster_mac_change what;
		const char *name, *first, *last;
		int error;
		const char *text;
	} cases[] = {
		{CLUSTER_MAC_POOL_ADD, "a", "02:00:00:00:00:00", NULL, -EINVAL,
			"first and its last"},
		{CLUSTER_MAC_POOL_ADD, "a", "03:00:00:00:00:00", "03:00:00:00:00:01", -EINVAL,
			"multicast"},
		{CLUSTER_MAC_POOL_ADD, "a", "x", "02:00:00:00:00:01", -EINVAL, "is no MAC address"},
		{CLUSTER_MAC_POOL_ADD, "a", "02:00:00:00:00:02", "02:00:00:00:00:01", -EINVAL,
			"ends before"},
		{CLUSTER_MAC_POOL_ADD, "a", "02:00:00:00:00:00", "02:00:01:00:00:00", -EINVAL,
			"first three octets"},
		{CLUSTER_MAC_POOL_ADD, "a/b", "02:00:00:00:00:00", "02:00:00:00:00:01", -EINVAL,
			"name"},
		{CLUSTER_MAC_POOL_ADD, "default", "02:00:00:00:00:00", "02:00:00:00:00:01", -EEXIST,
			"already"},
		{CLUSTER_MAC_POOL_ADD, "a", "00:15:5d:ff:ff:ff", "00:15:5d:ff:ff:ff", -EEXIST,
			"overlaps pool default, 00:15:5d:00:00:00 to 00:15:5d:ff:ff:ff"},
		{CLUSTER_MAC_POOL_SET, "a", "02:00:00:00:00:00", "02:00:00:00:00:01", -ENOENT,
			"no pool 'a'"},
		{CLUSTER_MAC_POOL_REMOVE, "a", NULL, NULL, -ENOENT, "no pool 'a'"},
		{CLUSTER_MAC_POOL_REMOVE, "default", NULL, NULL, -EBUSY, "last pool"},
		{CLUSTER_MAC_NODE_SET, "node9", NULL, NULL, -ENOENT, "no node"},
		{CLUSTER_MAC_NODE_SET, "node1", "02:00:00:00:00:00", "02:00:00:00:00:01", -EINVAL,
			"within one of the cluster's pools"},
	};
	struct cluster *cluster = fake_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(change(cluster, cases[i].what, cases[i].name, cases[i].first,
					 cases[i].last, cases[i].text),
			cases[i].error);
	assert_int_equal(fake_n_keys(cluster), 0);
	assert_int_equal(change(cluster, CLUSTER_MAC_NODE_SET, "node2", "00:15:5d:01:00:00",
				 "00:15:5d:01:00:0f", ""),
		0);
	assert_int_equal(change(cluster, CLUSTER_MAC_NODE_SET, "node1", "00:15:5d:01:00:0f",
				 "00:15:5d:01:00:1f", "overlaps the range of node node2"),
		-EEXIST);
	fake_free(cluster);
}

static void a_pool_in_use_stays(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease lease = take(cluster, "vm/A/nic0", NULL);
	struct cluster_mac_pool pools[8];

	(void)state;
	assert_int_equal(take(cluster, "vm/S/nic0", "00:15:5d:00:00:77").error, 0);
	assert_int_equal(change(cluster, CLUSTER_MAC_POOL_ADD, "own", "02:00:00:00:00:00",
				 "02:00:00:00:00:ff", ""),
		0);
	assert_int_equal(change(cluster, CLUSTER_MAC_POOL_REMOVE, "default", NULL, NULL,
				 "1 address of pool default"),
		-EBUSY);
	assert_int_equal(
		change(cluster, CLUSTER_MAC_POOL_REMOVE, "default", NULL, NULL, lease.mac), -EBUSY);
	assert_int_equal(
		change(cluster, CLUSTER_MAC_POOL_REMOVE, "default", NULL, NULL, "vm/A/nic0"),
		-EBUSY);
	assert_int_equal(change(cluster, CLUSTER_MAC_POOL_SET, "default", "00:15:5d:00:00:00",
				 "00:15:5d:00:00:ff", "would be in no pool"),
		-EBUSY);
	assert_int_equal(cluster_mac_pools(cluster, pools, ARRAY_LEN(pools)), 2);
	assert_int_equal(pools[0].used, 2);
	assert_int_equal(pools[0].size, 1 << 24);
	assert_int_equal(cluster_mac_release(cluster, "vm/A/nic0"), 0);
	fake_run(cluster);
	/* A static one belongs to no pool. */
	assert_int_equal(change(cluster, CLUSTER_MAC_POOL_REMOVE, "default", NULL, NULL, ""), 0);
	assert_memory_equal(take(cluster, "vm/A/nic0", NULL).mac, "02:00:00:00:00:", 15);
	assert_int_equal(cluster_mac_pools(cluster, pools, ARRAY_LEN(pools)), 1);
	assert_int_equal(pools[0].used, 1);
	fake_free(cluster);
}

static void put_small_pool(struct cluster *cluster, const char *last)
{
	char text[128];

	fake_put(cluster, "macpool/default", "{\"off\":true}");
	snprintf(text, sizeof(text), "{\"first\":\"02:00:00:00:00:00\",\"last\":\"%s\"}", last);
	fake_put(cluster, "macpool/own", text);
}

static void full_pools_say_so(void **state)
{
	struct cluster *cluster = fake_new();
	char owner[32], last[18] = "";

	(void)state;
	put_small_pool(cluster, "02:00:00:00:00:09");
	for (unsigned i = 0; i < 10; i++) {
		snprintf(owner, sizeof(owner), "vm/%u/nic0", i);
		assert_int_equal(take(cluster, owner, NULL).error, 0);
	}
	assert_int_equal(take(cluster, "vm/X/nic0", NULL).error, -ENOSPC);
	assert_int_equal(fake_n_keys(cluster), 22);
	/* Who has one keeps it; what is given back is found, wherever it lies. */
	snprintf(last, sizeof(last), "%s", take(cluster, "vm/7/nic0", NULL).mac);
	assert_int_equal(cluster_mac_release(cluster, "vm/7/nic0"), 0);
	fake_run(cluster);
	assert_string_equal(take(cluster, "vm/X/nic0", NULL).mac, last);
	assert_int_equal(take(cluster, "vm/Y/nic0", NULL).error, -ENOSPC);
	fake_free(cluster);
}

/* A full range of a node: first what no node prefers, and theirs only when nothing else is left. */
static void a_full_range_goes_on_in_the_pool(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease lease;

	(void)state;
	put_small_pool(cluster, "02:00:00:00:00:04");
	assert_int_equal(change(cluster, CLUSTER_MAC_NODE_SET, "node1", "02:00:00:00:00:00",
				 "02:00:00:00:00:00", ""),
		0);
	assert_int_equal(change(cluster, CLUSTER_MAC_NODE_SET, "node2", "02:00:00:00:00:01",
				 "02:00:00:00:00:03", ""),
		0);
	assert_string_equal(take(cluster, "vm/A/nic0", NULL).mac, "02:00:00:00:00:00");
	assert_string_equal(take(cluster, "vm/B/nic0", NULL).mac, "02:00:00:00:00:04");
	lease = take(cluster, "vm/C/nic0", NULL);
	assert_int_equal(lease.error, 0);
	assert_in_range(lease.mac[16], '1', '3');
	fake_be(cluster, "node2");
	assert_int_equal(take(cluster, "vm/D/nic0", NULL).error, 0);
	assert_int_equal(take(cluster, "vm/E/nic0", NULL).error, 0);
	assert_int_equal(take(cluster, "vm/F/nic0", NULL).error, -ENOSPC);
	fake_free(cluster);
}

/* Two nodes ask for the last address of a pool at once: one gets it, the other hears why not. */
static void the_last_address_is_given_once(void **state)
{
	struct cluster *cluster = fake_new();
	struct lease a = {}, b = {};

	(void)state;
	put_small_pool(cluster, "02:00:00:00:00:00");
	assert_int_equal(
		cluster_mac_lease_at(cluster, "vm/A/nic0", NULL, "node1", on_lease, &a), 0);
	assert_int_equal(
		cluster_mac_lease_at(cluster, "vm/B/nic0", NULL, "node2", on_lease, &b), 0);
	fake_run(cluster);
	assert_int_equal(a.error, 0);
	assert_int_equal(b.error, -ENOSPC);
	assert_string_equal(owner_of(cluster, a.mac), "vm/A/nic0");
	assert_string_equal(cluster_mac_owner(cluster, "02-00-00-00-00-00"), "vm/A/nic0");
	assert_null(cluster_mac_owner(cluster, "02:00:00:00:00:01"));
	fake_free(cluster);
}

static void nonsense_in_pools_is_left_out(void **state)
{
	static const char *const nonsense[] = {"null", "7", "{}", "{\"first\":7,\"last\":8}",
		"{\"first\":\"01:00:00:00:00:00\",\"last\":\"01:00:00:00:00:01\"}",
		"{\"first\":\"02:00:00:00:00:01\",\"last\":\"02:00:00:00:00:00\"}",
		"{\"first\":\"00:15:5d:00:00:00\",\"last\":\"00:15:5d:00:00:00\"}"};
	struct cluster *cluster = fake_new();
	struct mac_pools pools;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		fake_put(cluster, "macpool/x", nonsense[i]);
		if (i < 6)
			fake_put(cluster, "macrange/node1", nonsense[i]);
		mac_pools_read(cluster, &pools);
		assert_int_equal(pools.n_pools, 1);
		assert_int_equal(pools.n_nodes, 0);
		assert_int_equal(take(cluster, "vm/A/nic0", NULL).error, 0);
	}
	fake_free(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_stays),
		cmocka_unit_test(addresses_are_unique),
		cmocka_unit_test(a_wanted_address_is_given_or_refused),
		cmocka_unit_test(another_address_replaces_the_former),
		cmocka_unit_test(bad_addresses_and_owners_are_refused),
		cmocka_unit_test(released_addresses_are_free),
		cmocka_unit_test(requests_at_the_same_time),
		cmocka_unit_test(half_a_lease_is_mended),
		cmocka_unit_test(nonsense_in_the_store_is_survived),
		cmocka_unit_test(errors_arrive_and_leave_nothing),
		cmocka_unit_test(addresses_are_parsed),
		cmocka_unit_test(a_node_has_the_range_of_the_original),
		cmocka_unit_test(ranges_that_collide_are_mended),
		cmocka_unit_test(pools_are_checked),
		cmocka_unit_test(a_pool_in_use_stays),
		cmocka_unit_test(full_pools_say_so),
		cmocka_unit_test(a_full_range_goes_on_in_the_pool),
		cmocka_unit_test(the_last_address_is_given_once),
		cmocka_unit_test(nonsense_in_pools_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
