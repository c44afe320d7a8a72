/* SPDX-License-Identifier: MIT
 *
 * bytes.h - little-endian loads and stores at any alignment, and the two cursors with which hostile
 * bytes are read and messages are written.
 *
 * struct reader never reads past its end: the first read that would do so sets `failed`, and that
 * read and all later ones yield zeros. Check `reader_ok()` (or `reader_done()`, which also wants
 * every byte consumed) once, at the end, before acting on anything that was read.
 *
 * struct buf grows as needed; a failed allocation sets `failed` and later writes are dropped. Check
 * `failed` once, before using the content.
 */
#ifndef VIADUCT_BASE_BYTES_H
#define VIADUCT_BASE_BYTES_H

#include "base/err.h"

#include <endian.h>
#include <string.h>

static inline uint16_t load_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t load_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t load_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline uint16_t load_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t load_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t load_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void store_le16(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be16(void *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be32(void *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be64(void *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

struct reader {
	const uint8_t *at;
	size_t left_bytes;
	bool failed;
};

static inline struct reader reader_make(const void *data, size_t size_bytes)
{
	return (struct reader){.at = data, .left_bytes = size_bytes};
}

/* The next `size_bytes` bytes in place, or NULL and `failed` when there are not that many. */
static inline const void *reader_take(struct reader *r, size_t size_bytes)
{
	const uint8_t *at = r->at;

	if (r->failed || size_bytes > r->left_bytes) {
		r->failed = true;
		return NULL;
	}
	if (size_bytes) { /* an empty reader may stand nowhere */
		r->at += size_bytes;
		r->left_bytes -= size_bytes;
	}
	return at;
}

static inline void reader_bytes(struct reader *r, void *ret_data, size_t size_bytes)
{
	const void *at = reader_take(r, size_bytes);

	if (at)
		memcpy(ret_data, at, size_bytes);
	else
		memset(ret_data, 0, size_bytes);
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);

	return p ? *p : 0;
}

static inline uint16_t reader_le16(struct reader *r)
{
	const void *p = reader_take(r, 2);

	return p ? load_le16(p) : 0;
}

static inline uint32_t reader_le32(struct reader *r)
{
	const void *p = reader_take(r, 4);

	return p ? load_le32(p) : 0;
}

static inline uint64_t reader_le64(struct reader *r)
{
	const void *p = reader_take(r, 8);

	return p ? load_le64(p) : 0;
}

static inline bool reader_ok(const struct reader *r)
{
	return !r->failed;
}

static inline bool reader_done(const struct reader *r)
{
	return !r->failed && r->left_bytes == 0;
}

/* A growable byte buffer; zero-initialise, finish with buf_fini(). */
struct buf {
	uint8_t *data;
	size_t size_bytes;     /* used */
	size_t capacity_bytes; /* allocated */
	bool failed;           /* an allocation failed; content is incomplete */
};

void buf_fini(struct buf *b);
/* Forget the content, keep the allocation. */
void buf_reset(struct buf *b);
/* Forget the first `size_bytes` bytes; the others move up. */
void buf_drop(struct buf *b, size_t size_bytes);
/* Append `size_bytes` bytes and return where to write them, or NULL on a failed allocation. */
void *buf_extend(struct buf *b, size_t size_bytes);
void buf_bytes(struct buf *b, const void *data, size_t size_bytes);
void buf_u8(struct buf *b, uint8_t v);
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);

#endif
