/* SPDX-License-Identifier: MIT
 *
 * Saved-state files: there and back, and every way in which a file can be wrong.
 */
#include "migrate/chunk.h"
#include "migrate/crc32c.h"
#include "migrate/stream.h"

#include "fake_vm.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define PAGES(n) ((n)*4096UL)
#define MIB      (1UL << 20)

static const struct mig_params params = {.vm_name = "vm1", .cpuid_digest = 77};

struct saved {
	struct fake_vm from, to;
	int fd;
	uint8_t *bytes; /* of the file */
	size_t size_bytes;
	char error[200];
};

static unsigned last_percent;

static void on_progress(unsigned percent, void *data)
{
	assert_ptr_equal(data, &last_percent);
	assert_true(percent >= last_percent && percent <= 100);
	last_percent = percent;
}

static void saved_init(struct saved *s, size_t low_bytes, size_t high_bytes,
	enum fake_content content, size_t state_bytes)
{
	struct mig_file_stats stats = {0};
	int r;

	*s = (struct saved){.fd = memfd_create("saved", MFD_CLOEXEC)};
	assert_true(s->fd >= 0);
	fake_vm_init(&s->from, low_bytes, high_bytes);
	fake_vm_init(&s->to, low_bytes, high_bytes);
	fake_vm_fill(&s->from, content, 4);
	fake_vm_set_state(&s->from, state_bytes, 5);
	last_percent = 0;
	r = mig_save_file(&params, &fake_vm_ops, &s->from, s->fd, on_progress, &last_percent,
		&stats, s->error, sizeof(s->error));
	assert_int_equal(r, 0);
	assert_int_equal(last_percent, 100);
	s->size_bytes = (size_t)lseek(s->fd, 0, SEEK_END);
	assert_int_equal(stats.file_bytes, s->size_bytes);
	assert_int_equal(stats.raw_bytes, low_bytes + high_bytes);
	s->bytes = malloc(s->size_bytes);
	assert_non_null(s->bytes);
	assert_int_equal(pread(s->fd, s->bytes, s->size_bytes, 0), s->size_bytes);
}

static void saved_fini(struct saved *s)
{
	free(s->bytes);
	close(s->fd);
	fake_vm_fini(&s->from);
	fake_vm_fini(&s->to);
}

/* Load what is in `bytes`, `size_bytes` of it. */
static int load_as(struct saved *s, size_t size_bytes, const struct mig_params *as)
{
	struct mig_file_stats stats;
	int r;

	assert_int_equal(ftruncate(s->fd, 0), 0);
	assert_int_equal(pwrite(s->fd, s->bytes, size_bytes, 0), size_bytes);
	assert_int_equal(lseek(s->fd, 0, SEEK_SET), 0);
	s->error[0] = '\0';
	s->to.n_restore = 0;
	r = mig_load_file(as, &fake_vm_ops, &s->to, s->fd, &stats, s->error, sizeof(s->error));
	if (r < 0) {
		assert_true(s->error[0] != '\0');
		assert_int_equal(s->to.n_restore, s->to.fail_restore ? 1 : 0);
	} else {
		assert_int_equal(stats.file_bytes, size_bytes);
		assert_int_equal(s->to.n_restore, 1);
	}
	return r;
}

static int load(struct saved *s, size_t size_bytes)
{
	return load_as(s, size_bytes, &params);
}

static void test_round_trip(void **state)
{
	static const size_t state_sizes[] = {0, 1, 5000, 2 * MIB + 1};

	(void)state;
	for (enum fake_content content = FAKE_ZEROS; content <= FAKE_MIXED; content++) {
		for (size_t i = 0; i < ARRAY_LEN(state_sizes); i++) {
			struct saved s;

			saved_init(&s, 3 * MIB, 1 * MIB, content, state_sizes[i]);
			assert_int_equal(load(&s, s.size_bytes), 0);
			assert_true(fake_vm_equal(&s.from, &s.to));
			if (content == FAKE_ZEROS)
				assert_true(s.size_bytes < state_sizes[i] + 5000);
			saved_fini(&s);
		}
	}
}

static void test_other_vm(void **state)
{
	struct mig_params other = params;
	struct saved s;

	(void)state;
	saved_init(&s, PAGES(10), 0, FAKE_TEXT, 10);
	other.vm_name = "vm2";
	assert_int_equal(load_as(&s, s.size_bytes, &other), -ESTALE);
	other = params;
	other.cpuid_digest++;
	assert_int_equal(load_as(&s, s.size_bytes, &other), -ENOTSUP);
	fake_vm_fini(&s.to);
	fake_vm_init(&s.to, PAGES(9), PAGES(1));
	assert_int_equal(load(&s, s.size_bytes), -EMSGSIZE);
	saved_fini(&s);
}

static void test_truncated_everywhere(void **state)
{
	struct saved s;

	(void)state;
	saved_init(&s, PAGES(5), PAGES(2), FAKE_TEXT, 100);
	for (size_t cut = 0; cut < s.size_bytes; cut++) {
		assert_int_equal(load(&s, cut), -EBADMSG);
		assert_non_null(strstr(s.error, "too early"));
	}
	assert_int_equal(load(&s, s.size_bytes), 0);
	saved_fini(&s);
}

static void test_flipped_bits(void **state)
{
	struct saved s;

	(void)state;
	saved_init(&s, PAGES(5), PAGES(2), FAKE_TEXT, 100);
	for (size_t bit = 0; bit < s.size_bytes * 8; bit += 9) {
		s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(load(&s, s.size_bytes) < 0);
		s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	saved_fini(&s);
}

static void test_something_behind_the_end(void **state)
{
	struct saved s;

	(void)state;
	saved_init(&s, PAGES(5), 0, FAKE_TEXT, 100);
	s.bytes = realloc(s.bytes, s.size_bytes + 1);
	s.bytes[s.size_bytes] = 0;
	assert_int_equal(load(&s, s.size_bytes + 1), -EBADMSG);
	saved_fini(&s);
}

/* The header of the frame at `at`, with its checksum made right again. */
static void reseal_frame(struct saved *s, size_t at)
{
	struct mig_frame_header header;

	memcpy(&header, s->bytes + at, sizeof(header));
	frame_header_encode(
		header.type, s->bytes + at + sizeof(header), header.size_bytes, NULL, 0, &header);
	memcpy(s->bytes + at, &header, sizeof(header));
}

static struct mig_file_end end_of(const struct saved *s)
{
	struct mig_file_end end;

	memcpy(&end, s->bytes + s->size_bytes - sizeof(end), sizeof(end));
	return end;
}

/* Valid checksums around invalid contents. */
static void test_contradictions(void **state)
{
	static const struct {
		enum { IN_PAGES, IN_STATE, IN_END } section;
		size_t at; /* after the section's first header */
		uint8_t flip;
	} rows[] = {
		{IN_STATE, 0, 1}, /* offset of the first part */
		{IN_END, offsetof(struct mig_file_end, pages_at), 1},
		{IN_END, offsetof(struct mig_file_end, state_at), 1},
		{IN_END, offsetof(struct mig_file_end, end_at) + 7, 1},
		{IN_END, offsetof(struct mig_file_end, sha256), 1},
		{IN_END, offsetof(struct mig_file_end, sha256) + 31, 0x80},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mig_file_end end;
		struct saved s;
		size_t at;

		saved_init(&s, PAGES(5), 0, FAKE_TEXT, 100);
		end = end_of(&s);
		at = rows[i].section == IN_STATE ? end.state_at : end.end_at;
		s.bytes[at + sizeof(struct mig_frame_header) + rows[i].at] ^= rows[i].flip;
		reseal_frame(&s, at);
		assert_int_equal(load(&s, s.size_bytes), -EBADMSG);
		saved_fini(&s);
	}
}

/* A page twice, a page missing: the first chunk's runs are moved by one. */
static void test_pages_twice_and_missing(void **state)
{
	(void)state;
	for (int missing = 0; missing <= 1; missing++) {
		struct mig_chunk_header header;
		struct mig_run runs[2];
		struct saved s;
		size_t at;

		saved_init(&s, PAGES(5), 0, FAKE_ZEROS, 0);
		/* The unit's stamp makes the last page data; zeros come in one run after it. */
		at = end_of(&s).pages_at;
		memcpy(&header, s.bytes + at, sizeof(header));
		at += sizeof(header) + header.n_runs * sizeof(runs[0]) + header.payload_bytes;
		memcpy(&header, s.bytes + at, sizeof(header));
		assert_int_equal(header.kind, MIG_CHUNK_ZERO);
		assert_int_equal(header.n_runs, 1);
		memcpy(runs, s.bytes + at + sizeof(header), sizeof(runs[0]));
		if (missing)
			header.n_pages = --runs[0].n_pages;
		else
			runs[0].first_pfn++;
		header.head_crc = crc32c(0, &header, offsetof(struct mig_chunk_header, head_crc));
		header.head_crc = crc32c(header.head_crc, runs, sizeof(runs[0]));
		memcpy(s.bytes + at, &header, sizeof(header));
		memcpy(s.bytes + at + sizeof(header), runs, sizeof(runs[0]));
		assert_int_equal(load(&s, s.size_bytes), -EBADMSG);
		assert_non_null(strstr(s.error, missing ? "missing" : "twice"));
		saved_fini(&s);
	}
}

static void test_failing_units(void **state)
{
	struct mig_file_stats stats;
	struct saved s;

	(void)state;
	saved_init(&s, PAGES(5), 0, FAKE_TEXT, 100);
	s.to.fail_restore = -EPROTONOSUPPORT;
	assert_int_equal(load(&s, s.size_bytes), -EPROTONOSUPPORT);
	assert_non_null(strstr(s.error, "fake.0"));
	s.from.fail_save = -EIO;
	assert_int_equal(mig_save_file(&params, &fake_vm_ops, &s.from, s.fd, NULL, NULL, &stats,
				 s.error, sizeof(s.error)),
		-EIO);
	saved_fini(&s);
}

static void test_unwritable_files(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), read_only = open("/dev/null", O_RDONLY);
	struct mig_file_stats stats;
	struct saved s;

	(void)state;
	saved_init(&s, PAGES(5), 0, FAKE_TEXT, 100);
	assert_int_equal(mig_save_file(&params, &fake_vm_ops, &s.from, read_only, NULL, NULL,
				 &stats, s.error, sizeof(s.error)),
		-EBADF);
	if (full >= 0) {
		assert_int_equal(mig_save_file(&params, &fake_vm_ops, &s.from, full, NULL, NULL,
					 &stats, s.error, sizeof(s.error)),
			-ENOSPC);
		assert_non_null(strstr(s.error, "cannot write the file"));
		close(full);
	}
	close(read_only);
	saved_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_other_vm),
		cmocka_unit_test(test_truncated_everywhere),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_something_behind_the_end),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_pages_twice_and_missing),
		cmocka_unit_test(test_failing_units),
		cmocka_unit_test(test_unwritable_files),
	};

	return cmocka_run_group_tests_name("saved VMs", tests, NULL, NULL);
}
