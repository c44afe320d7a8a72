/* SPDX-License-Identifier: MIT
 *
 * kbd_map.h - which key of a US keyboard gives a character, or an X keysym. Internal to vmbus/.
 *
 * A key is its set-1 make code, with KBD_E0 added for those behind E0; Pause is a key of its own.
 */
#ifndef VIADUCT_VMBUS_KBD_MAP_H
#define VIADUCT_VMBUS_KBD_MAP_H

#include "base/err.h"

#define KBD_E0     0x80U
#define KBD_PAUSE  0x100U
#define KBD_N_KEYS 0x101U

#define KBD_TAB         0x0fU
#define KBD_ENTER       0x1cU
#define KBD_LEFT_SHIFT  0x2aU
#define KBD_RIGHT_SHIFT 0x36U

struct kbd_stroke {
	unsigned key;
	bool is_char;   /* whether shift is down matters: */
	bool shift;     /* with it */
	bool is_letter; /* caps lock matters too */
};

/* False: the layout does not have it. */
bool kbd_map_char(uint32_t code_point, struct kbd_stroke *ret_stroke);
bool kbd_map_keysym(uint32_t keysym, struct kbd_stroke *ret_stroke);

#endif
