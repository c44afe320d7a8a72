/* SPDX-License-Identifier: MIT */
#include "node/hv/cpuid.h"
#include "vmbus/proto/hypercall.h"
#include "vmbus/proto/viaduct_cpuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static const struct kvm_cpuid_entry2 supported[] = {
	{.function = 0x80000001, .ecx = 0xffffffff, .edx = 0xffffffff},
	{.function = 0, .eax = 0x1f},
	{.function = 1, .ebx = 0x07100800, .ecx = 0x7fffffff, .edx = 0xffffffff},
	{.function = 4, .index = 0, .flags = INDEXED, .eax = 0x3fc00021},
	{.function = 4, .index = 1, .flags = INDEXED, .eax = 0x3fffc063},
	{.function = 4, .index = 2, .flags = INDEXED, .eax = 0},
	{.function = 7, .index = 0, .flags = INDEXED, .ebx = 0xffffffff, .ecx = 0xffffffff},
	{.function = 0xa, .eax = 0x07300404},
	{.function = 0xb, .index = 0, .flags = INDEXED, .edx = 3},
	{.function = 0x15, .eax = 2, .ebx = 216, .ecx = 24000000},
	{.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b},
	{.function = 0x40000001, .eax = 0x01007efb},
	{.function = 0x80000007, .edx = 0x100},
	{.function = 0x80000008, .eax = 0x3030, .ecx = 0x703f},
	{.function = 0x8000000a, .edx = 1},
	{.function = 0x8000001e, .eax = 9, .ebx = 9, .ecx = 9},
};

static struct cpuid_table build(unsigned n_vps)
{
	struct cpuid_table table;

	assert_int_equal(cpuid_build(supported, ARRAY_LEN(supported), n_vps, &table), 0);
	return table;
}

static const struct kvm_cpuid_entry2 *leaf(
	const struct cpuid_table *table, uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(table, function, index);

	assert_non_null(entry);
	return entry;
}

static void what_cannot_migrate_is_hidden(void **state _unused_)
{
	struct cpuid_table table = build(4);

	assert_null(cpuid_find(&table, 0xa, 0));
	assert_null(cpuid_find(&table, 0x15, 0));
	assert_null(cpuid_find(&table, 0x8000000a, 0));
	assert_int_equal(leaf(&table, 1, 0)->ecx & (1U << 5 | 1U << 15 | 1U << 24 | 1U << 27), 0);
	assert_true(leaf(&table, 1, 0)->ecx & 1U << 31);
	assert_int_equal(leaf(&table, 0x80000001, 0)->ecx & 1U << 2, 0);
	assert_int_equal(leaf(&table, 7, 0)->ebx & (1U << 2 | 1U << 25), 0);
	assert_true(leaf(&table, 7, 0)->ebx & 1U << 5); /* AVX2 stays */
	assert_int_equal(leaf(&table, 0x80000007, 0)->edx, 0);
}

static void hypervisor_is_ours(void **state _unused_)
{
	struct cpuid_table table = build(1);

	assert_int_equal(leaf(&table, HV_CPUID_MAX_LEAF, 0)->ebx, HV_CPUID_VENDOR_EBX);
	assert_true(leaf(&table, HV_CPUID_MAX_LEAF, 0)->eax >= HV_CPUID_LIMITS);
	assert_int_equal(leaf(&table, HV_CPUID_INTERFACE, 0)->eax, HV_CPUID_INTERFACE_EAX);
	assert_int_equal(leaf(&table, HV_CPUID_FEATURES, 0)->ebx, 0x30);
	/* No timers, no APIC MSRs, no invariant TSC. */
	assert_int_equal(leaf(&table, HV_CPUID_FEATURES, 0)->eax, 0xae7);
	assert_int_equal(leaf(&table, HV_CPUID_FEATURES, 0)->edx, 0x500);
	assert_int_equal(leaf(&table, HV_CPUID_ENLIGHTENMENTS, 0)->eax, 0x220);
	assert_int_equal(leaf(&table, HV_CPUID_ENLIGHTENMENTS, 0)->ebx, 0xffffffff);
	assert_int_equal(leaf(&table, VIADUCT_CPUID_SIGNATURE, 0)->eax, VIADUCT_CPUID_DOORBELL);
	assert_int_equal(leaf(&table, VIADUCT_CPUID_DOORBELL, 0)->eax, VIADUCT_DOORBELL_PORT);
}

static void signature_reads_as_text(void **state _unused_)
{
	struct cpuid_table table = build(1);
	const struct kvm_cpuid_entry2 *entry = leaf(&table, VIADUCT_CPUID_SIGNATURE, 0);
	char text[13] = "";

	memcpy(text, &entry->ebx, 4);
	memcpy(text + 4, &entry->ecx, 4);
	memcpy(text + 8, &entry->edx, 4);
	assert_string_equal(text, "ViaductFabrc");
}

static void topology_is_one_package(void **state _unused_)
{
	struct cpuid_table table = build(6);

	assert_int_equal(leaf(&table, 1, 0)->ebx, 0x00060800);
	assert_true(leaf(&table, 1, 0)->edx & 1U << 28);
	assert_int_equal(leaf(&table, 0xb, 0)->ebx, 1);
	assert_int_equal(leaf(&table, 0xb, 1)->eax, 3);
	assert_int_equal(leaf(&table, 0xb, 1)->ebx, 6);
	assert_int_equal(leaf(&table, 4, 0)->eax, 0x14000021);           /* private */
	assert_int_equal(leaf(&table, 4, 1)->eax, 0x14000063 | 5 << 14); /* shared */
	assert_int_equal(leaf(&table, 4, 2)->eax, 0);
	assert_int_equal(leaf(&table, 0x80000008, 0)->ecx, 0x3005);
	cpuid_for_vp(&table, 5);
	assert_int_equal(leaf(&table, 1, 0)->ebx, 0x05060800);
	assert_int_equal(leaf(&table, 0xb, 1)->edx, 5);
	assert_int_equal(leaf(&table, 0x8000001e, 0)->eax, 5);
	table = build(1);
	assert_int_equal(leaf(&table, 1, 0)->edx & 1U << 28, 0);
	assert_int_equal(leaf(&table, 0x80000001, 0)->ecx & 2, 0);
}

static void digest_tells_cpus_apart(void **state _unused_)
{
	struct kvm_cpuid_entry2 other[ARRAY_LEN(supported)];
	struct cpuid_table table = build(2), changed, turned;

	memcpy(other, supported, sizeof(other));
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		other[i] = supported[ARRAY_LEN(other) - 1 - i];
	assert_int_equal(cpuid_build(other, ARRAY_LEN(other), 2, &turned), 0);
	assert_true(cpuid_digest(&table) == cpuid_digest(&turned));
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		if (other[i].function == 7)
			other[i].ebx &= ~(1U << 5);
		if (other[i].function == 0x15)
			other[i].ecx++; /* clocks of the host do not count */
	}
	assert_int_equal(cpuid_build(other, ARRAY_LEN(other), 2, &changed), 0);
	assert_false(cpuid_digest(&table) == cpuid_digest(&changed));
}

/* host_cpu.h: hosts that look alike to one virtual processor look alike to any number of them. */
static void the_digest_for_one_vp_stands_for_all(void **state _unused_)
{
	struct kvm_cpuid_entry2 other[ARRAY_LEN(supported)];
	struct cpuid_table one = build(1), many = build(6);
	uint64_t digest_one = cpuid_digest(&one), digest_many = cpuid_digest(&many);

	for (size_t i = 0; i < ARRAY_LEN(supported); i++) {
		for (unsigned bit = 0; bit < 128; bit++) {
			uint32_t *registers[] = {
				&other[i].eax, &other[i].ebx, &other[i].ecx, &other[i].edx};
			bool alike;

			memcpy(other, supported, sizeof(other));
			*registers[bit / 32] ^= 1U << bit % 32;
			assert_int_equal(cpuid_build(other, ARRAY_LEN(other), 1, &one), 0);
			assert_int_equal(cpuid_build(other, ARRAY_LEN(other), 6, &many), 0);
			alike = cpuid_digest(&one) == digest_one;
			assert_int_equal(alike, cpuid_digest(&many) == digest_many);
		}
	}
}

static void too_many_leaves_do_not_fit(void **state _unused_)
{
	static struct kvm_cpuid_entry2 many[CPUID_MAX_ENTRIES];
	struct cpuid_table table;

	for (unsigned i = 0; i < CPUID_MAX_ENTRIES; i++)
		many[i].function = 0x80010000 + i;
	assert_int_equal(cpuid_build(many, CPUID_MAX_ENTRIES, 1, &table), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_migrate_is_hidden),
		cmocka_unit_test(hypervisor_is_ours),
		cmocka_unit_test(signature_reads_as_text),
		cmocka_unit_test(topology_is_one_package),
		cmocka_unit_test(digest_tells_cpus_apart),
		cmocka_unit_test(the_digest_for_one_vp_stands_for_all),
		cmocka_unit_test(too_many_leaves_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
