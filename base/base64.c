/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include <stdlib.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t size_bytes)
{
	const uint8_t *in = data;
	char *text = malloc((size_bytes + 2) / 3 * 4 + 1);
	char *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size_bytes; i += 3) {
		size_t n = MIN(size_bytes - i, (size_t)3);
		uint32_t group = (uint32_t)in[i] << 16;

		if (n > 1)
			group |= (uint32_t)in[i + 1] << 8;
		if (n > 2)
			group |= in[i + 2];
		*out++ = alphabet[group >> 18 & 63];
		*out++ = alphabet[group >> 12 & 63];
		*out++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
		*out++ = n > 2 ? alphabet[group & 63] : '=';
	}
	*out = '\0';
	return text;
}

static int digit(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* One group of four characters; the number of bytes in it, or -EBADMSG. */
static int decode_group(const char *text, uint8_t ret_bytes[3])
{
	uint32_t group = 0;
	int n = 3;

	if (text[3] == '=')
		n = text[2] == '=' ? 1 : 2;
	for (int i = 0; i < 4; i++) {
		int v = i <= n ? digit(text[i]) : 0;

		if (v < 0)
			return -EBADMSG;
		group = group << 6 | (uint32_t)v;
	}
	ret_bytes[0] = (uint8_t)(group >> 16);
	ret_bytes[1] = (uint8_t)(group >> 8);
	ret_bytes[2] = (uint8_t)group;
	/* Bits behind the last byte are zero in the one true form. */
	if ((n < 2 && ret_bytes[1]) || (n < 3 && ret_bytes[2]))
		return -EBADMSG;
	return n;
}

int base64_decode(const char *text, struct buf *out)
{
	size_t len = strlen(text), before = out->size_bytes;

	if (len % 4)
		return -EBADMSG;
	for (size_t i = 0; i < len; i += 4) {
		uint8_t bytes[3];
		int n = decode_group(text + i, bytes);

		if (n < 0 || (n < 3 && i + 4 < len)) {
			out->size_bytes = before;
			return -EBADMSG;
		}
		buf_bytes(out, bytes, (size_t)n);
	}
	return out->failed ? -ENOMEM : 0;
}
