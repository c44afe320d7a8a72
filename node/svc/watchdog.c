/* SPDX-License-Identifier: MIT */
#include "node/svc/watchdog.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES     256
#define TEXT_BYTES     300
#define BOOT_ID_BYTES  64
#define FEEDS          4  /* within the timeout */
#define MAX_TIMEOUT_S  60 /* of the longest lease */
#define LAST_TIMEOUT_S 60 /* of a device that cannot be disarmed, until the service is back */

struct watchdog {
	struct loop *loop;
	const struct watchdog_ops *ops;
	void *data;
	char path[WATCHDOG_DEVICE_BYTES]; /* "": none is wanted */
	char note[PATH_BYTES];            /* "": none */
	bool is_auto;
	uint64_t lease_ns;
	int fd;                        /* -1: not armed */
	struct watchdog_device device; /* as of the last time that it was */
	bool is_starved, is_missing;
	bool is_left; /* by a former life of the service, whose VMs may be there still */
	uint64_t left_until_ns;
	char why[TEXT_BYTES]; /* it is not armed, or not fed */
	uint64_t timer;
};

unsigned watchdog_timeout_s(uint64_t lease_ns)
{
	uint64_t most_s = MIN(lease_ns * 3 / 4 / NS_PER_SEC, (uint64_t)MAX_TIMEOUT_S);

	return (unsigned)MAX(most_s, (uint64_t)1);
}

bool watchdog_is_in_time(uint64_t lease_ns, unsigned timeout_s)
{
	return timeout_s * NS_PER_SEC <= lease_ns * 3 / 4;
}

static _printf_(4, 5) void say(
	struct watchdog *w, enum watchdog_level level, const char *id, const char *format, ...)
{
	char text[TEXT_BYTES + 200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	w->ops->say(level, id, text, w->data);
}

/* ---- the note: that the device is armed is our doing, in this life of the machine ---- */

static bool boot_id(char text[BOOT_ID_BYTES])
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, BOOT_ID_BYTES - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool is_noted(const struct watchdog *w)
{
	char now[BOOT_ID_BYTES], then[BOOT_ID_BYTES];
	_cleanup_close_ int fd = w->note[0] ? open(w->note, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, then, sizeof(then) - 1);

	then[n > 0 ? n : 0] = '\0';
	return n > 0 && boot_id(now) && strcmp(now, then) == 0;
}

/* It has to outlive the service, not the machine: nothing waits for the disk. */
static void note(const struct watchdog *w)
{
	_cleanup_close_ int fd = -1;
	char now[BOOT_ID_BYTES];
	size_t len;

	if (!w->note[0] || !boot_id(now))
		return;
	len = strlen(now);
	fd = open(w->note, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, now, len) != (ssize_t)len)
		log_warning("%s: %s; a watchdog that is left armed will not be known again",
			w->note, strerror(errno));
}

/* ---- what there is to guard ---- */

static void look_at(struct watchdog *w, struct watchdog_sight *ret)
{
	uint64_t now_ns = clock_boot_ns();

	memset(ret, 0, sizeof(*ret));
	w->ops->look(ret, w->data);
	if (w->is_left && !w->ops->has_orphans())
		w->is_left = false;
	if (!w->is_left)
		return;
	ret->n_vms++;
	if (now_ns > w->left_until_ns && now_ns - w->left_until_ns > ret->overdue_ns) {
		ret->overdue_ns = now_ns - w->left_until_ns;
		snprintf(ret->worst, sizeof(ret->worst), "of a former life of viaductd");
	}
}

/* ---- steps ---- */

static void on_timer(void *data);

static void wait_a_little(struct watchdog *w)
{
	int r = loop_timer_add(
		w->loop, w->device.timeout_s * NS_PER_SEC / FEEDS, on_timer, w, &w->timer);

	if (r < 0)
		say(w, WATCHDOG_ERROR, "watchdog.not-fed", "%s is not fed any more: %s", w->path,
			strerror(-r));
}

static void missing(struct watchdog *w, const char *why)
{
	snprintf(w->why, sizeof(w->why), "%s", why);
	if (!w->is_missing)
		say(w, w->is_auto && !w->ops->exists(w->path) ? WATCHDOG_INFO : WATCHDOG_WARNING,
			"watchdog.missing",
			"%s: VMs here have no watchdog, which would reset this machine when it "
			"stands still",
			why);
	w->is_missing = true;
}

static void cannot_open(struct watchdog *w, int error)
{
	char why[TEXT_BYTES];

	if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
		snprintf(why, sizeof(why), "there is no %s", w->path);
	else if (error == -EBUSY)
		snprintf(why, sizeof(why),
			"%s is in use by another program (systemd's RuntimeWatchdogSec= ?)",
			w->path);
	else
		snprintf(why, sizeof(why), "%s cannot be used: %s", w->path, strerror(-error));
	missing(w, why);
}

static void say_armed(struct watchdog *w)
{
	bool in_time = watchdog_is_in_time(w->lease_ns, w->device.timeout_s);

	say(w, w->device.can_disarm ? WATCHDOG_INFO : WATCHDOG_WARNING, "watchdog.armed",
		"%s (%s) resets this machine when it is not fed for %u s%s%s", w->path,
		w->device.identity, w->device.timeout_s,
		in_time ? ""
			: "; that is longer than three quarters of the lease, so others may have "
			  "taken VMs over by then",
		w->device.can_disarm
			? ""
			: "; its driver cannot be disarmed (nowayout), so from now on this "
			  "machine is reset when viaductd is gone for a minute");
}

static void arm(struct watchdog *w)
{
	int r;

	w->fd = w->ops->open(w->path);
	if (w->fd < 0) {
		r = w->fd;
		w->fd = -1;
		cannot_open(w, r);
		return;
	}
	r = w->ops->set_up(w->fd, w->path, watchdog_timeout_s(w->lease_ns), &w->device);
	if (r < 0) {
		w->ops->close(take_fd(&w->fd), true);
		cannot_open(w, r);
		return;
	}
	note(w);
	w->is_starved = w->is_missing = false;
	w->why[0] = '\0';
	say_armed(w);
	w->ops->feed(w->fd);
	if (!w->timer)
		wait_a_little(w);
}

static void disarm(struct watchdog *w)
{
	loop_timer_remove(w->loop, w->timer);
	w->timer = 0;
	w->ops->close(take_fd(&w->fd), true);
	if (w->note[0])
		unlink(w->note);
	say(w, WATCHDOG_INFO, "watchdog.disarmed",
		"%s is disarmed: no VM that has a lease is left here", w->path);
}

static void starve(struct watchdog *w, const struct watchdog_sight *sight)
{
	if (w->is_starved)
		return;
	w->is_starved = true;
	snprintf(w->why, sizeof(w->why),
		"the process of VM %s is still there %llu ms after its lease ran out, and cannot "
		"be killed",
		sight->worst, (unsigned long long)(sight->overdue_ns / NS_PER_MS));
	say(w, WATCHDOG_ERROR, "watchdog.not-fed",
		"%s: %s is not fed any more and resets this machine within %u s", w->why, w->path,
		w->device.timeout_s);
}

static void feed(struct watchdog *w)
{
	int r = w->ops->feed(w->fd);

	if (r < 0 && !w->is_starved)
		say(w, WATCHDOG_ERROR, "watchdog.not-fed", "%s cannot be fed: %s", w->path,
			strerror(-r));
	else if (r == 0 && w->is_starved)
		say(w, WATCHDOG_INFO, "watchdog.armed", "%s is fed again, in time", w->path);
	w->is_starved = r < 0;
	if (r == 0)
		w->why[0] = '\0';
	else
		snprintf(w->why, sizeof(w->why), "it cannot be fed: %s", strerror(-r));
}

void watchdog_look(struct watchdog *w)
{
	struct watchdog_sight sight;

	look_at(w, &sight);
	if (w->fd < 0) {
		if (sight.n_vms > 0)
			arm(w);
		else if (!w->is_missing && !w->ops->exists(w->path))
			cannot_open(w, -ENOENT);
	} else if (sight.n_vms == 0 && w->device.can_disarm) {
		disarm(w);
	} else if (sight.overdue_ns > WATCHDOG_GRACE_NS) {
		starve(w, &sight);
	} else {
		feed(w);
	}
}

static void on_timer(void *data)
{
	struct watchdog *w = data;

	w->timer = 0;
	watchdog_look(w);
	if (w->fd >= 0 && !w->timer)
		wait_a_little(w);
}

void watchdog_touch(struct watchdog *w)
{
	/* Once it is armed the timer looks. */
	if (w && w->path[0] && w->fd < 0)
		watchdog_look(w);
}

/* ---- life ---- */

int watchdog_new(struct loop *loop, const struct watchdog_config *config,
	const struct watchdog_ops *ops, void *data, struct watchdog **ret_watchdog)
{
	bool is_auto = strcmp(config->device, "auto") == 0;
	const char *path = is_auto ? WATCHDOG_AUTO_PATH : config->device;
	struct watchdog *w;

	if (strcmp(path, "none") == 0)
		path = "";
	else if (path[0] != '/' || strlen(path) >= sizeof(w->path))
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct watchdog){.loop = loop,
		.ops = ops,
		.data = data,
		.is_auto = is_auto,
		.lease_ns = config->lease_ns,
		.fd = -1};
	snprintf(w->path, sizeof(w->path), "%s", path);
	if (config->note && strlen(config->note) < sizeof(w->note))
		strcpy(w->note, config->note);
	/* A former life has armed it, and it runs on. */
	if (path[0] && is_noted(w)) {
		w->is_left = true;
		w->left_until_ns = clock_boot_ns() + w->lease_ns;
		arm(w);
	}
	*ret_watchdog = w;
	return 0;
}

void watchdog_free(struct watchdog *w)
{
	struct watchdog_sight sight;
	struct watchdog_device last;

	if (!w)
		return;
	loop_timer_remove(w->loop, w->timer);
	w->timer = 0;
	if (w->fd >= 0) {
		look_at(w, &sight);
		if (sight.n_vms == 0 && w->device.can_disarm) {
			disarm(w);
		} else {
			if (sight.n_vms == 0)
				w->ops->set_up(w->fd, w->path, LAST_TIMEOUT_S, &last);
			w->ops->close(take_fd(&w->fd), false);
		}
	}
	free(w);
}

bool watchdog_is_armed(const struct watchdog *w)
{
	return w && w->fd >= 0;
}

struct json *watchdog_json(const struct watchdog *w)
{
	struct json *j = json_object_new();

	json_set_string(j, "device", w && w->path[0] ? w->path : "none");
	json_set_bool(j, "armed", watchdog_is_armed(w));
	json_set_string(j, "why", w ? w->why : "");
	if (w && w->device.timeout_s) {
		json_set_string(j, "identity", w->device.identity);
		json_set_int(j, "timeout_s", w->device.timeout_s);
		json_set_bool(j, "in_time", watchdog_is_in_time(w->lease_ns, w->device.timeout_s));
		json_set_bool(j, "fed", watchdog_is_armed(w) && !w->is_starved);
	}
	return j;
}
