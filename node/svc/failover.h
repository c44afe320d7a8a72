/* SPDX-License-Identifier: MIT
 *
 * failover.h - VMs that have lost their node, or their lease, start again: where, says
 * cluster/failover.h; that nothing of them runs any more, say leases (cluster/lease.h).
 *
 * The lowest node in sync decides and asks; the node that is asked judges for itself whether the VM
 * may be taken, and takes it by a compare-and-set of its owner record. So two who think that they
 * are the lowest do no harm, and one that dies is followed by the next, who decides the same.
 *
 * What is started: VMs that ran, or were to, on a node that is gone; and those of which their node
 * itself says that they were lost (vmproc_publish_lost()). How often that happened to a VM lately
 * stands in restarts/VM {times: [seconds], last: {from, to, why, fencing_ns, decision_ns,
 * start_ns}}.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_FAILOVER_H
#define VIADUCT_NODE_SVC_FAILOVER_H

#include "node/svc/svc.h"

struct failover;

int failover_new(struct svc *svc, struct failover **ret_failover);
void failover_free(struct failover *failover); /* NULL is fine */
/* Something changed that may matter: looked at in a moment, once for all changes until then. */
void failover_touch(struct failover *failover); /* NULL is fine */
/* A key of the store changed: the same, if a VM is lost by that, or one waits for a place that it
 * may have now. A look goes over all VMs, and most changes are of VMs that are well. */
void failover_key(struct failover *failover, const char *key);
/* failover.start of the node that decides. */
void failover_on_peer(struct svc *svc, struct peer_request *request, const struct json *message);

/* The same from here; takes over `message`. 0, and `fn` follows exactly once, perhaps before this
 * returns; -ENOMEM. */
int failover_take(struct svc *svc, struct json *message, peer_reply_fn fn, void *data);
/* The cluster has changed: a lease that was waited for may have run out. */
void failover_takes_look(struct svc *svc);
/* At the end of this program: what still waits hears nothing more. */
void failover_takes_end(struct svc *svc);

/* guest_watch.c: its guest has stopped answering; perhaps it is restarted. */
void guest_is_silent(struct vmproc *vp);
/* VMs that failover brought here go back, those whose policy says so and whose better node can have
 * them. Now and then. */
void failback_look(struct svc *svc);

/* How often the VM was started again within `window_s`, by the wall clock (restart_times.h). */
unsigned restarts_count(struct svc *svc, const char *vm, unsigned window_s);
/* Once more, or tried to. */
void restarts_note(struct svc *svc, const char *vm);
/* How the last one went, for people; takes over `last`. */
void restarts_describe(struct svc *svc, const char *vm, struct json *last);

#endif
