/* SPDX-License-Identifier: MIT
 *
 * pvh.h - the start-of-day structures of PVH.
 *
 * Source: Xen public/arch-x86/hvm/start_info.h.
 */
#ifndef VIADUCT_NODE_HV_PVH_H
#define VIADUCT_NODE_HV_PVH_H

#include "base/err.h"

#define PVH_START_INFO_MAGIC   0x336ec578U
#define PVH_START_INFO_VERSION 1

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t n_modules;
	uint64_t modules;      /* GPA */
	uint64_t command_line; /* GPA */
	uint64_t rsdp;         /* GPA; 0: no ACPI */
	uint64_t memory_map;   /* GPA */
	uint32_t n_memory_map;
	uint32_t reserved;
};
static_assert_size(struct pvh_start_info, 56);
static_assert_offset(struct pvh_start_info, command_line, 24);
static_assert_offset(struct pvh_start_info, memory_map, 40);

/* The first is the initial RAM disk. */
struct pvh_module {
	uint64_t base;
	uint64_t size_bytes;
	uint64_t command_line; /* GPA */
	uint64_t reserved;
};
static_assert_size(struct pvh_module, 32);

/* The numbers of the PC BIOS, here and in Linux's zero page. */
enum pvh_memory_type {
	PVH_MEMORY_RAM = 1,
	PVH_MEMORY_RESERVED = 2,
	PVH_MEMORY_ACPI = 3,
};

struct pvh_memory {
	uint64_t base;
	uint64_t size_bytes;
	uint32_t type; /* enum pvh_memory_type */
	uint32_t reserved;
};
static_assert_size(struct pvh_memory, 24);

#endif
