/* SPDX-License-Identifier: MIT */
#include "migrate/decode.h"
#include "base/bitmap.h"
#include "migrate/comp_lz4.h"
#include "migrate/crc32c.h"
#include "migrate/page.h"

#include <string.h>

int decode_prepare(struct gpa_space *memory)
{
	for (size_t i = 0; i < gpa_space_n_regions(memory); i++) {
		const struct gpa_region *region = gpa_space_region(memory, i);
		size_t n_pages = region->size_bytes / GPA_PAGE_SIZE;
		_cleanup_free_ uint64_t *untouched =
			calloc(BITMAP_WORDS(n_pages), sizeof(*untouched));

		if (!untouched)
			return -ENOMEM;
		/* The VM is new: none of its pages can have been swapped out. */
		page_find_untouched(region, true, untouched);
		for (size_t page = 0; page < n_pages; page++) {
			const uint8_t *host = (uint8_t *)region->host + page * GPA_PAGE_SIZE;

			if (!bitmap_test(untouched, page) && !bitmap_test(region->dirty, page) &&
				!page_is_zero(host))
				bitmap_set_atomic(region->dirty, page);
		}
	}
	return 0;
}

int decoder_init(struct decoder *d, struct gpa_space *memory, decode_read_fn read, void *data)
{
	*d = (struct decoder){.memory = memory, .read = read, .data = data};
	d->packed = malloc(MIG_CHUNK_MAX_PAYLOAD);
	d->unpacked = malloc(MIG_CHUNK_MAX_PAYLOAD);
	if (d->packed && d->unpacked)
		return 0;
	decoder_fini(d);
	return -ENOMEM;
}

void decoder_fini(struct decoder *d)
{
	free(d->packed);
	free(d->unpacked);
	*d = (struct decoder){0};
}

static int read_bytes(struct decoder *d, void *ret_data, size_t size_bytes)
{
	struct iovec iov = {ret_data, size_bytes};

	return d->read(d->data, &iov, 1);
}

/* Valid because chunk_check_memory() was happy. */
static uint8_t *run_host(struct decoder *d, const struct chunk_run *run)
{
	return gpa_window(
		d->memory, gpa_from_pfn(run->first_pfn), (size_t)run->n_pages * MIG_PAGE_BYTES);
}

static size_t run_bytes(const struct chunk_run *run)
{
	return (size_t)run->n_pages * MIG_PAGE_BYTES;
}

static void mark(struct decoder *d, const struct chunk *chunk)
{
	for (unsigned i = 0; i < chunk->n_runs; i++)
		gpa_mark_dirty(d->memory, gpa_from_pfn(chunk->runs[i].first_pfn),
			run_bytes(&chunk->runs[i]));
}

static int place_raw(struct decoder *d, const struct chunk *chunk, const char **ret_why)
{
	struct iovec iov[MIG_CHUNK_MAX_RUNS];
	struct crc32c_striped crc;
	int r;

	for (unsigned i = 0; i < chunk->n_runs; i++)
		iov[i] = (struct iovec){run_host(d, &chunk->runs[i]), run_bytes(&chunk->runs[i])};
	r = d->read(d->data, iov, chunk->n_runs);
	if (r < 0)
		return r;
	mark(d, chunk);
	crc32c_striped_init(&crc);
	for (unsigned i = 0; i < chunk->n_runs; i++)
		crc32c_striped_add(&crc, run_host(d, &chunk->runs[i]), run_bytes(&chunk->runs[i]));
	if (crc32c_striped_end(&crc) != chunk->payload_crc) {
		*ret_why = "pages with a wrong checksum";
		return -EBADMSG;
	}
	d->counts.n_raw += chunk->n_pages;
	return 0;
}

static int place_lz4(struct decoder *d, const struct chunk *chunk, const char **ret_why)
{
	size_t raw_bytes = (size_t)chunk->n_pages * MIG_PAGE_BYTES;
	uint8_t *to = chunk->n_runs == 1 ? run_host(d, &chunk->runs[0]) : d->unpacked;
	const uint8_t *from = d->unpacked;
	int r = read_bytes(d, d->packed, chunk->payload_bytes);

	if (r < 0)
		return r;
	*ret_why = "packed pages with a wrong checksum";
	if (crc32c_striped(d->packed, chunk->payload_bytes) != chunk->payload_crc)
		return -EBADMSG;
	*ret_why = "packed pages that do not unpack to their size";
	r = comp_lz4_unpack(d->packed, chunk->payload_bytes, to, raw_bytes);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < chunk->n_runs && chunk->n_runs > 1; i++) {
		memcpy(run_host(d, &chunk->runs[i]), from, run_bytes(&chunk->runs[i]));
		from += run_bytes(&chunk->runs[i]);
	}
	mark(d, chunk);
	d->counts.n_lz4 += chunk->n_pages;
	return 0;
}

static void clear_run(struct decoder *d, const struct chunk_run *run)
{
	const struct gpa_region *region = NULL;
	uint64_t base_pfn = 0;
	size_t page, end;

	for (size_t i = 0; i < gpa_space_n_regions(d->memory); i++) {
		region = gpa_space_region(d->memory, i);
		base_pfn = region->base.v >> GPA_PAGE_SHIFT;
		if (run->first_pfn >= base_pfn &&
			run->first_pfn - base_pfn < region->size_bytes >> GPA_PAGE_SHIFT)
			break;
	}
	page = run->first_pfn - base_pfn;
	end = page + run->n_pages;
	while (page < end) {
		uint64_t word = __atomic_load_n(&region->dirty[page / 64], __ATOMIC_RELAXED);
		uint8_t *host = (uint8_t *)region->host + page * GPA_PAGE_SIZE;

		if (!word) {
			page = (page / 64 + 1) * 64;
			continue;
		}
		if (word >> (page % 64) & 1 && !page_is_zero(host))
			memset(host, 0, GPA_PAGE_SIZE);
		page++;
	}
}

static int place(struct decoder *d, const struct chunk *chunk, const char **ret_why)
{
	switch (chunk->kind) {
	case MIG_CHUNK_RAW:
		return place_raw(d, chunk, ret_why);
	case MIG_CHUNK_LZ4:
		return place_lz4(d, chunk, ret_why);
	case MIG_CHUNK_ZERO:
		for (unsigned i = 0; i < chunk->n_runs; i++)
			clear_run(d, &chunk->runs[i]);
		d->counts.n_zero += chunk->n_pages;
		return 0;
	default: /* a barrier */
		return 0;
	}
}

int decoder_next(struct decoder *d, uint32_t round, struct chunk *ret_chunk, const char **ret_why)
{
	struct mig_run runs[MIG_CHUNK_MAX_RUNS];
	struct mig_chunk_header header;
	int r;

	*ret_why = "a chunk cannot be read";
	r = read_bytes(d, &header, sizeof(header));
	if (r == 0)
		r = chunk_header_parse(&header, ret_chunk, ret_why);
	if (r < 0)
		return r;
	if (ret_chunk->round != round) {
		*ret_why = "a chunk of another round";
		return -EBADMSG;
	}
	*ret_why = "a chunk cannot be read";
	if (ret_chunk->n_runs)
		r = read_bytes(d, runs, ret_chunk->n_runs * sizeof(runs[0]));
	if (r == 0)
		r = chunk_runs_parse(&header, runs, ret_chunk, ret_why);
	if (r == 0)
		r = chunk_check_memory(ret_chunk, d->memory, ret_why);
	if (r < 0)
		return r;
	*ret_why = "a chunk cannot be read";
	return place(d, ret_chunk, ret_why);
}
