/* SPDX-License-Identifier: MIT
 *
 * vmbus_msg.h - the messages of the VMBus control plane, in both directions.
 *
 * Guest to host they travel by HvPostMessage on a connection id, host to guest in slot VMBUS_SINT
 * of the message page of the VP that the guest named in INITIATE_CONTACT.
 *
 * Source: linux include/linux/hyperv.h, drivers/hv/{connection,channel,channel_mgmt}.c; openvmm
 * vmbus_core/src/protocol.rs.
 */
#ifndef VIADUCT_VMBUS_PROTO_VMBUS_MSG_H
#define VIADUCT_VMBUS_PROTO_VMBUS_MSG_H

#include "vmbus/proto/guids.h"
#include "vmbus/proto/ring.h"
#include "vmbus/proto/synic.h"

#define VMBUS_SINT          2
#define VMBUS_MESSAGE_TYPE  HV_MESSAGE_VMBUS
#define VMBUS_MSG_MAX_BYTES HV_MESSAGE_PAYLOAD_MAX_BYTES
#define VMBUS_MAX_RELID     2047

/* Connection ids for messages. From 5.0 on INITIATE_CONTACT goes to the second one; the host names
 * the one for everything else in VERSION_RESPONSE. */
#define VMBUS_CONNECTION_MESSAGES    1U
#define VMBUS_CONNECTION_MESSAGES_V5 4U

#define VMBUS_VERSION(major, minor) (((uint32_t)(major) << 16) | (minor))
#define VMBUS_VERSION_2_4           VMBUS_VERSION(2, 4)
#define VMBUS_VERSION_3_0           VMBUS_VERSION(3, 0)
#define VMBUS_VERSION_4_0           VMBUS_VERSION(4, 0)
#define VMBUS_VERSION_4_1           VMBUS_VERSION(4, 1)
#define VMBUS_VERSION_5_0           VMBUS_VERSION(5, 0)
#define VMBUS_VERSION_5_1           VMBUS_VERSION(5, 1)
#define VMBUS_VERSION_5_2           VMBUS_VERSION(5, 2)
#define VMBUS_VERSION_5_3           VMBUS_VERSION(5, 3)

enum vmbus_msg_type {
	VMBUS_MSG_OFFER_CHANNEL = 1,
	VMBUS_MSG_RESCIND_OFFER = 2,
	VMBUS_MSG_REQUEST_OFFERS = 3,
	VMBUS_MSG_ALL_OFFERS_DELIVERED = 4,
	VMBUS_MSG_OPEN_CHANNEL = 5,
	VMBUS_MSG_OPEN_CHANNEL_RESULT = 6,
	VMBUS_MSG_CLOSE_CHANNEL = 7,
	VMBUS_MSG_GPADL_HEADER = 8,
	VMBUS_MSG_GPADL_BODY = 9,
	VMBUS_MSG_GPADL_CREATED = 10,
	VMBUS_MSG_GPADL_TEARDOWN = 11,
	VMBUS_MSG_GPADL_TORNDOWN = 12,
	VMBUS_MSG_RELID_RELEASED = 13,
	VMBUS_MSG_INITIATE_CONTACT = 14,
	VMBUS_MSG_VERSION_RESPONSE = 15,
	VMBUS_MSG_UNLOAD = 16,
	VMBUS_MSG_UNLOAD_RESPONSE = 17,
	VMBUS_MSG_TL_CONNECT_REQUEST = 21,
	VMBUS_MSG_MODIFY_CHANNEL = 22,
	VMBUS_MSG_TL_CONNECT_RESULT = 23,
	VMBUS_MSG_MODIFY_CHANNEL_RESPONSE = 24,
};

/* Every message begins with this; REQUEST_OFFERS, ALL_OFFERS_DELIVERED, UNLOAD and UNLOAD_RESPONSE
 * are nothing else. */
struct vmbus_msg_header {
	uint32_t type;
	uint32_t padding;
} _wire_;
WIRE_SIZE(struct vmbus_msg_header, 8);

/* chn_flags of an offer */
#define VMBUS_OFFER_ENUMERATE_INTERFACE 0x1U
#define VMBUS_OFFER_NAMED_PIPE          0x10U
#define VMBUS_OFFER_LOOPBACK            0x100U
#define VMBUS_OFFER_PARENT              0x200U
#define VMBUS_OFFER_TL                  0x2000U

#define VMBUS_USER_DEFINED_BYTES 120

struct vmbus_msg_offer_channel {
	struct vmbus_msg_header header;
	uint8_t class_guid[VMBUS_GUID_BYTES];
	uint8_t instance_guid[VMBUS_GUID_BYTES];
	uint8_t reserved0[16];
	uint16_t flags;
	uint16_t mmio_mb;
	uint8_t user_defined[VMBUS_USER_DEFINED_BYTES];
	uint16_t sub_channel_index;
	uint16_t reserved1;
	uint32_t relid;
	uint8_t monitor_id;
	uint8_t monitor_allocated;       /* bit 0 */
	uint16_t is_dedicated_interrupt; /* bit 0 */
	uint32_t connection_id;          /* for HvSignalEvent */
} _wire_;
WIRE_SIZE(struct vmbus_msg_offer_channel, 196);
WIRE_OFFSET(struct vmbus_msg_offer_channel, instance_guid, 24);
WIRE_OFFSET(struct vmbus_msg_offer_channel, flags, 56);
WIRE_OFFSET(struct vmbus_msg_offer_channel, user_defined, 60);
WIRE_OFFSET(struct vmbus_msg_offer_channel, sub_channel_index, 180);
WIRE_OFFSET(struct vmbus_msg_offer_channel, relid, 184);
WIRE_OFFSET(struct vmbus_msg_offer_channel, monitor_allocated, 189);
WIRE_OFFSET(struct vmbus_msg_offer_channel, is_dedicated_interrupt, 190);
WIRE_OFFSET(struct vmbus_msg_offer_channel, connection_id, 192);

/* RESCIND_OFFER, CLOSE_CHANNEL, RELID_RELEASED */
struct vmbus_msg_relid {
	struct vmbus_msg_header header;
	uint32_t relid;
} _wire_;
WIRE_SIZE(struct vmbus_msg_relid, 12);

#define VMBUS_OPEN_NO_INTERRUPTS 0xffffffffU /* target_vp: the guest polls */

struct vmbus_msg_open_channel {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t open_id;
	uint32_t ring_gpadl_id;
	uint32_t target_vp;
	uint32_t downstream_page_offset;
	uint8_t user_data[VMBUS_USER_DEFINED_BYTES];
} _wire_;
WIRE_SIZE(struct vmbus_msg_open_channel, 148);
WIRE_OFFSET(struct vmbus_msg_open_channel, ring_gpadl_id, 16);
WIRE_OFFSET(struct vmbus_msg_open_channel, downstream_page_offset, 24);
WIRE_OFFSET(struct vmbus_msg_open_channel, user_data, 28);

struct vmbus_msg_open_result {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t open_id;
	uint32_t status; /* 0: open */
} _wire_;
WIRE_SIZE(struct vmbus_msg_open_result, 20);

#define VMBUS_GPADL_HEADER_MAX_PFNS 26
#define VMBUS_GPADL_BODY_MAX_PFNS   28

/* range_buffer_bytes covers the ranges of this message and of the bodies that follow it. */
struct vmbus_msg_gpadl_header {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t gpadl_id;
	uint16_t range_buffer_bytes;
	uint16_t range_count;
	struct vmbus_gpa_range range; /* then u64 PFNs */
} _wire_;
WIRE_SIZE(struct vmbus_msg_gpadl_header, 28);
WIRE_OFFSET(struct vmbus_msg_gpadl_header, range_buffer_bytes, 16);
WIRE_OFFSET(struct vmbus_msg_gpadl_header, range, 20);

/* Carries no relid: belongs to the GPADL under assembly with this id. */
struct vmbus_msg_gpadl_body {
	struct vmbus_msg_header header;
	uint32_t message_number; /* not relied on: Linux leaves 0 */
	uint32_t gpadl_id;
	/* then u64 PFNs */
} _wire_;
WIRE_SIZE(struct vmbus_msg_gpadl_body, 16);

struct vmbus_msg_gpadl_created {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t gpadl_id;
	uint32_t status; /* 0: created */
} _wire_;
WIRE_SIZE(struct vmbus_msg_gpadl_created, 20);

struct vmbus_msg_gpadl_teardown {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t gpadl_id;
} _wire_;
WIRE_SIZE(struct vmbus_msg_gpadl_teardown, 16);

struct vmbus_msg_gpadl_torndown {
	struct vmbus_msg_header header;
	uint32_t gpadl_id;
} _wire_;
WIRE_SIZE(struct vmbus_msg_gpadl_torndown, 12);

struct vmbus_msg_initiate_contact {
	struct vmbus_msg_header header;
	uint32_t version;
	uint32_t target_vp; /* whose message slot gets every answer */
	union {
		uint64_t interrupt_page; /* below 5.0 */
		struct {
			uint8_t sint;
			uint8_t vtl;
			uint8_t reserved[6];
		} v5;
	};
	uint64_t parent_to_child_monitor_page;
	uint64_t child_to_parent_monitor_page;
} _wire_;
WIRE_SIZE(struct vmbus_msg_initiate_contact, 40);
WIRE_OFFSET(struct vmbus_msg_initiate_contact, version, 8);
WIRE_OFFSET(struct vmbus_msg_initiate_contact, interrupt_page, 16);
WIRE_OFFSET(struct vmbus_msg_initiate_contact, parent_to_child_monitor_page, 24);

enum vmbus_connection_state {
	VMBUS_CONNECTION_OK = 0,
	VMBUS_CONNECTION_LOW_RESOURCES = 1,
	VMBUS_CONNECTION_FAILED_UNKNOWN = 2,
};

struct vmbus_msg_version_response {
	struct vmbus_msg_header header;
	uint8_t supported;
	uint8_t connection_state;
	uint16_t padding;
	uint32_t message_connection_id; /* below 5.0: the version */
} _wire_;
WIRE_SIZE(struct vmbus_msg_version_response, 16);
WIRE_OFFSET(struct vmbus_msg_version_response, message_connection_id, 12);

struct vmbus_msg_tl_connect_request {
	struct vmbus_msg_header header;
	uint8_t endpoint_guid[VMBUS_GUID_BYTES];
	uint8_t service_guid[VMBUS_GUID_BYTES];
	/* from 5.2 on: uint8_t silo_guid[VMBUS_GUID_BYTES] */
} _wire_;
WIRE_SIZE(struct vmbus_msg_tl_connect_request, 40);
WIRE_OFFSET(struct vmbus_msg_tl_connect_request, service_guid, 24);

struct vmbus_msg_tl_connect_result {
	struct vmbus_msg_header header;
	uint8_t endpoint_guid[VMBUS_GUID_BYTES];
	uint8_t service_guid[VMBUS_GUID_BYTES];
	uint32_t status;
} _wire_;
WIRE_SIZE(struct vmbus_msg_tl_connect_result, 44);
WIRE_OFFSET(struct vmbus_msg_tl_connect_result, status, 40);

struct vmbus_msg_modify_channel {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t target_vp;
} _wire_;
WIRE_SIZE(struct vmbus_msg_modify_channel, 16);

/* Sent from 5.3 on. */
struct vmbus_msg_modify_response {
	struct vmbus_msg_header header;
	uint32_t relid;
	uint32_t status;
} _wire_;
WIRE_SIZE(struct vmbus_msg_modify_response, 16);

#endif
