/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/mem.h"

/* String instructions: fast on every CPU this can run on, and no vector registers. */

void *memcpy(void *restrict to, const void *restrict from, size_t size_bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size_bytes) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t size_bytes)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if ((uintptr_t)to - (uintptr_t)from >= size_bytes)
		return memcpy(to, from, size_bytes);
	while (size_bytes--)
		d[size_bytes] = s[size_bytes];
	return to;
}

void *memset(void *to, int byte, size_t size_bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size_bytes) : "a"(byte) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t size_bytes)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size_bytes; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}
