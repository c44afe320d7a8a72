/* SPDX-License-Identifier: MIT
 *
 * boot.h - loading a kernel, without KVM: the file into guest RAM, and what its entry is given.
 * boot.c puts the two together with the state of VP 0.
 *
 * Guest RAM at the start of day, below 1 MiB: the pages of this header, ACPI tables (acpi.h), and
 * otherwise nothing. Kernels lie from 1 MiB on, the initial RAM disk as high as it may.
 *
 * Sources: Linux Documentation/x86/boot.rst and zero-page.rst; Xen docs/misc/pvh.pandoc; System V
 * ABI (ELF-64).
 */
#ifndef VIADUCT_NODE_HV_BOOT_H
#define VIADUCT_NODE_HV_BOOT_H

#include "base/gpa.h"
#include "node/hv/image_file.h"

#include <asm/bootparam.h>

/* Pages that no part of a kernel may touch. */
#define BOOT_START_INFO_GPA    0x1000ULL
#define BOOT_MODULE_LIST_GPA   0x1080ULL
#define BOOT_MEMORY_MAP_GPA    0x1100ULL
#define BOOT_CMDLINE_GPA       0x2000ULL
#define BOOT_CMDLINE_MAX_BYTES 4096 /* the terminator included */
#define BOOT_GDT_GPA           0x3000ULL
#define BOOT_PARAMS_GPA        0x4000ULL
#define BOOT_PAGE_TABLES_GPA   0x5000ULL
#define BOOT_N_PAGE_TABLES     6 /* one, one, and one for each of 4 GiB */
#define BOOT_RESERVED_END_GPA  0xb000ULL

/* PCs have no RAM between these, and guests know it. Its end holds the ACPI tables. */
#define BOOT_HOLE_GPA     0xa0000ULL
#define BOOT_ACPI_GPA     0xe0000ULL
#define BOOT_HOLE_END_GPA 0x100000ULL

/* What the GDT says, and the segment registers of a VP that enters by it. */
#define BOOT_CODE_SELECTOR 0x10
#define BOOT_DATA_SELECTOR 0x18
#define BOOT_GDT_BYTES     32

enum boot_protocol {
	BOOT_PVH,     /* 32-bit entry, EBX: start info */
	BOOT_LINUX64, /* 64-bit entry, RSI: boot_params */
};

struct boot_kernel {
	enum boot_protocol protocol;
	uint64_t entry;
	uint64_t end;        /* of the low RAM that it needs for itself */
	uint64_t initrd_end; /* no byte of the initial RAM disk may lie here or above */
	size_t cmdline_max_bytes;
	struct setup_header header; /* of BOOT_LINUX64 */
};

struct boot_initrd {
	uint64_t base, size_bytes; /* 0: none */
};

/* Who knows what `file` is. -ENOEXEC and file->why for one that is not what it should be, or the
 * error of reading it. Region 0 of `memory` is RAM from 0 on. */
int boot_load_kernel(
	struct gpa_space *memory, struct image_file *file, struct boot_kernel *ret_kernel);
int boot_load_elf(
	struct gpa_space *memory, struct image_file *file, struct boot_kernel *ret_kernel);
int boot_load_bzimage(
	struct gpa_space *memory, struct image_file *file, struct boot_kernel *ret_kernel);
int boot_load_initrd(struct gpa_space *memory, const struct boot_kernel *kernel,
	struct image_file *file, struct boot_initrd *ret_initrd);

/* Write what the entry is given. The first `n_ram_regions` of `memory` are RAM of the memory map.
 * -E2BIG: the command line is too long. */
int boot_write_info(struct gpa_space *memory, size_t n_ram_regions,
	const struct boot_kernel *kernel, const struct boot_initrd *initrd, const char *cmdline);

#endif
