/* SPDX-License-Identifier: MIT
 *
 * worker.h - one thread that moves the frames of some of the ports (crew.h has all of them). Ports
 * with something to do take turns (turns.h); when none may have one, the worker sleeps in epoll
 * until there is something to do or a port's time has come.
 *
 * Each worker decides by itself which ports it gives to others (share.h); these arrive in the
 * other's inbox, and a port is never served by two.
 *
 * Threads: the functions below are for whoever has stopped all workers, except where they say so.
 */
#ifndef VIADUCT_FABRIC_WORKER_H
#define VIADUCT_FABRIC_WORKER_H

#include "fabric/datapath.h"
#include "fabric/gate.h"

struct worker;

/* What workers have in common. */
struct worker_team {
	struct gate gate;
	unsigned n_workers;
	struct worker **workers; /* the first is who has everything when there is little to do */
	datapath_event_fn on_event;
	void *data;
};

/* `team` is complete when the worker starts, and outlives it. */
int worker_new(struct worker_team *team, struct worker **ret_worker);
int worker_start(struct worker *worker);
/* Ends its thread if there is one. Not while workers are stopped; any thread but its own. */
void worker_end(struct worker *worker);
/* When all have ended and the ports are gone. NULL is fine. */
void worker_free(struct worker *worker);

/* It looks at the gate. Any thread. */
void worker_wake(struct worker *worker);

/* Begin and end serving a port, with room for it at every worker. -ENOMEM, -ENOSPC. */
int worker_reserve(struct worker *worker, unsigned n_ports);
int worker_add_port(struct worker *worker, struct vport *port);
/* Whoever has it. */
void worker_remove_port(struct vport *port);

/* What is in its inbox becomes its own and has a turn. */
void worker_settle(struct worker *worker);
/* The bandwidth of ports may be another one. */
void worker_look_again(struct worker *worker);

struct worker_report {
	unsigned n_ports;
	unsigned busy_permille; /* in its last window; 0 if that was long ago */
};

void worker_get_report(const struct worker *worker, uint64_t now_ns, struct worker_report *ret);

#endif
