/* SPDX-License-Identifier: MIT
 *
 * fuzz_pvh.c - ELF kernels that may be anything. Input: the file.
 */
#include "node/hv/boot.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define RAM_BYTES (2U << 20)

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct gpa_space *memory;
	struct image_file file = {.fd = fd};
	struct boot_kernel kernel;
	int r;

	if (fd < 0 || gpa_space_new(&memory) < 0)
		abort();
	if (gpa_space_add(memory, gpa(0), RAM_BYTES, ram) < 0 ||
		write(fd, data, size_bytes) != (ssize_t)size_bytes)
		abort();
	memset(ram, 0x5a, BOOT_RESERVED_END_GPA);
	r = boot_load_elf(memory, &file, &kernel);
	if (r < 0 && !file.why)
		abort();
	if (r == 0 && (kernel.entry >= RAM_BYTES || kernel.end > RAM_BYTES))
		abort();
	for (size_t i = 0; i < BOOT_RESERVED_END_GPA; i++) {
		if (ram[i] != 0x5a)
			abort();
	}
	gpa_space_free(memory);
	close(fd);
	return 0;
}
