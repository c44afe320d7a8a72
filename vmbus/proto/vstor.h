/* SPDX-License-Identifier: MIT
 *
 * vstor.h - wire format of the storage protocol: the payload of every VMBus packet of a synthetic
 * SCSI controller, in both directions. Source: drivers/scsi/storvsc_drv.c of Linux 6.1 and
 * FreeBSD's hv_vstorage.h, restated.
 *
 * Guest to host: inband, or GPA direct when data moves; the host completes with VSTOR_COMPLETE_IO
 * and the transaction id it was given. Host to guest unasked: inband, transaction id 0.
 *
 * Freestanding: shared by the host's VSP, tests and guests without a C library.
 */
#ifndef VIADUCT_VMBUS_PROTO_VSTOR_H
#define VIADUCT_VMBUS_PROTO_VSTOR_H

#include "vmbus/proto/wire.h"

/* (major << 8) + minor, in order. */
#define VSTOR_VERSION_20 0x0200U
#define VSTOR_VERSION_42 0x0402U
#define VSTOR_VERSION_51 0x0501U
#define VSTOR_VERSION_60 0x0600U
#define VSTOR_VERSION_62 0x0602U

enum vstor_operation {
	VSTOR_COMPLETE_IO = 1,
	VSTOR_REMOVE_DEVICE = 2, /* host */
	VSTOR_EXECUTE_SRB = 3,
	VSTOR_RESET_LUN = 4,
	VSTOR_RESET_ADAPTER = 5,
	VSTOR_RESET_BUS = 6,
	VSTOR_BEGIN_INIT = 7,
	VSTOR_END_INIT = 8,
	VSTOR_QUERY_VERSION = 9,
	VSTOR_QUERY_PROPERTIES = 10,
	VSTOR_ENUMERATE_BUS = 11, /* host: units came, went or changed */
	VSTOR_FCHBA_DATA = 12,
	VSTOR_CREATE_SUB_CHANNELS = 13, /* from 5.1 on */
	VSTOR_EVENT_NOTIFICATION = 14,
};

#define VSTOR_FLAG_COMPLETION_REQUESTED 0x1U

/* NTSTATUS */
enum vstor_status {
	VSTOR_STATUS_SUCCESS = 0,
	VSTOR_STATUS_INVALID_PARAMETER = 0xc000000dU,
	VSTOR_STATUS_INVALID_DEVICE_REQUEST = 0xc0000010U,
	VSTOR_STATUS_REVISION_MISMATCH = 0xc0000059U,
	VSTOR_STATUS_INVALID_DEVICE_STATE = 0xc0000184U,
};

/* Windows' SRB status: a value, and flags above it. */
enum vstor_srb_status {
	VSTOR_SRB_SUCCESS = 0x01,
	VSTOR_SRB_ABORTED = 0x02,
	VSTOR_SRB_ERROR = 0x04,
	VSTOR_SRB_INVALID_REQUEST = 0x06,
	VSTOR_SRB_DATA_OVERRUN = 0x12,
	VSTOR_SRB_INVALID_LUN = 0x20,
	VSTOR_SRB_QUEUE_FROZEN = 0x40,
	VSTOR_SRB_AUTOSENSE_VALID = 0x80,
};

enum vstor_direction {
	VSTOR_DATA_OUT = 0,
	VSTOR_DATA_IN = 1,
	VSTOR_DATA_NONE = 2,
};

#define VSTOR_CDB_BYTES   16
#define VSTOR_SENSE_BYTES 20

struct vstor_srb {
	uint16_t length;
	uint8_t srb_status;
	uint8_t scsi_status;
	uint8_t port;
	uint8_t path;
	uint8_t target;
	uint8_t lun;
	uint8_t cdb_length;
	uint8_t sense_length;
	uint8_t direction; /* enum vstor_direction */
	uint8_t reserved0;
	uint32_t transfer_bytes;
	union {
		uint8_t cdb[VSTOR_CDB_BYTES];
		uint8_t sense[VSTOR_SENSE_BYTES];
	};
	/* From 5.1 on: */
	uint16_t reserved1;
	uint8_t queue_tag;
	uint8_t queue_action;
	uint32_t srb_flags;
	uint32_t timeout_s;
	uint32_t queue_sort_key;
} _wire_;
WIRE_SIZE(struct vstor_srb, 52);
WIRE_OFFSET(struct vstor_srb, transfer_bytes, 12);
WIRE_OFFSET(struct vstor_srb, cdb, 16);
WIRE_OFFSET(struct vstor_srb, reserved1, 36);
WIRE_OFFSET(struct vstor_srb, queue_sort_key, 48);

struct vstor_version {
	uint16_t version;
	uint16_t revision;
} _wire_;
WIRE_SIZE(struct vstor_version, 4);

#define VSTOR_PROPERTY_MULTI_CHANNEL 0x1U

struct vstor_properties {
	uint32_t reserved0;
	uint16_t max_sub_channels;
	uint16_t reserved1;
	uint32_t flags;
	uint32_t max_transfer_bytes;
	uint64_t reserved2;
} _wire_;
WIRE_SIZE(struct vstor_properties, 24);
WIRE_OFFSET(struct vstor_properties, flags, 8);
WIRE_OFFSET(struct vstor_properties, max_transfer_bytes, 12);

struct vstor_packet {
	uint32_t operation;
	uint32_t flags;
	uint32_t status;
	union {
		struct vstor_version version;
		struct vstor_properties properties;
		uint16_t n_sub_channels;
		struct vstor_srb srb;
		uint8_t bytes[52];
	};
} _wire_;
WIRE_SIZE(struct vstor_packet, 64);
WIRE_OFFSET(struct vstor_packet, status, 8);
WIRE_OFFSET(struct vstor_packet, srb, 12);

#define VSTOR_HEADER_BYTES 12
/* Before 5.1 an SRB, and with it the packet, ends at reserved1. */
#define VSTOR_OLD_PACKET_BYTES 48
WIRE_OFFSET(struct vstor_packet, srb.reserved1, VSTOR_OLD_PACKET_BYTES);

#endif
