/* SPDX-License-Identifier: MIT
 *
 * lapic_timer.c - the local APICs' timers stand still while the partition is stopped, as its
 * reference time does (hv_time.h). KVM's go on counting; a timer that fired early by the guest's
 * clock would wake a guest that then finds nothing due and sleeps for good.
 */
#include "node/hv/internal.h"

#include <string.h>

#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390

static uint32_t lapic_read(const struct kvm_lapic_state *lapic, size_t at)
{
	uint32_t value;

	memcpy(&value, lapic->regs + at, sizeof(value));
	return value;
}

void lapic_timer_freeze(const struct vp *vp, struct kvm_lapic_state *lapic)
{
	memcpy(lapic->regs + LAPIC_TIMER_CURRENT, &vp->timer_remaining, sizeof(uint32_t));
}

void lapic_timer_note(struct vp *vp, const struct kvm_lapic_state *lapic)
{
	vp->timer_remaining =
		lapic_read(lapic, LAPIC_TIMER_INITIAL) ? lapic_read(lapic, LAPIC_TIMER_CURRENT) : 0;
}

int lapic_timers_stop(struct partition *partition)
{
	struct kvm_lapic_state lapic;

	for (unsigned i = 0; i < partition->n_vps; i++) {
		int r = kvm_call(partition->vps[i].fd, KVM_GET_LAPIC, &lapic);

		if (r < 0)
			return r;
		lapic_timer_note(&partition->vps[i], &lapic);
	}
	return 0;
}

/* The rest of the local APIC is written back as it was read: this comes before any device runs that
 * could raise an interrupt in between. A timer that was not counting, or had fired already, is left
 * to KVM. */
int lapic_timers_start(struct partition *partition)
{
	struct kvm_lapic_state lapic;

	for (unsigned i = 0; i < partition->n_vps; i++) {
		struct vp *vp = &partition->vps[i];
		int r;

		if (!vp->timer_remaining)
			continue;
		r = kvm_call(vp->fd, KVM_GET_LAPIC, &lapic);
		if (r >= 0) {
			lapic_timer_freeze(vp, &lapic);
			r = kvm_call(vp->fd, KVM_SET_LAPIC, &lapic);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
