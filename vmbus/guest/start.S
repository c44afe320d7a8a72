/* SPDX-License-Identifier: MIT
 *
 * start.S - everything of the probe guest that runs at ring 0, apart from boot.c.
 *
 * The loader enters at pvh_start in 32-bit protected mode (Xen PVH start of day: EBX = start info,
 * paging off). From there: long mode on static tables, the tables of boot.c, and iretq to guest_main()
 * at ring 3 with IOPL 3. Ring 0 is left only to interrupts and to one trap gate, all of them a few
 * instructions long, because a hypervisor without hardware support emulates every one of them.
 */
#include "vmbus/guest/layout.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define CR0_PE_MP_ET_NE_WP_AM_PG 0x80050033
#define CR4_PAE_OSFXSR_OSXMMEXCPT 0x620
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

#define PTE_TABLE  0x007 /* present, writable, user */
#define PDE_RAM    0x087 /* and 2 MiB */
#define PDE_DEVICE 0x09f /* and uncached */
#define DEVICE_SPACE 0xfec00000

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	pvh_start

	.section .text.start, "ax"
	.code32
	.globl	pvh_start
pvh_start:
	cli
	mov	%ebx, boot_start_info
	lgdt	gdt_pointer
	mov	$CR4_PAE_OSFXSR_OSXMMEXCPT, %eax
	mov	%eax, %cr4
	mov	$page_map_level4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	$CR0_PE_MP_ET_NE_WP_AM_PG, %eax
	mov	%eax, %cr0
	ljmp	$SEL_KERNEL_CODE, $start64

	.code64
start64:
	mov	$ring0_stack_top, %esp
	mov	$SEL_KERNEL_DATA, %eax
	mov	%eax, %ss
	mov	$SEL_USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	call	boot_tables
	pushq	$SEL_USER_DATA
	pushq	$ring3_stack_top - 8 /* as after a call: guest_main() does not return */
	pushq	$RFLAGS_RING3
	pushq	$SEL_USER_CODE
	pushq	$guest_main
	xor	%ebp, %ebp
	iretq

/* A gate for every exception; those without an error code push a zero in its place. */
	.globl	exception_stubs
	.balign	EXCEPTION_STUB_BYTES
exception_stubs:
	.set	vector, 0
	.rept	N_EXCEPTIONS
	.balign	EXCEPTION_STUB_BYTES
	.if	vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
	.else
	pushq	$0
	.endif
	pushq	$vector
	jmp	exception_common
	.set	vector, vector + 1
	.endr
exception_common:
	mov	%rsp, %rdi
	and	$-16, %rsp
	call	boot_panic

/* Interrupts say only that they happened; ring 3 finds out why. The prefix makes the address 32 bits
 * wide, which spares a register. The timer's falls through to the other. */
	.globl	timer_entry
	.balign	16
timer_entry:
	incq	timer_count
	.globl	irq_entry
irq_entry:
	incq	irq_count
	addr32 movl $0, LAPIC_BASE + LAPIC_EOI
	iretq

/* int3 from ring 3: service number in EAX. Interrupts are off until IRETQ, but for the one moment in
 * which TRAP_IDLE sleeps; an interrupt that came after ring 3 read irq_count keeps it awake. */
	.globl	trap_entry
	.balign	16
trap_entry:
	test	%eax, %eax
	jnz	1f
	cmpq	%rdi, irq_count
	jne	9f
	sti
	hlt
9:	iretq
1:	dec	%eax
	jnz	2f
	call	hypercall_page
	iretq
2:	dec	%eax
	jnz	3f
	rdmsr
	iretq
3:	dec	%eax
	mov	%esi, %eax
	jnz	4f
	wrmsr
	iretq
4:	cpuid
	iretq

	.data
	.balign	16
	.globl	gdt
gdt:
	.quad	0, 0
	.quad	0x00af9b000000ffff /* SEL_KERNEL_CODE */
	.quad	0x00cf93000000ffff /* SEL_KERNEL_DATA */
	.quad	0x00cffb000000ffff
	.quad	0x00cff3000000ffff /* SEL_USER_DATA */
	.quad	0x00affb000000ffff /* SEL_USER_CODE */
	.quad	0
	.quad	0, 0 /* SEL_TSS: boot.c */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.globl	boot_start_info, irq_count, timer_count
	.balign	8
boot_start_info:
	.quad	0
irq_count:
	.quad	0
timer_count:
	.quad	0

/* The low 4 GiB, one to one, in 2 MiB pages, open to ring 3. */
	.balign	4096
page_map_level4:
	.quad	page_directory_pointers + PTE_TABLE
	.fill	511, 8, 0
page_directory_pointers:
	.quad	page_directories + 0x0000 + PTE_TABLE
	.quad	page_directories + 0x1000 + PTE_TABLE
	.quad	page_directories + 0x2000 + PTE_TABLE
	.quad	page_directories + 0x3000 + PTE_TABLE
	.fill	508, 8, 0
page_directories:
	.set	frame, 0
	.rept	2048
	.if	frame >= DEVICE_SPACE
	.quad	frame + PDE_DEVICE
	.else
	.quad	frame + PDE_RAM
	.endif
	.set	frame, frame + 0x200000
	.endr

	.bss
	.balign	4096
	.skip	8192
ring0_stack_top:
	.skip	65536
ring3_stack_top:
	.globl	ring0_stack_top

	.section .note.GNU-stack, "", @progbits
