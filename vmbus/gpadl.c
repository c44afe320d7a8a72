/* SPDX-License-Identifier: MIT */
#include "vmbus/gpadl.h"
#include "base/bytes.h"

/* 52 bits of physical address are all an x86 CPU can have. */
#define MAX_PFN ((1ULL << (52 - GPA_PAGE_SHIFT)) - 1)

bool gpadl_pfn_address(const uint8_t *pfns, uint32_t index, gpa_t *ret_address)
{
	uint64_t pfn = load_le64(pfns + (size_t)index * sizeof(uint64_t));

	if (pfn > MAX_PFN)
		return false;
	*ret_address = gpa_from_pfn(pfn);
	return true;
}

static bool pfns_are_consecutive(const uint8_t *pfns, uint32_t n_pages)
{
	uint64_t first = load_le64(pfns);

	for (uint32_t i = 1; i < n_pages; i++) {
		if (load_le64(pfns + (size_t)i * sizeof(uint64_t)) != first + i)
			return false;
	}
	return true;
}

static int find_pages(struct vmbus_gpadl *gpadl)
{
	gpa_t at;

	gpadl->pages = calloc(gpadl->n_pages, sizeof(*gpadl->pages));
	if (!gpadl->pages)
		return -ENOMEM;
	for (uint32_t i = 0; i < gpadl->n_pages; i++) {
		if (!gpadl_pfn_address(gpadl->pfns, i, &at))
			return -EFAULT;
		gpadl->pages[i] = gpa_window(gpadl->memory, at, GPA_PAGE_SIZE);
		if (!gpadl->pages[i])
			return -EFAULT;
	}
	return 0;
}

int gpadl_new(struct gpa_space *memory, uint32_t id, struct vmbus_gpa_range range,
	const uint8_t *pfns, struct vmbus_gpadl **ret_gpadl)
{
	uint64_t end = (uint64_t)range.byte_offset + range.byte_count;
	uint32_t n_pages = (uint32_t)(ALIGN_UP(end, GPA_PAGE_SIZE) / GPA_PAGE_SIZE);
	struct vmbus_gpadl *gpadl = calloc(1, sizeof(*gpadl));
	gpa_t at;
	int err;

	if (!gpadl)
		return -ENOMEM;
	list_init(&gpadl->link);
	gpadl->id = id;
	gpadl->n_pages = n_pages;
	gpadl->first_byte = range.byte_offset;
	gpadl->size_bytes = range.byte_count;
	gpadl->memory = memory;
	gpadl->pfns = pfns;
	if (pfns_are_consecutive(pfns, n_pages) && gpadl_pfn_address(pfns, 0, &at))
		gpadl->base = gpa_window(memory, at, (size_t)n_pages * GPA_PAGE_SIZE);
	err = gpadl->base ? 0 : find_pages(gpadl);
	if (err) {
		gpadl_free(gpadl);
		return err;
	}
	*ret_gpadl = gpadl;
	return 0;
}

void gpadl_free(struct vmbus_gpadl *gpadl)
{
	if (!gpadl)
		return;
	free(gpadl->pages);
	free(gpadl);
}

uint8_t *gpadl_page(const struct vmbus_gpadl *gpadl, uint32_t page)
{
	return gpadl->base ? gpadl->base + (size_t)page * GPA_PAGE_SIZE : gpadl->pages[page];
}

/* How much of a copy lies in one run of the host; `at` counts from the start of the first page. */
static size_t run_bytes(const struct vmbus_gpadl *gpadl, uint32_t at, size_t size_bytes)
{
	return gpadl->base ? size_bytes
			   : MIN(size_bytes, (size_t)(GPA_PAGE_SIZE - at % GPA_PAGE_SIZE));
}

static uint8_t *host_at(const struct vmbus_gpadl *gpadl, uint32_t at)
{
	return gpadl_page(gpadl, (uint32_t)(at / GPA_PAGE_SIZE)) + at % GPA_PAGE_SIZE;
}

void gpadl_copy_from(
	const struct vmbus_gpadl *gpadl, uint32_t offset, void *ret_data, size_t size_bytes)
{
	uint32_t at = gpadl->first_byte + offset;
	uint8_t *to = ret_data;
	size_t n;

	for (; size_bytes; size_bytes -= n, to += n, at += (uint32_t)n) {
		n = run_bytes(gpadl, at, size_bytes);
		memcpy(to, host_at(gpadl, at), n);
	}
}

void gpadl_copy_to(
	const struct vmbus_gpadl *gpadl, uint32_t offset, const void *data, size_t size_bytes)
{
	uint32_t at = gpadl->first_byte + offset;
	const uint8_t *from = data;
	size_t n;

	for (; size_bytes; size_bytes -= n, from += n, at += (uint32_t)n) {
		n = run_bytes(gpadl, at, size_bytes);
		memcpy(host_at(gpadl, at), from, n);
	}
}

void gpadl_mark_dirty(const struct vmbus_gpadl *gpadl, uint32_t offset, size_t size_bytes)
{
	uint32_t at = gpadl->first_byte + offset;
	gpa_t page;
	size_t n;

	for (; size_bytes; size_bytes -= n, at += (uint32_t)n) {
		n = run_bytes(gpadl, at, size_bytes);
		if (gpadl_pfn_address(gpadl->pfns, (uint32_t)(at / GPA_PAGE_SIZE), &page))
			gpa_mark_dirty(gpadl->memory, gpa_add(page, at % GPA_PAGE_SIZE), n);
	}
}

uint32_t vmbus_gpadl_size_bytes(const struct vmbus_gpadl *gpadl)
{
	return gpadl->size_bytes;
}

static bool range_is_inside(const struct vmbus_gpadl *gpadl, uint32_t offset, size_t size_bytes)
{
	uint32_t total_bytes = vmbus_gpadl_size_bytes(gpadl);

	return offset <= total_bytes && size_bytes <= total_bytes - offset;
}

int vmbus_gpadl_read(
	const struct vmbus_gpadl *gpadl, uint32_t offset, void *ret_data, size_t size_bytes)
{
	if (!range_is_inside(gpadl, offset, size_bytes))
		return -EFAULT;
	gpadl_copy_from(gpadl, offset, ret_data, size_bytes);
	return 0;
}

int vmbus_gpadl_write(
	const struct vmbus_gpadl *gpadl, uint32_t offset, const void *data, size_t size_bytes)
{
	if (!range_is_inside(gpadl, offset, size_bytes))
		return -EFAULT;
	gpadl_copy_to(gpadl, offset, data, size_bytes);
	gpadl_mark_dirty(gpadl, offset, size_bytes);
	return 0;
}
