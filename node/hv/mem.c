/* SPDX-License-Identifier: MIT */
#include "node/hv/internal.h"

#include <sys/mman.h>

/* Below 4 GiB the last GiB belongs to the local APICs, the IOAPIC and whatever else is not RAM. */
#define LOW_RAM_MAX_BYTES (3ULL << 30)
#define HIGH_RAM_BASE     (4ULL << 30)

int mem_set_slot(int vm_fd, const struct gpa_space *memory, size_t index, uint32_t flags)
{
	const struct gpa_region *region = gpa_space_region(memory, index);
	struct kvm_userspace_memory_region slot = {
		.slot = (uint32_t)index,
		.flags = flags,
		.guest_phys_addr = region->base.v,
		.memory_size = region->size_bytes,
		.userspace_addr = (uintptr_t)region->host,
	};

	return kvm_call(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

static int add_region(struct gpa_space *memory, int vm_fd, int ram_fd, uint64_t offset, gpa_t base,
	uint64_t bytes)
{
	void *host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, (off_t)offset);
	int r;

	if (host == MAP_FAILED)
		return -errno;
	/* A core of the VM's process shall not be as large as the VM, nor hold its secrets. */
	(void)madvise(host, bytes, MADV_DONTDUMP);
	r = gpa_space_add(memory, base, bytes, host);
	if (r < 0) {
		munmap(host, bytes);
		return r;
	}
	return mem_set_slot(vm_fd, memory, gpa_space_n_regions(memory) - 1, 0);
}

int mem_new(int vm_fd, uint64_t size_bytes, struct gpa_space **ret_memory)
{
	uint64_t low_bytes = MIN(size_bytes, LOW_RAM_MAX_BYTES);
	_cleanup_close_ int ram_fd = memfd_create("guest-ram", MFD_CLOEXEC);
	struct gpa_space *memory = NULL;
	int r;

	if (ram_fd < 0 || ftruncate(ram_fd, (off_t)size_bytes) < 0)
		return -errno;
	r = gpa_space_new(&memory);
	if (r < 0)
		return r;
	r = add_region(memory, vm_fd, ram_fd, 0, gpa(0), low_bytes);
	if (r == 0 && size_bytes > low_bytes)
		r = add_region(memory, vm_fd, ram_fd, low_bytes, gpa(HIGH_RAM_BASE),
			size_bytes - low_bytes);
	if (r < 0) {
		mem_free(memory);
		return r;
	}
	*ret_memory = memory;
	return 0;
}

void mem_free(struct gpa_space *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < gpa_space_n_regions(memory); i++) {
		const struct gpa_region *region = gpa_space_region(memory, i);

		munmap(region->host, region->size_bytes);
	}
	gpa_space_free(memory);
}
