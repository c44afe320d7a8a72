/* SPDX-License-Identifier: MIT
 *
 * synthvid.h - the video VSP: a frame buffer in guest memory, and what changed in it.
 *
 * The guest says where the frame buffer is (ordinary RAM or the video window of the partition), how
 * large the picture is, and which rectangles it touched. Nothing of that is believed: an image is
 * taken only from memory that the partition has, at sizes up to SYNTHVID_MAX_*.
 *
 * Threads: callbacks come on the channel's worker, with a lock of the device held: they must not
 * call back. Everything else is the owner's; synthvid_capture() may be called by any one thread.
 *
 * Source: linux drivers/video/fbdev/hyperv_fb.c (the guest's half).
 */
#ifndef VIADUCT_VMBUS_SYNTHVID_H
#define VIADUCT_VMBUS_SYNTHVID_H

#include "vmbus/vmbus.h"

#define SYNTHVID_MAX_WIDTH  2560
#define SYNTHVID_MAX_HEIGHT 1600
#define SYNTHVID_MAX_RECTS  255

struct synthvid;

struct synthvid_mode {
	bool active;
	uint32_t width, height; /* pixels, 32 bits each: blue, green, red, unused */
	uint32_t pitch_bytes;
	gpa_t first_pixel;
};

struct synthvid_rect {
	uint32_t x1, y1, x2, y2; /* x2, y2 exclusive; inside the picture */
};

struct synthvid_ops {
	void (*mode_changed)(void *data, const struct synthvid_mode *mode);
	void (*damaged)(void *data, const struct synthvid_rect *rects, unsigned n_rects);
};

struct synthvid_config {
	uint32_t vram_bytes;            /* the partition's video window, a multiple of 1 MiB */
	uint32_t width, height;         /* offered as the default; 1024 x 768 when 0 */
	const struct synthvid_ops *ops; /* may be NULL */
	void *data;
};

int synthvid_new(
	struct vmbus *bus, const struct synthvid_config *config, struct synthvid **ret_video);
void synthvid_free(struct synthvid *video);
int synthvid_register_unit(struct synthvid *video, struct unit_registry *registry);

/* The current mode. */
void synthvid_get_mode(struct synthvid *video, struct synthvid_mode *ret_mode);
/* Copy rows [y, y + n_rows) of the picture, 4 * width bytes each, into `ret_pixels`. -ENODATA:
 * there is no picture; -ERANGE: not inside it (it may have changed); -EFAULT: not in guest memory.
 */
int synthvid_capture(struct synthvid *video, uint32_t y, uint32_t n_rows, uint8_t *ret_pixels,
	size_t size_bytes);
/* Somebody looks (ask the guest for changes) or nobody does (spare it the work). */
int synthvid_set_watched(struct synthvid *video, bool watched);

#endif
