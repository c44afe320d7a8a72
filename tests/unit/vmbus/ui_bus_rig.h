/* SPDX-License-Identifier: MIT
 *
 * ui_bus_rig.h - video, keyboard and mouse on the real bus against a guest in the same process that
 * does what Linux's drivers do. Every wait is for the host's signals.
 */
#ifndef VIADUCT_TESTS_UNIT_VMBUS_UI_BUS_RIG_H
#define VIADUCT_TESTS_UNIT_VMBUS_UI_BUS_RIG_H

#include "base/bytes.h"
#include "fake_guest.h"
#include "vmbus/proto/synthinput.h"
#include "vmbus/proto/synthvid.h"
#include "vmbus/synthinput.h"
#include "vmbus/synthvid.h"

#define UI_N_PAGES    2048
#define UI_VRAM_BYTES (4U << 20)

struct ui_bus_rig {
	struct fake_guest guest;
	struct synthvid *video;
	struct synthkbd *keyboard;
	struct synthmouse *mouse;
	struct fake_channel video_channel, keyboard_channel, mouse_channel;
	const struct synthvid_ops *ops; /* for the video, with `data` */
	void *data;
	uint32_t vram_page;
	uint64_t next_transaction;
	struct buf saved;
};

/* A guest that is connected to the bus and has opened the three channels. Zeroed but for ops. */
void ui_bus_rig_init(struct ui_bus_rig *rig);
void ui_bus_rig_fini(struct ui_bus_rig *rig);
/* Stop and save; the devices live on. */
void ui_bus_rig_save(struct ui_bus_rig *rig);
/* The devices of another host, restored from what was saved, started. */
void ui_bus_rig_move(struct ui_bus_rig *rig);
/* The two halves of it: all devices and the bus are freed; new ones are made and restored. */
void ui_bus_rig_leave(struct ui_bus_rig *rig);
void ui_bus_rig_arrive(struct ui_bus_rig *rig);

/* A message, behind a pipe header unless it is the keyboard's. */
void ui_guest_send(
	struct ui_bus_rig *rig, struct fake_channel *channel, const void *message, size_t size);
/* The next message of the host (completions on the way are passed over); it must have this size. */
void ui_guest_take(
	struct ui_bus_rig *rig, struct fake_channel *channel, void *ret_message, size_t size);

/* What the drivers do when they are loaded. */
void ui_guest_load_video(struct ui_bus_rig *rig, uint32_t width, uint32_t height);
void ui_guest_set_mode(struct ui_bus_rig *rig, uint32_t width, uint32_t height);
void ui_guest_dirt(struct ui_bus_rig *rig, int32_t x1, int32_t y1, int32_t x2, int32_t y2);
/* The next message asks for changes, or for none. */
void ui_guest_expect_features(struct ui_bus_rig *rig, bool dirt);
void ui_guest_load_keyboard(struct ui_bus_rig *rig);
void ui_guest_load_mouse(struct ui_bus_rig *rig);
/* info << 16 | make_code */
uint32_t ui_guest_take_key(struct ui_bus_rig *rig);
struct synthmouse_input_report ui_guest_take_report(struct ui_bus_rig *rig);

/* The guest's frame buffer. */
uint8_t *ui_guest_vram(struct ui_bus_rig *rig);

#endif
