/* SPDX-License-Identifier: MIT
 *
 * vlan_watch.h - which VLANs do not get through to other hosts from this node's external switches.
 * Every few seconds each of them is probed (svc.h, reach_start()) in the VLANs that VMs of the
 * cluster have on switches of its name, towards a node that has it too, another one each time. What
 * does not get through is tried with up to two more. What still does not is in the record
 *
 *   vlan/NODE/NAME  {cut: "3,7", tried: [NODE]}
 *
 * which does not exist while all is well. It counts as long as one of those that were tried is up:
 * between two hosts nobody can know which of them is cut off, so when the other one is gone,
 * nothing is known.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_VLAN_WATCH_H
#define VIADUCT_NODE_SVC_VLAN_WATCH_H

#include "cluster/cluster.h"

struct svc;
struct vlan_watch;

int vlan_watch_new(struct svc *svc, struct vlan_watch **ret_watch);
void vlan_watch_free(struct vlan_watch *watch); /* NULL is fine; no probe is under way any more */
/* Begin a round, if it is time for one. */
void vlan_watch_tick(struct vlan_watch *watch);

/* ---- vlan_record.c ---- */

/* Is one of those that were tried still there? */
bool vlan_record_counts(
	const struct json *record, const struct cluster_node *nodes, size_t n_nodes);
/* The VLANs that a switch reaches others in, by its record (may be NULL), as a list;
 * to free(). NULL: nothing speaks against any. */
char *vlan_watch_reached(
	const struct json *record, const struct cluster_node *nodes, size_t n_nodes);

#endif
