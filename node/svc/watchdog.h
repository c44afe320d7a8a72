/* SPDX-License-Identifier: MIT
 *
 * watchdog.h - a watchdog device as the last resort of a lease (cluster/lease.h): it resets the
 * machine when a VM's process outlives its lease although the kernel was to kill it, and when the
 * kernel itself stands still.
 *
 * WHAT IT IS FOR
 *
 * A VM's process ends by a timer of the kernel when its lease is not renewed. Two things are
 * stronger than that timer: a kernel that runs nothing any more, and a process that cannot be
 * killed because it waits within the kernel for a device that does not answer - what it has asked
 * that device for may still reach a disk. Whoever takes the VM over can know of neither.
 *
 * WHEN IT IS FED
 *
 * The device is opened, and so armed, when the first VM that has a lease starts, and closed, and so
 * disarmed, when the last one is gone: a node without VMs is never reset. In between it is fed from
 * the loop, several times within its timeout, unless a VM's process is there still
 * WATCHDOG_GRACE_NS after its lease ran out, and is not just giving its memory back. A loop that
 * hangs does not feed either. It is fed again if that process ends before the device has fired.
 *
 * HOW LONG IT TAKES
 *
 * When it is fed, a lease was confirmed a fifth of its duration ago at most, if the cluster is
 * well; so a device with a timeout of three quarters of the duration or less fires before the lease
 * ends: before anybody may take anything over (watchdog_is_in_time()). That is for a kernel or a
 * service that stops while all is well. A process that cannot be killed is noticed when its lease
 * is over, and the machine is reset one timeout and the grace later. Devices count whole seconds,
 * and have a shortest time that they can.
 *
 * A service that is killed leaves the device armed; when it is back in time, it takes it over, and
 * disarms it when no process of the former life is left. It knows its own by a note in the state
 * folder (`note`). A driver that cannot be disarmed (nowayout) is fed until the service ends, and
 * then given as long as it can.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_WATCHDOG_H
#define VIADUCT_NODE_SVC_WATCHDOG_H

#include "base/err.h"

#define WATCHDOG_GRACE_NS     500000000ULL
#define WATCHDOG_AUTO_PATH    "/dev/watchdog"
#define WATCHDOG_NAME_BYTES   64
#define WATCHDOG_DEVICE_BYTES 64

struct json;
struct loop;
struct watchdog;

struct watchdog_device {
	char identity[WATCHDOG_NAME_BYTES];
	unsigned timeout_s; /* as the driver has taken it */
	bool can_disarm;
};

/* What there is to guard, at this moment. */
struct watchdog_sight {
	size_t n_vms;                    /* processes that were given a lease and are there */
	uint64_t overdue_ns;             /* of the one that outlives its lease most; 0: none */
	char worst[WATCHDOG_NAME_BYTES]; /* its VM */
};

enum watchdog_level {
	WATCHDOG_INFO,
	WATCHDOG_WARNING,
	WATCHDOG_ERROR,
};

/* The device, and the service around it. Errors are -errno. */
struct watchdog_ops {
	bool (*exists)(const char *path);
	int (*open)(const char *path); /* arms it */
	/* Its time from now on, as near to `timeout_s` as it can. */
	int (*set_up)(int fd, const char *path, unsigned timeout_s, struct watchdog_device *ret);
	int (*feed)(int fd);
	/* `disarm`: it stops. Otherwise it goes on, and fires. */
	void (*close)(int fd, bool disarm);
	void (*look)(struct watchdog_sight *ret_sight, void *data);
	/* Does a VM's process of a former life of the service still exist? */
	bool (*has_orphans)(void);
	void (*say)(enum watchdog_level level, const char *id, const char *text, void *data);
};

struct watchdog_config {
	const char *device; /* a path, "auto" or "none" */
	const char *note;   /* a file that is there while the device is armed; NULL: none */
	uint64_t lease_ns;
};

/* Of Linux, but for look() and say(): watchdog_dev.c. */
extern const struct watchdog_ops watchdog_linux;

/* The timeout to ask for: whole seconds, 1 at least. */
unsigned watchdog_timeout_s(uint64_t lease_ns);
/* Does it fire before the lease of a node that was well has ended? */
bool watchdog_is_in_time(uint64_t lease_ns, unsigned timeout_s);

/* 0, -EINVAL: no such device name; -ENOMEM. A device that is missing is no error. The texts of
 * `config` are copied; `ops` stay the caller's. */
int watchdog_new(struct loop *loop, const struct watchdog_config *config,
	const struct watchdog_ops *ops, void *data, struct watchdog **ret_watchdog);
/* Disarms it, unless a VM's process is left. NULL is fine. */
void watchdog_free(struct watchdog *watchdog);

/* A VM is about to run: armed before this returns, if it can be. NULL is fine. */
void watchdog_touch(struct watchdog *watchdog);
/* One look: arm, feed, starve or disarm. The loop's timer does it by itself. */
void watchdog_look(struct watchdog *watchdog);
bool watchdog_is_armed(const struct watchdog *watchdog); /* NULL: no */
/* {device, armed, identity, timeout_s, in_time, fed, why}; identity and what follows are known once
 * it was armed. A new reference. NULL `watchdog`: device "none". */
struct json *watchdog_json(const struct watchdog *watchdog);

/* ---- watchdog_dev.c, for look() ---- */

/* The process has begun to end and is busy with that: all that is left of it gives memory back. */
bool watchdog_is_ending(int pid);

/* ---- watchdog_guard.c: around the VMs of this service ---- */

struct svc;
/* By the options of `svc`. 0 or -errno. */
int watchdog_start(struct svc *svc);
/* The service ends: so do its VMs' processes, while the device is fed; then it is disarmed. */
void watchdog_stop(struct svc *svc);

#endif
