/* SPDX-License-Identifier: MIT
 *
 * hypercall.h - the part of the hypervisor interface that every guest of the bus touches: feature
 * discovery, the partition's MSRs, hypercall codes, their statuses and the inputs of the two calls
 * that VMBus is made of.
 *
 * Source: TLFS 6.0b (feature-discovery, hypercall-interface, inter-partition-communication); linux
 * include/asm-generic/hyperv-tlfs.h.
 */
#ifndef VIADUCT_VMBUS_PROTO_HYPERCALL_H
#define VIADUCT_VMBUS_PROTO_HYPERCALL_H

#include "vmbus/proto/wire.h"

/* Feature discovery. */
#define HV_CPUID_MAX_LEAF       0x40000000U /* EAX highest leaf; EBX, ECX, EDX "Microsoft Hv" */
#define HV_CPUID_INTERFACE      0x40000001U /* EAX "Hv#1" */
#define HV_CPUID_VERSION        0x40000002U
#define HV_CPUID_FEATURES       0x40000003U
#define HV_CPUID_ENLIGHTENMENTS 0x40000004U
#define HV_CPUID_LIMITS         0x40000005U

#define HV_CPUID_VENDOR_EBX    0x7263694dU /* "Micr" */
#define HV_CPUID_VENDOR_ECX    0x666f736fU /* "osof" */
#define HV_CPUID_VENDOR_EDX    0x76482074U /* "t Hv" */
#define HV_CPUID_INTERFACE_EAX 0x31237648U /* "Hv#1" */

/* HV_CPUID_FEATURES.EAX: access to MSRs and hypercalls. */
#define HV_ACCESS_VP_RUNTIME     (1U << 0)
#define HV_ACCESS_TIME_REF_COUNT (1U << 1)
#define HV_ACCESS_SYNIC          (1U << 2)
#define HV_ACCESS_STIMER         (1U << 3)
#define HV_ACCESS_APIC_MSRS      (1U << 4) /* gates VP_ASSIST_PAGE too */
#define HV_ACCESS_HYPERCALL_MSRS (1U << 5)
#define HV_ACCESS_VP_INDEX       (1U << 6)
#define HV_ACCESS_RESET          (1U << 7)
#define HV_ACCESS_REFERENCE_TSC  (1U << 9)
#define HV_ACCESS_FREQUENCY_MSRS (1U << 11)
#define HV_ACCESS_TSC_INVARIANT  (1U << 15)
/* HV_CPUID_FEATURES.EBX */
#define HV_PRIVILEGE_POST_MESSAGES (1U << 4)
#define HV_PRIVILEGE_SIGNAL_EVENTS (1U << 5)
/* HV_CPUID_FEATURES.EDX */
#define HV_FEATURE_FREQUENCY_MSRS (1U << 8)
#define HV_FEATURE_CRASH_MSRS     (1U << 10)
#define HV_FEATURE_STIMER_DIRECT  (1U << 19)
/* HV_CPUID_ENLIGHTENMENTS.EAX */
#define HV_HINT_RELAXED_TIMING    (1U << 5)
#define HV_HINT_DEPRECATE_AUTOEOI (1U << 9)

/* MSRs of the partition and of VPs; those of the SynIC and its timers are in synic.h. */
#define HV_MSR_GUEST_OS_ID           0x40000000U
#define HV_MSR_HYPERCALL             0x40000001U
#define HV_MSR_VP_INDEX              0x40000002U
#define HV_MSR_RESET                 0x40000003U
#define HV_MSR_VP_RUNTIME            0x40000010U
#define HV_MSR_TIME_REF_COUNT        0x40000020U
#define HV_MSR_REFERENCE_TSC         0x40000021U
#define HV_MSR_TSC_FREQUENCY         0x40000022U
#define HV_MSR_APIC_FREQUENCY        0x40000023U
#define HV_MSR_EOI                   0x40000070U
#define HV_MSR_ICR                   0x40000071U
#define HV_MSR_TPR                   0x40000072U
#define HV_MSR_VP_ASSIST_PAGE        0x40000073U
#define HV_MSR_CRASH_P0              0x40000100U /* P0..P4 are consecutive */
#define HV_MSR_CRASH_CTL             0x40000105U
#define HV_MSR_TSC_INVARIANT_CONTROL 0x40000118U

#define HV_MSR_PAGE_ENABLE       (1ULL << 0) /* HYPERCALL, REFERENCE_TSC, VP_ASSIST, SIMP, SIEFP */
#define HV_MSR_PAGE_PFN_SHIFT    12
#define HV_MSR_HYPERCALL_LOCKED  (1ULL << 1)
#define HV_MSR_CRASH_CTL_NOTIFY  (1ULL << 63)
#define HV_MSR_CRASH_CTL_MESSAGE (1ULL << 62)

/* Input control word. */
#define HV_HYPERCALL_CODE_MASK 0xffffULL
#define HV_HYPERCALL_FAST      (1ULL << 16)

enum hv_hypercall {
	HV_CALL_NOTIFY_LONG_SPIN_WAIT = 0x08,
	HV_CALL_POST_MESSAGE = 0x5c,
	HV_CALL_SIGNAL_EVENT = 0x5d,
};

/* Statuses, TLFS appendix B. */
enum hv_status {
	HV_STATUS_SUCCESS = 0,
	HV_STATUS_INVALID_HYPERCALL_CODE = 0x02,
	HV_STATUS_INVALID_HYPERCALL_INPUT = 0x03,
	HV_STATUS_INVALID_ALIGNMENT = 0x04,
	HV_STATUS_INVALID_PARAMETER = 0x05,
	HV_STATUS_ACCESS_DENIED = 0x06,
	HV_STATUS_OPERATION_DENIED = 0x08,
	HV_STATUS_INSUFFICIENT_MEMORY = 0x0b,
	HV_STATUS_INVALID_VP_INDEX = 0x0e,
	HV_STATUS_INVALID_PORT_ID = 0x11,
	HV_STATUS_INVALID_CONNECTION_ID = 0x12,
	HV_STATUS_INSUFFICIENT_BUFFERS = 0x13,
	HV_STATUS_INVALID_SYNIC_STATE = 0x18,
	HV_STATUS_OBJECT_IN_USE = 0x19,
};

#define HV_MESSAGE_PAYLOAD_MAX_BYTES 240

/* HV_CALL_POST_MESSAGE; 8-byte aligned, inside one page. */
struct hv_post_message_input {
	uint32_t connection_id;
	uint32_t reserved;
	uint32_t message_type;
	uint32_t payload_bytes;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX_BYTES];
} _wire_;
WIRE_SIZE(struct hv_post_message_input, 256);
WIRE_OFFSET(struct hv_post_message_input, message_type, 8);
WIRE_OFFSET(struct hv_post_message_input, payload, 16);

/* HV_CALL_SIGNAL_EVENT; the fast form carries these eight bytes in a register. */
struct hv_signal_event_input {
	uint32_t connection_id; /* low 24 bits */
	uint16_t flag_number;
	uint16_t reserved;
} _wire_;
WIRE_SIZE(struct hv_signal_event_input, 8);
WIRE_OFFSET(struct hv_signal_event_input, flag_number, 4);

#define HV_CONNECTION_ID_MASK 0xffffffU

/* Page behind HV_MSR_REFERENCE_TSC: time in 100 ns = ((tsc * scale) >> 64) + offset. A sequence of
 * 0 says: use HV_MSR_TIME_REF_COUNT. */
struct hv_reference_tsc_page {
	uint32_t sequence;
	uint32_t reserved;
	uint64_t scale;
	int64_t offset;
} _wire_;
WIRE_SIZE(struct hv_reference_tsc_page, 24);
WIRE_OFFSET(struct hv_reference_tsc_page, scale, 8);
WIRE_OFFSET(struct hv_reference_tsc_page, offset, 16);

#endif
