/* SPDX-License-Identifier: MIT
 *
 * pvh_elf.c - a PVH image into guest RAM. The file is hostile and may change while it is read:
 * headers are copied once, checked, and never looked at again; segment bytes mean nothing here.
 */
#include "node/hv/pvh.h"

#include <elf.h>
#include <string.h>

#define MAX_SEGMENTS   64
#define MAX_NOTE_BYTES 65536

#define NOTE_NAME            "Xen" /* with its terminator */
#define NOTE_PHYS32_ENTRY    18
#define NOTE_ENTRY_MAX_BYTES 8

struct image {
	int fd;
	Elf64_Ehdr header;
	Elf64_Phdr segments[MAX_SEGMENTS];
	const char *why;
};

static int refuse(struct image *image, const char *why)
{
	image->why = why;
	return -ENOEXEC;
}

static int read_all(struct image *image, void *ret_data, size_t size_bytes, uint64_t offset)
{
	uint8_t *at = ret_data;

	if (offset > INT64_MAX - size_bytes)
		return refuse(image, "an offset is beyond the end of the file");
	while (size_bytes) {
		ssize_t n = pread(image->fd, at, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			image->why = "the file cannot be read";
			return -errno;
		}
		if (n == 0)
			return refuse(image, "the file is truncated");
		at += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

static int read_headers(struct image *image)
{
	const Elf64_Ehdr *header = &image->header;
	int r = read_all(image, &image->header, sizeof(image->header), 0);

	if (r < 0)
		return r;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return refuse(image, "the file is not ELF");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
		header->e_machine != EM_X86_64)
		return refuse(image, "the file is not for 64-bit x86");
	if (header->e_type != ET_EXEC)
		return refuse(image, "the file is not a static executable");
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
		header->e_phnum > MAX_SEGMENTS)
		return refuse(image, "the program header table makes no sense");
	return read_all(
		image, image->segments, header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
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
		return refuse(image, "a segment has more bytes in the file than in memory");
	if (__builtin_add_overflow(segment->p_paddr, segment->p_memsz, &end) ||
		!gpa_window(memory, gpa(segment->p_paddr), segment->p_memsz))
		return refuse(image, "a segment is outside the RAM of the partition");
	if (segment->p_paddr < PVH_RESERVED_END_GPA)
		return refuse(image, "a segment covers the start-of-day pages");
	for (unsigned i = 0; i < index; i++) {
		const Elf64_Phdr *other = &image->segments[i];

		if (is_loaded(other) &&
			overlap(segment->p_paddr, segment->p_memsz, other->p_paddr, other->p_memsz))
			return refuse(image, "two segments overlap");
	}
	return 0;
}

static int load_segment(struct image *image, struct gpa_space *memory, const Elf64_Phdr *segment)
{
	gpa_t at = gpa(segment->p_paddr);
	uint8_t *to = gpa_window(memory, at, segment->p_memsz);
	int r = read_all(image, to, segment->p_filesz, segment->p_offset);

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
		return refuse(image, "the notes are too large");
	bytes = malloc(segment->p_filesz + 1);
	if (!bytes)
		return -ENOMEM;
	r = read_all(image, bytes, segment->p_filesz, segment->p_offset);
	if (r < 0)
		return r;
	while (segment->p_filesz - at >= sizeof(Elf64_Nhdr)) {
		if (note_is_entry(bytes, segment->p_filesz, align, &at, ret_entry))
			return 0;
	}
	return -ENOENT;
}

static int find_entry(struct image *image, uint64_t *ret_entry)
{
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		int r = -ENOENT;

		if (image->segments[i].p_type == PT_NOTE)
			r = find_entry_in(image, &image->segments[i], ret_entry);
		if (r != -ENOENT)
			return r;
	}
	return refuse(image, "the PVH entry note is missing");
}

static bool entry_is_loaded(const struct image *image, uint64_t entry)
{
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &image->segments[i];

		if (is_loaded(segment) && entry >= segment->p_paddr &&
			entry - segment->p_paddr < segment->p_filesz)
			return entry <= UINT32_MAX;
	}
	return false;
}

static int load(struct image *image, struct gpa_space *memory, uint32_t *ret_entry)
{
	uint64_t entry = 0;
	int r = read_headers(image);

	if (r == 0)
		r = find_entry(image, &entry);
	if (r == 0 && !entry_is_loaded(image, entry))
		r = refuse(image, "the PVH entry is outside the segments");
	for (unsigned i = 0; r == 0 && i < image->header.e_phnum; i++) {
		if (is_loaded(&image->segments[i]))
			r = check_segment(image, memory, i);
	}
	for (unsigned i = 0; r == 0 && i < image->header.e_phnum; i++) {
		if (is_loaded(&image->segments[i]))
			r = load_segment(image, memory, &image->segments[i]);
	}
	if (r == 0)
		*ret_entry = (uint32_t)entry;
	return r;
}

int pvh_load(struct gpa_space *memory, int elf_fd, uint32_t *ret_entry, const char **ret_why)
{
	struct image *image = calloc(1, sizeof(*image));
	int r;

	if (!image)
		return -ENOMEM;
	image->fd = elf_fd;
	r = load(image, memory, ret_entry);
	if (r < 0)
		*ret_why = image->why;
	free(image);
	return r;
}
