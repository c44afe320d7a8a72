/* SPDX-License-Identifier: MIT */
#include "cluster/store.h"
#include "cluster/rs_wire.h"
#include "cluster/store_impl.h"

int store_new(struct store **ret_store)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return -ENOMEM;
	r = sha256_new(&store->sha);
	if (r == 0)
		r = store_index_new(&store->index);
	if (r < 0) {
		sha256_free(store->sha);
		free(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

static void entry_free(struct store_entry *entry)
{
	if (!entry)
		return;
	json_unref(entry->json);
	free(entry);
}

/* It may be in a view. */
static void entry_remove(struct store *store, struct store_entry *entry)
{
	if (!entry || !store->removed) {
		entry_free(entry);
		return;
	}
	entry->next_removed = store->removed->first;
	store->removed->first = entry;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	while (store_drop_some(store, SIZE_MAX))
		;
	if (store->removed)
		store->removed->store = NULL;
	store_index_free(store->index);
	sha256_free(store->sha);
	free(store);
}

size_t store_n_keys(const struct store *store)
{
	return store_index_n(store->index);
}

size_t store_lower_bound(const struct store *store, const char *key)
{
	return store_index_number(store->index, store_index_find(store->index, key));
}

const struct store_entry *store_at(const struct store *store, size_t index)
{
	return store_index_at(store->index, index);
}

const struct store_entry *store_find(const struct store *store, const char *key)
{
	struct store_place place = store_index_find(store->index, key);

	return place.is_there ? store_index_entry(store->index, place) : NULL;
}

int store_get(const struct store *store, const char *key, const struct json **ret_value,
	uint64_t *ret_version)
{
	const struct store_entry *entry = store_find(store, key);

	if (!entry)
		return -ENOENT;
	if (ret_value)
		*ret_value = store_entry_json(entry);
	if (ret_version)
		*ret_version = entry->version;
	return 0;
}

int store_entry_new(const char *key, size_t key_len, const char *value, size_t value_bytes,
	uint64_t version, struct store_entry **ret_entry)
{
	struct store_entry *entry;
	char *text;

	if (!rs_key_is_valid(key, key_len) || version == 0)
		return -EINVAL;
	if (value_bytes > RS_VALUE_MAX_BYTES)
		return -EMSGSIZE;
	entry = malloc(sizeof(*entry) + key_len + 1 + value_bytes);
	if (!entry)
		return -ENOMEM;
	text = entry->key + key_len + 1;
	*entry = (struct store_entry){
		.version = version,
		.value = text,
		.value_bytes = (uint32_t)value_bytes,
		.key_len = (uint16_t)key_len,
	};
	memcpy(entry->key, key, key_len);
	entry->key[key_len] = '\0';
	memcpy(text, value, value_bytes);
	*ret_entry = entry;
	return 0;
}

const struct json *store_entry_json(const struct store_entry *entry)
{
	struct store_entry *it = (struct store_entry *)entry;

	if (!it->json && json_parse(it->value, it->value_bytes, &it->json) < 0)
		it->json = NULL;
	return it->json;
}

struct store_entry *store_entry_copy(const struct store_entry *entry)
{
	struct store_entry *copy = malloc(sizeof(*copy) + entry->key_len + 1 + entry->value_bytes);
	char *text;

	if (!copy)
		return NULL;
	text = copy->key + entry->key_len + 1;
	*copy = *entry;
	copy->json = NULL;
	copy->value = text;
	memcpy(copy->key, entry->key, entry->key_len + 1U);
	memcpy(text, entry->value, entry->value_bytes);
	return copy;
}

static bool is_hashed(const struct store *store, struct store_place place)
{
	return store->n_digested > 0 && !store_index_is_end(store->index, place) &&
	       store_index_number(store->index, place) < store->n_digested;
}

/* What comes behind the entries that are hashed does not change what was hashed. */
static void digest_forget(struct store *store, bool was_hashed)
{
	store->digest_is_valid = false;
	if (was_hashed)
		store->n_digested = 0;
}

int store_put_entry(struct store *store, struct store_entry *entry)
{
	struct store_place place = store_index_find(store->index, entry->key);
	bool was_hashed = is_hashed(store, place);
	struct store_entry *old;
	size_t old_bytes;
	int r;

	old = place.is_there ? store_index_entry(store->index, place) : NULL;
	old_bytes = old ? store_entry_bytes(old) : 0;
	if (store->snapshot_bytes - old_bytes + store_entry_bytes(entry) > RS_STORE_MAX_BYTES)
		r = -ENOSPC;
	else if (old)
		r = store_index_replace(store->index, place, entry);
	else if (store_n_keys(store) >= STORE_MAX_KEYS)
		r = -ENOSPC;
	else
		r = store_index_insert(store->index, place, entry);
	if (r < 0) {
		entry_free(entry);
		return r;
	}
	store->snapshot_bytes += store_entry_bytes(entry) - old_bytes;
	digest_forget(store, was_hashed);
	entry_remove(store, old);
	return 0;
}

int store_put(struct store *store, const char *key, size_t key_len, const char *value,
	size_t value_bytes, uint64_t version)
{
	struct store_entry *entry;
	struct json *json;
	int r;

	r = store_entry_new(key, key_len, value, value_bytes, version, &entry);
	if (r < 0)
		return r;
	r = json_parse(value, value_bytes, &json);
	if (r < 0) {
		entry_free(entry);
		return r;
	}
	entry->json = json;
	return store_put_entry(store, entry);
}

int store_delete(struct store *store, const char *key)
{
	struct store_place place = store_index_find(store->index, key);
	struct store_entry *entry;
	int r;

	if (!place.is_there)
		return -ENOENT;
	entry = store_index_entry(store->index, place);
	digest_forget(store, is_hashed(store, place));
	r = store_index_remove(store->index, place);
	if (r < 0)
		return r;
	store->snapshot_bytes -= store_entry_bytes(entry);
	entry_remove(store, entry);
	return 0;
}

int store_view_new(struct store *store, struct store_view **ret_view)
{
	struct store_view *view = calloc(1, sizeof(*view));

	if (!view || store_index_copy(store->index, &view->index) < 0) {
		free(view);
		return -ENOMEM;
	}
	if (!store->removed) {
		store->removed = calloc(1, sizeof(*store->removed));
		if (!store->removed) {
			store_index_free(view->index);
			free(view);
			return -ENOMEM;
		}
		store->removed->store = store;
	}
	store->removed->n_views++;
	view->removed = store->removed;
	*ret_view = view;
	return 0;
}

void store_view_free(struct store_view *view)
{
	struct removed *removed;
	struct store_entry *entry;

	if (!view)
		return;
	removed = view->removed;
	sha256_free(view->sha);
	store_index_free(view->index);
	free(view);
	if (--removed->n_views > 0)
		return;
	while ((entry = removed->first)) {
		removed->first = entry->next_removed;
		entry_free(entry);
	}
	if (removed->store)
		removed->store->removed = NULL;
	free(removed);
}

size_t store_view_n_keys(const struct store_view *view)
{
	return store_index_n(view->index);
}

const struct store_entry *store_view_at(const struct store_view *view, size_t index)
{
	return store_index_at(view->index, index);
}

bool store_drop_some(struct store *store, size_t n)
{
	while (n-- > 0 && store_n_keys(store) > 0)
		entry_remove(store, store_index_pop(store->index));
	return store_n_keys(store) > 0;
}
