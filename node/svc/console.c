/* SPDX-License-Identifier: MIT */
#include "node/svc/console.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

static void log_path(const char *log_dir, const char *vm, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%s/vm-%s.console", log_dir, vm);
}

static void open_log(struct console *console)
{
	struct stat st;

	console->log_fd = open(
		console->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (console->log_fd < 0)
		log_warning(
			"serial output is not logged: %s: %s", console->log_path, strerror(errno));
	else if (fstat(console->log_fd, &st) == 0)
		console->log_bytes = (uint64_t)st.st_size;
}

void console_init(struct console *console, const char *log_dir, const char *vm)
{
	uint64_t name = 0;

	memset(console, 0, sizeof(*console));
	list_init(&console->waiters);
	if (getrandom(&name, sizeof(name), 0) != sizeof(name))
		name = (uintptr_t)console;
	snprintf(console->stream, sizeof(console->stream), "%016llx", (unsigned long long)name);
	log_path(log_dir, vm, console->log_path, sizeof(console->log_path));
	open_log(console);
}

void console_fini(struct console *console)
{
	close_fd(console->log_fd);
	buf_fini(&console->kept);
}

static void turn_over(struct console *console)
{
	char old[sizeof(console->log_path) + 2];

	snprintf(old, sizeof(old), "%s.1", console->log_path);
	if (rename(console->log_path, old) < 0)
		log_warning("%s cannot be turned over: %s", console->log_path, strerror(errno));
	close_fd(console->log_fd);
	console->log_bytes = 0;
	open_log(console);
}

static void write_log(struct console *console, const void *bytes, size_t size_bytes)
{
	ssize_t n;

	if (console->log_fd < 0)
		return;
	n = write(console->log_fd, bytes, size_bytes);
	if (n < 0) {
		log_warning("%s cannot be written: %s", console->log_path, strerror(errno));
		close_fd(console->log_fd);
		console->log_fd = -1;
		return;
	}
	console->log_bytes += (uint64_t)n;
	if (console->log_bytes > CONSOLE_LOG_MAX_BYTES)
		turn_over(console);
}

void console_append(struct console *console, const void *bytes, size_t size_bytes)
{
	struct buf *kept = &console->kept;

	write_log(console, bytes, size_bytes);
	buf_bytes(kept, bytes, size_bytes);
	console->end += size_bytes;
	if (kept->size_bytes > 2 * CONSOLE_KEPT_BYTES) {
		memmove(kept->data, kept->data + kept->size_bytes - CONSOLE_KEPT_BYTES,
			CONSOLE_KEPT_BYTES);
		kept->size_bytes = CONSOLE_KEPT_BYTES;
	}
}

const uint8_t *console_since(
	const struct console *console, uint64_t from, uint64_t *ret_from, size_t *ret_size_bytes)
{
	uint64_t first = console->end - console->kept.size_bytes;

	from = MIN(from, console->end);
	from = MAX(from, first);
	*ret_from = from;
	*ret_size_bytes = console->end - from;
	return console->kept.data ? console->kept.data + (from - first) : NULL;
}

int console_log_tail(const char *log_dir, const char *vm, struct buf *out)
{
	char path[320];
	_cleanup_close_ int fd = -1;
	struct stat st;
	off_t at;
	void *into;
	ssize_t n;

	log_path(log_dir, vm, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	at = st.st_size > CONSOLE_KEPT_BYTES ? st.st_size - CONSOLE_KEPT_BYTES : 0;
	into = buf_extend(out, (size_t)(st.st_size - at));
	if (!into)
		return -ENOMEM;
	n = pread(fd, into, (size_t)(st.st_size - at), at);
	if (n < 0)
		return -errno;
	out->size_bytes -= (size_t)(st.st_size - at) - (size_t)n;
	return 0;
}

char *console_text(const uint8_t *bytes, size_t size_bytes)
{
	char *text = malloc(size_bytes + 1);
	size_t n = 0;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size_bytes; i++) {
		uint8_t c = bytes[i];

		if (c == '\r')
			continue;
		text[n++] = (c >= ' ' && c < 0x7f) || c == '\n' || c == '\t' ? (char)c : '?';
	}
	text[n] = '\0';
	return text;
}
