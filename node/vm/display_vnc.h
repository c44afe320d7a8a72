/* SPDX-License-Identifier: MIT
 *
 * display_vnc.h - VNC viewers of one picture, on libvncserver. Internal to the display.
 *
 * It never listens, and only what a plain viewer needs gets to the library: a viewer that sends
 * anything but pixel formats, encodings, requests for updates, keys, pointer and clipboard text
 * (which is read over) is dropped. So there are no file transfer, chat, scaling, TLS or WebSockets.
 *
 * libvncserver waits for a viewer that takes only half of something. So a viewer is served in
 * turns, a part of the picture at most in each, when its socket takes anything at all; one that
 * takes nothing for some seconds is dropped, and one whose turn takes too long by
 * vnc_server_guard(). Half of a message waits until it is whole, for some seconds.
 *
 * A password is checked the way VNC does it: DES over a challenge, eight characters, nothing
 * encrypted afterwards. It keeps honest people apart; who may connect at all is decided before.
 *
 * Threads: one serves and calls everything; vnc_server_guard() and vnc_server_hang_up() may be
 * called from any other. The library has state of its own: one thread serves all servers of a
 * process, or they are served under one lock.
 *
 * Source: RFC 6143.
 */
#ifndef VIADUCT_NODE_VM_DISPLAY_VNC_H
#define VIADUCT_NODE_VM_DISPLAY_VNC_H

#include "base/err.h"

#include <poll.h>

struct vnc_server;

/* All are required. Called while a viewer is served; must not call back. */
struct vnc_ops {
	/* An X keysym goes down or up. */
	void (*key)(void *data, uint32_t keysym, bool down);
	/* Buttons as of the RFB protocol: bit 0 left, 1 middle, 2 right, 3 and 4 the wheel. */
	void (*pointer)(void *data, uint8_t buttons, uint32_t x, uint32_t y);
	/* A viewer went, and had buttons or more keys down than are kept count of; the keys that
	 * are go up first. */
	void (*let_go)(void *data);
};

/* `pixels`: blue, green, red, unused; they stay the caller's, and are looked at until there are
 * others or the server is freed. */
struct vnc_picture {
	uint8_t *pixels;
	uint32_t width, height;
};

int vnc_server_new(const char *title, const struct vnc_picture *picture, unsigned max_clients,
	const struct vnc_ops *ops, void *data, struct vnc_server **ret_server);
/* Hangs up. */
void vnc_server_free(struct vnc_server *server);

#define VNC_PASSWORD_MAX_LEN 8

/* For viewers that come from now on; "": none. At most VNC_PASSWORD_MAX_LEN characters count. */
void vnc_server_set_password(struct vnc_server *server, const char *password);

/* Takes the connected socket over, also on failure. -EBUSY, -EMFILE, -ENOMEM, -errno. */
int vnc_server_add(struct vnc_server *server, int fd);
unsigned vnc_server_n_clients(const struct vnc_server *server);

void vnc_server_set_picture(struct vnc_server *server, const struct vnc_picture *picture);
/* This part of it is another now; x2, y2 exclusive. */
void vnc_server_changed(
	struct vnc_server *server, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2);

/* What to wait for; at most `max_clients` of them, in the order that serve() expects them back. */
unsigned vnc_server_poll_fds(struct vnc_server *server, struct pollfd *ret_fds);
/* When to serve at the latest, though nothing comes, on the monotonic clock; UINT64_MAX: never. */
uint64_t vnc_server_deadline_ns(const struct vnc_server *server);
void vnc_server_serve(struct vnc_server *server, const struct pollfd *fds, unsigned n_fds);

/* Drop the viewer whose turn takes too long. Call every second or so while there are viewers. */
void vnc_server_guard(struct vnc_server *server);
/* End the current turn, and all that begin, soon: the serving thread is to stop. */
void vnc_server_hang_up(struct vnc_server *server);

#endif
