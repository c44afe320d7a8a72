/* SPDX-License-Identifier: MIT
 *
 * turns.h - which ports may have a turn, and when. A port is in one of three places:
 *
 *   idle        it has nothing to do
 *   the round   it wants a turn; all who do are asked one after another, pass by pass
 *   parked      it wants one, and its bandwidth (qos.h) does not let it have one before its time
 *
 * The caller walks the round: turns_ask() for each port, then the turn, then turns_charge(), and
 * turns_idle() when there was nothing left. Uplinks are never held back.
 *
 * Time is a parameter, no descriptors. Threads: one owner. Several may each take care of some of
 * the ports of a switch: they share its bandwidth, under the switch's lock for that.
 */
#ifndef VIADUCT_FABRIC_TURNS_H
#define VIADUCT_FABRIC_TURNS_H

#include "fabric/datapath.h"

#define TURNS_WORK_AT_HAND 0
#define TURNS_NEVER        UINT64_MAX

struct turns {
	struct list round;     /* struct vport.in_round */
	struct vport **parked; /* a heap, the first one due on top */
	unsigned n_parked;
	unsigned n_ports; /* for all of which there is room in it */
	unsigned capacity;
	uint64_t pass;
};

void turns_init(struct turns *turns);
/* Whatever ports are left may be gone already. */
void turns_fini(struct turns *turns);

/* A port comes, idle, and goes, from wherever it is. -ENOMEM. */
int turns_add(struct turns *turns, struct vport *port);
/* Room for so many at once; those are then added without fail. -ENOMEM. */
int turns_reserve(struct turns *turns, unsigned n_ports);
void turns_remove(struct turns *turns, struct vport *port);

/* The port has something to do. Parked ports stay that. */
void turns_want(struct turns *turns, struct vport *port);
/* It has not. */
void turns_idle(struct vport *port);

/* When the next pass is worth while: TURNS_WORK_AT_HAND, TURNS_NEVER, or a time. */
uint64_t turns_next_ns(const struct turns *turns);
/* Begin a pass: the ports whose time has come are in the round again. */
void turns_begin(struct turns *turns, uint64_t now_ns);
/* All parked ports: their bandwidth may be another one. */
void turns_unpark_all(struct turns *turns);

/* A port of the round: the bytes that it may take in its turn. 0: none in this pass; it may be
 * parked. Walks with list_for_each_safe() bear that. */
uint32_t turns_ask(struct turns *turns, struct vport *port, uint64_t now_ns);

/* It has had this one. */
void turns_charge(struct vport *port, const struct turn *turn, uint64_t now_ns);

#endif
