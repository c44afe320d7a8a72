/* SPDX-License-Identifier: MIT
 *
 * mem.c - guest memory: anonymous, mapped and given to KVM region by region. What may be added
 * later is mapped from the beginning, because the map of regions never changes, but has no slot -
 * the guest finds nothing there - until the first of it is added; pages that nobody touched cost
 * nothing.
 *
 * Huge pages are asked for: the first touch of memory is what a boot, and the target of a
 * migration, spend most of their time on, and it is then one fault for 2 MiB. For that, host
 * addresses lie to 2 MiB as guest addresses do.
 */
#include "node/hv/internal.h"

#include <sys/mman.h>

/* Below 4 GiB the last GiB belongs to the local APICs, the IOAPIC and whatever else is not RAM. */
#define LOW_RAM_MAX_BYTES (3ULL << 30)
#define HIGH_RAM_BASE     (4ULL << 30)
#define HUGE_PAGE_BYTES   (2ULL << 20)

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

bool mem_has_slot(const struct partition *partition, size_t index)
{
	return index != partition->added_region || partition->added_bytes > 0;
}

/* Anonymous memory that begins at a huge page. */
static int map_aligned(uint64_t size_bytes, void **ret_host)
{
	uint64_t all_bytes = size_bytes + HUGE_PAGE_BYTES;
	uint8_t *all = mmap(NULL, all_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before_bytes;

	if (all == MAP_FAILED)
		return -errno;
	before_bytes = ALIGN_UP((uintptr_t)all, HUGE_PAGE_BYTES) - (uintptr_t)all;
	if (before_bytes)
		munmap(all, before_bytes);
	munmap(all + before_bytes + size_bytes, HUGE_PAGE_BYTES - before_bytes);
	*ret_host = all + before_bytes;
	return 0;
}

static int add_region(struct gpa_space *memory, gpa_t base, uint64_t size_bytes)
{
	void *host = NULL;
	int r = map_aligned(size_bytes, &host);

	if (r < 0)
		return r;
	(void)madvise(host, size_bytes, MADV_HUGEPAGE);
	/* A core of the VM's process shall not be as large as the VM, nor hold its secrets. */
	(void)madvise(host, size_bytes, MADV_DONTDUMP);
	r = gpa_space_add(memory, base, size_bytes, host);
	if (r < 0)
		munmap(host, size_bytes);
	return r;
}

static uint64_t addable_bytes(const struct partition_config *config)
{
	if (config->max_ram_bytes <= config->ram_bytes)
		return 0;
	return (config->max_ram_bytes - config->ram_bytes) / PARTITION_ADD_UNIT_BYTES *
	       PARTITION_ADD_UNIT_BYTES;
}

/* RAM at 0 and, what would reach beyond 3 GiB, from 4 GiB on; video memory; what may be added. */
static int add_regions(struct gpa_space *memory, const struct partition_config *config)
{
	uint64_t low_bytes = MIN(config->ram_bytes, LOW_RAM_MAX_BYTES);
	uint64_t high_bytes = config->ram_bytes - low_bytes;
	int r = add_region(memory, gpa(0), low_bytes);

	if (r == 0 && high_bytes)
		r = add_region(memory, gpa(HIGH_RAM_BASE), high_bytes);
	if (r == 0 && config->vram_bytes)
		r = add_region(memory, gpa(PARTITION_VRAM_GPA), config->vram_bytes);
	if (r == 0 && addable_bytes(config))
		r = add_region(memory,
			gpa(ALIGN_UP(
				HIGH_RAM_BASE + high_bytes, (uint64_t)PARTITION_ADD_UNIT_BYTES)),
			addable_bytes(config));
	return r;
}

int mem_init(struct partition *partition, const struct partition_config *config)
{
	int r = gpa_space_new(&partition->memory);

	if (r == 0)
		r = add_regions(partition->memory, config);
	if (r < 0)
		return r;
	partition->n_ram_regions = config->ram_bytes > LOW_RAM_MAX_BYTES ? 2 : 1;
	partition->added_region = SIZE_MAX;
	if (addable_bytes(config))
		partition->added_region = gpa_space_n_regions(partition->memory) - 1;
	for (size_t i = 0; r == 0 && i < gpa_space_n_regions(partition->memory); i++) {
		if (mem_has_slot(partition, i))
			r = mem_set_slot(partition->vm_fd, partition->memory, i, 0);
	}
	return r;
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

/* How many bytes of a region are RAM of the guest's. */
static uint64_t ram_bytes_locked(const struct partition *partition, size_t index)
{
	if (index < partition->n_ram_regions)
		return gpa_space_region(partition->memory, index)->size_bytes;
	return index == partition->added_region ? partition->added_bytes : 0;
}

/* The part of [first, ...) that lies in one region; NULL: not RAM. */
static uint8_t *ram_at_locked(const struct partition *partition, uint64_t at, uint64_t *left_bytes)
{
	for (size_t i = 0; i < gpa_space_n_regions(partition->memory); i++) {
		const struct gpa_region *region = gpa_space_region(partition->memory, i);
		uint64_t offset = at - region->base.v, n_bytes = ram_bytes_locked(partition, i);

		if (at >= region->base.v && offset < n_bytes) {
			*left_bytes = MIN(*left_bytes, n_bytes - offset);
			return (uint8_t *)region->host + offset;
		}
	}
	return NULL;
}

static bool is_ram_locked(const struct partition *partition, uint64_t at, uint64_t size_bytes)
{
	while (size_bytes) {
		uint64_t n_bytes = size_bytes;

		if (!ram_at_locked(partition, at, &n_bytes))
			return false;
		at += n_bytes;
		size_bytes -= n_bytes;
	}
	return true;
}

static int release_locked(struct partition *partition, uint64_t at, uint64_t size_bytes)
{
	if (!is_ram_locked(partition, at, size_bytes))
		return -EINVAL;
	while (size_bytes) {
		uint64_t n_bytes = size_bytes;
		uint8_t *host = ram_at_locked(partition, at, &n_bytes);

		if (madvise(host, n_bytes, MADV_DONTNEED) < 0)
			return -errno;
		/* KVM's log does not see it, and the other side may have the old bytes. */
		gpa_mark_dirty(partition->memory, gpa(at), n_bytes);
		at += n_bytes;
		size_bytes -= n_bytes;
	}
	return 0;
}

int partition_memory_release(struct partition *partition, gpa_t first, uint64_t size_bytes)
{
	int r;

	if (first.v % GPA_PAGE_SIZE || size_bytes % GPA_PAGE_SIZE || !size_bytes)
		return -EINVAL;
	pthread_mutex_lock(&partition->memory_lock);
	r = release_locked(partition, first.v, size_bytes);
	pthread_mutex_unlock(&partition->memory_lock);
	return r;
}

static int add_locked(struct partition *partition, uint64_t size_bytes, gpa_t *ret_first)
{
	const struct gpa_region *region =
		gpa_space_region(partition->memory, partition->added_region);
	int r = 0;

	if (!region || size_bytes > region->size_bytes - partition->added_bytes)
		return -ENOSPC;
	if (partition->added_bytes == 0)
		r = dirty_add_slot_locked(partition, partition->added_region);
	if (r < 0)
		return r;
	*ret_first = gpa_add(region->base, partition->added_bytes);
	partition->added_bytes += size_bytes;
	return 0;
}

int partition_memory_add(struct partition *partition, uint64_t size_bytes, gpa_t *ret_first)
{
	int r;

	if (!size_bytes || size_bytes % PARTITION_ADD_UNIT_BYTES)
		return -EINVAL;
	pthread_mutex_lock(&partition->memory_lock);
	r = add_locked(partition, size_bytes, ret_first);
	pthread_mutex_unlock(&partition->memory_lock);
	return r;
}

int mem_restore(struct partition *partition, struct reader *in)
{
	uint64_t added_bytes = reader_le64(in);
	gpa_t first;
	int r = 0;

	if (!reader_ok(in) || added_bytes % PARTITION_ADD_UNIT_BYTES)
		return -EBADMSG;
	pthread_mutex_lock(&partition->memory_lock);
	if (added_bytes < partition->added_bytes)
		r = -EBADMSG;
	else if (added_bytes > partition->added_bytes)
		r = add_locked(partition, added_bytes - partition->added_bytes, &first);
	pthread_mutex_unlock(&partition->memory_lock);
	return r == -ENOSPC ? -EBADMSG : r;
}
