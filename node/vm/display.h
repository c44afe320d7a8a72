/* SPDX-License-Identifier: MIT
 *
 * display.h - what people see of a VM and how they reach it: VNC viewers and pictures.
 *
 * The display never listens: connected sockets are handed to it. It has one thread, which serves
 * all viewers, copies what the guest changed and passes on keys and pointer, and one that sees to
 * it that no viewer keeps the first one waiting. A viewer is hostile: slow ones are dropped, none
 * gets at anything but this guest's screen, keyboard and mouse.
 *
 * The guest is asked for its changes while there are viewers; whatever it says, and when it says
 * nothing, the picture is looked at now and then.
 *
 * Threads: the owner calls everything.
 */
#ifndef VIADUCT_NODE_VM_DISPLAY_H
#define VIADUCT_NODE_VM_DISPLAY_H

#include "base/bytes.h"
#include "vmbus/synthinput.h"
#include "vmbus/synthvid.h"

#define DISPLAY_MAX_CLIENTS 8

struct display;

/* The devices outlive the display, which takes the video's ops for itself. `title` is shown by
 * viewers. */
int display_new(struct synthvid *video, struct synthkbd *keyboard, struct synthmouse *mouse,
	const char *title, struct display **ret_display);
void display_free(struct display *display);
/* Takes over the connected socket, also on failure. -EBUSY: DISPLAY_MAX_CLIENTS are there. */
int display_add_client(struct display *display, int fd);
/* Ask viewers that come from now on for a password; "": none, as in the beginning. VNC's way of
 * asking is weak (eight characters, DES, nothing encrypted afterwards): who may connect at all is
 * to be decided by whoever hands over the sockets. */
void display_set_password(struct display *display, const char *password);
/* The picture as PNG, appended. -ENODATA: there is none. */
int display_screenshot(struct display *display, struct buf *ret_png);

#endif
