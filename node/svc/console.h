/* SPDX-License-Identifier: MIT
 *
 * console.h - the serial output of one VM as its node keeps it: the last of it in memory for
 * whoever reads along, all of it in a log file that is turned over when it becomes large.
 *
 * Positions count bytes since the console was made. Each console has a name of its own, so that a
 * reader who comes back after the VM moved knows that its position means nothing here.
 */
#ifndef VIADUCT_NODE_SVC_CONSOLE_H
#define VIADUCT_NODE_SVC_CONSOLE_H

#include "base/bytes.h"
#include "base/list.h"

#define CONSOLE_KEPT_BYTES    65536
#define CONSOLE_LOG_MAX_BYTES (4U << 20)

struct console {
	struct buf kept;
	uint64_t end;    /* position behind the last byte */
	char stream[17]; /* its name */
	struct list waiters;
	int log_fd; /* -1: cannot be written; said once */
	uint64_t log_bytes;
	char log_path[320];
};

void console_init(struct console *console, const char *log_dir, const char *vm);
/* The waiters are gone already. */
void console_fini(struct console *console);
void console_append(struct console *console, const void *bytes, size_t size_bytes);
/* What came since `from` and is still kept, lent; *ret_from says where it begins. */
const uint8_t *console_since(
	const struct console *console, uint64_t from, uint64_t *ret_from, size_t *ret_size_bytes);

/* The end of the log of a VM that does not run here, at most CONSOLE_KEPT_BYTES. 0 or -errno. */
int console_log_tail(const char *log_dir, const char *vm, struct buf *out);

/* Bytes of a guest as text for people: control characters but newline and tab become '?', carriage
 * returns vanish. To free(); NULL on a failed allocation. */
char *console_text(const uint8_t *bytes, size_t size_bytes);

#endif
