/* SPDX-License-Identifier: MIT
 *
 * pvh.h - loading a PVH kernel image, without KVM: the ELF file into guest RAM, and the
 * start-of-day structures that its entry is given.
 *
 * Source: Xen docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h; System V ABI (ELF-64).
 */
#ifndef VIADUCT_NODE_HV_PVH_H
#define VIADUCT_NODE_HV_PVH_H

#include "base/gpa.h"

#define PVH_START_INFO_MAGIC   0x336ec578U
#define PVH_START_INFO_VERSION 1

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t n_modules;
	uint64_t modules;
	uint64_t command_line; /* GPA */
	uint64_t rsdp;         /* GPA; 0: no ACPI */
	uint64_t memory_map;   /* GPA */
	uint32_t n_memory_map;
	uint32_t reserved;
};
static_assert_size(struct pvh_start_info, 56);
static_assert_offset(struct pvh_start_info, command_line, 24);
static_assert_offset(struct pvh_start_info, memory_map, 40);

enum pvh_memory_type {
	PVH_MEMORY_RAM = 1,
	PVH_MEMORY_RESERVED = 2,
};

struct pvh_memory {
	uint64_t base;
	uint64_t size_bytes;
	uint32_t type; /* enum pvh_memory_type */
	uint32_t reserved;
};
static_assert_size(struct pvh_memory, 24);

/* Start-of-day structures: pages that no segment may touch. */
#define PVH_START_INFO_GPA         0x1000ULL
#define PVH_MEMORY_MAP_GPA         0x1100ULL
#define PVH_COMMAND_LINE_GPA       0x2000ULL
#define PVH_COMMAND_LINE_MAX_BYTES 4096 /* the terminator included */
#define PVH_RESERVED_END_GPA       0x3000ULL

/* Load the segments and find the 32-bit entry. -ENOEXEC with *ret_why (static text) for a file that
 * is not what it should be, or the error of reading it. */
int pvh_load(struct gpa_space *memory, int elf_fd, uint32_t *ret_entry, const char **ret_why);

/* Write start info (at PVH_START_INFO_GPA), memory map and command line. -E2BIG: too long. */
int pvh_write_start_info(struct gpa_space *memory, const char *cmdline);

#endif
