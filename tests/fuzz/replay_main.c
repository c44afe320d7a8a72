/* SPDX-License-Identifier: MIT
 *
 * replay_main.c - runs a fuzz target once on every file named on the command line, and on every
 * file of the directories named there: how a corpus becomes a regression test without a fuzzing
 * engine.
 */
#include "base/bytes.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static size_t n_inputs;

static int replay_file(int fd)
{
	struct buf input = {0};
	ssize_t got = 1;

	while (got > 0) {
		uint8_t chunk[4096];

		got = read(fd, chunk, sizeof(chunk));
		if (got > 0)
			buf_bytes(&input, chunk, (size_t)got);
	}
	if (got == 0 && !input.failed) {
		/* An exact allocation: the sanitizer then sees a read past the end of the input. */
		_cleanup_free_ uint8_t *exact = malloc(input.size_bytes ? input.size_bytes : 1);

		if (exact) {
			if (input.size_bytes)
				memcpy(exact, input.data, input.size_bytes);
			LLVMFuzzerTestOneInput(exact, input.size_bytes);
			n_inputs++;
		}
	}
	buf_fini(&input);
	return got < 0 ? -errno : 0;
}

static int replay_directory(DIR *directory)
{
	struct dirent *entry;

	while ((entry = readdir(directory))) {
		_cleanup_close_ int fd = -1;
		struct stat status;
		int err;

		fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &status) < 0)
			return -errno;
		if (!S_ISREG(status.st_mode))
			continue;
		err = replay_file(fd);
		if (err)
			return err;
	}
	return 0;
}

static int replay_path(const char *path)
{
	_cleanup_close_ int fd = -1;
	DIR *directory = opendir(path);
	int err;

	if (directory) {
		err = replay_directory(directory);
		closedir(directory);
		return err;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : replay_file(fd);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int err = replay_path(argv[i]);

		if (err) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-err));
			return EXIT_FAILURE;
		}
	}
	if (!n_inputs)
		LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("%zu inputs\n", n_inputs);
	return EXIT_SUCCESS;
}
