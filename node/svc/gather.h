/* SPDX-License-Identifier: MIT
 *
 * gather.h - one request, answered by every node.
 */
#ifndef VIADUCT_NODE_SVC_GATHER_H
#define VIADUCT_NODE_SVC_GATHER_H

#include "node/svc/svc.h"

/* `replies`: lent; [{node, answer} or {node, error}] in the order of node ids. `answer` is what the
 * node's service answers, a refusal included; `error` says why it does not: "is down". */
typedef void (*gather_fn)(const struct json *replies, void *data);

/* Ask `node`, or with NULL all nodes of the cluster, this one included. `request` is taken over and
 * the same for each. 0, and `fn` follows exactly once, perhaps before this returns; -ENOENT: there
 * is no node of that name; -ENOMEM. */
int gather(struct svc *svc, const char *node, struct json *request, uint64_t timeout_ns,
	gather_fn fn, void *data);

#endif
