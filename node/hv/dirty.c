/* SPDX-License-Identifier: MIT
 *
 * dirty.c - which pages were written: KVM's log knows what VPs wrote, the memory door's marks what
 * we wrote. In manual mode reading the log does not protect pages again; clearing exactly the bits
 * that were read does, so that a write in between is seen next time.
 */
#include "base/bitmap.h"
#include "node/hv/internal.h"

/* Pages that one call protects again: KVM holds its MMU lock for the length of it. */
#define CLEAR_CHUNK_PAGES (1U << 18)

static size_t region_pages(const struct gpa_region *region)
{
	return region->size_bytes >> GPA_PAGE_SHIFT;
}

static void free_maps(struct partition *partition)
{
	if (!partition->dirty_maps)
		return;
	for (size_t i = 0; i < gpa_space_n_regions(partition->memory); i++)
		free(partition->dirty_maps[i]);
	free(partition->dirty_maps);
	partition->dirty_maps = NULL;
}

static int allocate_maps(struct partition *partition)
{
	size_t n = gpa_space_n_regions(partition->memory);

	partition->dirty_maps = calloc(n, sizeof(*partition->dirty_maps));
	if (!partition->dirty_maps)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct gpa_region *region = gpa_space_region(partition->memory, i);

		partition->dirty_maps[i] =
			calloc(BITMAP_WORDS(region_pages(region)), sizeof(uint64_t));
		if (!partition->dirty_maps[i]) {
			free_maps(partition);
			return -ENOMEM;
		}
	}
	return 0;
}

static int clear_log(const struct partition *partition, size_t index)
{
	size_t n_pages = region_pages(gpa_space_region(partition->memory, index));
	int r = 0;

	for (size_t first = 0; r >= 0 && first < n_pages; first += CLEAR_CHUNK_PAGES) {
		struct kvm_clear_dirty_log clear = {
			.slot = (uint32_t)index,
			.first_page = first,
			.num_pages = (uint32_t)MIN(n_pages - first, (size_t)CLEAR_CHUNK_PAGES),
			.dirty_bitmap = partition->dirty_maps[index] + first / 64,
		};

		r = kvm_call(partition->vm_fd, KVM_CLEAR_DIRTY_LOG, &clear);
	}
	return r < 0 ? r : 0;
}

/* A new log says that every page is dirty and protects none: clear it all. */
static int start_log(struct partition *partition, size_t index)
{
	size_t n_words = BITMAP_WORDS(region_pages(gpa_space_region(partition->memory, index)));
	int r = mem_set_slot(partition->vm_fd, partition->memory, index, KVM_MEM_LOG_DIRTY_PAGES);

	if (r < 0)
		return r;
	memset(partition->dirty_maps[index], 0xff, n_words * sizeof(uint64_t));
	return clear_log(partition, index);
}

static int start_region(struct partition *partition, size_t index)
{
	const struct gpa_region *region = gpa_space_region(partition->memory, index);
	size_t n_words = BITMAP_WORDS(region_pages(region));

	bitmap_drain_atomic(partition->dirty_maps[index], region->dirty, n_words);
	return mem_has_slot(partition, index) ? start_log(partition, index) : 0;
}

int dirty_add_slot_locked(struct partition *partition, size_t index)
{
	if (partition->dirty_maps)
		return start_log(partition, index);
	return mem_set_slot(partition->vm_fd, partition->memory, index, 0);
}

static int stop_locked(struct partition *partition)
{
	int r = 0;

	if (!partition->dirty_maps)
		return -EINVAL;
	for (size_t i = 0; i < gpa_space_n_regions(partition->memory); i++) {
		int error = mem_has_slot(partition, i)
				    ? mem_set_slot(partition->vm_fd, partition->memory, i, 0)
				    : 0;

		if (r == 0)
			r = error;
	}
	free_maps(partition);
	return r;
}

static int start_locked(struct partition *partition)
{
	int r;

	if (partition->dirty_maps)
		return -EBUSY;
	r = allocate_maps(partition);
	for (size_t i = 0; r == 0 && i < gpa_space_n_regions(partition->memory); i++)
		r = start_region(partition, i);
	if (r < 0 && partition->dirty_maps)
		(void)stop_locked(partition);
	return r;
}

static int collect_log(struct partition *partition, size_t index, uint64_t *bitmap, size_t n_words)
{
	uint64_t *map = partition->dirty_maps[index];
	struct kvm_dirty_log log = {.slot = (uint32_t)index, .dirty_bitmap = map};
	int r = kvm_call(partition->vm_fd, KVM_GET_DIRTY_LOG, &log);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n_words; i++)
		bitmap[i] |= map[i];
	return clear_log(partition, index);
}

static int collect_region(struct partition *partition, size_t index, uint64_t *bitmap)
{
	const struct gpa_region *region = gpa_space_region(partition->memory, index);
	size_t n_words = BITMAP_WORDS(region_pages(region));

	bitmap_drain_atomic(bitmap, region->dirty, n_words);
	return mem_has_slot(partition, index) ? collect_log(partition, index, bitmap, n_words) : 0;
}

static int collect_locked(struct partition *partition, uint64_t *const *bitmaps)
{
	int r = 0;

	if (!partition->dirty_maps)
		return -EINVAL;
	for (size_t i = 0; r == 0 && i < gpa_space_n_regions(partition->memory); i++)
		r = collect_region(partition, i, bitmaps[i]);
	return r;
}

int partition_dirty_start(struct partition *partition)
{
	int r;

	pthread_mutex_lock(&partition->memory_lock);
	r = start_locked(partition);
	pthread_mutex_unlock(&partition->memory_lock);
	return r;
}

int partition_dirty_collect(struct partition *partition, uint64_t *const *bitmaps)
{
	int r;

	pthread_mutex_lock(&partition->memory_lock);
	r = collect_locked(partition, bitmaps);
	pthread_mutex_unlock(&partition->memory_lock);
	return r;
}

int partition_dirty_stop(struct partition *partition)
{
	int r;

	pthread_mutex_lock(&partition->memory_lock);
	r = stop_locked(partition);
	pthread_mutex_unlock(&partition->memory_lock);
	return r;
}
