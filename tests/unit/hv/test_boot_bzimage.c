/* SPDX-License-Identifier: MIT
 *
 * test_boot_bzimage.c - bzImages and initial RAM disks that are good and that are not.
 */
#include "base/bytes.h"
#include "node/hv/boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#define RAM_BYTES    (24ULL << 20)
#define SETUP_BYTES  (3 * 512) /* two sectors and the first */
#define KERNEL_BYTES 0x1000
#define FILE_BYTES   (SETUP_BYTES + KERNEL_BYTES)
#define PREFERRED    (16ULL << 20)
#define INIT_BYTES   (2U << 20)

struct world {
	uint8_t *ram;
	struct gpa_space *memory;
	uint8_t file[FILE_BYTES];
	size_t file_bytes;
	struct boot_kernel kernel;
	struct boot_initrd initrd;
	const char *why;
};

static struct setup_header *header_of(struct world *w)
{
	return (void *)(w->file + offsetof(struct boot_params, hdr));
}

static void make_good(struct world *w)
{
	memset(w->file, 0, FILE_BYTES);
	memset(w->file + SETUP_BYTES, 0xc3, KERNEL_BYTES);
	*header_of(w) = (struct setup_header){
		.setup_sects = 2,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = PREFERRED,
		.init_size = INIT_BYTES,
	};
	w->file_bytes = FILE_BYTES;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->ram = aligned_alloc(GPA_PAGE_SIZE, RAM_BYTES);
	assert_non_null(w->ram);
	memset(w->ram, 0x5a, RAM_BYTES);
	assert_int_equal(gpa_space_new(&w->memory), 0);
	assert_int_equal(gpa_space_add(w->memory, gpa(0), RAM_BYTES, w->ram), 0);
	make_good(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	gpa_space_free(w->memory);
	free(w->ram);
	free(w);
	return 0;
}

static int file_with(const void *bytes, size_t size_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size_bytes), size_bytes);
	return fd;
}

static int load(struct world *w)
{
	struct image_file file = {.fd = file_with(w->file, w->file_bytes)};
	int r = boot_load_kernel(w->memory, &file, &w->kernel);

	w->why = file.why;
	close(file.fd);
	return r;
}

static void refused(struct world *w, const char *why)
{
	assert_int_equal(load(w), -ENOEXEC);
	assert_non_null(w->why);
	if (!strstr(w->why, why))
		fail_msg("refused because %s, not because of %s", w->why, why);
	for (size_t i = 0; i < RAM_BYTES; i += GPA_PAGE_SIZE)
		assert_int_equal(w->ram[i], 0x5a);
	make_good(w);
}

static void good_image_goes_where_it_likes(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w), 0);
	assert_int_equal(w->kernel.protocol, BOOT_LINUX64);
	assert_int_equal(w->kernel.entry, PREFERRED + 0x200);
	assert_int_equal(w->kernel.end, PREFERRED + INIT_BYTES);
	assert_int_equal(w->kernel.cmdline_max_bytes, 2048);
	assert_true(w->kernel.initrd_end == 0x80000000);
	assert_int_equal(w->ram[PREFERRED], 0xc3);
	assert_int_equal(w->ram[PREFERRED + KERNEL_BYTES], 0x5a);
	assert_true(gpa_space_region(w->memory, 0)->dirty[PREFERRED / GPA_PAGE_SIZE / 64] & 1);
}

static void it_is_moved_where_it_does_not_fit(void **state)
{
	struct world *w = *state;

	header_of(w)->pref_address = RAM_BYTES - INIT_BYTES + 1;
	assert_int_equal(load(w), 0);
	assert_int_equal(w->kernel.entry, 0x200000 + 0x200);
	header_of(w)->pref_address = 0x1000;
	assert_int_equal(load(w), 0);
	assert_int_equal(w->kernel.entry, 0x200000 + 0x200);
	header_of(w)->pref_address = UINT64_MAX;
	assert_int_equal(load(w), 0);
	assert_int_equal(w->kernel.entry, 0x200000 + 0x200);
}

static void a_header_without_sectors_has_four(void **state)
{
	struct world *w = *state;

	header_of(w)->setup_sects = 0;
	w->file[5 * 512] = 0x90;
	assert_int_equal(load(w), 0);
	assert_int_equal(w->ram[PREFERRED], 0x90);
}

static void other_files_are_refused(void **state)
{
	struct world *w = *state;

	header_of(w)->boot_flag = 0;
	refused(w, "neither ELF nor");
	header_of(w)->header = 0;
	refused(w, "neither ELF nor");
	header_of(w)->version = 0x020b;
	refused(w, "older");
	header_of(w)->xloadflags = 0;
	refused(w, "64-bit entry");
	header_of(w)->jump = 0x10eb;
	refused(w, "too short");
}

static void what_does_not_fit_is_refused(void **state)
{
	struct world *w = *state;

	header_of(w)->init_size = KERNEL_BYTES - 1;
	refused(w, "larger than it says");
	header_of(w)->init_size = UINT32_MAX;
	refused(w, "does not fit");
	header_of(w)->init_size = RAM_BYTES;
	refused(w, "does not fit");
	header_of(w)->pref_address = RAM_BYTES;
	header_of(w)->relocatable_kernel = 0;
	refused(w, "does not fit");
	header_of(w)->pref_address = RAM_BYTES;
	header_of(w)->kernel_alignment = 0;
	refused(w, "does not fit");
	header_of(w)->pref_address = RAM_BYTES;
	header_of(w)->kernel_alignment = 0x300000;
	refused(w, "does not fit");
	header_of(w)->pref_address = RAM_BYTES;
	header_of(w)->kernel_alignment = 0x80000000;
	refused(w, "does not fit");
	header_of(w)->setup_sects = 255;
	refused(w, "truncated");
}

static void every_truncation_is_refused(void **state)
{
	struct world *w = *state;

	for (w->file_bytes = 0; w->file_bytes <= SETUP_BYTES + 0x200; w->file_bytes++) {
		assert_int_equal(load(w), -ENOEXEC);
		assert_non_null(w->why);
	}
}

static int load_initrd(struct world *w, size_t size_bytes)
{
	uint8_t *bytes = calloc(1, size_bytes + 1);
	struct image_file file;
	int r;

	assert_non_null(bytes);
	memset(bytes, 0xd1, size_bytes);
	file = (struct image_file){.fd = file_with(bytes, size_bytes)};
	r = boot_load_initrd(w->memory, &w->kernel, &file, &w->initrd);
	w->why = file.why;
	close(file.fd);
	free(bytes);
	return r;
}

static void initrd_lies_as_high_as_it_may(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w), 0);
	assert_int_equal(load_initrd(w, 5000), 0);
	assert_int_equal(w->initrd.base, RAM_BYTES - 0x2000);
	assert_int_equal(w->initrd.size_bytes, 5000);
	assert_int_equal(w->ram[w->initrd.base], 0xd1);
	assert_int_equal(w->ram[w->initrd.base + 4999], 0xd1);
	assert_int_equal(w->ram[w->initrd.base + 5000], 0x5a);
	w->kernel.initrd_end = 20 << 20;
	assert_int_equal(load_initrd(w, 5000), 0);
	assert_int_equal(w->initrd.base, (20 << 20) - 0x2000);
}

static void initrd_must_not_meet_the_kernel(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w), 0);
	assert_int_equal(load_initrd(w, RAM_BYTES - PREFERRED - INIT_BYTES), 0);
	assert_int_equal(w->initrd.base, w->kernel.end);
	assert_int_equal(load_initrd(w, RAM_BYTES - PREFERRED - INIT_BYTES + 1), -ENOEXEC);
	assert_non_null(strstr(w->why, "does not fit"));
	w->kernel.initrd_end = w->kernel.end - 1;
	assert_int_equal(load_initrd(w, 1), -ENOEXEC);
	w->kernel.initrd_end = w->kernel.end + 100; /* the page begins in the kernel */
	w->kernel.end += 50;
	assert_int_equal(load_initrd(w, 10), -ENOEXEC);
	assert_int_equal(load_initrd(w, 0), -ENOEXEC);
	assert_non_null(strstr(w->why, "empty"));
}

static void only_regular_files_will_do(void **state)
{
	struct world *w = *state;
	struct image_file file = {.fd = -1};
	int ends[2];

	assert_int_equal(boot_load_kernel(w->memory, &file, &w->kernel), -EBADF);
	assert_non_null(file.why);
	assert_int_equal(load(w), 0);
	assert_int_equal(pipe(ends), 0);
	file.fd = ends[0];
	assert_int_equal(boot_load_initrd(w->memory, &w->kernel, &file, &w->initrd), -ENOEXEC);
	assert_non_null(strstr(file.why, "regular"));
	close(ends[0]);
	close(ends[1]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_image_goes_where_it_likes),
		TEST(it_is_moved_where_it_does_not_fit),
		TEST(a_header_without_sectors_has_four),
		TEST(other_files_are_refused),
		TEST(what_does_not_fit_is_refused),
		TEST(every_truncation_is_refused),
		TEST(initrd_lies_as_high_as_it_may),
		TEST(initrd_must_not_meet_the_kernel),
		TEST(only_regular_files_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
