/* SPDX-License-Identifier: MIT
 *
 * test_boot_elf.c - ELF kernels that are good and that are not.
 */
#include "base/bytes.h"
#include "node/hv/boot.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#define RAM_BYTES (4ULL << 20)
#define LOAD_GPA  0x100000ULL
#define CODE      "\xf4\xeb\xfd"

/* A file with a note and two segments, to be damaged before it is loaded. */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3];
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint32_t entry;
	} note;
	char code[16];
	char data[16];
};

#define IMAGE_BYTES (offsetof(struct image, data) + 16) /* without the padding */

struct world {
	uint8_t *ram;
	struct gpa_space *memory;
	struct image image;
	size_t file_bytes;
	struct boot_kernel kernel;
	const char *why;
};

static struct image good_image(void)
{
	struct image image = {
		.header =
			{
				.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					ELFDATA2LSB},
				.e_type = ET_EXEC,
				.e_machine = EM_X86_64,
				.e_phoff = offsetof(struct image, segments),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = 3,
			},
		.segments =
			{
				{
					.p_type = PT_NOTE,
					.p_offset = offsetof(struct image, note),
					.p_filesz = sizeof(((struct image *)0)->note),
					.p_align = 4,
				},
				{
					.p_type = PT_LOAD,
					.p_offset = offsetof(struct image, code),
					.p_paddr = LOAD_GPA,
					.p_filesz = 16,
					.p_memsz = 16,
				},
				{
					.p_type = PT_LOAD,
					.p_offset = offsetof(struct image, data),
					.p_paddr = LOAD_GPA + 0x1000,
					.p_filesz = 16,
					.p_memsz = 0x3000,
				},
			},
		.note =
			{
				.header = {.n_namesz = 4, .n_descsz = 4, .n_type = 18},
				.name = "Xen",
				.entry = LOAD_GPA + 1,
			},
		.code = CODE,
		.data = "data",
	};

	return image;
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
	w->image = good_image();
	w->file_bytes = IMAGE_BYTES;
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

static int load(struct world *w)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct image_file file = {0};
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &w->image, w->file_bytes), w->file_bytes);
	file.fd = fd;
	r = boot_load_kernel(w->memory, &file, &w->kernel);
	w->why = file.why;
	close(fd);
	return r;
}

/* Must be refused with a reason that has `why` in it, and RAM stays as it was. */
static void refused(struct world *w, const char *why)
{
	assert_int_equal(load(w), -ENOEXEC);
	assert_non_null(w->why);
	if (!strstr(w->why, why))
		fail_msg("refused because %s, not because of %s", w->why, why);
	assert_int_equal(w->ram[LOAD_GPA], 0x5a);
	w->image = good_image();
}

static void good_image_is_loaded(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w), 0);
	assert_int_equal(w->kernel.protocol, BOOT_PVH);
	assert_int_equal(w->kernel.entry, LOAD_GPA + 1);
	assert_int_equal(w->kernel.end, LOAD_GPA + 0x4000);
	assert_true(w->kernel.initrd_end == 1ULL << 32);
	assert_memory_equal(w->ram + LOAD_GPA, CODE, 4);
	assert_int_equal(w->ram[LOAD_GPA + 16], 0x5a);
	assert_string_equal((char *)w->ram + LOAD_GPA + 0x1000, "data");
	/* Memory beyond the file's bytes is cleared. */
	for (size_t i = 16; i < 0x3000; i++)
		assert_int_equal(w->ram[LOAD_GPA + 0x1000 + i], 0);
	assert_int_equal(w->ram[LOAD_GPA + 0x4000], 0x5a);
	assert_true(gpa_space_region(w->memory, 0)->dirty[LOAD_GPA / GPA_PAGE_SIZE / 64] & 1);
}

static void other_files_are_refused(void **state)
{
	struct world *w = *state;

	w->image.header.e_ident[0] = '#';
	refused(w, "neither ELF");
	w->image.header.e_ident[EI_CLASS] = ELFCLASS32;
	refused(w, "64-bit x86");
	w->image.header.e_ident[EI_DATA] = ELFDATA2MSB;
	refused(w, "64-bit x86");
	w->image.header.e_machine = EM_AARCH64;
	refused(w, "64-bit x86");
	w->image.header.e_type = ET_DYN;
	refused(w, "static");
}

static void bad_tables_are_refused(void **state)
{
	struct world *w = *state;

	w->image.header.e_phnum = 0;
	refused(w, "table");
	w->image.header.e_phnum = 65535;
	refused(w, "table");
	w->image.header.e_phentsize = 1;
	refused(w, "table");
	w->image.header.e_phoff = UINT64_MAX - 3;
	refused(w, "beyond");
	w->image.header.e_phoff = INT64_MAX - 1000;
	refused(w, "truncated");
}

static void every_truncation_is_refused(void **state)
{
	struct world *w = *state;

	for (w->file_bytes = 0; w->file_bytes < IMAGE_BYTES; w->file_bytes++) {
		assert_int_equal(load(w), -ENOEXEC);
		assert_non_null(w->why);
	}
}

static void bad_segments_are_refused(void **state)
{
	struct world *w = *state;

	w->image.segments[1].p_paddr = RAM_BYTES;
	w->image.note.entry = RAM_BYTES;
	refused(w, "outside the RAM");
	w->image.segments[2].p_memsz = RAM_BYTES;
	refused(w, "outside the RAM");
	w->image.segments[2].p_memsz = UINT64_MAX;
	refused(w, "outside the RAM");
	w->image.segments[2].p_paddr = UINT64_MAX - 15;
	w->image.segments[2].p_memsz = 16;
	refused(w, "outside the RAM");
	w->image.segments[2].p_filesz = 0x3001;
	refused(w, "more bytes");
	w->image.segments[2].p_paddr = LOAD_GPA + 15;
	refused(w, "overlap");
	w->image.segments[1].p_paddr = LOAD_GPA + 0x3fff;
	w->image.note.entry = LOAD_GPA + 0x3fff;
	refused(w, "overlap");
	w->image.segments[2].p_paddr = BOOT_START_INFO_GPA - 16;
	refused(w, "start-of-day");
	w->image.segments[2].p_paddr = BOOT_CMDLINE_GPA;
	refused(w, "start-of-day");
	w->image.segments[2].p_paddr = BOOT_ACPI_GPA - 0x1000;
	refused(w, "start-of-day");
	w->image.segments[2].p_paddr = BOOT_HOLE_END_GPA - 1;
	refused(w, "start-of-day");
}

/* Loaded, and entered as a vmlinux. */
static void is_vmlinux(struct world *w)
{
	w->image.header.e_entry = LOAD_GPA + 2;
	assert_int_equal(load(w), 0);
	assert_int_equal(w->kernel.protocol, BOOT_LINUX64);
	assert_int_equal(w->kernel.entry, LOAD_GPA + 2);
	assert_int_equal(w->kernel.header.boot_flag, 0xaa55);
	w->image = good_image();
}

static void without_a_pvh_note_it_is_vmlinux(void **state)
{
	struct world *w = *state;

	w->image.note.header.n_type = 17;
	is_vmlinux(w);
	w->image.note.name[0] = 'x';
	is_vmlinux(w);
	w->image.note.header.n_namesz = UINT32_MAX;
	is_vmlinux(w);
	w->image.note.header.n_descsz = UINT32_MAX;
	is_vmlinux(w);
	w->image.note.header.n_descsz = 2;
	is_vmlinux(w);
	w->image.segments[0].p_type = PT_NULL;
	is_vmlinux(w);
	w->image.segments[0].p_filesz = 3;
	is_vmlinux(w);
}

static void bad_notes_and_entries_are_refused(void **state)
{
	struct world *w = *state;

	w->image.segments[0].p_filesz = 1 << 20;
	refused(w, "too large");
	w->image.segments[0].p_offset = UINT64_MAX;
	refused(w, "beyond");
	w->image.note.entry = LOAD_GPA - 1;
	refused(w, "entry is outside");
	w->image.note.entry = LOAD_GPA + 16;
	refused(w, "entry is outside");
	w->image.segments[0].p_type = PT_NULL;
	w->image.header.e_entry = 0;
	refused(w, "entry is outside");
	w->image.segments[0].p_type = PT_NULL;
	w->image.header.e_entry = 0xffffffff81000000;
	refused(w, "entry is outside");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_image_is_loaded),
		TEST(other_files_are_refused),
		TEST(bad_tables_are_refused),
		TEST(every_truncation_is_refused),
		TEST(bad_segments_are_refused),
		TEST(without_a_pvh_note_it_is_vmlinux),
		TEST(bad_notes_and_entries_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
