/* SPDX-License-Identifier: MIT
 *
 * ring.h - the two rings of a channel as they lie in guest memory, and the packets in them.
 *
 * One GPADL holds both rings: guest to host first, host to guest from the downstream page offset
 * on. Each is a control page followed by data. Indices are byte offsets into the data, multiples of
 * 8; the ring is empty when they are equal and is never filled completely.
 *
 * A packet is a descriptor, optionally a range list, the payload at offset8 * 8, padding to 8 bytes
 * and a trailer that is not counted in length8.
 *
 * Source: linux include/linux/hyperv.h, drivers/hv/ring_buffer.c; openvmm vmbus_ring.
 */
#ifndef VIADUCT_VMBUS_PROTO_RING_H
#define VIADUCT_VMBUS_PROTO_RING_H

#include "vmbus/proto/wire.h"

#define VMBUS_PAGE_BYTES 4096U

#define VMBUS_RING_FEATURE_PENDING_SEND_SIZE (1U << 0)

struct vmbus_ring_control {
	uint32_t write_index;        /* producer's */
	uint32_t read_index;         /* consumer's */
	uint32_t interrupt_mask;     /* consumer's; 1: do not signal new data */
	uint32_t pending_send_bytes; /* producer's; signal when more than this is free */
	uint32_t reserved0[12];
	uint32_t feature_bits; /* guest's, in both rings */
	uint8_t reserved1[4096 - 68];
} _wire_;
WIRE_SIZE(struct vmbus_ring_control, 4096);
WIRE_OFFSET(struct vmbus_ring_control, read_index, 4);
WIRE_OFFSET(struct vmbus_ring_control, interrupt_mask, 8);
WIRE_OFFSET(struct vmbus_ring_control, pending_send_bytes, 12);
WIRE_OFFSET(struct vmbus_ring_control, feature_bits, 64);

enum vmbus_packet_type {
	VMBUS_PACKET_INBAND = 6,
	VMBUS_PACKET_TRANSFER_PAGES = 7,
	VMBUS_PACKET_GPA_DIRECT = 9,
	VMBUS_PACKET_COMPLETION = 11,
};

#define VMBUS_PACKET_FLAG_COMPLETION_REQUESTED (1U << 0)

struct vmbus_packet_descriptor {
	uint16_t type;
	uint16_t offset8; /* of the payload, in units of 8 bytes from here */
	uint16_t length8; /* of the whole packet without the trailer */
	uint16_t flags;
	uint64_t transaction_id;
} _wire_;
WIRE_SIZE(struct vmbus_packet_descriptor, 16);
WIRE_OFFSET(struct vmbus_packet_descriptor, length8, 4);
WIRE_OFFSET(struct vmbus_packet_descriptor, transaction_id, 8);

/* After the descriptor of VMBUS_PACKET_GPA_DIRECT; then range_count ranges. */
struct vmbus_gpa_direct_header {
	uint32_t reserved;
	uint32_t range_count;
} _wire_;
WIRE_SIZE(struct vmbus_gpa_direct_header, 8);

/* Followed by ceil((byte_offset + byte_count) / 4096) PFNs, u64 each. GPADL_HEADER uses it too. */
struct vmbus_gpa_range {
	uint32_t byte_count;
	uint32_t byte_offset;
} _wire_;
WIRE_SIZE(struct vmbus_gpa_range, 8);

/* After the descriptor of VMBUS_PACKET_TRANSFER_PAGES; then range_count ranges into the page set.
 */
struct vmbus_transfer_header {
	uint16_t pageset_id;
	uint8_t sender_owns_set;
	uint8_t reserved;
	uint32_t range_count;
} _wire_;
WIRE_SIZE(struct vmbus_transfer_header, 8);
WIRE_OFFSET(struct vmbus_transfer_header, range_count, 4);

struct vmbus_transfer_range {
	uint32_t byte_count;
	uint32_t byte_offset;
} _wire_;
WIRE_SIZE(struct vmbus_transfer_range, 8);

struct vmbus_packet_trailer {
	uint32_t reserved;
	uint32_t start_index; /* write index before the packet */
} _wire_;
WIRE_SIZE(struct vmbus_packet_trailer, 8);

/* Framing inside payloads of pipe-mode channels: integration services, mouse, video, sockets. */
struct vmbus_pipe_header {
	uint32_t type; /* 1 data, 2 partial */
	uint32_t size_bytes;
} _wire_;
WIRE_SIZE(struct vmbus_pipe_header, 8);

#endif
