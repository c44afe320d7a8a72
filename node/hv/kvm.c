/* SPDX-License-Identifier: MIT
 *
 * kvm.c - the capabilities a partition stands on, as a table. All are in Linux 5.16 and later, on
 * hardware and on kernels that virtualise without it.
 */
#include "node/hv/kvm.h"

struct requirement {
	uint32_t capability;
	int bits; /* that its value must have; 0: any value above 0 */
	const char *name;
};

#define NEEDED(capability)                                                                         \
	{                                                                                          \
		capability, 0, #capability                                                         \
	}
#define NEEDED_BITS(capability, bits)                                                              \
	{                                                                                          \
		capability, bits, #capability " (" #bits ")"                                       \
	}

static const struct requirement requirements[] = {
	NEEDED(KVM_CAP_USER_MEMORY),
	NEEDED(KVM_CAP_IRQCHIP),
	NEEDED(KVM_CAP_EXT_CPUID),
	NEEDED(KVM_CAP_MP_STATE),
	NEEDED(KVM_CAP_XSAVE),
	NEEDED(KVM_CAP_VCPU_EVENTS),
	NEEDED(KVM_CAP_DEBUGREGS),
	NEEDED(KVM_CAP_GET_TSC_KHZ),
	NEEDED(KVM_CAP_SIGNAL_MSI),
	NEEDED(KVM_CAP_IOEVENTFD),
	NEEDED(KVM_CAP_IMMEDIATE_EXIT),
	NEEDED(KVM_CAP_X86_USER_SPACE_MSR),
	NEEDED(KVM_CAP_X86_MSR_FILTER),
	NEEDED(KVM_CAP_ENFORCE_PV_FEATURE_CPUID),
	NEEDED(KVM_CAP_VCPU_ATTRIBUTES),
	NEEDED_BITS(KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS),
	NEEDED_BITS(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET),
};

static int capability_value(int kvm_fd, uint32_t capability)
{
	int value = kvm_call_number(kvm_fd, KVM_CHECK_EXTENSION, capability);

	return value < 0 ? 0 : value;
}

int kvm_check(int kvm_fd, struct kvm_caps *ret_caps, const char **ret_missing)
{
	struct kvm_caps caps = {0};
	int run_bytes = kvm_call(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);

	*ret_missing = "a KVM device with API version 12";
	if (kvm_call(kvm_fd, KVM_GET_API_VERSION, NULL) != KVM_API_VERSION ||
		run_bytes < (int)sizeof(struct kvm_run))
		return -ENOTSUP;
	for (size_t i = 0; i < ARRAY_LEN(requirements); i++) {
		const struct requirement *need = &requirements[i];
		int value = capability_value(kvm_fd, need->capability);

		*ret_missing = need->name;
		if (value <= 0 || (value & need->bits) != need->bits)
			return -ENOTSUP;
	}
	caps.run_bytes = (size_t)run_bytes;
	caps.xsave_bytes =
		MAX((size_t)capability_value(kvm_fd, KVM_CAP_XSAVE2), sizeof(struct kvm_xsave));
	caps.max_vps = (unsigned)capability_value(kvm_fd, KVM_CAP_MAX_VCPUS);
	caps.has_xcrs = capability_value(kvm_fd, KVM_CAP_XCRS);
	caps.has_tsc_control = capability_value(kvm_fd, KVM_CAP_TSC_CONTROL);
	caps.can_disable_pmu =
		capability_value(kvm_fd, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE;
	*ret_caps = caps;
	*ret_missing = NULL;
	return 0;
}

int kvm_enable(int fd, uint32_t capability, uint64_t argument)
{
	struct kvm_enable_cap enable = {.cap = capability, .args = {argument}};

	return kvm_call(fd, KVM_ENABLE_CAP, &enable);
}
