/* SPDX-License-Identifier: MIT */
#include "node/hv/hv_overlay.h"

#include "vmbus/proto/hypercall.h"

enum {
	BELOW_NOTHING = 0, /* no overlay */
	BELOW_ZEROS = 1,   /* what most guests lay their pages over */
	BELOW_BYTES = 2,
};

static const uint8_t zero_page[GPA_PAGE_SIZE];

static gpa_t page_of(uint64_t msr)
{
	return gpa_from_pfn(msr >> HV_MSR_PAGE_PFN_SHIFT);
}

static void page_write(struct gpa_space *memory, gpa_t at, uint8_t *host, const uint8_t *content)
{
	memcpy(host, content, GPA_PAGE_SIZE);
	gpa_mark_dirty(memory, at, GPA_PAGE_SIZE);
}

int hv_overlay_set(
	struct hv_overlay *overlay, struct gpa_space *memory, uint64_t msr, const uint8_t *content)
{
	gpa_t at = page_of(msr);
	uint8_t *host = NULL;

	if (msr & HV_MSR_PAGE_ENABLE) {
		host = gpa_window(memory, at, GPA_PAGE_SIZE);
		if (!host)
			return -EFAULT;
	}
	if (host == overlay->host)
		return 0;
	if (overlay->host)
		page_write(memory, overlay->at, overlay->host, overlay->below);
	overlay->host = host;
	overlay->at = at;
	if (host) {
		memcpy(overlay->below, host, GPA_PAGE_SIZE);
		page_write(memory, at, host, content ? content : zero_page);
	}
	return 0;
}

void hv_overlay_save(const struct hv_overlay *overlay, struct buf *out)
{
	if (!overlay->host) {
		buf_u8(out, BELOW_NOTHING);
	} else if (memcmp(overlay->below, zero_page, GPA_PAGE_SIZE) == 0) {
		buf_u8(out, BELOW_ZEROS);
	} else {
		buf_u8(out, BELOW_BYTES);
		buf_bytes(out, overlay->below, GPA_PAGE_SIZE);
	}
}

int hv_overlay_restore(
	struct hv_overlay *overlay, struct gpa_space *memory, uint64_t msr, struct reader *in)
{
	uint8_t kind = reader_u8(in);
	bool enabled = msr & HV_MSR_PAGE_ENABLE;

	if (!reader_ok(in) || kind > BELOW_BYTES || enabled != (kind != BELOW_NOTHING))
		return -EBADMSG;
	overlay->host = NULL;
	memset(overlay->below, 0, GPA_PAGE_SIZE);
	if (kind == BELOW_BYTES)
		reader_bytes(in, overlay->below, GPA_PAGE_SIZE);
	if (!reader_ok(in))
		return -EBADMSG;
	if (!enabled)
		return 0;
	overlay->at = page_of(msr);
	overlay->host = gpa_window(memory, overlay->at, GPA_PAGE_SIZE);
	return overlay->host ? 0 : -EBADMSG;
}
