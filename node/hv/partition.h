/* SPDX-License-Identifier: MIT
 *
 * partition.h - a child partition on KVM: RAM, virtual processors, interrupts, the Hyper-V
 * interface (all of it in user space, so it is the same on every kind of KVM), a small chipset and
 * loaders for kernels.
 *
 * Life: partition_new() - partition_boot() or a restore - units started - running - units
 * stopped - partition_free(). A reset ends a run (PARTITION_END_RESET); the owner makes a new
 * partition, so that nothing of the old life is left over. The VP threads run between start and
 * stop of the "vp" unit.
 *
 * Units (base/unit.h): partition_register_hv_unit() registers "hv" (partition MSRs, SynIC,
 * reference time, serial) and partition_register_vp_unit() "vp" (every register of every VP).
 * Whoever composes a VM registers "hv" first and "vp" last: VPs then start after every device and
 * stop before them.
 *
 * Threads: the owner (one thread) calls everything without a note. Functions marked [any] may be
 * called from any thread while the partition exists. Callbacks marked [vp] come on a VP's thread
 * with no lock of the partition held; they may call [any] functions.
 *
 * KVM: Linux 5.16 or later; on hardware, or one that virtualises without it (there a guest runs
 * natively in ring 3 only).
 *
 * Machine: local APICs, IOAPIC and PICs in KVM; a 16550A at 0x3f8 (IRQ 4); a CMOS clock; ACPI
 * tables with the VMBUS device, fixed power management registers at 0x600 (a 16-bit OUT of 0x2000
 * to port 0x604 powers off) and a reset register; the doorbell port
 * (vmbus/proto/viaduct_cpuid.h). With video also PCI configuration access with a host bridge and
 * the display function 1414:5353, whose window is the partition's video memory. No PIT, HPET or
 * keyboard controller. Other ports and addresses read all ones. RAM from 0 to at most 3 GiB, the
 * rest from 4 GiB on; memory that is added later behind that.
 *
 * Sources: TLFS 6.0b (feature discovery, hypercalls, inter-partition communication, timers);
 * Linux Documentation/virt/kvm/api.rst and Documentation/x86/boot.rst; Xen PVH start-of-day
 * structure; ACPI 6.4; MC146818; PCI Local Bus 3.0.
 */
#ifndef VIADUCT_NODE_HV_PARTITION_H
#define VIADUCT_NODE_HV_PARTITION_H

#include "base/gpa.h"
#include "base/unit.h"
#include "vmbus/proto/hypercall.h" /* enum hv_status */

#define PARTITION_MAX_VPS        64
#define PARTITION_MIN_RAM_BYTES  (16ULL << 20)
#define PARTITION_MAX_RAM_BYTES  (256ULL << 30)
#define PARTITION_RAM_UNIT_BYTES (2ULL << 20)
/* What is added to a running partition comes in these. */
#define PARTITION_ADD_UNIT_BYTES (128ULL << 20)
/* The window of the display function; also what the VMBUS device may place there. */
#define PARTITION_VRAM_GPA       0xf8000000ULL
#define PARTITION_VRAM_MAX_BYTES (64ULL << 20)

/* The process gives the signal SIGRTMIN + PARTITION_KICK_SIGNAL to the VP threads: its handler does
 * nothing, and nobody else may use it. */
#define PARTITION_KICK_SIGNAL 4

enum partition_end {
	PARTITION_END_POWEROFF, /* the guest asked for it */
	PARTITION_END_RESET,    /* the guest asked for it (MSR, reset register, 0x64) */
	PARTITION_END_TRIPLE_FAULT,
	PARTITION_END_CRASH, /* crash MSRs; text has the parameters and the guest's message */
	PARTITION_END_ERROR, /* KVM could not go on; text says why */
};

/* All are required. */
struct partition_ops {
	/* [vp] HvPostMessage with a checked size (<= 240). Returns an enum hv_status. */
	uint16_t (*post_message)(void *data, uint32_t connection_id, uint32_t message_type,
		const void *payload, size_t size_bytes);
	/* [vp] HvSignalEvent that no doorbell took. Returns an enum hv_status. */
	uint16_t (*signal_event)(void *data, uint32_t connection_id, uint16_t flag);
	/* [vp] The guest freed the message slot (EOM): retry what got -EAGAIN. */
	void (*slot_free)(void *data, uint32_t vp_index, unsigned sint);
	/* [vp] Bytes the guest wrote to the serial port, as many as came in one access. */
	void (*serial_output)(void *data, const void *bytes, size_t size_bytes);
	/* [vp] The partition ended by itself. At most once per run; the VP threads then idle until
	 * stop. */
	void (*ended)(void *data, enum partition_end end, const char *text);
};

struct partition_config {
	int kvm_fd;         /* /dev/kvm, opened by somebody who may; stays the caller's */
	unsigned n_vps;     /* 1..PARTITION_MAX_VPS */
	uint64_t ram_bytes; /* a multiple of 2 MiB */
	/* What ram_bytes may grow to by partition_memory_add(); 0: not at all. Units of
	 * PARTITION_ADD_UNIT_BYTES above ram_bytes count. */
	uint64_t max_ram_bytes;
	uint64_t vram_bytes; /* 0: no video; else a multiple of 1 MiB, a power of two */
	const struct partition_ops *ops;
	void *data;
};

struct partition;

/* Checks the KVM first: -ENOTSUP when a capability is missing, with its name in *ret_missing
 * (static text, may be NULL). */
int partition_new(const struct partition_config *config, struct partition **ret_partition,
	const char **ret_missing);
void partition_free(struct partition *partition);

/* Load a kernel and set VP 0 to its entry. What it is is found out from the file:
 *
 *	a Linux bzImage (boot protocol 2.12 or later, 64-bit entry)
 *	an ELF with the XEN_ELFNOTE_PHYS32_ENTRY note (PVH)
 *	any other 64-bit ELF: a Linux vmlinux, entered as a bzImage's kernel would be
 *
 * with memory map, ACPI tables, command line and initial RAM disk. Both files are hostile. -ENOEXEC
 * with *ret_why (static text). */
struct partition_boot {
	int kernel_fd;
	int initrd_fd; /* -1: none */
	const char *cmdline;
};
int partition_boot(
	struct partition *partition, const struct partition_boot *boot, const char **ret_why);

/* Give the memory of whole pages of RAM back to the host; they read as zeroes from then on. Parts
 * outside RAM: -EINVAL. [any] */
int partition_memory_release(struct partition *partition, gpa_t first, uint64_t size_bytes);
/* Make `size_bytes` (a multiple of PARTITION_ADD_UNIT_BYTES) more memory appear, behind what was
 * added before; *ret_first says where. -ENOSPC: max_ram_bytes is reached. [any] */
int partition_memory_add(struct partition *partition, uint64_t size_bytes, gpa_t *ret_first);

struct gpa_space *partition_memory(struct partition *partition); /* [any] */
unsigned partition_n_vps(const struct partition *partition);     /* [any] */

int partition_register_hv_unit(struct partition *partition, struct unit_registry *registry);
int partition_register_vp_unit(struct partition *partition, struct unit_registry *registry);

/* [any] Put a message into slot `sint` of a VP's message page and raise the SINT. 0; -EAGAIN:
 * occupied, marked pending, slot_free() will be called; -ENXIO: SynIC, page or SINT not enabled;
 * -EINVAL. */
int partition_post_message(struct partition *partition, uint32_t vp_index, unsigned sint,
	uint32_t message_type, const void *payload, size_t size_bytes);
/* [any] Set event flag `flag` (0..2047) of a SINT; raises the SINT when it was clear. 0, -ENXIO,
 * -EINVAL. */
int partition_signal_flag(
	struct partition *partition, uint32_t vp_index, unsigned sint, unsigned flag);

/* HvSignalEvent on `connection_id` (flag 0) goes straight to `event_fd` in the kernel. [any] */
int partition_doorbell_add(struct partition *partition, uint32_t connection_id, int event_fd);
void partition_doorbell_remove(struct partition *partition, uint32_t connection_id, int event_fd);

/* Bytes for the guest to read from the serial port; what does not fit (64 KiB) is refused: -EAGAIN.
 * [any] */
int partition_serial_input(struct partition *partition, const void *bytes, size_t size_bytes);

/* Dirty tracking: KVM's log merged with the door's own marks. After start every page counts as
 * clean except those written since. collect() adds the dirty pages since the last collect to
 * bitmaps[i] (one for each region of partition_memory(), a bit a page) and starts afresh. */
int partition_dirty_start(struct partition *partition);
int partition_dirty_collect(struct partition *partition, uint64_t *const *bitmaps);
int partition_dirty_stop(struct partition *partition);

/* Partition reference time, 100 ns units: 0 at the first start, standing still while stopped, going
 * on from there after a start or in the partition that restored it. [any] */
uint64_t partition_reference_time(struct partition *partition);
/* Rate of the guest's TSC, as long as the partition is on this host. */
uint64_t partition_tsc_khz(const struct partition *partition);

/* A digest over everything CPUID shows the guest: two hosts with the same digest show the same CPU.
 */
uint64_t partition_cpuid_digest(const struct partition *partition);

#endif
