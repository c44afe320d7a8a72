/* SPDX-License-Identifier: MIT
 *
 * kbd_vsp.h - the keyboard as a state machine: the guest's messages in, answers into the queue, and
 * keystrokes that wait for the guest. Internal to vmbus/; synthkbd.c gives it a channel, a lock and
 * a unit.
 *
 * CLOSED -channel opened-> OPEN -version accepted-> CONNECTED.
 *
 * Every key that is down has room for its release reserved, so that it never stays down because
 * the guest is slow: n_events + n_reserved <= KBD_MAX_EVENTS. What needs several strokes (a shifted
 * character) goes in as a whole or not at all.
 */
#ifndef VIADUCT_VMBUS_KBD_VSP_H
#define VIADUCT_VMBUS_KBD_VSP_H

#include "vmbus/kbd_map.h"
#include "vmbus/pipe_queue.h"
#include "vmbus/proto/synthinput.h"

#define KBD_MAX_EVENTS 256

enum kbd_phase {
	KBD_CLOSED,
	KBD_OPEN, /* no version yet */
	KBD_CONNECTED,
};

struct kbd_event {
	uint16_t make_code;
	uint8_t info; /* SYNTHKBD_UNICODE, ... */
};

struct kbd_vsp {
	struct pipe_queue out;
	enum kbd_phase phase;
	uint32_t leds;
	struct kbd_event events[KBD_MAX_EVENTS];
	unsigned first_event, n_events;
	bool down[KBD_N_KEYS];
	unsigned n_reserved;
	bool release_wanted; /* release everything as soon as that may be; not part of the state */
	uint64_t n_accepted, n_refused;
};

/* 0; -ENOTCONN; -EAGAIN: no room; -EINVAL, -ENOENT: there is no such key. */
int kbd_vsp_key(struct kbd_vsp *vsp, unsigned key, bool down);
int kbd_vsp_keysym(struct kbd_vsp *vsp, uint32_t keysym, bool down);
/* See synthkbd_type(). */
ssize_t kbd_vsp_type(struct kbd_vsp *vsp, const char *text, size_t size_bytes);
void kbd_vsp_release_all(struct kbd_vsp *vsp);

/* The operations of struct pipe_core_ops. */
void kbd_vsp_open(struct kbd_vsp *vsp);
void kbd_vsp_close(struct kbd_vsp *vsp);
bool kbd_vsp_receive(struct kbd_vsp *vsp, const void *payload, size_t size_bytes);
bool kbd_vsp_produce(struct kbd_vsp *vsp);
#define KBD_STATE_VERSION 1
void kbd_vsp_save(const struct kbd_vsp *vsp, struct buf *out);
/* What was down is released: whoever held it stayed on the other side. */
int kbd_vsp_restore(struct kbd_vsp *vsp, struct reader *in, bool is_open);

#endif
