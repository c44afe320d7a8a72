/* SPDX-License-Identifier: MIT
 *
 * io_dummy.h - a port whose I/O is a list of frames: those it is to receive, and those it was sent.
 */
#ifndef VIADUCT_TESTS_FABRIC_IO_DUMMY_H
#define VIADUCT_TESTS_FABRIC_IO_DUMMY_H

#include "fabric/io.h"
#include "tests/unit/fabric/support.h"

#define MAX_FRAMES 64   /* kept of what was sent: the last ones */
#define MAX_QUEUED 2048 /* sent and not flushed */

/* What was sent, as the wire shows it. */
struct sent {
	struct eth_hdr hdr;
	size_t size_bytes;
	uint8_t data[9100];
};

struct dummy {
	struct io io;
	uint32_t caps;
	int recv_error, send_error, flush_error;
	unsigned n_frames; /* to be received */
	struct frame frames[IO_BATCH_FRAMES];
	uint8_t data[IO_BATCH_FRAMES][9100];
	unsigned n_sent;
	struct sent sent[MAX_FRAMES];
	/* Frames are looked at only when flushed: until then their bytes must not change. */
	unsigned n_queued;
	struct eth_hdr queue_hdr[MAX_QUEUED];
	struct iovec queue[MAX_QUEUED][FRAME_MAX_PIECES];
	unsigned n_pieces[MAX_QUEUED];
	uint64_t sequence_sum; /* of what would be their TCP sequence numbers */
};

static unsigned n_dummies;

static uint32_t dummy_caps(const struct io *io)
{
	return container_of(io, struct dummy, io)->caps;
}

static int dummy_recv(struct io *io, struct io_batch *batch)
{
	struct dummy *dummy = container_of(io, struct dummy, io);

	batch->n_frames = dummy->n_frames;
	memcpy(batch->frames, dummy->frames, dummy->n_frames * sizeof(struct frame));
	dummy->n_frames = 0;
	io->reason = dummy->recv_error ? "recv failed" : NULL;
	return dummy->recv_error;
}

static int dummy_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct dummy *dummy = container_of(io, struct dummy, io);

	assert_in_range(n_iov, 1, FRAME_MAX_PIECES);
	assert_true(dummy->n_queued < MAX_QUEUED);
	dummy->queue_hdr[dummy->n_queued] = *hdr;
	memcpy(dummy->queue[dummy->n_queued], iov, n_iov * sizeof(*iov));
	dummy->n_pieces[dummy->n_queued++] = n_iov;
	io->reason = dummy->send_error ? "send failed" : NULL;
	return dummy->send_error;
}

static int dummy_flush(struct io *io)
{
	struct dummy *dummy = container_of(io, struct dummy, io);

	for (unsigned i = 0; i < dummy->n_queued; i++) {
		struct sent *sent = &dummy->sent[dummy->n_sent++ % MAX_FRAMES];

		sent->hdr = dummy->queue_hdr[i];
		sent->size_bytes = 0;
		for (unsigned k = 0; k < dummy->n_pieces[i]; k++) {
			memcpy(sent->data + sent->size_bytes, dummy->queue[i][k].iov_base,
				dummy->queue[i][k].iov_len);
			sent->size_bytes += dummy->queue[i][k].iov_len;
		}
		dummy->sequence_sum += load_be32(sent->data + 38);
	}
	dummy->n_queued = 0;
	io->reason = dummy->flush_error ? "flush failed" : NULL;
	return dummy->flush_error;
}

static void dummy_free(struct io *io)
{
	n_dummies--;
	free(container_of(io, struct dummy, io));
}

static const struct io_ops dummy_ops = {
	.kind = "dummy",
	.caps = dummy_caps,
	.recv = dummy_recv,
	.send = dummy_send,
	.flush = dummy_flush,
	.free = dummy_free,
};

static struct dummy *new_dummy(void)
{
	struct dummy *dummy = calloc(1, sizeof(*dummy));

	assert_non_null(dummy);
	dummy->io.ops = &dummy_ops;
	dummy->caps = ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
	n_dummies++;
	return dummy;
}

#endif
