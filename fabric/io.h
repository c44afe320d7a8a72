/* SPDX-License-Identifier: MIT
 *
 * io.h - what a port's frames travel through: the interface the data path sees, and its backends.
 *
 *   io_shm.c       a VM process, through shared memory
 *   io_tap.c       the management operating system, through a TAP
 *   io_afpacket.c  a network adapter of the host, through a raw socket
 *   io_team.c      several of those as one (io_team.h)
 *
 * A backend never waits. It counts what it sends in `tx`. When it is beyond use it says so with an
 * error, and `reason` names the cause; the data path then shuts the port.
 *
 * Threads: poll_fd() and caps() are for all. recv(), release() and arm() are called by the one that
 * serves the port, send() and flush() by any one at a time. The former and the latter may overlap
 * if `duplex` says so, else they do not.
 */
#ifndef VIADUCT_FABRIC_IO_H
#define VIADUCT_FABRIC_IO_H

#include "fabric/frame.h"

#define IO_BATCH_FRAMES 64
#define IO_ARENA_BYTES  (256U * 1024)
#define IO_NO_LIMIT     UINT32_MAX

struct io;

/* Frames as received: hdr, data, size_bytes and an out-of-line tag are set, nothing is checked. */
struct io_batch {
	uint32_t max_bytes; /* stop before it is exceeded, or once it is; but one frame always */
	unsigned n_frames;
	uint32_t dropped[N_DROPS]; /* frames that did not make it into the batch */
	struct frame frames[IO_BATCH_FRAMES];
	uint8_t *arena; /* IO_ARENA_BYTES for the frames of backends without storage of their own */
};

struct io_ops {
	const char *kind; /* "vm", "tap", "uplink" */
	bool duplex;      /* see above */
	/* epoll events of poll_fd(). With EPOLLET the descriptor is never read. */
	uint32_t poll_events;
	int (*poll_fd)(const struct io *io);
	/* enum eth_cap bits: what may be sent as it is. */
	uint32_t (*caps)(const struct io *io);
	/* Fill an empty batch, as far as there is something to take. The frames' bytes last until
	 * release(), or without that until the next call. 0, or -errno: the port is beyond use. */
	int (*recv)(struct io *io, struct io_batch *batch);
	/* After each recv(), when nobody looks at the frames any more. May be NULL. */
	void (*release)(struct io *io);
	/* Queue a frame. The bytes last until flush(). 0, or -errno: the port is beyond use. */
	int (*send)(
		struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov);
	/* The same. */
	int (*flush)(struct io *io);
	/* After flush(), and not much later: wake whoever was sent something, if he sleeps. Any
	 * thread. May be NULL. */
	void (*kick)(struct io *io);
	/* Before the worker sleeps. True: there is something to take already. */
	bool (*arm)(struct io *io);
	void (*free)(struct io *io);
};

struct io_counts {
	uint64_t n_frames, n_bytes;
	uint64_t n_full;  /* dropped: no room */
	uint64_t n_error; /* dropped: refused */
};

struct io {
	const struct io_ops *ops;
	struct io_counts tx;
	/* Static text: why it is beyond use or, while it is not, why no frames pass. NULL if fine.
	 * Atomic. */
	const char *reason;
};

static inline const char *io_reason(const struct io *io)
{
	return __atomic_load_n(&io->reason, __ATOMIC_RELAXED);
}

static inline void io_set_reason(struct io *io, const char *reason)
{
	__atomic_store_n(&io->reason, reason, __ATOMIC_RELAXED);
}

/* All of these take over the descriptors they are given, on success only. */

/* Makes the shared memory and its descriptors. ret_fds are the VM's ends, the caller's to close:
 * memory, the eventfd that kicks the switch, the pipe that kicks the VM. */
int io_shm_new(uint32_t ring_bytes, struct io **ret_io, int ret_fds[3]);
/* A raw socket as fabric_open_uplink() makes them. -EINVAL: it is something else. */
int io_afpacket_new(int fd, struct io **ret_io);
/* A TAP as fabric_open_tap() makes them. -EINVAL: it is something else. */
int io_tap_new(int fd, struct io **ret_io);

static inline void io_free(struct io *io)
{
	if (io)
		io->ops->free(io);
}

#endif
