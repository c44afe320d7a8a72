/* SPDX-License-Identifier: MIT
 *
 * chan_wire.h - datagrams with descriptors on a non-blocking SEQPACKET socket, and the queue of
 * those that did not fit into the socket yet. Internal to chan.c.
 */
#ifndef VIADUCT_BASE_CHAN_WIRE_H
#define VIADUCT_BASE_CHAN_WIRE_H

#include "base/chan.h"
#include "base/list.h"

#define CHAN_QUEUE_MAX_DATAGRAMS 256

/* 0, -EAGAIN when the socket is full, -errno. */
int chan_wire_send(
	int socket_fd, const void *data, size_t size_bytes, const int *fds, size_t n_fds);

/* Receive one datagram and its descriptors, which are the caller's then. `ret_fds` has room for
 * CHAN_MAX_FDS. 0; -EAGAIN when there is none; -EPIPE at the end; -EMSGSIZE for a datagram of more
 * than `capacity_bytes`; -EBADMSG for surplus descriptors. No descriptor is left open on error. */
int chan_wire_recv(int socket_fd, void *ret_data, size_t capacity_bytes, size_t *ret_size_bytes,
	int *ret_fds, size_t *ret_n_fds);

void chan_wire_close_fds(const int *fds, size_t n_fds);

struct chan_queue {
	struct list datagrams;
	size_t n_datagrams;
};

void chan_queue_init(struct chan_queue *queue);
void chan_queue_clear(struct chan_queue *queue);
/* Copies the bytes and duplicates the descriptors. -ENOBUFS when the queue is full. */
int chan_queue_add(struct chan_queue *queue, const void *data, size_t size_bytes, const int *fds,
	size_t n_fds);
/* Send what fits. 0 when the queue is empty, -EAGAIN, -errno. */
int chan_queue_flush(struct chan_queue *queue, int socket_fd);

#endif
