/* SPDX-License-Identifier: MIT */
#include "node/hv/host_cpu.h"

#include "node/hv/cpuid.h"

int host_cpu_digest(int kvm_fd, uint64_t *ret_digest)
{
	struct cpuid_table table;
	int r = cpuid_from_kvm(kvm_fd, 1, &table);

	if (r < 0)
		return r;
	*ret_digest = cpuid_digest(&table);
	return 0;
}
