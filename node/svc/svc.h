/* SPDX-License-Identifier: MIT
 *
 * svc.h - viaductd, the node service, as its own files see each other.
 *
 * One thread, one loop, everything asynchronous: a function that needs an answer from corosync, a
 * peer, the switch or a VM process takes a callback. Objects in use by a pending callback are found
 * again by name or held by the operation that waits; each file says how.
 *
 * What the service knows lives in the replicated store:
 *
 *   vm/NAME            configuration, written by `vm create`; its adapters: nic.h
 *   owner/vm/NAME      {node, epoch}: who may run it (cluster.h); changed only by compare-and-set
 *   vmstate/NAME       what the owner last said of it {node, epoch, state, reason, heartbeat};
 *                      of a saved one also where its state is {volume, file} and what its
 *                      guest's adapters were started with {offloads}
 *   offload/NODE       {chimney}: a setting that Linux has no use for, kept for people
 *   switch/NODE/NAME   a virtual switch of a node: switch.h
 *   switchstate/NODE/NAME  what the node's switch process does not have of it {state, reason}
 *   vlan/NODE/NAME     VLANs that do not get through from a switch: vlan_watch.h
 *   node/NAME          what a node can do for VMs: node_facts.h
 *   nodestate/NAME     whether it takes VMs, and how its drain went: node_state.c
 *   nodepolicy/NAME    how many VMs people let a node run: node_limit.h
 *   setting/moves      {parallel}: migrations that leave a node at once
 *   policy/NAME        what people want to become of a VM in trouble: policy.h
 *   corosync/conf      {version, text} of corosync.conf, since a node joined or left: conf.h
 *   evicted/NAME       a node that was evicted {id, at, key}: enroll.h
 *   peer/NAME          a node's RPC endpoint and CURVE public key
 *   migration/networks which networks migrations take (cluster/net_records.h)
 *   macpool/NAME, macrange/NODE  where MACs are leased from (cluster/macrange.h)
 *   admin/NAME         a key of an administrator: admins.h
 *   restarts/NAME      how often a VM was started again by itself (failover.h)
 *   confirm/NODE       written to know that what was read is everybody's (verdict.c)
 *   volume/NAME        a shared volume {path, id}; owner/volume/NAME: who may write its records
 *
 * A VM runs on a node only while that node owns it, with the epoch it was started with.
 */
#ifndef VIADUCT_NODE_SVC_SVC_H
#define VIADUCT_NODE_SVC_SVC_H

#include "base/bytes.h"
#include "base/chan.h"
#include "base/ipc.h"
#include "base/list.h"
#include "base/proc.h"
#include "cluster/cluster.h"
#include "node/host/bindings.h"
#include "node/svc/audit.h"
#include "node/svc/console.h"
#include "node/svc/identity.h"
#include "node/svc/options.h"
#include "node/svc/peer.h"
#include "node/svc/child.h"

#define SVC_NAME_MAX_LEN 63
#define SVC_MAX_VMS      256
#define SVC_MAX_NICS     4
#define SVC_MAX_DISKS    64

struct svc {
	struct svc_options options;
	struct loop *loop;
	struct cluster *cluster;
	struct ipc_server *ipc;
	struct peer *peer;     /* NULL until the local node's name and address are known */
	struct remote *remote; /* NULL: none, or the same */
	struct events *events; /* NULL: only logged */
	struct sittings sittings;
	struct watch_state *watched; /* what node_events.c has reported so far */
	struct switchd *switchd;
	struct failover *failover;
	struct proc *corosync_restart; /* NULL: none is under way */
	struct node_facts *facts;
	struct place_watch *place_watch;
	struct vlan_watch *vlan_watch;
	struct network_watch *network_watch;
	struct watchdog *watchdog; /* NULL: none */
	struct host *host;         /* NULL: the host's adapters cannot be managed */
	int kvm_fd;                /* -1: no /dev/kvm, VMs cannot run here */
	struct list vms;           /* struct vmproc.link: VM processes on this node */
	struct list starts;        /* of VMs, under way (vm_start.c) */
	struct list takes;         /* of lost VMs, which wait for a lease (failover_take.c) */
	struct list words;         /* about VMs' states, not written yet (vm_state.c) */
	struct list jobs;          /* struct job.link */
	struct list moves;         /* those of them that wait for their turn (moves.c) */
	bool moves_soon;
	uint64_t move_bytes_per_s; /* of the last live migration */
	struct drain *drain;       /* under way (drain_run.c), or NULL */
	struct json *nodestate;    /* what nodestate/NAME does not say yet (node_state.c) */
	int program_fds[CHILD_N_PROGRAMS];
	uint64_t next_job;
	struct store_views *views;       /* api_store.c */
	bool recovered;                  /* stale states of a former life were cleaned up */
	bool was_synced;                 /* in this life */
	struct list invitations;         /* enroll.c */
	struct conf_change *conf_change; /* the one under way; conf.c */
	unsigned conf_patience;          /* conf.c */
	struct json *evicted;            /* NULL, or what is known of this node's eviction */
	struct join *join;               /* this machine is becoming a node; join.c */
};

bool svc_name_is_valid(const char *name);

/* ---- api.c: requests, from the local socket or from a peer ---- */

/* How a request can fail; the command line turns these into exit codes (docs/exit-codes.md). */
enum api_code {
	API_FAILED,
	API_USAGE,     /* the request makes no sense */
	API_NOT_FOUND, /* no VM, node, switch, volume or job of that name */
	API_NO_QUORUM, /* nothing may be changed now */
	API_FULL,      /* the target has no room */
	API_CONFLICT,  /* exists already, is busy, is in the wrong state */
	API_REFUSED,   /* a check before the operation failed */
	API_CANCELLED,
	API_UNREACHABLE, /* the node that must do it cannot be reached */
	API_MOVED,       /* the VM is not there any more; for other nodes only, which ask again */
};
const char *api_code_name(enum api_code code);
enum api_code api_code_from_name(const char *name); /* API_FAILED for an unknown one */

struct api_call {
	struct svc *svc;
	struct json *message; /* the request, owned */
	bool from_peer;       /* do not forward again */
	struct identity identity;
	bool audited, audit_streams; /* its outcome is an event */
	struct ipc_request *ipc;     /* one of these three is set, or `answered` */
	struct peer_request *peer;
	struct remote_request *remote;
	void (*answered)(struct json *answer, void *data);
	void *answered_data;
	struct list link; /* in a list of waiters */
	uint64_t timer;   /* of a waiter */
	uint64_t after;   /* what a waiter has seen already */
	unsigned n_again; /* how often it was handled again */
	void (*expired)(struct api_call *call);
	char forwarded_to[SVC_NAME_MAX_LEN + 1];
	void *data; /* of the operation that answers later */
};

/* Park the call in `waiters` until somebody answers it, or until `wait_ms` is over: then `expired`
 * does. api_reply() and api_fail() take it off the list. */
void api_wait(struct api_call *call, struct list *waiters, int64_t wait_ms,
	void (*expired)(struct api_call *call));

/* Answer and free the call; both take over their JSON. */
void api_reply(struct api_call *call, struct json *result /* may be NULL */);
void api_fail(struct api_call *call, enum api_code code, const char *format, ...) _printf_(3, 4);
/* From an -errno of the cluster: no quorum, stale, ... `what` was being attempted. */
void api_fail_errno(struct api_call *call, int error, const char *what);

int api_accept(uid_t uid, gid_t gid, void *data);
void api_on_ipc(struct ipc_request *request, const struct json *message, void *data);
struct remote_request;
void api_on_remote(struct svc *svc, struct remote_request *request, const struct json *message,
	const struct identity *identity);
/* A peer's "api" call: the same table, without forwarding. `identity`: as the peer has it, or NULL.
 */
void api_on_peer(struct svc *svc, struct peer_request *request, const char *from,
	const struct json *message, const struct json *identity);
/* This service asks itself, as a peer would; `answered` (takes over `answer`) perhaps before this
 * returns. */
int api_ask(struct svc *svc, const struct json *message,
	void (*answered)(struct json *answer, void *data), void *data);
/* For tests: the table's rows; NULL behind the last one. */
const char *api_op_at(size_t at, enum api_role *ret_role);
/* Send the call on to the node that must answer it. */
void api_forward(struct api_call *call, const char *node);
/* The VM stands still or went away while it was asked: handle the call again in a moment, wherever
 * the VM is then. Patience is bounded. */
void api_again(struct api_call *call);
/* True when the store may be written; otherwise the call has been failed. */
bool api_needs_quorum(struct api_call *call);

void api_admin_enroll(struct api_call *call);
void api_admin_list(struct api_call *call);
void api_admin_revoke(struct api_call *call);
void api_admin_set(struct api_call *call);
void api_event_list(struct api_call *call);
void api_event_read(struct api_call *call);
void api_top_show(struct api_call *call);
void api_cluster_status(struct api_call *call);
void api_cluster_upgrade(struct api_call *call);
/* Views of the store that nobody has read to their end. */
void api_store_free(struct svc *svc);
void api_store_view(struct api_call *call);
void api_store_read(struct api_call *call);
void api_store_restore(struct api_call *call);
void api_cluster_describe(struct api_call *call);
void api_node_invite(struct api_call *call);
void api_node_join(struct api_call *call);
void api_node_evict(struct api_call *call);
void api_nic_list(struct api_call *call);
void api_nic_bindings(struct api_call *call);
void api_nic_change(struct api_call *call);
void api_nic_order(struct api_call *call);
void api_scrub_begin(struct api_call *call);
void api_scrub_step(struct api_call *call);
void api_scrub_undo(struct api_call *call);
void api_offload_show(struct api_call *call);
void api_offload_set(struct api_call *call);
void api_switch_create(struct api_call *call);
void api_switch_delete(struct api_call *call);
void api_switch_list(struct api_call *call);
void api_switch_pass(struct api_call *call);
void api_switch_probe(struct api_call *call);
void api_switch_set(struct api_call *call);
void api_switch_rename(struct api_call *call);
void api_switch_adapter_add(struct api_call *call);
void api_switch_adapter_remove(struct api_call *call);
void api_switch_adapter_set(struct api_call *call);
void api_switch_adapter_list(struct api_call *call);
void api_volume_create(struct api_call *call);
void api_volume_list(struct api_call *call);
void api_vm_create(struct api_call *call);
void api_vm_change(struct api_call *call);
void api_vm_delete(struct api_call *call);
void api_vm_list(struct api_call *call);
void api_vm_show(struct api_call *call);
void api_vm_start(struct api_call *call);
void api_vm_stop(struct api_call *call);
void api_vm_serial(struct api_call *call);
void api_vm_migrate(struct api_call *call);
void api_vm_shutdown(struct api_call *call);
void api_vm_pause(struct api_call *call);
void api_vm_resume(struct api_call *call);
void api_vm_save(struct api_call *call);
void api_vm_discard(struct api_call *call);
void api_vm_type(struct api_call *call);
void api_vm_screenshot(struct api_call *call);
void api_vm_memory(struct api_call *call);
void api_vm_item(struct api_call *call);
void api_vm_freeze(struct api_call *call);
void api_vm_thaw(struct api_call *call);
void api_vm_policy_set(struct api_call *call);
void api_vm_policy_show(struct api_call *call);
void api_vm_where(struct api_call *call);
void api_vm_nic_list(struct api_call *call);
void api_vm_nic_set(struct api_call *call);
void api_vm_nic_add(struct api_call *call);
void api_vm_nic_remove(struct api_call *call);
void api_vm_nic_acl_add(struct api_call *call);
void api_vm_nic_acl_remove(struct api_call *call);
void api_vm_nic_acl_list(struct api_call *call);
void api_disk_add(struct api_call *call);
void api_disk_remove(struct api_call *call);
void api_disk_medium(struct api_call *call);
void api_disk_resized(struct api_call *call);

/* ---- api_host_nic.c: what requests about the host's adapters share ---- */

/* True when this node is the one that `node` of the request names and its adapters can be managed;
 * otherwise the call is on its way there, or failed. */
bool nic_at_node(struct api_call *call);
/* The switches of this node with an uplink; lent until the loop goes on. */
#define NIC_MAX_USES 64
size_t nic_uses(struct svc *svc, struct host_use ret_uses[NIC_MAX_USES]);
/* host_nic_take() with this node's addresses as the essential ones. */
int nic_take(struct svc *svc, const char *nic, const char *switch_name, bool force, char *error,
	size_t size_bytes);
/* Would that be refused? */
int nic_may_take(
	struct svc *svc, const char *nic, const char *switch_name, char *error, size_t size_bytes);
/* host_nic_give_back(), unless a switch of this node names the adapter. */
void nic_release(struct svc *svc, const char *nic);
/* The code that an error of node/host becomes. */
enum api_code nic_code(int error);

/* ---- api_vm.c: what requests about one VM begin with ---- */

struct vm_view {
	const struct json *config;
	const struct json *state; /* vmstate/NAME or NULL */
	uint64_t config_version;
	struct cluster_owner owner;
	struct cluster_node node; /* the owner; id 0: nobody, or not configured any more */
	bool has_ended;           /* it is ours and has no process, whatever its state says still */
};
/* The VM's view, or the call has been failed. */
bool api_need_vm(struct api_call *call, const char *name, struct vm_view *ret);
int api_vm_view(struct svc *svc, const char *name, struct vm_view *ret_view); /* -ENOENT */
/* What its owner last said of it; "Unknown" when the owner is not there to say anything. */
const char *api_vm_state(const struct vm_view *view, const char **ret_reason);
bool api_vm_is_off(const struct vm_view *view);
/* True, and the call has been failed: the VM is being moved, started or changed. */
bool api_is_busy(struct api_call *call, const char *name);
/* The adapter that the request's "nic" means, without one the only one; or the call has been
 * failed (api_nic.c). */
bool api_find_nic(struct api_call *call, const struct vm_view *view, size_t *ret_nic);
/* The offloads that the guest of a VM has, if it runs here, or goes on with, if it is saved; lent.
 * NULL: it is off or elsewhere (api_offload.c). */
const struct json *api_vm_offloads(struct svc *svc, const char *name, const struct vm_view *view);
/* True when this node is the VM's owner; otherwise the call is on its way there (or failed). */
bool api_at_owner(struct api_call *call, const char *name, const struct vm_view *view);
bool vm_state_is_startable(const char *state); /* Off, Failed or Saved */
/* The process of the VM that the request names, running and not in the midst of a move; otherwise
 * the call is on its way to its owner, or failed. */
struct vmproc *api_running_vm(struct api_call *call);
/* Hand the request on to the VM's process: `op` with `message` (taken over) and descriptors; its
 * answer is the request's. */
void api_pass_on(struct api_call *call, struct vmproc *vp, const char *op, struct json *message,
	const int *fds, size_t n_fds, uint64_t timeout_ns);
void api_vm_take(struct api_call *call);
void api_node_list(struct api_call *call);
void api_node_pause(struct api_call *call);
void api_node_resume(struct api_call *call);
void api_cluster_set(struct api_call *call);
void api_job_show(struct api_call *call);
void api_job_list(struct api_call *call);
void api_job_cancel(struct api_call *call);

/* ---- switchd.c: the node's switch process ---- */

struct switchd;
int switchd_new(struct svc *svc, struct switchd **ret_switchd);
void switchd_free(struct switchd *switchd);
/* Bring its switches in line with the store; called when the name is known and on every change. */
void switchd_sync(struct switchd *switchd);
/* Does the switch process have it, or will it once it can, by all answers that have come? */
bool switchd_knows(struct switchd *switchd, const char *name);
/* Is a switch of this node as its record has it? "up", "coming", "not bound" (of an external one to
 * its uplink) or "not made"; into `why` goes a sentence or "". */
#define SWITCHD_WHY_BYTES 512
const char *switchd_state(struct switchd *switchd, const char *name, const struct json *record,
	char *why, size_t size_bytes);
/* Ask for all switches and ports: `fn` exactly once, with {switches} of switch.list as one list, or
 * NULL when the switch process does not answer. */
void switchd_list(struct svc *svc, void (*fn)(const struct json *switches, void *data), void *data);
int switchd_call(struct switchd *switchd, const char *op, struct json *message, chan_reply_fn fn,
	void *data);
/* The local switch a NIC's reference means: by name, else by logical name. NULL: none here. `text`
 * has room for a switch name. */
const char *switchd_resolve(
	struct svc *svc, const char *node, const char *reference, char *text, size_t size_bytes);
/* What another node would know a switch of this one by: its logical name, else its name. */
void switchd_reference(struct svc *svc, const char *name, char *text, size_t size_bytes);

/* ---- reach.c, api_reach.c: VLAN probes between hosts ---- */

#define REACH_VIDS_MAX_LEN 10240 /* the longest list of VLANs (fabric/vlan.h) */

/* In which VLANs probes arrived, as lists like "2-4,7". */
struct reach_seen {
	const char *there, *back;
	bool untagged_there, untagged_back;
};
/* `error`: it could not be tried; a sentence. */
typedef void (*reach_fn)(const char *error, const struct reach_seen *seen, void *data);
/* From an external switch of this node to its counterpart on `node`. 0, then `fn` follows once. */
int reach_start(struct svc *svc, const char *node, const char *local_switch, const char *vids,
	bool untagged, reach_fn fn, void *data);
/* reach.begin, .send, .result, .end of another node. */
void reach_on_peer(struct svc *svc, struct peer_request *request, const struct json *message);
/* The VLANs that an adapter's frames have on the wire, into a map of VLAN_N_VIDS bits
 * (fabric/vlan.h); 0 for those without a tag. */
void reach_add_nic(const struct json *nic, uint64_t *map);
/* Those of all VMs' adapters that mean, on this node, its switch of that name. */
void reach_in_use(struct svc *svc, const char *name, uint64_t *map);
/* The record of a node's external switch of that name; NULL: there is none. Lent. */
const struct json *reach_external_record(struct svc *svc, const char *node, const char *name);
/* Would a VM with this configuration be reachable on `node` as it is here? `fn` once, perhaps
 * before this returns; `error` NULL: yes. */
int reach_check_vm(struct svc *svc, struct json *config, const char *node,
	void (*fn)(const char *error, void *data), void *data);

/* ---- vmproc.c: one VM process on this node ---- */

enum vmproc_state {
	VMPROC_PREPARING, /* ports, process, configuration under way */
	VMPROC_INCOMING,  /* complete, waits for state and ownership */
	VMPROC_RUNNING,
	VMPROC_PAUSED, /* saved or switched over, waiting for a verdict */
	VMPROC_FAILED, /* the process or the guest ended */
};

struct vmproc {
	struct list link;
	struct svc *svc;
	char name[SVC_NAME_MAX_LEN + 1];
	struct json *config;   /* as in vm/NAME */
	struct json *offloads; /* in force: what its process was given (nic_offloads()) */
	uint64_t epoch;        /* of the ownership it runs (or will run) under */
	enum vmproc_state state;
	struct proc *proc;
	struct chan *chan;
	uint64_t cpuid_digest;
	uint64_t memory_bytes;
	unsigned n_nics, n_ports; /* ports made so far */
	struct list calls;        /* requests that wait for an answer of the process */
	struct console console;
	char heartbeat[16]; /* as vmstate/NAME says it */
	char said[16];      /* the last state that was an event */
	struct viewer *viewer;
	struct attaching *disks; /* being attached */
	struct start *starting;  /* somebody waits for it to start */
	struct save *saving;     /* its state is being written */
	struct mig_out *out;     /* being moved away */
	struct mig_in *in;       /* arriving */
	struct quick_out *quick;
	struct verdict_op *verdict;
	uint64_t lease_until_ns; /* as its process knows it; 0: has none yet */
	uint64_t failback_at_ns; /* not before then (guest_watch.c) */

	void (*prepared)(struct vmproc *vp, int error, const char *text, void *data);
	void *prepared_data;
	char error[256];
	int port_fds[3 * SVC_MAX_NICS];
	bool incoming;
	unsigned n_pending;  /* answers of the switch that still name this VM */
	unsigned n_changes;  /* of its adapters, under way: it is not to be moved or changed */
	bool restart_wanted; /* the guest restarted itself while it was being moved */
	bool dying;
};

/* Make ports (muted when incoming) and process, configure it. `prepared` follows exactly once
 * unless the VM is destroyed first. Takes references on `config` and `offloads`, which are those
 * that its guest has agreed on elsewhere; NULL: it starts with those of `config`. */
int vmproc_new(struct svc *svc, const char *name, struct json *config, struct json *offloads,
	uint64_t epoch, bool incoming,
	void (*prepared)(struct vmproc *vp, int error, const char *text, void *data), void *data,
	struct vmproc **ret_vp);
struct vmproc *vmproc_find(struct svc *svc, const char *name);
/* Start or go on; opens the ports when they were muted. `fn` as of chan_call. */
int vmproc_start(struct vmproc *vp, chan_reply_fn fn, void *data);
/* Mute every port, then call back; the VM's frames are nowhere from then on. */
void vmproc_mute(struct vmproc *vp, void (*fn)(struct vmproc *vp, void *data), void *data);
void vmproc_unmute(struct vmproc *vp);
/* One answer less that names this VM (n_pending); it may be gone afterwards. */
void vmproc_put(struct vmproc *vp);
/* Kill the process, remove the ports, forget it. */
void vmproc_destroy(struct vmproc *vp);
/* The process or its guest ended by itself: `state` and `reason` are published, whoever waits is
 * told, and whoever is moving the VM decides first what becomes of it. */
#define VMPROC_LOST "Lost" /* vmproc_publish_lost() */
void vmproc_died(struct vmproc *vp, const char *state, const char *reason);
/* vmproc_events.c: the channel's messages. */
void vmproc_on_message(struct chan *chan, uint64_t id, const char *op, const struct json *message,
	int *fds, size_t n_fds, void *data);
/* A new process for the same VM under the same ownership: the guest restarted itself. */
void vmproc_restart(struct vmproc *vp);

/* ---- vm_start.c: a VM starts here ---- */

struct start;
/* 0: it runs. Otherwise `why` is a sentence. */
typedef void (*start_fn)(int error, enum api_code code, const char *why, void *data);
/* Own it, as it is in the view and not changed since, and start it. `is_wanted`: if that fails, it
 * is tried again elsewhere (failover.h). `fn` exactly once, perhaps before this returns. */
void vm_start(struct svc *svc, const char *name, const struct vm_view *v, bool is_wanted,
	start_fn fn, void *data);
/* The VM ended before it had started: whoever waits is told why, and the store. */
void vm_start_over(struct start *start, uint64_t epoch, const char *why);
/* It is another node's by now: whoever waits is told, and nobody else. */
void vm_start_taken(struct start *start);
/* Its record may be this node's already, and its process not there yet. */
bool vm_start_is_under_way(const struct svc *svc, const char *name);

/* ---- leases.c: how long this node's VMs may go on ---- */

bool svc_has_lease(const struct svc *svc);
void svc_on_lease(uint64_t until_ns, void *data); /* of cluster.h */
void svc_end_overdue(struct svc *svc);
/* -ENOLCK: that is over already. */
int vmproc_send_lease(struct vmproc *vp, uint64_t until_ns);
bool vmproc_lease_is_over(const struct vmproc *vp);

/* The ports get the policy that the store has, where it changed behind the VM's back: while it
 * started or moved (api_nic_list.c). */
void vmproc_sync_nics(struct vmproc *vp);

/* The name under which the MAC of a VM's adapter is leased (vm_create.c). */
void vm_nic_lease(const char *vm, const struct json *nic, size_t at, char *text, size_t size_bytes);

/* vm_config.c: a configuration from a request. 0, or -EINVAL with a sentence in `error`. */
int vm_config_make(
	const struct json *message, struct json **ret_config, char *error, size_t error_size_bytes);
/* `old` with other values of kernel, initrd (null: none), cmdline, vps, vram_bytes, memory. */
int vm_config_change(const struct json *old, const struct json *changes, struct json **ret_config,
	char *error, size_t error_size_bytes);
int vm_config_set_memory(struct json *config, int64_t start, int64_t min, int64_t max, char *error,
	size_t error_size_bytes);

/* vm_disks.c: open and attach the disks of the VM's configuration, one after the other; `fn`
 * exactly once unless the VM process is destroyed first. */
typedef void (*vm_disks_fn)(struct vmproc *vp, int error, const char *text);
void vm_disks_attach(struct vmproc *vp, vm_disks_fn fn);
void vm_disks_forget(struct vmproc *vp);
/* A disk as the configuration has it, from a request: checked, with a LUN and an identity of its
 * own. `disks`: those that are there. 0, or -EINVAL with a sentence in `error`. */
int vm_disk_config(const struct json *wanted, const struct json *disks, struct json **ret_disk,
	char *error, size_t error_size_bytes);
/* Open what a disk of a configuration names. 0 or -errno with a sentence in `error`. */
int vm_disk_open(const struct json *disk, int *ret_fd, char *error, size_t error_size_bytes);
/* As disk.attach takes it. */
struct json *vm_disk_message(const struct json *disk);

/* viewer.c: a socket in the state folder on which VNC viewers reach the VM's display. */
struct viewer;
int viewer_new(struct vmproc *vp, struct viewer **ret_viewer);
void viewer_free(struct viewer *viewer);
void viewer_path(const struct svc *svc, const char *vm, char *text, size_t size_bytes);

/* save.c: the process ended while it saved; the call is answered elsewhere. */
void save_forget(struct vmproc *vp);
/* Where the state of a saved VM is, and the offloads that its guest goes on with. */
struct saved {
	char volume[SVC_NAME_MAX_LEN + 1], file[128];
	struct json *offloads; /* NULL: those of its configuration */
};
void saved_note(const struct vm_view *view, struct saved *ret_saved);
void saved_fini(struct saved *saved);
/* Load it into a prepared, incoming VM; `fn` as of chan_call. */
int saved_load(struct vmproc *vp, const struct saved *saved, chan_reply_fn fn, void *data,
	char *error, size_t error_size_bytes);
/* It was not used: the VM stays saved. */
void saved_keep(struct svc *svc, const char *vm, uint64_t epoch, const struct saved *saved,
	const char *reason);
/* It was: the file goes. */
void saved_remove(struct svc *svc, const struct saved *saved);

/* ---- vm_state.c: publish vmstate/NAME; the last word of the latest epoch stands ---- */

void vmproc_publish(
	struct svc *svc, const char *name, uint64_t epoch, const char *state, const char *reason);
/* With the members of `extra` (taken over, may be NULL) beside them. */
void vmproc_publish_with(struct svc *svc, const char *name, uint64_t epoch, const char *state,
	const char *reason, struct json *extra);
/* "Off", but not because anybody wanted it: it is to be started again (failover.c). */
void vmproc_publish_lost(struct svc *svc, const char *name, uint64_t epoch, const char *reason);
/* What its owner, another node by now, published: the VM runs with that epoch. NULL: not (yet). */
const struct json *vm_runs_elsewhere(struct svc *svc, const char *name, uint64_t epoch);
uint64_t svc_memory_free(const struct svc *svc);
uint64_t vm_config_memory(const struct json *config); /* at its start */
/* What a node must have for it: it may become that large at any moment. */
uint64_t vm_config_room(const struct json *config);

/* ---- job.c: long operations that people watch ---- */

enum job_state {
	JOB_RUNNING,
	JOB_DONE,
	JOB_FAILED,
	JOB_CANCELLED,
	JOB_QUEUED, /* waits for its turn: nothing was done yet */
};
const char *job_state_name(enum job_state state);

struct job {
	struct list link;
	struct svc *svc;
	char id[SVC_NAME_MAX_LEN + 32]; /* NODE-N */
	char kind[16];
	char vm[SVC_NAME_MAX_LEN + 1];
	char from[SVC_NAME_MAX_LEN + 1], to[SVC_NAME_MAX_LEN + 1];
	enum job_state state;
	char phase[32];
	unsigned percent;
	enum api_code code;
	char error[256];
	struct json *report; /* NULL until there is one */
	uint64_t sequence;   /* grows with every change */
	uint64_t started_ns, ended_ns;
	struct list waiters; /* calls waiting for a change */
	int (*cancel)(struct job *job, void *data);
	void *data;
	/* After every change; whoever set it clears it before it goes. */
	void (*notify)(struct job *job, void *data);
	void *notify_data;
	bool is_move; /* one of those of which so many run at once (moves.c) */
};

bool job_is_over(const struct job *job); /* done, failed or cancelled */

struct job *job_new(
	struct svc *svc, const char *kind, const char *vm, const char *from, const char *to);
/* It has waited long enough. */
void job_start(struct job *job);
void job_update(struct job *job, const char *phase, unsigned percent, struct json *report);
void job_finish(struct job *job, enum job_state state, enum api_code code, const char *error);

/* What a call to another node still knows of a job when the answer comes. */
struct job_ref;
struct job_ref *job_ref_new(const struct job *job);
/* Frees `ref`. The job's `data` if it still runs and can be found, else NULL. */
void *job_ref_take(struct job_ref *ref);

/* ---- migration ---- */

struct mig_out;
struct mig_in;
struct quick_out;

/* mig_out.c: the source's side of a live migration. */
int mig_out_start(struct vmproc *vp, struct job *job, const struct cluster_node *target,
	const struct json *options);
void mig_out_event(struct vmproc *vp, const char *op, const struct json *message);
/* True: the move still needs `vp` and ends it; false: it is over. */
bool mig_out_vm_died(struct vmproc *vp);
void mig_out_cluster_changed(struct vmproc *vp);
/* The target says that the VM runs there. */
void mig_out_started(struct vmproc *vp, const struct json *message);

/* quick.c: the source's side of a quick migration. */
int quick_out_start(
	struct vmproc *vp, struct job *job, const struct cluster_node *target, const char *volume);
void quick_out_event(struct vmproc *vp, const char *op, const struct json *message);
bool quick_out_vm_died(struct vmproc *vp);
void quick_out_cluster_changed(struct vmproc *vp);
void quick_out_started(struct vmproc *vp, const struct json *message);

/* mig_in.c: the target's side of both. */
void mig_in_prepare(struct svc *svc, struct peer_request *request, const char *from,
	const struct json *message);
void mig_in_load(struct svc *svc, struct peer_request *request, const char *from,
	const struct json *message);
void mig_in_abort(struct svc *svc, const char *from, const struct json *message);
/* The source's compare-and-set is done, confirmed by every member. */
void mig_in_commit(struct svc *svc, const char *from, const struct json *message);
void mig_in_event(struct vmproc *vp, const char *op, const struct json *message);
void mig_in_vm_died(struct vmproc *vp);
void mig_in_owner_changed(struct vmproc *vp);
/* Does it arrive from that node, not yet committed? */
bool mig_in_expects(const struct vmproc *vp, const char *from);

/* port_states.c: what the switches know of a VM's ports, from one to the other. `fn` follows
 * whatever happens, unless the VM is destroyed first. */
void port_states_hand_over(struct vmproc *vp, const char *target,
	void (*fn)(struct vmproc *vp, void *data), void *data);
void port_states_take(struct svc *svc, struct peer_request *request, const char *from,
	const struct json *message);
void mig_in_cluster_changed(struct vmproc *vp);

/* verdict.c: the commit, and what came of it. */
enum verdict {
	VERDICT_COMMITTED, /* the target owns the VM: it must never run here again */
	VERDICT_KEPT,      /* still ours, with our epoch: it may go on */
	VERDICT_LOST,      /* somebody else's: it must never run here again */
};
typedef void (*verdict_fn)(struct vmproc *vp, enum verdict verdict, uint64_t commit_ns);
/* Move the ownership of vp's VM to `to` by one compare-and-set and find out, however long that
 * takes, who owns it then: without quorum the answer waits for quorum. `fn` exactly once, perhaps
 * before this returns, unless the VM process is destroyed. -ENOMEM: nothing happened. */
int verdict_ask(struct vmproc *vp, uint32_t to, verdict_fn fn);
void verdict_cluster_changed(struct vmproc *vp);
void verdict_forget(struct vmproc *vp);

/* volume.c: the thin shared volume of quick migration. */
/* The volume's directory (to close()); checks that it is the volume that the record means. */
int volume_open(
	struct svc *svc, const char *name, int *ret_dir_fd, char *error, size_t error_size_bytes);
/* The first volume there is, lent; NULL without any. */
const char *volume_first(struct svc *svc);
/* Become the node that may write the volume. */
int volume_take(struct svc *svc, const char *name, cluster_done_fn fn, void *data);

/* sockets.c: sockets between two nodes on one network. */
struct sockets;
typedef void (*sockets_fn)(int error, const char *text, int *fds, size_t n_fds, void *data);
/* Connect `n` sockets from `local` to `remote`:`port`, one after the other, within `timeout_ns`.
 * The callback takes over the descriptors. */
int sockets_connect(struct loop *loop, const char *local, const char *remote, uint16_t port,
	size_t n, uint64_t timeout_ns, sockets_fn fn, void *data, struct sockets **ret_sockets);
/* Listen on `local` and take `n` connections from `remote` within `timeout_ns`. */
int sockets_accept(struct loop *loop, const char *local, const char *remote, size_t n,
	uint64_t timeout_ns, sockets_fn fn, void *data, uint16_t *ret_port,
	struct sockets **ret_sockets);
void sockets_free(struct sockets *sockets);

/* recover.c: states left by a former life of this service. */
void svc_recover(struct svc *svc);

#endif
