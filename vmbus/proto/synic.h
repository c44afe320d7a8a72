/* SPDX-License-Identifier: MIT
 *
 * synic.h - the synthetic interrupt controller of a VP: its MSRs, its message page and its event
 * flags page, and the synthetic timers that use them.
 *
 * A message slot belongs to the host while its type is HV_MESSAGE_NONE and to the guest otherwise:
 * the host fills the slot and writes the type last; the guest copies the message, clears the type
 * and, if HV_MESSAGE_PENDING was set, writes EOM so that the host looks at its queue again.
 *
 * Source: TLFS 6.0b, inter-partition-communication and timers.
 */
#ifndef VIADUCT_VMBUS_PROTO_SYNIC_H
#define VIADUCT_VMBUS_PROTO_SYNIC_H

#include "vmbus/proto/hypercall.h"

#define HV_MSR_SCONTROL       0x40000080U
#define HV_MSR_SVERSION       0x40000081U
#define HV_MSR_SIEFP          0x40000082U
#define HV_MSR_SIMP           0x40000083U
#define HV_MSR_EOM            0x40000084U
#define HV_MSR_SINT0          0x40000090U /* SINT0..SINT15 are consecutive */
#define HV_MSR_STIMER0_CONFIG 0x400000b0U /* config, count, config, count ... of four timers */
#define HV_MSR_STIMER0_COUNT  0x400000b1U

#define HV_N_SINTS   16
#define HV_N_STIMERS 4

#define HV_SCONTROL_ENABLE (1ULL << 0)
#define HV_SYNIC_VERSION   1

#define HV_SINT_VECTOR_MASK 0xffULL
#define HV_SINT_MASKED      (1ULL << 16)
#define HV_SINT_AUTO_EOI    (1ULL << 17)
#define HV_SINT_POLLING     (1ULL << 18)
#define HV_SINT_RESET_VALUE HV_SINT_MASKED
#define HV_SINT_MIN_VECTOR  16

#define HV_STIMER_ENABLE       (1ULL << 0)
#define HV_STIMER_PERIODIC     (1ULL << 1)
#define HV_STIMER_LAZY         (1ULL << 2)
#define HV_STIMER_AUTO_ENABLE  (1ULL << 3)
#define HV_STIMER_VECTOR_SHIFT 4 /* eight bits, direct mode */
#define HV_STIMER_DIRECT       (1ULL << 12)
#define HV_STIMER_SINT_SHIFT   16 /* four bits, message mode */

enum hv_message_type {
	HV_MESSAGE_NONE = 0,
	HV_MESSAGE_VMBUS = 1,
};
/* Too large for an enumerator of a standard enum. */
#define HV_MESSAGE_TIMER_EXPIRED 0x80000010U

#define HV_MESSAGE_PENDING (1U << 0)

struct hv_message {
	uint32_t type;
	uint8_t payload_bytes;
	uint8_t flags;
	uint16_t reserved;
	uint64_t sender;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX_BYTES];
} _wire_;
WIRE_SIZE(struct hv_message, 256);
WIRE_OFFSET(struct hv_message, flags, 5);
WIRE_OFFSET(struct hv_message, sender, 8);
WIRE_OFFSET(struct hv_message, payload, 16);

struct hv_message_page {
	struct hv_message slots[HV_N_SINTS]; /* one a SINT */
} _wire_;
WIRE_SIZE(struct hv_message_page, 4096);

#define HV_EVENT_FLAGS_PER_SINT 2048

/* Bits are set and cleared by atomic operations on 64-bit words. */
struct hv_event_flags_page {
	uint64_t flags[HV_N_SINTS][HV_EVENT_FLAGS_PER_SINT / 64];
} _wire_;
WIRE_SIZE(struct hv_event_flags_page, 4096);

struct hv_timer_message {
	uint32_t timer_index;
	uint32_t reserved;
	uint64_t expiration_time; /* 100 ns */
	uint64_t delivery_time;
} _wire_;
WIRE_SIZE(struct hv_timer_message, 24);
WIRE_OFFSET(struct hv_timer_message, expiration_time, 8);

#endif
