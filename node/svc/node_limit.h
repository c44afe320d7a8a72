/* SPDX-License-Identifier: MIT
 *
 * node_limit.h - how many VMs a node may run at once, as people set it: nodepolicy/NODE {max_vms}.
 * Without a record there is no limit but memory. What runs already is never touched, and goes on
 * when the limit is lowered; what comes - by a start, a move, failover - is refused.
 *
 * A record of its own, and not a part of nodestate/NODE: a node writes that one by itself, from
 * what it knew last.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_NODE_LIMIT_H
#define VIADUCT_NODE_SVC_NODE_LIMIT_H

#include "base/json.h"

#define NODE_LIMIT_WHY_BYTES 160

struct api_call;
struct svc;

/* Of a record, or NULL; 0: none. Whatever makes no sense is none. */
unsigned node_limit_read(const struct json *record);
/* "max_vms" of an answer: the number, or null. */
void node_limit_show(struct svc *svc, const char *node, struct json *entry);
/* May one more VM come to this node? Otherwise a clause goes into `ret_why`;
 * NODE_LIMIT_WHY_BYTES have room for it. */
bool node_limit_has_room(struct svc *svc, char *ret_why, size_t size_bytes);

/* node.set {node, max_vms: N or null} */
void api_node_set(struct api_call *call);

#endif
