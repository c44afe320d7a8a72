/* SPDX-License-Identifier: MIT */
#include "migrate/migrate.h"
#include "base/bitmap.h"
#include "base/clock.h"
#include "migrate/auth.h"
#include "migrate/encode.h"
#include "migrate/manifest.h"
#include "migrate/page.h"
#include "migrate/stream.h"

#include <stdio.h>

#define WRITE_BYTES (1U << 20)
#define STEP_PAGES  4096U

struct save {
	const struct mig_vm_ops *ops;
	void *vm;
	struct manifest ours;
	int fd;
	void (*progress)(unsigned percent, void *data);
	void *data;
	uint8_t *buffer; /* WRITE_BYTES */
	size_t have_bytes;
	uint64_t offset; /* in the file, of the next byte to come */
	struct digest *digest;
	struct encoder encoder;
	struct buf units;
};

static int flush(struct save *s)
{
	size_t at = 0;
	int r = digest_add(s->digest, s->buffer, s->have_bytes);

	while (r == 0 && at < s->have_bytes) {
		ssize_t n = write(s->fd, s->buffer + at, s->have_bytes - at);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EINTR)
			r = n == 0 ? -EIO : -errno;
	}
	s->have_bytes = 0;
	return r;
}

static int put(struct save *s, const void *data, size_t size_bytes)
{
	const uint8_t *from = data;
	int r = 0;

	while (size_bytes && r == 0) {
		size_t n = MIN(size_bytes, WRITE_BYTES - s->have_bytes);

		memcpy(s->buffer + s->have_bytes, from, n);
		s->have_bytes += n;
		s->offset += n;
		from += n;
		size_bytes -= n;
		if (s->have_bytes == WRITE_BYTES)
			r = flush(s);
	}
	return r;
}

static int put_frame(struct save *s, uint16_t type, const void *head, size_t head_bytes,
	const void *tail, size_t tail_bytes)
{
	struct mig_frame_header header;
	int r;

	frame_header_encode(type, head, head_bytes, tail, tail_bytes, &header);
	r = put(s, &header, sizeof(header));
	if (r == 0)
		r = put(s, head, head_bytes);
	return r < 0 ? r : put(s, tail, tail_bytes);
}

static int put_chunks(
	void *data, struct iovec *iov, unsigned n_iov, size_t size_bytes, uint64_t *ret_cost_ns)
{
	int r = 0;

	(void)size_bytes;
	(void)ret_cost_ns; /* packed whatever it costs */
	for (unsigned i = 0; i < n_iov && r == 0; i++)
		r = put(data, iov[i].iov_base, iov[i].iov_len);
	return r;
}

static int save_begin(struct save *s)
{
	struct mig_file_header header = {.version = htole16(MIG_PROTO_VERSION)};
	struct buf text = {0};
	int r = -ENOMEM;

	memcpy(header.magic, MIG_FILE_MAGIC, sizeof(header.magic));
	manifest_encode(&s->ours, &text);
	if (!text.failed)
		r = put(s, &header, sizeof(header));
	if (r == 0)
		r = put_frame(s, MIG_FRAME_MANIFEST, text.data, text.size_bytes, NULL, 0);
	buf_fini(&text);
	return r;
}

static int save_region(struct save *s, const struct gpa_region *region, uint64_t *pages_done)
{
	size_t n_pages = region->size_bytes / GPA_PAGE_SIZE;
	uint64_t all_pages = gpa_space_size_bytes(s->ours.memory) / GPA_PAGE_SIZE;
	_cleanup_free_ uint64_t *untouched = calloc(BITMAP_WORDS(n_pages), sizeof(*untouched));
	int r = 0;

	if (!untouched)
		return -ENOMEM;
	page_find_untouched(region, false, untouched);
	for (size_t page = 0; page < n_pages && r == 0; page += STEP_PAGES) {
		uint32_t n = (uint32_t)MIN(n_pages - page, (size_t)STEP_PAGES);

		r = encoder_region(&s->encoder, region, untouched, page, n);
		*pages_done += n;
		if (s->progress)
			s->progress((unsigned)(99 * *pages_done / all_pages), s->data);
	}
	return r;
}

static int save_pages(struct save *s)
{
	uint64_t pages_done = 0;
	int r = 0;

	for (size_t i = 0; i < gpa_space_n_regions(s->ours.memory) && r == 0; i++)
		r = save_region(s, gpa_space_region(s->ours.memory, i), &pages_done);
	return r < 0 ? r : encoder_barrier(&s->encoder);
}

static int save_units(struct save *s)
{
	struct mig_final final = {
		.n_pages =
			htole32((uint32_t)(gpa_space_size_bytes(s->ours.memory) / GPA_PAGE_SIZE)),
		.state_bytes = htole64(s->units.size_bytes),
	};
	int r = 0;

	for (size_t at = 0; at < s->units.size_bytes && r == 0; at += MIG_STATE_PART_BYTES) {
		struct mig_state_part part = {.offset = htole64(at)};
		size_t n = MIN(s->units.size_bytes - at, (size_t)MIG_STATE_PART_BYTES);

		r = put_frame(s, MIG_FRAME_STATE, &part, sizeof(part), s->units.data + at, n);
	}
	return r < 0 ? r : put_frame(s, MIG_FRAME_FINAL, &final, sizeof(final), NULL, 0);
}

static int save_end(struct save *s, uint64_t pages_at, uint64_t state_at)
{
	struct mig_file_end end = {
		.pages_at = htole64(pages_at),
		.state_at = htole64(state_at),
		.end_at = htole64(s->offset),
	};
	int r = flush(s);

	if (r == 0)
		r = digest_end(s->digest, end.sha256);
	if (r == 0) {
		/* The digest cannot cover itself: the last frame goes out under a fresh one. */
		digest_free(s->digest);
		s->digest = NULL;
		r = digest_new(&s->digest);
	}
	if (r == 0)
		r = put_frame(s, MIG_FRAME_END, &end, sizeof(end), NULL, 0);
	if (r == 0)
		r = flush(s);
	/* Not everything that takes bytes can be synced; a file can. */
	if (r == 0 && fsync(s->fd) < 0 && errno != EINVAL && errno != EROFS)
		r = -errno;
	return r;
}

static int save_all(struct save *s)
{
	uint64_t pages_at, state_at;
	int r = save_begin(s);

	pages_at = s->offset;
	if (r == 0)
		r = save_pages(s);
	state_at = s->offset;
	if (r == 0)
		r = save_units(s);
	return r < 0 ? r : save_end(s, pages_at, state_at);
}

/* Units first: saving them may still write to guest memory. */
static int save_prepare(struct save *s, const char **ret_what)
{
	int r;

	*ret_what = "cannot save the state of the VM";
	if (!manifest_possible(&s->ours))
		return -EINVAL;
	r = s->ops->save(s->vm, &s->units);
	if (r == 0 && s->units.failed)
		r = -ENOMEM;
	if (r == 0 && s->units.size_bytes > MIG_MAX_STATE_BYTES)
		r = -EFBIG;
	if (r < 0)
		return r;
	*ret_what = "cannot write the file";
	s->buffer = malloc(WRITE_BYTES);
	if (!s->buffer)
		return -ENOMEM;
	r = digest_new(&s->digest);
	return r < 0 ? r : encoder_init(&s->encoder, CODEC_LZ4, put_chunks, s);
}

int mig_save_file(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm, int fd,
	void (*progress)(unsigned percent, void *data), void *data,
	struct mig_file_stats *ret_stats, char *ret_error, size_t error_size_bytes)
{
	struct save s = {
		.ops = ops,
		.vm = vm,
		.ours = {params->vm_name, params->cpuid_digest, ops->memory(vm)},
		.fd = fd,
		.progress = progress,
		.data = data,
	};
	uint64_t begun_ns = clock_mono_ns();
	const char *what;
	int r = save_prepare(&s, &what);

	if (r == 0)
		r = save_all(&s);
	if (r == 0 && progress)
		progress(100, data);
	if (r == 0)
		*ret_stats = (struct mig_file_stats){
			.raw_bytes = gpa_space_size_bytes(s.ours.memory),
			.file_bytes = s.offset,
			.duration_ns = clock_mono_ns() - begun_ns,
		};
	else
		(void)snprintf(ret_error, error_size_bytes, "%s: %s", what, strerror(-r));
	if (s.encoder.stage)
		encoder_fini(&s.encoder);
	digest_free(s.digest);
	free(s.buffer);
	buf_fini(&s.units);
	return r;
}
