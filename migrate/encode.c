/* SPDX-License-Identifier: MIT */
#include "migrate/encode.h"
#include "base/bitmap.h"
#include "base/clock.h"
#include "migrate/comp_lz4.h"
#include "migrate/crc32c.h"
#include "migrate/page.h"

/* Packed chunks must save at least a sixteenth, or they are not worth unpacking. */
#define WORTH_PACKING(raw_bytes) ((raw_bytes) - (raw_bytes) / 16)

int encoder_init(struct encoder *e, enum codec_policy policy, encode_write_fn write, void *data)
{
	*e = (struct encoder){.write = write, .data = data};
	codec_init(&e->codec, policy);
	e->stage = aligned_alloc(GPA_PAGE_SIZE, MIG_CHUNK_MAX_PAYLOAD);
	e->packed = malloc(MIG_CHUNK_MAX_PAYLOAD);
	e->lz4 = comp_lz4_new();
	if (!e->stage || !e->packed || !e->lz4) {
		encoder_fini(e);
		return -ENOMEM;
	}
	encoder_round(e, 0, false);
	return 0;
}

void encoder_fini(struct encoder *e)
{
	free(e->stage);
	free(e->packed);
	free(e->lz4);
	*e = (struct encoder){0};
}

void encoder_round(struct encoder *e, uint32_t round, bool paused)
{
	e->counts = (struct encode_counts){0};
	e->may_probe = !paused;
	chunk_start(&e->pages, MIG_CHUNK_RAW, round);
	chunk_start(&e->zeros, MIG_CHUNK_ZERO, round);
}

static void queue(struct encoder *e, const struct chunk *chunk, void *payload)
{
	uint8_t *head = e->heads[e->n_queued++];

	e->iov[e->n_iov++] = (struct iovec){head, chunk_head_encode(chunk, head)};
	if (chunk->payload_bytes)
		e->iov[e->n_iov++] = (struct iovec){payload, chunk->payload_bytes};
}

static int write_queued(struct encoder *e)
{
	uint64_t cost_ns = 0;
	size_t size_bytes = 0;
	int r;

	for (unsigned i = 0; i < e->n_iov; i++)
		size_bytes += e->iov[i].iov_len;
	if (!size_bytes)
		return 0;
	r = e->write(e->data, e->iov, e->n_iov, size_bytes, &cost_ns);
	e->n_queued = 0;
	e->n_iov = 0;
	if (r < 0)
		return r;
	codec_note_write(&e->codec, size_bytes, cost_ns);
	e->counts.sent_bytes += size_bytes;
	return 0;
}

static void queue_zeros(struct encoder *e)
{
	struct chunk *chunk = &e->zeros;

	if (!chunk->n_pages)
		return;
	e->counts.n_zero += chunk->n_pages;
	queue(e, chunk, NULL);
	chunk_start(chunk, MIG_CHUNK_ZERO, chunk->round);
}

/* The packed form of the staged pages, or 0 when they stay as they are. */
static size_t pack(struct encoder *e, size_t raw_bytes)
{
	uint64_t before_ns;
	size_t packed_bytes;

	if (!codec_choose_lz4(&e->codec, e->may_probe))
		return 0;
	before_ns = clock_mono_ns();
	packed_bytes =
		comp_lz4_pack(e->lz4, e->stage, raw_bytes, e->packed, WORTH_PACKING(raw_bytes));
	codec_note_pack(&e->codec, raw_bytes, packed_bytes ? packed_bytes : raw_bytes,
		clock_mono_ns() - before_ns);
	return packed_bytes;
}

static void queue_pages(struct encoder *e)
{
	struct chunk *chunk = &e->pages;
	size_t raw_bytes = (size_t)chunk->n_pages * MIG_PAGE_BYTES, packed_bytes;
	uint8_t *payload = e->stage;

	if (!chunk->n_pages)
		return;
	packed_bytes = pack(e, raw_bytes);
	if (packed_bytes) {
		payload = e->packed;
		chunk->kind = MIG_CHUNK_LZ4;
		chunk->payload_bytes = (uint32_t)packed_bytes;
		e->counts.n_lz4 += chunk->n_pages;
	} else {
		chunk->payload_bytes = (uint32_t)raw_bytes;
		e->counts.n_raw += chunk->n_pages;
	}
	chunk->payload_crc = crc32c_striped(payload, chunk->payload_bytes);
	queue(e, chunk, payload);
	chunk_start(chunk, MIG_CHUNK_RAW, chunk->round);
}

int encoder_zeros(struct encoder *e, uint32_t first_pfn, uint32_t n_pages)
{
	int r;

	if (chunk_append(&e->zeros, first_pfn, n_pages))
		return 0;
	queue_zeros(e);
	r = write_queued(e);
	chunk_append(&e->zeros, first_pfn, n_pages);
	return r;
}

static int add_page(struct encoder *e, uint32_t pfn, const uint8_t *host)
{
	int r = 0;

	if (!chunk_append(&e->pages, pfn, 1)) {
		queue_pages(e);
		r = write_queued(e);
		chunk_append(&e->pages, pfn, 1);
	}
	page_copy(e->stage + (e->pages.n_pages - 1) * MIG_PAGE_BYTES, host, 1);
	return r;
}

int encoder_pages(struct encoder *e, uint32_t first_pfn, const uint8_t *host, uint32_t n_pages)
{
	int r = 0;

	for (uint32_t i = 0; i < n_pages && r == 0; i++, host += MIG_PAGE_BYTES)
		r = page_is_zero(host) ? encoder_zeros(e, first_pfn + i, 1)
				       : add_page(e, first_pfn + i, host);
	return r;
}

/* How many pages from `first` on have the same bit as it, at most `n_pages`. */
static uint32_t same_bits(const uint64_t *bitmap, size_t first, uint32_t n_pages)
{
	bool bit = bitmap_test(bitmap, first);
	uint32_t n = 1;

	while (n < n_pages && bitmap_test(bitmap, first + n) == bit)
		n++;
	return n;
}

int encoder_region(struct encoder *e, const struct gpa_region *region, const uint64_t *untouched,
	size_t first_page, uint32_t n_pages)
{
	uint32_t base_pfn = (uint32_t)(region->base.v >> GPA_PAGE_SHIFT), n;
	int r = 0;

	for (uint32_t i = 0; i < n_pages && r == 0; i += n) {
		size_t page = first_page + i;
		uint32_t pfn = base_pfn + (uint32_t)page;

		n = untouched ? same_bits(untouched, page, n_pages - i) : n_pages - i;
		if (untouched && bitmap_test(untouched, page))
			r = encoder_zeros(e, pfn, n);
		else
			r = encoder_pages(
				e, pfn, (uint8_t *)region->host + page * GPA_PAGE_SIZE, n);
	}
	return r;
}

int encoder_barrier(struct encoder *e)
{
	struct chunk barrier;

	chunk_start(&barrier, MIG_CHUNK_BARRIER, e->pages.round);
	queue_pages(e);
	queue_zeros(e);
	queue(e, &barrier, NULL);
	return write_queued(e);
}
