/* SPDX-License-Identifier: MIT
 *
 * place.h - where a VM can run, and where it would run best: a pure function of a picture of the
 * cluster. Failover, drain and `viaduct vm where` ask the same questions of it, so what is shown is
 * what is done.
 *
 * A picture is made anew for each question, or for a batch of them: nodes first, then VMs, then
 * questions. place_move() says that a decision was made, so that later answers reckon with it. Same
 * picture, same answers, on whatever node and in whatever order it was made: ties go to the lower
 * node id.
 *
 * What is not known (0, "") speaks against no node. A guest larger than a NUMA node can run: such
 * nodes only come after those where it fits into one.
 *
 * It is made for 64 nodes and 10,000 VMs: names are compared as numbers, and what VMs use of a node
 * is kept as they come and move, so a question costs what the VM and the node have, not what the
 * cluster has. Limits of numbers keep sums from overflowing.
 *
 * Strings that are handed in are copied. Threads: none of its own; one picture, one thread.
 */
#ifndef VIADUCT_CLUSTER_PLACE_H
#define VIADUCT_CLUSTER_PLACE_H

#include "base/err.h"

#define PLACE_NAME_MAX_LEN   63
#define PLACE_REASON_MAX_LEN 199
#define PLACE_MAX_NICS       4
#define PLACE_MAX_VOLUMES    16
#define PLACE_MAX_LISTED     64  /* preferred or possible owners: all nodes of a large cluster */
#define PLACE_MAX_SWITCHES   64  /* of a node */
#define PLACE_MAX_REACHED    256 /* volumes of which a node says something */
#define PLACE_MAX_VMS        65535
#define PLACE_MAX_CPUS       65535
#define PLACE_MAX_MEMORY     (1ULL << 48)
#define PLACE_MAX_REASONS    32 /* more there cannot be */

struct place;

/* What VMs can be given in the order in which they are started after a failure. */
enum place_priority {
	PLACE_NO_AUTO_START, /* never started by anybody but people */
	PLACE_LOW,
	PLACE_MEDIUM, /* what a VM has that nothing was said of */
	PLACE_HIGH,
};
const char *place_priority_name(enum place_priority priority);            /* "none", "low", ... */
int place_priority_from_name(const char *name, enum place_priority *ret); /* -EINVAL */

struct place_switch {
	const char *name, *logical; /* a VM's adapter may mean either; logical may be "" */
	const char *state;          /* "up", or why it cannot be used; "" is "up" */
	const char *vids;           /* VLANs it reaches others in, as "2-4,7"; NULL: all */
};

struct place_volume {
	const char *name;
	const char *why_not; /* "": reachable from the node */
};

struct place_node {
	uint32_t id; /* corosync's */
	const char *name;
	bool is_up;          /* a member with a service that is in sync */
	bool is_paused;      /* takes nothing new: paused or drained */
	const char *why_not; /* "": nothing else speaks against all VMs */
	bool has_kvm;
	uint64_t vm_memory_bytes;   /* what VMs may use altogether */
	uint64_t numa_memory_bytes; /* of its largest NUMA node; 0: not known */
	unsigned cpus, numa_cpus;   /* altogether, of a NUMA node; 0: not known */
	const char *cpu_digest;     /* guests move between equal ones only; "": not known */
	unsigned max_vms;           /* 0: no limit */
	const struct place_switch *switches;
	size_t n_switches;
	const struct place_volume *volumes;
	size_t n_volumes;
};

struct place_nic {
	const char *switch_name; /* or its logical name */
	const char *vids;        /* VLANs of its policy, as "2-4,7"; "": untagged */
};

struct place_vm {
	const char *name;
	uint32_t node_id;       /* where it is; 0: nowhere */
	bool is_running;        /* needs memory where it is */
	const char *cpu_digest; /* of a running or saved one; "": any */
	uint64_t memory_bytes;  /* the most it may become */
	unsigned vps;
	const struct place_nic *nics;
	size_t n_nics;
	const char *const *volumes; /* names of volumes its files are on */
	size_t n_volumes;
	enum place_priority priority;
	const char *const *preferred; /* names of nodes, best first; may be empty */
	size_t n_preferred;
	const char *const *possible; /* names; empty: all */
	size_t n_possible;
	const char *anti_affinity; /* VMs of one class keep apart where they can; "": none */
};

int place_new(struct place **ret_place);
void place_free(struct place *place); /* NULL is fine */
/* -EEXIST, -EINVAL (a name too long, a list that is none, beyond a limit, a node after VMs),
 * -ENOMEM. A VM may be on a node that is not in the picture. */
int place_add_node(struct place *place, const struct place_node *node);
int place_add_vm(struct place *place, const struct place_vm *vm);

struct place_reason {
	char text[PLACE_REASON_MAX_LEN +
		  1]; /* a clause: "it has 512 MiB free, VM1 needs 2048 MiB" */
};
/* Why `vm` cannot run on that node: how many reasons were written, most fundamental first, at most
 * `max` (from 1; PLACE_MAX_REASONS has room for all); 0: it can. -ENOENT: no such VM or node. Where
 * a VM runs already it takes up no new room: nothing is said of memory, limit, processors and
 * pause. Where it is, running or not, nothing is said of VLANs: people have put it there. */
int place_why_not(const struct place *place, const char *vm, uint32_t node_id,
	struct place_reason *ret_reasons, size_t max);
/* How many reasons there are, without their texts. -ENOENT. */
int place_count_reasons(const struct place *place, const char *vm, uint32_t node_id);
/* The best node for `vm` of those where it can run, `except` (0: none) left out: preferred owners
 * in their order, then nodes with the fewest running VMs of the same anti-affinity class, then
 * those with NUMA nodes that it fits into, then by most memory left, fewest virtual processors for
 * each processor, lowest id. 0: none can take it. */
uint32_t place_choose(const struct place *place, const char *vm, uint32_t except);
/* It runs there now, as far as later questions go. 0 or -ENOENT. */
int place_move(struct place *place, const char *vm, uint32_t node_id);

struct place_listed {
	const char *name; /* lent by the picture */
	uint32_t node_id;
	bool is_running;
	enum place_priority priority;
};
/* All VMs, highest priority first, then by name: the order in which they are started after a
 * failure. To free(). */
int place_list(const struct place *place, struct place_listed **ret_vms, size_t *ret_n);

#endif
