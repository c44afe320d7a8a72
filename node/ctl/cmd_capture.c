/* SPDX-License-Identifier: MIT
 *
 * cmd_capture.c - `viaduct switch capture`: what passes a port, live, as pcapng into a file or a
 * pipe (for tcpdump -r - or Wireshark).
 */
#include "node/ctl/ctl.h"

#include "base/base64.h"
#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 15000
#define LOOK_MS    100

static volatile sig_atomic_t interrupted;

static void on_signal(int number _unused_)
{
	interrupted = 1;
}

static struct json *request_for(const struct ctl_args *args, const char *op)
{
	struct json *request = ctl_request(op);

	json_set_string(request, "port", args->positional[0]);
	return request;
}

static int write_all(int fd, const uint8_t *data, size_t size_bytes)
{
	while (size_bytes) {
		ssize_t n = write(fd, data, size_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

/* One look: writes what there was. `ret_any`: there may be more at once. */
static int copy_piece(const struct ctl_args *args, int fd, bool *ret_any, int64_t *ret_lost)
{
	_cleanup_json_ struct json *reply = NULL;
	struct buf piece = {0};
	int r = ctl_call(args, request_for(args, "capture.read"), TIMEOUT_MS, &reply);

	if (r)
		return r;
	r = base64_decode(json_get_string(reply, "data", ""), &piece);
	*ret_any = piece.size_bytes > 0;
	*ret_lost = json_get_int(reply, "lost", 0);
	if (r == 0)
		r = write_all(fd, piece.data, piece.size_bytes);
	buf_fini(&piece);
	return r < 0 ? ctl_fail(EXIT_FAILED, "the capture cannot be written: %s", strerror(-r))
		     : EXIT_OK;
}

static int follow(const struct ctl_args *args, int fd, uint64_t ends_ns, int64_t *ret_lost)
{
	bool any = false;
	int r = EXIT_OK;

	while (r == EXIT_OK && !interrupted && (!ends_ns || clock_mono_ns() < ends_ns)) {
		r = copy_piece(args, fd, &any, ret_lost);
		if (r == EXIT_OK && !any)
			poll(NULL, 0, LOOK_MS);
	}
	/* What had come until the end. */
	while (r == EXIT_OK && (any || interrupted || ends_ns)) {
		r = copy_piece(args, fd, &any, ret_lost);
		if (!any)
			break;
	}
	return r;
}

static int open_output(const char *path, int *ret_fd)
{
	if (strcmp(path, "-") == 0) {
		*ret_fd = dup(STDOUT_FILENO);
		return isatty(STDOUT_FILENO)
			       ? ctl_fail(EXIT_USAGE, "a capture is no text for a terminal; use "
						      "--out FILE, or a pipe")
			       : EXIT_OK;
	}
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return *ret_fd < 0
		       ? ctl_fail(EXIT_FAILED, "%s cannot be written: %s", path, strerror(errno))
		       : EXIT_OK;
}

int cmd_switch_capture(const struct ctl_args *args)
{
	const char *path = ctl_option(args, "out") ? ctl_option(args, "out") : "-";
	const char *seconds = ctl_option(args, "seconds");
	const struct sigaction action = {.sa_handler = on_signal};
	_cleanup_json_ struct json *started = NULL, *stopped = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t ends_ns = 0;
	int64_t lost = 0;
	int r = open_output(path, &fd);

	if (r)
		return r;
	if (seconds) {
		double wanted = strtod(seconds, NULL);

		if (!(wanted > 0 && wanted <= 86400))
			return ctl_fail(EXIT_USAGE, "--seconds must be above 0, at most 86400");
		ends_ns = clock_mono_ns() + (uint64_t)(wanted * (double)NS_PER_SEC);
	}
	r = ctl_call(args, request_for(args, "capture.start"), TIMEOUT_MS, &started);
	if (r)
		return r;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "capturing %s; Ctrl-C ends it\n", args->positional[0]);
	r = follow(args, fd, ends_ns, &lost);
	(void)ctl_call(args, request_for(args, "capture.stop"), TIMEOUT_MS, &stopped);
	if (r == EXIT_OK && lost)
		fprintf(stderr, "%lld frames came faster than they were read and are missing\n",
			(long long)lost);
	return r;
}
