/* SPDX-License-Identifier: MIT
 *
 * net_oid.h - the objects of a NIC that RNDIS queries and sets, as a table. Internal to net_rndis.c
 * and its tests.
 */
#ifndef VIADUCT_VMBUS_NET_OID_H
#define VIADUCT_VMBUS_NET_OID_H

#include "vmbus/net_rndis.h"

#define NET_OID_VALUE_MAX_BYTES (NET_RNDIS_ANSWER_MAX_BYTES - sizeof(struct rndis_query_complete))

/* `input` is what came with the query. Returns an RNDIS status; size and value only with success.
 */
uint32_t net_oid_query(const struct net_rndis *rndis, uint32_t oid, const uint8_t *input,
	size_t input_bytes, uint8_t ret_value[static NET_OID_VALUE_MAX_BYTES], size_t *ret_bytes);
uint32_t net_oid_set(
	struct net_rndis *rndis, uint32_t oid, const uint8_t *value, size_t size_bytes);

#endif
