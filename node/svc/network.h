/* SPDX-License-Identifier: MIT
 *
 * network.h - what the service says about cluster networks: requests, and what its files share.
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_NETWORK_H
#define VIADUCT_NODE_SVC_NETWORK_H

#include "node/svc/svc.h"

/* Requests: api_network.c, network_path.c. */
void api_network_list(struct api_call *call);
void api_network_set(struct api_call *call);
void api_network_migration(struct api_call *call);
void api_network_path(struct api_call *call);
void api_network_classes(struct api_call *call);
/* A new list: the networks as network.list has them. */
struct json *api_networks(struct svc *svc);

/* The words of the original for its enumerations. */
const char *network_state_name(int state);
const char *network_interface_state_name(int state);
const char *network_role_name(enum cluster_net_role role);
const char *network_class_name(enum cluster_class class);

/* By name or subnet; `n` for none. */
size_t network_find(const struct cluster_net *nets, size_t n, const char *name);

/* network_path.c: take the networks of that order and exclusion for migrations; each of the three
 * may be NULL, and stays as it is. Answers the call. */
void network_set_migration(struct api_call *call, const struct json *order,
	const struct json *excluded, const struct json *strict);
/* The list with one network at that place: from 1 in the order, 0 by metric, -1 excluded. Answers
 * the call. */
void network_place(struct api_call *call, const char *subnet, int64_t place);

/* network_watch.c: what changed is told as events. A key of the store changed, or (NULL) the
 * members did. */
void network_watch_note(struct svc *svc, const char *key);
void network_watch_free(struct svc *svc);
/* The node's address there, lent; "" for none. */
const char *network_address_of(const struct cluster_net *net, uint32_t node_id);
/* The one in which the node has that address; `n` for none. */
size_t network_of_address(
	const struct cluster_net *nets, size_t n, uint32_t node_id, const char *address);
/* Why no network can carry a migration to that node: a sentence. */
void network_explain(struct svc *svc, const struct cluster_node *to, char *text, size_t size_bytes);

#endif
