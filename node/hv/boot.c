/* SPDX-License-Identifier: MIT
 *
 * boot.c - partition_boot(): kernel, initial RAM disk and tables into RAM, and the state in which
 * VP 0 enters. That is built upon what KVM reports of a VP after its reset, because not every KVM
 * takes every bit.
 */
#include "node/hv/boot.h"
#include "node/hv/acpi.h"
#include "node/hv/internal.h"

#define CR0_PE   0x00000001ULL
#define CR0_ET   0x00000010ULL /* hardwired */
#define CR0_NE   0x00000020ULL
#define CR0_WP   0x00010000ULL
#define CR0_PG   0x80000000ULL
#define CR4_PAE  0x00000020ULL
#define EFER_LME 0x00000100ULL
#define EFER_LMA 0x00000400ULL

#define RFLAGS_RESERVED 0x2 /* always set */

#define SEGMENT_CODE 0xb /* execute, read, accessed */
#define SEGMENT_DATA 0x3 /* read, write, accessed */
#define SEGMENT_TSS  0xb /* 32-bit or 64-bit, busy */

static struct kvm_segment flat_segment(uint8_t type)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

static void set_data_segments(struct kvm_sregs *sregs, struct kvm_segment data)
{
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment){.limit = 0x67, .type = SEGMENT_TSS, .present = 1};
}

/* 32-bit protected mode, paging off, flat segments; the guest brings its own GDT before it loads a
 * segment register. */
static void set_protected_mode(struct kvm_sregs *sregs)
{
	sregs->cs = flat_segment(SEGMENT_CODE);
	set_data_segments(sregs, flat_segment(SEGMENT_DATA));
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr3 = 0;
	sregs->cr4 = 0;
	sregs->efer = 0;
}

static void set_long_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment code = flat_segment(SEGMENT_CODE), data = flat_segment(SEGMENT_DATA);

	code.selector = BOOT_CODE_SELECTOR;
	code.db = 0;
	code.l = 1;
	data.selector = BOOT_DATA_SELECTOR;
	sregs->cs = code;
	set_data_segments(sregs, data);
	sregs->gdt = (struct kvm_dtable){.base = BOOT_GDT_GPA, .limit = BOOT_GDT_BYTES - 1};
	sregs->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs->cr3 = BOOT_PAGE_TABLES_GPA;
	sregs->cr4 |= CR4_PAE;
	sregs->efer |= EFER_LME | EFER_LMA;
}

static int set_entry_state(struct vp *vp, const struct boot_kernel *kernel)
{
	bool is_pvh = kernel->protocol == BOOT_PVH;
	struct kvm_regs regs = {
		.rip = kernel->entry,
		.rbx = is_pvh ? BOOT_START_INFO_GPA : 0,
		.rsi = is_pvh ? 0 : BOOT_PARAMS_GPA,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_sregs sregs;
	int r = kvm_call(vp->fd, KVM_GET_SREGS, &sregs);

	if (r < 0)
		return r;
	if (is_pvh)
		set_protected_mode(&sregs);
	else
		set_long_mode(&sregs);
	r = kvm_call(vp->fd, KVM_SET_SREGS, &sregs);
	return r < 0 ? r : kvm_call(vp->fd, KVM_SET_REGS, &regs);
}

int partition_boot(
	struct partition *partition, const struct partition_boot *boot, const char **ret_why)
{
	struct image_file kernel_file = {.fd = boot->kernel_fd};
	struct image_file initrd_file = {.fd = boot->initrd_fd};
	struct gpa_space *memory = partition->memory;
	struct boot_initrd initrd = {0};
	struct boot_kernel kernel;
	int r = boot_load_kernel(memory, &kernel_file, &kernel);

	if (r == 0 && boot->initrd_fd >= 0)
		r = boot_load_initrd(memory, &kernel, &initrd_file, &initrd);
	if (r < 0) {
		const char *why = kernel_file.why ? kernel_file.why : initrd_file.why;

		if (why)
			*ret_why = why;
		return r;
	}
	r = boot_write_info(memory, partition->n_ram_regions, &kernel, &initrd, boot->cmdline);
	if (r == -E2BIG) {
		*ret_why = "the command line is too long";
		return -ENOEXEC;
	}
	if (r == 0)
		r = acpi_write_tables(memory, partition->n_vps, partition->chipset.pci.is_present);
	return r < 0 ? r : set_entry_state(&partition->vps[0], &kernel);
}
