/* SPDX-License-Identifier: MIT */
#include "csv/csv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

static bool id_is_valid(const char *id)
{
	return strlen(id) == CSV_ID_TEXT_BYTES - 1 &&
	       strspn(id, "0123456789abcdef") == CSV_ID_TEXT_BYTES - 1;
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_label(int dir_fd, char ret_id[CSV_ID_TEXT_BYTES])
{
	char id[CSV_ID_TEXT_BYTES + 1] = "";
	_cleanup_close_ int fd =
		openat(dir_fd, CSV_LABEL_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -EMEDIUMTYPE : -errno;
	n = read(fd, id, CSV_ID_TEXT_BYTES);
	if (n < 0)
		return -errno;
	id[strcspn(id, "\n")] = '\0';
	if (!id_is_valid(id))
		return -EMEDIUMTYPE;
	memcpy(ret_id, id, CSV_ID_TEXT_BYTES);
	return 0;
}

/* The label appears whole or not at all: written aside, synced, linked into place. */
static int write_label(int dir_fd, const char *id)
{
	_cleanup_close_ int fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
	char path[64];
	int flags = AT_SYMLINK_FOLLOW;

	if (fd < 0) {
		/* Not every shared file system has O_TMPFILE. */
		fd = openat(dir_fd, CSV_LABEL_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		return dprintf(fd, "%s\n", id) < 0 || fsync(fd) < 0 ? -EIO : 0;
	}
	if (dprintf(fd, "%s\n", id) < 0 || fsync(fd) < 0)
		return -EIO;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dir_fd, CSV_LABEL_FILE, flags) < 0 ? -errno : 0;
}

int csv_volume_label(const char *path, char ret_id[CSV_ID_TEXT_BYTES])
{
	_cleanup_close_ int dir = open_dir(path);
	char id[CSV_ID_TEXT_BYTES];
	uint8_t random[16];
	int r;

	if (dir < 0)
		return dir;
	r = read_label(dir, id);
	if (r == -EMEDIUMTYPE) {
		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		for (size_t i = 0; i < sizeof(random); i++)
			snprintf(id + 2 * i, 3, "%02x", random[i]);
		r = write_label(dir, id);
	} else if (r == 0) {
		r = -EEXIST;
	}
	if (r == 0 || r == -EEXIST)
		memcpy(ret_id, id, CSV_ID_TEXT_BYTES);
	return r;
}

int csv_volume_open(const char *path, const char *id, int *ret_dir_fd)
{
	_cleanup_close_ int dir = open_dir(path);
	char found[CSV_ID_TEXT_BYTES];
	int r;

	if (dir < 0)
		return dir;
	r = read_label(dir, found);
	if (r < 0)
		return r;
	if (strcmp(found, id) != 0)
		return -EMEDIUMTYPE;
	*ret_dir_fd = take_fd(&dir);
	return 0;
}

int csv_saved_name(const char *vm, uint64_t epoch, char *ret_name, size_t size_bytes)
{
	int n;

	if (!vm[0] || vm[0] == '.' || strchr(vm, '/'))
		return -EINVAL;
	n = snprintf(ret_name, size_bytes, "%s.%" PRIu64 ".saved", vm, epoch);
	return n < 0 || (size_t)n >= size_bytes ? -ENAMETOOLONG : 0;
}

static bool name_is_safe(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/');
}

int csv_saved_create(int dir_fd, const char *name, int *ret_fd)
{
	int fd;

	if (!name_is_safe(name))
		return -EINVAL;
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int csv_saved_open(int dir_fd, const char *name, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!name_is_safe(name))
		return -EINVAL;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_fd = take_fd(&fd);
	return 0;
}

int csv_saved_remove(int dir_fd, const char *name)
{
	if (!name_is_safe(name))
		return -EINVAL;
	return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
}
