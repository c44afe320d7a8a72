/* SPDX-License-Identifier: MIT */
#include "node/hv/hv_cpuid.h"

#include "node/hv/partition.h"
#include "vmbus/proto/hypercall.h"
#include "vmbus/proto/viaduct_cpuid.h"

/* The highest leaf; those above HV_CPUID_LIMITS up to here exist and say nothing. */
#define HV_CPUID_HIGHEST 0x40000006U

/* What the version leaf says to people; part of a migrating guest's CPUID, so changed only with
 * care. */
#define VERSION_BUILD      20348
#define VERSION_MAJOR_10_0 (10U << 16)

#define NEVER_NOTIFY_LONG_SPINS 0xffffffffU

/* Offered is what is implemented. Not timers: a guest has its local APIC's. Not the APIC MSRs, nor
 * remote TLB flushes and IPIs by hypercall: the hardware's own way is shorter. Not an invariant
 * TSC: a migration may change its rate, which the reference TSC page hides and the TSC itself
 * cannot. */
#define ACCESS                                                                                     \
	(HV_ACCESS_VP_RUNTIME | HV_ACCESS_TIME_REF_COUNT | HV_ACCESS_SYNIC |                       \
		HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX | HV_ACCESS_RESET |                  \
		HV_ACCESS_REFERENCE_TSC | HV_ACCESS_FREQUENCY_MSRS)
#define PRIVILEGES (HV_PRIVILEGE_POST_MESSAGES | HV_PRIVILEGE_SIGNAL_EVENTS)
#define FEATURES   (HV_FEATURE_FREQUENCY_MSRS | HV_FEATURE_CRASH_MSRS)
#define HINTS      (HV_HINT_RELAXED_TIMING | HV_HINT_DEPRECATE_AUTOEOI)

static const struct hv_cpuid_leaf leaves[] = {
	{HV_CPUID_MAX_LEAF, HV_CPUID_HIGHEST, HV_CPUID_VENDOR_EBX, HV_CPUID_VENDOR_ECX,
		HV_CPUID_VENDOR_EDX},
	{HV_CPUID_INTERFACE, HV_CPUID_INTERFACE_EAX, 0, 0, 0},
	{HV_CPUID_VERSION, VERSION_BUILD, VERSION_MAJOR_10_0, 0, 0},
	{HV_CPUID_FEATURES, ACCESS, PRIVILEGES, 0, FEATURES},
	{HV_CPUID_ENLIGHTENMENTS, HINTS, NEVER_NOTIFY_LONG_SPINS, 0, 0},
	{HV_CPUID_LIMITS, PARTITION_MAX_VPS, PARTITION_MAX_VPS, 0, 0},
	{HV_CPUID_HIGHEST, 0, 0, 0, 0},
	{VIADUCT_CPUID_SIGNATURE, VIADUCT_CPUID_MAX_LEAF, VIADUCT_CPUID_SIGNATURE_EBX,
		VIADUCT_CPUID_SIGNATURE_ECX, VIADUCT_CPUID_SIGNATURE_EDX},
	{VIADUCT_CPUID_DOORBELL, VIADUCT_DOORBELL_PORT, 0, 0, 0},
};

const struct hv_cpuid_leaf *hv_cpuid_leaves(size_t *ret_n_leaves)
{
	*ret_n_leaves = ARRAY_LEN(leaves);
	return leaves;
}
