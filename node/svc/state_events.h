/* SPDX-License-Identifier: MIT
 *
 * state_events.h - changes of state, of VMs and of the cluster, as events: each once, by one node.
 */
#ifndef VIADUCT_NODE_SVC_STATE_EVENTS_H
#define VIADUCT_NODE_SVC_STATE_EVENTS_H

#include "node/svc/svc.h"

/* This node publishes the state of a VM. `vp`: its process, or NULL. */
void state_events_vm(struct svc *svc, struct vmproc *vp, const char *name, const char *state,
	const char *reason);
/* Membership or quorum may have changed. Of what all nodes see, the member with the lowest id
 * tells. */
void state_events_cluster(struct svc *svc);
/* The service ends. */
void state_events_end(struct svc *svc);

#endif
