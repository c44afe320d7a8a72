/* SPDX-License-Identifier: MIT
 *
 * boot_bzimage.c - a Linux bzImage into guest RAM: sectors of real-mode code that begin with the
 * setup header and are otherwise not used, then the kernel, which decompresses itself. It goes to
 * the address that it prefers or, where that does not fit, to the lowest one that it takes.
 */
#include "node/hv/boot.h"

#include <string.h>

#define SECTOR_BYTES          512
#define SETUP_SECTORS_DEFAULT 4 /* what 0 means */
#define HEADER_AT             offsetof(struct boot_params, hdr)
#define BOOT_FLAG             0xaa55
#define HEADER_MAGIC          0x53726448 /* "HdrS" */
#define OLDEST_VERSION        0x020c     /* the first that can say that it has a 64-bit entry */
#define ENTRY_64_OFFSET       0x200

/* The header says how long it is: the jump over it, an 8-bit displacement from its own end. */
#define JUMP_END_AT (offsetof(struct boot_params, hdr.jump) + 2)

static int read_header(struct image_file *file, struct setup_header *header)
{
	size_t end;
	int r = image_read(file, header, sizeof(*header), HEADER_AT);

	if (r < 0 && r != -ENOEXEC)
		return r;
	if (r < 0 || header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC)
		return image_refuse(file, "the file is neither ELF nor a Linux bzImage");
	if (header->version < OLDEST_VERSION)
		return image_refuse(file, "the kernel's boot protocol is older than 2.12");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return image_refuse(file, "the kernel has no 64-bit entry");
	end = JUMP_END_AT + (header->jump >> 8);
	if (end < HEADER_AT + offsetof(struct setup_header, init_size) + sizeof(header->init_size))
		return image_refuse(file, "the setup header is too short");
	if (end < HEADER_AT + sizeof(*header))
		memset((uint8_t *)header + (end - HEADER_AT), 0, HEADER_AT + sizeof(*header) - end);
	return 0;
}

static bool is_power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

/* 0: nowhere. */
static uint64_t place(const struct setup_header *header, uint64_t ram_bytes)
{
	uint64_t base = header->pref_address;

	if (base >= BOOT_HOLE_END_GPA && base < ram_bytes && header->init_size <= ram_bytes - base)
		return base;
	if (!header->relocatable_kernel || !is_power_of_two(header->kernel_alignment))
		return 0;
	base = ALIGN_UP(BOOT_HOLE_END_GPA, (uint64_t)header->kernel_alignment);
	return base < ram_bytes && header->init_size <= ram_bytes - base ? base : 0;
}

static int load_at(struct gpa_space *memory, struct image_file *file, uint64_t base,
	uint64_t offset, uint64_t n_bytes)
{
	uint8_t *to = base ? gpa_window(memory, gpa(base), n_bytes) : NULL;
	int r;

	if (!to)
		return image_refuse(file, "the kernel does not fit into RAM");
	r = image_read(file, to, n_bytes, offset);
	if (r == 0)
		gpa_mark_dirty(memory, gpa(base), n_bytes);
	return r;
}

int boot_load_bzimage(
	struct gpa_space *memory, struct image_file *file, struct boot_kernel *ret_kernel)
{
	struct boot_kernel kernel = {.protocol = BOOT_LINUX64};
	struct setup_header *header = &kernel.header;
	uint64_t offset, file_bytes, base;
	int r = read_header(file, header);

	if (r == 0)
		r = image_size(file, &file_bytes);
	if (r < 0)
		return r;
	offset = ((header->setup_sects ? header->setup_sects : SETUP_SECTORS_DEFAULT) + 1ULL) *
		 SECTOR_BYTES;
	if (file_bytes <= offset + ENTRY_64_OFFSET)
		return image_refuse(file, "the file is truncated");
	if (file_bytes - offset > header->init_size)
		return image_refuse(file, "the kernel is larger than it says");
	base = place(header, gpa_space_region(memory, 0)->size_bytes);
	r = load_at(memory, file, base, offset, file_bytes - offset);
	if (r < 0)
		return r;
	kernel.entry = base + ENTRY_64_OFFSET;
	kernel.end = base + header->init_size;
	kernel.initrd_end = header->initrd_addr_max + 1ULL;
	kernel.cmdline_max_bytes =
		MIN(header->cmdline_size + 1ULL, (unsigned long long)BOOT_CMDLINE_MAX_BYTES);
	*ret_kernel = kernel;
	return 0;
}
