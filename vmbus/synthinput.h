/* SPDX-License-Identifier: MIT
 *
 * synthinput.h - the keyboard and mouse VSPs.
 *
 * Events wait in a bounded queue until the guest's ring takes them; when it is full the oldest are
 * kept and the newest refused, so a key that went down comes up again (releases always have room).
 *
 * While the units stand still everything is refused with -EAGAIN, but releasing waits for the
 * start. A keyboard or mouse that was restored releases what was down: whoever held it is gone.
 *
 * Threads: any, but freeing is the owner's; workers run behind it.
 *
 * Sources: linux drivers/input/serio/hyperv-keyboard.c, drivers/hid/hid-hyperv.c (the guest's
 * halves); USB HID 1.11 for the report descriptor.
 */
#ifndef VIADUCT_VMBUS_SYNTHINPUT_H
#define VIADUCT_VMBUS_SYNTHINPUT_H

#include "vmbus/vmbus.h"

struct synthkbd;
struct synthmouse;

int synthkbd_new(struct vmbus *bus, struct synthkbd **ret_keyboard);
void synthkbd_free(struct synthkbd *keyboard);
int synthkbd_register_unit(struct synthkbd *keyboard, struct unit_registry *registry);

#define SYNTHKBD_PAUSE 0x100 /* the one key behind E1 */

/* A key by its set-1 make code, or SYNTHKBD_PAUSE; `extended`: those behind E0. 0; -ENOTCONN: no
 * driver; -EAGAIN; -EINVAL. */
int synthkbd_key(struct synthkbd *keyboard, uint16_t make_code, bool extended, bool down);
/* A key by its X keysym, as VNC sends them, US layout; shift keys are adjusted for the moment where
 * the sender's layout differs. -ENOENT: there is no such key. */
int synthkbd_keysym(struct synthkbd *keyboard, uint32_t keysym, bool down);
/* Type UTF-8 text (US layout for ASCII; newline is Enter, tab is Tab; everything else goes as a
 * Unicode key, which Windows knows; Linux takes it for a scan code). Returns the bytes typed, so
 * that the caller goes on from there when it is fewer than given (queue full): never half a key.
 * -ENOTCONN, -EILSEQ, -EAGAIN. */
ssize_t synthkbd_type(struct synthkbd *keyboard, const char *text, size_t size_bytes);
/* Release everything that is down: the one who typed went away. */
void synthkbd_release_all(struct synthkbd *keyboard);

int synthmouse_new(struct vmbus *bus, struct synthmouse **ret_mouse);
void synthmouse_free(struct synthmouse *mouse);
int synthmouse_register_unit(struct synthmouse *mouse, struct unit_registry *registry);

#define SYNTHMOUSE_MAX_POSITION 32767

/* Buttons: bit 0 left, 1 right, 2 middle, 3 and 4 more. Position: 0..SYNTHMOUSE_MAX_POSITION over
 * the picture. Movements without a change of buttons or wheel are merged while they wait. 0;
 * -ENOTCONN; -EAGAIN; -EINVAL. */
int synthmouse_report(
	struct synthmouse *mouse, uint8_t buttons, uint16_t x, uint16_t y, int16_t wheel);
/* Release all buttons: the one who held them went away. */
void synthmouse_release_all(struct synthmouse *mouse);

struct synthinput_info {
	bool connected; /* the guest's driver has agreed on the protocol */
	uint64_t n_events, n_refused, n_protocol_errors;
	uint32_t leds; /* keyboard: bit 0 scroll, 1 num, 2 caps lock */
};
void synthkbd_get_info(struct synthkbd *keyboard, struct synthinput_info *ret_info);
void synthmouse_get_info(struct synthmouse *mouse, struct synthinput_info *ret_info);

#endif
