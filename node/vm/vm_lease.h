/* SPDX-License-Identifier: MIT
 *
 * vm_lease.h - the end of a VM's process that nobody has to bring about. The kernel kills it when
 * its lease (cluster/lease.h) was not renewed in time: also a process that is stopped, or whose
 * service hangs, and as soon as a machine wakes up that slept meanwhile.
 *
 * Threads: one caller.
 */
#ifndef VIADUCT_NODE_VM_VM_LEASE_H
#define VIADUCT_NODE_VM_VM_LEASE_H

#include "base/err.h"

/* Before the sandbox, which knows no such timers being made. No lease yet, and so no end. */
int vm_lease_init(void);
/* From now on the process ends at `until_ns` (CLOCK_BOOTTIME); at once if that is over. -EINVAL: 0.
 */
int vm_lease_renew(uint64_t until_ns);

#endif
