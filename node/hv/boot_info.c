/* SPDX-License-Identifier: MIT
 *
 * boot_info.c - what a kernel's entry is given: memory map, command line, initial RAM disk, where
 * the ACPI tables are; for a 64-bit entry also page tables and descriptors.
 */
#include "node/hv/boot.h"
#include "node/hv/pvh.h"

#include <string.h>

#define LOADER_UNKNOWN    0xff /* a boot loader without a number of its own */
#define VIDEO_MODE_NORMAL 0xffff

#define MAX_MEMORY_MAP (GPA_MAX_REGIONS + 2)
_Static_assert(BOOT_MODULE_LIST_GPA + sizeof(struct pvh_module) <= BOOT_MEMORY_MAP_GPA &&
		       BOOT_MEMORY_MAP_GPA + MAX_MEMORY_MAP * sizeof(struct pvh_memory) <=
			       BOOT_CMDLINE_GPA,
	"the memory map must end before the command line");
_Static_assert(
	BOOT_PARAMS_GPA + sizeof(struct boot_params) <= BOOT_PAGE_TABLES_GPA &&
		BOOT_PAGE_TABLES_GPA + BOOT_N_PAGE_TABLES * GPA_PAGE_SIZE <= BOOT_RESERVED_END_GPA,
	"the pages of the start of day must not overlap");

int boot_load_kernel(
	struct gpa_space *memory, struct image_file *file, struct boot_kernel *ret_kernel)
{
	static const uint8_t elf_magic[4] = {0x7f, 'E', 'L', 'F'};
	uint8_t magic[sizeof(elf_magic)];
	int r = image_read(file, magic, sizeof(magic), 0);

	if (r < 0)
		return r;
	return memcmp(magic, elf_magic, sizeof(magic)) == 0
		       ? boot_load_elf(memory, file, ret_kernel)
		       : boot_load_bzimage(memory, file, ret_kernel);
}

int boot_load_initrd(struct gpa_space *memory, const struct boot_kernel *kernel,
	struct image_file *file, struct boot_initrd *ret_initrd)
{
	uint64_t end = MIN(gpa_space_region(memory, 0)->size_bytes, kernel->initrd_end);
	uint64_t size_bytes, base;
	void *to;
	int r = image_size(file, &size_bytes);

	if (r < 0)
		return r;
	if (size_bytes == 0)
		return image_refuse(file, "the initial RAM disk is empty");
	if (end < kernel->end || size_bytes > end - kernel->end)
		return image_refuse(file, "the initial RAM disk does not fit behind the kernel");
	base = (end - size_bytes) & ~(GPA_PAGE_SIZE - 1);
	to = gpa_window(memory, gpa(base), size_bytes);
	if (base < kernel->end || !to)
		return image_refuse(file, "the initial RAM disk does not fit behind the kernel");
	r = image_read(file, to, size_bytes, 0);
	if (r < 0)
		return r;
	gpa_mark_dirty(memory, gpa(base), size_bytes);
	*ret_initrd = (struct boot_initrd){.base = base, .size_bytes = size_bytes};
	return 0;
}

static void add_memory(struct pvh_memory *map, uint32_t *n, uint64_t first, uint64_t end,
	enum pvh_memory_type type)
{
	map[(*n)++] = (struct pvh_memory){.base = first, .size_bytes = end - first, .type = type};
}

static uint32_t build_memory_map(
	const struct gpa_space *memory, size_t n_ram_regions, struct pvh_memory *map)
{
	uint32_t n = 0;

	for (size_t i = 0; i < n_ram_regions; i++) {
		const struct gpa_region *region = gpa_space_region(memory, i);
		uint64_t first = region->base.v, end = first + region->size_bytes;

		if (first < BOOT_HOLE_GPA && end > BOOT_HOLE_END_GPA) {
			add_memory(map, &n, first, BOOT_HOLE_GPA, PVH_MEMORY_RAM);
			add_memory(map, &n, BOOT_ACPI_GPA, BOOT_HOLE_END_GPA, PVH_MEMORY_ACPI);
			first = BOOT_HOLE_END_GPA;
		}
		add_memory(map, &n, first, end, PVH_MEMORY_RAM);
	}
	return n;
}

static int write_pvh(struct gpa_space *memory, const struct boot_initrd *initrd,
	const struct pvh_memory *map, uint32_t n_map)
{
	struct pvh_start_info info = {
		.magic = PVH_START_INFO_MAGIC,
		.version = PVH_START_INFO_VERSION,
		.n_modules = initrd->size_bytes != 0,
		.modules = initrd->size_bytes ? BOOT_MODULE_LIST_GPA : 0,
		.command_line = BOOT_CMDLINE_GPA,
		.rsdp = BOOT_ACPI_GPA,
		.memory_map = BOOT_MEMORY_MAP_GPA,
		.n_memory_map = n_map,
	};
	struct pvh_module module = {.base = initrd->base, .size_bytes = initrd->size_bytes};
	int r = gpa_write(memory, gpa(BOOT_START_INFO_GPA), &info, sizeof(info));

	if (r == 0)
		r = gpa_write(memory, gpa(BOOT_MODULE_LIST_GPA), &module, sizeof(module));
	if (r == 0)
		r = gpa_write(memory, gpa(BOOT_MEMORY_MAP_GPA), map, n_map * sizeof(*map));
	return r;
}

/* The first 4 GiB where they are, in pages of 2 MiB. */
static int write_page_tables(struct gpa_space *memory)
{
	static const uint64_t present_writable = 0x3, large = 0x80;
	uint64_t tables[BOOT_N_PAGE_TABLES][GPA_PAGE_SIZE / sizeof(uint64_t)] = {0};

	tables[0][0] = (BOOT_PAGE_TABLES_GPA + GPA_PAGE_SIZE) | present_writable;
	for (uint64_t i = 2; i < BOOT_N_PAGE_TABLES; i++) {
		tables[1][i - 2] = (BOOT_PAGE_TABLES_GPA + i * GPA_PAGE_SIZE) | present_writable;
		for (uint64_t j = 0; j < ARRAY_LEN(tables[i]); j++)
			tables[i][j] = ((i - 2) * ARRAY_LEN(tables[i]) + j) << 21 |
				       present_writable | large;
	}
	return gpa_write(memory, gpa(BOOT_PAGE_TABLES_GPA), tables, sizeof(tables));
}

static int write_gdt(struct gpa_space *memory)
{
	static const uint64_t gdt[BOOT_GDT_BYTES / sizeof(uint64_t)] = {
		[BOOT_CODE_SELECTOR / sizeof(uint64_t)] = 0x00af9b000000ffff, /* 64-bit code */
		[BOOT_DATA_SELECTOR / sizeof(uint64_t)] = 0x00cf93000000ffff, /* flat data */
	};

	return gpa_write(memory, gpa(BOOT_GDT_GPA), gdt, sizeof(gdt));
}

static int write_linux64(struct gpa_space *memory, const struct boot_kernel *kernel,
	const struct boot_initrd *initrd, const struct pvh_memory *map, uint32_t n_map)
{
	struct boot_params params = {.hdr = kernel->header};
	int r = write_page_tables(memory);

	params.acpi_rsdp_addr = BOOT_ACPI_GPA;
	params.hdr.type_of_loader = LOADER_UNKNOWN;
	params.hdr.vid_mode = VIDEO_MODE_NORMAL;
	params.hdr.cmd_line_ptr = BOOT_CMDLINE_GPA;
	params.hdr.ramdisk_image = (uint32_t)initrd->base;
	params.hdr.ramdisk_size = (uint32_t)initrd->size_bytes;
	params.hdr.setup_data = 0;
	params.e820_entries = (uint8_t)n_map;
	for (uint32_t i = 0; i < n_map; i++)
		params.e820_table[i] = (struct boot_e820_entry){
			.addr = map[i].base,
			.size = map[i].size_bytes,
			.type = map[i].type,
		};
	if (r == 0)
		r = write_gdt(memory);
	return r < 0 ? r : gpa_write(memory, gpa(BOOT_PARAMS_GPA), &params, sizeof(params));
}

int boot_write_info(struct gpa_space *memory, size_t n_ram_regions,
	const struct boot_kernel *kernel, const struct boot_initrd *initrd, const char *cmdline)
{
	struct pvh_memory map[MAX_MEMORY_MAP];
	uint32_t n_map = build_memory_map(memory, n_ram_regions, map);
	size_t cmdline_bytes = strlen(cmdline) + 1;
	int r;

	if (cmdline_bytes > kernel->cmdline_max_bytes)
		return -E2BIG;
	r = gpa_write(memory, gpa(BOOT_CMDLINE_GPA), cmdline, cmdline_bytes);
	if (r < 0)
		return r;
	return kernel->protocol == BOOT_PVH ? write_pvh(memory, initrd, map, n_map)
					    : write_linux64(memory, kernel, initrd, map, n_map);
}
