/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>

#include <qb/qblog.h>

/* A line is one write(2), which pipes and sockets keep whole up to PIPE_BUF; so there is no lock.
 */
#define LOG_MESSAGE_MAX_BYTES 1024
#define LOG_LINE_MAX_BYTES    (LOG_MESSAGE_MAX_BYTES + 128)

static struct {
	enum log_level level;
	int fd;
	int32_t qb_target; /* 0: libqb is silent */
	bool is_journal;   /* who reads it knows time, program and pid */
	char program[32];
} log_state = {.level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static const char *const level_text[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARNING] = "warning: ",
	[LOG_LEVEL_INFO] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

static const int level_syslog[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_WARNING] = LOG_WARNING,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* systemd.exec(5): $JOURNAL_STREAM is what the journal reads, as "device:inode". A child that
 * inherits the variable writes somewhere else. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

static int format_line(char *line, size_t size_bytes, enum log_level level, const char *message)
{
	struct timespec now;
	char when[32];
	struct tm utc;

	if (log_state.is_journal)
		return snprintf(line, size_bytes, "<%d>%s", level_syslog[level], message);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	return snprintf(line, size_bytes, "%s.%03ldZ %s[%d] %s%s", when, now.tv_nsec / 1000000,
		log_state.program[0] ? log_state.program : program_invocation_short_name,
		(int)getpid(), level_text[level], message);
}

static void line_write(enum log_level level, const char *message)
{
	char line[LOG_LINE_MAX_BYTES];
	size_t size_bytes;
	int len = format_line(line, sizeof(line), level, message);

	if (len < 0)
		return;
	size_bytes = MIN((size_t)len, sizeof(line) - 1);
	/* Texts of guests and peers end up in messages; a line stays one line. */
	for (size_t i = 0; i < size_bytes; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[size_bytes++] = '\n';
	while (write(log_state.fd, line, size_bytes) < 0 && errno == EINTR)
		;
}

static void qb_message(
	int32_t target, struct qb_log_callsite *site, struct timespec *at, const char *message)
{
	(void)target;
	(void)site;
	(void)at;
	line_write(LOG_LEVEL_DEBUG, message);
}

/* What libqb has to say of itself explains, but never decides: it is all debug. Our own messages do
 * not pass through libqb, which drops one that comes while another thread is inside of it. */
static int qb_messages_start(void)
{
	int32_t target;

	qb_log_init(log_state.program, LOG_DAEMON, LOG_EMERG);
	qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
	target = qb_log_custom_open(qb_message, NULL, NULL, NULL);
	if (target < 0) {
		qb_log_fini();
		return target;
	}
	qb_log_filter_ctl(target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", LOG_DEBUG);
	qb_log_ctl(target, QB_LOG_CONF_ENABLED, QB_TRUE);
	log_state.qb_target = target;
	return 0;
}

int log_init(const char *program, enum log_level level, int fd)
{
	log_fini();
	snprintf(log_state.program, sizeof(log_state.program), "%s", program);
	log_state.level = level;
	log_state.fd = fd < 0 ? STDERR_FILENO : fd;
	log_state.is_journal = is_journal(log_state.fd);
	return level == LOG_LEVEL_DEBUG ? qb_messages_start() : 0;
}

void log_fini(void)
{
	if (log_state.qb_target) {
		qb_log_custom_close(log_state.qb_target);
		qb_log_fini();
	}
	log_state.qb_target = 0;
	log_state.level = LOG_LEVEL_INFO;
	log_state.fd = STDERR_FILENO;
	log_state.is_journal = false;
	log_state.program[0] = 0;
}

void log_write(enum log_level level, const char *file, unsigned line, const char *format, ...)
{
	int saved_errno = errno;
	const char *slash = strrchr(file, '/');
	char message[LOG_MESSAGE_MAX_BYTES];
	size_t used = 0;
	va_list args;

	if (level > log_state.level)
		return;
	if (level == LOG_LEVEL_DEBUG)
		used = (size_t)snprintf(
			message, sizeof(message), "%.64s:%u: ", slash ? slash + 1 : file, line);
	va_start(args, format);
	vsnprintf(message + used, sizeof(message) - used, format, args);
	va_end(args);
	line_write(level, message);
	errno = saved_errno;
}
