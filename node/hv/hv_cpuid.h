/* SPDX-License-Identifier: MIT
 *
 * hv_cpuid.h - the CPUID leaves from 0x40000000 on: the Hyper-V interface and our own group.
 * Constant: the same on every host.
 */
#ifndef VIADUCT_NODE_HV_HV_CPUID_H
#define VIADUCT_NODE_HV_HV_CPUID_H

#include "base/err.h"

struct hv_cpuid_leaf {
	uint32_t function;
	uint32_t eax, ebx, ecx, edx;
};

const struct hv_cpuid_leaf *hv_cpuid_leaves(size_t *ret_n_leaves);

#endif
