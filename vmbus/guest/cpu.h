/* SPDX-License-Identifier: MIT
 *
 * cpu.h - the instructions C has no words for, and the services of the trap gate (start.S). All of
 * it is for ring 3.
 */
#ifndef VIADUCT_VMBUS_GUEST_CPU_H
#define VIADUCT_VMBUS_GUEST_CPU_H

#include "vmbus/guest/layout.h"

#include <stdint.h>

/* Interrupts so far, and those of them that were the timer's. */
extern volatile uint64_t irq_count, timer_count;

static inline uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

struct cpuid_leaf {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_leaf cpu_id(uint32_t leaf)
{
	struct cpuid_leaf r;

	/* In ring 0: where ring 3 runs without interception it would see the host's own leaves. */
	__asm__ volatile("int3"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(TRAP_CPUID), "S"(leaf), "c"(0)
			 : "cc");
	return r;
}

static inline void cpu_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void cpu_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void cpu_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t cpu_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Sleep until an interrupt comes, unless one came since `seen` was read from irq_count. */
static inline void cpu_idle(uint64_t seen)
{
	uint64_t service = TRAP_IDLE;

	__asm__ volatile("int3" : "+a"(service) : "D"(seen) : "memory", "cc");
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
	uint64_t low = TRAP_RDMSR, high;

	__asm__ volatile("int3" : "+a"(low), "=d"(high) : "c"(msr) : "memory", "cc");
	return (uint32_t)low | high << 32;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
	uint64_t service = TRAP_WRMSR;

	__asm__ volatile("int3"
			 : "+a"(service)
			 : "c"(msr), "S"(value), "d"(value >> 32)
			 : "memory", "cc");
}

static inline uint64_t cpu_hypercall(uint64_t control, uint64_t input, uint64_t output)
{
	register uint64_t r8 __asm__("r8") = output;
	uint64_t result = TRAP_HYPERCALL;

	__asm__ volatile("int3"
			 : "+a"(result), "+c"(control), "+d"(input), "+r"(r8)
			 :
			 : "memory", "cc", "r9", "r10", "r11");
	return result;
}

#endif
