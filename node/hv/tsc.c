/* SPDX-License-Identifier: MIT
 *
 * tsc.c - the guest's time-stamp counter over a stop.
 *
 * On hardware the guest's TSC is the host's plus an offset per VP. While the partition is stopped
 * its TSCs stand still: the offsets are moved at start, by the same amount for all VPs, on this
 * host or another.
 *
 * A KVM without hardware support runs ring 3 directly on the host's TSC and ignores the offset
 * there; it starts VPs with an offset of 0 and cannot scale. There the offset must stay 0, or ring
 * 0 and ring 3 would disagree; the TSC runs on while the partition stands, and jumps when it moves
 * to another host. The reference TSC page hides both.
 */
#include "node/hv/internal.h"

static int offset_call(const struct vp *vp, unsigned long request, int64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return kvm_call(vp->fd, request, &attr);
}

int tsc_init(struct partition *partition)
{
	int khz = kvm_call(partition->vps[0].fd, KVM_GET_TSC_KHZ, NULL);
	int64_t offset;
	int r;

	if (khz <= 0)
		return khz < 0 ? khz : -ENOTSUP;
	r = offset_call(&partition->vps[0], KVM_GET_DEVICE_ATTR, &offset);
	if (r < 0)
		return r;
	partition->tsc_khz = (uint64_t)khz;
	partition->tsc_is_raw = !partition->caps.has_tsc_control && offset == 0;
	return 0;
}

int tsc_start(struct partition *partition)
{
	uint64_t host_tsc = hv_time_host_tsc();
	int64_t first_offset = 0;

	for (unsigned i = 0; !partition->tsc_is_raw && i < partition->n_vps; i++) {
		int64_t offset = (int64_t)(partition->guest_tsc[i] - host_tsc);
		int r = offset_call(&partition->vps[i], KVM_SET_DEVICE_ATTR, &offset);

		if (r < 0)
			return r;
		if (i == 0)
			first_offset = offset;
	}
	hv_start_time(partition->hv, first_offset, host_tsc);
	return 0;
}

int tsc_stop(struct partition *partition)
{
	uint64_t host_tsc = hv_time_host_tsc();

	hv_stop_time(partition->hv, host_tsc);
	for (unsigned i = 0; i < partition->n_vps; i++) {
		int64_t offset = 0;
		int r = 0;

		/* Asked anew: the guest may have written its TSC. */
		if (!partition->tsc_is_raw)
			r = offset_call(&partition->vps[i], KVM_GET_DEVICE_ATTR, &offset);
		if (r < 0)
			return r;
		partition->guest_tsc[i] = host_tsc + (uint64_t)offset;
	}
	return 0;
}
