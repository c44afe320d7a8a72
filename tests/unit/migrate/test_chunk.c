/* SPDX-License-Identifier: MIT
 *
 * Chunks from page to page: encoder and decoder joined by a piece of memory, and every field of the
 * format bent in every way that matters.
 */
#include "migrate/crc32c.h"
#include "migrate/decode.h"
#include "migrate/encode.h"

#include "fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PAGES(n) ((n)*4096UL)

/* Both ends of the wire. */
struct wire {
	struct buf bytes;
	size_t at;
};

static int wire_write(
	void *data, struct iovec *iov, unsigned n_iov, size_t size_bytes, uint64_t *ret_cost_ns)
{
	struct wire *w = data;
	size_t before = w->bytes.size_bytes;

	for (unsigned i = 0; i < n_iov; i++)
		buf_bytes(&w->bytes, iov[i].iov_base, iov[i].iov_len);
	assert_int_equal(w->bytes.size_bytes - before, size_bytes);
	*ret_cost_ns = 1000;
	return 0;
}

static int wire_read(void *data, struct iovec *iov, unsigned n_iov)
{
	struct wire *w = data;

	for (unsigned i = 0; i < n_iov; i++) {
		if (w->bytes.size_bytes - w->at < iov[i].iov_len)
			return -ECONNRESET;
		memcpy(iov[i].iov_base, w->bytes.data + w->at, iov[i].iov_len);
		w->at += iov[i].iov_len;
	}
	return 0;
}

/* The whole memory of `vm` as one round. */
static void encode_all(
	struct fake_vm *vm, enum codec_policy policy, uint32_t round, struct wire *ret_wire)
{
	struct encoder e;

	*ret_wire = (struct wire){0};
	assert_int_equal(encoder_init(&e, policy, wire_write, ret_wire), 0);
	encoder_round(&e, round, false);
	for (size_t i = 0; i < gpa_space_n_regions(vm->memory); i++) {
		const struct gpa_region *r = gpa_space_region(vm->memory, i);

		assert_int_equal(
			encoder_region(&e, r, NULL, 0, (uint32_t)(r->size_bytes / GPA_PAGE_SIZE)),
			0);
	}
	assert_int_equal(encoder_barrier(&e), 0);
	assert_int_equal(e.counts.sent_bytes, ret_wire->bytes.size_bytes);
	assert_int_equal((e.counts.n_zero + e.counts.n_lz4 + e.counts.n_raw) * GPA_PAGE_SIZE,
		gpa_space_size_bytes(vm->memory));
	encoder_fini(&e);
}

/* Chunks until the barrier or an error. */
static int decode_all(struct fake_vm *vm, struct wire *wire, uint32_t round, const char **ret_why)
{
	struct chunk chunk = {0};
	struct decoder d;
	int r;

	assert_int_equal(decode_prepare(vm->memory), 0);
	r = decoder_init(&d, vm->memory, wire_read, wire);
	while (r == 0 && chunk.kind != MIG_CHUNK_BARRIER)
		r = decoder_next(&d, round, &chunk, ret_why);
	if (r == 0)
		assert_int_equal(
			(d.counts.n_zero + d.counts.n_lz4 + d.counts.n_raw) * GPA_PAGE_SIZE,
			gpa_space_size_bytes(vm->memory));
	decoder_fini(&d);
	return r;
}

static void test_round_trip(void **state)
{
	(void)state;
	for (enum codec_policy policy = CODEC_RAW; policy <= CODEC_LZ4; policy++) {
		for (enum fake_content content = FAKE_ZEROS; content <= FAKE_MIXED; content++) {
			struct fake_vm a, b;
			struct wire wire;
			const char *why;

			fake_vm_init(&a, PAGES(700), PAGES(65));
			fake_vm_init(&b, PAGES(700), PAGES(65));
			fake_vm_fill(&a, content, 6);
			encode_all(&a, policy, 3, &wire);
			assert_int_equal(decode_all(&b, &wire, 3, &why), 0);
			assert_int_equal(wire.at, wire.bytes.size_bytes);
			assert_true(fake_vm_equal(&a, &b));
			buf_fini(&wire.bytes);
			fake_vm_fini(&a);
			fake_vm_fini(&b);
		}
	}
}

/* Nothing but two heads, however much memory there is. */
static void test_zeros_cost_nothing(void **state)
{
	struct fake_vm a;
	struct wire wire;

	(void)state;
	fake_vm_init(&a, PAGES(5000), PAGES(3000));
	encode_all(&a, CODEC_ADAPTIVE, 0, &wire);
	assert_int_equal(wire.bytes.size_bytes,
		2 * sizeof(struct mig_chunk_header) + 2 * sizeof(struct mig_run));
	buf_fini(&wire.bytes);
	fake_vm_fini(&a);
}

/* Zeros for pages that were never written leave them untouched, and clear those that were. */
static void test_zeros_clear_what_was_written(void **state)
{
	struct fake_vm a, b;
	struct wire wire;
	const char *why;

	(void)state;
	fake_vm_init(&a, PAGES(200), 0);
	fake_vm_init(&b, PAGES(200), 0);
	memset(b.low + PAGES(63), 1, PAGES(3));
	memset(b.low + PAGES(199), 1, 1);
	encode_all(&a, CODEC_RAW, 0, &wire);
	assert_int_equal(decode_all(&b, &wire, 0, &why), 0);
	assert_true(fake_vm_equal(&a, &b));
	buf_fini(&wire.bytes);
	fake_vm_fini(&a);
	fake_vm_fini(&b);
}

static void test_append(void **state)
{
	struct chunk c;

	(void)state;
	chunk_start(&c, MIG_CHUNK_RAW, 1);
	for (uint32_t i = 0; i < MIG_CHUNK_MAX_RUNS; i++)
		assert_true(chunk_append(&c, i * 2, 1));
	assert_int_equal(c.n_runs, MIG_CHUNK_MAX_RUNS);
	assert_false(chunk_append(&c, 1000, 1));
	assert_false(
		chunk_append(&c, MIG_CHUNK_MAX_RUNS * 2 - 1, 1)); /* would be contiguous, is full */

	chunk_start(&c, MIG_CHUNK_ZERO, 1);
	assert_true(chunk_append(&c, 100, 5));
	assert_true(chunk_append(&c, 105, 1000000));
	assert_int_equal(c.n_runs, 1);
	assert_false(chunk_append(&c, 99, 1));  /* backwards */
	assert_false(chunk_append(&c, 104, 1)); /* again */
	assert_false(chunk_append(&c, 2000000000, UINT32_MAX));
	assert_true(chunk_append(&c, UINT32_MAX, 1));
	assert_false(chunk_append(&c, 0, 1));
}

/* One valid chunk at the start of a wire, to be bent. */
struct bent {
	struct mig_chunk_header header;
	struct mig_run runs[MIG_CHUNK_MAX_RUNS + 1];
	uint8_t payload[PAGES(64)];
	size_t payload_bytes;
};

static void bent_init(struct bent *b, uint8_t kind)
{
	memset(b, 0, sizeof(*b));
	memset(b->payload, 0x5a, sizeof(b->payload));
	b->header.kind = kind;
	b->header.n_runs = 2;
	b->header.n_pages = 3;
	b->runs[0] = (struct mig_run){.first_pfn = 4, .n_pages = 1};
	b->runs[1] = (struct mig_run){.first_pfn = 10, .n_pages = 2};
	b->payload_bytes = kind == MIG_CHUNK_RAW ? PAGES(3) : kind == MIG_CHUNK_LZ4 ? 100 : 0;
	b->header.payload_bytes = (uint32_t)b->payload_bytes;
	b->header.payload_crc = crc32c_striped(b->payload, b->payload_bytes);
}

/* With valid checksums over whatever it says now. */
static int bent_decode(struct bent *b, const char **ret_why)
{
	size_t runs_bytes =
		MIN(b->header.n_runs, (uint16_t)ARRAY_LEN(b->runs)) * sizeof(b->runs[0]);
	struct fake_vm vm;
	struct chunk chunk;
	struct decoder d;
	struct wire wire = {0};
	uint32_t crc = crc32c(0, &b->header, offsetof(struct mig_chunk_header, head_crc));
	int r;

	b->header.head_crc = crc32c(crc, b->runs, runs_bytes);
	buf_bytes(&wire.bytes, &b->header, sizeof(b->header));
	buf_bytes(&wire.bytes, b->runs, runs_bytes);
	buf_bytes(&wire.bytes, b->payload, b->payload_bytes);
	fake_vm_init(&vm, PAGES(32), PAGES(8));
	assert_int_equal(decoder_init(&d, vm.memory, wire_read, &wire), 0);
	*ret_why = NULL;
	r = decoder_next(&d, 0, &chunk, ret_why);
	if (r < 0)
		assert_non_null(*ret_why);
	decoder_fini(&d);
	buf_fini(&wire.bytes);
	fake_vm_fini(&vm);
	return r;
}

static void test_bent_headers(void **state)
{
	static const struct {
		uint8_t kind;
		struct mig_chunk_header header; /* differs where not 0 */
		bool clear_runs, clear_pages, clear_payload;
	} rows[] = {
		{MIG_CHUNK_RAW, {.round = 1}},
		{MIG_CHUNK_RAW, {.round = UINT32_MAX}},
		{MIG_CHUNK_RAW, {.kind = 77}},
		{MIG_CHUNK_RAW, {.reserved = 1}},
		{MIG_CHUNK_RAW, {.n_runs = MIG_CHUNK_MAX_RUNS + 1}},
		{MIG_CHUNK_RAW, {.n_runs = UINT16_MAX}},
		{MIG_CHUNK_RAW, {.n_runs = 1}},
		{MIG_CHUNK_RAW, {.n_runs = 3}},
		{MIG_CHUNK_RAW, {0}, .clear_runs = true},
		{MIG_CHUNK_RAW, {0}, .clear_pages = true},
		{MIG_CHUNK_RAW, {0}, .clear_payload = true},
		{MIG_CHUNK_RAW, {.n_pages = 2}},
		{MIG_CHUNK_RAW, {.n_pages = MIG_CHUNK_MAX_PAGES + 1}},
		{MIG_CHUNK_RAW, {.n_pages = UINT32_MAX}},
		{MIG_CHUNK_RAW, {.payload_bytes = 3 * 4096 - 1}},
		{MIG_CHUNK_RAW, {.payload_bytes = UINT32_MAX}},
		{MIG_CHUNK_RAW, {.payload_crc = 1}},
		{MIG_CHUNK_ZERO, {.payload_bytes = 1}},
		{MIG_CHUNK_ZERO, {.n_pages = UINT32_MAX}},
		{MIG_CHUNK_ZERO, {0}, .clear_runs = true},
		{MIG_CHUNK_LZ4, {.payload_bytes = 3 * 4096}},
		{MIG_CHUNK_LZ4, {.payload_bytes = UINT32_MAX}},
		{MIG_CHUNK_LZ4, {0}, .clear_payload = true},
		{MIG_CHUNK_LZ4, {.n_pages = MIG_CHUNK_MAX_PAGES + 1}},
		{MIG_CHUNK_LZ4, {0}}, /* 100 bytes that are no LZ4 block */
		{MIG_CHUNK_BARRIER, {0}},
		{MIG_CHUNK_BARRIER, {0}, .clear_runs = true},
		{MIG_CHUNK_BARRIER, {0}, .clear_pages = true},
	};
	static struct bent b;
	const char *why;

	(void)state;
	bent_init(&b, MIG_CHUNK_RAW);
	assert_int_equal(bent_decode(&b, &why), 0);
	bent_init(&b, MIG_CHUNK_ZERO);
	assert_int_equal(bent_decode(&b, &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t *from = (uint8_t *)&rows[i].header, *to = (uint8_t *)&b.header;

		bent_init(&b, rows[i].kind);
		for (size_t at = 0; at < sizeof(b.header); at++)
			to[at] = from[at] ? from[at] : to[at];
		if (rows[i].clear_runs)
			b.header.n_runs = 0;
		if (rows[i].clear_pages)
			b.header.n_pages = 0;
		if (rows[i].clear_payload)
			b.header.payload_bytes = 0;
		assert_int_equal(bent_decode(&b, &why), -EBADMSG);
	}
}

static void test_bent_runs(void **state)
{
	static const struct mig_run rows[][2] = {
		{{4, 1}, {4, 2}},              /* twice */
		{{10, 1}, {4, 2}},             /* backwards */
		{{4, 2}, {5, 1}},              /* overlap */
		{{4, 0}, {10, 3}},             /* empty */
		{{4, 1}, {10, 1}},             /* less than the sum */
		{{4, 1}, {10, 3}},             /* more */
		{{4, UINT32_MAX}, {5, 4}},     /* a sum that wraps */
		{{30, 1}, {31, 2}},            /* over the end of the region */
		{{32, 1}, {33, 2}},            /* behind it */
		{{4, 1}, {(4U << 18) - 1, 2}}, /* into the high region from below */
		{{4, 1}, {(4U << 18) + 7, 2}}, /* over its end */
		{{4, 1}, {UINT32_MAX, 2}},     /* over the end of everything */
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (uint8_t kind = MIG_CHUNK_RAW; kind <= MIG_CHUNK_ZERO; kind++) {
			static struct bent b;

			bent_init(&b, kind);
			memcpy(b.runs, rows[i], sizeof(rows[i]));
			assert_int_equal(bent_decode(&b, &why), -EBADMSG);
		}
	}
}

/* Every truncation is noticed, and every flipped bit. */
static void test_damaged_wires(void **state)
{
	struct fake_vm a, b;
	struct wire wire;
	const char *why;

	(void)state;
	fake_vm_init(&a, PAGES(6), 0);
	fake_vm_init(&b, PAGES(6), 0);
	fake_vm_fill(&a, FAKE_TEXT, 1);
	memset(a.low + PAGES(2), 0, PAGES(1));
	encode_all(&a, CODEC_LZ4, 0, &wire);
	for (size_t cut = 0; cut < wire.bytes.size_bytes; cut++) {
		struct wire shorter = wire;

		shorter.bytes.size_bytes = cut;
		assert_int_equal(decode_all(&b, &shorter, 0, &why), -ECONNRESET);
	}
	for (size_t bit = 0; bit < wire.bytes.size_bytes * 8; bit += 3) {
		wire.bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		wire.at = 0;
		assert_true(decode_all(&b, &wire, 0, &why) < 0);
		wire.bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_fini(&wire.bytes);
	fake_vm_fini(&a);
	fake_vm_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_zeros_cost_nothing),
		cmocka_unit_test(test_zeros_clear_what_was_written),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_bent_headers),
		cmocka_unit_test(test_bent_runs),
		cmocka_unit_test(test_damaged_wires),
	};

	return cmocka_run_group_tests_name("chunks", tests, NULL, NULL);
}
