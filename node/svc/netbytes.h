/* SPDX-License-Identifier: MIT
 *
 * netbytes.h - bytes sent on each cluster network since a snapshot, to prove which path was taken.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_NETBYTES_H
#define VIADUCT_NODE_SVC_NETBYTES_H

#include "node/svc/svc.h"

struct netbytes {
	size_t n;
	struct {
		char name[CLUSTER_NAME_MAX_LEN + 1], ifname[32];
		uint64_t tx_bytes;
	} nets[CLUSTER_MAX_NETS];
};

void netbytes_snapshot(struct svc *svc, struct netbytes *ret_bytes);
/* [{name, interface, tx_bytes}] since `before`. */
struct json *netbytes_json(struct svc *svc, const struct netbytes *before);

#endif
