/* SPDX-License-Identifier: MIT
 *
 * bus_impl.h - the model of corosync as its own files see it: bus.c is corosync (rings, nodes,
 * time), bus_process.c the processes on it and what is checked about them.
 */
#ifndef VIADUCT_TESTS_CLUSTER_BUS_IMPL_H
#define VIADUCT_TESTS_CLUSTER_BUS_IMPL_H

#include "base/list.h"
#include "tests/unit/cluster/bus.h"

#define VERSION_SLOTS (1U << 16)

enum item_type { ITEM_MESSAGE, ITEM_JOIN, ITEM_LEAVE, ITEM_ACTIVATE };

/* What is ordered in a ring, waits to be sent by a node, or waits to be taken by a process. */
struct item {
	struct list siblings;
	enum item_type type;
	uint32_t sender;
	unsigned view; /* ITEM_JOIN, ITEM_ACTIVATE; in an inbox: the new membership */
	uint64_t ring; /* in an inbox: where that was decided */
	size_t size_bytes;
	uint8_t bytes[];
};

struct ring {
	uint64_t serial;
	unsigned nodes;     /* bit per id */
	unsigned last_view; /* membership of the group at the end of the order */
	struct item **items;
	size_t n_items, capacity;
	unsigned n_refs;
};

struct node {
	struct bus *bus;
	uint32_t id;
	struct ring *ring;
	size_t taken;      /* items of the ring */
	bool joined;       /* the process is in the group, at this node */
	unsigned view;     /* the group as this node has told its process */
	unsigned together; /* who shared all rings since then */
	bool votes_are_news;
	struct list outbox; /* of the process, not in the ring yet */
	struct list inbox;  /* for the process */

	bool hung;
	struct rs *rs; /* NULL: no process */
	struct store *mirror;
	uint64_t n_changes;
	bool in_turn;
	uint64_t heard_ring; /* of the last membership change the process took */

	struct store *disk; /* written, not necessarily committed */
	bool disk_is_dirty;
	struct buf committed;
	struct rs_meta committed_meta;
};

struct bus {
	uint64_t random;
	uint64_t now_ns;
	unsigned n_nodes;
	uint32_t device_votes;
	uint64_t max_position;
	uint64_t last_ring;
	struct node nodes[BUS_MAX_NODES + 1];
	struct {
		uint64_t key;
		uint64_t value;
	} versions[VERSION_SLOTS]; /* invariant 3: (key, version) -> content, as hashes */
};

uint64_t bus_mix(uint64_t x);
struct item *item_new(enum item_type type, uint32_t sender, const void *bytes, size_t size_bytes);
void items_drop(struct list *items);

/* bus_process.c */
void process_start(struct node *node);
void process_kill(struct node *node);
void process_fini(struct node *node);
/* The oldest thing in the inbox; how quorum stands now; the end of a turn. */
void process_take(struct node *node);
void process_hear_votes(struct node *node);
void process_turn_end(struct node *node);

#endif
