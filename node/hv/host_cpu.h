/* SPDX-License-Identifier: MIT
 *
 * host_cpu.h - what this host's processors look like to guests, before there is one.
 *
 * The table of CPUID leaves that a partition shows (cpuid.h) comes from what KVM supports, a fixed
 * policy, and the number of virtual processors. Two hosts that agree for one virtual processor
 * agree for any number of them, so the digest for one stands for the host. It is not the digest of
 * a partition with more.
 *
 * Threads: any.
 */
#ifndef VIADUCT_NODE_HV_HOST_CPU_H
#define VIADUCT_NODE_HV_HOST_CPU_H

#include "base/err.h"

/* `kvm_fd`: /dev/kvm, open. 0 or -errno of KVM. */
int host_cpu_digest(int kvm_fd, uint64_t *ret_digest);

#endif
