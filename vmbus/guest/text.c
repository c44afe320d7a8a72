/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/text.h"

struct text text_on(char *data, size_t size_bytes)
{
	data[0] = '\0';
	return (struct text){.data = data, .capacity = size_bytes - 1};
}

void text_char(struct text *text, char c)
{
	if (text->length == text->capacity)
		return;
	text->data[text->length++] = c;
	text->data[text->length] = '\0';
}

void text_add(struct text *text, const char *s)
{
	while (*s)
		text_char(text, *s++);
}

static void text_number(struct text *text, uint64_t v, unsigned base, unsigned min_digits)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v || n < min_digits);
	while (n)
		text_char(text, digits[--n]);
}

void text_u64(struct text *text, uint64_t v)
{
	text_number(text, v, 10, 1);
}

void text_hex(struct text *text, uint64_t v)
{
	text_number(text, v, 16, 1);
}

void text_ipv4(struct text *text, uint32_t ip)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		text_u64(text, ip >> shift & 0xff);
		if (shift)
			text_char(text, '.');
	}
}

void text_mac(struct text *text, const uint8_t mac[6])
{
	for (int i = 0; i < 6; i++) {
		if (i)
			text_char(text, ':');
		text_number(text, mac[i], 16, 2);
	}
}

void text_field(struct text *text, const char *name, uint64_t v)
{
	text_char(text, ' ');
	text_add(text, name);
	text_char(text, '=');
	text_u64(text, v);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool scan_word(const char **at, const char **ret_word, size_t *ret_length)
{
	const char *start = *at, *end;

	while (is_blank(*start))
		start++;
	for (end = start; *end && !is_blank(*end); end++)
		;
	if (end == start)
		return false;
	*ret_word = start;
	*ret_length = (size_t)(end - start);
	while (is_blank(*end))
		end++;
	*at = end;
	return true;
}

bool scan_u64(const char **at, uint64_t max, uint64_t *ret_value)
{
	const char *next = *at, *word;
	size_t length;

	if (!scan_word(&next, &word, &length) || !parse_u64(word, length, max, ret_value))
		return false;
	*at = next;
	return true;
}

bool scan_ipv4(const char **at, uint32_t *ret_ip)
{
	const char *next = *at, *word;
	size_t length;

	if (!scan_word(&next, &word, &length) || !parse_ipv4(word, length, ret_ip))
		return false;
	*at = next;
	return true;
}

bool parse_u64(const char *s, size_t length, uint64_t max, uint64_t *ret_value)
{
	uint64_t v = 0;

	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned)(s[i] - '0');

		if (digit > 9 || digit > max || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret_value = v;
	return true;
}

bool parse_ipv4(const char *s, size_t length, uint32_t *ret_ip)
{
	const char *end = s + length;
	uint32_t ip = 0;

	for (int i = 0; i < 4; i++) {
		const char *dot = s;
		uint64_t octet;

		while (dot < end && *dot != '.')
			dot++;
		if (!parse_u64(s, (size_t)(dot - s), 255, &octet) || (dot == end) != (i == 3))
			return false;
		ip = ip << 8 | (uint32_t)octet;
		s = dot + 1;
	}
	*ret_ip = ip;
	return true;
}

bool word_is(const char *word, size_t length, const char *expected)
{
	return strlen(expected) == length && memcmp(word, expected, length) == 0;
}
