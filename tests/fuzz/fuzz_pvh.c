/* SPDX-License-Identifier: MIT
 *
 * fuzz_pvh.c - kernel images that may be anything. Input: the file.
 */
#include "node/hv/pvh.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define RAM_BYTES (2U << 20)

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct gpa_space *memory;
	const char *why = NULL;
	uint32_t entry;
	int r;

	if (fd < 0 || gpa_space_new(&memory) < 0)
		abort();
	if (gpa_space_add(memory, gpa(0), RAM_BYTES, ram) < 0 ||
		write(fd, data, size_bytes) != (ssize_t)size_bytes)
		abort();
	memset(ram, 0x5a, PVH_RESERVED_END_GPA);
	r = pvh_load(memory, fd, &entry, &why);
	if (r < 0 && !why)
		abort();
	if (r == 0 && entry >= RAM_BYTES)
		abort();
	for (size_t i = 0; i < PVH_RESERVED_END_GPA; i++) {
		if (ram[i] != 0x5a)
			abort();
	}
	gpa_space_free(memory);
	close(fd);
	return 0;
}
