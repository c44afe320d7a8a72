/* SPDX-License-Identifier: MIT
 *
 * publish.h - records that a node keeps about itself in the store ("netif/NODE", "links/NODE"):
 * written when the store says something else, one write at a time. Whoever owns a publisher calls
 * publish() again and again with what is true now; what failed or was overwritten is thereby
 * mended.
 */
#ifndef VIADUCT_CLUSTER_PUBLISH_H
#define VIADUCT_CLUSTER_PUBLISH_H

#include "cluster/cluster.h"

struct publisher {
	bool under_way;
};

/* Takes over `value` (NULL: -ENOMEM). 0 also when there is nothing to do or a write is under way.
 */
int publish(struct publisher *publisher, struct cluster *cluster, const char *prefix,
	struct json *value);

#endif
