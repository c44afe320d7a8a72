/* SPDX-License-Identifier: MIT */
#include "node/svc/svc.h"

#include "csv/csv.h"

#include <stdio.h>
#include <string.h>

static int find(struct svc *svc, const char *name, const struct json **ret_record)
{
	char key[SVC_NAME_MAX_LEN + 16];
	uint64_t version;

	snprintf(key, sizeof(key), "volume/%s", name);
	return cluster_get(svc->cluster, key, ret_record, &version);
}

int volume_open(
	struct svc *svc, const char *name, int *ret_dir_fd, char *error, size_t error_size_bytes)
{
	const char *node = cluster_local_name(svc->cluster);
	const struct json *record;
	const char *path;
	int r;

	if (!svc_name_is_valid(name) || find(svc, name, &record) < 0) {
		snprintf(error, error_size_bytes, "there is no volume '%.64s'", name);
		return -ENOENT;
	}
	path = json_get_string(record, "path", "");
	r = csv_volume_open(path, json_get_string(record, "id", ""), ret_dir_fd);
	if (r == -EMEDIUMTYPE)
		snprintf(error, error_size_bytes, "%s: %.100s is not volume %s; is it mounted?",
			node, path, name);
	else if (r < 0)
		snprintf(error, error_size_bytes, "%s: volume %s at %.100s: %s", node, name, path,
			strerror(-r));
	return r;
}

static int only_first(
	const char *key, const struct json *value _unused_, uint64_t version _unused_, void *data)
{
	const char **name = data;

	if (!*name)
		*name = strchr(key, '/') + 1;
	return 0;
}

const char *volume_first(struct svc *svc)
{
	const char *name = NULL;

	cluster_for_each(svc->cluster, "volume/", only_first, &name);
	return name;
}

int volume_take(struct svc *svc, const char *name, cluster_done_fn fn, void *data)
{
	struct cluster_owner owner;
	char object[SVC_NAME_MAX_LEN + 16];
	int r;

	snprintf(object, sizeof(object), "volume/%s", name);
	r = cluster_owner_get(svc->cluster, object, &owner);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT)
		memset(&owner, 0, sizeof(owner));
	return cluster_owner_cas(
		svc->cluster, object, &owner, cluster_local_id(svc->cluster), fn, data);
}

/* ---- requests ---- */

static void on_created(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error == -ESTALE)
		api_fail(call, API_CONFLICT, "there is a volume '%s' already",
			json_get_string(call->message, "name", ""));
	else if (error < 0)
		api_fail_errno(call, error, "the volume was not made");
	else
		api_reply(call, NULL);
}

void api_volume_create(struct api_call *call)
{
	const char *name = json_get_string(call->message, "name", "");
	const char *path = json_get_string(call->message, "path", "");
	char key[SVC_NAME_MAX_LEN + 16], id[CSV_ID_TEXT_BYTES];
	struct json *record;
	int r;

	if (!svc_name_is_valid(name) || path[0] != '/') {
		api_fail(call, API_USAGE,
			"a volume needs a name (letters, digits, - _ .) and an absolute path");
		return;
	}
	if (!api_needs_quorum(call))
		return;
	r = csv_volume_label(path, id);
	if (r < 0 && r != -EEXIST) {
		api_fail(call, API_REFUSED, "%s cannot become a volume: %s", path, strerror(-r));
		return;
	}
	record = json_object_new();
	json_set_string(record, "path", path);
	json_set_string(record, "id", id);
	snprintf(key, sizeof(key), "volume/%s", name);
	r = cluster_cas(call->svc->cluster, key, 0, record, on_created, call);
	if (r < 0)
		api_fail_errno(call, r, "the volume was not made");
}

struct listing {
	struct svc *svc;
	struct json *list;
};

static int list_one(
	const char *key, const struct json *record, uint64_t version _unused_, void *data)
{
	struct listing *l = data;
	struct json *entry = json_object_new();
	struct cluster_node nodes[CLUSTER_MAX_NODES];
	size_t n = cluster_nodes(l->svc->cluster, nodes, ARRAY_LEN(nodes));
	struct cluster_owner owner = {0};
	char error[200];
	int dir;

	cluster_owner_get(l->svc->cluster, key, &owner);
	json_set_string(entry, "name", strchr(key, '/') + 1);
	json_set_string(entry, "path", json_get_string(record, "path", ""));
	json_set_string(entry, "owner", "-");
	for (size_t i = 0; i < n; i++) {
		if (nodes[i].id == owner.node_id)
			json_set_string(entry, "owner", nodes[i].name);
	}
	json_set_int(entry, "epoch", (int64_t)owner.epoch);
	if (volume_open(l->svc, strchr(key, '/') + 1, &dir, error, sizeof(error)) == 0) {
		json_set_string(entry, "state", "Online");
		json_set_string(entry, "reason", "");
		close(dir);
	} else {
		json_set_string(entry, "state", "Unavailable");
		json_set_string(entry, "reason", error);
	}
	json_append(l->list, entry);
	return 0;
}

void api_volume_list(struct api_call *call)
{
	struct listing l = {.svc = call->svc, .list = json_array_new()};
	struct json *result = json_object_new();

	cluster_for_each(call->svc->cluster, "volume/", list_one, &l);
	json_set(result, "volumes", l.list);
	api_reply(call, result);
}
