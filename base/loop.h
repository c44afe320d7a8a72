/* SPDX-License-Identifier: MIT
 *
 * loop.h - the event loop of a control thread (qb_loop underneath; loop.c is the only user of it
 * besides ipc.c).
 *
 * Threads: one thread owns a loop and calls everything here; loop_wake() and loop_event_raise()
 * may be called from any thread. Callbacks may add and remove sources, their own included.
 * loop_free() is not for callbacks; it drops timers and calls that are still to come.
 */
#ifndef VIADUCT_BASE_LOOP_H
#define VIADUCT_BASE_LOOP_H

#include "base/turn_meter.h"

#include <poll.h>

struct loop;

int loop_new(struct loop **ret_loop);
void loop_free(struct loop *loop);
/* Run until loop_stop(), which is for callbacks: a stop before the run is forgotten. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* `events` as for poll(2). The descriptor stays the caller's; remove it before closing it. One
 * callback per descriptor: -EEXIST. */
typedef void (*loop_fd_fn)(int fd, short revents, void *data);
int loop_fd_add(struct loop *loop, int fd, short events, loop_fd_fn fn, void *data);
int loop_fd_modify(struct loop *loop, int fd, short events);
void loop_fd_remove(struct loop *loop, int fd);

/* One-shot timer `after_ns` from now. *ret_id (may be NULL) is never 0 and is dead once the timer
 * fired; removing a dead or zero id is harmless. */
typedef void (*loop_fn)(void *data);
int loop_timer_add(struct loop *loop, uint64_t after_ns, loop_fn fn, void *data, uint64_t *ret_id);
void loop_timer_remove(struct loop *loop, uint64_t id);

/* From now on, or (called again) from now on anew, the longest turn is kept: how long callbacks
 * that were called for one thing - a descriptor, all timers that were due, all jobs - kept
 * everything else waiting. For the loop's thread. */
int loop_measure(struct loop *loop);
/* Zeros when nothing is measured. */
struct turn_times loop_longest_turn(const struct loop *loop);

/* Run once, in the next round of the loop. Jobs and wake-ups run in the order they were added. */
int loop_job_add(struct loop *loop, loop_fn fn, void *data);

/* Blocks the signal in the calling thread, for good: call it before threads are started. */
typedef void (*loop_signal_fn)(int signal_number, void *data);
int loop_signal_add(struct loop *loop, int signal_number, loop_signal_fn fn, void *data);

/* Any thread: have `fn(data)` run once on the loop's thread. Returns 0 or -ENOMEM. */
int loop_wake(struct loop *loop, loop_fn fn, void *data);

/* A call that is made again and again and can be taken back: `fn(data)` runs in the next round
 * after a raise, once however often it was raised. Raising never fails, and any thread may; of what
 * such a thread wrote before, `fn` sees everything. Freed before the loop, also by `fn`; nobody may
 * raise it any more then. NULL is fine to free. */
struct loop_event;
int loop_event_new(struct loop *loop, loop_fn fn, void *data, struct loop_event **ret_event);
void loop_event_raise(struct loop_event *event);
void loop_event_free(struct loop_event *event);

/* For ipc.c: the qb_loop_t. */
void *loop_native(struct loop *loop);

#endif
