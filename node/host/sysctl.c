/* SPDX-License-Identifier: MIT */
#include "node/host/sysctl.h"

#include "node/host/nic.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int open_sysctl(const char *path, int flags)
{
	char full[256];
	int fd;

	if (snprintf(full, sizeof(full), "/proc/sys/net/%s", path) >= (int)sizeof(full))
		return -EINVAL;
	fd = open(full, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sysctl_get_text(const char *path, char *text, size_t size_bytes)
{
	_cleanup_close_ int fd = open_sysctl(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, text, size_bytes - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

int sysctl_get(const char *path, int *ret_value)
{
	char text[32], *end;
	long value;
	int r = sysctl_get_text(path, text, sizeof(text));

	if (r < 0)
		return r;
	value = strtol(text, &end, 10);
	if (end == text || value < INT32_MIN || value > INT32_MAX)
		return -EBADMSG;
	*ret_value = (int)value;
	return 0;
}

int sysctl_set(const char *path, int value)
{
	_cleanup_close_ int fd = open_sysctl(path, O_WRONLY);
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", value);

	if (fd < 0)
		return fd;
	return write(fd, text, (size_t)len) == len ? 0 : -errno;
}

static int ipv6_path(const char *nic, char path[64])
{
	if (!host_nic_name_is_valid(nic))
		return -EINVAL;
	snprintf(path, 64, "ipv6/conf/%s/disable_ipv6", nic);
	return 0;
}

int sysctl_get_ipv6_disabled(const char *nic, int *ret_disabled)
{
	char path[64];
	int r = ipv6_path(nic, path);

	return r < 0 ? r : sysctl_get(path, ret_disabled);
}

int sysctl_set_ipv6_disabled(const char *nic, int disabled)
{
	char path[64];
	int r = ipv6_path(nic, path);

	return r < 0 ? r : sysctl_set(path, disabled);
}
