/* SPDX-License-Identifier: MIT */
#include "migrate/crc32c.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t data[8192];

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i >> 3 ^ i);
	return 0;
}

static void test_vectors(void **state)
{
	uint8_t ones[32], zeros[32] = {0};

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	/* The check value of the catalogues, and RFC 3720, B.4. */
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
	assert_int_equal(crc32c(0, ones, sizeof(ones)), 0x62a8ab43);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void test_chaining(void **state)
{
	uint32_t whole = crc32c(0, data, sizeof(data));

	(void)state;
	for (size_t cut = 0; cut < 100; cut++)
		assert_int_equal(
			crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut), whole);
}

static void test_portable_gives_the_same(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300; n++) {
		const uint8_t *at = data + n % 8;

		assert_int_equal(crc32c_portable(5, at, n), crc32c(5, at, n));
		assert_int_equal(crc32c_striped_portable(at, n), crc32c_striped(at, n));
	}
	assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
}

static void test_striped(void **state)
{
	struct crc32c_striped c;
	uint32_t whole = crc32c_striped(data, sizeof(data));

	(void)state;
	crc32c_striped_init(&c);
	for (size_t i = 0; i < sizeof(data); i += 64)
		crc32c_striped_add(&c, data + i, 64);
	assert_int_equal(crc32c_striped_end(&c), whole);
	/* Every bit counts, and so does the place of every word. */
	for (size_t i = 0; i < sizeof(data); i += 61) {
		data[i] ^= 0x10;
		assert_int_not_equal(crc32c_striped(data, sizeof(data)), whole);
		data[i] ^= 0x10;
	}
	for (size_t n = 0; n < 100; n++)
		assert_int_not_equal(crc32c_striped(data, n), crc32c_striped(data, n + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_chaining),
		cmocka_unit_test(test_portable_gives_the_same),
		cmocka_unit_test(test_striped),
	};

	return cmocka_run_group_tests_name("crc32c", tests, fill, NULL);
}
