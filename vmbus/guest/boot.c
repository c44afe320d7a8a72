/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/boot.h"
#include "vmbus/guest/cpu.h"
#include "vmbus/guest/text.h"
#include "vmbus/guest/vsc_hv.h"
#include "vmbus/proto/hypercall.h"

#define SERIAL_DATA 0x3f8

#define POWER_PORT 0x604
#define POWER_OFF  0x2000

#define LAPIC_SPURIOUS  0xf0
#define LAPIC_ENABLE    0x100
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_MASKED    0x10000

struct gate {
	uint16_t offset0;
	uint16_t selector;
	uint16_t flags;
	uint16_t offset16;
	uint32_t offset32;
	uint32_t reserved;
} __attribute__((packed));

#define GATE_INTERRUPT 0x8e00
#define GATE_FOR_RING3 0x6000

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct task_state {
	uint32_t reserved0;
	uint64_t rsp0;
	uint8_t reserved1[90];
	uint16_t io_map_base;
	/* All zeros: every port is open to ring 3. Not every hypervisor honours IOPL. */
	uint8_t io_map[8192];
	uint8_t io_map_end; /* must be there, all ones */
} __attribute__((packed));
_Static_assert(offsetof(struct task_state, io_map) == 104, "hardware layout");

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t n_modules;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t memory_map; /* from version 1 */
	uint32_t n_memory_map;
	uint32_t reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info");

#define START_INFO_MAGIC 0x336ec578

struct memory_map_entry {
	uint64_t base;
	uint64_t size_bytes;
	uint32_t type;
	uint32_t reserved;
};
#define MEMORY_RAM 1

#define LARGE_PAGE_BYTES (2ULL << 20)
#define MAPPED_BYTES     (4ULL << 30)

extern uint64_t boot_start_info;
extern uint64_t gdt[];
extern const uint8_t exception_stubs[], irq_entry[], timer_entry[], trap_entry[], ring0_stack_top[],
	image_end[];

static struct gate idt[N_VECTORS] __attribute__((aligned(4096)));
static struct task_state tss;

static void gate_set(unsigned vector, const uint8_t *entry, uint16_t flags)
{
	uint64_t offset = (uintptr_t)entry;

	idt[vector] = (struct gate){
		.offset0 = (uint16_t)offset,
		.selector = SEL_KERNEL_CODE,
		.flags = flags,
		.offset16 = (uint16_t)(offset >> 16),
		.offset32 = (uint32_t)(offset >> 32),
	};
}

static void lapic_write(uint32_t at, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(LAPIC_BASE + at) = value;
}

void boot_tables(void)
{
	struct table_pointer pointer = {.limit = sizeof(idt) - 1, .base = (uintptr_t)idt};
	uint64_t base = (uintptr_t)&tss;

	tss.rsp0 = (uintptr_t)ring0_stack_top;
	tss.io_map_base = offsetof(struct task_state, io_map);
	tss.io_map_end = 0xff;
	gdt[SEL_TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 |
			   (base >> 24 & 0xff) << 56;
	gdt[SEL_TSS / 8 + 1] = base >> 32;

	for (unsigned i = 0; i < N_EXCEPTIONS; i++)
		gate_set(i, exception_stubs + i * EXCEPTION_STUB_BYTES, GATE_INTERRUPT);
	gate_set(VECTOR_TRAP, trap_entry, GATE_INTERRUPT | GATE_FOR_RING3);
	gate_set(VECTOR_SINT, irq_entry, GATE_INTERRUPT);
	gate_set(VECTOR_TIMER, timer_entry, GATE_INTERRUPT);
	gate_set(VECTOR_SPURIOUS, irq_entry, GATE_INTERRUPT);
	__asm__ volatile("lidt %0; ltr %w1" : : "m"(pointer), "r"(SEL_TSS) : "memory");

	/* Machines with a PIC would deliver its timer as a double fault. */
	lapic_write(LAPIC_LVT_LINT0, LAPIC_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LAPIC_MASKED);
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | VECTOR_SPURIOUS);
}

static void ring0_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"(value >> 32) : "memory");
}

void boot_power_off(void)
{
	cpu_out16(POWER_PORT, POWER_OFF);
}

_Noreturn void boot_panic(const struct boot_exception *exception)
{
	char line[160];
	struct text text = text_on(line, sizeof(line));
	uint64_t fault_address;

	__asm__ volatile("mov %%cr2, %0" : "=r"(fault_address));
	text_add(&text, "\npanic vector=");
	text_u64(&text, exception->vector);
	text_add(&text, " error=");
	text_hex(&text, exception->error_code);
	text_add(&text, " rip=");
	text_hex(&text, exception->rip);
	text_add(&text, " rsp=");
	text_hex(&text, exception->rsp);
	text_add(&text, " cr2=");
	text_hex(&text, fault_address);
	text_add(&text, "\n");
	for (size_t i = 0; i < text.length; i++)
		cpu_out8(SERIAL_DATA, (uint8_t)line[i]);

	if (vsc_hv_has_crash_msrs()) {
		ring0_wrmsr(HV_MSR_CRASH_P0, exception->vector);
		ring0_wrmsr(HV_MSR_CRASH_P0 + 1, exception->error_code);
		ring0_wrmsr(HV_MSR_CRASH_P0 + 2, exception->rip);
		ring0_wrmsr(HV_MSR_CRASH_P0 + 3, exception->rsp);
		ring0_wrmsr(HV_MSR_CRASH_P0 + 4, fault_address);
		ring0_wrmsr(HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL_NOTIFY);
	}
	boot_power_off();
	for (;;)
		__asm__ volatile("cli; hlt");
}

static const struct start_info *start_info(void)
{
	const struct start_info *info = (const void *)boot_start_info;

	return info && info->magic == START_INFO_MAGIC ? info : NULL;
}

const char *boot_command_line(void)
{
	const struct start_info *info = start_info();

	return info && info->command_line ? (const char *)info->command_line : "";
}

void boot_find_memory(struct boot_memory *ret_memory)
{
	const struct start_info *info = start_info();
	const struct memory_map_entry *map;
	struct boot_memory best = {0};
	uint64_t first = ((uintptr_t)image_end + LARGE_PAGE_BYTES - 1) & -LARGE_PAGE_BYTES;

	*ret_memory = best;
	if (!info || info->version < 1)
		return;
	map = (const void *)info->memory_map;
	for (uint32_t i = 0; i < info->n_memory_map; i++) {
		uint64_t start = (map[i].base + LARGE_PAGE_BYTES - 1) & -LARGE_PAGE_BYTES;
		uint64_t end = MIN_OF(map[i].base + map[i].size_bytes, MAPPED_BYTES);

		if (map[i].type != MEMORY_RAM)
			continue;
		best.total_bytes += map[i].size_bytes;
		start = MAX_OF(start, first);
		if (end > start && end - start > best.size_bytes) {
			best.base = (uint8_t *)start;
			best.size_bytes = end - start;
		}
	}
	*ret_memory = best;
}
