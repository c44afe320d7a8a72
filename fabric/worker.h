/* SPDX-License-Identifier: MIT
 *
 * worker.h - the thread that moves the frames of all switches of the process.
 *
 * It owns the fabric: nobody else touches switches and ports while it runs. Others have it call a
 * function between two rounds of work, and wait for that (worker_call()); a round is bounded, so
 * the wait is short. Ports with something to do take turns; when none has, the worker sleeps in
 * epoll.
 *
 * Threads: worker_call() from one thread, the control thread.
 */
#ifndef VIADUCT_FABRIC_WORKER_H
#define VIADUCT_FABRIC_WORKER_H

#include "fabric/datapath.h"

struct worker;

/* `on_shut` is called on the worker's thread. */
int worker_new(datapath_shut_fn on_shut, void *data, struct worker **ret_worker);
/* Ends the thread and frees all switches. NULL is fine. */
void worker_free(struct worker *worker);

/* Run `fn` on the worker's thread, while no frame is under way, and return when it is done. */
typedef void (*worker_fn)(struct worker *worker, void *data);
void worker_call(struct worker *worker, worker_fn fn, void *data);

/* Only within worker_call(). */
struct fabric *worker_fabric(struct worker *worker);
struct datapath *worker_datapath(struct worker *worker);
/* Begin and end serving a port; remove it before it is freed. */
int worker_add_port(struct worker *worker, struct vport *port);
void worker_remove_port(struct worker *worker, struct vport *port);

#endif
