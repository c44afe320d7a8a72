/* SPDX-License-Identifier: MIT
 *
 * node_facts.h - what this node can do for VMs, as its record node/NAME says it:
 *
 *   vm_memory_bytes  what VMs may use altogether
 *   memory_bytes     what the host has
 *   kvm              can VMs run at all?
 *   cpus             processors that are online
 *   numa             [{cpus, memory_bytes}] of its NUMA nodes; empty: not known
 *   cpu_digest       node/hv/host_cpu.h; "": not known. VMs move between equal ones
 *   volumes          {NAME: "" or why it is not reachable}
 *   watchdog         watchdog.h
 *
 * Processors and memory are looked at once, when the service starts. Volumes are looked at again
 * and again, each in a thread of its own: a file server that hangs stops whoever asks it, and then
 * that is what the record says.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_NODE_FACTS_H
#define VIADUCT_NODE_SVC_NODE_FACTS_H

#include "base/json.h"
#include "cluster/place.h"

struct svc;
struct node_facts;

/* `kvm_fd` and the options of `svc` are known by now. */
int node_facts_new(struct svc *svc, struct node_facts **ret_facts);
/* A check that hangs keeps its memory. */
void node_facts_free(struct node_facts *facts);
/* The record as it is now; volumes that were not looked at for a while are on the way. A new
 * reference. NULL: -ENOMEM. */
struct json *node_facts_record(struct node_facts *facts);

/* node_record.c: such a record of any node, whatever is in it, into the members of `node` that
 * speak of its hardware; lent. NULL: it has none. */
void node_record_read(const struct json *facts, struct place_node *node);

#endif
