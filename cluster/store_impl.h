/* SPDX-License-Identifier: MIT
 *
 * store_impl.h - the store as its own files see it: store.c has entries and views of them,
 * store_bytes.c what they are as bytes: digest and snapshot.
 */
#ifndef VIADUCT_CLUSTER_STORE_IMPL_H
#define VIADUCT_CLUSTER_STORE_IMPL_H

#include "cluster/rs_wire.h"
#include "cluster/sha256.h"
#include "cluster/store.h"
#include "cluster/store_index.h"

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

struct store_view {
	struct removed *removed;
	struct sha256 *sha; /* NULL: not begun */
	size_t n_digested;
	struct store_index *index;
};

static inline size_t store_entry_bytes(const struct store_entry *entry)
{
	return sizeof(struct rs_wire_entry) + entry->key_len + entry->value_bytes;
}

/* -EINVAL, -EMSGSIZE, -ENOMEM. The value is not looked at. */
int store_entry_new(const char *key, size_t key_len, const char *value, size_t value_bytes,
	uint64_t version, struct store_entry **ret_entry);
/* It takes the entry over, also when it fails: -ENOSPC, -ENOMEM. */
int store_put_entry(struct store *store, struct store_entry *entry);

#endif
