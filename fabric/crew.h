/* SPDX-License-Identifier: MIT
 *
 * crew.h - the threads that move the frames of all switches of the process: workers (worker.h), of
 * which one has all ports until it cannot keep up.
 *
 * They own the fabric: nobody else touches switches and ports while they run. Others have the crew
 * call a function between two rounds of work, and wait for that (crew_call()); a round is bounded,
 * so the wait is short. A call may change the bandwidth of ports: all are asked again after it.
 *
 * Threads: crew_call() from one thread, the control thread.
 */
#ifndef VIADUCT_FABRIC_CREW_H
#define VIADUCT_FABRIC_CREW_H

#include "fabric/worker.h"

#define CREW_MAX_WORKERS 8

struct crew;

/* The processors that this process may use, at most CREW_MAX_WORKERS. */
unsigned crew_n_workers(void);

/* `on_event` is called on the workers' threads. */
int crew_new(unsigned n_workers, datapath_event_fn on_event, void *data, struct crew **ret_crew);
/* Ends the threads and frees all switches. NULL is fine. */
void crew_free(struct crew *crew);

/* Run `fn` while no frame is under way. Ports that had something to do before have had a turn. */
typedef void (*crew_fn)(struct crew *crew, void *data);
void crew_call(struct crew *crew, crew_fn fn, void *data);

/* Only within crew_call(). */
struct fabric *crew_fabric(struct crew *crew);
struct datapath *crew_datapath(struct crew *crew);
/* Begin and end serving a port; remove it before it is freed. */
int crew_add_port(struct crew *crew, struct vport *port);
void crew_remove_port(struct crew *crew, struct vport *port);
/* Returns how many there are. */
unsigned crew_report(const struct crew *crew, struct worker_report ret[CREW_MAX_WORKERS]);

#endif
