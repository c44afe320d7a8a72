/* SPDX-License-Identifier: MIT
 *
 * clock.h - time and the timer interrupt.
 *
 * The time is the hypervisor's reference time where its page is offered (it stays right when the
 * partition moves to a host with another TSC), otherwise the scaled TSC. It never goes backwards.
 */
#ifndef VIADUCT_VMBUS_GUEST_CLOCK_H
#define VIADUCT_VMBUS_GUEST_CLOCK_H

#include "vmbus/guest/mem.h"

/* After vsc_hv_init(). tsc_khz 0: ask the hypervisor, or measure against the local APIC's timer. */
void clock_init(uint64_t tsc_khz);
uint64_t clock_ns(void);
uint64_t clock_tsc_khz(void);
uint64_t clock_tsc_to_us(uint64_t tsc);

/* Have irq_count change not later than `deadline_ns` (NEVER_NS: leave the timer alone). */
void clock_wake_at(uint64_t now_ns, uint64_t deadline_ns);

#endif
