/* SPDX-License-Identifier: MIT
 *
 * synthvid.h - the video VSP: a frame buffer in guest memory, and what changed in it.
 *
 * The guest says where the frame buffer is (ordinary RAM or the video window of the partition), how
 * large the picture is, and which rectangles it touched. Nothing of that is believed: an image is
 * taken only from memory that the partition has, at sizes up to SYNTHVID_MAX_*.
 *
 * Capturing needs no word of the guest's: a driver that never says what it touched still has a
 * picture.
 *
 * Threads: callbacks come on the channel's worker, or where the channel is closed or restored, with
 * a lock of the device held: they must not call back. synthvid_get_mode(), _capture() and
 * _set_watched() may be called from any thread; everything else is the owner's.
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
	uint32_t width, height;
	/* In guest memory: 32 (blue, green, red, unused) or 16 (5, 6, 5). What synthvid_capture()
	 * gives has 32 always. */
	uint32_t depth_bits;
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
	uint32_t vram_bytes;    /* the partition's video window, a multiple of 1 MiB, at least 4 */
	uint32_t width, height; /* offered as the default; 1024 x 768 when 0 */
	const struct synthvid_ops *ops; /* may be NULL, and both set later */
	void *data;
};

int synthvid_new(
	struct vmbus *bus, const struct synthvid_config *config, struct synthvid **ret_video);
void synthvid_free(struct synthvid *video);
int synthvid_register_unit(struct synthvid *video, struct unit_registry *registry);

/* Whom to call from now on; ops NULL: nobody, and nobody is being called on return. */
void synthvid_set_ops(struct synthvid *video, const struct synthvid_ops *ops, void *data);

struct synthvid_info {
	uint32_t version; /* (minor << 16) + major; 0 until negotiated */
	uint64_t n_protocol_errors;
};
void synthvid_get_info(struct synthvid *video, struct synthvid_info *ret_info);

/* The current mode. */
void synthvid_get_mode(struct synthvid *video, struct synthvid_mode *ret_mode);
/* Copy rows [y, y + n_rows) of the picture, 4 * width bytes each and `size_bytes` in all, into
 * `ret_pixels`. -ENODATA: there is no picture; -ERANGE: not inside it, or not its width (it may
 * have changed); -EFAULT: not in guest memory. */
int synthvid_capture(struct synthvid *video, uint32_t y, uint32_t n_rows, uint8_t *ret_pixels,
	size_t size_bytes);
/* Somebody looks (ask the guest for changes) or nobody does (spare it the work). */
int synthvid_set_watched(struct synthvid *video, bool watched);

#endif
