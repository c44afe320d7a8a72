/* SPDX-License-Identifier: MIT
 *
 * vsc_hv.h - the hypervisor as a guest on VP 0 sees it: found by CPUID, told who we are, then the
 * hypercall page, the reference TSC page and the SynIC's two pages. Ring 3, one VP.
 */
#ifndef VIADUCT_VMBUS_GUEST_VSC_HV_H
#define VIADUCT_VMBUS_GUEST_VSC_HV_H

#include "vmbus/guest/vsc_bus.h"

/* False: no Hyper-V interface, or not enough of it for VMBus; nothing was touched then. */
bool vsc_hv_init(void);
bool vsc_hv_has_crash_msrs(void);
/* In Hz; leaves what it cannot tell. */
void vsc_hv_frequencies(uint64_t *ret_tsc_hz, uint64_t *ret_apic_hz);
/* False: no reference TSC page. */
bool vsc_hv_reference_ns(uint64_t *ret_ns);

/* For vsc_bus_connect(); the host argument is not used. */
extern const struct vsc_host_ops vsc_hv_ops;

#endif
