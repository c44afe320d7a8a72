/* SPDX-License-Identifier: MIT
 *
 * net_records.h - what the store says about networks, between JSON and net.h.
 *
 *   netif/NODE   {"interfaces": [{"name": "eth0", "address": "10.10.1.1", "prefix": 24,
 *                 "speed_mbps": 10000}, ...]}                      published by the node
 *   links/NODE   {"addresses": ["10.10.2.1", ...],                 its own, by link
 *                 "reaches": {"2": [0, 1], ...}}                   links that work, by peer's node
 * id net/SUBNET   {"name": ..., "role": ..., "metric": ..., "migration_order": ...}, each optional
 *
 * Records are written by other nodes and by people: what does not make sense is left out.
 */
#ifndef VIADUCT_CLUSTER_NET_RECORDS_H
#define VIADUCT_CLUSTER_NET_RECORDS_H

#include "cluster/net.h"
#include "cluster/store.h"

/* Complete `in`, whose nodes have id, name, is_member, is_reporting and perhaps addresses, with
 * what the store knows. */
void net_records_read(const struct store *store, struct net_input *in);

/* This node's row of the matrix. */
struct net_row {
	uint32_t address[NET_MAX_LINKS]; /* IPv4 in host order, 0 for none */
	struct {
		uint32_t id;
		uint8_t links; /* bit per link that works */
	} peers[CLUSTER_MAX_NODES];
	size_t n_peers;
};

/* NULL without memory. */
struct json *net_row_to_json(const struct net_row *row);
struct json *net_interfaces_to_json(const struct net_interface *interfaces, size_t n);

/* "10.1.2.3", in host order; 0 if it is not one. */
uint32_t net_parse_address(const char *text);

#endif
