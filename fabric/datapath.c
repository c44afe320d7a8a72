/* SPDX-License-Identifier: MIT */
#include "fabric/datapath.h"
#include "fabric/egress.h"
#include "fabric/offload.h"
#include "fabric/reach.h"

#include <string.h>

/* An address that is at two places is told so often. */
#define DUPLICATE_QUIET_NS (10 * NS_PER_SEC)

struct datapath {
	datapath_event_fn on_event;
	void *data;
	struct egress egress;
	struct io_batch batch;
	struct fwd_result result;
	struct headers headers; /* of the frame at hand, if somebody looks at them */
};

int datapath_new(datapath_event_fn on_event, void *data, struct datapath **ret_datapath)
{
	struct datapath *dp = calloc(1, sizeof(*dp));

	if (!dp)
		return -ENOMEM;
	dp->on_event = on_event;
	dp->data = data;
	dp->batch.arena = malloc(IO_ARENA_BYTES);
	if (egress_init(&dp->egress) < 0 || !dp->batch.arena) {
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
	egress_fini(&dp->egress);
	free(dp->batch.arena);
	free(dp);
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

	finish_csum_if_needed(sw, result, frame);
	for (unsigned i = 0; i < result->n_out; i++)
		egress_send(&dp->egress, sw->ports[result->out[i].port], frame,
			result->out[i].tagged, result->tci);
}

/* What the guards and access lists of both ends say; ports that must not get it leave the result.
 */
static enum drop check_policies(
	struct datapath *dp, struct vport *port, const struct frame *frame, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;
	struct fwd_result *result = &dp->result;
	unsigned n_left = 0;
	enum drop drop = DROP_NONE;

	if (policy_inspects(&port->policy)) {
		egress_hold(&dp->egress, port);
		drop = policy_check_sent(&port->policy, &dp->headers, frame, now_ns);
	}
	if (drop)
		return drop;
	for (unsigned i = 0; i < result->n_out; i++) {
		struct vport *to = sw->ports[result->out[i].port];

		if (policy_inspects(&to->policy)) {
			egress_hold(&dp->egress, to);
			drop = policy_check_received(
				&to->policy, &dp->headers, frame_bytes(frame), now_ns);
		}
		if (drop)
			vport_count_drop(to, drop, 1);
		else
			result->out[n_left++] = result->out[i];
		drop = DROP_NONE;
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

/* What a frame says about who wants which multicast. */
static void snoop(
	struct datapath *dp, struct vport *port, const struct frame *frame, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;
	struct mcast_message message;
	bool is_report;

	mcast_parse(&dp->headers, frame->data, frame->size_bytes, &message);
	if (message.kind == MCAST_NOTHING)
		return;
	egress_begin_write(&dp->egress);
	is_report = mcast_snoop(sw->fwd.mcast, dp->result.fid, port->slot, &message, now_ns);
	egress_end_write(&dp->egress);
	if (is_report)
		keep_from_hosts(dp, sw, now_ns);
}

/* Whatever is decided about a frame that may be forwarded, but for where it goes. */
static enum drop inspect(
	struct datapath *dp, struct vport *port, const struct frame *frame, uint64_t now_ns)
{
	struct vswitch *sw = port->sw;
	struct fwd_result *result = &dp->result;
	bool may_be_mcast = result->flooded && frame->data[0] & 1;
	enum drop drop = DROP_NONE;

	if (result->flooded && !qos_storm(&port->qos, now_ns))
		return DROP_STORM;
	if (sw->n_inspecting || may_be_mcast)
		headers_parse(frame->data, frame->size_bytes, &dp->headers);
	if (sw->n_inspecting)
		drop = check_policies(dp, port, frame, now_ns);
	if (may_be_mcast && !drop)
		snoop(dp, port, frame, now_ns);
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
static void note_duplicate(
	struct datapath *dp, struct vport *uplink, const uint8_t mac[ETH_ADDR_LEN], uint64_t now_ns)
{
	struct vport *port = uplink->sw->ports[dp->result.owner];

	/* What is static is behind the uplink. */
	if (port == uplink || memcmp(vport_fwd(port)->mac, mac, ETH_ADDR_LEN) != 0)
		return;
	port->n_duplicates++;
	if (port->duplicate_at_ns && now_ns - port->duplicate_at_ns < DUPLICATE_QUIET_NS)
		return;
	port->duplicate_at_ns = now_ns;
	dp->on_event(VPORT_DUPLICATE, port, dp->data);
}

static void learn(
	struct datapath *dp, struct vport *port, const uint8_t src[ETH_ADDR_LEN], uint64_t now_ns)
{
	egress_begin_write(&dp->egress);
	fdb_learn(port->sw->fwd.fdb, dp->result.fid, src, port->slot, now_ns);
	egress_end_write(&dp->egress);
}

static void handle(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns)
{
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
	drop = forward(&port->sw->fwd, port->slot, &key, now_ns, &dp->result);
	if (!drop && dp->result.owner >= 0 && vport_is_uplink(port))
		note_duplicate(dp, port, key.src, now_ns);
	if (!drop) {
		drop = inspect(dp, port, frame, now_ns);
		dp->result.learn &= !drop;
	}
	if (dp->result.learn)
		learn(dp, port, key.src, now_ns);
	if (drop) {
		vport_count_drop(port, drop, 1);
		return;
	}
	datapath_add_mirrors(port, &dp->result);
	deliver(dp, port->sw, frame);
}

/* ---- turns ---- */

static void port_was_shut(struct vport *port, void *data)
{
	struct datapath *dp = data;

	dp->on_event(VPORT_WAS_SHUT, port, dp->data);
}

void datapath_kick(struct datapath *dp)
{
	egress_kick(&dp->egress);
}

static void end_turn(struct datapath *dp)
{
	struct vport *uplink = dp->egress.sw->uplink_port;

	egress_end(&dp->egress, port_was_shut, dp);
	if (uplink && __atomic_load_n(&uplink->uplink_moved, __ATOMIC_RELAXED) &&
		__atomic_exchange_n(&uplink->uplink_moved, false, __ATOMIC_RELAXED))
		dp->on_event(VPORT_UPLINK_MOVED, uplink, dp->data);
}

void datapath_emit(
	struct datapath *dp, struct vport *to, struct frame *frame, bool tagged, uint16_t tci)
{
	egress_begin(&dp->egress, to->sw);
	egress_send(&dp->egress, to, frame, tagged, tci);
	end_turn(dp);
	datapath_kick(dp);
}

void datapath_inject(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns)
{
	egress_begin(&dp->egress, port->sw);
	handle(dp, port, frame, now_ns);
	end_turn(dp);
	datapath_kick(dp);
}

static void count_received(struct vport *port, const struct io_batch *batch)
{
	for (unsigned i = 0; i < N_DROPS; i++) {
		if (batch->dropped[i])
			vport_count_drop(port, (enum drop)i, batch->dropped[i]);
		port->rx_frames += batch->dropped[i];
	}
	port->rx_frames += batch->n_frames;
	for (unsigned i = 0; i < batch->n_frames; i++)
		port->rx_bytes += frame_bytes(&batch->frames[i]);
}

/* As they came, before anything is decided about them. */
static void record_received(struct datapath *dp, struct vport *port, uint64_t now_ns)
{
	egress_hold(&dp->egress, port);
	if (now_ns > port->capture_ends_ns) {
		capture_free(take_ptr(port->capture));
		return;
	}
	for (unsigned i = 0; i < dp->batch.n_frames; i++) {
		struct frame *frame = &dp->batch.frames[i];
		struct iovec iov[FRAME_MAX_PIECES];
		struct eth_hdr hdr;
		unsigned n_iov;

		if (frame->size_bytes < ETH_HEADER_BYTES)
			continue;
		n_iov = frame_pieces(frame, frame->tagged, frame->tci, &hdr, iov);
		egress_record(port, CAPTURE_FROM_PORT, iov, n_iov);
	}
}

static void receive(struct datapath *dp, struct vport *port, uint32_t max_bytes, uint64_t now_ns)
{
	struct io_batch *batch = &dp->batch;

	batch->max_bytes = max_bytes;
	batch->n_frames = 0;
	memset(batch->dropped, 0, sizeof(batch->dropped));
	if (!port->io->ops->duplex)
		egress_hold(&dp->egress, port);
	if (port->io->ops->recv(port->io, batch) < 0)
		egress_fail(&dp->egress, port);
	count_received(port, batch);
	/* It comes and goes while nobody serves the port. */
	if (port->capture)
		record_received(dp, port, now_ns);
}

bool datapath_turn(struct datapath *dp, struct vport *port, uint32_t max_bytes, uint64_t now_ns,
	struct turn *ret_turn)
{
	const uint64_t rx_bytes = port->rx_bytes;
	enum drop drop;

	*ret_turn = (struct turn){0};
	if (vport_is_shut(port))
		return false;
	egress_begin(&dp->egress, port->sw);
	receive(dp, port, max_bytes, now_ns);
	for (unsigned i = 0; i < dp->batch.n_frames; i++) {
		struct frame *frame = &dp->batch.frames[i];

		drop = frame_normalise(frame);
		if (drop)
			vport_count_drop(port, drop, 1);
		else
			handle(dp, port, frame, now_ns);
	}
	end_turn(dp);
	if (port->io->ops->release)
		port->io->ops->release(port->io);
	ret_turn->taken_bytes = port->rx_bytes - rx_bytes;
	ret_turn->link_bytes = dp->egress.link_bytes;
	return !vport_is_shut(port) && dp->batch.n_frames > 0;
}
