/* SPDX-License-Identifier: MIT
 *
 * worker.h - the thread that moves the frames of all switches of the process.
 *
 * It owns the fabric: nobody else touches switches and ports while it runs. Others have it call a
 * function between two rounds of work, and wait for that (worker_call()); a round is bounded, so
 * the wait is short. Ports with something to do take turns (turns.h); when none may have one,
 * the worker sleeps in epoll until there is something to do or a port's time has come. A call may
 * change the bandwidth of ports: all are asked again after it.
 *
 * Threads: worker_call() from one thread, the control thread.
 */
#ifndef VIADUCT_FABRIC_WORKER_H
#define VIADUCT_FABRIC_WORKER_H

#include "fabric/datapath.h"

struct worker;

enum worker_event {
	WORKER_PORT_SHUT,
	WORKER_DUPLICATE,    /* the port's address was seen behind the uplink of its switch */
	WORKER_UPLINK_MOVED, /* other members of a team carry its frames: announce addresses */
};

/* Called on the worker's thread, while frames are under way: to be passed on. */
typedef void (*worker_event_fn)(enum worker_event event, struct vport *port, void *data);

int worker_new(worker_event_fn on_event, void *data, struct worker **ret_worker);
/* Ends the thread and frees all switches. NULL is fine. */
void worker_free(struct worker *worker);

/* Run `fn` on the worker's thread, while no frame is under way, and return when it is done. Ports
 * that had something to do before have had a turn. */
typedef void (*worker_fn)(struct worker *worker, void *data);
void worker_call(struct worker *worker, worker_fn fn, void *data);

/* Only within worker_call(). */
struct fabric *worker_fabric(struct worker *worker);
struct datapath *worker_datapath(struct worker *worker);
/* Begin and end serving a port; remove it before it is freed. */
int worker_add_port(struct worker *worker, struct vport *port);
void worker_remove_port(struct worker *worker, struct vport *port);

#endif
