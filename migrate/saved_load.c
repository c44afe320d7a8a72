/* SPDX-License-Identifier: MIT */
#include "migrate/migrate.h"
#include "base/bitmap.h"
#include "base/clock.h"
#include "migrate/auth.h"
#include "migrate/decode.h"
#include "migrate/manifest.h"
#include "migrate/stream.h"

#include <stdio.h>

#define READ_BYTES (1U << 20)

struct load {
	const struct mig_vm_ops *ops;
	void *vm;
	struct manifest ours;
	int fd;
	uint8_t *buffer; /* READ_BYTES */
	size_t at_bytes, have_bytes;
	uint64_t offset; /* in the file, of the next byte to be taken */
	struct digest *digest;
	struct decoder decoder;
	uint64_t *seen[GPA_MAX_REGIONS]; /* pages that came */
	uint64_t n_seen;
	uint8_t *payload; /* MIG_MAX_FRAME_BYTES */
	struct buf units;
	uint64_t pages_at, state_at;
	const char *why;
};

/* 0, -ENODATA at the end of the file, -errno. */
static int refill(struct load *l)
{
	ssize_t n;

	do {
		n = read(l->fd, l->buffer, READ_BYTES);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	l->at_bytes = 0;
	l->have_bytes = (size_t)n;
	return 0;
}

static int take(struct load *l, void *ret_data, size_t size_bytes)
{
	uint8_t *to = ret_data;
	size_t left_bytes = size_bytes;

	while (left_bytes) {
		size_t n = MIN(left_bytes, l->have_bytes);
		int r = n ? 0 : refill(l);

		if (r < 0)
			return r;
		memcpy(to, l->buffer + l->at_bytes, n);
		l->at_bytes += n;
		l->have_bytes -= n;
		to += n;
		left_bytes -= n;
	}
	l->offset += size_bytes;
	return digest_add(l->digest, ret_data, size_bytes);
}

static int take_chunk_bytes(void *data, struct iovec *iov, unsigned n_iov)
{
	int r = 0;

	for (unsigned i = 0; i < n_iov && r == 0; i++)
		r = take(data, iov[i].iov_base, iov[i].iov_len);
	return r;
}

static int bad(struct load *l, const char *why)
{
	l->why = why;
	return -EBADMSG;
}

static int take_frame(struct load *l, struct frame *ret_frame)
{
	struct mig_frame_header header;
	struct frame frame;
	int r = take(l, &header, sizeof(header));

	if (r == 0)
		r = frame_header_parse(&header, MIG_MAX_FRAME_BYTES, &frame, &l->why);
	if (r == 0)
		r = take(l, l->payload, frame.size_bytes);
	if (r < 0)
		return r;
	frame.payload = l->payload;
	r = frame_verify(&frame, &l->why);
	if (r == 0)
		*ret_frame = frame;
	return r;
}

static int load_begin(struct load *l)
{
	static const uint8_t no_reserved[sizeof(((struct mig_file_header *)0)->reserved)];
	struct mig_file_header header;
	struct frame frame;
	int r = take(l, &header, sizeof(header));

	if (r < 0)
		return r;
	if (memcmp(header.magic, MIG_FILE_MAGIC, sizeof(header.magic)) != 0)
		return bad(l, "this is not a saved VM");
	if (le16toh(header.version) != MIG_PROTO_VERSION) {
		l->why = "the VM was saved by another version";
		return -EPROTONOSUPPORT;
	}
	if (memcmp(header.reserved, no_reserved, sizeof(no_reserved)) != 0)
		return bad(l, "the header has unknown fields");
	r = take_frame(l, &frame);
	if (r == 0 && frame.type != MIG_FRAME_MANIFEST)
		r = bad(l, "the description of the VM is missing");
	if (r == 0)
		r = manifest_check(&l->ours, frame.payload, frame.size_bytes, &l->why);
	return r;
}

/* Every page comes once. */
static int note_seen(struct load *l, const struct chunk *chunk)
{
	for (unsigned i = 0; i < chunk->n_runs; i++) {
		const struct chunk_run *run = &chunk->runs[i];
		const struct gpa_region *region;
		uint64_t page = 0;
		size_t k = 0;

		/* The decoder has checked that one region holds the run. */
		for (; (region = gpa_space_region(l->ours.memory, k)); k++) {
			page = run->first_pfn - (region->base.v >> GPA_PAGE_SHIFT);
			if (page < region->size_bytes / GPA_PAGE_SIZE)
				break;
		}
		for (uint32_t n = 0; n < run->n_pages; n++, page++) {
			if (bitmap_test(l->seen[k], page))
				return bad(l, "a page is there twice");
			bitmap_set(l->seen[k], page);
		}
		l->n_seen += run->n_pages;
	}
	return 0;
}

static int load_pages(struct load *l)
{
	struct chunk chunk = {0};
	int r = 0;

	l->pages_at = l->offset;
	while (r == 0 && chunk.kind != MIG_CHUNK_BARRIER) {
		r = decoder_next(&l->decoder, 0, &chunk, &l->why);
		if (r == 0)
			r = note_seen(l, &chunk);
	}
	if (r == 0 && l->n_seen != gpa_space_size_bytes(l->ours.memory) / GPA_PAGE_SIZE)
		r = bad(l, "pages are missing");
	return r;
}

static int take_units(struct load *l, const struct frame *frame)
{
	struct reader in = reader_make(frame->payload, frame->size_bytes);

	if (reader_le64(&in) != l->units.size_bytes || reader_done(&in) || !reader_ok(&in))
		return bad(l, "a part of the state is out of place");
	if (in.left_bytes > MIG_MAX_STATE_BYTES - l->units.size_bytes)
		return bad(l, "more state than a VM may have");
	buf_bytes(&l->units, in.at, in.left_bytes);
	return l->units.failed ? -ENOMEM : 0;
}

static int load_units(struct load *l)
{
	struct frame frame;
	struct reader in;
	int r;

	l->state_at = l->offset;
	while ((r = take_frame(l, &frame)) == 0 && frame.type == MIG_FRAME_STATE) {
		r = take_units(l, &frame);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	in = reader_make(frame.payload, frame.size_bytes);
	if (frame.type != MIG_FRAME_FINAL || reader_le32(&in) != 0 ||
		reader_le32(&in) != l->n_seen || reader_le64(&in) != l->units.size_bytes ||
		!reader_done(&in))
		return bad(l, "the state of the VM is not all there");
	return 0;
}

static int load_end(struct load *l)
{
	uint8_t sha256[MIG_DIGEST_BYTES], beyond;
	uint64_t end_at = l->offset;
	struct mig_file_end end;
	struct frame frame;
	int r = digest_end(l->digest, sha256);

	if (r == 0) {
		digest_free(take_ptr(l->digest));
		r = digest_new(&l->digest);
	}
	if (r == 0)
		r = take_frame(l, &frame);
	if (r < 0)
		return r;
	if (frame.type != MIG_FRAME_END || frame.size_bytes != sizeof(end))
		return bad(l, "the end of the file is missing");
	memcpy(&end, frame.payload, sizeof(end));
	if (memcmp(end.sha256, sha256, sizeof(sha256)) != 0)
		return bad(l, "the file was changed: its SHA-256 is wrong");
	if (le64toh(end.pages_at) != l->pages_at || le64toh(end.state_at) != l->state_at ||
		le64toh(end.end_at) != end_at)
		return bad(l, "the sections are not where the end of the file says");
	r = take(l, &beyond, 1);
	if (r == 0)
		return bad(l, "there is something behind the end of the file");
	return r == -ENODATA ? 0 : r;
}

static int load_prepare(struct load *l)
{
	int r;

	if (!manifest_possible(&l->ours))
		return -EINVAL;
	l->buffer = malloc(READ_BYTES);
	l->payload = malloc(MIG_MAX_FRAME_BYTES);
	for (size_t i = 0; i < gpa_space_n_regions(l->ours.memory); i++) {
		const struct gpa_region *region = gpa_space_region(l->ours.memory, i);

		l->seen[i] =
			calloc(BITMAP_WORDS(region->size_bytes / GPA_PAGE_SIZE), sizeof(uint64_t));
		if (!l->seen[i])
			return -ENOMEM;
	}
	if (!l->buffer || !l->payload)
		return -ENOMEM;
	r = digest_new(&l->digest);
	if (r == 0)
		r = decode_prepare(l->ours.memory);
	return r < 0 ? r : decoder_init(&l->decoder, l->ours.memory, take_chunk_bytes, l);
}

static int load_all(struct load *l)
{
	int r = load_prepare(l);

	if (r == 0)
		r = load_begin(l);
	if (r == 0)
		r = load_pages(l);
	if (r == 0)
		r = load_units(l);
	return r < 0 ? r : load_end(l);
}

/* Only what has been verified to its last byte is given to the units. */
static int restore(struct load *l, char *ret_error, size_t error_size_bytes)
{
	struct reader in = reader_make(l->units.data, l->units.size_bytes);
	const char *culprit = NULL;
	int r = l->ops->restore(l->vm, &in, &culprit);

	if (r == 0 && !reader_done(&in))
		r = -EBADMSG;
	if (r < 0)
		(void)snprintf(ret_error, error_size_bytes, "cannot restore %s: %s",
			culprit ? culprit : "the VM", strerror(-r));
	return r;
}

static void load_fini(struct load *l)
{
	if (l->decoder.packed)
		decoder_fini(&l->decoder);
	digest_free(l->digest);
	for (size_t i = 0; i < ARRAY_LEN(l->seen); i++)
		free(l->seen[i]);
	free(l->payload);
	free(l->buffer);
	buf_fini(&l->units);
}

int mig_load_file(const struct mig_params *params, const struct mig_vm_ops *ops, void *vm, int fd,
	struct mig_file_stats *ret_stats, char *ret_error, size_t error_size_bytes)
{
	struct load l = {
		.ops = ops,
		.vm = vm,
		.ours = {params->vm_name, params->cpuid_digest, ops->memory(vm)},
		.fd = fd,
	};
	uint64_t begun_ns = clock_mono_ns();
	int r = load_all(&l);

	if (r == -ENODATA)
		r = bad(&l, "the file ends too early");
	if (r < 0)
		(void)snprintf(ret_error, error_size_bytes, "%s (at byte %llu)",
			l.why ? l.why : strerror(-r), (unsigned long long)l.offset);
	else
		r = restore(&l, ret_error, error_size_bytes);
	if (r == 0)
		*ret_stats = (struct mig_file_stats){
			.raw_bytes = gpa_space_size_bytes(l.ours.memory),
			.file_bytes = l.offset,
			.duration_ns = clock_mono_ns() - begun_ns,
		};
	load_fini(&l);
	return r;
}
