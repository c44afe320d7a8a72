/* SPDX-License-Identifier: MIT */
#include "vmbus/ic_text.h"

#include "base/bytes.h"

#define REPLACEMENT  0xfffdU
#define MAX_CODE     0x10ffffU
#define FIRST_PAIRED 0x10000U /* from here on UTF-16 takes two units */

static bool is_high_surrogate(uint32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(uint32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* The character at *at, which is moved behind it. */
static uint32_t take_utf16(const uint8_t *units, size_t n_units, size_t *at)
{
	uint32_t unit = load_le16(units + 2 * (*at)++), next;

	if (is_low_surrogate(unit))
		return REPLACEMENT;
	if (!is_high_surrogate(unit))
		return unit;
	next = *at < n_units ? load_le16(units + 2 * *at) : 0;
	if (!is_low_surrogate(next))
		return REPLACEMENT;
	(*at)++;
	return FIRST_PAIRED + ((unit - 0xd800) << 10) + (next - 0xdc00);
}

static size_t encode_utf8(uint32_t code, char ret_bytes[4])
{
	if (code < 0x80) {
		ret_bytes[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		ret_bytes[0] = (char)(0xc0 | code >> 6);
		ret_bytes[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < FIRST_PAIRED) {
		ret_bytes[0] = (char)(0xe0 | code >> 12);
		ret_bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
		ret_bytes[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	ret_bytes[0] = (char)(0xf0 | code >> 18);
	ret_bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
	ret_bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
	ret_bytes[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

size_t ic_text_to_utf8(const void *utf16, size_t size_bytes, char *ret_text, size_t capacity_bytes)
{
	size_t n_units = size_bytes / 2, at = 0, used = 0;

	while (at < n_units) {
		uint32_t code = take_utf16(utf16, n_units, &at);
		char bytes[4];
		size_t n;

		if (code == 0)
			break;
		n = encode_utf8(is_control(code) ? REPLACEMENT : code, bytes);
		if (used + n >= capacity_bytes)
			break;
		memcpy(ret_text + used, bytes, n);
		used += n;
	}
	ret_text[used] = '\0';
	return used;
}

/* How many bytes follow a leading one, its bits of the character, and the least character that is
 * written so; -1: none leads with it. */
static int leads(uint8_t byte, uint32_t *ret_bits, uint32_t *ret_least)
{
	static const struct {
		uint8_t mask, value;
		uint32_t least;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if ((byte & forms[i].mask) != forms[i].value)
			continue;
		*ret_bits = byte & (uint8_t)~forms[i].mask;
		*ret_least = forms[i].least;
		return (int)i;
	}
	return -1;
}

/* The character at *at, which is moved behind it, or behind what cannot be one. */
static uint32_t take_utf8(const char *text, size_t *at)
{
	uint32_t code, least;
	int n_more = leads((uint8_t)text[(*at)++], &code, &least);

	if (n_more < 0)
		return REPLACEMENT;
	for (; n_more; n_more--) {
		uint8_t byte = (uint8_t)text[*at];

		if ((byte & 0xc0) != 0x80)
			return REPLACEMENT;
		code = code << 6 | (byte & 0x3f);
		(*at)++;
	}
	if (code < least || code > MAX_CODE || is_high_surrogate(code) || is_low_surrogate(code))
		return REPLACEMENT;
	return code;
}

size_t ic_text_to_utf16(const char *text, uint16_t *ret_utf16, size_t capacity_units)
{
	size_t at = 0, used = 0;

	while (text[at]) {
		uint32_t code = take_utf8(text, &at);
		size_t n = code < FIRST_PAIRED ? 1 : 2;

		if (used + n >= capacity_units)
			break;
		if (n == 1) {
			store_le16(&ret_utf16[used], (uint16_t)code);
		} else {
			code -= FIRST_PAIRED;
			store_le16(&ret_utf16[used], (uint16_t)(0xd800 | code >> 10));
			store_le16(&ret_utf16[used + 1], (uint16_t)(0xdc00 | (code & 0x3ff)));
		}
		used += n;
	}
	ret_utf16[used] = 0;
	return used;
}

/* A character that is there has one form, so it comes out as it went in. */
bool ic_text_is_sound(const char *text)
{
	size_t at = 0;

	while (text[at]) {
		size_t begin = at;
		uint32_t code = take_utf8(text, &at);
		char bytes[4];

		if (is_control(code) || encode_utf8(code, bytes) != at - begin ||
			memcmp(bytes, text + begin, at - begin))
			return false;
	}
	return true;
}
