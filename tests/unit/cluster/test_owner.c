/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/cluster/fake_cluster.h"

struct outcome {
	unsigned n_done;
	int error;
	uint64_t version;
};

static void on_done(int error, uint64_t version, void *data)
{
	struct outcome *outcome = data;

	outcome->n_done++;
	outcome->error = error;
	outcome->version = version;
}

static struct cluster_owner get(struct cluster *cluster, const char *object)
{
	struct cluster_owner owner;

	assert_int_equal(cluster_owner_get(cluster, object, &owner), 0);
	return owner;
}

static int move(struct cluster *cluster, const char *object, const struct cluster_owner *expected,
	uint32_t node_id)
{
	struct outcome outcome = {};
	int r = cluster_owner_cas(cluster, object, expected, node_id, on_done, &outcome);

	if (r < 0)
		return r;
	fake_run(cluster);
	assert_int_equal(outcome.n_done, 1);
	return outcome.error;
}

static void epochs_grow_by_one(void **state)
{
	struct cluster *cluster = fake_new();
	struct cluster_owner owner = get(cluster, "vm/VM1");

	(void)state;
	assert_true(owner.node_id == 0 && owner.epoch == 0 && owner.version == 0);
	for (uint32_t node = 1; node <= 5; node++) {
		assert_int_equal(move(cluster, "vm/VM1", &owner, node % 5), 0);
		owner = get(cluster, "vm/VM1");
		assert_int_equal(owner.node_id, node % 5); /* the last one: nobody */
		assert_int_equal(owner.epoch, node);
	}
	fake_free(cluster);
}

static void only_from_what_was_expected(void **state)
{
	struct cluster *cluster = fake_new();
	struct cluster_owner first = get(cluster, "vm/VM1"), now;
	struct outcome a = {}, b = {};

	(void)state;
	/* Two at once: one gets it. */
	assert_int_equal(cluster_owner_cas(cluster, "vm/VM1", &first, 1, on_done, &a), 0);
	assert_int_equal(cluster_owner_cas(cluster, "vm/VM1", &first, 2, on_done, &b), 0);
	fake_run(cluster);
	assert_int_equal(a.error, 0);
	assert_int_equal(b.error, -ESTALE);
	now = get(cluster, "vm/VM1");
	assert_int_equal(now.node_id, 1);
	assert_true(now.version == a.version && b.version == a.version);
	assert_int_equal(move(cluster, "vm/VM1", &first, 2), -ESTALE);
	assert_int_equal(move(cluster, "vm/VM1", &now, 2), 0);
	fake_free(cluster);
}

static void mistakes_are_refused(void **state)
{
	struct cluster *cluster = fake_new();
	struct cluster_owner owner = get(cluster, "volume/V1"), wrong;
	char object[CLUSTER_KEY_MAX_LEN + 1];

	(void)state;
	assert_int_equal(move(cluster, "volume/V1", &owner, 3), 0);
	owner = get(cluster, "volume/V1");
	wrong = owner;
	wrong.epoch++;
	assert_int_equal(move(cluster, "volume/V1", &wrong, 1), -EINVAL);
	wrong = owner;
	wrong.node_id = 2;
	assert_int_equal(move(cluster, "volume/V1", &wrong, 1), -EINVAL);
	wrong = owner;
	wrong.version = CLUSTER_ANY_VERSION;
	assert_int_equal(move(cluster, "volume/V1", &wrong, 1), -EINVAL);
	memset(object, 'o', sizeof(object) - 1);
	object[sizeof(object) - 1] = '\0';
	assert_int_equal(move(cluster, object, &owner, 1), -EINVAL);
	assert_int_equal(move(cluster, "", &owner, 1), -EINVAL);
	assert_int_equal(get(cluster, "volume/V1").epoch, 1);
	fake_free(cluster);
}

static void records_that_make_no_sense_are_refused(void **state)
{
	static const char *const nonsense[] = {"null", "[]", "{}", "{\"node\":1}",
		"{\"node\":-1,\"epoch\":1}", "{\"node\":4294967296,\"epoch\":1}",
		"{\"node\":1,\"epoch\":0}", "{\"node\":\"1\",\"epoch\":1}"};
	struct cluster *cluster = fake_new();
	struct cluster_owner owner;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		fake_put(cluster, "owner/vm/VM1", nonsense[i]);
		assert_int_equal(cluster_owner_get(cluster, "vm/VM1", &owner), -EBADMSG);
	}
	fake_free(cluster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epochs_grow_by_one),
		cmocka_unit_test(only_from_what_was_expected),
		cmocka_unit_test(mistakes_are_refused),
		cmocka_unit_test(records_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
