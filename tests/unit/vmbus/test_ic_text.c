/* SPDX-License-Identifier: MIT
 *
 * UTF-16 and UTF-8: every character there and back, and every way to get them wrong.
 */
#include "base/bytes.h"
#include "vmbus/ic_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define BAD "\xef\xbf\xbd"

static void to_utf8(const uint16_t *units, size_t n_units, const char *expected)
{
	/* Of just its size, and not aligned. */
	uint8_t *exact = malloc(2 * n_units + 1);
	char text[256];

	assert_non_null(exact);
	memcpy(exact + 1, units, 2 * n_units);
	assert_int_equal(
		ic_text_to_utf8(exact + 1, 2 * n_units, text, sizeof(text)), strlen(expected));
	assert_string_equal(text, expected);
	free(exact);
}

static void to_utf16(const char *text, const uint16_t *expected, size_t n_units)
{
	uint16_t units[64];

	assert_int_equal(ic_text_to_utf16(text, units, ARRAY_LEN(units)), n_units);
	assert_memory_equal(units, expected, 2 * n_units);
	assert_int_equal(units[n_units], 0);
}

static void test_every_character(_unused_ void **state)
{
	for (uint32_t code = 0x20; code <= 0x10ffff; code++) {
		uint16_t units[3], back[3];
		char text[8];
		size_t n = 1;

		if ((code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code < 0xe000))
			continue;
		units[0] = (uint16_t)code;
		if (code > 0xffff) {
			units[0] = (uint16_t)(0xd7c0 + (code >> 10));
			units[1] = (uint16_t)(0xdc00 + (code & 0x3ff));
			n = 2;
		}
		ic_text_to_utf8(units, 2 * n, text, sizeof(text));
		assert_true(ic_text_is_sound(text));
		assert_int_equal(ic_text_to_utf16(text, back, ARRAY_LEN(back)), n);
		assert_memory_equal(back, units, 2 * n);
	}
}

static void test_bad_utf16(_unused_ void **state)
{
	to_utf8(u"", 0, "");
	to_utf8(u"a\0b", 3, "a");
	to_utf8(u"\u00e4\u20ac\U0001f600", 4, "\u00e4\u20ac\U0001f600");
	/* Halves of a pair: alone, twice, in the wrong order, at the end. */
	to_utf8((uint16_t[]){0xd800, 'x'}, 2, BAD "x");
	to_utf8((uint16_t[]){0xdc00, 'x'}, 2, BAD "x");
	to_utf8((uint16_t[]){0xd83d, 0xd83d, 0xde00}, 3, BAD "\U0001f600");
	to_utf8((uint16_t[]){0xde00, 0xd83d}, 2, BAD BAD);
	to_utf8((uint16_t[]){'x', 0xd83d}, 2, "x" BAD);
	to_utf8((uint16_t[]){0xd83d, 0}, 2, BAD);
	/* Controls. */
	to_utf8(u"\x1b[2J\n\x7f\x80\x9f\xa0", 9, BAD "[2J" BAD BAD BAD BAD "\u00a0");
}

static void test_bad_utf8(_unused_ void **state)
{
	to_utf16("", u"", 0);
	to_utf16("\u00e4\u20ac\U0001f600", u"\u00e4\u20ac\U0001f600", 4);
	to_utf16("\x80z", u"\ufffdz", 2);
	to_utf16("\xffz", u"\ufffdz", 2);
	to_utf16("\xc3z", u"\ufffdz", 2);
	to_utf16("\xe2\x82z", u"\ufffdz", 2);
	to_utf16("\xf0\x9f\x98", u"\ufffd", 1);
	/* Longer than need be, a half of a pair, beyond the last. */
	to_utf16("\xc1\x81z", u"\ufffdz", 2);
	to_utf16("\xe0\x80\xafz", u"\ufffdz", 2);
	to_utf16("\xf0\x80\x80\xafz", u"\ufffdz", 2);
	to_utf16("\xed\xa0\x80z", u"\ufffdz", 2);
	to_utf16("\xf4\x90\x80\x80z", u"\ufffdz", 2);
	assert_true(ic_text_is_sound(""));
	assert_true(ic_text_is_sound("\u00e4 " BAD));
	assert_false(ic_text_is_sound("\xc3"));
	assert_false(ic_text_is_sound("\xc1\x81"));
	assert_false(ic_text_is_sound("a\n"));
	assert_false(ic_text_is_sound("\xc2\x85"));
}

static void test_cut_between_characters(_unused_ void **state)
{
	const uint16_t units[] = {'a', 0x20ac, 0xd83d, 0xde00};
	uint16_t back[4];
	char text[9];

	for (size_t capacity = 1; capacity <= sizeof(text); capacity++) {
		size_t n = capacity > 8 ? 8 : capacity > 4 ? 4 : capacity > 1 ? 1 : 0;

		assert_int_equal(ic_text_to_utf8(units, sizeof(units), text, capacity), n);
		assert_int_equal(strlen(text), n);
	}
	/* An odd byte is none. */
	assert_int_equal(ic_text_to_utf8(units, 3, text, sizeof(text)), 1);
	assert_int_equal(ic_text_to_utf16("a\u20ac\U0001f600", back, 4), 2);
	assert_int_equal(back[2], 0);
	assert_int_equal(ic_text_to_utf16("abc", back, 1), 0);
	assert_int_equal(back[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_bad_utf16),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
