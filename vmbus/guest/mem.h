/* SPDX-License-Identifier: MIT
 *
 * mem.h - the part of <string.h> a freestanding program must bring along (mem.c), and the few
 * macros all of this folder uses. Unit tests link the C library's functions instead.
 */
#ifndef VIADUCT_VMBUS_GUEST_MEM_H
#define VIADUCT_VMBUS_GUEST_MEM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size_bytes);
void *memmove(void *to, const void *from, size_t size_bytes);
void *memset(void *to, int byte, size_t size_bytes);
int memcmp(const void *a, const void *b, size_t size_bytes);
size_t strlen(const char *s);

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b)                                                                               \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a < _b ? _a : _b;                                                                 \
	})
#define MAX_OF(a, b)                                                                               \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a > _b ? _a : _b;                                                                 \
	})

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/* No deadline at all. */
#define NEVER_NS UINT64_MAX

#endif
