/* SPDX-License-Identifier: MIT */
#include "base/base64.h"
#include "tests/unit/base/cmocka_all.h"

static void test_vectors_of_the_rfc(void **state _unused_)
{
	static const char *const pairs[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		_cleanup_free_ char *text = base64_encode(pairs[i][0], strlen(pairs[i][0]));
		struct buf out = {0};

		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(base64_decode(text, &out), 0);
		assert_int_equal(out.size_bytes, strlen(pairs[i][0]));
		assert_memory_equal(out.data ? (void *)out.data : "", pairs[i][0], out.size_bytes);
		buf_fini(&out);
	}
}

static void test_every_byte_comes_back(void **state _unused_)
{
	uint8_t bytes[256];
	struct buf out = {0};
	_cleanup_free_ char *text = NULL;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	text = base64_encode(bytes, sizeof(bytes));
	buf_u8(&out, 7);
	assert_int_equal(base64_decode(text, &out), 0);
	assert_int_equal(out.size_bytes, 1 + sizeof(bytes));
	assert_memory_equal(out.data + 1, bytes, sizeof(bytes));
	buf_fini(&out);
}

static void test_what_is_not_base64_changes_nothing(void **state _unused_)
{
	static const char *const bad[] = {"Z", "Zg",
		"Zg=", "Zg==Zg==", "Zm9v!A==", "====", "Z===", "Zh==", "Zm9=", "Zm 9v",
		"\xff\xff\xff\xff"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf out = {0};

		buf_u8(&out, 1);
		assert_int_equal(base64_decode(bad[i], &out), -EBADMSG);
		assert_int_equal(out.size_bytes, 1);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_the_rfc),
		cmocka_unit_test(test_every_byte_comes_back),
		cmocka_unit_test(test_what_is_not_base64_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
