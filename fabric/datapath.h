/* SPDX-License-Identifier: MIT
 *
 * datapath.h - frames from a port to the ports they leave by: receive a batch, decide (forward.h),
 * edit tags, do in software what an egress cannot take, send, flush.
 *
 * Work is bounded: a port gets IO_BATCH_FRAMES frames or IO_ARENA_BYTES bytes a turn. A frame for a
 * port without room is dropped there; nobody waits for a slow receiver.
 *
 * A port whose I/O is beyond use is shut, and `on_shut` is told.
 */
#ifndef VIADUCT_FABRIC_DATAPATH_H
#define VIADUCT_FABRIC_DATAPATH_H

#include "fabric/switch.h"

typedef void (*datapath_shut_fn)(struct vport *port, void *data);

struct datapath;

int datapath_new(datapath_shut_fn on_shut, void *data, struct datapath **ret_datapath);
void datapath_free(struct datapath *dp);

/* A port's turn. Returns whether it took anything: then there may be more. */
bool datapath_serve(struct datapath *dp, struct vport *port, uint64_t now_ns);
/* Send `frame`, in normal form, as if it had come in by `port`. Its bytes are free after return. */
void datapath_inject(struct datapath *dp, struct vport *port, struct frame *frame, uint64_t now_ns);

#endif
