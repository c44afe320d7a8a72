/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"

#define BUF_MIN_CAPACITY_BYTES 256

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){};
}

void buf_reset(struct buf *b)
{
	b->size_bytes = 0;
	b->failed = false;
}

void buf_drop(struct buf *b, size_t size_bytes)
{
	size_bytes = MIN(size_bytes, b->size_bytes);
	b->size_bytes -= size_bytes;
	memmove(b->data, b->data + size_bytes, b->size_bytes);
}

static bool buf_reserve(struct buf *b, size_t extra_bytes)
{
	size_t wanted_bytes, capacity_bytes;
	uint8_t *data;

	if (__builtin_add_overflow(b->size_bytes, extra_bytes, &wanted_bytes))
		return false;
	if (wanted_bytes <= b->capacity_bytes)
		return true;
	capacity_bytes = MAX(b->capacity_bytes, (size_t)BUF_MIN_CAPACITY_BYTES);
	while (capacity_bytes < wanted_bytes) {
		if (__builtin_mul_overflow(capacity_bytes, (size_t)2, &capacity_bytes))
			capacity_bytes = wanted_bytes;
	}
	data = realloc(b->data, capacity_bytes);
	if (!data)
		return false;
	b->data = data;
	b->capacity_bytes = capacity_bytes;
	return true;
}

void *buf_extend(struct buf *b, size_t size_bytes)
{
	void *at;

	if (b->failed || !buf_reserve(b, MAX(size_bytes, (size_t)1))) {
		b->failed = true;
		return NULL;
	}
	at = b->data + b->size_bytes;
	b->size_bytes += size_bytes;
	return at;
}

void buf_bytes(struct buf *b, const void *data, size_t size_bytes)
{
	void *at = buf_extend(b, size_bytes);

	if (at && size_bytes)
		memcpy(at, data, size_bytes);
}

void buf_u8(struct buf *b, uint8_t v)
{
	uint8_t *at = buf_extend(b, sizeof(v));

	if (at)
		*at = v;
}

void buf_le16(struct buf *b, uint16_t v)
{
	void *at = buf_extend(b, sizeof(v));

	if (at)
		store_le16(at, v);
}

void buf_le32(struct buf *b, uint32_t v)
{
	void *at = buf_extend(b, sizeof(v));

	if (at)
		store_le32(at, v);
}

void buf_le64(struct buf *b, uint64_t v)
{
	void *at = buf_extend(b, sizeof(v));

	if (at)
		store_le64(at, v);
}
