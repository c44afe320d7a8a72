/* SPDX-License-Identifier: MIT
 *
 * decode.h - from chunks to pages: reads one chunk after the other from a link or a file, checks
 * all of it that can be checked, and puts the pages where they belong. Everything read is hostile.
 *
 * The memory starts as decode_prepare() finds it: from then on a page whose dirty mark is not set
 * is zero. Zero chunks leave such pages alone, so memory that the guest never used is not even
 * touched. Nobody may drain the marks while decoders are at work.
 *
 * A chunk is placed before its contents are known to be whole: after an error the memory is waste.
 */
#ifndef VIADUCT_MIGRATE_DECODE_H
#define VIADUCT_MIGRATE_DECODE_H

#include "migrate/chunk.h"

#include <sys/uio.h>

/* Read exactly what `iov` asks for (and use it up). 0 or -errno. */
typedef int (*decode_read_fn)(void *data, struct iovec *iov, unsigned n_iov);

struct decode_counts {
	uint32_t n_zero, n_lz4, n_raw; /* pages */
};

/* One decoder belongs to one thread. */
struct decoder {
	struct gpa_space *memory;
	decode_read_fn read;
	void *data;
	struct decode_counts counts; /* the owner resets them */
	uint8_t *packed, *unpacked;
};

/* Mark whatever is not zero and not marked yet. -ENOMEM. */
int decode_prepare(struct gpa_space *memory);

int decoder_init(struct decoder *d, struct gpa_space *memory, decode_read_fn read, void *data);
void decoder_fini(struct decoder *d);
/* Take one chunk, which must be of `round`. *ret_chunk tells what it was (a barrier, for one);
 * *ret_why is static text when an error is returned: -EBADMSG or what `read` returned. */
int decoder_next(struct decoder *d, uint32_t round, struct chunk *ret_chunk, const char **ret_why);

#endif
