/* SPDX-License-Identifier: MIT
 *
 * image_file.h - a kernel or initial RAM disk while it is read: hostile, and it may change at any
 * time. What is interpreted is copied once, checked, and never read again.
 */
#ifndef VIADUCT_NODE_HV_IMAGE_FILE_H
#define VIADUCT_NODE_HV_IMAGE_FILE_H

#include "base/err.h"

struct image_file {
	int fd;          /* the caller's */
	const char *why; /* static text, set with an error */
};

/* -ENOEXEC, with the reason kept. */
int image_refuse(struct image_file *file, const char *why);
/* All of it, or -ENOEXEC (the file ends before) or the error of reading it. */
int image_read(struct image_file *file, void *ret_data, size_t size_bytes, uint64_t offset);
int image_size(struct image_file *file, uint64_t *ret_size_bytes);

#endif
