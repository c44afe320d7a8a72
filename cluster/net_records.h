/* SPDX-License-Identifier: MIT
 *
 * net_records.h - what the store says about networks, between JSON and net.h.
 *
 *   netif/NODE          {"interfaces": [{"name": "eth0", "address": "10.10.1.1", "prefix": 24,
 *                        "speed_mbps": 10000, "down": true, "rdma": true, "rss": true}, ...]}
 *   links/NODE          {"addresses": ["10.10.2.1", ...],     its own, by link
 *                        "reaches": {"2": [0, 1], ...},       links that work, by peer's id
 *                        "probed": {"10.10.4.0/24": {"reached": [2], "lost": [3]}, ...}}
 *   net/SUBNET          {"name": ..., "role": ..., "metric": ...}, each optional
 *   migration/networks  {"order": ["10.10.3.0/24", ...], "excluded": [...], "strict": true}
 *
 * The first two are published by the node, the others by people.
 *
 * All are hostile: what does not make sense is left out.
 */
#ifndef VIADUCT_CLUSTER_NET_RECORDS_H
#define VIADUCT_CLUSTER_NET_RECORDS_H

#include "cluster/net_row.h"
#include "cluster/store.h"

/* Complete `in`, whose nodes have id, name, is_member, is_reporting and perhaps addresses, with
 * what the store knows. */
void net_records_read(const struct store *store, struct net_input *in);

/* The list for migrations alone; NULL: an empty one. */
void net_migration_read(const struct json *record, struct net_migration *ret_migration);

/* NULL without memory. */
struct json *net_row_to_json(const struct net_row *row);
struct json *net_interfaces_to_json(const struct net_interface *interfaces, size_t n);

#endif
