/* SPDX-License-Identifier: MIT */
#include "fabric/fdb.h"
#include "tests/unit/fabric/support.h"

#define T0 (1000 * NS_PER_SEC)

static struct fdb *fdb;

static int setup(void **state)
{
	(void)state;
	return fdb_new(64, 0x1234, &fdb);
}

static int teardown(void **state)
{
	(void)state;
	fdb_free(fdb);
	return 0;
}

static int lookup(unsigned vid, unsigned number, uint64_t now_ns)
{
	uint8_t mac[ETH_ADDR_LEN];

	make_mac(mac, number);
	return fdb_lookup(fdb, vid, mac, now_ns);
}

static void learn(unsigned vid, unsigned number, unsigned port, uint64_t now_ns)
{
	uint8_t mac[ETH_ADDR_LEN];

	make_mac(mac, number);
	fdb_learn(fdb, vid, mac, port, now_ns);
}

static int pin(unsigned vid, unsigned number, unsigned port)
{
	uint8_t mac[ETH_ADDR_LEN];

	make_mac(mac, number);
	return fdb_pin(fdb, vid, mac, port);
}

static void test_learn_and_move(void **state)
{
	(void)state;
	assert_int_equal(lookup(1, 1, T0), -ENOENT);
	learn(1, 1, 3, T0);
	assert_int_equal(lookup(1, 1, T0), 3);
	learn(1, 1, 4, T0 + 1);
	assert_int_equal(lookup(1, 1, T0 + 1), 4);
	assert_int_equal(fdb_n_learned(fdb), 1);
}

static void test_vlans_are_apart(void **state)
{
	(void)state;
	learn(1, 1, 3, T0);
	learn(2, 1, 5, T0);
	assert_int_equal(lookup(1, 1, T0), 3);
	assert_int_equal(lookup(2, 1, T0), 5);
	assert_int_equal(lookup(0, 1, T0), -ENOENT);
}

static void test_ageing(void **state)
{
	(void)state;
	learn(1, 1, 3, T0);
	learn(1, 2, 3, T0 + 100 * NS_PER_SEC);
	assert_int_equal(lookup(1, 1, T0 + FDB_AGE_NS - 1), 3);
	assert_int_equal(lookup(1, 1, T0 + FDB_AGE_NS), -ENOENT);
	fdb_age(fdb, T0 + FDB_AGE_NS);
	assert_int_equal(fdb_n_learned(fdb), 1);
	/* Being seen again keeps an entry young. */
	learn(1, 2, 3, T0 + 300 * NS_PER_SEC);
	assert_int_equal(lookup(1, 2, T0 + 500 * NS_PER_SEC), 3);
}

static void test_flooding_port_evicts_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		learn(1, i, 7, T0 + i);
	for (unsigned i = 0; i < 10000; i++)
		learn(1, 1000 + i, 8, T0 + 100 + i);
	assert_int_equal(fdb_n_learned(fdb), 64);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(lookup(1, i, T0 + 20000), 7);
	/* The newest of the flood are there, the oldest are not. */
	assert_int_equal(lookup(1, 1000 + 9999, T0 + 20000), 8);
	assert_int_equal(lookup(1, 1000, T0 + 20000), -ENOENT);
}

static void test_being_seen_again_saves_from_eviction(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++)
		learn(1, i, 7, T0 + i);
	for (unsigned i = 0; i < 64; i += 2)
		learn(1, i, 7, T0 + 100 + i);
	learn(1, 3, 8, T0 + 300); /* moves */
	for (unsigned i = 0; i < 31; i++)
		learn(1, 100 + i, 7, T0 + 400 + i);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(lookup(1, i, T0 + 500), i == 3 ? 8 : i % 2 ? -ENOENT : 7);
	assert_int_equal(fdb_n_learned(fdb), 64);
}

static void test_aged_go_before_young(void **state)
{
	uint64_t later_ns = T0 + 2 * FDB_AGE_NS;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		learn(1, i, 1, T0);
	for (unsigned i = 0; i < 44; i++)
		learn(1, 100 + i, 2, later_ns);
	learn(1, 500, 3, later_ns);
	for (unsigned i = 0; i < 44; i++)
		assert_int_equal(lookup(1, 100 + i, later_ns), 2);
	assert_int_equal(lookup(1, 500, later_ns), 3);
	assert_int_equal(fdb_n_learned(fdb), 45);
}

static void test_pinned(void **state)
{
	(void)state;
	learn(1, 1, 3, T0);
	assert_int_equal(pin(1, 1, 4), 0);
	assert_int_equal(lookup(1, 1, T0), 4);
	assert_int_equal(fdb_n_learned(fdb), 0);
	learn(1, 1, 3, T0 + 1);
	assert_int_equal(lookup(1, 1, T0 + 1), 4);
	assert_int_equal(lookup(1, 1, T0 + 10 * FDB_AGE_NS), 4);
	assert_int_equal(pin(1, 1, 5), -EADDRINUSE);
	assert_int_equal(pin(1, 2, 4), -EBUSY);
	fdb_forget_port(fdb, 4);
	assert_int_equal(lookup(1, 1, T0), -ENOENT);
	assert_int_equal(pin(1, 1, 5), 0);
}

static void test_pin_for_any_vlan(void **state)
{
	(void)state;
	for (unsigned vid = 0; vid < 5; vid++)
		learn(vid, 1, 3, T0);
	learn(1, 2, 3, T0);
	assert_int_equal(pin(FDB_ANY_VLAN, 1, 4), 0);
	for (unsigned vid = 0; vid < 5; vid++)
		assert_int_equal(lookup(vid, 1, T0), -ENOENT);
	assert_int_equal(lookup(FDB_ANY_VLAN, 1, T0), 4);
	assert_int_equal(lookup(1, 2, T0), 3);
}

static void test_forget_port(void **state)
{
	(void)state;
	learn(1, 1, 3, T0);
	learn(1, 2, 4, T0);
	fdb_forget_port(fdb, 3);
	assert_int_equal(lookup(1, 1, T0), -ENOENT);
	assert_int_equal(lookup(1, 2, T0), 4);
	assert_int_equal(fdb_n_learned(fdb), 1);
	fdb_forget_port(fdb, 3);
}

struct seen {
	unsigned n, n_pinned;
	uint64_t age_ns;
};

static bool count(const struct fdb_entry *entry, void *data)
{
	struct seen *seen = data;

	seen->n++;
	seen->n_pinned += entry->pinned;
	if (entry->mac[5] == 2) {
		assert_int_equal(entry->vid, 17);
		assert_int_equal(entry->port, 200);
		seen->age_ns = entry->age_ns;
	}
	return seen->n < 3;
}

static void test_for_each(void **state)
{
	struct seen seen = {0};

	(void)state;
	pin(1, 1, 0);
	learn(17, 2, 200, T0);
	fdb_for_each(fdb, T0 + 5, count, &seen);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.n_pinned, 1);
	assert_int_equal(seen.age_ns, 5);
	for (unsigned i = 10; i < 20; i++)
		learn(1, i, 2, T0);
	seen = (struct seen){0};
	fdb_for_each(fdb, T0 + 5, count, &seen);
	assert_int_equal(seen.n, 3);
}

static void set_static(unsigned n, const unsigned *vids, const unsigned *numbers, unsigned port)
{
	struct fdb_static entries[FDB_MAX_STATIC + 1] = {0};

	for (unsigned i = 0; i < n; i++) {
		entries[i].vid = (uint16_t)vids[i];
		make_mac(entries[i].mac, numbers[i]);
	}
	fdb_set_static(fdb, entries, n, port);
}

static void test_static(void **state)
{
	static const unsigned vids[] = {1, 2, 1}, numbers[] = {1, 1, 2};

	(void)state;
	learn(1, 1, 9, T0);
	set_static(3, vids, numbers, 7);
	assert_int_equal(fdb_n_learned(fdb), 0);
	/* They do not move, and do not age. */
	learn(1, 1, 9, T0);
	assert_int_equal(lookup(1, 1, T0 + 10 * FDB_AGE_NS), 7);
	assert_int_equal(lookup(2, 1, T0), 7);
	assert_int_equal(lookup(1, 2, T0), 7);
	assert_int_equal(lookup(2, 2, T0), -ENOENT);
	/* The next list replaces them. */
	set_static(1, vids, numbers, 8);
	assert_int_equal(lookup(1, 1, T0), 8);
	assert_int_equal(lookup(2, 1, T0), -ENOENT);
	assert_int_equal(lookup(1, 2, T0), -ENOENT);
	fdb_forget_port(fdb, 7);
	assert_int_equal(lookup(1, 1, T0), 8);
	fdb_forget_port(fdb, 8);
	assert_int_equal(lookup(1, 1, T0), -ENOENT);
	set_static(0, NULL, NULL, 0);
}

static void test_own_ports_go_before_static(void **state)
{
	static const unsigned vids[] = {1, 2, 3, 3}, numbers[] = {1, 1, 2, 2};

	(void)state;
	set_static(4, vids, numbers, 7); /* the last one is there twice */
	assert_int_equal(pin(1, 1, 3), 0);
	assert_int_equal(lookup(1, 1, T0), 3);
	assert_int_equal(lookup(2, 1, T0), 7);
	set_static(4, vids, numbers, 7);
	assert_int_equal(lookup(1, 1, T0), 3);
	/* A trunk has its address in all VLANs. */
	assert_int_equal(pin(FDB_ANY_VLAN, 2, 4), 0);
	assert_int_equal(lookup(3, 2, T0), -ENOENT);
	set_static(4, vids, numbers, 7);
	assert_int_equal(lookup(3, 2, T0), -ENOENT);
	fdb_forget_port(fdb, 4);
	set_static(4, vids, numbers, 7);
	assert_int_equal(lookup(3, 2, T0), 7);
}

static void test_static_ones_take_no_room(void **state)
{
	unsigned vids[FDB_MAX_STATIC], numbers[FDB_MAX_STATIC];

	(void)state;
	for (unsigned i = 0; i < FDB_MAX_STATIC; i++) {
		vids[i] = 5;
		numbers[i] = 1000 + i;
	}
	for (unsigned i = 0; i < 64; i++)
		learn(1, i, 3, T0);
	set_static(FDB_MAX_STATIC, vids, numbers, 7);
	assert_int_equal(fdb_n_learned(fdb), 64);
	assert_int_equal(lookup(1, 63, T0), 3);
	assert_int_equal(lookup(5, 1000 + FDB_MAX_STATIC - 1, T0), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_learn_and_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vlans_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ageing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flooding_port_evicts_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_being_seen_again_saves_from_eviction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aged_go_before_young, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pinned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_for_any_vlan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_for_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_static, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_ports_go_before_static, setup, teardown),
		cmocka_unit_test_setup_teardown(test_static_ones_take_no_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
