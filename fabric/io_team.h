/* SPDX-License-Identifier: MIT
 *
 * io_team.h - a team of network adapters as a switch's uplink (team.h): one struct io in front of
 * the raw sockets of its members. Links are watched through a routing socket (link_watch.h).
 *
 * Members are recognised by the interface their raw socket is bound to, not by name. One whose
 * adapter is removed does not come back: its socket is bound to nothing.
 *
 * A turn takes from all members that have something, and switches over first if a link has changed.
 * Without a usable member frames are counted as `n_error`, and `reason` says so; the team is never
 * beyond use while a member's socket works.
 *
 * Threads: one at a time, under the lock of the port; io_team_new() and io_team_on_change() before
 * that.
 */
#ifndef VIADUCT_FABRIC_IO_TEAM_H
#define VIADUCT_FABRIC_IO_TEAM_H

#include "fabric/io.h"
#include "fabric/team.h"

#define IO_TEAM_NAME_MAX_LEN 15

/* Raw sockets as fabric_open_uplink() makes them, one for each of the `n` adapters `names`, and a
 * routing socket as fabric_open_link_watch() makes them; taken over on success only. Waits up to
 * LINK_WATCH_START_NS for what the kernel says about the links.
 * -EINVAL: something else, a name that is too long, one adapter twice, `n` is not 1 to
 * TEAM_MAX_MEMBERS; -ENODEV: an adapter is not there any more; -ETIMEDOUT, -ENOMEM. */
int io_team_new(enum team_mode mode, const char *const *names, const int *fds, unsigned n,
	int link_fd, struct io **ret_io);

/* What follows is for those of io_team_new() only. */
bool io_is_team(const struct io *io);

/* Called on a worker's thread, while frames are under way, whenever other members carry than
 * before: the addresses of our side are to be announced. The callee only passes it on. */
typedef void (*io_team_change_fn)(struct io *io, void *data);
void io_team_on_change(struct io *io, io_team_change_fn fn, void *data);

/* An address of our side is about to be on another host: see team_forget(). */
void io_team_forget(struct io *io, const uint8_t mac[ETH_ADDR_LEN]);

struct io_team_member {
	char name[IO_TEAM_NAME_MAX_LEN + 1];
	bool up;     /* has a link */
	bool active; /* carries frames */
	uint64_t rx_frames, tx_frames;
	uint64_t rx_dropped; /* of rx_frames: duplicates and reflections */
	uint64_t n_changes;  /* of its link */
	const char *reason;  /* static text, NULL if fine */
};

enum team_mode io_team_mode(const struct io *io);
/* Returns how many there are. */
unsigned io_team_members(const struct io *io, struct io_team_member ret_members[TEAM_MAX_MEMBERS]);

#endif
