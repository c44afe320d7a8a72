/* SPDX-License-Identifier: MIT */
#include "node/svc/conf_file.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int conf_file_read(const char *path, size_t max_bytes, struct buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t chunk[4096];
	size_t total = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		total += (size_t)n;
		if (total > max_bytes)
			return -EFBIG;
		buf_bytes(out, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (n < 0)
		return -errno;
	return out->failed ? -ENOMEM : 0;
}

int conf_file_write(const char *path, const void *data, size_t size_bytes, unsigned mode, bool keep)
{
	char new[512], old[512];
	int r;

	snprintf(new, sizeof(new), "%s.new", path);
	snprintf(old, sizeof(old), "%s.bak", path);
	r = file_write_new(new, data, size_bytes, mode);
	if (r == 0 && keep) {
		unlink(old);
		if (link(path, old) < 0 && errno != ENOENT)
			r = -errno;
	}
	if (r == 0 && rename(new, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(new);
	return r;
}
