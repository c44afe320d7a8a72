/* SPDX-License-Identifier: MIT
 *
 * boot_elf.c - an ELF kernel into guest RAM: with a PVH note or, without, Linux's own vmlinux,
 * whose ELF entry is a physical address and follows the 64-bit boot protocol.
 */
#include "node/hv/boot.h"

#include <elf.h>
#include <string.h>

#define MAX_SEGMENTS   64
#define MAX_NOTE_BYTES 65536

#define NOTE_NAME            "Xen" /* with its terminator */
#define NOTE_PHYS32_ENTRY    18
#define NOTE_ENTRY_MAX_BYTES 8

/* What a vmlinux has no header to say: the oldest version of the protocol with a 64-bit entry. */
#define VMLINUX_PROTOCOL_VERSION 0x020c
#define VMLINUX_ALIGNMENT        0x200000
#define VMLINUX_INITRD_MAX       0x7fffffff
#define BOOT_FLAG                0xaa55
#define HEADER_MAGIC             0x53726448 /* "HdrS" */

struct image {
	struct image_file *file;
	Elf64_Ehdr header;
	Elf64_Phdr segments[MAX_SEGMENTS];
};

static int read_headers(struct image *image)
{
	const Elf64_Ehdr *header = &image->header;
	int r = image_read(image->file, &image->header, sizeof(image->header), 0);

	if (r < 0)
		return r;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return image_refuse(image->file, "the file is not ELF");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
		header->e_machine != EM_X86_64)
		return image_refuse(image->file, "the file is not for 64-bit x86");
	if (header->e_type != ET_EXEC)
		return image_refuse(image->file, "the file is not a static executable");
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
		header->e_phnum > MAX_SEGMENTS)
		return image_refuse(image->file, "the program header table makes no sense");
	return image_read(image->file, image->segments, header->e_phnum * sizeof(Elf64_Phdr),
		header->e_phoff);
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

static bool is_loaded(const Elf64_Phdr *segment)
{
	return segment->p_type == PT_LOAD && segment->p_memsz > 0;
}

static int check_segment(struct image *image, struct gpa_space *memory, unsigned index)
{
	const Elf64_Phdr *segment = &image->segments[index];
	uint64_t end;

	if (segment->p_filesz > segment->p_memsz)
		return image_refuse(
			image->file, "a segment has more bytes in the file than in memory");
	if (__builtin_add_overflow(segment->p_paddr, segment->p_memsz, &end) ||
		!gpa_window(memory, gpa(segment->p_paddr), segment->p_memsz))
		return image_refuse(image->file, "a segment is outside the RAM of the partition");
	if (segment->p_paddr < BOOT_RESERVED_END_GPA ||
		overlap(segment->p_paddr, segment->p_memsz, BOOT_ACPI_GPA,
			BOOT_HOLE_END_GPA - BOOT_ACPI_GPA))
		return image_refuse(image->file, "a segment covers the start-of-day pages");
	for (unsigned i = 0; i < index; i++) {
		const Elf64_Phdr *other = &image->segments[i];

		if (is_loaded(other) &&
			overlap(segment->p_paddr, segment->p_memsz, other->p_paddr, other->p_memsz))
			return image_refuse(image->file, "two segments overlap");
	}
	return 0;
}

static int load_segment(struct image *image, struct gpa_space *memory, const Elf64_Phdr *segment)
{
	gpa_t at = gpa(segment->p_paddr);
	uint8_t *to = gpa_window(memory, at, segment->p_memsz);
	int r = image_read(image->file, to, segment->p_filesz, segment->p_offset);

	if (r < 0)
		return r;
	memset(to + segment->p_filesz, 0, segment->p_memsz - segment->p_filesz);
	gpa_mark_dirty(memory, at, segment->p_memsz);
	return 0;
}

/* One note of `segment`, which starts at *at: is it the entry? Steps *at to the next note. */
static bool note_is_entry(
	const uint8_t *bytes, size_t size_bytes, uint64_t align, size_t *at, uint64_t *ret_entry)
{
	size_t left = size_bytes - *at;
	uint64_t name_bytes, desc_bytes, desc_at, end;
	Elf64_Nhdr note;

	memcpy(&note, bytes + *at, sizeof(note));
	name_bytes = note.n_namesz;
	desc_bytes = note.n_descsz;
	desc_at = ALIGN_UP(sizeof(note) + name_bytes, align);
	end = desc_at + desc_bytes;
	if (end > left) {
		*at = size_bytes;
		return false;
	}
	bytes += *at;
	*at += MIN(ALIGN_UP(end, align), (uint64_t)left);
	if (note.n_type != NOTE_PHYS32_ENTRY || name_bytes != sizeof(NOTE_NAME) ||
		memcmp(bytes + sizeof(note), NOTE_NAME, sizeof(NOTE_NAME)) != 0 ||
		(desc_bytes != sizeof(uint32_t) && desc_bytes != NOTE_ENTRY_MAX_BYTES))
		return false;
	*ret_entry = 0;
	memcpy(ret_entry, bytes + desc_at, desc_bytes);
	return true;
}

static int find_entry_in(struct image *image, const Elf64_Phdr *segment, uint64_t *ret_entry)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	/* Some linkers align the notes of 64-bit files to 8. */
	uint64_t align = segment->p_align == 8 ? 8 : 4;
	size_t at = 0;
	int r;

	if (segment->p_filesz > MAX_NOTE_BYTES)
		return image_refuse(image->file, "the notes are too large");
	bytes = malloc(segment->p_filesz + 1);
	if (!bytes)
		return -ENOMEM;
	r = image_read(image->file, bytes, segment->p_filesz, segment->p_offset);
	if (r < 0)
		return r;
	while (segment->p_filesz - at >= sizeof(Elf64_Nhdr)) {
		if (note_is_entry(bytes, segment->p_filesz, align, &at, ret_entry))
			return 0;
	}
	return -ENOENT;
}

static int find_pvh_entry(struct image *image, uint64_t *ret_entry)
{
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		int r = -ENOENT;

		if (image->segments[i].p_type == PT_NOTE)
			r = find_entry_in(image, &image->segments[i], ret_entry);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

static int find_entry(struct image *image, struct boot_kernel *kernel)
{
	int r = find_pvh_entry(image, &kernel->entry);

	if (r != -ENOENT)
		return r;
	kernel->protocol = BOOT_LINUX64;
	kernel->entry = image->header.e_entry;
	kernel->header = (struct setup_header){
		.boot_flag = BOOT_FLAG,
		.header = HEADER_MAGIC,
		.version = VMLINUX_PROTOCOL_VERSION,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = VMLINUX_INITRD_MAX,
		.kernel_alignment = VMLINUX_ALIGNMENT,
		.cmdline_size = BOOT_CMDLINE_MAX_BYTES - 1,
	};
	kernel->initrd_end = VMLINUX_INITRD_MAX + 1ULL;
	return 0;
}

static int check_entry(struct image *image, uint64_t entry)
{
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (is_loaded(segment) && entry >= segment->p_paddr &&
			entry - segment->p_paddr < segment->p_filesz && entry <= UINT32_MAX)
			return 0;
	}
	return image_refuse(image->file, "the entry is outside the segments");
}

/* Where the segments of low RAM end. */
static uint64_t low_end(const struct image *image, const struct gpa_space *memory)
{
	uint64_t low_bytes = gpa_space_region(memory, 0)->size_bytes, end = BOOT_HOLE_END_GPA;

	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (is_loaded(segment) && segment->p_paddr < low_bytes)
			end = MAX(end, segment->p_paddr + segment->p_memsz);
	}
	return end;
}

static int load(struct image *image, struct gpa_space *memory, struct boot_kernel *kernel)
{
	int r = read_headers(image);

	if (r == 0)
		r = find_entry(image, kernel);
	if (r == 0)
		r = check_entry(image, kernel->entry);
	for (unsigned i = 0; r == 0 && i < image->header.e_phnum; i++) {
		if (is_loaded(&image->segments[i]))
			r = check_segment(image, memory, i);
	}
	for (unsigned i = 0; r == 0 && i < image->header.e_phnum; i++) {
		if (is_loaded(&image->segments[i]))
			r = load_segment(image, memory, &image->segments[i]);
	}
	if (r == 0)
		kernel->end = low_end(image, memory);
	return r;
}

int boot_load_elf(struct gpa_space *memory, struct image_file *file, struct boot_kernel *ret_kernel)
{
	_cleanup_free_ struct image *image = calloc(1, sizeof(*image));
	struct boot_kernel kernel = {
		.protocol = BOOT_PVH,
		.initrd_end = 1ULL << 32,
		.cmdline_max_bytes = BOOT_CMDLINE_MAX_BYTES,
	};
	int r;

	if (!image)
		return -ENOMEM;
	image->file = file;
	r = load(image, memory, &kernel);
	if (r == 0)
		*ret_kernel = kernel;
	return r;
}
