/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/work.h"
#include "vmbus/guest/crc.h"

#define PAGES_PER_MB 256

#define FILL_SHARE   16 /* pages */
#define TOUCH_SHARE  8
#define VERIFY_SHARE 8

void work_init(struct work *work, void *base, size_t size_bytes)
{
	*work = (struct work){.base = base, .max_pages = size_bytes / WORK_PAGE_BYTES};
}

static uint8_t *page_at(const struct work *work, size_t index)
{
	return work->base + index * WORK_PAGE_BYTES;
}

static void start_touching(struct work *work, uint64_t now_ns)
{
	work->state = work->rate && work->n_pages ? WORK_TOUCHING : WORK_IDLE;
	work->started_ns = now_ns;
	work->n_at_rate = 0;
}

int work_set(struct work *work, uint32_t pages_per_s, uint32_t size_mb, uint64_t now_ns)
{
	uint64_t n_pages = (uint64_t)size_mb * PAGES_PER_MB;

	if (n_pages > work->max_pages)
		return -ENOMEM;
	work->rate = pages_per_s;
	if (n_pages == work->n_pages) {
		if (work->state != WORK_FILLING)
			start_touching(work, now_ns);
		return 0;
	}
	work->n_pages = n_pages;
	work->cursor = 0;
	work->pass = 0;
	work->verifying = false;
	work->state = n_pages ? WORK_FILLING : WORK_IDLE;
	return 0;
}

static void fill_share(struct work *work, uint64_t now_ns)
{
	for (int i = 0; i < FILL_SHARE && work->cursor < work->n_pages; i++) {
		work_page_fill(page_at(work, work->cursor), (uint32_t)work->cursor);
		work->cursor++;
	}
	if (work->cursor == work->n_pages) {
		work->cursor = 0;
		start_touching(work, now_ns);
	}
}

/* What was missed is caught up with: the rate is an average over the whole run. */
static uint64_t touches_due(const struct work *work, uint64_t now_ns)
{
	uint64_t elapsed_us = (now_ns - work->started_ns) / NS_PER_US;
	uint64_t due =
		elapsed_us / 1000 * work->rate / 1000 + elapsed_us % 1000 * work->rate / 1000000;

	return due > work->n_at_rate ? due - work->n_at_rate : 0;
}

static void touch_share(struct work *work, uint64_t n)
{
	while (n--) {
		if (!work_page_touch(
			    page_at(work, work->cursor), (uint32_t)work->cursor, work->pass))
			work->n_bad++;
		work->n_touched++;
		work->n_at_rate++;
		if (++work->cursor == work->n_pages) {
			work->cursor = 0;
			work->pass++;
		}
	}
}

bool work_run(struct work *work, uint64_t now_ns)
{
	uint64_t due;

	if (work->verifying)
		return false;
	switch (work->state) {
	case WORK_FILLING:
		fill_share(work, now_ns);
		return true;
	case WORK_TOUCHING:
		due = touches_due(work, now_ns);
		touch_share(work, MIN_OF(due, (uint64_t)TOUCH_SHARE));
		return due > 0;
	default:
		return false;
	}
}

bool work_is_busy(const struct work *work)
{
	return work->verifying || work->state != WORK_IDLE;
}

int work_verify_start(struct work *work)
{
	if (work->verifying || work->state == WORK_FILLING)
		return -EBUSY;
	work->verifying = true;
	work->verify_cursor = 0;
	work->verify_bad = 0;
	work->verify_crc = 0;
	return 0;
}

bool work_verify_step(struct work *work, uint64_t now_ns)
{
	for (int i = 0; i < VERIFY_SHARE && work->verify_cursor < work->n_pages; i++) {
		size_t index = work->verify_cursor++;
		const uint8_t *page = page_at(work, index);
		uint32_t pass = work->pass + (index < work->cursor);

		if (!work_page_verify(page, (uint32_t)index, pass))
			work->verify_bad++;
		work->verify_crc = crc32_update(work->verify_crc, page, WORK_PAGE_BYTES);
	}
	if (work->verify_cursor < work->n_pages)
		return false;
	work->verifying = false;
	start_touching(work, now_ns);
	return true;
}
