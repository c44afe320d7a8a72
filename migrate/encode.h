/* SPDX-License-Identifier: MIT
 *
 * encode.h - from pages to chunks: sorts out zero pages, gathers the rest into chunks, packs them
 * when that pays, and hands them to whatever carries them. One encoder belongs to one thread.
 *
 * Runs of zero pages are held back and travel together, many thousands in one chunk. A page is
 * looked at once, copied once, and only the copy is packed, summed up and sent.
 */
#ifndef VIADUCT_MIGRATE_ENCODE_H
#define VIADUCT_MIGRATE_ENCODE_H

#include "migrate/chunk.h"
#include "migrate/codec.h"

#include <sys/uio.h>

/* Carry these bytes, all of them, before returning; `iov` may be used up. 0 or -errno. *ret_cost_ns
 * is what codec.h calls the cost of the wire. */
typedef int (*encode_write_fn)(
	void *data, struct iovec *iov, unsigned n_iov, size_t size_bytes, uint64_t *ret_cost_ns);

struct encode_counts {
	uint32_t n_zero, n_lz4, n_raw; /* pages */
	uint64_t sent_bytes;           /* headers included */
};

#define ENCODE_MAX_QUEUED 3

struct encoder {
	encode_write_fn write;
	void *data;
	struct codec codec;
	bool may_probe;
	struct encode_counts counts; /* of this round */
	struct chunk pages, zeros;   /* being gathered */
	uint8_t *stage;              /* copies of `pages` */
	uint8_t *packed;
	void *lz4;
	/* Chunks that wait to be written in one go. */
	unsigned n_queued;
	uint8_t heads[ENCODE_MAX_QUEUED][MIG_CHUNK_MAX_HEAD_BYTES];
	struct iovec iov[ENCODE_MAX_QUEUED * 2];
	unsigned n_iov;
};

int encoder_init(struct encoder *e, enum codec_policy policy, encode_write_fn write, void *data);
void encoder_fini(struct encoder *e);

/* Begin round `round`, with fresh counts. `paused`: the VM stands still, be quick and try nothing
 * new. */
void encoder_round(struct encoder *e, uint32_t round, bool paused);
/* Pages in ascending order, as a rule; any order works. `host` is where `first_pfn` is mapped. */
int encoder_pages(struct encoder *e, uint32_t first_pfn, const uint8_t *host, uint32_t n_pages);
/* Pages that are known to be zero. */
int encoder_zeros(struct encoder *e, uint32_t first_pfn, uint32_t n_pages);
/* Pages of a region; those in the bitmap `untouched` (may be NULL) are known to be zero. */
int encoder_region(struct encoder *e, const struct gpa_region *region, const uint64_t *untouched,
	size_t first_page, uint32_t n_pages);
/* Write what is still held back, and the barrier. */
int encoder_barrier(struct encoder *e);

#endif
