/* SPDX-License-Identifier: MIT
 *
 * bus.h - a cluster in one process: N replicated-store cores over a model of corosync.
 *
 * The model gives no more than corosync does. A ring is a set of nodes with one order of messages;
 * a node takes them in that order, at its own pace and its own ones first; a process takes them
 * from its node, at its own pace again. When rings break and merge, nodes that stay together agree
 * on what they got: everything any of them has taken, perhaps more, and of the rest only what one
 * of them sent. What was not sent yet is sent in the next ring, perhaps before the process hears of
 * the change. Quorum is told separately, at any time. A process that is killed keeps what it has
 * committed.
 *
 * Every choice comes from the seed.
 */
#ifndef VIADUCT_TESTS_CLUSTER_BUS_H
#define VIADUCT_TESTS_CLUSTER_BUS_H

#include "cluster/rs.h"

#define BUS_MAX_NODES  8
#define BUS_SILENCE_NS 1000000000ULL

struct bus;

/* Node ids are 1 to n_nodes; all are in one ring, no process runs. */
struct bus *bus_new(unsigned n_nodes, uint64_t seed);
void bus_free(struct bus *bus);

uint64_t bus_random(struct bus *bus, uint64_t n); /* below n */

void bus_start(struct bus *bus, uint32_t id);
void bus_kill(struct bus *bus, uint32_t id);
bool bus_is_running(const struct bus *bus, uint32_t id);
void bus_hang(struct bus *bus, uint32_t id, bool hung);
/* sides[id]: nodes with the same number can talk. Sides that are as before keep their ring. */
void bus_split(struct bus *bus, const unsigned sides[BUS_MAX_NODES + 1]);
void bus_heal(struct bus *bus);
/* What corosync counts at each node; the default is one vote each and a majority. */
void bus_set_device_votes(struct bus *bus, uint32_t votes);
void bus_set_max_position(struct bus *bus, uint64_t max_position); /* for processes started later */

/* One thing happens somewhere; false: nothing was left to happen. */
bool bus_step(struct bus *bus);
/* Go on, with time passing when nothing else happens, until nobody waits for anything. Fails the
 * test if that takes too long. */
void bus_settle(struct bus *bus);
/* Let that much time pass for everybody. */
void bus_wait(struct bus *bus, uint64_t ns);

struct rs *bus_rs(struct bus *bus, uint32_t id);
uint64_t bus_now_ns(const struct bus *bus);
/* Bytes from `sender` to everybody in its ring. */
void bus_inject(struct bus *bus, uint32_t sender, const void *bytes, size_t size_bytes);
/* Whether anything that was sent is not processed yet. */
bool bus_is_busy(const struct bus *bus);

struct bus_outcome {
	unsigned n_done;
	int error;
	uint64_t version;
};
int bus_write(struct bus *bus, uint32_t id, const char *key, uint64_t expected, const char *value,
	struct bus_outcome *ret_outcome);
/* The value as text, "" when there is none. */
const char *bus_get(struct bus *bus, uint32_t id, const char *key);
uint64_t bus_version(struct bus *bus, uint32_t id, const char *key);
/* Changes reported through applied() by the running process. */
uint64_t bus_n_changes(const struct bus *bus, uint32_t id);

/* Fails the test unless all running processes are synced with each other, agree, have on disk what
 * they have in memory, and reported all of it. */
void bus_check_agreement(struct bus *bus);
/* What must hold at any time; called by bus_step(). */
void bus_check_invariants(struct bus *bus);

#endif
