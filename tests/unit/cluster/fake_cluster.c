/* SPDX-License-Identifier: MIT */
#include "tests/unit/cluster/fake_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "cluster/store.h"

struct fake_write {
	struct list siblings;
	char key[CLUSTER_KEY_MAX_LEN + 1];
	uint64_t expected;
	char *value;
	cluster_done_fn done;
	void *data;
};

struct cluster {
	struct store *store;
	struct list writes;
	uint64_t version;
	int error;
	const char *local_name;
};

struct cluster *fake_new(void)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	assert_non_null(cluster);
	assert_int_equal(store_new(&cluster->store), 0);
	list_init(&cluster->writes);
	cluster->local_name = "node1";
	return cluster;
}

void fake_free(struct cluster *cluster)
{
	assert_true(list_empty(&cluster->writes));
	store_free(cluster->store);
	free(cluster);
}

int cluster_get(const struct cluster *cluster, const char *key, const struct json **ret_value,
	uint64_t *ret_version)
{
	return store_get(cluster->store, key, ret_value, ret_version);
}

int cluster_for_each(const struct cluster *cluster, const char *prefix,
	int (*fn)(const char *key, const struct json *value, uint64_t version, void *data),
	void *data)
{
	size_t i = store_lower_bound(cluster->store, prefix);
	const struct store_entry *entry;

	for (; (entry = store_at(cluster->store, i)); i++) {
		int r;

		if (strncmp(entry->key, prefix, strlen(prefix)) != 0)
			break;
		r = fn(entry->key, entry->json, entry->version, data);
		if (r)
			return r;
	}
	return 0;
}

/* ---- three nodes, of which node1 is this one ---- */

size_t cluster_nodes(
	const struct cluster *cluster _unused_, struct cluster_node *ret_nodes, size_t max)
{
	for (size_t i = 0; i < 3 && i < max; i++) {
		ret_nodes[i] = (struct cluster_node){.id = (uint32_t)i + 1};
		snprintf(ret_nodes[i].name, sizeof(ret_nodes[i].name), "node%zu", i + 1);
		snprintf(ret_nodes[i].ring_addr[0], sizeof(ret_nodes[i].ring_addr[0]),
			"192.168.7.%zu", 47 + i);
	}
	return MIN(max, (size_t)3);
}

int cluster_find_node(
	const struct cluster *cluster, const char *name, struct cluster_node *ret_node)
{
	struct cluster_node nodes[3];

	cluster_nodes(cluster, nodes, 3);
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(nodes[i].name, name) == 0) {
			*ret_node = nodes[i];
			return 0;
		}
	}
	return -ENOENT;
}

const char *cluster_local_name(const struct cluster *cluster)
{
	return cluster->local_name;
}

bool cluster_is_synced(const struct cluster *cluster _unused_)
{
	return true;
}

void fake_be(struct cluster *cluster, const char *node)
{
	cluster->local_name = node;
}

int cluster_cas(struct cluster *cluster, const char *key, uint64_t expected, struct json *value,
	cluster_done_fn done, void *data)
{
	struct fake_write *write;

	if (cluster->error == -EHOSTDOWN) {
		json_unref(value);
		return -EHOSTDOWN;
	}
	write = calloc(1, sizeof(*write));
	assert_non_null(write);
	assert_true(strlen(key) <= CLUSTER_KEY_MAX_LEN);
	strcpy(write->key, key);
	write->expected = expected;
	write->value = value ? json_dump(value, 0) : NULL;
	write->done = done;
	write->data = data;
	json_unref(value);
	list_append(&cluster->writes, &write->siblings);
	return 0;
}

static int apply(struct cluster *cluster, const struct fake_write *write, uint64_t *ret_version)
{
	uint64_t version = 0;

	if (cluster->error)
		return cluster->error;
	cluster_get(cluster, write->key, NULL, &version);
	*ret_version = version;
	if (write->expected != CLUSTER_ANY_VERSION && write->expected != version)
		return -ESTALE;
	if (!write->value) {
		store_delete(cluster->store, write->key);
		*ret_version = 0;
		return 0;
	}
	fake_put(cluster, write->key, write->value);
	*ret_version = cluster->version;
	return 0;
}

bool fake_run_one(struct cluster *cluster)
{
	struct fake_write *write = list_pop(&cluster->writes, struct fake_write, siblings);
	uint64_t version = 0;
	int r;

	if (!write)
		return false;
	r = apply(cluster, write, &version);
	if (write->done)
		write->done(r, version, write->data);
	free(write->value);
	free(write);
	return true;
}

void fake_run(struct cluster *cluster)
{
	for (unsigned i = 0; fake_run_one(cluster); i++)
		assert_true(i < 10000);
}

void fake_fail(struct cluster *cluster, int error)
{
	cluster->error = error;
}

void fake_put(struct cluster *cluster, const char *key, const char *value)
{
	assert_int_equal(store_put(cluster->store, key, strlen(key), value, strlen(value),
				 ++cluster->version),
		0);
}

size_t fake_n_keys(const struct cluster *cluster)
{
	return store_n_keys(cluster->store);
}
