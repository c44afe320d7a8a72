/* SPDX-License-Identifier: MIT
 *
 * guest_start.S - a guest for the tests of the partition: from the PVH entry, or as a vmlinux from
 * Linux's 64-bit entry, to long mode on static tables; one gate that tells C which interrupt came,
 * and the way to ring 3.
 */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define CR0_LONG_MODE 0x80050033 /* PG, AM, WP, NE, ET, MP, PE */
#define CR4_LONG_MODE 0x620      /* PAE, OSFXSR, OSXMMEXCPT */
#define MSR_EFER      0xc0000080
#define EFER_LME      0x100

#define SEL_KERNEL_CODE 0x10
#define SEL_KERNEL_DATA 0x18
#define SEL_USER_DATA   0x2b
#define SEL_USER_CODE   0x33

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	pvh_entry

	.text
	.code32
	.globl	pvh_entry
pvh_entry:
	cli
	mov	%ebx, guest_start_info
	lgdt	gdt_pointer
	mov	$CR4_LONG_MODE, %eax
	mov	%eax, %cr4
	mov	$page_map, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	$CR0_LONG_MODE, %eax
	mov	%eax, %cr0
	ljmp	$SEL_KERNEL_CODE, $entry64

	.code64
	.globl	linux_entry
linux_entry:
	cli
	mov	%rsi, guest_boot_params
	mov	%cs, %eax
	mov	%eax, guest_entry_cs
	mov	$kernel_stack_top, %esp
	lgdt	gdt_pointer
	mov	%cr4, %rax
	or	$CR4_LONG_MODE, %rax
	mov	%rax, %cr4
	mov	$page_map, %eax
	mov	%rax, %cr3
	pushq	$SEL_KERNEL_CODE
	pushq	$entry64
	lretq

entry64:
	mov	$SEL_KERNEL_DATA, %eax
	mov	%eax, %ss
	mov	$SEL_USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	$kernel_stack_top, %esp
	call	guest_main
1:	cli
	hlt
	jmp	1b

/* Every vector: number and error code on the stack, then C. */
	.macro	vector_stub number
	.balign	16
	.if	\number == 8 || (\number >= 10 && \number <= 14) || \number == 17 || \number == 21
	.else
	pushq	$0
	.endif
	pushq	$\number
	jmp	vector_common
	.endm

	.globl	vector_stubs
	.balign	16
vector_stubs:
	.set	number, 0
	.rept	64
	vector_stub number
	.set	number, number + 1
	.endr

vector_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	lea	72(%rsp), %rdi
	call	guest_vector
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/* guest_enter_ring3(entry): never returns; interrupts stay off, IOPL is 3. */
	.globl	guest_enter_ring3
guest_enter_ring3:
	pushq	$SEL_USER_DATA
	pushq	$user_stack_top - 8
	pushq	$0x3002
	pushq	$SEL_USER_CODE
	push	%rdi
	iretq

/* guest_hypercall(control, input, output): the System V arguments into the TLFS ones. */
	.globl	guest_hypercall
guest_hypercall:
	mov	%rdi, %rcx
	mov	%rdx, %r8
	mov	%rsi, %rdx
	mov	$hypercall_page, %eax
	call	*%rax
	ret

/* Where an application processor starts: 16-bit real mode, copied below 1 MiB. */
	.globl	ap_start, ap_start_end
	.code16
ap_start:
	cli
	movw	$0x5a5a, %cs:(ap_mark - ap_start)
1:	hlt
	jmp	1b
	.balign	4
ap_mark:
	.word	0
ap_start_end:
	.code64

	.data
	.balign	16
	.globl	gdt
gdt:
	.quad	0, 0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00cffb000000ffff
	.quad	0x00cff3000000ffff
	.quad	0x00affb000000ffff
	.quad	0
	.quad	0, 0 /* TSS */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.globl	guest_start_info, guest_boot_params, guest_entry_cs
	.balign	8
guest_start_info: /* one of the two */
	.quad	0
guest_boot_params:
	.quad	0
guest_entry_cs:
	.long	0

/* The low 5 GiB one to one, in 2 MiB pages that ring 3 may use. */
	.balign	4096
page_map:
	.quad	page_pointers + 7
	.fill	511, 8, 0
page_pointers:
	.quad	page_directories + 0x0007
	.quad	page_directories + 0x1007
	.quad	page_directories + 0x2007
	.quad	page_directories + 0x3007
	.quad	page_directories + 0x4007
	.fill	507, 8, 0
page_directories:
	.set	frame, 0
	.rept	2560
	.quad	frame + 0x87
	.set	frame, frame + 0x200000
	.endr

	.bss
	.balign	4096
	.globl	hypercall_page
hypercall_page:
	.skip	4096
	.globl	kernel_stack_top
	.skip	16384
kernel_stack_top:
	.skip	16384
user_stack_top:

	.section .note.GNU-stack, "", @progbits
