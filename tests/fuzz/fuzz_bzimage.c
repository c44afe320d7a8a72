/* SPDX-License-Identifier: MIT
 *
 * fuzz_bzimage.c - Linux kernels that may be anything, and an initial RAM disk behind what was
 * taken. Input: the file.
 */
#include "node/hv/boot.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

#define RAM_BYTES (2U << 20)
#define UNTOUCHED 0x5a

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));

static int file_with(const void *data, size_t size_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size_bytes) != (ssize_t)size_bytes)
		abort();
	return fd;
}

/* The header is not trusted to know what lies where. */
static void check_kernel(const struct boot_kernel *kernel)
{
	if (kernel->protocol != BOOT_LINUX64 || kernel->entry < BOOT_HOLE_END_GPA ||
		kernel->entry >= kernel->end || kernel->end > RAM_BYTES ||
		kernel->cmdline_max_bytes > BOOT_CMDLINE_MAX_BYTES)
		abort();
}

static void load_initrd(struct gpa_space *memory, const struct boot_kernel *kernel)
{
	static const uint8_t bytes[5000];
	struct image_file file = {.fd = file_with(bytes, sizeof(bytes))};
	struct boot_initrd initrd;
	int r = boot_load_initrd(memory, kernel, &file, &initrd);

	if (r < 0 && !file.why)
		abort();
	if (r == 0 && (initrd.base < kernel->end || initrd.base + initrd.size_bytes > RAM_BYTES ||
			      initrd.base + initrd.size_bytes > kernel->initrd_end))
		abort();
	close(file.fd);
	if (boot_write_info(memory, 1, kernel, &(struct boot_initrd){0}, "") < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct image_file file = {.fd = file_with(data, size_bytes)};
	struct gpa_space *memory;
	struct boot_kernel kernel;
	int r;

	if (gpa_space_new(&memory) < 0 || gpa_space_add(memory, gpa(0), RAM_BYTES, ram) < 0)
		abort();
	memset(ram, UNTOUCHED, BOOT_HOLE_END_GPA);
	r = boot_load_bzimage(memory, &file, &kernel);
	if (r < 0 && !file.why)
		abort();
	if (ram[0] != UNTOUCHED || memcmp(ram, ram + 1, BOOT_HOLE_END_GPA - 1) != 0)
		abort(); /* nothing below 1 MiB is the kernel's */
	if (r == 0) {
		check_kernel(&kernel);
		load_initrd(memory, &kernel);
	}
	gpa_space_free(memory);
	close(file.fd);
	return 0;
}
