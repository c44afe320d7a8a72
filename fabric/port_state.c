/* SPDX-License-Identifier: MIT */
#include "fabric/port_state.h"

#define VERSION 1

static void save_counters(const struct vport *port, struct buf *out)
{
	const struct io_counts *tx = &port->io->tx;

	buf_le64(out, port->rx_frames);
	buf_le64(out, port->rx_bytes);
	buf_le64(out, tx->n_frames);
	buf_le64(out, tx->n_bytes);
	buf_le64(out, tx->n_full);
	buf_le64(out, tx->n_error);
	buf_le32(out, N_DROPS);
	for (unsigned i = 0; i < N_DROPS; i++)
		buf_le64(out, port->dropped[i]);
}

/* Reasons are numbered in the order of drop.h, to which new ones are added at the end only by a new
 * version of this format. */
static void restore_counters(struct vport *port, struct reader *in)
{
	struct io_counts *tx = &port->io->tx;

	port->rx_frames = reader_le64(in);
	port->rx_bytes = reader_le64(in);
	tx->n_frames = reader_le64(in);
	tx->n_bytes = reader_le64(in);
	tx->n_full = reader_le64(in);
	tx->n_error = reader_le64(in);
	in->failed |= reader_le32(in) != N_DROPS;
	for (unsigned i = 0; i < N_DROPS; i++)
		port->dropped[i] = reader_le64(in);
}

static void reset_counters(struct vport *port)
{
	port->rx_frames = port->rx_bytes = 0;
	port->io->tx = (struct io_counts){0};
	memset(port->dropped, 0, sizeof(port->dropped));
}

/* A part with its length in front, so that a port without use for it skips it. */
static void save_part(struct buf *out, const struct buf *part)
{
	buf_le32(out, (uint32_t)part->size_bytes);
	buf_bytes(out, part->data, part->size_bytes);
	out->failed |= part->failed;
}

static struct reader read_part(struct reader *in)
{
	uint32_t size_bytes = reader_le32(in);
	const uint8_t *at = reader_take(in, size_bytes);

	return reader_make(at, at ? size_bytes : 0);
}

void port_state_save(const struct vport *port, uint64_t now_ns, struct buf *out)
{
	struct buf part = {0};

	buf_le32(out, VERSION);
	save_counters(port, out);
	buf_le64(out, (uint64_t)port->qos.max.tokens);
	if (port->policy.acl)
		acl_save(port->policy.acl, now_ns, &part);
	save_part(out, &part);
	buf_reset(&part);
	mcast_save_port(port->sw->fwd.mcast, port->slot, now_ns, &part);
	save_part(out, &part);
	buf_fini(&part);
}

int port_state_restore(struct vport *port, struct reader *in, uint64_t now_ns)
{
	struct reader acl, mcast;
	int64_t tokens;
	int r = reader_le32(in) == VERSION ? 0 : -EBADMSG;

	if (r < 0)
		return r;
	restore_counters(port, in);
	tokens = (int64_t)reader_le64(in);
	acl = read_part(in);
	mcast = read_part(in);
	r = reader_done(in) ? 0 : -EBADMSG;
	/* Credit may be spent already, never made. */
	if (r == 0 && tokens < port->qos.max.tokens)
		port->qos.max.tokens = MAX(tokens, -(int64_t)ETH_FRAME_MAX_BYTES);
	if (r == 0 && port->policy.acl && acl.left_bytes)
		r = acl_restore(port->policy.acl, &acl, now_ns);
	if (r == 0 && mcast.left_bytes)
		r = mcast_restore_port(port->sw->fwd.mcast, port->slot, &mcast, now_ns);
	if (r < 0) {
		reset_counters(port);
		mcast_forget_port(port->sw->fwd.mcast, port->slot);
	}
	return r;
}
