/* SPDX-License-Identifier: MIT
 *
 * place_view.h - the cluster of the store as a picture for placement (cluster/place.h), and the
 * watch that says when a VM has nowhere to go.
 *
 * What a picture is made of:
 *
 *   a node is up      when it is a member and its service has our store
 *   it is paused      when nodestate/NODE says so
 *   its limit of VMs  nodepolicy/NODE (node_limit.h)
 *   its facts         node/NODE (node_facts.h); a node without them takes nothing
 *   its switches      switch/NODE/NAME and switchstate/NODE/NAME; the VLANs that an external one
 *                     reaches are those of which vlan/NODE/NAME does not say otherwise
 * (vlan_watch.h) a VM runs         unless it is off, failed or saved, or its node is no member: so
 * also while it starts, is saved or moves. What moves takes room where it comes from; its target
 * has the last word when it arrives its processors    are those of the node where it runs or was
 * saved; one that has to boot anew may do so on any its memory        is the most that it may
 * become its volumes       are those on which its disks, kernel, RAM disk and saved state are
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_PLACE_VIEW_H
#define VIADUCT_NODE_SVC_PLACE_VIEW_H

#include "cluster/place.h"

struct svc;

/* What the store says now. 0 or -ENOMEM. */
int place_view(struct svc *svc, struct place **ret_place);

/* Events vm.nowhere-to-go and vm.can-move-again of VMs that run on this node: when other nodes
 * could take one, and none can any more; and back. A VM that is seen for the first time is only
 * noted. */
struct place_watch;
int place_watch_new(struct svc *svc, struct place_watch **ret_watch);
void place_watch_free(struct place_watch *watch); /* NULL is fine */
/* Something changed that may matter: looked at within seconds, once for all changes until then. */
void place_watch_touch(struct place_watch *watch); /* NULL is fine */
/* The same for a key of the store, if it is one that matters. */
void place_watch_key(struct place_watch *watch, const char *key);

#endif
