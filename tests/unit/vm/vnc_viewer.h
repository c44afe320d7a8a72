/* SPDX-License-Identifier: MIT
 *
 * vnc_viewer.h - a small VNC viewer for tests, written from RFC 6143: version 3.8, raw pixels,
 * changes of the picture's size. Every wait is bounded; what the protocol does not allow fails the
 * test.
 */
#ifndef VIADUCT_TESTS_UNIT_VM_VNC_VIEWER_H
#define VIADUCT_TESTS_UNIT_VM_VNC_VIEWER_H

#include "base/err.h"

struct vnc_viewer {
	int fd;
	uint32_t width, height;
	uint32_t *pixels; /* 0x00rrggbb */
	char title[128];
	unsigned n_rects, n_resizes; /* so far */
	uint64_t n_pixels;
};

/* A connected pair; the other end is to be handed to the display. */
int vnc_viewer_init(struct vnc_viewer *viewer);
void vnc_viewer_fini(struct vnc_viewer *viewer);

/* Up to the server's greeting and list of security types; whether it has this one. */
bool vnc_viewer_offers(struct vnc_viewer *viewer, uint8_t security_type);
/* All of the handshake, without a password, and encodings and pixel format set. */
void vnc_viewer_connect(struct vnc_viewer *viewer);
/* The two parts that follow a security type that was accepted: up to the server's word on size and
 * title; and the viewer's on pixels and encodings. */
void vnc_viewer_begin(struct vnc_viewer *viewer);
void vnc_viewer_set_up(struct vnc_viewer *viewer);

void vnc_viewer_send(struct vnc_viewer *viewer, const void *message, size_t size_bytes);
void vnc_viewer_request(struct vnc_viewer *viewer, bool incremental);
/* The next update. */
void vnc_viewer_update(struct vnc_viewer *viewer);
/* Request and take updates until the pixel has this colour. */
void vnc_viewer_await_pixel(struct vnc_viewer *viewer, uint32_t x, uint32_t y, uint32_t colour);
void vnc_viewer_await_size(struct vnc_viewer *viewer, uint32_t width, uint32_t height);
void vnc_viewer_key(struct vnc_viewer *viewer, uint32_t keysym, bool down);
void vnc_viewer_pointer(struct vnc_viewer *viewer, uint8_t buttons, uint16_t x, uint16_t y);
/* The server hangs up, whatever it sends before. */
void vnc_viewer_await_end(struct vnc_viewer *viewer);

#endif
