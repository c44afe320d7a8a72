/* SPDX-License-Identifier: MIT
 *
 * boot.h - from the loader's entry to ring 3: descriptor tables, the local APIC, and what the
 * loader said (Xen PVH start of day, hvm_start_info version 0 and 1).
 */
#ifndef VIADUCT_VMBUS_GUEST_BOOT_H
#define VIADUCT_VMBUS_GUEST_BOOT_H

#include "vmbus/guest/mem.h"

/* What is left of an exception when boot_panic() sees it. */
struct boot_exception {
	uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

/* Ring 0, once, called by start.S: GDT's TSS, IDT, local APIC ready with everything masked. */
void boot_tables(void);
/* Ring 0: report on the serial port and through the crash MSRs, power off. */
_Noreturn void boot_panic(const struct boot_exception *exception);

/* The command line, "" without one. */
const char *boot_command_line(void);

struct boot_memory {
	uint8_t *base; /* 2 MiB aligned */
	size_t size_bytes;
	uint64_t total_bytes; /* of RAM, whether usable or not */
};
/* The largest piece of RAM behind the image and below 4 GiB. */
void boot_find_memory(struct boot_memory *ret_memory);

/* Writes the poweroff request; returns if the machine has no such port. */
void boot_power_off(void);

#endif
