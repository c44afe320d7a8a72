/* SPDX-License-Identifier: MIT
 *
 * bus_impl.h - the model of corosync as its own files see it: bus.c is what callers do with it,
 * bus_ring.c is corosync, bus_pace.c is time, bus_process.c the processes on it, bus_disk.c their
 * disks, bus_check.c what is checked about them.
 */
#ifndef VIADUCT_TESTS_SIM_BUS_IMPL_H
#define VIADUCT_TESTS_SIM_BUS_IMPL_H

#include "base/list.h"
#include "tests/sim/bus.h"
#include "tests/sim/seen.h"

enum item_type { ITEM_MESSAGE, ITEM_JOIN, ITEM_LEAVE, ITEM_ACTIVATE };

/* What is ordered in a ring, waits to be sent by a node, or waits to be taken by a process. */
struct item {
	struct list siblings;
	enum item_type type;
	uint32_t sender;
	uint64_t at_ns; /* when it got here */
	uint64_t view;  /* ITEM_JOIN, ITEM_ACTIVATE; in an inbox: the new membership */
	uint64_t life;  /* ITEM_JOIN: of the node's process */
	uint64_t ring;  /* in an inbox: where that was decided */
	size_t size_bytes;
	uint8_t bytes[];
};

struct ring {
	uint64_t serial;
	uint64_t nodes;     /* bit per id */
	uint64_t last_view; /* membership of the group at the end of the order */
	struct item **items;
	size_t n_items, capacity;
	unsigned n_refs;
	/* Where the token was last seen with work to do, and when it went on; BUS_PACE_LAN. */
	uint32_t token_id;
	uint64_t token_ns;
};

/* What a node may do next, in the order in which things of the same time happen. */
enum action {
	ACTION_TAKE, /* the node, from the ring */
	ACTION_SEND, /* the node, what its process gave it */
	ACTION_HAND, /* the process takes from its node */
	ACTION_VOTES,
	ACTION_TURN_END,
	ACTION_TICK,
	ACTION_WORK,
	ACTION_DISK,  /* the next transaction */
	ACTION_SAVED, /* the process hears of it */
	N_ACTIONS,
};

/* The disk: what is in it, and what the process has given it since. */
struct disk {
	struct store *store;
	struct rs_meta meta;
	struct list jobs;            /* struct job */
	unsigned n_transactions;     /* in these */
	uint64_t given, mark, heard; /* rs_mark() of the last transaction given, done, heard of */
	int error;                   /* that the process has not heard of */
	uint64_t free_ns;            /* the last transaction was done */
	bool fails, stalls;
};

struct node {
	struct bus *bus;
	uint32_t id;
	struct ring *ring;
	size_t taken;      /* items of the ring */
	bool joined;       /* the process is in the group, at this node */
	uint64_t view;     /* the group as this node has told its process */
	uint64_t together; /* who shared all rings since then */
	bool votes_are_news;
	struct list outbox; /* of the process, not in the ring yet */
	struct list inbox;  /* for the process */

	unsigned slowness;
	uint16_t oldest, newest; /* versions that the next process speaks; 0: all */
	uint64_t lag_ns;
	uint64_t hashed_version;    /* of the store, when its digest was last needed */
	uint64_t due_ns[N_ACTIONS]; /* 0: not decided */
	uint64_t deadline_ns;       /* that due_ns[ACTION_TICK] is for */
	uint64_t busy_until_ns;     /* the process; BUS_PACE_LAN */

	bool connected; /* the process has a connection to corosync */
	uint64_t life;  /* counts those */
	bool hung;
	struct rs *rs; /* NULL: no process */
	struct lease *lease;
	struct store *mirror;
	uint64_t n_changes;
	bool in_turn;
	uint64_t heard_ring; /* of the last membership change the process took */
	struct disk disk;
	int disk_error;   /* that the process has seen */
	uint64_t checked; /* what check_step() has seen of this process */
	bool is_corrupt;  /* its store, until it has another one */
};

struct bus {
	struct bus_watch watch;
	void *watch_data;
	enum bus_pace pace;
	enum bus_mutation mutation;
	bool is_lean;
	uint64_t random;
	uint64_t now_ns;
	uint64_t silence_ns;
	uint64_t lease_ns;
	uint64_t usual_ns; /* BUS_PACE_RANDOM: what things take mostly */
	unsigned rarely;   /* and one in how many takes much longer */
	unsigned n_nodes;
	uint32_t device_votes;
	uint32_t device_side;
	uint64_t max_position;
	unsigned work_keys;
	uint64_t last_ring;
	struct node nodes[BUS_MAX_NODES + 1];
	struct seen versions; /* (key, version): content */
	struct seen digests;  /* place in the order of an epoch: store */
	struct seen epochs;   /* generation with quorum: which epoch */
	struct seen promises; /* generation, member: promised to which epoch */
};

static inline uint64_t bit(uint32_t id)
{
	return 1ULL << (id - 1);
}

/* What corosync is free to do, one time in n; never where runs are to be read. */
bool bus_chance(struct bus *bus, uint64_t n);
void bus_log(struct bus *bus, uint32_t id, const char *format, ...) _printf_(3, 4);
void bus_violated(struct bus *bus, const char *format, ...) _printf_(2, 3);
/* The process has no connection to its node any more. */
void bus_lose_process(struct node *node);

/* bus_ring.c */
struct item *item_new(enum item_type type, uint32_t sender, const void *bytes, size_t size_bytes);
void items_drop(struct list *items);
void ring_unref(struct ring *ring);
void ring_add(struct ring *ring, struct item *item, uint64_t at_ns);
/* The process asks to be in the group. */
void node_join(struct node *node);
/* The next of the ring; what the process gave it gets its place in the order; when something ends,
 * only some of that, each with one chance in n to be the first that does not. */
void node_take_next(struct node *node);
void node_send(struct node *node);
void node_send_some(struct node *node, struct ring *ring, uint64_t n);

/* bus_pace.c */
void pace_init(struct bus *bus);
/* What is next, and when; false: nothing is. */
bool pace_next(struct bus *bus, struct node **ret_node, enum action *ret_action);
/* A node has the token and has sent `size_bytes`. */
void pace_sent(struct node *node, size_t size_bytes);
/* The process was busy with something. */
void pace_handled(struct node *node, size_t size_bytes);
void pace_hashed(struct node *node, size_t size_bytes);
void pace_took_over(struct node *node, size_t size_bytes);

/* bus_disk.c: what the process gives it; what it does. */
void disk_init(struct node *node);
void disk_fini(struct node *node);
void disk_put(struct node *node, const char *key, const struct store_entry *entry);
void disk_promise(struct node *node, const struct rs_meta *meta);
void disk_replace(struct node *node, const struct store *store, const struct rs_meta *meta);
void disk_commit(struct node *node);
/* At once, after an error. */
void disk_save_all(struct node *node);
void disk_act(struct node *node);
bool disk_is_busy(const struct node *node);
/* While it is busy: whether the next transaction is waited for, and when it begins. */
bool disk_is_synced_next(const struct node *node, uint64_t *ret_at_ns);
bool disk_has_news(const struct node *node);
/* The process has gone, or begins: what was not done never will be. */
void disk_reset(struct node *node);
struct store *disk_copy(const struct store *store);

/* bus_process.c */
void process_init(struct node *node);
void process_start(struct node *node);
void process_kill(struct node *node);
/* False: its disk does not let it. */
bool process_connect(struct node *node);
void process_disconnect(struct node *node);
void process_fini(struct node *node);
/* The oldest thing in the inbox; how quorum stands now; the end of a turn. */
void process_take(struct node *node);
void process_hear_votes(struct node *node);
void process_turn_end(struct node *node);
void process_tick(struct node *node);
/* 0: it waits for nothing. */
uint64_t process_deadline(const struct node *node);
void process_work(struct node *node);
void process_hear_disk(struct node *node);

/* bus_check.c */
void check_applied(
	struct node *node, const char *key, const struct store_entry *entry, uint64_t version);
void check_sent(struct node *node, const void *bytes, size_t size_bytes);
void check_step(struct node *node);

#endif
