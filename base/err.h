/* SPDX-License-Identifier: MIT
 *
 * err.h - the error law and the small macros every file uses.
 *
 * A function that can fail returns 0 or a negative errno; outputs travel through `ret_` parameters,
 * written only on success. Libraries do not log above debug level: the program that decides what to
 * do about an error logs it, once.
 */
#ifndef VIADUCT_BASE_ERR_H
#define VIADUCT_BASE_ERR_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a < _b ? _a : _b;                                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a > _b ? _a : _b;                                                                 \
	})
/* `a` must be a power of two. */
/* clang-format off */ /* it takes the minus for a sign */
#define ALIGN_UP(x, a)                  (((x) + ((a) - 1)) & ~((__typeof__(x))(a) - 1))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
/* clang-format on */

#define static_assert_size(type, size_bytes)                                                       \
	_Static_assert(sizeof(type) == (size_bytes), #type " must be " #size_bytes " bytes")
#define static_assert_offset(type, member, at)                                                     \
	_Static_assert(offsetof(type, member) == (at), #type "." #member " must be at " #at)

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Locals that clean up after themselves; hand the value on with take_ptr()/take_fd(). */
#define _cleanup_free_  __attribute__((cleanup(cleanup_freep)))
#define _cleanup_close_ __attribute__((cleanup(cleanup_closep)))

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline int close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
	return -1;
}

#define _must_check_      __attribute__((warn_unused_result))
#define _printf_(fmt, va) __attribute__((format(printf, fmt, va)))
#define _unused_          __attribute__((unused))

#endif
