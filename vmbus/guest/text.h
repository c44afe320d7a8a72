/* SPDX-License-Identifier: MIT
 *
 * text.h - bounded text without a C library: a builder for the lines the guest prints and a scanner
 * for the lines it reads. What does not fit a builder is cut off.
 */
#ifndef VIADUCT_VMBUS_GUEST_TEXT_H
#define VIADUCT_VMBUS_GUEST_TEXT_H

#include "vmbus/guest/mem.h"

struct text {
	char *data;
	size_t capacity; /* without the terminating zero, which is always there */
	size_t length;
};

/* A builder on `size_bytes` >= 1 bytes. */
struct text text_on(char *data, size_t size_bytes);
void text_add(struct text *text, const char *s);
void text_char(struct text *text, char c);
void text_u64(struct text *text, uint64_t v);
void text_hex(struct text *text, uint64_t v);
/* `ip` in host order. */
void text_ipv4(struct text *text, uint32_t ip);
void text_mac(struct text *text, const uint8_t mac[6]);
/* " name=value" */
void text_field(struct text *text, const char *name, uint64_t v);

/* Scanners: each takes what it can from *at and moves it on; false leaves *at alone. */
/* A word and the blanks behind it: *ret_word points into the line, *ret_length is >= 1. */
bool scan_word(const char **at, const char **ret_word, size_t *ret_length);
/* The whole of a word must be a number (decimal) not above max. */
bool scan_u64(const char **at, uint64_t max, uint64_t *ret_value);
bool scan_ipv4(const char **at, uint32_t *ret_ip);

/* The same for bytes that a caller delimited. */
bool parse_u64(const char *s, size_t length, uint64_t max, uint64_t *ret_value);
bool parse_ipv4(const char *s, size_t length, uint32_t *ret_ip);
bool word_is(const char *word, size_t length, const char *expected);

#endif
