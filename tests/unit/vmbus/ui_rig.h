/* SPDX-License-Identifier: MIT
 *
 * ui_rig.h - for tests of the picture, keyboard and mouse: messages with and without pipe header,
 * in buffers of their exact size, so that a sanitizer sees what is read beyond.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_UI_RIG_H
#define VIADUCT_TESTS_UNIT_VMBUS_UI_RIG_H

#include "vmbus/pipe_queue.h"

/* A machine's receive function. */
typedef bool (*ui_receive_fn)(void *core, const void *payload, size_t size_bytes);

/* The message as it is. */
bool ui_send_raw(ui_receive_fn receive, void *core, const void *message, size_t size_bytes);
/* Behind a pipe header that says `said_bytes`, and padded as the ring does it. */
bool ui_send_saying(ui_receive_fn receive, void *core, const void *message, size_t size_bytes,
	uint32_t said_bytes);
bool ui_send(ui_receive_fn receive, void *core, const void *message, size_t size_bytes);

/* Takes the oldest waiting packet, which must be a message of this size (the pipe header, if any,
 * is checked and cut off). */
void ui_take_raw(struct pipe_queue *queue, void *ret_message, size_t size_bytes);
void ui_take(struct pipe_queue *queue, void *ret_message, size_t size_bytes);

/* The state, and what a machine makes of it. */
typedef int (*ui_restore_fn)(void *core, struct reader *in, bool is_open);
/* Every truncation of `state` is refused, and every change of one byte is refused or survived. */
void ui_spoil_state(
	ui_restore_fn restore, size_t core_bytes, const void *fresh_core, const struct buf *state);

#endif
