/* SPDX-License-Identifier: MIT
 *
 * The cluster object before it has found corosync: what was stored can be read, nothing can be
 * written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "cluster/cluster.h"
#include "cluster/store_db.h"

struct place {
	char directory[64];
	struct loop *loop;
};

static int place_make(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place || loop_new(&place->loop) < 0)
		return -1;
	snprintf(place->directory, sizeof(place->directory), "/tmp/viaduct-cluster-XXXXXX");
	if (!mkdtemp(place->directory))
		return -1;
	*state = place;
	return 0;
}

static int place_remove(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
	struct place *place = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(path, sizeof(path), "%s/store.sqlite%s", place->directory, suffixes[i]);
		unlink(path);
	}
	rmdir(place->directory);
	loop_free(place->loop);
	free(place);
	return 0;
}

static void fill(const struct place *place)
{
	static const char *const keys[] = {"vm/VM1", "vm/VM2", "volume/V1"};
	struct store_view *view;
	struct store_db *db;
	struct store *store;
	struct rs_meta meta;
	char path[128];

	snprintf(path, sizeof(path), "%s/store.sqlite", place->directory);
	assert_int_equal(store_db_open(path, &db, &store, &meta), 0);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(
			store_put(store, keys[i], strlen(keys[i]), "{\"n\":1}", 7, i + 1), 0);
	assert_int_equal(store_view_new(store, &view), 0);
	assert_int_equal(store_db_save_view(db, view, &(struct rs_meta){2, 3, 3}), 0);
	store_view_free(view);
	store_db_close(db);
	store_free(store);
}

static struct cluster *open_cluster(const struct place *place)
{
	const struct cluster_config config = {.state_dir = place->directory};
	const struct cluster_callbacks callbacks = {};
	struct cluster *cluster;

	assert_int_equal(cluster_new(place->loop, &config, &callbacks, NULL, &cluster), 0);
	return cluster;
}

static int count_and_stop_at_two(
	const char *key, const struct json *value, uint64_t version, void *data)
{
	unsigned *n = data;

	assert_memory_equal(key, "vm/", 3);
	assert_int_equal(json_get_int(value, "n", 0), 1);
	assert_true(version != 0);
	return ++*n == 2 ? 42 : 0;
}

static void what_was_stored_is_read(void **state)
{
	struct cluster_status status;
	struct cluster *cluster;
	const struct json *value;
	uint64_t version;
	unsigned n = 0;

	fill(*state);
	cluster = open_cluster(*state);
	assert_false(cluster_is_connected(cluster));
	assert_false(cluster_is_quorate(cluster));
	assert_false(cluster_is_synced(cluster));
	assert_int_equal(cluster_local_id(cluster), 0);
	assert_string_equal(cluster_local_name(cluster), "");
	assert_int_equal(cluster_get(cluster, "volume/V1", &value, &version), 0);
	assert_int_equal(version, 3);
	assert_int_equal(cluster_get(cluster, "volume/V2", &value, &version), -ENOENT);
	assert_int_equal(cluster_for_each(cluster, "vm/", count_and_stop_at_two, &n), 42);
	assert_int_equal(n, 2);
	cluster_get_status(cluster, &status);
	assert_int_equal(status.n_keys, 3);
	assert_int_equal(status.generation, 2);
	assert_int_equal(strlen(status.digest), 64);
	assert_int_equal(status.expected_votes, 0);
	cluster_free(cluster);
}

static void nothing_is_written(void **state)
{
	struct cluster *cluster = open_cluster(*state);
	struct cluster_net nets[2];
	struct cluster_node node;

	assert_int_equal(cluster_cas(cluster, "a", 0, json_int_new(1), NULL, NULL), -EHOSTDOWN);
	assert_int_equal(cluster_cas(cluster, "", 0, json_int_new(1), NULL, NULL), -EINVAL);
	assert_int_equal(cluster_publish_interfaces(cluster), -EHOSTDOWN);
	assert_int_equal(cluster_mac_lease(cluster, "vm/VM1/nic0", NULL, NULL, NULL), -EHOSTDOWN);
	assert_int_equal(cluster_nodes(cluster, &node, 1), 0);
	assert_int_equal(cluster_find_node(cluster, "host1", &node), -ENOENT);
	assert_int_equal(cluster_nets(cluster, nets, 2), 0);
	assert_int_equal(cluster_migration_nets(cluster, 1, 2, nets, 2), 0);
	cluster_free(cluster);
}

static void one_process_for_one_directory(void **state)
{
	const struct place *place = *state;
	const struct cluster_config config = {.state_dir = place->directory};
	const struct cluster_callbacks callbacks = {};
	struct cluster *cluster = open_cluster(place), *second;

	assert_int_equal(cluster_new(place->loop, &config, &callbacks, NULL, &second), -EBUSY);
	cluster_free(cluster);
	cluster_free(NULL);
}

int main(void)
{
#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
	const struct CMUnitTest tests[] = {
		WITH_PLACE(what_was_stored_is_read),
		WITH_PLACE(nothing_is_written),
		WITH_PLACE(one_process_for_one_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
