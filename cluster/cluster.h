/* SPDX-License-Identifier: MIT
 *
 * cluster.h - the cluster as the node service sees it: who is a member, whether there is quorum,
 * the replicated store, the cluster networks, MAC leases and owner records.
 *
 * corosync decides who is a member and in which order things happen. The store is a key/value tree
 * replicated over CPG: a write is multicast, every synced member applies it in delivery order, and
 * the writer learns the result when its own message came back and all members have confirmed it
 * (rs.h says how and why). A joining node gets the state of the synced members; a digest shows that
 * all agree. Without quorum nothing is written. Each node keeps the store in SQLite and starts from
 * there.
 *
 * A write that was reported done survives as long as a quorum lives. What is read is what was
 * delivered here, which the survivors of a crash may not know: CPG order is AGREED, not SAFE. So
 * whoever does something irreversible because of a record makes the write that entitles to it
 * itself, waits until it is done, and has cluster_is_quorate().
 *
 * Quorum for writes is counted over nodes whose service takes part: where corosync runs without it,
 * there is a vote but no copy of the store.
 *
 * If corosync goes away the cluster object reports loss of quorum, keeps the store readable and
 * reconnects; the callbacks tell. The same if the database cannot be written (store_error).
 *
 * Threads: the loop's thread only. Callbacks may call everything here except cluster_free().
 */
#ifndef VIADUCT_CLUSTER_CLUSTER_H
#define VIADUCT_CLUSTER_CLUSTER_H

#include "base/json.h"
#include "base/loop.h"

#define CLUSTER_MAX_NODES       64
#define CLUSTER_KEY_MAX_LEN     255
#define CLUSTER_VALUE_MAX_BYTES 65536
#define CLUSTER_NAME_MAX_LEN    63

#define CLUSTER_LEASE_NS     3000000000ULL /* unless something else is wanted */
#define CLUSTER_LEASE_MIN_NS 500000000ULL
#define CLUSTER_LEASE_MAX_NS 60000000000ULL

struct cluster;

struct cluster_config {
	const char *state_dir;    /* SQLite file lives here; must exist */
	uint64_t lease_ns;        /* how long this node's leases last; 0: 3 s */
	unsigned protocol_newest; /* of the store, for tests of upgrades; 0: all there are */
	uint64_t check_ns;        /* between comparisons of all copies of the store; 0: 60 s */
};

struct cluster_callbacks {
	/* Membership, quorum, links or sync state changed; ask the getters. */
	void (*changed)(void *data);
	/* A key changed or was deleted, in delivery order, the same on every node. Also
	 * called for every difference when a state transfer replaces the store: of a large one in
	 * pieces, while reads give what is new already. */
	void (*store_changed)(const char *key, bool is_there, uint64_t version, void *data);
	/* A check of all copies of the store has found this node's to be another; it is fetched
	 * anew. May be NULL. */
	void (*copy_differs)(void *data);
	/* What this node runs may go on until then (clock_boot_ns()). */
	void (*lease_renewed)(uint64_t until_ns, void *data);
};

/* Loads the store; corosync need not be there yet. -EINVAL: lease_ns is not 0.5 to
 * 60 s. Callbacks come from the loop only. -EBUSY: the
 * database is in use by another process; -EBADMSG: it is damaged; -EPROTONOSUPPORT: from a newer
 * version; -EACCES, -EIO, ... What was loaded is not reported as changed. */
int cluster_new(struct loop *loop, const struct cluster_config *config,
	const struct cluster_callbacks *callbacks, void *data, struct cluster **ret_cluster);
/* Writes that are not done end with -EIO or -EHOSTDOWN before this returns. NULL is fine. */
void cluster_free(struct cluster *cluster);

bool cluster_is_connected(const struct cluster *cluster); /* to corosync */
bool cluster_is_quorate(const struct cluster *cluster);
bool cluster_is_synced(const struct cluster *cluster); /* store is the cluster's, writes possible */
uint32_t cluster_local_id(const struct cluster *cluster); /* corosync nodeid; 0 while unknown */
const char *cluster_local_name(const struct cluster *cluster);

struct cluster_node {
	uint32_t id;
	char name[CLUSTER_NAME_MAX_LEN + 1]; /* corosync nodelist.node.N.name */
	char ring_addr[8][64];               /* ring0_addr..; "" when absent */
	bool is_member;                      /* in the corosync membership */
	bool has_service;                    /* its viaductd is in our CPG group */
	bool is_synced;                      /* and has the store that we are synced with */
	bool is_silent;    /* a member whose lease is not renewed: its viaductd stands still */
	unsigned protocol; /* the newest version of the store's that it speaks; 0: unknown */
};
/* It can be counted on: for decisions that one node makes for all, and for VMs. */
static inline bool cluster_node_takes_part(const struct cluster_node *node)
{
	return node->is_member && node->has_service && node->is_synced && !node->is_silent;
}
/* This node is the first of those: what one node does for all is its own to do. Others may think
 * the same for a moment. */
bool cluster_acts_for_all(const struct cluster *cluster);
/* The configured nodes (nodelist), ordered by id. */
size_t cluster_nodes(const struct cluster *cluster, struct cluster_node *ret_nodes, size_t max);
int cluster_find_node(
	const struct cluster *cluster, const char *name, struct cluster_node *ret_node);

/* Have all members read their corosync.conf again. 0, then `fn` (may be NULL) exactly once, from
 * the loop, with corosync's -errno, or from cluster_free() with -ECANCELED; or at once -EHOSTDOWN
 * (not connected), -ENOMEM. */
typedef void (*cluster_told_fn)(int error, void *data);
int cluster_reload_config(struct cluster *cluster, cluster_told_fn fn, void *data);
/* The same: stop this node's corosync, with which it leaves the cluster. */
int cluster_stop_corosync(struct cluster *cluster, cluster_told_fn fn, void *data);

struct cluster_status {
	uint32_t expected_votes, total_votes, quorum_votes;
	uint32_t nodes_needed;  /* votes of nodes alone, when there is a quorum device; else 0 */
	uint64_t generation;    /* quorate generation of the store */
	uint64_t store_version; /* version of the last write */
	char digest[65];        /* hex SHA-256 over the store's content; "" while it is not known */
	size_t n_keys;
	int connect_error; /* why the connection to corosync did not last; -EADDRINUSE: another
			      process of this node has joined the cluster before;
			      -EADDRNOTAVAIL: corosync runs with an example, for a single
			      node on a loopback address, which is no cluster */
	int store_error;   /* why this node's database cannot be written, and it takes no part */
	/* Versions of the store's protocol: what is spoken now (0: this node is in no epoch), the
	 * newest this node speaks, the oldest the cluster allows, and what it speaks that this node
	 * does not, which then takes no part (0: it is fine). */
	unsigned protocol, protocol_newest, protocol_floor, protocol_needed;
};
void cluster_get_status(const struct cluster *cluster, struct cluster_status *ret_status);

/* The store. Keys are printable ASCII paths ("vm/VM1"); values are JSON. A key's version is 0 while
 * it does not exist and grows with every write to it; it is never reused. */
int cluster_get(const struct cluster *cluster, const char *key, const struct json **ret_value,
	uint64_t *ret_version); /* lent until the loop goes on; either may be NULL; -ENOENT */
/* Calls fn for every key with that prefix, in order of keys; non-zero from fn ends it and is
 * returned. */
int cluster_for_each(const struct cluster *cluster, const char *prefix,
	int (*fn)(const char *key, const struct json *value, uint64_t version, void *data),
	void *data);

#define CLUSTER_ANY_VERSION UINT64_MAX
/* 0: done, `version` is the key's new one (0 once deleted). -ESTALE: the key's version was not
 * `expected` (`version` says what it is). -ENOSPC: the store is full. -EHOSTDOWN: quorum was lost,
 * nothing happened. -EIO: the membership broke, or the connection to corosync did, before all had
 * confirmed it - the write may or may not have happened; read before retrying. */
typedef void (*cluster_done_fn)(int error, uint64_t version, void *data);
/* Write `value` (takes over, always; NULL deletes) if the key's version is `expected` (0: must not
 * exist). Returns 0, then `done` (may be NULL) follows exactly once, from the loop; or -errno at
 * once: -EHOSTDOWN: no quorum; -EINVAL, -EMSGSIZE, -ENOMEM; -ENOBUFS: too many writes under way.
 * While the members settle after a change the write waits. */
int cluster_cas(struct cluster *cluster, const char *key, uint64_t expected, struct json *value,
	cluster_done_fn done, void *data);

/* Finish an upgrade: from now on no node may speak an older version of the store's protocol than
 * the newest that all configured nodes speak (*ret_version). -EUNATCH: *ret_node is not there to
 * say what it speaks; -EPROTONOSUPPORT: it speaks an older version than others; -EALREADY: so it is
 * already; and those of cluster_cas(). */
int cluster_upgrade(struct cluster *cluster, unsigned *ret_version, struct cluster_node *ret_node,
	cluster_done_fn done, void *data);

/* The store as it is now, whatever is written later. */
struct cluster_view;
int cluster_view_new(const struct cluster *cluster, struct cluster_view **ret_view);
void cluster_view_free(struct cluster_view *view);
size_t cluster_view_n_keys(const struct cluster_view *view);
/* In order of keys; lent; false: there are not so many. */
bool cluster_view_at(const struct cluster_view *view, size_t index, const char **ret_key,
	const struct json **ret_value, uint64_t *ret_version);

/* Cluster networks (net.h has the pure part): one per IP subnet that nodes have interfaces in. */
enum cluster_net_state {
	CLUSTER_NET_UNKNOWN = -1,
	CLUSTER_NET_UNAVAILABLE = 0, /* every node with an interface there is down */
	CLUSTER_NET_DOWN = 1,        /* no pair can talk */
	CLUSTER_NET_PARTITIONED = 2, /* at least one pair cannot */
	CLUSTER_NET_UP = 3,
};

enum cluster_net_role {
	CLUSTER_ROLE_NONE = 0,
	CLUSTER_ROLE_CLUSTER = 1,
	CLUSTER_ROLE_CLIENT = 2, /* not used */
	CLUSTER_ROLE_CLUSTER_AND_CLIENT = 3,
};

struct cluster_net {
	char subnet[64]; /* "10.10.3.0/24", also the id */
	char name[CLUSTER_NAME_MAX_LEN + 1];
	enum cluster_net_role role;
	uint32_t metric;
	bool auto_metric;
	int migration_order; /* in the cluster's list, from 1; 0: not listed; -1: excluded */
	enum cluster_net_state state;
	char reason[160]; /* why it is not Up; "" when it is */
	size_t n_interfaces;
	struct {
		uint32_t node_id;
		char ifname[32];
		char address[64];
		int state; /* as MSCluster_NetworkInterface: 0 Unavailable 1 Failed
			      2 Unreachable 3 Up, -1 Unknown */
	} interfaces[CLUSTER_MAX_NODES];
};
#define CLUSTER_MAX_NETS 32
size_t cluster_nets(const struct cluster *cluster, struct cluster_net *ret_nets, size_t max);

/* What networks carry (net_path.h has the rules). */
enum cluster_class {
	CLUSTER_CLASS_HEARTBEAT,
	CLUSTER_CLASS_VOLUME,
	CLUSTER_CLASS_MIGRATION,
	CLUSTER_CLASS_MANAGEMENT,
	CLUSTER_N_CLASSES,
};
struct cluster_path {
	size_t net;      /* index */
	bool is_allowed; /* nobody forbids it */
	bool is_usable;  /* and the two nodes reach each other over it, as far as is known */
	char why[160];   /* it stands where it does, or is not usable */
};
/* All networks, and for each class the paths between two nodes: the first ones are allowed, as they
 * are preferred; those of them that are usable are tried in this order. Both arrays have room for
 * CLUSTER_MAX_NETS; returns how many networks there are. */
size_t cluster_paths(const struct cluster *cluster, enum cluster_class class, uint32_t from_node,
	uint32_t to_node, struct cluster_net *ret_nets, struct cluster_path *ret_paths);
/* What carries a class of traffic to a peer now. */
struct cluster_use {
	enum cluster_class class;
	uint32_t peer;
	int net;       /* index; -1: nothing reaches it */
	int preferred; /* what should carry it, as far as nobody forbids it; -1: all do */
	char why[160]; /* that network stands first, or the preferred one is not usable */
};
/* All classes and all other members, as seen from `from_node`; by class, then by peer.
 * `ret_nets` has room for CLUSTER_MAX_NETS, `ret_uses` for CLUSTER_N_CLASSES * CLUSTER_MAX_NODES;
 * returns how many uses. */
size_t cluster_uses(const struct cluster *cluster, uint32_t from_node, struct cluster_net *ret_nets,
	struct cluster_use *ret_uses);
/* The usable ones of a live migration's, in order. Returns how many. */
size_t cluster_migration_nets(const struct cluster *cluster, uint32_t from_node, uint32_t to_node,
	struct cluster_net *ret_nets, size_t max);

/* The cluster's list for migrations, in the store. */
#define CLUSTER_MIGRATION_KEY "migration/networks"
/* This node's interfaces changed or it just joined: publish them (idempotent; called by the owner's
 * timer). */
int cluster_publish_interfaces(struct cluster *cluster);

/* A MAC for `owner` ("vm/VM1/nic0"), or exactly `wanted` (NULL: any, and the one it has if it has
 * one) - a lease in the store. A dynamic one comes from the range of the node (the local one), else
 * from the cluster's pools (macrange.h). -EADDRINUSE: `wanted` belongs to somebody else. -EINVAL:
 * not a unicast MAC. -ENOSPC: all pools are full. Errors that are known at once are returned, and
 * then `done` is not called; others, and those of cluster_cas(), go to `done`. */
typedef void (*cluster_mac_fn)(int error, const char *mac, void *data);
int cluster_mac_lease(struct cluster *cluster, const char *owner, const char *wanted,
	cluster_mac_fn done, void *data);
int cluster_mac_lease_at(struct cluster *cluster, const char *owner, const char *wanted,
	const char *node, cluster_mac_fn done, void *data);
/* -ENOENT: there is no lease. The records go away a little later. */
int cluster_mac_release(struct cluster *cluster, const char *owner);
/* Whose an address is, in whatever form it is written; lent. NULL: nobody's. */
const char *cluster_mac_owner(const struct cluster *cluster, const char *mac);

/* The cluster's pools, by name, then the ranges of its nodes, by id. */
struct cluster_mac_pool {
	char name[CLUSTER_NAME_MAX_LEN + 1];
	bool is_node;
	bool is_set;              /* by people: a node's range is derived otherwise */
	char first[18], last[18]; /* compare like addresses */
	uint64_t size, used;
};
#define CLUSTER_MAX_MAC_POOLS (64 + CLUSTER_MAX_NODES)
size_t cluster_mac_pools(
	const struct cluster *cluster, struct cluster_mac_pool *ret_pools, size_t max);

/* Add, change or remove a pool, or change a node's range (`first` NULL: derive it anew). A refusal
 * (-EINVAL, -EEXIST, -ENOENT, -EBUSY) leaves a sentence in `error`; other errors, and `done`, as
 * cluster_cas(). */
enum cluster_mac_change {
	CLUSTER_MAC_POOL_ADD,
	CLUSTER_MAC_POOL_SET,
	CLUSTER_MAC_POOL_REMOVE,
	CLUSTER_MAC_NODE_SET,
};
int cluster_mac_change(struct cluster *cluster, enum cluster_mac_change what, const char *name,
	const char *first, const char *last, char *error, size_t error_size_bytes,
	cluster_done_fn done, void *data);
/* Write down this node's range if that has not been done, or cannot stay; idempotent. */
void cluster_mac_publish_range(struct cluster *cluster);

/* Owner records: who may run a VM ("vm/VM1") or write a volume ("volume/V1"). The record is
 * {node, epoch} under "owner/<object>", changed only by compare-and-set; the epoch grows by one
 * with every change of owner. node 0: nobody. Never delete one: its epochs would begin anew. */
struct cluster_owner {
	uint32_t node_id;
	uint64_t epoch;
	uint64_t version; /* of the key, for the next compare-and-set */
};
/* All zeros, and 0, when there is no record; -EBADMSG for one that makes no sense. */
int cluster_owner_get(
	const struct cluster *cluster, const char *object, struct cluster_owner *ret_owner);
/* Move from exactly `expected` to `node_id`, epoch + 1. `done` gets the key's version, or -ESTALE.
 * -EINVAL: `expected` is not what the store has with that version. */
int cluster_owner_cas(struct cluster *cluster, const char *object,
	const struct cluster_owner *expected, uint32_t node_id, cluster_done_fn done, void *data);

/* Leases (lease.h): whatever a node runs has to end by itself when its lease does. Then others may
 * take it over, and they know when. 0: there is none, nothing may be started. */
uint64_t cluster_lease_until_ns(const struct cluster *cluster);
/* Nothing that this node ran under a lease runs any more, even if the node does. What it starts
 * from now on has another owner record. */
bool cluster_node_is_gone(const struct cluster *cluster, uint32_t id);
/* Since when (clock_boot_ns()) its lease is not renewed by those here; 0: it is. */
uint64_t cluster_node_parted_ns(const struct cluster *cluster, uint32_t id);

#endif
