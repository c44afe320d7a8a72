/* SPDX-License-Identifier: MIT */
#include "node/hv/cpuid.h"

#include "node/hv/hv_cpuid.h"

#include <string.h>

enum cpuid_register { EAX, EBX, ECX, EDX };

#define LEAF_FEATURES         0x00000001U
#define LEAF_CACHES           0x00000004U
#define LEAF_TOPOLOGY         0x0000000bU
#define LEAF_HYPERVISOR_FIRST 0x40000000U
#define LEAF_HYPERVISOR_LAST  0x4fffffffU
#define LEAF_AMD_FEATURES     0x80000001U
#define LEAF_AMD_SIZES        0x80000008U
#define LEAF_AMD_CACHES       0x8000001dU
#define LEAF_AMD_TOPOLOGY     0x8000001eU

#define FEATURE_HTT        (1U << 28) /* LEAF_FEATURES.EDX */
#define FEATURE_CMP_LEGACY (1U << 1)  /* LEAF_AMD_FEATURES.ECX */
#define FEATURE_HYPERVISOR (1U << 31) /* LEAF_FEATURES.ECX */

/* Leaves that are not shown: [first, last]. */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{0x0000000a, 0x0000000a},       /* performance counters: their state is not carried */
	{LEAF_TOPOLOGY, LEAF_TOPOLOGY}, /* built below */
	{0x00000012, 0x00000012},       /* SGX: enclaves cannot move */
	{0x00000014, 0x00000016},       /* processor trace; TSC and CPU clocks of this very host */
	{0x0000001f, 0x0000001f},       /* topology again: LEAF_TOPOLOGY is enough */
	{LEAF_HYPERVISOR_FIRST, LEAF_HYPERVISOR_LAST}, /* KVM's own interface */
	{0x8000000a, 0x8000000a},                      /* SVM */
	{0x8000001f, 0x8000001f},                      /* memory encryption */
	{0x80000022, 0x80000022},                      /* performance counters */
};

/* Features that are not shown. */
static const struct {
	uint32_t function, index;
	enum cpuid_register reg;
	uint32_t bits;
} cleared[] = {
	/* Nested virtualisation: the nested state is not carried. */
	{LEAF_FEATURES, 0, ECX, 1U << 5},
	{LEAF_AMD_FEATURES, 0, ECX, 1U << 2},
	/* PDCM; PERFCTR_CORE, PERFCTR_NB: performance counters. */
	{LEAF_FEATURES, 0, ECX, 1U << 15},
	{LEAF_AMD_FEATURES, 0, ECX, 1U << 23 | 1U << 24},
	/* TSC deadline: a deadline would not survive a change of the TSC's rate. */
	{LEAF_FEATURES, 0, ECX, 1U << 24},
	/* OSXSAVE, OSPKE: mirrors of CR4, which KVM fills in. */
	{LEAF_FEATURES, 0, ECX, 1U << 27},
	{7, 0, ECX, 1U << 4},
	/* Invariant TSC: true of a host, not of a partition that moves between hosts. */
	{0x80000007, 0, EDX, 1U << 8},
	/* SGX and its launch control, processor trace. */
	{7, 0, EBX, 1U << 2 | 1U << 25},
	{7, 0, ECX, 1U << 30},
};

static uint32_t *register_of(struct kvm_cpuid_entry2 *entry, enum cpuid_register reg)
{
	switch (reg) {
	case EAX:
		return &entry->eax;
	case EBX:
		return &entry->ebx;
	case ECX:
		return &entry->ecx;
	default:
		return &entry->edx;
	}
}

static bool is_hidden(uint32_t function)
{
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
		if (function >= hidden[i].first && function <= hidden[i].last)
			return true;
	}
	return false;
}

static void clear_features(struct kvm_cpuid_entry2 *entry)
{
	for (size_t i = 0; i < ARRAY_LEN(cleared); i++) {
		if (entry->function == cleared[i].function && entry->index == cleared[i].index)
			*register_of(entry, cleared[i].reg) &= ~cleared[i].bits;
	}
}

static void set_bits(uint32_t *value, unsigned first, unsigned n_bits, uint32_t bits)
{
	uint32_t mask = ((1U << n_bits) - 1) << first;

	*value = (*value & ~mask) | (bits << first & mask);
}

static unsigned bits_for(unsigned n)
{
	unsigned bits = 0;

	while (1U << bits < n)
		bits++;
	return bits;
}

/* One package of `n_vps` cores with one thread each; the last level of cache is shared by all. */
static void set_caches(struct kvm_cpuid_entry2 *entry, unsigned n_vps)
{
	unsigned level = entry->eax >> 5 & 7;

	set_bits(&entry->eax, 14, 12, level >= 3 ? n_vps - 1 : 0);
	if (entry->function == LEAF_CACHES)
		set_bits(&entry->eax, 26, 6, n_vps - 1);
}

static void set_topology(struct kvm_cpuid_entry2 *entry, unsigned n_vps)
{
	bool many = n_vps > 1;

	switch (entry->function) {
	case LEAF_FEATURES:
		set_bits(&entry->ebx, 16, 8, n_vps);
		set_bits(&entry->ebx, 24, 8, 0);
		entry->ecx |= FEATURE_HYPERVISOR;
		entry->edx = many ? entry->edx | FEATURE_HTT : entry->edx & ~FEATURE_HTT;
		break;
	case LEAF_CACHES:
	case LEAF_AMD_CACHES:
		if (entry->eax & 0x1f)
			set_caches(entry, n_vps);
		break;
	case LEAF_AMD_FEATURES:
		entry->ecx =
			many ? entry->ecx | FEATURE_CMP_LEGACY : entry->ecx & ~FEATURE_CMP_LEGACY;
		break;
	case LEAF_AMD_SIZES:
		set_bits(&entry->ecx, 0, 8, n_vps - 1);
		set_bits(&entry->ecx, 12, 4, bits_for(n_vps));
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
		break;
	}
}

static int append(struct cpuid_table *table, const struct kvm_cpuid_entry2 *entry)
{
	if (table->n_entries == CPUID_MAX_ENTRIES)
		return -E2BIG;
	table->entries[table->n_entries] = *entry;
	memset(table->entries[table->n_entries].padding, 0, sizeof(entry->padding));
	table->n_entries++;
	return 0;
}

/* Levels of the topology leaf: threads of a core, cores of the package. */
static int append_topology(struct cpuid_table *table, unsigned n_vps)
{
	struct kvm_cpuid_entry2 threads = {
		.function = LEAF_TOPOLOGY,
		.index = 0,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.ebx = 1,
		.ecx = 1 << 8,
	};
	struct kvm_cpuid_entry2 cores = {
		.function = LEAF_TOPOLOGY,
		.index = 1,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = bits_for(n_vps),
		.ebx = n_vps,
		.ecx = 2 << 8 | 1,
	};
	int r = append(table, &threads);

	return r < 0 ? r : append(table, &cores);
}

static int append_hypervisor(struct cpuid_table *table)
{
	size_t n_leaves;
	const struct hv_cpuid_leaf *leaves = hv_cpuid_leaves(&n_leaves);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_leaves; i++) {
		struct kvm_cpuid_entry2 entry = {
			.function = leaves[i].function,
			.eax = leaves[i].eax,
			.ebx = leaves[i].ebx,
			.ecx = leaves[i].ecx,
			.edx = leaves[i].edx,
		};

		r = append(table, &entry);
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct kvm_cpuid_entry2 *x = a, *y = b;

	if (x->function != y->function)
		return x->function < y->function ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

int cpuid_build(const struct kvm_cpuid_entry2 *supported, unsigned n_supported, unsigned n_vps,
	struct cpuid_table *ret_table)
{
	struct cpuid_table table = {0};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n_supported; i++) {
		struct kvm_cpuid_entry2 entry = supported[i];

		if (is_hidden(entry.function))
			continue;
		clear_features(&entry);
		set_topology(&entry, n_vps);
		r = append(&table, &entry);
	}
	if (r == 0)
		r = append_topology(&table, n_vps);
	if (r == 0)
		r = append_hypervisor(&table);
	if (r < 0)
		return r;
	qsort(table.entries, table.n_entries, sizeof(table.entries[0]), compare);
	*ret_table = table;
	return 0;
}

/* struct kvm_cpuid2 with room. */
struct cpuid_buffer {
	uint32_t n;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES];
};
static_assert_offset(struct cpuid_buffer, entries, offsetof(struct kvm_cpuid2, entries));

int cpuid_from_kvm(int kvm_fd, unsigned n_vps, struct cpuid_table *ret_table)
{
	struct cpuid_buffer supported = {.n = CPUID_MAX_ENTRIES};
	int r = kvm_call(kvm_fd, KVM_GET_SUPPORTED_CPUID, &supported);

	return r < 0 ? r : cpuid_build(supported.entries, supported.n, n_vps, ret_table);
}

void cpuid_for_vp(struct cpuid_table *table, uint32_t apic_id)
{
	for (unsigned i = 0; i < table->n_entries; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function == LEAF_FEATURES)
			set_bits(&entry->ebx, 24, 8, apic_id);
		else if (entry->function == LEAF_TOPOLOGY)
			entry->edx = apic_id;
		else if (entry->function == LEAF_AMD_TOPOLOGY)
			entry->eax = entry->ebx = apic_id;
	}
}

int cpuid_set(const struct cpuid_table *table, uint32_t vp_index, int vp_fd)
{
	struct cpuid_table copy = *table;
	struct cpuid_buffer buffer = {.n = table->n_entries};

	cpuid_for_vp(&copy, vp_index);
	memcpy(buffer.entries, copy.entries, sizeof(buffer.entries));
	return kvm_call(vp_fd, KVM_SET_CPUID2, &buffer);
}

const struct kvm_cpuid_entry2 *cpuid_find(
	const struct cpuid_table *table, uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < table->n_entries; i++) {
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	}
	return NULL;
}

uint64_t cpuid_digest(const struct cpuid_table *table)
{
	const uint8_t *bytes = (const uint8_t *)table->entries;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < table->n_entries * sizeof(table->entries[0]); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}
