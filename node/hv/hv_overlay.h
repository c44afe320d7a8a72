/* SPDX-License-Identifier: MIT
 *
 * hv_overlay.h - a page laid over guest RAM: the guest names it with an MSR (bit 0 enable, [63:12]
 * frame), and what was below it comes back when it is taken away.
 */
#ifndef VIADUCT_NODE_HV_HV_OVERLAY_H
#define VIADUCT_NODE_HV_HV_OVERLAY_H

#include "base/bytes.h"
#include "base/gpa.h"

struct hv_overlay {
	uint8_t *host; /* the page, or NULL while there is none */
	gpa_t at;
	uint8_t below[GPA_PAGE_SIZE];
};

/* Follow a write of `msr` to the page's register: place, move or take away. A page that was placed
 * or moved starts with `content` (NULL: zeros). -EFAULT when the frame is not RAM; nothing changes
 * then. */
int hv_overlay_set(
	struct hv_overlay *overlay, struct gpa_space *memory, uint64_t msr, const uint8_t *content);

/* The page's bytes are guest RAM and travel with it; only what lies below is saved. */
void hv_overlay_save(const struct hv_overlay *overlay, struct buf *out);
/* `msr` as restored before. -EBADMSG. */
int hv_overlay_restore(
	struct hv_overlay *overlay, struct gpa_space *memory, uint64_t msr, struct reader *in);

#endif
