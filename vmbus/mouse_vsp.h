/* SPDX-License-Identifier: MIT
 *
 * mouse_vsp.h - the mouse as a state machine: the guest's messages in, answers into the queue, and
 * reports that wait for the guest. Internal to vmbus/; synthmouse.c gives it a channel, a lock and
 * a unit.
 *
 * CLOSED -channel opened-> OPEN -version approved-> DESCRIBED -device info acknowledged->
 * CONNECTED.
 *
 * Every button that is down has room for its release reserved. A report that only moves replaces
 * the one before it, when that is still waiting and only moves too: clicks stay where they were.
 */
#ifndef VIADUCT_VMBUS_MOUSE_VSP_H
#define VIADUCT_VMBUS_MOUSE_VSP_H

#include "vmbus/pipe_queue.h"
#include "vmbus/proto/synthinput.h"

#define MOUSE_MAX_REPORTS  64
#define MOUSE_BUTTONS_MASK 0x1f
#define MOUSE_MAX_POSITION 32767

enum mouse_phase {
	MOUSE_CLOSED,
	MOUSE_OPEN,      /* no version yet */
	MOUSE_DESCRIBED, /* device info is on its way */
	MOUSE_CONNECTED,
};

struct mouse_report {
	uint8_t buttons;
	uint16_t x, y;
	int16_t wheel;
	bool only_moves;
};

struct mouse_vsp {
	struct pipe_queue out;
	enum mouse_phase phase;
	struct mouse_report reports[MOUSE_MAX_REPORTS];
	unsigned first_report, n_reports;
	struct mouse_report last; /* where it is, and which buttons are down */
	bool release_wanted;      /* as soon as that may be; not part of the state */
	uint64_t n_accepted, n_refused;
};

/* 0; -ENOTCONN; -EAGAIN: no room; -EINVAL. */
int mouse_vsp_report(struct mouse_vsp *vsp, uint8_t buttons, uint16_t x, uint16_t y, int16_t wheel);

/* The operations of struct pipe_core_ops. */
void mouse_vsp_open(struct mouse_vsp *vsp);
void mouse_vsp_close(struct mouse_vsp *vsp);
bool mouse_vsp_receive(struct mouse_vsp *vsp, const void *payload, size_t size_bytes);
bool mouse_vsp_produce(struct mouse_vsp *vsp);
#define MOUSE_STATE_VERSION 1
void mouse_vsp_save(const struct mouse_vsp *vsp, struct buf *out);
/* Buttons that were down are released: whoever held them stayed on the other side. */
int mouse_vsp_restore(struct mouse_vsp *vsp, struct reader *in, bool is_open);

#endif
