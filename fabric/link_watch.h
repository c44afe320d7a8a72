/* SPDX-License-Identifier: MIT
 *
 * link_watch.h - whether network adapters of the host have a link, by what the kernel says over a
 * routing socket (rtnetlink(7)) that fabric_open_link_watch() opened.
 *
 * A link counts as up when its adapter is up, has a carrier and is operational (RFC 2863): IFF_UP,
 * IFF_LOWER_UP, IFF_RUNNING.
 *
 * The kernel reports changes, but a lost carrier up to a second late (Linux,
 * net/core/link_watch.c), and not every one when there are many. So it is asked as well, every
 * LINK_WATCH_ASK_NS. As it answers under a lock that others hold for long at times, a thread of its
 * own does all this.
 *
 * Threads: one owner.
 */
#ifndef VIADUCT_FABRIC_LINK_WATCH_H
#define VIADUCT_FABRIC_LINK_WATCH_H

#include "base/clock.h"
#include "base/err.h"

#define LINK_WATCH_MAX_LINKS 8
#define LINK_WATCH_ASK_NS    (100 * NS_PER_MS)
/* To the first answers. */
#define LINK_WATCH_START_NS NS_PER_SEC

enum link_event {
	LINK_DOWN,
	LINK_UP,
	LINK_GONE, /* removed, or moved to another network namespace */
};

/* Read one datagram from the kernel. What comes before the first fault in it counts. */
typedef void (*link_fn)(int ifindex, enum link_event event, void *data);
void link_parse(const void *data, size_t size_bytes, link_fn fn, void *fn_data);

/* Bit masks of links, in the order in which they were given. */
struct link_states {
	uint32_t up;
	uint32_t lost; /* have been down since the last time, for however short a time */
	uint32_t gone; /* and never come back: the index may be another adapter's */
};

struct link_watch;

/* Watch `n` links by their interface indexes. `fd` is taken over on success only. Returns when the
 * kernel has told of all of them. -EINVAL: `fd` is something else than fabric_open_link_watch()
 * makes, or there are too many links; -ENODEV: one is not there; -ETIMEDOUT; errors of the socket.
 */
int link_watch_new(int fd, const int *ifindexes, unsigned n, struct link_watch **ret_watch);
void link_watch_free(struct link_watch *watch);

/* Readable when there is something else to learn from link_watch_take(). */
int link_watch_event_fd(const struct link_watch *watch);
void link_watch_take(struct link_watch *watch, struct link_states *ret_states);

#endif
