/* SPDX-License-Identifier: MIT */
#include "cluster/publish.h"

#include <stdio.h>
#include <string.h>

static void on_written(int error, uint64_t version, void *data)
{
	struct publisher *publisher = data;

	(void)error; /* the next call compares again */
	(void)version;
	publisher->under_way = false;
}

static bool is_published(struct cluster *cluster, const char *key, const char *text)
{
	_cleanup_free_ char *old_text = NULL;
	const struct json *old;

	if (cluster_get(cluster, key, &old, NULL) < 0)
		return false;
	old_text = json_dump(old, 0);
	return old_text && strcmp(old_text, text) == 0;
}

int publish(struct publisher *publisher, struct cluster *cluster, const char *prefix,
	struct json *value)
{
	_cleanup_json_ struct json *record = value;
	_cleanup_free_ char *text = NULL;
	char key[CLUSTER_KEY_MAX_LEN + 1];
	int r;

	if (!record)
		return -ENOMEM;
	if (!cluster_local_name(cluster)[0])
		return -EHOSTDOWN;
	snprintf(key, sizeof(key), "%s%s", prefix, cluster_local_name(cluster));
	text = json_dump(record, 0);
	if (!text)
		return -ENOMEM;
	if (publisher->under_way || is_published(cluster, key, text))
		return 0;
	publisher->under_way = true;
	r = cluster_cas(cluster, key, CLUSTER_ANY_VERSION, json_ref(record), on_written, publisher);
	if (r < 0)
		publisher->under_way = false;
	return r;
}
