/* SPDX-License-Identifier: MIT */
#include "tests/sim/sim_cluster.h"

#include "tests/sim/history.h"

int cluster_get(const struct cluster *cluster, const char *key, const struct json **ret_value,
	uint64_t *ret_version)
{
	const struct rs *rs = bus_rs(cluster->sim->bus, cluster->id);

	return store_get(rs_store(rs), key, ret_value, ret_version);
}

int cluster_cas(struct cluster *cluster, const char *key, uint64_t expected, struct json *value,
	cluster_done_fn done, void *data)
{
	_cleanup_json_ struct json *record = value;
	_cleanup_free_ char *text = NULL;

	if (record) {
		text = json_dump(record, 0);
		if (!text)
			return -ENOMEM;
	}
	return history_write(cluster->sim->history, cluster->id, key, expected, text, done, data);
}
