/* SPDX-License-Identifier: MIT */
#include "cluster/store_impl.h"

_Static_assert(SHA256_BYTES == RS_DIGEST_BYTES, "the digest is a SHA-256");

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
	const struct store_entry *entry;
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
		done_bytes += store_entry_bytes(entry);
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
		done_bytes += store_entry_bytes(entry);
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
	r = store_entry_new(
		item.key, item.key_len, item.value, item.value_bytes, item.version, &entry);
	if (r == 0)
		r = store_put_entry(store, entry);
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
