/* SPDX-License-Identifier: MIT */
#include "vmbus/kbd_map.h"

#include <string.h>

#define KEY_BACKSPACE 0x0eU
#define KEY_ESCAPE    0x01U

/* A row of keys whose make codes follow each other: what they give without shift, and with it. */
static const struct {
	uint8_t first_key;
	const char *plain, *shifted;
} rows[] = {
	{0x02, "1234567890-=", "!@#$%^&*()_+"},
	{0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{0x39, " ", " "},
};

/* X11 keysymdef.h */
static const struct {
	uint16_t keysym;
	uint16_t key;
} function_keys[] = {
	{0xff08, KEY_BACKSPACE}, {0xff09, KBD_TAB}, {0xff0a, KBD_ENTER}, /* Linefeed */
	{0xff0d, KBD_ENTER},                                             /* Return */
	{0xff13, KBD_PAUSE}, {0xff14, 0x46},                             /* Scroll_Lock */
	{0xff15, 0x54},                                                  /* Sys_Req */
	{0xff1b, KEY_ESCAPE}, {0xff50, KBD_E0 | 0x47},                   /* Home */
	{0xff51, KBD_E0 | 0x4b},                                         /* Left */
	{0xff52, KBD_E0 | 0x48},                                         /* Up */
	{0xff53, KBD_E0 | 0x4d},                                         /* Right */
	{0xff54, KBD_E0 | 0x50},                                         /* Down */
	{0xff55, KBD_E0 | 0x49},                                         /* Page_Up */
	{0xff56, KBD_E0 | 0x51},                                         /* Page_Down */
	{0xff57, KBD_E0 | 0x4f},                                         /* End */
	{0xff61, KBD_E0 | 0x37},                                         /* Print */
	{0xff63, KBD_E0 | 0x52},                                         /* Insert */
	{0xff67, KBD_E0 | 0x5d},                                         /* Menu */
	{0xff6b, KBD_PAUSE},                                             /* Break */
	{0xff7e, KBD_E0 | 0x38},                                         /* Mode_switch */
	{0xff7f, 0x45},                                                  /* Num_Lock */
	{0xff80, 0x39},                                                  /* KP_Space */
	{0xff89, KBD_TAB},                                               /* KP_Tab */
	{0xff8d, KBD_E0 | 0x1c},                                         /* KP_Enter */
	{0xff95, 0x47},                                                  /* KP_Home */
	{0xff96, 0x4b},                                                  /* KP_Left */
	{0xff97, 0x48},                                                  /* KP_Up */
	{0xff98, 0x4d},                                                  /* KP_Right */
	{0xff99, 0x50},                                                  /* KP_Down */
	{0xff9a, 0x49},                                                  /* KP_Page_Up */
	{0xff9b, 0x51},                                                  /* KP_Page_Down */
	{0xff9c, 0x4f},                                                  /* KP_End */
	{0xff9d, 0x4c},                                                  /* KP_Begin */
	{0xff9e, 0x52},                                                  /* KP_Insert */
	{0xff9f, 0x53},                                                  /* KP_Delete */
	{0xffaa, 0x37},                                                  /* KP_Multiply */
	{0xffab, 0x4e},                                                  /* KP_Add */
	{0xffad, 0x4a},                                                  /* KP_Subtract */
	{0xffae, 0x53},                                                  /* KP_Decimal */
	{0xffaf, KBD_E0 | 0x35},                                         /* KP_Divide */
	{0xffb0, 0x52},                                                  /* KP_0 */
	{0xffb1, 0x4f}, {0xffb2, 0x50}, {0xffb3, 0x51}, {0xffb4, 0x4b}, {0xffb5, 0x4c},
	{0xffb6, 0x4d}, {0xffb7, 0x47}, {0xffb8, 0x48}, {0xffb9, 0x49}, /* KP_9 */
	{0xffbe, 0x3b},                                                 /* F1 */
	{0xffbf, 0x3c}, {0xffc0, 0x3d}, {0xffc1, 0x3e}, {0xffc2, 0x3f}, {0xffc3, 0x40},
	{0xffc4, 0x41}, {0xffc5, 0x42}, {0xffc6, 0x43}, {0xffc7, 0x44},      /* F10 */
	{0xffc8, 0x57},                                                      /* F11 */
	{0xffc9, 0x58},                                                      /* F12 */
	{0xffe1, KBD_LEFT_SHIFT}, {0xffe2, KBD_RIGHT_SHIFT}, {0xffe3, 0x1d}, /* Control_L */
	{0xffe4, KBD_E0 | 0x1d},                                             /* Control_R */
	{0xffe5, 0x3a},                                                      /* Caps_Lock */
	{0xffe7, KBD_E0 | 0x5b},                                             /* Meta_L */
	{0xffe8, KBD_E0 | 0x5c},                                             /* Meta_R */
	{0xffe9, 0x38},                                                      /* Alt_L */
	{0xffea, KBD_E0 | 0x38},                                             /* Alt_R */
	{0xffeb, KBD_E0 | 0x5b},                                             /* Super_L */
	{0xffec, KBD_E0 | 0x5c},                                             /* Super_R */
	{0xffff, KBD_E0 | 0x53},                                             /* Delete */
	{0xfe03, KBD_E0 | 0x38},                                             /* ISO_Level3_Shift */
	{0xfe20, KBD_TAB},                                                   /* ISO_Left_Tab */
};

#define KEYSYM_UNICODE      0x01000000U
#define KEYSYM_UNICODE_MASK 0xff000000U

bool kbd_map_char(uint32_t code_point, struct kbd_stroke *ret_stroke)
{
	if (code_point < ' ' || code_point > '~')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *plain = strchr(rows[i].plain, (int)code_point);
		const char *shifted = strchr(rows[i].shifted, (int)code_point);
		ptrdiff_t at = plain ? plain - rows[i].plain : shifted - rows[i].shifted;
		char unshifted;

		if (!plain && !shifted)
			continue;
		unshifted = rows[i].plain[at];
		*ret_stroke = (struct kbd_stroke){
			.key = rows[i].first_key + (unsigned)at,
			.is_char = code_point != ' ',
			.shift = !plain,
			.is_letter = unshifted >= 'a' && unshifted <= 'z',
		};
		return true;
	}
	return false;
}

bool kbd_map_keysym(uint32_t keysym, struct kbd_stroke *ret_stroke)
{
	if ((keysym & KEYSYM_UNICODE_MASK) == KEYSYM_UNICODE)
		keysym &= ~KEYSYM_UNICODE_MASK;
	else if (keysym > 0xff)
		for (size_t i = 0; i < ARRAY_LEN(function_keys); i++) {
			if (function_keys[i].keysym != keysym)
				continue;
			*ret_stroke = (struct kbd_stroke){.key = function_keys[i].key};
			return true;
		}
	return kbd_map_char(keysym, ret_stroke);
}
