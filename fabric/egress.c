/* SPDX-License-Identifier: MIT */
#include "fabric/egress.h"
#include "fabric/offload.h"

#include <string.h>

#define SCRATCH_BYTES (256U * 1024)

int egress_init(struct egress *egress)
{
	*egress = (struct egress){
		.scratch = malloc(SCRATCH_BYTES),
		.whole = malloc(ETH_FRAME_MAX_BYTES),
	};
	return egress->scratch && egress->whole ? 0 : -ENOMEM;
}

void egress_fini(struct egress *egress)
{
	free(egress->scratch);
	free(egress->whole);
}

/* ---- locks ---- */

static void release(struct egress *egress)
{
	if (egress->held)
		pthread_mutex_unlock(&egress->held->lock);
	egress->held = NULL;
}

void egress_hold(struct egress *egress, struct vport *port)
{
	if (egress->held == port)
		return;
	release(egress);
	pthread_mutex_lock(&port->lock);
	egress->held = port;
}

void egress_begin_write(struct egress *egress)
{
	/* Who holds a port waits for nobody who could wait for the switch. */
	release(egress);
	pthread_rwlock_unlock(&egress->sw->lock);
	pthread_rwlock_wrlock(&egress->sw->lock);
}

void egress_end_write(struct egress *egress)
{
	pthread_rwlock_unlock(&egress->sw->lock);
	pthread_rwlock_rdlock(&egress->sw->lock);
}

/* ---- the turn ---- */

void egress_begin(struct egress *egress, struct vswitch *sw)
{
	egress->sw = sw;
	egress->link_bytes = 0;
	pthread_rwlock_rdlock(&sw->lock);
}

void egress_fail(struct egress *egress, const struct vport *port)
{
	bitmap_set(egress->failed, port->slot);
}

/* The port of the lowest bit in `map`, which is cleared, or NULL. */
static struct vport *pop(const struct vswitch *sw, uint64_t map[BITMAP_WORDS(FWD_MAX_PORTS)])
{
	for (unsigned i = 0; i < BITMAP_WORDS(FWD_MAX_PORTS); i++) {
		if (map[i]) {
			unsigned bit = (unsigned)__builtin_ctzll(map[i]);

			map[i] &= map[i] - 1;
			return sw->ports[64 * i + bit];
		}
	}
	return NULL;
}

void egress_kick(struct egress *egress)
{
	while (egress->n_unkicked > 0) {
		struct io *io = egress->unkicked[--egress->n_unkicked];

		io->ops->kick(io);
	}
}

static void note_unkicked(struct egress *egress, struct io *io)
{
	if (!io->ops->kick)
		return;
	for (unsigned i = 0; i < egress->n_unkicked; i++) {
		if (egress->unkicked[i] == io)
			return;
	}
	if (egress->n_unkicked == EGRESS_MAX_UNKICKED)
		egress_kick(egress);
	egress->unkicked[egress->n_unkicked++] = io;
}

static void flush_one(struct egress *egress, struct vport *port)
{
	if (vport_is_shut(port) || bitmap_test(egress->failed, port->slot))
		return;
	egress_hold(egress, port);
	if (port->io->ops->flush(port->io) < 0)
		egress_fail(egress, port);
	else
		note_unkicked(egress, port->io);
}

static void flush(struct egress *egress)
{
	struct vport *port = egress->held;

	/* Its lock need not be taken again. */
	if (port && bitmap_test(egress->unflushed, port->slot)) {
		bitmap_clear(egress->unflushed, port->slot);
		flush_one(egress, port);
	}
	while ((port = pop(egress->sw, egress->unflushed)))
		flush_one(egress, port);
	egress->scratch_used_bytes = 0;
}

void egress_end(struct egress *egress, egress_shut_fn on_shut, void *data)
{
	struct vswitch *sw = egress->sw;
	struct vport *port;

	flush(egress);
	release(egress);
	pthread_rwlock_unlock(&sw->lock);
	while ((port = pop(sw, egress->failed))) {
		if (vport_shut(port))
			on_shut(port, data);
	}
}

/* ---- sending ---- */

void egress_record(struct vport *port, enum capture_direction direction, const struct iovec *iov,
	unsigned n_iov)
{
	if (port->capture)
		capture_frame(port->capture, direction, iov, n_iov, clock_real_ns());
}

static void send_one(struct egress *egress, struct vport *to, const struct eth_hdr *hdr,
	const struct iovec *iov, unsigned n_iov)
{
	egress_record(to, CAPTURE_TO_PORT, iov, n_iov);
	bitmap_set(egress->unflushed, to->slot);
	if (to == egress->sw->uplink_port) {
		for (unsigned i = 0; i < n_iov; i++)
			egress->link_bytes += iov[i].iov_len;
	}
	if (to->io->ops->send(to->io, hdr, iov, n_iov) < 0)
		egress_fail(egress, to);
}

/* The frame's bytes; they last until this is called again. */
static const uint8_t *in_one_piece(struct egress *egress, const struct frame *frame)
{
	uint8_t *at = egress->whole;

	if (frame->n_tail == 0)
		return frame->data;
	memcpy(at, frame->data, frame->size_bytes);
	at += frame->size_bytes;
	for (unsigned i = 0; i < frame->n_tail; i++) {
		memcpy(at, frame->tail[i].iov_base, frame->tail[i].iov_len);
		at += frame->tail[i].iov_len;
	}
	return egress->whole;
}

/* Cut a super-frame; every segment becomes a frame of its own and gets the super-frame's tag. */
static void send_segments(struct egress *egress, struct vport *to, const struct frame *frame,
	bool tagged, uint16_t tci)
{
	uint32_t caps = to->io->ops->caps(to->io);
	struct gso gso;

	gso_begin(&gso, &frame->hdr, in_one_piece(egress, frame), frame_bytes(frame));
	while (!bitmap_test(egress->failed, to->slot)) {
		/* The tag of a segment is kept behind it, as it must last as long. */
		const size_t room_bytes = gso_segment_max_bytes(&gso) + sizeof(struct frame);
		struct iovec iov[FRAME_MAX_PIECES];
		struct eth_hdr hdr;
		struct frame *segment;
		size_t size_bytes;
		unsigned n_iov;

		egress->scratch_used_bytes = ALIGN_UP(egress->scratch_used_bytes, 16U);
		if (room_bytes > SCRATCH_BYTES - egress->scratch_used_bytes) {
			flush(egress);
			egress_hold(egress, to);
		}
		segment = (struct frame *)(egress->scratch + egress->scratch_used_bytes);
		*segment = (struct frame){.data = (uint8_t *)(segment + 1)};
		size_bytes = gso_next(&gso, &segment->hdr, segment->data);
		if (size_bytes == 0)
			break;
		segment->size_bytes = (uint32_t)size_bytes;
		if (!(caps & ETH_CAP_CSUM))
			offload_finish_csum(&segment->hdr, segment->data, size_bytes);
		n_iov = frame_pieces(segment, tagged, tci, &hdr, iov);
		egress->scratch_used_bytes += (uint32_t)(sizeof(*segment) + size_bytes);
		send_one(egress, to, &hdr, iov, n_iov);
	}
}

void egress_send(
	struct egress *egress, struct vport *to, struct frame *frame, bool tagged, uint16_t tci)
{
	struct iovec iov[FRAME_MAX_PIECES];
	struct eth_hdr hdr;
	unsigned n_iov;

	if (vport_is_shut(to) || bitmap_test(egress->failed, to->slot))
		return;
	egress_hold(egress, to);
	if (offload_needs_segments(&frame->hdr, to->io->ops->caps(to->io))) {
		send_segments(egress, to, frame, tagged, tci);
		return;
	}
	n_iov = frame_pieces(frame, tagged, tci, &hdr, iov);
	send_one(egress, to, &hdr, iov, n_iov);
}
