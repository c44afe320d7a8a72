/* SPDX-License-Identifier: MIT
 *
 * link.h - one connection of a job: exact reads and writes that always end. A wait ends when bytes
 * move, when nothing moved for `stall_ns` or `deadline_ns` passed (-ETIMEDOUT), when the job is
 * cancelled (-ECANCELED, the cancel descriptor is readable), or when somebody cuts the link
 * (-ECONNRESET, also for a peer that closed).
 *
 * Threads: one reads and one writes at a time; link_cut() and the counters may be used by any
 * thread between link_init() and link_close().
 */
#ifndef VIADUCT_MIGRATE_LINK_H
#define VIADUCT_MIGRATE_LINK_H

#include "base/err.h"

#include <sys/uio.h>

struct link {
	int fd;
	int cancel_fd;           /* -1: not cancellable */
	uint64_t stall_ns;       /* 0: wait for ever */
	uint64_t deadline_ns;    /* CLOCK_MONOTONIC, 0: none; however much moves until then */
	uint64_t active_ns;      /* atomic; when bytes last moved, CLOCK_MONOTONIC */
	uint64_t sent_bytes;     /* atomic */
	uint64_t received_bytes; /* atomic */
	uint64_t waited_ns;      /* in writes; the writer's own */
};

/* Takes over `fd`. Non-blocking from here on; on TCP also without delay and with keepalive. */
int link_init(struct link *link, int fd, int cancel_fd, uint64_t stall_ns);
void link_close(struct link *link);
/* The connections of a job; takes over all of them whatever happens. */
int links_init(struct link *links, const int *fds, unsigned n_links, uint64_t stall_ns);
void links_close(struct link *links, unsigned n_links);
/* Wake whoever waits on the link and end the connection; the descriptor stays. */
void link_cut(struct link *link);
/* Say that nothing more will be written. */
void link_cut_write(struct link *link);

/* All of it, or -errno. `iov` is used up. */
int link_write(struct link *link, struct iovec *iov, unsigned n_iov);
int link_read(struct link *link, struct iovec *iov, unsigned n_iov);
/* What is there, at least a byte: the count or -errno. */
ssize_t link_read_some(struct link *link, struct iovec *iov, unsigned n_iov);
/* The same without waiting: -EAGAIN when there is nothing. */
ssize_t link_try_read(struct link *link, struct iovec *iov, unsigned n_iov);

/* How long writes have waited so far, and how much of the connection's time the peer's full receive
 * buffer held it up; not known (0) on other than TCP. For the thread that writes. */
uint64_t link_waited_ns(const struct link *link);
uint64_t link_peer_busy_ns(const struct link *link);

uint64_t link_sent_bytes(const struct link *link);
uint64_t link_received_bytes(const struct link *link);
uint64_t link_active_ns(const struct link *link);

/* Drop `n_bytes` from the front of *iov, moving *iov and *n_iov on. */
void iov_skip(struct iovec **iov, unsigned *n_iov, size_t n_bytes);

#endif
