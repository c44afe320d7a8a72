/* SPDX-License-Identifier: MIT */
#include "vmbus/ranges.h"
#include "vmbus/gpadl.h"

/* Where a walk over ranges stands, and how far it has to go. */
struct walk {
	struct gpa_space *memory;
	const struct vmbus_range *range, *end;
	uint32_t offset; /* into *range, or beyond it */
	size_t left_bytes;
};

/* The next bytes that lie in one page. 0, -ENODATA when the walk is over, -EFAULT. */
static int walk_next(struct walk *walk, uint8_t **ret_piece, size_t *ret_bytes)
{
	uint64_t at;
	gpa_t page;
	size_t n;

	if (!walk->left_bytes)
		return -ENODATA;
	while (walk->range < walk->end && walk->offset >= walk->range->byte_count) {
		walk->offset -= walk->range->byte_count;
		walk->range++;
	}
	if (walk->range == walk->end)
		return -EFAULT;
	at = (uint64_t)walk->range->byte_offset + walk->offset;
	n = MIN(walk->left_bytes, (size_t)(walk->range->byte_count - walk->offset));
	n = MIN(n, (size_t)(GPA_PAGE_SIZE - at % GPA_PAGE_SIZE));
	if (!gpadl_pfn_address(walk->range->pfns, (uint32_t)(at / GPA_PAGE_SIZE), &page))
		return -EFAULT;
	*ret_piece = gpa_window(walk->memory, gpa_add(page, at % GPA_PAGE_SIZE), n);
	if (!*ret_piece)
		return -EFAULT;
	walk->offset += (uint32_t)n;
	walk->left_bytes -= n;
	*ret_bytes = n;
	return 0;
}

static struct walk walk_begin(struct gpa_space *memory, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, size_t size_bytes)
{
	return (struct walk){
		.memory = memory,
		.range = ranges,
		.end = ranges + n_ranges,
		.offset = offset,
		.left_bytes = size_bytes,
	};
}

int ranges_read(struct gpa_space *memory, const struct vmbus_range *ranges, unsigned n_ranges,
	uint32_t offset, void *ret_data, size_t size_bytes)
{
	struct walk walk = walk_begin(memory, ranges, n_ranges, offset, size_bytes);
	uint8_t *piece, *to = ret_data;
	size_t n;
	int err;

	while (!(err = walk_next(&walk, &piece, &n))) {
		memcpy(to, piece, n);
		to += n;
	}
	return err == -ENODATA ? 0 : err;
}

int ranges_write(struct gpa_space *memory, const struct vmbus_range *ranges, unsigned n_ranges,
	uint32_t offset, const void *data, size_t size_bytes)
{
	struct walk walk = walk_begin(memory, ranges, n_ranges, offset, size_bytes);
	const uint8_t *from = data;
	uint8_t *piece;
	size_t n;
	int err;

	while (!(err = walk_next(&walk, &piece, &n))) {
		memcpy(piece, from, n);
		gpa_mark_dirty_host(memory, piece, n);
		from += n;
	}
	return err == -ENODATA ? 0 : err;
}

int ranges_iov(struct gpa_space *memory, const struct vmbus_range *ranges, unsigned n_ranges,
	uint32_t offset, size_t size_bytes, struct iovec *ret_iov, unsigned max_iov)
{
	struct walk walk = walk_begin(memory, ranges, n_ranges, offset, size_bytes);
	unsigned n_iov = 0;
	uint8_t *piece;
	size_t n;
	int err;

	while (!(err = walk_next(&walk, &piece, &n))) {
		struct iovec *last = n_iov ? &ret_iov[n_iov - 1] : NULL;

		if (last && (uint8_t *)last->iov_base + last->iov_len == piece) {
			last->iov_len += n;
			continue;
		}
		if (n_iov == max_iov)
			return -E2BIG;
		ret_iov[n_iov++] = (struct iovec){.iov_base = piece, .iov_len = n};
	}
	return err == -ENODATA ? (int)n_iov : err;
}
