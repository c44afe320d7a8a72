/* SPDX-License-Identifier: MIT
 *
 * Key-value pairs: cycles with a guest that has items, none, too many or nonsense; items for the
 * guest; adapters.
 */
#include "ic_rig.h"
#include "vmbus/ic_text.h"
#include "vmbus/kvp_core.h"
#include "vmbus/kvp_wire.h"

#include <stdio.h>

static struct kvp_core kvp;

static const uint8_t macs[2][ETH_ADDR_LEN] = {
	{0x02, 0x15, 0x5d, 0, 0, 1}, {0x02, 0x15, 0x5d, 0, 0, 0xfe}};

static int setup(void **state)
{
	static struct ic_rig rig;

	kvp_init(&kvp);
	ic_rig_init(&rig, &kvp.core);
	*state = &rig;
	return 0;
}

static void expect_enumerate(struct ic_rig *rig, enum kvp_pool pool, uint32_t index)
{
	struct kvp_enumerate request;

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(request));
	memcpy(&request, rig->body, sizeof(request));
	assert_int_equal(request.header.operation, KVP_ENUMERATE);
	assert_int_equal(request.header.pool, pool);
	assert_int_equal(request.index, index);
}

/* Returns the bytes with the NUL. */
static uint32_t put_text(uint8_t *field, size_t field_bytes, const char *text)
{
	uint16_t units[KVP_VALUE_BYTES / 2];
	size_t n = ic_text_to_utf16(text, units, field_bytes / 2);

	memcpy(field, units, 2 * (n + 1));
	return (uint32_t)(2 * (n + 1));
}

/* As Linux' driver answers: the request with the item in it. */
static void answer_item(struct ic_rig *rig, const char *key, const char *value)
{
	struct kvp_enumerate answer;

	memcpy(&answer, rig->body, sizeof(answer));
	answer.item.value_type = KVP_STRING;
	answer.item.key_bytes = put_text(answer.item.key, sizeof(answer.item.key), key);
	answer.item.value_bytes = put_text(answer.item.value, sizeof(answer.item.value), value);
	ic_rig_answer(rig, IC_STATUS_OK, &answer, sizeof(answer));
}

static void no_more(struct ic_rig *rig, enum kvp_pool pool, uint32_t index)
{
	expect_enumerate(rig, pool, index);
	ic_rig_answer(rig, IC_STATUS_NO_MORE, NULL, 0);
}

/* A cycle in which the guest says only this. */
static void cycle(struct ic_rig *rig, const char *key, const char *value)
{
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	answer_item(rig, key, value);
	no_more(rig, KVP_POOL_AUTO, 1);
	no_more(rig, KVP_POOL_GUEST, 0);
}

static void rests(struct ic_rig *rig)
{
	assert_false(ic_rig_fetch(rig));
	assert_int_equal(ic_core_deadline_ns(rig->core, true), rig->time.now_ns + 30 * NS_PER_SEC);
}

static void has(unsigned i, const char *key, const char *value)
{
	assert_true(i < kvp.items.n_items);
	assert_string_equal(kvp.items.items[i].key, key);
	assert_string_equal(kvp.items.items[i].value, value);
}

static void test_cycle(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	answer_item(rig, "OSName", "Debian \u20ac");
	expect_enumerate(rig, KVP_POOL_AUTO, 1);
	answer_item(rig, "OSVersion", "12");
	/* A daemon of old says the end by an empty key. */
	expect_enumerate(rig, KVP_POOL_AUTO, 2);
	answer_item(rig, "", "");
	no_more(rig, KVP_POOL_AUTO, 3);
	expect_enumerate(rig, KVP_POOL_GUEST, 0);
	answer_item(rig, "OSName", "a better one");
	expect_enumerate(rig, KVP_POOL_GUEST, 1);
	answer_item(rig, "colour", "");
	/* Nothing of a cycle before its end. */
	assert_int_equal(kvp.items.n_items, 0);
	assert_int_equal(kvp.n_changes, 0);
	no_more(rig, KVP_POOL_GUEST, 2);
	assert_int_equal(kvp.items.n_items, 3);
	assert_int_equal(kvp.n_changes, 1);
	has(0, "OSName", "Debian \u20ac");
	has(1, "OSVersion", "12");
	has(2, "colour", "");
	rests(rig);

	/* The same again is no news. */
	for (unsigned i = 0; i < 2; i++) {
		ic_rig_pass(rig, 30 * NS_PER_SEC);
		cycle(rig, "OSName", "Debian");
		rests(rig);
		assert_int_equal(kvp.n_changes, 2);
	}
	ic_core_close(rig->core);
	assert_int_equal(kvp.items.n_items, 0);
	assert_int_equal(kvp.n_changes, 3);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
}

static void test_no_daemon(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	cycle(rig, "OSName", "Debian");
	for (unsigned i = 0; i < 3; i++) {
		ic_rig_pass(rig, 30 * NS_PER_SEC);
		expect_enumerate(rig, KVP_POOL_AUTO, 0);
		ic_rig_answer(rig, IC_STATUS_FAIL, NULL, 0);
		expect_enumerate(rig, KVP_POOL_GUEST, 0);
		ic_rig_answer(rig, IC_STATUS_FAIL, NULL, 0);
		rests(rig);
	}
	/* One that does not answer at all. */
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), rig->time.now_ns + 60 * NS_PER_SEC);
	ic_rig_pass(rig, 60 * NS_PER_SEC);
	rests(rig);
	has(0, "OSName", "Debian");
	assert_int_equal(kvp.n_changes, 1);
}

static void test_numbers(void **state)
{
	struct ic_rig *rig = *state;
	struct kvp_enumerate answer;

	ic_rig_up(rig);
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	memcpy(&answer, rig->body, sizeof(answer));
	answer.item = (struct kvp_item){
		.value_type = KVP_U32, .key_bytes = 4, .value_bytes = 4, .key = {'a'}};
	store_le32(answer.item.value, UINT32_MAX);
	ic_rig_answer(rig, IC_STATUS_OK, &answer, sizeof(answer));
	expect_enumerate(rig, KVP_POOL_AUTO, 1);
	answer.item.key[0] = 'b';
	answer.item.value_type = KVP_U64;
	store_le64(answer.item.value, UINT64_MAX);
	ic_rig_answer(rig, IC_STATUS_OK, &answer, sizeof(answer));
	no_more(rig, KVP_POOL_AUTO, 2);
	no_more(rig, KVP_POOL_GUEST, 0);
	has(0, "a", "4294967295");
	has(1, "b", "18446744073709551615");
}

/* Texts as long as they can be, without an end, with controls. */
static void test_long_texts(void **state)
{
	struct ic_rig *rig = *state;
	struct kvp_enumerate answer;

	ic_rig_up(rig);
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	memcpy(&answer, rig->body, sizeof(answer));
	answer.item.value_type = KVP_STRING;
	answer.item.key_bytes = KVP_KEY_BYTES;
	answer.item.value_bytes = KVP_VALUE_BYTES;
	memset(answer.item.key, 0x1b, sizeof(answer.item.key));
	memset(answer.item.value, 0xdc, sizeof(answer.item.value));
	ic_rig_answer(rig, IC_STATUS_OK, &answer, sizeof(answer));
	no_more(rig, KVP_POOL_AUTO, 1);
	no_more(rig, KVP_POOL_GUEST, 0);
	assert_int_equal(kvp.items.n_items, 1);
	assert_true(ic_text_is_sound(kvp.items.items[0].key));
	assert_int_equal(strlen(kvp.items.items[0].key), 255);
	assert_true(ic_text_is_sound(kvp.items.items[0].value));
	assert_int_equal(strlen(kvp.items.items[0].value), 1023);
}

static void test_items_without_end(void **state)
{
	struct ic_rig *rig = *state;
	char key[16];

	ic_rig_up(rig);
	for (unsigned i = 0; i < IC_KVP_MAX_ITEMS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		expect_enumerate(rig, KVP_POOL_AUTO, i);
		answer_item(rig, key, "");
	}
	no_more(rig, KVP_POOL_GUEST, 0);
	assert_int_equal(kvp.items.n_items, IC_KVP_MAX_ITEMS);
	rests(rig);
	/* The same key for ever; and a full list when the next pool's turn comes. */
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	for (unsigned i = 0; i < IC_KVP_MAX_ITEMS; i++) {
		expect_enumerate(rig, KVP_POOL_AUTO, i);
		answer_item(rig, "same", "");
	}
	for (unsigned i = 0; i < IC_KVP_MAX_ITEMS; i++) {
		expect_enumerate(rig, KVP_POOL_GUEST, i);
		answer_item(rig, i % 2 ? "same" : "other", "");
	}
	assert_int_equal(kvp.items.n_items, 2);
	rests(rig);
}

static void test_full_pool_then_more(void **state)
{
	struct ic_rig *rig = *state;
	char key[16];

	ic_rig_up(rig);
	for (unsigned i = 0; i < IC_KVP_MAX_ITEMS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		expect_enumerate(rig, KVP_POOL_AUTO, i);
		answer_item(rig, key, "");
	}
	expect_enumerate(rig, KVP_POOL_GUEST, 0);
	answer_item(rig, "one too many", "");
	assert_int_equal(kvp.items.n_items, IC_KVP_MAX_ITEMS);
	rests(rig);
}

static void bad_answer(struct ic_rig *rig, const void *body, size_t size_bytes)
{
	uint64_t n_errors = rig->core->n_protocol_errors;

	ic_rig_pass(rig, 30 * NS_PER_SEC);
	expect_enumerate(rig, KVP_POOL_AUTO, 0);
	ic_rig_answer(rig, IC_STATUS_OK, body, size_bytes);
	assert_int_equal(rig->core->n_protocol_errors, n_errors + 1);
	assert_int_equal(kvp.items.n_items, 1);
	rests(rig);
}

static void test_hostile_items(void **state)
{
	struct ic_rig *rig = *state;
	struct kvp_enumerate good = {.header.operation = KVP_ENUMERATE,
		.item = {.value_type = KVP_STRING,
			.key_bytes = 4,
			.value_bytes = 4,
			.key = {'k'},
			.value = {'v'}}};
	struct kvp_enumerate bad;

	ic_rig_up(rig);
	cycle(rig, "OSName", "Debian");
	for (size_t n = 1; n < sizeof(good); n += 1 + n / 16)
		bad_answer(rig, &good, n);
	bad = good;
	bad.header.operation = KVP_SET;
	bad_answer(rig, &bad, sizeof(bad));
	bad = good;
	bad.item.key_bytes = KVP_KEY_BYTES + 1;
	bad_answer(rig, &bad, sizeof(bad));
	bad.item.key_bytes = UINT32_MAX;
	bad_answer(rig, &bad, sizeof(bad));
	bad = good;
	bad.item.value_bytes = KVP_VALUE_BYTES + 1;
	bad_answer(rig, &bad, sizeof(bad));
	bad = good;
	bad.item.value_type = 3;
	bad_answer(rig, &bad, sizeof(bad));
}

static void answer_addresses(struct ic_rig *rig, unsigned adapter, const char *addresses)
{
	static const char *const names[] = {"02:15:5D:00:00:01", "02:15:5D:00:00:FE"};
	struct kvp_ip_info info;
	uint16_t units[KVP_IP_UNITS];
	char id[64];

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(info));
	memcpy(&info, rig->body, sizeof(info));
	assert_int_equal(info.operation, KVP_GET_IP_INFO);
	ic_text_to_utf8(rig->body + 2, 2 * KVP_ADAPTER_UNITS, id, sizeof(id));
	assert_string_equal(id, names[adapter]);
	if (!addresses) {
		ic_rig_answer(rig, IC_STATUS_FAIL, NULL, 0);
		return;
	}
	ic_text_to_utf16(addresses, units, ARRAY_LEN(units));
	memcpy(info.addresses, units, 2 * (strlen(addresses) + 1));
	ic_rig_answer(rig, IC_STATUS_OK, &info, sizeof(info));
}

static void test_addresses(void **state)
{
	static const uint8_t many[9][ETH_ADDR_LEN];
	struct ic_rig *rig = *state;
	char text[64];

	assert_int_equal(kvp_set_adapters(&kvp, many, 9), -EINVAL);
	assert_int_equal(kvp_set_adapters(&kvp, macs, 2), 0);
	ic_rig_up(rig);
	cycle(rig, "OSName", "Debian");
	answer_addresses(rig, 0, "10.0.0.1;fe80::1");
	answer_addresses(rig, 1, NULL);
	rests(rig);
	assert_int_equal(kvp_addresses(&kvp, macs[0], text, sizeof(text)), 0);
	assert_string_equal(text, "10.0.0.1;fe80::1");
	assert_int_equal(kvp_addresses(&kvp, macs[1], text, sizeof(text)), -ENOENT);
	/* What fits, by whole addresses. */
	assert_int_equal(kvp_addresses(&kvp, macs[0], text, 17), 0);
	assert_string_equal(text, "10.0.0.1;fe80::1");
	assert_int_equal(kvp_addresses(&kvp, macs[0], text, 16), 0);
	assert_string_equal(text, "10.0.0.1");
	assert_int_equal(kvp_addresses(&kvp, macs[0], text, 8), 0);
	assert_string_equal(text, "");
	assert_int_equal(kvp_addresses(&kvp, macs[0], text, 1), 0);
	assert_string_equal(text, "");

	/* Other adapters while one is asked for: the answer is for nobody. */
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	cycle(rig, "OSName", "Debian");
	ic_rig_expect(rig);
	assert_int_equal(kvp_set_adapters(&kvp, macs + 1, 1), 0);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	assert_int_equal(kvp_addresses(&kvp, macs[1], text, sizeof(text)), -ENOENT);
	cycle(rig, "OSName", "Debian");
	answer_addresses(rig, 1, "10.0.0.9");
	assert_int_equal(kvp_addresses(&kvp, macs[1], text, sizeof(text)), 0);
	assert_int_equal(kvp_addresses(&kvp, macs[0], text, sizeof(text)), -ENOENT);
	rests(rig);
	/* Too short. */
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	cycle(rig, "OSName", "Debian");
	ic_rig_expect(rig);
	rig->header.body_bytes--;
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	assert_int_equal(rig->core->n_protocol_errors, 1);
	rests(rig);
	ic_core_close(rig->core);
	assert_int_equal(kvp_addresses(&kvp, macs[1], text, sizeof(text)), -ENOENT);
}

static void expect_set(struct ic_rig *rig, const char *key, const char *value)
{
	struct kvp_set request;
	char text[1024];

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(request));
	memcpy(&request, rig->body, sizeof(request));
	assert_int_equal(request.header.operation, KVP_SET);
	assert_int_equal(request.header.pool, KVP_POOL_EXTERNAL);
	assert_int_equal(request.item.value_type, KVP_STRING);
	ic_text_to_utf8(request.item.key, request.item.key_bytes, text, sizeof(text));
	assert_string_equal(text, key);
	ic_text_to_utf8(request.item.value, request.item.value_bytes, text, sizeof(text));
	assert_string_equal(text, value);
}

static void expect_delete(struct ic_rig *rig, const char *key)
{
	struct kvp_delete request;
	char text[1024];

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(request));
	memcpy(&request, rig->body, sizeof(request));
	assert_int_equal(request.header.operation, KVP_DELETE);
	ic_text_to_utf8(request.key, request.key_bytes, text, sizeof(text));
	assert_string_equal(text, key);
}

static void test_host_items(void **state)
{
	struct ic_rig *rig = *state;

	assert_int_equal(kvp_set_host_item(&kvp, "a", "1"), 0);
	ic_rig_up(rig);
	expect_set(rig, "a", "1");
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	cycle(rig, "OSName", "Debian");
	rests(rig);
	/* At once; what changes meanwhile goes again. */
	assert_int_equal(kvp_set_host_item(&kvp, "a", "2"), 0);
	expect_set(rig, "a", "2");
	assert_int_equal(kvp_set_host_item(&kvp, "a", "3"), 0);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	expect_set(rig, "a", "3");
	ic_rig_answer(rig, IC_STATUS_FAIL, NULL, 0);
	/* What failed waits for the next cycle. */
	assert_false(ic_rig_fetch(rig));
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	expect_set(rig, "a", "3");
	ic_rig_pass(rig, 60 * NS_PER_SEC);
	rests(rig);
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	expect_set(rig, "a", "3");
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	cycle(rig, "OSName", "Debian");
	/* The next kernel does not know it. */
	ic_core_close(rig->core);
	ic_rig_up(rig);
	expect_set(rig, "a", "3");
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	cycle(rig, "OSName", "Debian");
	assert_int_equal(kvp_set_host_item(&kvp, "a", NULL), 0);
	expect_delete(rig, "a");
	ic_rig_answer(rig, IC_STATUS_FAIL, NULL, 0);
	assert_int_equal(kvp.n_host_items, 1);
	ic_rig_pass(rig, 30 * NS_PER_SEC);
	expect_delete(rig, "a");
	ic_rig_answer(rig, IC_STATUS_NO_MORE, NULL, 0);
	assert_int_equal(kvp.n_host_items, 0);
}

static void test_host_item_limits(void **state)
{
	struct ic_rig *rig = *state;
	char text[1025], key[16];

	memset(text, 'x', sizeof(text) - 1);
	text[1024] = '\0';
	assert_int_equal(kvp_set_host_item(&kvp, "", "v"), -EINVAL);
	assert_int_equal(kvp_set_host_item(&kvp, "k", text), -EINVAL);
	assert_int_equal(kvp_set_host_item(&kvp, "k", text + 1), 0);
	assert_int_equal(kvp_set_host_item(&kvp, text + 1024 - 256, "v"), -EINVAL);
	assert_int_equal(kvp_set_host_item(&kvp, text + 1024 - 255, "v"), 0);
	assert_int_equal(kvp_set_host_item(&kvp, "k\n", "v"), -EINVAL);
	assert_int_equal(kvp_set_host_item(&kvp, "k", "\xff"), -EINVAL);
	ic_rig_up(rig);
	expect_set(rig, "k", text + 1);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	expect_set(rig, text + 1024 - 255, "v");
	for (unsigned i = 2; i < IC_KVP_MAX_ITEMS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(kvp_set_host_item(&kvp, key, ""), 0);
	}
	assert_int_equal(kvp_set_host_item(&kvp, "more", ""), -ENOSPC);
	assert_int_equal(kvp_set_host_item(&kvp, "k", ""), 0);
}

static int restore(const uint8_t *bytes, size_t size_bytes)
{
	struct reader in = reader_make(bytes, size_bytes);
	int r;

	kvp_init(&kvp);
	r = kvp_restore(&kvp, &in, true);
	return r == 0 && !reader_done(&in) ? -EBADMSG : r;
}

static void test_state(void **state)
{
	struct ic_rig *rig = *state;
	struct buf saved = {0};

	ic_rig_up(rig);
	cycle(rig, "OSName", "Debian");
	assert_int_equal(kvp_set_host_item(&kvp, "known", "1"), 0);
	expect_set(rig, "known", "1");
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	assert_int_equal(kvp_set_host_item(&kvp, "sent", "2"), 0);
	expect_set(rig, "sent", "2");
	assert_int_equal(kvp_set_host_item(&kvp, "gone", NULL), 0);
	ic_core_cancel(rig->core, &rig->time);
	kvp_restart_cycle(&kvp, rig->time.now_ns);
	kvp_save(&kvp, &saved);
	assert_int_equal(restore(saved.data, saved.size_bytes), 0);
	assert_int_equal(kvp.n_changes, 1);
	has(0, "OSName", "Debian");
	expect_set(rig, "sent", "2");
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	expect_delete(rig, "gone");
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	cycle(rig, "OSName", "Debian");
	assert_int_equal(kvp.n_host_items, 2);

	for (size_t n = 0; n < saved.size_bytes; n++)
		assert_int_equal(restore(saved.data, n), -EBADMSG);
	for (size_t i = 0; i < saved.size_bytes; i++) {
		saved.data[i] ^= 0xff;
		if (restore(saved.data, saved.size_bytes) == 0)
			assert_true(i == 9 || (i > 10 && i < 35)); /* id, counters */
		saved.data[i] ^= 0xff;
	}
	buf_fini(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_cycle, setup),
		cmocka_unit_test_setup(test_no_daemon, setup),
		cmocka_unit_test_setup(test_numbers, setup),
		cmocka_unit_test_setup(test_long_texts, setup),
		cmocka_unit_test_setup(test_items_without_end, setup),
		cmocka_unit_test_setup(test_full_pool_then_more, setup),
		cmocka_unit_test_setup(test_hostile_items, setup),
		cmocka_unit_test_setup(test_addresses, setup),
		cmocka_unit_test_setup(test_host_items, setup),
		cmocka_unit_test_setup(test_host_item_limits, setup),
		cmocka_unit_test_setup(test_state, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
