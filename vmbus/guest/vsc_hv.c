/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/vsc_hv.h"
#include "vmbus/guest/clock.h"
#include "vmbus/guest/cpu.h"
#include "vmbus/proto/viaduct_cpuid.h"

/* Open-source guest, vendor and version of our own choosing. */
#define GUEST_OS_ID (1ULL << 63 | 0x56ULL << 56 | 1)

#define REFERENCE_TSC_INVALID 0
#define NS_PER_REFERENCE_TICK 100

struct page {
	uint8_t bytes[VMBUS_PAGE_BYTES];
} __attribute__((aligned(4096)));

/* start.S calls it. */
struct page hypercall_page;

static struct hv_message_page message_page __attribute__((aligned(4096)));
static struct hv_event_flags_page event_page __attribute__((aligned(4096)));
static union {
	volatile struct hv_reference_tsc_page tsc;
	struct page page;
} reference __attribute__((aligned(4096)));
static struct hv_post_message_input post_input __attribute__((aligned(256)));

static struct cpuid_leaf features;
static bool present;
static uint16_t doorbell_port; /* 0: none */

static void find_doorbell(void)
{
	struct cpuid_leaf leaf = cpu_id(VIADUCT_CPUID_SIGNATURE);

	if (leaf.ebx == VIADUCT_CPUID_SIGNATURE_EBX && leaf.ecx == VIADUCT_CPUID_SIGNATURE_ECX &&
		leaf.edx == VIADUCT_CPUID_SIGNATURE_EDX && leaf.eax >= VIADUCT_CPUID_DOORBELL)
		doorbell_port = (uint16_t)cpu_id(VIADUCT_CPUID_DOORBELL).eax;
}

static bool find_interface(void)
{
	const uint32_t access = HV_ACCESS_SYNIC | HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX;
	const uint32_t privileges = HV_PRIVILEGE_POST_MESSAGES | HV_PRIVILEGE_SIGNAL_EVENTS;
	struct cpuid_leaf leaf = cpu_id(1);

	if (!(leaf.ecx >> 31))
		return false;
	leaf = cpu_id(HV_CPUID_MAX_LEAF);
	if (leaf.ebx != HV_CPUID_VENDOR_EBX || leaf.ecx != HV_CPUID_VENDOR_ECX ||
		leaf.edx != HV_CPUID_VENDOR_EDX || leaf.eax < HV_CPUID_LIMITS ||
		cpu_id(HV_CPUID_INTERFACE).eax != HV_CPUID_INTERFACE_EAX)
		return false;
	features = cpu_id(HV_CPUID_FEATURES);
	return (features.eax & access) == access && (features.ebx & privileges) == privileges;
}

static uint64_t page_msr(const void *page)
{
	return (uintptr_t)page | HV_MSR_PAGE_ENABLE;
}

bool vsc_hv_init(void)
{
	present = find_interface();
	if (!present)
		return false;
	find_doorbell();
	cpu_wrmsr(HV_MSR_GUEST_OS_ID, GUEST_OS_ID);
	cpu_wrmsr(HV_MSR_HYPERCALL, page_msr(&hypercall_page));
	if (features.eax & HV_ACCESS_REFERENCE_TSC)
		cpu_wrmsr(HV_MSR_REFERENCE_TSC, page_msr(&reference));
	cpu_wrmsr(HV_MSR_SIMP, page_msr(&message_page));
	cpu_wrmsr(HV_MSR_SIEFP, page_msr(&event_page));
	cpu_wrmsr(HV_MSR_SINT0 + VMBUS_SINT, VECTOR_SINT);
	cpu_wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	return true;
}

bool vsc_hv_has_crash_msrs(void)
{
	return present && features.edx & HV_FEATURE_CRASH_MSRS;
}

void vsc_hv_frequencies(uint64_t *ret_tsc_hz, uint64_t *ret_apic_hz)
{
	if (!present || !(features.eax & HV_ACCESS_FREQUENCY_MSRS) ||
		!(features.edx & HV_FEATURE_FREQUENCY_MSRS))
		return;
	*ret_tsc_hz = cpu_rdmsr(HV_MSR_TSC_FREQUENCY);
	*ret_apic_hz = cpu_rdmsr(HV_MSR_APIC_FREQUENCY);
}

bool vsc_hv_reference_ns(uint64_t *ret_ns)
{
	uint32_t sequence;
	uint64_t time;

	/* The host rewrites the page when the partition resumes elsewhere. */
	do {
		sequence = reference.tsc.sequence;
		if (sequence == REFERENCE_TSC_INVALID)
			return false;
		time = (uint64_t)((unsigned __int128)cpu_tsc() * reference.tsc.scale >> 64) +
		       (uint64_t)reference.tsc.offset;
	} while (reference.tsc.sequence != sequence);
	*ret_ns = time * NS_PER_REFERENCE_TICK;
	return true;
}

/* --- vsc_host_ops --- */

static uint16_t post_message(
	void *host, uint32_t connection_id, const void *payload, size_t size_bytes)
{
	(void)host;
	post_input = (struct hv_post_message_input){
		.connection_id = connection_id,
		.message_type = HV_MESSAGE_VMBUS,
		.payload_bytes = (uint32_t)size_bytes,
	};
	memcpy(post_input.payload, payload, size_bytes);
	return (uint16_t)cpu_hypercall(HV_CALL_POST_MESSAGE, (uintptr_t)&post_input, 0);
}

static void signal_event(void *host, uint32_t connection_id)
{
	(void)host;
	if (doorbell_port) {
		uint64_t status = 0;

		__asm__ volatile("outl %1, %2"
				 : "+c"(status)
				 : "a"(connection_id), "d"(doorbell_port)
				 : "memory");
		return;
	}
	cpu_hypercall(HV_CALL_SIGNAL_EVENT | HV_HYPERCALL_FAST, connection_id, 0);
}

static bool take_message(void *host, struct hv_message *ret_message)
{
	struct hv_message *slot = &message_page.slots[VMBUS_SINT];
	uint8_t *bytes = (uint8_t *)slot;
	uint32_t *type = (uint32_t *)(bytes + offsetof(struct hv_message, type));
	uint8_t *flags = bytes + offsetof(struct hv_message, flags);

	(void)host;
	if (__atomic_load_n(type, __ATOMIC_ACQUIRE) == HV_MESSAGE_NONE)
		return false;
	memcpy(ret_message, slot, sizeof(*ret_message));
	/* The host marks the slot pending before it looks at the type once more. */
	__atomic_store_n(type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(flags, __ATOMIC_ACQUIRE) & HV_MESSAGE_PENDING)
		cpu_wrmsr(HV_MSR_EOM, 0);
	return true;
}

static bool take_event(void *host, uint32_t relid)
{
	uint8_t *bytes = (uint8_t *)&event_page;
	uint64_t *word = (uint64_t *)(bytes + offsetof(struct hv_event_flags_page, flags) +
				      VMBUS_SINT * sizeof(event_page.flags[0])) +
			 relid / 64;
	uint64_t bit = 1ULL << relid % 64;

	(void)host;
	if (!(__atomic_load_n(word, __ATOMIC_ACQUIRE) & bit))
		return false;
	return __atomic_fetch_and(word, ~bit, __ATOMIC_ACQ_REL) & bit;
}

/* Waits are short and rare: set-up only. The host works meanwhile, on this CPU as like as not. */
#define WAIT_NS (200 * NS_PER_US)

static void wait(void *host)
{
	uint64_t seen = irq_count, now_ns = clock_ns();

	(void)host;
	clock_wake_at(now_ns, now_ns + WAIT_NS);
	cpu_idle(seen);
}

static uint64_t now_ns(void *host)
{
	(void)host;
	return clock_ns();
}

const struct vsc_host_ops vsc_hv_ops = {
	.post_message = post_message,
	.signal = signal_event,
	.take_message = take_message,
	.take_event = take_event,
	.wait = wait,
	.now_ns = now_ns,
};
