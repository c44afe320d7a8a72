/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
