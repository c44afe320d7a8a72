/* SPDX-License-Identifier: MIT
 *
 * fuzz_mig.h - what the two fuzz targets of migrate/ share: a small VM, and steps that write frames
 * and chunks. The input says what they contain; the checksums are made right unless it says
 * otherwise, or no input would ever get past them.
 */
#ifndef VIADUCT_TESTS_FUZZ_MIG_H
#define VIADUCT_TESTS_FUZZ_MIG_H

#include "base/bytes.h"
#include "migrate/crc32c.h"
#include "migrate/manifest.h"
#include "migrate/stream.h"

#define FUZZ_LOW_PAGES  24
#define FUZZ_HIGH_PAGES 8
#define FUZZ_HIGH_PFN   0x100000

enum fuzz_step {
	STEP_MANIFEST, /* the right one */
	STEP_FRAME,    /* type u8, size le16, payload */
	STEP_CHUNK,    /* spoil u8, header without checksums, runs, payload */
	STEP_BYTES,    /* size u8, bytes */
	STEP_COMMON_END,
};

struct fuzz_vm {
	struct gpa_space *memory;
	void *low, *high;
};

static inline void fuzz_check(bool ok)
{
	if (!ok)
		abort();
}

static inline void *fuzz_pages(size_t n_pages)
{
	void *at = aligned_alloc(GPA_PAGE_SIZE, n_pages * GPA_PAGE_SIZE);

	fuzz_check(at);
	memset(at, 0, n_pages * GPA_PAGE_SIZE);
	return at;
}

static inline void fuzz_vm_init(struct fuzz_vm *vm)
{
	vm->low = fuzz_pages(FUZZ_LOW_PAGES);
	vm->high = fuzz_pages(FUZZ_HIGH_PAGES);
	fuzz_check(gpa_space_new(&vm->memory) == 0);
	fuzz_check(gpa_space_add(vm->memory, gpa(0), FUZZ_LOW_PAGES * GPA_PAGE_SIZE, vm->low) == 0);
	fuzz_check(gpa_space_add(vm->memory, gpa_from_pfn(FUZZ_HIGH_PFN),
			   FUZZ_HIGH_PAGES * GPA_PAGE_SIZE, vm->high) == 0);
}

static inline void fuzz_vm_fini(struct fuzz_vm *vm)
{
	gpa_space_free(vm->memory);
	free(vm->low);
	free(vm->high);
}

static inline struct manifest fuzz_manifest(const struct fuzz_vm *vm)
{
	return (struct manifest){.vm_name = "vm1", .cpuid_digest = 99, .memory = vm->memory};
}

static inline void fuzz_put_frame(
	struct buf *out, uint16_t type, const void *payload, size_t size_bytes)
{
	struct mig_frame_header header;

	frame_header_encode(type, payload, size_bytes, NULL, 0, &header);
	buf_bytes(out, &header, sizeof(header));
	buf_bytes(out, payload, size_bytes);
}

static inline void fuzz_put_manifest(struct buf *out, const struct fuzz_vm *vm)
{
	struct manifest ours = fuzz_manifest(vm);
	struct buf text = {0};

	manifest_encode(&ours, &text);
	fuzz_put_frame(out, MIG_FRAME_MANIFEST, text.data, text.size_bytes);
	buf_fini(&text);
}

/* At most what is left of the input. */
static inline const void *fuzz_take(struct reader *in, size_t want_bytes, size_t *ret_bytes)
{
	*ret_bytes = MIN(want_bytes, in->left_bytes);
	return reader_take(in, *ret_bytes);
}

static inline void fuzz_put_chunk(struct buf *out, struct reader *in)
{
	uint8_t spoil = reader_u8(in);
	size_t runs_bytes, payload_bytes;
	struct mig_chunk_header header;
	const void *runs, *payload;
	uint32_t crc;

	reader_bytes(in, &header, offsetof(struct mig_chunk_header, payload_crc));
	runs = fuzz_take(in, le16toh(header.n_runs) * sizeof(struct mig_run), &runs_bytes);
	payload = fuzz_take(in, le32toh(header.payload_bytes), &payload_bytes);
	crc = payload_bytes ? crc32c_striped(payload, payload_bytes) : 0;
	header.payload_crc = htole32(crc ^ (spoil & 1));
	crc = crc32c(0, &header, offsetof(struct mig_chunk_header, head_crc));
	header.head_crc = htole32(crc32c(crc, runs, runs_bytes) ^ (spoil & 2));
	buf_bytes(out, &header, sizeof(header));
	buf_bytes(out, runs, runs_bytes);
	buf_bytes(out, payload, payload_bytes);
}

/* One of the steps above; false for others. */
static inline bool fuzz_step(
	struct buf *out, struct reader *in, const struct fuzz_vm *vm, uint8_t step)
{
	const void *bytes;
	size_t n;
	uint16_t type;

	switch (step) {
	case STEP_MANIFEST:
		fuzz_put_manifest(out, vm);
		return true;
	case STEP_FRAME:
		type = reader_u8(in);
		n = reader_le16(in);
		bytes = fuzz_take(in, n, &n);
		fuzz_put_frame(out, type, bytes, n);
		return true;
	case STEP_CHUNK:
		fuzz_put_chunk(out, in);
		return true;
	case STEP_BYTES:
		n = reader_u8(in);
		bytes = fuzz_take(in, n, &n);
		buf_bytes(out, bytes, n);
		return true;
	default:
		return false;
	}
}

#endif
