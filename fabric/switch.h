/* SPDX-License-Identifier: MIT
 *
 * switch.h - the virtual switches of a node and their ports: what there is, and the rules about
 * what there may be. How frames move is datapath.h's, who calls is crew.h's and ctl.h's.
 *
 *   external   one uplink, VM ports, adapters of the management operating system
 *   internal   VM ports, adapters of the management operating system
 *   private    VM ports, nothing else ever
 *
 * Port ids are unique on the node. A port's VM is what stands before the first '/' of its id.
 *
 * Refusals return -errno and put one sentence into struct why.
 *
 * Threads. What changes switches and ports runs while no frame is under way (crew.h), except for
 * vport_shut(). Frames of one port are one thread's, those of different ports may be several's. It
 * takes locks in this order, and of each kind one at a time:
 *
 *   vswitch.lock      for reading during a port's turn: fwd with its tables, and who the ports are;
 *                     for writing when something is learned, or a port is shut
 *   vport.lock        io (for its recv() and arm() see io.h), policy, capture
 *   vswitch.qos_lock  qos of the switch and of its ports, but for storms
 *
 * What else a port has is the thread's that serves it; `shut`, `wants`, `uplink_moved` and
 * `dropped` are atomic.
 */
#ifndef VIADUCT_FABRIC_SWITCH_H
#define VIADUCT_FABRIC_SWITCH_H

#include "base/list.h"
#include "fabric/forward.h"
#include "fabric/io.h"
#include "fabric/pcapng.h"
#include "fabric/policy.h"
#include "fabric/qos.h"

#include <pthread.h>

#define VSWITCH_NAME_MAX_LEN   63
#define VSWITCH_UPLINK_MAX_LEN 111
#define VPORT_ID_MAX_LEN       127
#define FABRIC_MAX_SWITCHES    64

/* Why a request was refused, for people. */
struct why {
	char text[256];
};

void why_set(struct why *why, const char *format, ...) _printf_(2, 3);
/* Fills `why`; the value is `error`. */
#define refuse(why, error, ...) (why_set((why), __VA_ARGS__), (error))

enum vswitch_type {
	VSWITCH_EXTERNAL,
	VSWITCH_INTERNAL,
	VSWITCH_PRIVATE,
};

struct vswitch {
	pthread_rwlock_t lock;
	pthread_mutex_t qos_lock;
	struct list siblings;
	char name[VSWITCH_NAME_MAX_LEN + 1];
	enum vswitch_type type;
	struct vport *uplink_port;               /* or NULL */
	char uplink[VSWITCH_UPLINK_MAX_LEN + 1]; /* interfaces, "eth0" or "eth0,eth1"; empty
						  * without one */
	unsigned n_ports;                        /* the uplink not among them */
	unsigned n_inspecting;                   /* ports whose policies look into frames */
	unsigned n_mirrors;                      /* ports that are mirrors' destinations */
	struct vport *ports[FWD_MAX_PORTS];      /* by slot, as in fwd */
	struct fwd_switch fwd;
	struct fdb_static statics[FDB_MAX_STATIC]; /* behind the uplink */
	unsigned n_statics;
	struct reach *reach;  /* VLAN probes that are expected (reach.h), or NULL; the uplink's */
	struct qos_link qos;  /* zero until somebody sets it: no minimums */
	uint64_t looked_pass; /* turns.c: when a new round of it was last looked for */
};

/* Announcing an address after a port was opened: see announce.h. */
struct announcing {
	unsigned rounds_left;
	int vid; /* the last VLAN announced in this round, or -1 */
	uint64_t due_ns;
};

/* What happens to a port while frames are under way. */
enum vport_event {
	VPORT_WAS_SHUT,
	VPORT_DUPLICATE,    /* its address was seen behind the uplink of its switch */
	VPORT_UPLINK_MOVED, /* other members of a team carry its frames: announce addresses */
};

struct vport {
	pthread_mutex_t lock;
	struct vswitch *sw;
	unsigned slot;
	char id[VPORT_ID_MAX_LEN + 1];
	struct io *io;
	bool shut;                    /* beyond use; io->reason says why */
	uint64_t rx_frames, rx_bytes; /* received by the switch, whether forwarded or dropped */
	uint64_t dropped[N_DROPS];
	struct policy policy;
	uint64_t n_duplicates;    /* frames from its address that came in by the uplink */
	uint64_t duplicate_at_ns; /* when that was last told */
	struct capture *capture;  /* its frames are recorded, or NULL */
	uint64_t capture_ends_ns; /* unless somebody reads it */
	struct announcing announcing;
	struct qos_port qos; /* zero until somebody sets it: no limits */
	bool uplink_moved;   /* other members of a team carry its frames */
	/* turns.c's. */
	struct list in_round;
	bool wants;      /* it is in a round */
	unsigned parked; /* 1 + its place in the heap, or 0 */
	uint64_t due_ns; /* while it is parked */
	/* The worker's. */
	struct worker *worker;
	struct list in_worker;
	bool masked;        /* its level-triggered descriptor is not polled */
	uint64_t seen_work; /* when its worker looked last */
};

struct fabric {
	struct list switches;
	unsigned n_switches;
};

struct vport_config {
	const char *id;
	uint8_t mac[ETH_ADDR_LEN]; /* zero for uplinks only */
	struct vlan_policy vlan;
	bool muted;
	bool spoofing;
	struct policy policy; /* taken over on success */
	bool keep_acl;        /* of a port in use: it keeps its access list; policy has none */
	struct qos_config qos;
};

void fabric_init(struct fabric *fabric);
/* Frees all switches with their ports. */
void fabric_fini(struct fabric *fabric);

/* `uplink` names the adapter and `uplink_io` carries it, for external switches and only for them;
 * uplink_io is taken over on success. -EINVAL, -EEXIST, -EBUSY, -ENOSPC, -ENOMEM. */
int vswitch_new(struct fabric *fabric, const char *name, enum vswitch_type type, const char *uplink,
	struct io *uplink_io, struct vswitch **ret_sw, struct why *why);
/* -EBUSY while it has ports. */
int vswitch_delete(struct fabric *fabric, struct vswitch *sw, struct why *why);
/* Another name. -EEXIST, -EINVAL. */
int vswitch_rename(
	const struct fabric *fabric, struct vswitch *sw, const char *name, struct why *why);
/* Other adapters as uplink, or none (NULL, NULL), which makes the switch internal; ports stay as
 * they are. The old uplink's port is freed: whoever polls it has let go of it. `uplink_io` is taken
 * over on success. -EINVAL, -EBUSY, -ENOSPC, -ENOMEM: all is as it was. */
int vswitch_rebind(struct fabric *fabric, struct vswitch *sw, const char *uplink,
	struct io *uplink_io, struct why *why);
/* The addresses that are behind the uplink, whether they have been heard or not; at most
 * FDB_MAX_STATIC, VLAN 0 for frames without a tag. Own ports with such an address go first. */
void vswitch_set_statics(struct vswitch *sw, const struct fdb_static *statics, unsigned n_statics);
struct vswitch *vswitch_find(const struct fabric *fabric, const char *name);
/* The uplink's port, or NULL. */
struct vport *vswitch_uplink(const struct vswitch *sw);

/* Names end up in listings and log lines. */
bool vswitch_is_name(const char *name, size_t max_len);
const char *vswitch_type_name(enum vswitch_type type);
int vswitch_type_parse(const char *name, enum vswitch_type *ret_type);

/* Add a VM port or an adapter of the management operating system; `io` is taken over on success.
 * -EINVAL, -EEXIST, -EADDRINUSE, -ENOSPC, -ENOMEM. */
int vport_new(const struct fabric *fabric, struct vswitch *sw, struct vport_config *config,
	struct io *io, struct vport **ret_port, struct why *why);
/* The uplink's port; of the switch, which then has it. */
int vport_new_uplink(const struct fabric *fabric, struct vswitch *sw, const char *uplink,
	struct io *io, struct why *why);
/* The switch's own ports, its uplink, or what its VLANs mean has changed: where statics are. */
void vport_place_statics(struct vswitch *sw);
/* Give the uplink's port the name that goes with the switch's uplink. */
void vport_name_uplink(struct vport *port);
void vport_free(struct vport *port);
struct vport *vport_find(const struct fabric *fabric, const char *id);

/* Change a port in use; of `config` all but id, mac and muted count. A refusal (-EADDRINUSE,
 * -EINVAL) leaves it as it was. */
int vport_reconfigure(
	struct vport *port, struct vport_config *config, uint64_t now_ns, struct why *why);
/* Stop and start all traffic. Opening takes the port's address over in the FDB. */
void vport_mute(struct vport *port);
int vport_open(struct vport *port, struct why *why);
/* No more traffic, for good; it stays until it is removed. Also while frames are under way: locks
 * what it needs to. False: somebody else did so before. */
bool vport_shut(struct vport *port);

static inline bool vport_is_shut(const struct vport *port)
{
	return __atomic_load_n(&port->shut, __ATOMIC_RELAXED);
}

static inline void vport_count_drop(struct vport *port, enum drop drop, unsigned n)
{
	__atomic_fetch_add(&port->dropped[drop], n, __ATOMIC_RELAXED);
}

static inline struct fwd_port *vport_fwd(const struct vport *port)
{
	return &port->sw->fwd.ports[port->slot];
}

static inline bool vport_is_uplink(const struct vport *port)
{
	return !fwd_port_has_mac(vport_fwd(port));
}

#endif
