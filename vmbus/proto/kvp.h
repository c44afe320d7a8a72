/* SPDX-License-Identifier: MIT
 *
 * kvp.h - key-value pairs: bodies of integration service messages (ic.h). Texts are UTF-16 with a
 * NUL, and sizes of texts are in bytes, the NUL included. Answers come in the request's place and
 * size, so requests are always of the full size.
 *
 * Source: linux include/uapi/linux/hyperv.h, drivers/hv/hv_kvp.c.
 *
 * Freestanding: shared by the host's VSPs and by guests without a C library.
 */
#ifndef VIADUCT_VMBUS_PROTO_KVP_H
#define VIADUCT_VMBUS_PROTO_KVP_H

#include "vmbus/proto/wire.h"

enum kvp_operation {
	KVP_GET = 0,
	KVP_SET = 1,
	KVP_DELETE = 2,
	KVP_ENUMERATE = 3,
	KVP_GET_IP_INFO = 4, /* from version 4.0, as is the next */
	KVP_SET_IP_INFO = 5,
};

enum kvp_pool {
	KVP_POOL_EXTERNAL = 0, /* the host writes, the guest reads */
	KVP_POOL_GUEST = 1,    /* the guest writes, the host reads */
	KVP_POOL_AUTO = 2,     /* what the guest's daemon says of its system */
};

enum kvp_value_type { KVP_STRING = 1, KVP_U32 = 4, KVP_U64 = 8 };

#define KVP_KEY_BYTES   512U
#define KVP_VALUE_BYTES 2048U

struct kvp_header {
	uint8_t operation;
	uint8_t pool;
	uint16_t reserved;
} _wire_;
WIRE_SIZE(struct kvp_header, 4);

struct kvp_item {
	uint32_t value_type;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint8_t key[KVP_KEY_BYTES];
	uint8_t value[KVP_VALUE_BYTES]; /* the number itself when it is one */
} _wire_;
WIRE_SIZE(struct kvp_item, 2572);

struct kvp_set {
	struct kvp_header header;
	struct kvp_item item;
} _wire_;
WIRE_SIZE(struct kvp_set, 2576);

struct kvp_delete {
	struct kvp_header header;
	uint32_t key_bytes;
	uint8_t key[KVP_KEY_BYTES];
} _wire_;
WIRE_SIZE(struct kvp_delete, 520);

struct kvp_enumerate {
	struct kvp_header header;
	uint32_t index;
	struct kvp_item item;
} _wire_;
WIRE_SIZE(struct kvp_enumerate, 2580);
WIRE_OFFSET(struct kvp_enumerate, item, 8);

#define KVP_ADAPTER_UNITS 128U
#define KVP_IP_UNITS      1024U
#define KVP_GATEWAY_UNITS 512U

/* Its header is shorter than the others'. */
struct kvp_ip_info {
	uint8_t operation;
	uint8_t pool;
	uint16_t adapter_id[KVP_ADAPTER_UNITS];
	uint8_t address_family;
	uint8_t dhcp_enabled;
	uint16_t addresses[KVP_IP_UNITS]; /* separated by ';', as are the next three */
	uint16_t subnets[KVP_IP_UNITS];
	uint16_t gateways[KVP_GATEWAY_UNITS];
	uint16_t dns[KVP_IP_UNITS];
} _wire_;
WIRE_SIZE(struct kvp_ip_info, 7428);
WIRE_OFFSET(struct kvp_ip_info, addresses, 260);

#endif
