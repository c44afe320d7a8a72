/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cluster/store.h"

static struct store *store_make(void)
{
	struct store *store;

	assert_int_equal(store_new(&store), 0);
	return store;
}

static int put(struct store *store, const char *key, const char *value, uint64_t version)
{
	return store_put(store, key, strlen(key), value, strlen(value), version);
}

static void keys_are_in_order(void **state)
{
	static const char *const keys[] = {"vm/b", "a", "vm/a", "vm", "z", "vm/aa"};
	static const char *const ordered[] = {"a", "vm", "vm/a", "vm/aa", "vm/b", "z"};
	struct store *store = store_make();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(put(store, keys[i], "1", i + 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(ordered); i++)
		assert_string_equal(store_at(store, i)->key, ordered[i]);
	assert_null(store_at(store, ARRAY_LEN(ordered)));
	assert_int_equal(store_lower_bound(store, "vm/"), 2);
	assert_int_equal(store_lower_bound(store, ""), 0);
	assert_int_equal(store_lower_bound(store, "zz"), 6);
	store_free(store);
}

static void put_replaces_and_delete_removes(void **state)
{
	struct store *store = store_make();
	const struct store_entry *entry;

	(void)state;
	assert_int_equal(put(store, "k", "{\"a\":1}", 1), 0);
	assert_int_equal(put(store, "k", "{\"a\":2}", 2), 0);
	assert_int_equal(store_n_keys(store), 1);
	entry = store_find(store, "k");
	assert_int_equal(entry->version, 2);
	assert_int_equal(json_get_int(store_entry_json(entry), "a", 0), 2);
	assert_int_equal(store_delete(store, "k"), 0);
	assert_int_equal(store_delete(store, "k"), -ENOENT);
	assert_null(store_find(store, "k"));
	assert_int_equal(store_snapshot_bytes(store), 0);
	store_free(store);
}

static void bad_entries_are_refused(void **state)
{
	static char large[RS_VALUE_MAX_BYTES + 2];
	struct store *store = store_make();

	(void)state;
	memset(large, '1', sizeof(large) - 1);
	assert_int_equal(put(store, "k", "{", 1), -EBADMSG);
	assert_int_equal(put(store, "k", "", 1), -EBADMSG);
	assert_int_equal(put(store, "k", "1 2", 1), -EBADMSG);
	assert_int_equal(put(store, "", "1", 1), -EINVAL);
	assert_int_equal(put(store, "a\tb", "1", 1), -EINVAL);
	assert_int_equal(store_put(store, "a\0b", 3, "1", 1, 1), -EINVAL);
	assert_int_equal(put(store, "k", "1", 0), -EINVAL);
	assert_int_equal(put(store, "k", large, 1), -EMSGSIZE);
	assert_int_equal(store_n_keys(store), 0);
	store_free(store);
}

static void a_full_store_says_so(void **state)
{
	struct store *store = store_make();
	char key[16], value[RS_VALUE_MAX_BYTES];
	unsigned n = 0;
	int r;

	(void)state;
	memset(value, 'x', sizeof(value));
	value[0] = value[sizeof(value) - 1] = '"';
	do {
		snprintf(key, sizeof(key), "%u", n);
		r = store_put(store, key, strlen(key), value, sizeof(value), ++n);
	} while (r == 0);
	assert_int_equal(r, -ENOSPC);
	assert_true(store_snapshot_bytes(store) <= RS_STORE_MAX_BYTES);
	assert_true(n > 1000);
	/* What is there can still be made smaller, and then there is room. */
	assert_int_equal(put(store, "0", "1", n), 0);
	assert_int_equal(put(store, "small", "1", n + 1), 0);
	store_free(store);
}

static void digest_is_of_the_content(void **state)
{
	uint8_t empty[RS_DIGEST_BYTES], a[RS_DIGEST_BYTES], b[RS_DIGEST_BYTES];
	struct store *x = store_make(), *y = store_make();

	(void)state;
	assert_int_equal(store_digest(x, empty), 0);
	put(x, "a", "1", 1);
	put(x, "b", "2", 2);
	put(y, "b", "2", 2);
	put(y, "a", "1", 1);
	assert_int_equal(store_digest(x, a), 0);
	assert_int_equal(store_digest(y, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, empty, sizeof(a));
	/* Value, version and key each count. */
	put(y, "a", "1", 3);
	assert_int_equal(store_digest(y, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	put(y, "a", "3", 1);
	assert_int_equal(store_digest(y, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	store_delete(y, "a");
	put(y, "aa", "1", 1);
	assert_int_equal(store_digest(y, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	store_free(x);
	store_free(y);
}

static void snapshot_brings_it_back(void **state)
{
	uint8_t a[RS_DIGEST_BYTES], b[RS_DIGEST_BYTES];
	struct store *store = store_make(), *copy;
	struct buf out = {};
	char key[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key/%u", i);
		assert_int_equal(put(store, key, "[1,2,3]", i + 1), 0);
	}
	store_snapshot(store, &out);
	assert_int_equal(out.size_bytes, store_snapshot_bytes(store));
	assert_int_equal(store_from_snapshot(out.data, out.size_bytes, &copy), 0);
	assert_int_equal(store_digest(store, a), 0);
	assert_int_equal(store_digest(copy, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	store_free(copy);
	store_free(store);
	buf_fini(&out);
}

static void put_raw(struct buf *out, const char *key, uint16_t key_len, const char *value,
	uint32_t value_bytes, uint64_t version)
{
	buf_le64(out, version);
	buf_le32(out, value_bytes);
	buf_le16(out, key_len);
	buf_le16(out, 0);
	buf_bytes(out, key, strlen(key));
	buf_bytes(out, value, strlen(value));
}

static void damaged_snapshots_are_refused(void **state)
{
	static const struct {
		const char *key;
		uint16_t key_len;
		const char *value;
		uint32_t value_bytes;
		uint64_t version;
	} second[] = {
		{"a", 1, "1", 1, 2}, /* again */
		{"B", 1, "1", 1, 2}, /* backwards */
		{"c", 1, "1", 1, 0}, /* no version */
		{"", 0, "1", 1, 2},  /* no key */
		{"c", 1, "1", 2, 2}, /* sizes beyond the end */
		{"c", 1, "1", 0xffffffff, 2},
		{"c", 0xffff, "1", 1, 2},
		{"\x01", 1, "1", 1, 2},
	};
	struct buf out = {};
	struct store *store;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(second); i++) {
		buf_reset(&out);
		put_raw(&out, "a", 1, "1", 1, 1);
		put_raw(&out, second[i].key, second[i].key_len, second[i].value,
			second[i].value_bytes, second[i].version);
		assert_int_equal(store_from_snapshot(out.data, out.size_bytes, &store), -EBADMSG);
	}
	buf_reset(&out);
	put_raw(&out, "a", 1, "1", 1, 1);
	for (size_t size = 1; size < out.size_bytes; size++)
		assert_int_equal(store_from_snapshot(out.data, size, &store), -EBADMSG);
	assert_int_equal(store_from_snapshot(out.data, out.size_bytes, &store), 0);
	store_free(store);
	buf_fini(&out);
}

static void entries_are_read_whole_or_not_at_all(void **state)
{
	union {
		struct store_entry entry;
		char room[sizeof(struct store_entry) + RS_KEY_MAX_LEN + 1];
	} next;
	char longest[RS_KEY_MAX_LEN + 2];
	struct buf out = {};
	struct reader in;

	(void)state;
	memset(longest, 'k', sizeof(longest));
	longest[RS_KEY_MAX_LEN] = '\0';
	put_raw(&out, longest, RS_KEY_MAX_LEN, "{}", 2, 7);
	for (size_t size = 0; size < out.size_bytes; size++) {
		in = reader_make(out.data, size);
		assert_false(store_entry_read(&in, &next.entry));
	}
	in = reader_make(out.data, out.size_bytes);
	assert_true(store_entry_read(&in, &next.entry));
	assert_string_equal(next.entry.key, longest);
	assert_int_equal(next.entry.version, 7);
	assert_int_equal(next.entry.value_bytes, 2);
	assert_memory_equal(next.entry.value, "{}", 2);
	assert_false(store_entry_read(&in, &next.entry));
	/* More than there is room for; more than there is; no key. */
	longest[RS_KEY_MAX_LEN] = 'k';
	longest[RS_KEY_MAX_LEN + 1] = '\0';
	buf_reset(&out);
	put_raw(&out, longest, RS_KEY_MAX_LEN + 1, "1", 1, 7);
	in = reader_make(out.data, out.size_bytes);
	assert_false(store_entry_read(&in, &next.entry));
	buf_reset(&out);
	put_raw(&out, "a", 1, "1", 0xffffffff, 7);
	in = reader_make(out.data, out.size_bytes);
	assert_false(store_entry_read(&in, &next.entry));
	buf_reset(&out);
	put_raw(&out, "", 0, "1", 1, 7);
	in = reader_make(out.data, out.size_bytes);
	assert_false(store_entry_read(&in, &next.entry));
	buf_fini(&out);
}

/* Nobody writes one; a digest that is right says who did. */
static void a_value_that_is_no_json_reads_as_none(void **state)
{
	const struct json *value;
	struct buf out = {};
	struct store *store;

	(void)state;
	put_raw(&out, "a", 1, "x", 1, 1);
	put_raw(&out, "b", 1, "{\"n\":7}", 7, 2);
	assert_int_equal(store_from_snapshot(out.data, out.size_bytes, &store), 0);
	assert_int_equal(store_get(store, "a", &value, NULL), 0);
	assert_null(value);
	assert_int_equal(store_get(store, "b", &value, NULL), 0);
	assert_int_equal(json_get_int(value, "n", 0), 7);
	store_free(store);
	buf_fini(&out);
}

/* ---- many entries, against a table that says which keys there should be ---- */

enum { MODEL_KEYS = 3000, MODEL_STEPS = 40000 };

static struct {
	uint64_t version[MODEL_KEYS]; /* 0: it is not there */
	size_t n;
} model, model_of_view;

static uint32_t random_next(void)
{
	static uint64_t seed = 0x9e3779b97f4a7c15ULL;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33);
}

static void model_step(struct store *store, uint64_t version, bool grows)
{
	unsigned number = random_next() % MODEL_KEYS;
	bool deletes = random_next() % 8 < (grows ? 2U : 6U);
	uint64_t *has = &model.version[number];
	char key[16];

	snprintf(key, sizeof(key), "k/%05u", number);
	if (!deletes) {
		assert_int_equal(put(store, key, "1", version), 0);
		model.n += *has == 0;
		*has = version;
		return;
	}
	assert_int_equal(store_delete(store, key), *has ? 0 : -ENOENT);
	model.n -= *has != 0;
	*has = 0;
}

static void expect_entry(const struct store_entry *entry, unsigned number, uint64_t version)
{
	char key[16];

	snprintf(key, sizeof(key), "k/%05u", number);
	assert_non_null(entry);
	assert_string_equal(entry->key, key);
	assert_int_equal(entry->version, version);
}

static void expect_model(struct store *store)
{
	unsigned somewhere = random_next() % MODEL_KEYS;
	size_t index = 0;
	char key[16];

	assert_int_equal(store_n_keys(store), model.n);
	snprintf(key, sizeof(key), "k/%05u", somewhere);
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		if (i == somewhere)
			assert_int_equal(store_lower_bound(store, key), index);
		if (model.version[i])
			expect_entry(store_at(store, index++), i, model.version[i]);
	}
	assert_null(store_at(store, index));
	assert_int_equal(store_find(store, key) != NULL, model.version[somewhere] != 0);
}

static void expect_view(struct store_view *view)
{
	size_t index = 0;

	assert_int_equal(store_view_n_keys(view), model_of_view.n);
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		if (model_of_view.version[i])
			expect_entry(store_view_at(view, index++), i, model_of_view.version[i]);
	}
	assert_null(store_view_at(view, index));
}

static void many_entries_come_and_go(void **state)
{
	struct store *store = store_make(), *again;
	uint8_t digest[RS_DIGEST_BYTES], same[RS_DIGEST_BYTES];
	struct store_view *view = NULL;
	struct buf snapshot = {};

	(void)state;
	memset(&model, 0, sizeof(model));
	for (unsigned step = 1; step <= MODEL_STEPS; step++) {
		model_step(store, step, step / 8000 % 2 == 0);
		if (step % 500 != 0)
			continue;
		expect_model(store);
		if (view)
			expect_view(view);
		/* Some views live longer than others. */
		if (view && random_next() % 3 == 0) {
			store_view_free(view);
			view = NULL;
		}
		if (!view) {
			assert_int_equal(store_view_new(store, &view), 0);
			model_of_view = model;
		}
	}
	store_snapshot(store, &snapshot);
	assert_int_equal(store_from_snapshot(snapshot.data, snapshot.size_bytes, &again), 0);
	assert_int_equal(store_digest(store, digest), 0);
	assert_int_equal(store_digest(again, same), 0);
	assert_memory_equal(digest, same, sizeof(digest));
	while (store_drop_some(again, 100))
		;
	assert_null(store_at(again, 0));
	store_free(again);
	store_free(store);
	expect_view(view); /* it outlives its store */
	store_view_free(view);
	buf_fini(&snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_in_order),
		cmocka_unit_test(put_replaces_and_delete_removes),
		cmocka_unit_test(bad_entries_are_refused),
		cmocka_unit_test(a_full_store_says_so),
		cmocka_unit_test(digest_is_of_the_content),
		cmocka_unit_test(snapshot_brings_it_back),
		cmocka_unit_test(damaged_snapshots_are_refused),
		cmocka_unit_test(entries_are_read_whole_or_not_at_all),
		cmocka_unit_test(a_value_that_is_no_json_reads_as_none),
		cmocka_unit_test(many_entries_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
