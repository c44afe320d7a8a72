/* SPDX-License-Identifier: MIT
 *
 * kvp_wire.h - requests of KVP written, answers read: texts converted, bounded and cleaned. Pure.
 * Internal to vmbus/.
 */
#ifndef VIADUCT_VMBUS_KVP_WIRE_H
#define VIADUCT_VMBUS_KVP_WIRE_H

#include "vmbus/ic.h"
#include "vmbus/proto/kvp.h"

/* All return the size of the request. */
size_t kvp_write_enumerate(enum kvp_pool pool, uint32_t index, uint8_t *ret_body);
size_t kvp_write_set(enum kvp_pool pool, const struct ic_item *item, uint8_t *ret_body);
size_t kvp_write_delete(enum kvp_pool pool, const char *key, uint8_t *ret_body);
size_t kvp_write_get_ip_info(const uint8_t mac[ETH_ADDR_LEN], uint8_t *ret_body);

/* -EBADMSG: too short, of another operation, or with sizes that cannot be. */
int kvp_read_enumerated(const uint8_t *body, size_t size_bytes, struct ic_item *ret_item);
int kvp_read_addresses(
	const uint8_t *body, size_t size_bytes, char *ret_text, size_t capacity_bytes);

/* Are they sound, and do both fit into a request? */
bool kvp_fits(const char *key, const char *value);

#endif
