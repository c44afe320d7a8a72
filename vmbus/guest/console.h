/* SPDX-License-Identifier: MIT
 *
 * console.h - lines over the serial port at 0x3f8, polled: every byte in or out, and every look
 * whether there is one, is an exit to the host's user space.
 */
#ifndef VIADUCT_VMBUS_GUEST_CONSOLE_H
#define VIADUCT_VMBUS_GUEST_CONSOLE_H

#include "vmbus/guest/gap.h"

#define CONSOLE_LINE_BYTES 256

/* gap is sampled between bytes. */
void console_init(struct gap *gap);
/* Print a line; the end of line is added. */
void console_print(const char *line);
/* Take what was typed; true: *ret_line is a whole line (until the next call), without its end. An
 * overlong line is cut. *ret_active (even without a line): there was input. */
bool console_read(const char **ret_line, bool *ret_active);

#endif
