/* SPDX-License-Identifier: MIT
 *
 * datapath.h - frames from a port to the ports they leave by: receive a batch, decide (forward.h),
 * edit tags, do in software what an egress cannot take, send, flush.
 *
 * Work is bounded: a port gets IO_BATCH_FRAMES frames or IO_ARENA_BYTES bytes a turn. A frame for a
 * port without room is dropped there; nobody waits for a slow receiver.
 *
 * A port whose I/O is beyond use is shut, and `on_event` is told.
 *
 * Threads: one owner. Several data paths may move frames of the same switches at once, each those
 * of other ports; switch.h has the locks.
 */
#ifndef VIADUCT_FABRIC_DATAPATH_H
#define VIADUCT_FABRIC_DATAPATH_H

#include "fabric/switch.h"

/* Called while frames are under way: to be passed on. */
typedef void (*datapath_event_fn)(enum vport_event event, struct vport *port, void *data);

struct datapath;

int datapath_new(datapath_event_fn on_event, void *data, struct datapath **ret_datapath);
void datapath_free(struct datapath *dp);

struct turn {
	uint64_t taken_bytes; /* from the port */
	uint64_t link_bytes;  /* of these and their copies, sent to the uplink; also if it had no
			       * room: that is no reason to send more */
};

/* VMs that were sent something in turns are woken by datapath_kick(), which is worth while after
 * several turns: waking is dearer than a frame. */
void datapath_kick(struct datapath *dp);

/* A port's turn, for `max_bytes` or one frame. Returns whether it took anything: then there may be
 * more. */
bool datapath_turn(struct datapath *dp, struct vport *port, uint32_t max_bytes, uint64_t now_ns,
	struct turn *ret_turn);
/* The same, whatever the port's bandwidth, and everybody is woken. So it is with the next two. */
static inline bool datapath_serve(struct datapath *dp, struct vport *port, uint64_t now_ns)
{
	struct turn turn;
	bool took = datapath_turn(dp, port, IO_NO_LIMIT, now_ns, &turn);

	datapath_kick(dp);
	return took;
}
/* Send `frame`, in normal form, as if it had come in by `port`. Its bytes are free after return. */
void datapath_inject(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns);
/* Send `frame`, in normal form, out by `to`, whatever the switch would have decided. */
void datapath_emit(
	struct datapath *dp, struct vport *to, struct frame *frame, bool tagged, uint16_t tci);

/* Mirroring: to what a frame from `port` goes to, add a copy for each destination of mirrors that
 * does not get it anyway. It shows the frame's VLAN, whatever the destination's own are. */
void datapath_add_mirrors(const struct vport *port, struct fwd_result *result);

#endif
