/* SPDX-License-Identifier: MIT */
#include "csv/disk_int.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define MIN_BLOCK_BYTES 512
#define MAX_BLOCK_BYTES 4096
/* A file's, where nothing better is known: what page caches and file systems work with. */
#define FILE_PHYSICAL_BYTES 4096
#define MAX_PHYSICAL_BYTES  (1U << 20)

static bool is_power_of_two(uint64_t x)
{
	return x && !(x & (x - 1));
}

static int refuse(const char *why, const char **ret_why)
{
	*ret_why = why;
	return -EINVAL;
}

static int probe_kind(struct disk *disk, const char **ret_why)
{
	struct stat st;

	if (fstat(disk->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return refuse("it is neither a file nor a block device", ret_why);
	disk->is_device = S_ISBLK(st.st_mode);
	return 0;
}

/* What it was opened for. */
static int probe_flags(struct disk *disk, bool *ret_direct, const char **ret_why)
{
	int flags = fcntl(disk->fd, F_GETFL);
	int device_read_only = 0;

	if (flags < 0)
		return -errno;
	if (flags & (O_PATH | O_APPEND))
		return refuse("it is open for appending, or for no I/O at all", ret_why);
	if ((flags & O_ACCMODE) == O_WRONLY)
		return refuse("it is open for writing only", ret_why);
	if ((flags & O_ACCMODE) == O_RDONLY && !disk->read_only)
		return refuse("it is open for reading only", ret_why);
	if (disk->is_device && !disk->read_only &&
		ioctl(disk->fd, BLKROGET, &device_read_only) == 0 && device_read_only)
		return refuse("the device is read-only", ret_why);
	disk->write_cache = !disk->read_only && !(flags & O_DSYNC);
	*ret_direct = flags & O_DIRECT;
	return 0;
}

static uint32_t device_block_bytes(const struct disk *disk)
{
	int bytes = 0;

	if (!disk->is_device || ioctl(disk->fd, BLKSSZGET, &bytes) < 0 || !is_power_of_two(bytes))
		return MIN_BLOCK_BYTES;
	return MAX((uint32_t)bytes, (uint32_t)MIN_BLOCK_BYTES);
}

static void probe_alignment(struct disk *disk)
{
	/* Where the kernel does not say: true of every file system there is. */
	uint32_t memory = 4096, length = device_block_bytes(disk);
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(disk->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
		(stx.stx_mask & STATX_DIOALIGN) && is_power_of_two(stx.stx_dio_mem_align) &&
		is_power_of_two(stx.stx_dio_offset_align)) {
		memory = stx.stx_dio_mem_align;
		length = stx.stx_dio_offset_align;
	}
#endif
	disk->memory_align = MIN(memory, (uint32_t)DISK_BOUNCE_ALIGN);
	disk->length_align = length;
}

static int probe_blocks(struct disk *disk, uint32_t wanted_bytes, const char **ret_why)
{
	uint32_t smallest = MAX(device_block_bytes(disk), disk->length_align);
	int physical = 0;

	disk->block_bytes = wanted_bytes ? wanted_bytes : smallest;
	if (!is_power_of_two(disk->block_bytes) || disk->block_bytes < MIN_BLOCK_BYTES ||
		disk->block_bytes > MAX_BLOCK_BYTES)
		return refuse("its blocks are not of 512 to 4096 bytes", ret_why);
	if (disk->block_bytes < smallest)
		return refuse("its blocks are smaller than what can be read and written", ret_why);
	disk->physical_bytes = MAX(disk->block_bytes, (uint32_t)FILE_PHYSICAL_BYTES);
	if (disk->is_device && ioctl(disk->fd, BLKPBSZGET, &physical) == 0 &&
		is_power_of_two((unsigned)physical) && (unsigned)physical <= MAX_PHYSICAL_BYTES)
		disk->physical_bytes = MAX(disk->block_bytes, (uint32_t)physical);
	return 0;
}

/* Beyond a file's end there is nothing to lose. Devices cannot be asked so; they are asked with the
 * first discard. */
static bool probe_punch(const struct disk *disk)
{
	if (disk->read_only)
		return false;
	return disk->is_device || fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  (off_t)disk->size_bytes, FILE_PHYSICAL_BYTES) == 0;
}

int disk_probe_size(const struct disk *disk, uint64_t *ret_size_bytes, const char **ret_why)
{
	uint64_t size_bytes;
	struct stat st;

	if (disk->is_device) {
		if (ioctl(disk->fd, BLKGETSIZE64, &size_bytes) < 0)
			return -errno;
	} else {
		if (fstat(disk->fd, &st) < 0)
			return -errno;
		size_bytes = (uint64_t)st.st_size;
	}
	if (size_bytes == 0 || size_bytes > INT64_MAX)
		return refuse("it is empty", ret_why);
	if (size_bytes & (disk->block_bytes - 1))
		return refuse("its size is no multiple of its block size", ret_why);
	*ret_size_bytes = size_bytes;
	return 0;
}

int disk_probe(struct disk *disk, const struct disk_config *config, const char **ret_why)
{
	uint64_t size_bytes = 0;
	bool direct = false;
	int r;

	disk->read_only = config->read_only;
	disk->memory_align = disk->length_align = 1;
	r = probe_kind(disk, ret_why);
	if (r == 0)
		r = probe_flags(disk, &direct, ret_why);
	if (r < 0)
		return r;
	if (direct)
		probe_alignment(disk);
	r = probe_blocks(disk, config->block_bytes, ret_why);
	if (r == 0)
		r = disk_probe_size(disk, &size_bytes, ret_why);
	if (r < 0)
		return r;
	disk->size_bytes = size_bytes;
	disk->can_discard = probe_punch(disk);
	disk->no_punch = !disk->can_discard;
	return 0;
}
