/* SPDX-License-Identifier: MIT
 *
 * ic.h - messages of the integration services: the frame they share, negotiation, heartbeat,
 * shutdown and time synchronisation. Each message stands behind a pipe header, in an inband packet
 * without a completion; the host asks, the guest sends the same message back with its answer in it.
 *
 * Negotiation: the host offers versions of the frame and then of the service; the guest answers
 * with counts of one (or zero: none suits it) and the two it chose.
 *
 * Source: linux include/linux/hyperv.h, drivers/hv/{channel_mgmt,hv_util}.c.
 *
 * Freestanding: shared by the host's VSPs and by guests without a C library.
 */
#ifndef VIADUCT_VMBUS_PROTO_IC_H
#define VIADUCT_VMBUS_PROTO_IC_H

#include "vmbus/proto/pipe.h"

enum ic_message_type {
	IC_MESSAGE_NEGOTIATE = 0,
	IC_MESSAGE_HEARTBEAT = 1,
	IC_MESSAGE_KVP = 2,
	IC_MESSAGE_SHUTDOWN = 3,
	IC_MESSAGE_TIMESYNC = 4,
	IC_MESSAGE_VSS = 5,
};

#define IC_FLAG_TRANSACTION 1U
#define IC_FLAG_REQUEST     2U
#define IC_FLAG_RESPONSE    4U

#define IC_STATUS_OK      0x00000000U
#define IC_STATUS_FAIL    0x80004005U
#define IC_STATUS_NO_MORE 0x80070103U /* KVP: the end of an enumeration */

struct ic_version {
	uint16_t major, minor;
} _wire_;

struct ic_header {
	struct ic_version frame_version;
	uint16_t type;
	struct ic_version message_version;
	uint16_t body_bytes;
	uint32_t status;
	uint8_t transaction_id;
	uint8_t flags;
	uint16_t reserved;
} _wire_;
WIRE_SIZE(struct ic_header, 20);
WIRE_OFFSET(struct ic_header, type, 4);
WIRE_OFFSET(struct ic_header, body_bytes, 10);
WIRE_OFFSET(struct ic_header, transaction_id, 16);

/* Before the body. */
#define IC_FRAME_BYTES (sizeof(struct pipe_header) + sizeof(struct ic_header))

struct ic_negotiate {
	uint16_t n_frame_versions;
	uint16_t n_message_versions;
	uint32_t reserved;
	/* Of the frame, then of the messages. */
	struct ic_version versions[];
} _wire_;
WIRE_SIZE(struct ic_negotiate, 8);

struct ic_heartbeat_body {
	uint64_t sequence; /* comes back with one added */
	uint8_t reserved[32];
} _wire_;
WIRE_SIZE(struct ic_heartbeat_body, 40);

#define IC_SHUTDOWN_FORCE          1U
#define IC_SHUTDOWN_RESTART        2U
#define IC_SHUTDOWN_HIBERNATE      4U
#define IC_SHUTDOWN_REASON_PLANNED 0x80000000U
#define IC_SHUTDOWN_TEXT_UNITS     1024U

struct ic_shutdown_body {
	uint32_t reason;
	uint32_t timeout_s;
	uint32_t flags;
	uint16_t text[IC_SHUTDOWN_TEXT_UNITS]; /* always whole: guests insist on the full length */
} _wire_;
WIRE_SIZE(struct ic_shutdown_body, 2060);

#define IC_TIMESYNC_SYNC   1U /* set the clock */
#define IC_TIMESYNC_SAMPLE 2U /* know what time it is here */

/* From version 4.0. Times are in units of 100 ns. */
struct ic_timesync_reference_body {
	uint64_t wall_clock; /* since 1601 */
	uint64_t reference;  /* the partition's reference time at that moment */
	uint8_t flags;
	uint8_t leap;
	uint8_t stratum;
	uint8_t reserved[3];
} _wire_;
WIRE_SIZE(struct ic_timesync_reference_body, 22);

struct ic_timesync_body {
	uint64_t wall_clock;
	uint64_t child;
	uint64_t round_trip;
	uint8_t flags;
} _wire_;
WIRE_SIZE(struct ic_timesync_body, 25);

#endif
