/* SPDX-License-Identifier: MIT */
#include "node/hv/image_file.h"

#include <sys/stat.h>

int image_refuse(struct image_file *file, const char *why)
{
	file->why = why;
	return -ENOEXEC;
}

static int cannot_read(struct image_file *file)
{
	int error = errno;

	file->why = "the file cannot be read";
	return -error;
}

int image_read(struct image_file *file, void *ret_data, size_t size_bytes, uint64_t offset)
{
	uint8_t *at = ret_data;

	if (offset > INT64_MAX - size_bytes)
		return image_refuse(file, "an offset is beyond the end of the file");
	while (size_bytes) {
		ssize_t n = pread(file->fd, at, size_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cannot_read(file);
		if (n == 0)
			return image_refuse(file, "the file is truncated");
		at += n;
		offset += (uint64_t)n;
		size_bytes -= (size_t)n;
	}
	return 0;
}

int image_size(struct image_file *file, uint64_t *ret_size_bytes)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return cannot_read(file);
	if (!S_ISREG(st.st_mode))
		return image_refuse(file, "not a regular file");
	*ret_size_bytes = (uint64_t)st.st_size;
	return 0;
}
