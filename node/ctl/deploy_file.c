/* SPDX-License-Identifier: MIT */
#include "node/ctl/deploy_file.h"

#include "base/file.h"
#include "node/ctl/ctl.h"
#include "node/deploy/cluster_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX_BYTES (2U << 20) /* beyond what the reader takes, so that it says so */
#define MAX_BACKUPS    100
#define DIFF_MAX_LINES 2000

int deploy_read_all(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	text = malloc(max_bytes + 1);
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, text + len, max_bytes + 1 - len);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max_bytes)
			return -EFBIG;
	}
	text[len] = '\0';
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

int deploy_file_read(const char *path, struct json **ret_values)
{
	_cleanup_free_ struct problems *problems = calloc(1, sizeof(*problems));
	_cleanup_free_ char *text = NULL, *why = NULL;
	size_t len;
	int r = problems ? deploy_read_all(path, FILE_MAX_BYTES, &text, &len) : -ENOMEM;

	if (r < 0)
		return ctl_fail(EXIT_USAGE, "%s cannot be read: %s", path, strerror(-r));
	r = cluster_file_read(text, len, problems, ret_values);
	if (r == -ENOMEM)
		return ctl_fail(EXIT_FAILED, "out of memory");
	if (r == 0)
		return EXIT_OK;
	why = problems_text(problems, path);
	if (why)
		fputs(why, stderr);
	return ctl_fail(EXIT_USAGE,
		"%s has %zu problem%s; nothing was done. docs/cluster-file.md describes the file",
		path, problems->n + problems->n_more,
		problems->n + problems->n_more == 1 ? "" : "s");
}

/* ---- writing ---- */

static int make_backup(const char *path, char **ret_backup)
{
	for (unsigned i = 1; i <= MAX_BACKUPS; i++) {
		char *backup;

		if (asprintf(&backup, "%s.bak-%u", path, i) < 0)
			return -ENOMEM;
		if (link(path, backup) == 0) {
			*ret_backup = backup;
			return 0;
		}
		free(backup);
		if (errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

int deploy_write(
	const char *path, const void *data, size_t size_bytes, unsigned mode, char **ret_backup)
{
	_cleanup_free_ char *new = NULL;
	int r;

	*ret_backup = NULL;
	if (asprintf(&new, "%s.new", path) < 0) {
		new = NULL;
		return -ENOMEM;
	}
	r = file_write_new(new, data, size_bytes, mode);
	if (r == 0)
		r = make_backup(path, ret_backup);
	if (r == 0 && rename(new, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(new);
	return r;
}

/* ---- differences ---- */

static size_t split(char *text, const char **lines)
{
	size_t n = 0;

	for (char *line; n < DIFF_MAX_LINES && (line = strsep(&text, "\n")); n++)
		lines[n] = line;
	return n;
}

/* Lines at the beginning and at the end that are the same are left out. */
void deploy_print_diff(const char *old, const char *new)
{
	static const char *a[DIFF_MAX_LINES], *b[DIFF_MAX_LINES];
	_cleanup_free_ char *x = strdup(old), *y = strdup(new);
	size_t n_a = x ? split(x, a) : 0, n_b = y ? split(y, b) : 0, first = 0;

	while (first < n_a && first < n_b && strcmp(a[first], b[first]) == 0)
		first++;
	while (n_a > first && n_b > first && strcmp(a[n_a - 1], b[n_b - 1]) == 0) {
		n_a--;
		n_b--;
	}
	for (size_t i = first; i < n_a; i++)
		printf("- %s\n", a[i]);
	for (size_t i = first; i < n_b; i++)
		printf("+ %s\n", b[i]);
}
