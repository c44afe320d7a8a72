/* SPDX-License-Identifier: MIT
 *
 * log.h - logging for the programs. Messages of libqb are taken in, at debug level.
 *
 * Programs call log_init() once, before they start threads; before it, and in unit tests, messages
 * of level info and above go to stderr. A message is one line without a newline: what happened, to
 * what, and what to do if there is something to do. Control characters in it become '?', and at
 * most about 1000 bytes of it are kept. log_write() is thread-safe and keeps errno.
 */
#ifndef VIADUCT_BASE_LOG_H
#define VIADUCT_BASE_LOG_H

#include "base/err.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Start logging as `program` to `fd` (stderr if negative; the descriptor stays the caller's) at
 * `level` and above, as "<time, UTC> <program>[<pid>] <level>: <message>". Where `fd` is systemd's
 * journal, which knows all that, as "<N><message>" with the level of syslog. Returns 0 or -errno.
 */
int log_init(const char *program, enum log_level level, int fd);
void log_fini(void);

void log_write(enum log_level level, const char *file, unsigned line, const char *format, ...)
	_printf_(4, 5);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __FILE__, __LINE__, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __FILE__, __LINE__, __VA_ARGS__)

#endif
