/* SPDX-License-Identifier: MIT */
#include "fabric/acl.h"
#include "tests/unit/fabric/acl_support.h"

static void test_good(void **state)
{
	static const struct {
		const char *text, *shortest;
		unsigned kind, prefix_bits;
		uint8_t address[HEADERS_IP_BYTES];
	} good[] = {
		{"*", "*", ACL_ANY, 0, {0}},
		{"10.0.0.0/8", "10.0.0.0/8", ACL_IPV4, 8, {10}},
		{"10.1.2.3", "10.1.2.3", ACL_IPV4, 32, {10, 1, 2, 3}},
		{"10.1.2.3/32", "10.1.2.3", ACL_IPV4, 32, {10, 1, 2, 3}},
		{"10.1.2.2/31", "10.1.2.2/31", ACL_IPV4, 31, {10, 1, 2, 2}},
		{"0.0.0.0/0", "0.0.0.0/0", ACL_IPV4, 0, {0}},
		{"fd00::/16", "fd00::/16", ACL_IPV6, 16, {0xfd}},
		{"FD00:0:0::1", "fd00::1", ACL_IPV6, 128, {0xfd, [15] = 1}},
		{"::/0", "::/0", ACL_IPV6, 0, {0}},
		{"::ffff:10.0.0.1/128", "::ffff:10.0.0.1", ACL_IPV6, 128,
			{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}},
		{"00-15-5d-01-02-03", "00-15-5d-01-02-03", ACL_MAC, 48, {0, 0x15, 0x5d, 1, 2, 3}},
		{"00:15:5D:01:02:03", "00-15-5d-01-02-03", ACL_MAC, 48, {0, 0x15, 0x5d, 1, 2, 3}},
		{"00-15-5d-00-00-00/24", "00-15-5d-00-00-00/24", ACL_MAC, 24, {0, 0x15, 0x5d}},
		{"01-00-00-00-00-00/8", "01-00-00-00-00-00/8", ACL_MAC, 8, {1}},
	};
	char text[ACL_SIDE_MAX_LEN + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct acl_side side = {.port_min = 7, .port_max = 9, .kind = ACL_MAC};

		memset(side.address, 0xee, sizeof(side.address));
		assert_int_equal(acl_side_parse(good[i].text, &side), 0);
		assert_int_equal(side.kind, good[i].kind);
		assert_int_equal(side.prefix_bits, good[i].prefix_bits);
		assert_memory_equal(side.address, good[i].address, HEADERS_IP_BYTES);
		assert_int_equal(side.port_min, 7);
		assert_int_equal(side.port_max, 9);
		acl_side_format(&side, text);
		assert_string_equal(text, good[i].shortest);
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"", "**", "*/0", " *", "/", "/8", "10", "10.0.0", "any",
		"10.0.0.0.0", "10.0.0.256", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/08", "10.0.0.0/8 ", "10.0.0.0/8/8",
		"10.0.0.0/4294967304", "10.0.0.0/0x8", "10.0.0.1/8", "10.0.0.1/31", " 10.0.0.1",
		"10.0.0.1\n", "0x0a000001", "fd00::/129", "fd00::/15/", "fd00::1/127", "fd00:::1",
		"fd00::1::2", "fe80::1%eth0", "[::1]", "::1/64", "00-15-5d-01-02",
		"00-15-5d-01-02-03-04", "00-15-5d-01-02-0", "00-15-5d-01-02-03-", "00155d010203",
		"00-15-5d:01-02-03", "0x-15-5d-01-02-03", "00-15-5d-01-02-0g", "-00-15-5d-01-02-3",
		"00-15-5d-01-02-03/49", "00-15-5d-01-02-03/24", "00", "00-", "00-1",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd/128"};
	const struct acl_side before = {.kind = ACL_IPV4, .address = {1, 2}, .prefix_bits = 20};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct acl_side side = before;

		if (acl_side_parse(bad[i], &side) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_memory_equal(&side, &before, sizeof(side));
	}
}

/* Every prefix of what is good is good or refused, and reads no further: the copies are exact. */
static void test_truncated(void **state)
{
	static const char *const texts[] = {"255.255.255.255/32", "00-15-5d-01-02-03/48",
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (size_t len = 0; len <= strlen(texts[i]); len++) {
			char *copy = strndup(texts[i], len), text[ACL_SIDE_MAX_LEN + 1];
			struct acl_side side = {0}, again = {0};

			assert_non_null(copy);
			if (acl_side_parse(copy, &side) == 0) {
				acl_side_format(&side, text);
				assert_int_equal(acl_side_parse(text, &again), 0);
				assert_memory_equal(&side, &again, sizeof(side));
			} else {
				assert_true(len < strlen(texts[i]));
			}
			free(copy);
		}
	}
}

static void test_random_sides_survive(void **state)
{
	uint64_t random = 0x7e87;
	char text[ACL_SIDE_MAX_LEN + 1];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct acl_side side, again = {0};

		random_side(&random, &side, random_below(&random, 4), false);
		if (side.prefix_bits > 16)
			random_bytes(&random, side.address, 2);
		acl_side_format(&side, text);
		assert_true(strlen(text) <= ACL_SIDE_MAX_LEN);
		assert_int_equal(acl_side_parse(text, &again), 0);
		assert_memory_equal(&side, &again, sizeof(side));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_random_sides_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
