/* SPDX-License-Identifier: MIT
 *
 * cpuid.h - the CPU that a partition shows its guest: what KVM supports, less what cannot migrate
 * or is not ours to give, plus the topology of one package and the hypervisor leaves.
 */
#ifndef VIADUCT_NODE_HV_CPUID_H
#define VIADUCT_NODE_HV_CPUID_H

#include "node/hv/kvm.h"

#define CPUID_MAX_ENTRIES 256

struct cpuid_table {
	unsigned n_entries;
	struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES]; /* sorted by function and index */
};

/* The policy. `supported` as KVM_GET_SUPPORTED_CPUID gives it. -E2BIG when it does not fit. */
int cpuid_build(const struct kvm_cpuid_entry2 *supported, unsigned n_supported, unsigned n_vps,
	struct cpuid_table *ret_table);
/* cpuid_build() on what `kvm_fd` supports. */
int cpuid_from_kvm(int kvm_fd, unsigned n_vps, struct cpuid_table *ret_table);
/* Put the VP's own APIC id into its copy of the table. */
void cpuid_for_vp(struct cpuid_table *table, uint32_t apic_id);
int cpuid_set(const struct cpuid_table *table, uint32_t vp_index, int vp_fd);
/* The entry of a leaf, or NULL. */
const struct kvm_cpuid_entry2 *cpuid_find(
	const struct cpuid_table *table, uint32_t function, uint32_t index);
/* FNV-1a over every entry. */
uint64_t cpuid_digest(const struct cpuid_table *table);

#endif
