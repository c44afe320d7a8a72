/* SPDX-License-Identifier: MIT
 *
 * pvh_start.c - start-of-day structures and the state in which VP 0 enters a PVH image.
 */
#include "node/hv/internal.h"
#include "node/hv/pvh.h"

#include <string.h>

/* PCs have no RAM between these, and guests know it. */
#define HOLE_FIRST 0xa0000ULL
#define HOLE_END   0x100000ULL

#define MAX_MEMORY_MAP (GPA_MAX_REGIONS + 1)
_Static_assert(
	PVH_MEMORY_MAP_GPA + MAX_MEMORY_MAP * sizeof(struct pvh_memory) <= PVH_COMMAND_LINE_GPA,
	"the memory map must end before the command line");

static uint32_t build_memory_map(const struct gpa_space *memory, struct pvh_memory *map)
{
	uint32_t n = 0;

	for (size_t i = 0; i < gpa_space_n_regions(memory); i++) {
		const struct gpa_region *region = gpa_space_region(memory, i);
		uint64_t first = region->base.v, end = first + region->size_bytes;

		if (first < HOLE_FIRST && end > HOLE_END) {
			map[n++] = (struct pvh_memory){
				.base = first,
				.size_bytes = HOLE_FIRST - first,
				.type = PVH_MEMORY_RAM,
			};
			first = HOLE_END;
		}
		map[n++] = (struct pvh_memory){
			.base = first,
			.size_bytes = end - first,
			.type = PVH_MEMORY_RAM,
		};
	}
	return n;
}

int pvh_write_start_info(struct gpa_space *memory, const char *cmdline)
{
	struct pvh_memory map[MAX_MEMORY_MAP];
	struct pvh_start_info info = {
		.magic = PVH_START_INFO_MAGIC,
		.version = PVH_START_INFO_VERSION,
		.command_line = PVH_COMMAND_LINE_GPA,
		.memory_map = PVH_MEMORY_MAP_GPA,
		.n_memory_map = build_memory_map(memory, map),
	};
	size_t cmdline_bytes = strlen(cmdline) + 1;
	int r;

	if (cmdline_bytes > PVH_COMMAND_LINE_MAX_BYTES)
		return -E2BIG;
	r = gpa_write(memory, gpa(PVH_START_INFO_GPA), &info, sizeof(info));
	if (r == 0)
		r = gpa_write(
			memory, gpa(PVH_MEMORY_MAP_GPA), map, info.n_memory_map * sizeof(map[0]));
	if (r == 0)
		r = gpa_write(memory, gpa(PVH_COMMAND_LINE_GPA), cmdline, cmdline_bytes);
	return r;
}

#define CR0_PE 0x01
#define CR0_ET 0x10 /* hardwired */

#define SEGMENT_CODE 0xb /* execute, read, accessed */
#define SEGMENT_DATA 0x3 /* read, write, accessed */
#define SEGMENT_TSS  0xb /* 32-bit, busy */

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

/* 32-bit protected mode, paging off, flat segments, EBX = start info, interrupts off; the guest
 * brings its own GDT before it loads a segment register. */
static int set_entry_state(struct vp *vp, uint32_t entry)
{
	struct kvm_regs regs = {
		.rip = entry,
		.rbx = PVH_START_INFO_GPA,
		.rflags = 0x2,
	};
	struct kvm_sregs sregs;
	int r = kvm_call(vp->fd, KVM_GET_SREGS, &sregs);

	if (r < 0)
		return r;
	sregs.cs = flat_segment(SEGMENT_CODE);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(SEGMENT_DATA);
	sregs.tr = (struct kvm_segment){.limit = 0x67, .type = SEGMENT_TSS, .present = 1};
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr3 = 0;
	sregs.cr4 = 0;
	sregs.efer = 0;
	r = kvm_call(vp->fd, KVM_SET_SREGS, &sregs);
	return r < 0 ? r : kvm_call(vp->fd, KVM_SET_REGS, &regs);
}

int partition_boot(
	struct partition *partition, const struct partition_boot *boot, const char **ret_why)
{
	uint32_t entry;
	int r = pvh_load(partition->memory, boot->kernel_fd, &entry, ret_why);

	if (r < 0)
		return r;
	r = pvh_write_start_info(partition->memory, boot->cmdline);
	if (r == -E2BIG) {
		*ret_why = "the command line is too long";
		return -ENOEXEC;
	}
	return r < 0 ? r : set_entry_state(&partition->vps[0], entry);
}
