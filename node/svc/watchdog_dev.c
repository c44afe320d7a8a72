/* SPDX-License-Identifier: MIT
 *
 * watchdog_dev.c - watchdog devices of Linux (Documentation/watchdog/watchdog-api.rst), and what
 * the kernel says of processes that are about to end.
 */
#include "node/svc/watchdog.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define PF_EXITING    0x4 /* include/linux/sched.h */
#define MISC_MAJOR    10
#define MISC_DEVICE   130 /* /dev/watchdog, which is /dev/watchdog0 */
#define VMHOST        "viaduct-vmhost"
#define SERVICE       "viaductd"
#define PATH_BYTES    300
#define STAT_BYTES    512
#define IS_EXITING(f) (((f)&PF_EXITING) != 0)

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISCHR(st.st_mode);
}

static int open_device(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* Of /sys/class/watchdog: a driver that was told so does not stop when it is closed. */
static bool is_nowayout(int fd)
{
	char path[PATH_BYTES], text[4] = "";
	_cleanup_close_ int file = -1;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (major(st.st_rdev) == MISC_MAJOR && minor(st.st_rdev) == MISC_DEVICE)
		snprintf(path, sizeof(path), "/sys/class/watchdog/watchdog0/nowayout");
	else
		snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/nowayout", major(st.st_rdev),
			minor(st.st_rdev));
	file = open(path, O_RDONLY | O_CLOEXEC);
	return file >= 0 && read(file, text, sizeof(text) - 1) > 0 && text[0] == '1';
}

static int set_up(
	int fd, const char *path _unused_, unsigned timeout_s, struct watchdog_device *ret)
{
	struct watchdog_info info = {0};
	struct watchdog_device device = {0};
	int wanted_s = (int)timeout_s;

	if (ioctl(fd, WDIOC_GETSUPPORT, &info) < 0)
		return -errno;
	/* One that is shorter than the driver can is refused: the next one, then. */
	while (ioctl(fd, WDIOC_SETTIMEOUT, &wanted_s) < 0 && errno == EINVAL &&
		wanted_s < (int)(4 * timeout_s + 8))
		wanted_s++;
	if (ioctl(fd, WDIOC_GETTIMEOUT, &wanted_s) < 0)
		return -errno;
	if (wanted_s < 1)
		return -ERANGE;
	info.identity[sizeof(info.identity) - 1] = '\0';
	for (char *at = (char *)info.identity; *at; at++) {
		if (!isprint((unsigned char)*at))
			*at = '?';
	}
	snprintf(device.identity, sizeof(device.identity), "%s", (const char *)info.identity);
	device.timeout_s = (unsigned)wanted_s;
	device.can_disarm = (info.options & WDIOF_MAGICCLOSE) && !is_nowayout(fd);
	*ret = device;
	return 0;
}

static int feed(int fd)
{
	return ioctl(fd, WDIOC_KEEPALIVE, NULL) < 0 ? -errno : 0;
}

static void close_device(int fd, bool disarm)
{
	if (disarm && write(fd, "V", 1) < 0)
		(void)ioctl(fd, WDIOC_KEEPALIVE, NULL); /* it fires: as late as it can */
	close(fd);
}

/* ---- processes ---- */

struct task_stat {
	char name[32], state;
	int parent;
	unsigned long flags;
};

static bool read_stat(const char *path, struct task_stat *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[STAT_BYTES], *name, *end;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	name = strchr(text, '(');
	end = strrchr(text, ')');
	if (!name || !end)
		return false;
	*end = '\0';
	snprintf(ret->name, sizeof(ret->name), "%s", name + 1);
	return sscanf(end + 1, " %c %d %*d %*d %*d %*d %lu", &ret->state, &ret->parent,
		       &ret->flags) == 3;
}

/* The threads of a process, which outlive the first one of them. */
struct tasks {
	unsigned n_left;    /* have not ended */
	unsigned n_busy;    /* of these: are about to, and do something for it */
	unsigned n_not_yet; /* of these: are not about to */
};

static void look_at_tasks(int pid, struct tasks *ret)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	DIR *dir;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct task_stat stat;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", pid, entry->d_name);
		if (!isdigit((unsigned char)entry->d_name[0]) || !read_stat(path, &stat) ||
			strchr("ZX", stat.state))
			continue;
		ret->n_left++;
		ret->n_not_yet += !IS_EXITING(stat.flags);
		ret->n_busy += IS_EXITING(stat.flags) && stat.state == 'R';
	}
	if (dir)
		closedir(dir);
}

bool watchdog_is_ending(int pid)
{
	struct tasks tasks;

	look_at_tasks(pid, &tasks);
	return tasks.n_left == 0 || (tasks.n_not_yet == 0 && tasks.n_busy > 0);
}

/* Another service on this machine, as in a lab, has VMs of its own. */
static bool is_orphan(int pid, const struct task_stat *process)
{
	struct task_stat parent;
	char path[PATH_BYTES];
	struct tasks tasks;

	if (strcmp(process->name, VMHOST) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", process->parent);
	if (read_stat(path, &parent) && strcmp(parent.name, SERVICE) == 0)
		return false;
	look_at_tasks(pid, &tasks); /* what has ended may wait for long until somebody notices */
	return tasks.n_left > 0;
}

static bool has_orphans(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (processes && !found && (entry = readdir(processes))) {
		char path[PATH_BYTES];
		struct task_stat stat;

		snprintf(path, sizeof(path), "/proc/%.20s/stat", entry->d_name);
		found = isdigit((unsigned char)entry->d_name[0]) && read_stat(path, &stat) &&
			is_orphan(atoi(entry->d_name), &stat);
	}
	if (processes)
		closedir(processes);
	return found;
}

const struct watchdog_ops watchdog_linux = {
	.exists = exists,
	.open = open_device,
	.set_up = set_up,
	.feed = feed,
	.close = close_device,
	.has_orphans = has_orphans,
};
