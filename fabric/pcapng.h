/* SPDX-License-Identifier: MIT
 *
 * pcapng.h - what passes a port, recorded in memory and read out in pieces as a pcapng stream
 * (draft-ietf-opsawg-pcapng): a section header, one interface with nanoseconds, and a packet block
 * for each frame, with its direction as the port's owner sees it. Tags are in line; super-frames
 * are whole.
 *
 * Bounded: frames wait in a ring; one for which there is no room is counted as lost, and the next
 * piece that is read says so (an interface statistics block). Nothing waits for a slow reader.
 *
 * Threads: one owner.
 */
#ifndef VIADUCT_FABRIC_PCAPNG_H
#define VIADUCT_FABRIC_PCAPNG_H

#include "base/bytes.h"
#include "base/eth_ops.h"

struct capture;

enum capture_direction {
	CAPTURE_FROM_PORT, /* its owner sends: outbound */
	CAPTURE_TO_PORT,   /* he is sent: inbound */
};

/* `name` is what the interface is called. Of each frame at most `snap_bytes` are kept. -ENOMEM. */
int capture_new(
	const char *name, uint32_t ring_bytes, uint32_t snap_bytes, struct capture **ret_capture);
void capture_free(struct capture *capture); /* NULL is fine */

/* `real_ns` is the wall clock's time. */
void capture_frame(struct capture *capture, enum capture_direction direction,
	const struct iovec *iov, unsigned n_iov, uint64_t real_ns);

/* The next piece of the stream, appended to `out`: at most `max_bytes`, whole blocks, and nothing
 * when there is nothing new. `max_bytes` has room for a frame of snap_bytes and 128 more. */
void capture_read(struct capture *capture, struct buf *out, size_t max_bytes);
/* Frames for which there was no room, ever. */
uint64_t capture_lost(const struct capture *capture);

#endif
