/* SPDX-License-Identifier: MIT
 *
 * The store as a whole: store.view takes hold of it as it is now, store.read gives parts of that,
 * store.restore does one step of going back to a backup.
 */
#include "node/svc/svc.h"

#include "base/clock.h"
#include "cluster/backup.h"

#include <stdio.h>
#include <string.h>

#define MAX_VIEWS      4
#define VIEW_IDLE_NS   (60 * NS_PER_SEC)
#define MAX_READ_BYTES (512U << 10) /* an answer has a limit */

struct store_views {
	struct {
		int64_t id; /* 0: free */
		uint64_t used_ns;
		struct cluster_view *view;
	} slots[MAX_VIEWS];
	int64_t last_id;
};

void api_store_free(struct svc *svc)
{
	if (!svc->views)
		return;
	for (size_t i = 0; i < MAX_VIEWS; i++)
		cluster_view_free(svc->views->slots[i].view);
	free(take_ptr(svc->views));
}

/* Whoever does not come back for a minute has gone away. */
static int find_free(struct store_views *views, size_t *ret_slot)
{
	uint64_t now_ns = clock_mono_ns();

	for (size_t i = 0; i < MAX_VIEWS; i++) {
		if (views->slots[i].id && now_ns - views->slots[i].used_ns < VIEW_IDLE_NS)
			continue;
		cluster_view_free(take_ptr(views->slots[i].view));
		views->slots[i].id = 0;
		*ret_slot = i;
		return 0;
	}
	return -EBUSY;
}

static int take_view(struct svc *svc, int64_t *ret_id, size_t *ret_n_keys)
{
	struct cluster_view *view;
	size_t slot = 0;
	int r;

	if (!svc->views)
		svc->views = calloc(1, sizeof(*svc->views));
	if (!svc->views)
		return -ENOMEM;
	r = find_free(svc->views, &slot);
	if (r == 0)
		r = cluster_view_new(svc->cluster, &view);
	if (r < 0)
		return r;
	svc->views->slots[slot].id = ++svc->views->last_id;
	svc->views->slots[slot].used_ns = clock_mono_ns();
	svc->views->slots[slot].view = view;
	*ret_id = svc->views->last_id;
	*ret_n_keys = cluster_view_n_keys(view);
	return 0;
}

void api_store_view(struct api_call *call)
{
	struct cluster *cluster = call->svc->cluster;
	struct cluster_status status;
	struct json *result;
	size_t n_keys = 0;
	int64_t id = 0;
	int r;

	cluster_get_status(cluster, &status);
	r = take_view(call->svc, &id, &n_keys);
	if (r < 0) {
		api_fail(call, API_FAILED, "%s",
			r == -EBUSY ? "others read the store just now; try again in a minute"
				    : strerror(-r));
		return;
	}
	result = json_object_new();
	json_set_int(result, "view", id);
	json_set_int(result, "keys", (int64_t)n_keys);
	json_set_string(result, "node", cluster_local_name(cluster));
	json_set_bool(result, "quorate", cluster_is_synced(cluster));
	json_set_int(result, "generation", (int64_t)status.generation);
	json_set_int(result, "store_version", (int64_t)status.store_version);
	api_reply(call, result);
}

static struct json *entry_json(const char *key, const struct json *value, uint64_t version)
{
	struct json *entry = json_object_new();

	json_set_string(entry, "key", key);
	json_set_int(entry, "version", (int64_t)version);
	json_set(entry, "value", json_copy(value));
	return entry;
}

static struct json *entries_from(const struct cluster_view *view, size_t from)
{
	struct json *entries = json_array_new();
	const struct json *value;
	size_t size_bytes = 0;
	uint64_t version;
	const char *key;

	while (size_bytes < MAX_READ_BYTES &&
		cluster_view_at(view, from++, &key, &value, &version)) {
		_cleanup_free_ char *text = json_dump(value, 0);

		size_bytes += (text ? strlen(text) : 0) + 2 * strlen(key) + 64;
		json_append(entries, entry_json(key, value, version));
	}
	return entries;
}

void api_store_read(struct api_call *call)
{
	struct store_views *views = call->svc->views;
	int64_t id = json_get_int(call->message, "view", 0);
	int64_t from = json_get_int(call->message, "from", -1);
	struct json *result;

	for (size_t i = 0; views && id > 0 && from >= 0 && i < MAX_VIEWS; i++) {
		if (views->slots[i].id != id)
			continue;
		views->slots[i].used_ns = clock_mono_ns();
		result = json_object_new();
		json_set(result, "entries", entries_from(views->slots[i].view, (size_t)from));
		if (json_length(json_get(result, "entries")) == 0) {
			cluster_view_free(take_ptr(views->slots[i].view));
			views->slots[i].id = 0;
		}
		api_reply(call, result);
		return;
	}
	api_fail(call, API_NOT_FOUND, "the store as it was then is not kept any more");
}

static void on_restored(int error, uint64_t version _unused_, void *data)
{
	struct api_call *call = data;

	if (error < 0)
		api_fail_errno(call, error, json_get_string(call->message, "key", ""));
	else
		api_reply(call, NULL);
}

static const char *state_of_vm(struct svc *svc, const char *vm)
{
	char key[CLUSTER_KEY_MAX_LEN + 1];
	const struct json *record;

	if (!vm || snprintf(key, sizeof(key), "vmstate/%s", vm) >= (int)sizeof(key) ||
		cluster_get(svc->cluster, key, &record, NULL) < 0)
		return NULL;
	return json_get_string(record, "state", NULL);
}

void api_store_restore(struct api_call *call)
{
	const char *key = json_get_string(call->message, "key", ""), *refusal;
	int64_t expected = json_get_int(call->message, "expected", -1);
	struct json *value = json_get(call->message, "value");
	int r;

	if (!key[0] || expected < 0) {
		api_fail(call, API_USAGE, "a key and its version are wanted");
		return;
	}
	if (!api_needs_quorum(call))
		return;
	refusal = restore_refusal(
		key, (uint64_t)expected, value, state_of_vm(call->svc, restore_vm_of(key)));
	if (refusal) {
		api_fail(call, API_REFUSED, "%s: %s", key, refusal);
		return;
	}
	r = cluster_cas(call->svc->cluster, key, (uint64_t)expected, value ? json_ref(value) : NULL,
		on_restored, call);
	if (r < 0)
		api_fail_errno(call, r, key);
}
