/* SPDX-License-Identifier: MIT
 *
 * layout.h - numbers that start.S and the C side share: selectors, vectors, the local APIC and the
 * services of the trap.
 */
#ifndef VIADUCT_VMBUS_GUEST_LAYOUT_H
#define VIADUCT_VMBUS_GUEST_LAYOUT_H

/* The order that SYSCALL/SYSRET would want, which some hypervisors insist on. */
#define SEL_KERNEL_CODE 0x10
#define SEL_KERNEL_DATA 0x18
#define SEL_USER_DATA   0x2b
#define SEL_USER_CODE   0x33
#define SEL_TSS         0x40

#define RFLAGS_RING3 0x3202 /* IOPL 3, interrupts on */

#define N_EXCEPTIONS         32
#define EXCEPTION_STUB_BYTES 16
#define VECTOR_TRAP          3 /* int3 */
#define VECTOR_SINT          0x40
#define VECTOR_TIMER         0x41
#define VECTOR_SPURIOUS      0xff
#define N_VECTORS            256

#define LAPIC_BASE 0xfee00000
#define LAPIC_EOI  0xb0

/* EAX at int3 */
#define TRAP_IDLE      0 /* RDI: irq_count as last seen */
#define TRAP_HYPERCALL 1 /* RCX, RDX, R8 as the hypercall wants them; RAX: its result */
#define TRAP_RDMSR     2 /* ECX; EDX:EAX */
#define TRAP_WRMSR     3 /* ECX; EDX and ESI */
#define TRAP_CPUID     4 /* ESI and ECX; EAX, EBX, ECX, EDX */

#endif
