/* SPDX-License-Identifier: MIT
 *
 * store.h - the store in memory: keys in order, each with a version and a JSON value.
 *
 * Nothing here decides anything: rs.c says what is written, in which order and with which version.
 * Values are kept as the text that was written, because the digest and the copies on other nodes
 * are made of exactly those bytes, and parsed when somebody reads them.
 *
 * A snapshot is the whole store as bytes (struct rs_wire_entry); parsing one is strict, as it comes
 * from another node, but for its values: whoever made them has parsed them, and the digest tells
 * whether they came as they were. Not thread-safe. Entries are lent until the store changes.
 */
#ifndef VIADUCT_CLUSTER_STORE_H
#define VIADUCT_CLUSTER_STORE_H

#include "base/bytes.h"
#include "base/json.h"
#include "cluster/rs_proto.h"

#define STORE_MAX_KEYS 262144

struct store;

struct store_entry {
	uint64_t version;                 /* never 0 */
	struct store_entry *next_removed; /* the store's own, both */
	struct json *json;
	const char *value; /* JSON text, not terminated */
	uint32_t value_bytes;
	uint16_t key_len;
	char key[]; /* terminated */
};

/* The value, lent like the entry; NULL: no memory, or it is not JSON. For the store's thread, also
 * of a view's entry. */
const struct json *store_entry_json(const struct store_entry *entry);
/* Without the JSON value; free() it. NULL: no memory. */
struct store_entry *store_entry_copy(const struct store_entry *entry);

int store_new(struct store **ret_store);
void store_free(struct store *store);

size_t store_n_keys(const struct store *store);
/* NULL when there is no such key. */
const struct store_entry *store_find(const struct store *store, const char *key);
/* As cluster_get() has it: 0 or -ENOENT; the value is lent, and both outputs may be NULL. */
int store_get(const struct store *store, const char *key, const struct json **ret_value,
	uint64_t *ret_version);
/* The entry at `index` in order of keys (quick when called for one after the other), and the index
 * of the first entry not before `key`. */
const struct store_entry *store_at(const struct store *store, size_t index);
size_t store_lower_bound(const struct store *store, const char *key);

/* Write or replace; `version` is not 0. 0; -EBADMSG: the value is not JSON; -EINVAL: no such keys;
 * -EMSGSIZE: value too large; -ENOSPC: the store is full (STORE_MAX_KEYS, RS_STORE_MAX_BYTES);
 * -ENOMEM. All but the last depend on nothing but the arguments and the store's content. */
int store_put(struct store *store, const char *key, size_t key_len, const char *value,
	size_t value_bytes, uint64_t version);
int store_delete(struct store *store, const char *key); /* -ENOENT, -ENOMEM */

/* The entries of now, which stay as they are whatever becomes of the store; another thread may read
 * them (one at a time). Making one costs a pointer for some hundred entries. */
struct store_view;
int store_view_new(struct store *store, struct store_view **ret_view);
void store_view_free(struct store_view *view);
size_t store_view_n_keys(const struct store_view *view);
const struct store_entry *store_view_at(const struct store_view *view, size_t index);
/* SHA-256 over its bytes as they are now, in pieces of about `max_bytes`: 1: there is more to do; 0
 * and the digest; -errno. */
int store_view_digest_some(
	struct store_view *view, size_t max_bytes, uint8_t ret_digest[RS_DIGEST_BYTES]);

/* SHA-256 over the snapshot; remembered until the store changes. */
int store_digest(struct store *store, uint8_t ret_digest[RS_DIGEST_BYTES]);
/* The same in pieces of about `max_bytes`: 1: there is more to do; 0: store_digest() costs nothing
 * now; -errno. Begins anew when the store has changed. */
int store_digest_some(struct store *store, size_t max_bytes);
bool store_digest_is_known(const struct store *store);
/* What is remembered may not be true: memory has changed by itself. */
void store_digest_drop(struct store *store);
/* Begin with what is there while more keys are to come behind; up to about `max_bytes`. */
void store_digest_ahead(struct store *store, size_t max_bytes);

/* A snapshot in pieces: parse() takes as many whole entries as there are in the bytes, the rest
 * stays in `in`. */
int store_parse_some(struct store *store, struct reader *in);
/* Up to `n` entries are freed, from the end; true: there are more. For a store that is no longer
 * used, before store_free(). */
bool store_drop_some(struct store *store, size_t n);
/* The next entry of such bytes, without its JSON value, into `entry`, which has room for the
 * longest key; the value is lent. False: there is none that is whole and valid. */
bool store_entry_read(struct reader *in, struct store_entry *entry);
/* Appends entry's bytes in a snapshot. */
void store_entry_put(const struct store_entry *entry, struct buf *out);

/* Appends store_snapshot_bytes() bytes. */
void store_snapshot(const struct store *store, struct buf *out);
size_t store_snapshot_bytes(const struct store *store);
/* -EBADMSG for anything store_snapshot() would not have written. */
int store_from_snapshot(const void *bytes, size_t size_bytes, struct store **ret_store);

#endif
