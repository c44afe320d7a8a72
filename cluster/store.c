/* SPDX-License-Identifier: MIT */
#include "cluster/store.h"
#include "cluster/rs_wire.h"
#include "cluster/sha256.h"
#include "cluster/store_index.h"

_Static_assert(SHA256_BYTES == RS_DIGEST_BYTES, "the digest is a SHA-256");

/* Entries that are in no store any more while there are views of it. */
struct removed {
	unsigned n_views;
	struct store *store; /* NULL: it is gone */
	struct store_entry *first;
};

struct store {
	struct store_index *index;
	struct removed *removed; /* NULL: there are no views */
	size_t snapshot_bytes;

	struct sha256 *sha;
	size_t n_digested; /* entries that are in `sha` */
	bool digest_is_valid;
	uint8_t digest[RS_DIGEST_BYTES];
};

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

static size_t entry_snapshot_bytes(const struct store_entry *entry)
{
	return sizeof(struct rs_wire_entry) + entry->key_len + entry->value_bytes;
}

static int entry_new(const char *key, size_t key_len, const char *value, size_t value_bytes,
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

/* It takes the entry over, also when it fails. */
static int put(struct store *store, struct store_entry *entry)
{
	struct store_place place = store_index_find(store->index, entry->key);
	bool was_hashed = is_hashed(store, place);
	struct store_entry *old;
	size_t old_bytes;
	int r;

	old = place.is_there ? store_index_entry(store->index, place) : NULL;
	old_bytes = old ? entry_snapshot_bytes(old) : 0;
	if (store->snapshot_bytes - old_bytes + entry_snapshot_bytes(entry) > RS_STORE_MAX_BYTES)
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
	store->snapshot_bytes += entry_snapshot_bytes(entry) - old_bytes;
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

	r = entry_new(key, key_len, value, value_bytes, version, &entry);
	if (r < 0)
		return r;
	r = json_parse(value, value_bytes, &json);
	if (r < 0) {
		entry_free(entry);
		return r;
	}
	entry->json = json;
	return put(store, entry);
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
	store->snapshot_bytes -= entry_snapshot_bytes(entry);
	entry_remove(store, entry);
	return 0;
}

struct store_view {
	struct removed *removed;
	struct sha256 *sha; /* NULL: not begun */
	size_t n_digested;
	struct store_index *index;
};

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

static struct rs_wire_entry entry_header(const struct store_entry *entry)
{
	return (struct rs_wire_entry){
		.version = htole64(entry->version),
		.value_bytes = htole32(entry->value_bytes),
		.key_len = htole16(entry->key_len),
	};
}

static void add_entry(struct sha256 *sha, const struct store_entry *entry)
{
	struct rs_wire_entry header = entry_header(entry);

	sha256_add(sha, &header, sizeof(header));
	sha256_add(sha, entry->key, entry->key_len);
	sha256_add(sha, entry->value, entry->value_bytes);
}

int store_view_digest_some(
	struct store_view *view, size_t max_bytes, uint8_t ret_digest[RS_DIGEST_BYTES])
{
	const struct store_entry *entry = NULL;
	size_t done_bytes = 0;
	int r;

	if (!view->sha) {
		r = sha256_new(&view->sha);
		if (r < 0)
			return r;
		sha256_begin(view->sha);
	}
	while (done_bytes < max_bytes && (entry = store_view_at(view, view->n_digested))) {
		add_entry(view->sha, entry);
		done_bytes += entry_snapshot_bytes(entry);
		view->n_digested++;
	}
	return store_view_at(view, view->n_digested) ? 1 : sha256_end(view->sha, ret_digest);
}

void store_digest_ahead(struct store *store, size_t max_bytes)
{
	const struct store_entry *entry;
	size_t done_bytes = 0;

	if (store->n_digested == 0)
		sha256_begin(store->sha);
	while (done_bytes < max_bytes && (entry = store_at(store, store->n_digested))) {
		add_entry(store->sha, entry);
		done_bytes += entry_snapshot_bytes(entry);
		store->n_digested++;
	}
}

int store_digest_some(struct store *store, size_t max_bytes)
{
	int r;

	if (store->digest_is_valid)
		return 0;
	store_digest_ahead(store, max_bytes);
	if (store->n_digested < store_n_keys(store))
		return 1;
	store->n_digested = 0;
	r = sha256_end(store->sha, store->digest);
	store->digest_is_valid = r == 0;
	return r;
}

void store_digest_drop(struct store *store)
{
	store->digest_is_valid = false;
	store->n_digested = 0;
}

bool store_digest_is_known(const struct store *store)
{
	return store->digest_is_valid;
}

int store_digest(struct store *store, uint8_t ret_digest[RS_DIGEST_BYTES])
{
	int r = store_digest_some(store, SIZE_MAX);

	if (r == 0)
		memcpy(ret_digest, store->digest, RS_DIGEST_BYTES);
	return r;
}

size_t store_snapshot_bytes(const struct store *store)
{
	return store->snapshot_bytes;
}

void store_entry_put(const struct store_entry *entry, struct buf *out)
{
	struct rs_wire_entry header = entry_header(entry);

	buf_bytes(out, &header, sizeof(header));
	buf_bytes(out, entry->key, entry->key_len);
	buf_bytes(out, entry->value, entry->value_bytes);
}

void store_snapshot(const struct store *store, struct buf *out)
{
	const struct store_entry *entry;

	for (size_t i = 0; (entry = store_at(store, i)); i++)
		store_entry_put(entry, out);
}

/* Whether `key` (not terminated) comes behind every key of the store. */
static bool key_ascends(const struct store *store, const char *key, size_t key_len)
{
	const struct store_entry *last;
	int order;

	if (store_n_keys(store) == 0)
		return true;
	last = store_at(store, store_n_keys(store) - 1);
	order = memcmp(last->key, key, MIN((size_t)last->key_len, key_len));
	return order < 0 || (order == 0 && last->key_len < key_len);
}

struct item {
	uint64_t version;
	const char *key, *value; /* lent */
	uint32_t value_bytes;
	uint16_t key_len;
};

static bool read_item(struct reader *in, struct item *item)
{
	uint16_t reserved;

	item->version = reader_le64(in);
	item->value_bytes = reader_le32(in);
	item->key_len = reader_le16(in);
	reserved = reader_le16(in);
	item->key = reader_take(in, item->key_len);
	item->value = reader_take(in, item->value_bytes);
	return reader_ok(in) && !reserved;
}

bool store_entry_read(struct reader *in, struct store_entry *entry)
{
	struct item item;

	if (in->left_bytes == 0 || !read_item(in, &item) ||
		!rs_key_is_valid(item.key, item.key_len))
		return false;
	*entry = (struct store_entry){
		.version = item.version,
		.value = item.value,
		.value_bytes = item.value_bytes,
		.key_len = item.key_len,
	};
	memcpy(entry->key, item.key, item.key_len);
	entry->key[item.key_len] = '\0';
	return true;
}

static int parse_entry(struct store *store, struct reader *in)
{
	struct store_entry *entry;
	struct item item;
	int r;

	if (!read_item(in, &item) || !key_ascends(store, item.key, item.key_len))
		return -EBADMSG;
	r = entry_new(item.key, item.key_len, item.value, item.value_bytes, item.version, &entry);
	if (r == 0)
		r = put(store, entry);
	return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

/* How long the next entry is; 0: it is not all there. */
static size_t next_entry_bytes(const struct reader *in)
{
	struct reader ahead = *in;
	uint32_t value_bytes;
	size_t size_bytes;

	reader_le64(&ahead);
	value_bytes = reader_le32(&ahead);
	size_bytes = sizeof(struct rs_wire_entry) + (size_t)value_bytes + reader_le16(&ahead);
	return reader_ok(&ahead) && size_bytes <= in->left_bytes ? size_bytes : 0;
}

int store_parse_some(struct store *store, struct reader *in)
{
	int r = 0;

	while (r == 0 && next_entry_bytes(in) > 0)
		r = parse_entry(store, in);
	return r;
}

bool store_drop_some(struct store *store, size_t n)
{
	while (n-- > 0 && store_n_keys(store) > 0)
		entry_remove(store, store_index_pop(store->index));
	return store_n_keys(store) > 0;
}

int store_from_snapshot(const void *bytes, size_t size_bytes, struct store **ret_store)
{
	struct reader in = reader_make(bytes, size_bytes);
	struct store *store;
	int r;

	if (size_bytes > RS_STORE_MAX_BYTES)
		return -EBADMSG;
	r = store_new(&store);
	if (r < 0)
		return r;
	while (r == 0 && in.left_bytes > 0)
		r = parse_entry(store, &in);
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret_store = store;
	return 0;
}
