/* SPDX-License-Identifier: MIT */
#include "fabric/datapath.h"
#include "fabric/offload.h"

#include <string.h>

/* Segments wait here until their egress is flushed. */
#define SCRATCH_BYTES (256U * 1024)

struct datapath {
	datapath_shut_fn on_shut;
	void *data;
	struct list unflushed; /* ports that were sent something */
	uint32_t scratch_used_bytes;
	uint8_t *scratch;
	struct io_batch batch;
	struct fwd_result result;
};

int datapath_new(datapath_shut_fn on_shut, void *data, struct datapath **ret_datapath)
{
	struct datapath *dp = calloc(1, sizeof(*dp));

	if (!dp)
		return -ENOMEM;
	dp->on_shut = on_shut;
	dp->data = data;
	list_init(&dp->unflushed);
	dp->scratch = malloc(SCRATCH_BYTES);
	dp->batch.arena = malloc(IO_ARENA_BYTES);
	if (!dp->scratch || !dp->batch.arena) {
		datapath_free(dp);
		return -ENOMEM;
	}
	*ret_datapath = dp;
	return 0;
}

void datapath_free(struct datapath *dp)
{
	if (!dp)
		return;
	free(dp->scratch);
	free(dp->batch.arena);
	free(dp);
}

static void shut(struct datapath *dp, struct vport *port)
{
	if (port->shut)
		return;
	vport_shut(port);
	dp->on_shut(port, dp->data);
}

static void flush(struct datapath *dp)
{
	struct vport *port, *after;

	list_for_each_safe(port, after, &dp->unflushed, in_flush) {
		list_remove(&port->in_flush);
		if (!port->shut && port->io->ops->flush(port->io) < 0)
			shut(dp, port);
	}
	dp->scratch_used_bytes = 0;
}

static void send_one(struct datapath *dp, struct vport *to, const struct eth_hdr *hdr,
	const struct iovec *iov, unsigned n_iov)
{
	if (list_empty(&to->in_flush))
		list_append(&dp->unflushed, &to->in_flush);
	if (to->io->ops->send(to->io, hdr, iov, n_iov) < 0)
		shut(dp, to);
}

/* Cut a super-frame; every segment becomes a frame of its own and gets the super-frame's tag. */
static void send_segments(
	struct datapath *dp, struct vport *to, const struct frame *frame, bool tagged, uint16_t tci)
{
	uint32_t caps = to->io->ops->caps(to->io);
	struct gso gso;

	gso_begin(&gso, &frame->hdr, frame->data, frame->size_bytes);
	while (!to->shut) {
		/* The tag of a segment is kept behind it, as it must last as long. */
		const size_t room_bytes = gso_segment_max_bytes(&gso) + sizeof(struct frame);
		struct iovec iov[3];
		struct eth_hdr hdr;
		struct frame *segment;
		size_t size_bytes;
		unsigned n_iov;

		dp->scratch_used_bytes = ALIGN_UP(dp->scratch_used_bytes, 16U);
		if (room_bytes > SCRATCH_BYTES - dp->scratch_used_bytes)
			flush(dp);
		segment = (struct frame *)(dp->scratch + dp->scratch_used_bytes);
		*segment = (struct frame){.data = (uint8_t *)(segment + 1)};
		size_bytes = gso_next(&gso, &segment->hdr, segment->data);
		if (size_bytes == 0)
			break;
		segment->size_bytes = (uint32_t)size_bytes;
		if (!(caps & ETH_CAP_CSUM))
			offload_finish_csum(&segment->hdr, segment->data, size_bytes);
		n_iov = frame_pieces(segment, tagged, tci, &hdr, iov);
		dp->scratch_used_bytes += (uint32_t)(sizeof(*segment) + size_bytes);
		send_one(dp, to, &hdr, iov, n_iov);
	}
}

/* Before the first copy leaves: one that waits in a queue still looks at the bytes. */
static void finish_csum_if_needed(
	const struct vswitch *sw, const struct fwd_result *result, struct frame *frame)
{
	if (!(frame->hdr.flags & ETH_HDR_NEEDS_CSUM) || frame->hdr.gso_type != ETH_GSO_NONE)
		return;
	for (unsigned i = 0; i < result->n_out; i++) {
		const struct io *io = sw->ports[result->out[i].port]->io;

		if (!(io->ops->caps(io) & ETH_CAP_CSUM)) {
			offload_finish_csum(&frame->hdr, frame->data, frame->size_bytes);
			return;
		}
	}
}

static void deliver(struct datapath *dp, const struct vswitch *sw, struct frame *frame)
{
	const struct fwd_result *result = &dp->result;
	struct iovec iov[3];
	struct eth_hdr hdr;
	unsigned n_iov;

	finish_csum_if_needed(sw, result, frame);
	for (unsigned i = 0; i < result->n_out; i++) {
		struct vport *to = sw->ports[result->out[i].port];
		bool tagged = result->out[i].tagged;

		if (to->shut)
			continue;
		if (offload_needs_segments(&frame->hdr, to->io->ops->caps(to->io))) {
			send_segments(dp, to, frame, tagged, result->tci);
			continue;
		}
		n_iov = frame_pieces(frame, tagged, result->tci, &hdr, iov);
		send_one(dp, to, &hdr, iov, n_iov);
	}
}

static void handle(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns)
{
	struct fwd_switch *fwd = &port->sw->fwd;
	struct fwd_key key = {
		.tagged = frame->tagged,
		.inner_tag = frame->inner_tag,
		.tci = frame->tci,
	};
	enum drop drop;

	memcpy(key.dst, frame->data, ETH_ADDR_LEN);
	memcpy(key.src, frame->data + ETH_ADDR_LEN, ETH_ADDR_LEN);
	drop = forward(fwd, port->slot, &key, now_ns, &dp->result);
	if (dp->result.learn)
		fdb_learn(fwd->fdb, dp->result.vid, key.src, port->slot, now_ns);
	if (drop)
		port->dropped[drop]++;
	else
		deliver(dp, port->sw, frame);
}

void datapath_inject(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns)
{
	handle(dp, port, frame, now_ns);
	flush(dp);
}

bool datapath_serve(struct datapath *dp, struct vport *port, uint64_t now_ns)
{
	struct io_batch *batch = &dp->batch;
	enum drop drop;
	int r;

	if (port->shut)
		return false;
	batch->n_frames = 0;
	memset(batch->dropped, 0, sizeof(batch->dropped));
	r = port->io->ops->recv(port->io, batch);
	for (unsigned i = 0; i < N_DROPS; i++) {
		port->dropped[i] += batch->dropped[i];
		port->rx_frames += batch->dropped[i];
	}
	for (unsigned i = 0; i < batch->n_frames; i++) {
		struct frame *frame = &batch->frames[i];

		port->rx_frames++;
		port->rx_bytes += frame->size_bytes;
		drop = frame_normalise(frame);
		if (drop)
			port->dropped[drop]++;
		else
			handle(dp, port, frame, now_ns);
	}
	flush(dp);
	if (r < 0)
		shut(dp, port);
	return !port->shut && batch->n_frames > 0;
}
