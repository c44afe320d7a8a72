/* SPDX-License-Identifier: MIT
 *
 * macrange.h - MAC addresses as numbers, ranges of them, and the pools that leases come from. Pure
 * but for what the store says.
 *
 *   macpool/NAME   {"first": "00:15:5d:00:00:00", "last": "00:15:5d:ff:ff:ff"}; {"off": true}
 *   macrange/NODE  {"first": ..., "last": ..., "set": true}   `set` by people; else derived
 *
 * A pool is the cluster's. Without a record of its own there is the pool "default", the original's
 * prefix 00-15-5D. Each node prefers a range of 256 addresses in the first pool, as the original
 * does: octets 4 and 5 are the last two of the node's first IPv4 address when it was found. The
 * record stays whatever the address becomes.
 */
#ifndef VIADUCT_CLUSTER_MACRANGE_H
#define VIADUCT_CLUSTER_MACRANGE_H

#include "cluster/cluster.h"

#define MAC_TEXT_LEN     17
#define MAC_DEFAULT_POOL "default"
#define MAC_MAX_POOLS    64
#define MAC_NODE_SIZE    256

struct mac_range {
	uint64_t first, last;
};

struct mac_pool {
	char name[CLUSTER_NAME_MAX_LEN + 1]; /* of the pool, or of the node */
	struct mac_range range;
	bool is_set; /* of a node's: by people */
};

struct mac_pools {
	struct mac_pool pools[MAC_MAX_POOLS]; /* by name */
	size_t n_pools;
	struct mac_pool nodes[CLUSTER_MAX_NODES]; /* ranges of nodes that lie in a pool */
	size_t n_nodes;
};

/* "00:15:5d:01:02:03", "00-15-5D-01-02-03" or "00155D010203"; any but zero and groups' (-EINVAL).
 */
int mac_parse(const char *text, uint64_t *ret_mac);
/* In lower case with colons. */
void mac_text(uint64_t mac, char ret_text[MAC_TEXT_LEN + 1]);

/* NULL, or what is wrong with it, a static text that completes "the range ...". */
const char *mac_range_error(const struct mac_range *range);
bool mac_range_has(const struct mac_range *range, uint64_t mac);
bool mac_range_overlaps(const struct mac_range *a, const struct mac_range *b);
uint64_t mac_range_size(const struct mac_range *range);

/* What the store has. What does not make sense is left out, and so is a pool that overlaps an
 * earlier one. */
void mac_pools_read(const struct cluster *cluster, struct mac_pools *ret_pools);
const struct mac_pool *mac_pools_find(const struct mac_pools *pools, uint64_t mac);
/* The node's range; one that is derived from `address` ("10.0.7.47", or anything else) if there is
 * no record. -ENOSPC: no pool has 256 addresses in a row that no other node has. */
int mac_pools_node_range(const struct mac_pools *pools, const char *node, const char *address,
	struct mac_range *ret_range);

#endif
