/* SPDX-License-Identifier: MIT */
#include "fabric/datapath.h"
#include "fabric/offload.h"
#include "fabric/reach.h"

#include <string.h>

/* Segments wait here until their egress is flushed. */
#define SCRATCH_BYTES (256U * 1024)
/* An address that is at two places is told so often. */
#define DUPLICATE_QUIET_NS (10 * NS_PER_SEC)

struct datapath {
	datapath_shut_fn on_shut;
	void *data;
	struct list unflushed; /* ports that were sent something */
	uint32_t scratch_used_bytes;
	uint8_t *scratch;
	struct io_batch batch;
	struct fwd_result result;
	struct headers headers; /* of the frame at hand, if somebody looks at them */
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

static void record(struct vport *port, enum capture_direction direction, const struct iovec *iov,
	unsigned n_iov)
{
	if (port->capture)
		capture_frame(port->capture, direction, iov, n_iov, clock_real_ns());
}

static void send_one(struct datapath *dp, struct vport *to, const struct eth_hdr *hdr,
	const struct iovec *iov, unsigned n_iov)
{
	record(to, CAPTURE_TO_PORT, iov, n_iov);
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

/* What the guards and access lists of both ends say; ports that must not get it leave the result.
 */
static enum drop check_policies(
	struct datapath *dp, struct vport *port, const struct frame *frame, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;
	struct fwd_result *result = &dp->result;
	unsigned n_left = 0;
	enum drop drop = policy_check_sent(
		&port->policy, &dp->headers, frame->data, frame->size_bytes, now_ns);

	if (drop)
		return drop;
	for (unsigned i = 0; i < result->n_out; i++) {
		struct vport *to = sw->ports[result->out[i].port];

		drop = policy_check_received(&to->policy, &dp->headers, frame->size_bytes, now_ns);
		if (drop)
			to->dropped[drop]++;
		else
			result->out[n_left++] = result->out[i];
	}
	result->n_out = n_left;
	return DROP_NONE;
}

static bool has_mirrored(const struct vport *port, const struct fwd_result *result)
{
	if (port->policy.mirror == MIRROR_SOURCE)
		return true;
	for (unsigned i = 0; i < result->n_out; i++) {
		if (port->sw->ports[result->out[i].port]->policy.mirror == MIRROR_SOURCE)
			return true;
	}
	return false;
}

void datapath_add_mirrors(const struct vport *port, struct fwd_result *result)
{
	const struct vswitch *sw = port->sw;
	uint64_t served[BITMAP_WORDS(FWD_MAX_PORTS)] = {0};

	if (sw->n_mirrors == 0 || !has_mirrored(port, result))
		return;
	bitmap_set(served, port->slot);
	for (unsigned i = 0; i < result->n_out; i++)
		bitmap_set(served, result->out[i].port);
	for (unsigned i = 0; i < sw->fwd.n_slots; i++) {
		const struct vport *to = sw->ports[i];

		if (to && to->policy.mirror == MIRROR_DESTINATION && !sw->fwd.ports[i].muted &&
			!bitmap_test(served, i))
			result->out[result->n_out++] =
				(struct fwd_out){.port = (uint16_t)i, .tagged = result->vid != 0};
	}
}

/* Hosts that hear each other's reports stay silent, and their ports would lose what they want: a
 * report goes to routers only. */
static void keep_from_hosts(struct datapath *dp, const struct vswitch *sw, uint64_t now_ns)
{
	struct fwd_result *result = &dp->result;
	uint64_t routers[BITMAP_WORDS(FDB_MAX_PORTS)];
	unsigned n_left = 0;

	if (!mcast_report_ports(
		    sw->fwd.mcast, result->fid, dp->headers.l3 == HEADERS_L3_IPV6, now_ns, routers))
		return;
	for (unsigned i = 0; i < result->n_out; i++) {
		if (bitmap_test(routers, result->out[i].port))
			result->out[n_left++] = result->out[i];
	}
	result->n_out = n_left;
}

/* Whatever is decided about a frame that may be forwarded, but for where it goes. */
static enum drop inspect(
	struct datapath *dp, struct vport *port, const struct frame *frame, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;
	struct fwd_result *result = &dp->result;
	bool snoop = result->flooded && frame->data[0] & 1;
	enum drop drop = DROP_NONE;

	if (result->flooded && !qos_storm(&port->qos, now_ns))
		return DROP_STORM;
	if (sw->n_inspecting || snoop)
		headers_parse(frame->data, frame->size_bytes, &dp->headers);
	if (sw->n_inspecting)
		drop = check_policies(dp, port, frame, now_ns);
	if (snoop && !drop &&
		mcast_snoop(sw->fwd.mcast, result->fid, port->slot, &dp->headers, frame->data,
			frame->size_bytes, now_ns))
		keep_from_hosts(dp, sw, now_ns);
	return drop;
}

static bool take_probe(const struct vport *port, const struct frame *frame, uint64_t now_ns)
{
	if (!vport_is_uplink(port) || !reach_is_probe(frame->data, frame->size_bytes))
		return false;
	if (port->sw->reach)
		reach_take(port->sw->reach, frame->tagged ? frame->tci & FRAME_VID_MASK : 0U,
			frame->data, frame->size_bytes, now_ns);
	return true;
}

/* A frame from the uplink under an address that one of our own open ports has: it is at two places.
 */
static void note_duplicate(struct vport *uplink, const uint8_t mac[ETH_ADDR_LEN],
	const struct fwd_result *result, uint64_t now_ns)
{
	struct vswitch *sw = uplink->sw;
	int slot = forward_owner(&sw->fwd, result->vid, mac, now_ns);
	struct vport *port = slot < 0 ? NULL : sw->ports[slot];

	if (!port || port == uplink || memcmp(vport_fwd(port)->mac, mac, ETH_ADDR_LEN) != 0)
		return;
	port->n_duplicates++;
	if (port->duplicate_at_ns && now_ns - port->duplicate_at_ns < DUPLICATE_QUIET_NS)
		return;
	port->duplicate_at_ns = now_ns;
	sw->duplicate = port;
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

	if (take_probe(port, frame, now_ns))
		return;
	memcpy(key.dst, frame->data, ETH_ADDR_LEN);
	memcpy(key.src, frame->data + ETH_ADDR_LEN, ETH_ADDR_LEN);
	drop = forward(fwd, port->slot, &key, now_ns, &dp->result);
	if (vport_is_uplink(port) && !drop)
		note_duplicate(port, key.src, &dp->result, now_ns);
	if (!drop) {
		drop = inspect(dp, port, frame, now_ns);
		dp->result.learn &= !drop;
	}
	if (dp->result.learn)
		fdb_learn(fwd->fdb, dp->result.fid, key.src, port->slot, now_ns);
	if (drop) {
		port->dropped[drop]++;
		return;
	}
	datapath_add_mirrors(port, &dp->result);
	deliver(dp, port->sw, frame);
}

void datapath_emit(
	struct datapath *dp, struct vport *to, struct frame *frame, bool tagged, uint16_t tci)
{
	struct iovec iov[3];
	struct eth_hdr hdr;
	unsigned n_iov = frame_pieces(frame, tagged, tci, &hdr, iov);

	if (to->shut)
		return;
	send_one(dp, to, &hdr, iov, n_iov);
	flush(dp);
}

void datapath_inject(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns)
{
	handle(dp, port, frame, now_ns);
	flush(dp);
}

/* As it came, before anything is decided about it. */
static void record_received(struct vport *port, struct frame *frame)
{
	struct iovec iov[3];
	struct eth_hdr hdr;
	unsigned n_iov;

	if (frame->size_bytes < ETH_HEADER_BYTES)
		return;
	n_iov = frame_pieces(frame, frame->tagged, frame->tci, &hdr, iov);
	record(port, CAPTURE_FROM_PORT, iov, n_iov);
}

bool datapath_turn(struct datapath *dp, struct vport *port, uint32_t max_bytes, uint64_t now_ns)
{
	struct io_batch *batch = &dp->batch;
	enum drop drop;
	int r;

	if (port->shut)
		return false;
	if (port->capture && now_ns > port->capture_ends_ns)
		capture_free(take_ptr(port->capture));
	batch->max_bytes = max_bytes;
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
		if (port->capture)
			record_received(port, frame);
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
