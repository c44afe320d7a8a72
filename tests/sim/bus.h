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
 * Time is simulated: whatever can happen next has a time at which it does (bus_pace.c), and the
 * earliest is next. Every choice comes from the seed, so the same calls give the same run.
 *
 * What must hold at any time is checked after each step (bus_check.c); what is broken goes to the
 * watch, or ends the program if there is none.
 */
#ifndef VIADUCT_TESTS_SIM_BUS_H
#define VIADUCT_TESTS_SIM_BUS_H

#include "cluster/lease.h"
#include "cluster/rs.h"

#define BUS_MAX_NODES  64
#define BUS_SILENCE_NS 1000000000ULL

struct bus;

enum bus_pace {
	/* Anything may take any time: the seed decides, with a few things much slower than the
	 * rest. For finding what depends on an order. */
	BUS_PACE_RANDOM,
	/* The times of a token ring on a local network and of a disk, the same in every run; where
	 * corosync may do one thing or another, the plain one. For reading and measuring. */
	BUS_PACE_LAN,
};

/* A wrong model or a wrong process, on purpose: what the checks are for has to be found. */
enum bus_mutation {
	BUS_AS_IT_IS,
	BUS_FORGETS_WRITES,     /* transactions are not on the disk after a crash */
	BUS_FORGETS_PROMISES,   /* nor is what a member has promised */
	BUS_CONFIRMS_EARLY,     /* a process thinks that all have confirmed what it has applied */
	BUS_CONFIRMS_UNSAVED,   /* a process does not wait for its disk */
	BUS_SWAPS_MESSAGES,     /* a node may get two messages in the other order */
	BUS_LOSES_MESSAGES,     /* a node may not get a message at all */
	BUS_COUNTS_NO_VOTES,    /* every side of a split is told that it has quorum */
	BUS_WAITS_FOR_NO_LEASE, /* VMs of a node that is no member are taken over at once */
	BUS_COUNTS_DEVICE,      /* the votes of a quorum device count as if it had a copy */
	BUS_LOSES_HELLOS,       /* a process may not hear which versions another one speaks */
	BUS_N_MUTATIONS,
};
const char *bus_mutation_name(enum bus_mutation mutation);

/* What somebody who looks on is told; each may be NULL. Nothing may be changed from within. */
struct bus_watch {
	void (*violated)(const char *what, void *data);
	/* Of corosync: processes, memberships. */
	void (*log)(uint32_t id, const char *what, void *data);
	void (*membership)(uint32_t id, size_t n_members, void *data);
	void (*sent)(uint32_t id, const void *bytes, size_t size_bytes, void *data);
	/* As rs_ops says them. */
	void (*changed)(uint32_t id, void *data);
	void (*applied)(uint32_t id, const char *key, const struct store_entry *entry,
		uint64_t version, void *data);
	void (*saved_store)(uint32_t id, const struct store *store, void *data);
	void (*renewed)(uint32_t id, uint64_t until_ns, void *data); /* as lease_ops says it */
};

/* Node ids are 1 to n_nodes; all are in one ring, no process runs. */
struct bus *bus_new(unsigned n_nodes, uint64_t seed);
void bus_free(struct bus *bus);

/* Before the first bus_start(). */
void bus_set_watch(struct bus *bus, const struct bus_watch *watch, void *data);
void bus_set_pace(struct bus *bus, enum bus_pace pace);
void bus_set_mutation(struct bus *bus, enum bus_mutation mutation);
enum bus_mutation bus_mutation_of(const struct bus *bus);
void bus_set_silence(struct bus *bus, uint64_t silence_ns);
/* Before the first bus_start(): processes have leases, too. 0: from now on no more ticks. */
void bus_set_leases(struct bus *bus, uint64_t duration_ns);
/* Only the cores have stores: no copies of what they reported and saved, and a process that is
 * killed must not come back. For stores that are large. */
void bus_set_lean(struct bus *bus);
/* What is on that node's disk. */
void bus_preload(
	struct bus *bus, uint32_t id, const struct store *store, const struct rs_meta *meta);

uint64_t bus_random(struct bus *bus, uint64_t n); /* below n */
unsigned bus_n_nodes(const struct bus *bus);

void bus_start(struct bus *bus, uint32_t id);
void bus_kill(struct bus *bus, uint32_t id);
bool bus_is_running(const struct bus *bus, uint32_t id);
/* The process loses its connection to corosync, and has it again. */
void bus_disconnect(struct bus *bus, uint32_t id);
void bus_connect(struct bus *bus, uint32_t id);
bool bus_is_connected(const struct bus *bus, uint32_t id);
void bus_hang(struct bus *bus, uint32_t id, bool hung);
bool bus_is_hung(const struct bus *bus, uint32_t id);
/* From now on nothing takes longer than usual, on no node. */
void bus_set_calm(struct bus *bus);
/* That many times slower than others; 1 for as fast. */
void bus_slow(struct bus *bus, uint32_t id, unsigned factor);
/* BUS_PACE_LAN: what others send gets to that node so much later. */
void bus_lag(struct bus *bus, uint32_t id, uint64_t lag_ns);
/* From now on transactions of that node fail, or are done again. */
void bus_fail_disk(struct bus *bus, uint32_t id, bool fails);
/* A byte of the process's store changes, as memory does that forgets; false: there is nothing. */
bool bus_corrupt(struct bus *bus, uint32_t id);
/* That node is told that another one does not answer. */
void bus_suspect(struct bus *bus, uint32_t id, uint32_t whom);
/* The time for a comparison of all stores has come at that node. */
void bus_check(struct bus *bus, uint32_t id);
/* From now on they take for ever, or go on. */
void bus_stall_disk(struct bus *bus, uint32_t id, bool stalls);
/* sides[id]: nodes with the same number can talk. Sides that are as before keep their ring. */
void bus_split(struct bus *bus, const unsigned sides[BUS_MAX_NODES + 1]);
void bus_heal(struct bus *bus);
bool bus_are_in_one_ring(const struct bus *bus, uint32_t a, uint32_t b);
/* What corosync counts at each node; the default is one vote each and a majority. */
void bus_set_device_votes(struct bus *bus, uint32_t votes);
/* The device votes for the side with that node only; 0, the default: for everybody. */
#define BUS_NO_SIDE UINT32_MAX
void bus_set_device_side(struct bus *bus, uint32_t id);
/* For processes started later. */
void bus_set_max_position(struct bus *bus, uint64_t max_position);
/* What is done in one piece; 0: as usual. */
void bus_set_work(struct bus *bus, unsigned keys);
void bus_set_speaks(struct bus *bus, uint32_t id, uint16_t oldest, uint16_t newest);

/* The next thing happens somewhere; false: nothing is left to happen. */
bool bus_step(struct bus *bus);
/* Go on until nobody waits for anything. That this comes is checked. */
void bus_settle(struct bus *bus);
/* Go on until that time. */
void bus_run_until(struct bus *bus, uint64_t at_ns);

struct rs *bus_rs(struct bus *bus, uint32_t id);
struct lease *bus_lease(struct bus *bus, uint32_t id); /* NULL: there are none */
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
/* The same with a callback. */
int bus_write_cb(struct bus *bus, uint32_t id, const char *key, uint64_t expected,
	const char *value, rs_done_fn done, void *data);
/* The value as text, "" when there is none. */
const char *bus_get(struct bus *bus, uint32_t id, const char *key);
uint64_t bus_version(struct bus *bus, uint32_t id, const char *key);
uint64_t bus_disk_version(const struct bus *bus, uint32_t id, const char *key);
/* Changes reported through applied() by the running process. */
uint64_t bus_n_changes(const struct bus *bus, uint32_t id);

/* All running processes are synced with each other, agree, have on disk what they have in memory,
 * and reported all of it. */
void bus_check_agreement(struct bus *bus);
/* What must hold at any time; called by bus_step(). */
void bus_check_invariants(struct bus *bus);

#endif
