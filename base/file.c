/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int file_write_new(const char *path, const void *data, size_t size_bytes, unsigned mode)
{
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	const char *at = data;

	if (fd < 0 || fchmod(fd, mode) < 0)
		return -errno;
	while (size_bytes > 0) {
		ssize_t n = write(fd, at, size_bytes);

		if (n < 0)
			return -errno;
		at += n;
		size_bytes -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}
