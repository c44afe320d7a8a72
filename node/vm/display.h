/* SPDX-License-Identifier: MIT
 *
 * display.h - what people see of a VM and how they reach it: VNC viewers and pictures.
 *
 * The display never listens: connected sockets are handed to it. It has one thread, which serves
 * all viewers, copies what the guest changed and passes on keys and pointer. A viewer is hostile:
 * slow ones are dropped, none gets at anything but this guest's screen, keyboard and mouse.
 *
 * Threads: the owner calls everything; display_video_ops come from the video VSP's worker.
 */
#ifndef VIADUCT_NODE_VM_DISPLAY_H
#define VIADUCT_NODE_VM_DISPLAY_H

#include "base/bytes.h"
#include "vmbus/synthinput.h"
#include "vmbus/synthvid.h"

#define DISPLAY_MAX_CLIENTS 8

struct display;

/* For synthvid_new(), with the address of the pointer that display_new() will set as its data: it
 * is NULL until then, and news are dropped. */
extern const struct synthvid_ops display_video_ops;

/* The devices outlive the display. `title` is shown by viewers. */
int display_new(struct synthvid *video, struct synthkbd *keyboard, struct synthmouse *mouse,
	const char *title, struct display **ret_display);
void display_free(struct display *display);
/* Takes over the connected socket, also on failure. -EBUSY: DISPLAY_MAX_CLIENTS are there. */
int display_add_client(struct display *display, int fd);
/* The picture as PNG. -ENODATA: there is none. */
int display_screenshot(struct display *display, struct buf *ret_png);

#endif
