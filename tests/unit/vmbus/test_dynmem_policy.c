/* SPDX-License-Identifier: MIT
 *
 * The policy with simulated guests: it converges, keeps to its limits, is quick when memory is
 * needed, and never thrashes.
 */
#include "base/clock.h"
#include "vmbus/dynmem_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define MIB (1ULL << 20)

static const struct dynmem_limits usual = {
	.min_bytes = 512 * MIB, .max_bytes = 8192 * MIB, .buffer_percent = 20};

/* A guest that uses `used` and committed more or less than that, and a host that gives and takes at
 * once, except below the guest's floor, and adds in units of 128 MiB. */
struct guest {
	struct dynmem_limits limits;
	struct dynmem_policy policy;
	uint64_t now_ns, assigned, used, committed, floor;

	unsigned n_grown, n_shrunk, n_turns; /* a turn: growing after shrinking or the reverse */
	int direction;
	uint64_t last_grown_ns, min_pause_ns; /* from growing to shrinking */
};

static struct guest guest_make(uint64_t assigned, uint64_t used)
{
	return (struct guest){
		.limits = usual,
		.now_ns = 1000 * NS_PER_SEC,
		.assigned = assigned,
		.used = used,
		.committed = used,
		.min_pause_ns = UINT64_MAX,
	};
}

static void grow(struct guest *guest, uint64_t target)
{
	guest->n_grown++;
	guest->n_turns += guest->direction < 0;
	guest->direction = 1;
	guest->last_grown_ns = guest->now_ns;
	guest->assigned = MIN(ALIGN_UP(target, 128 * MIB), guest->limits.max_bytes);
}

static void shrink(struct guest *guest, uint64_t target)
{
	uint64_t pause_ns = guest->now_ns - guest->last_grown_ns;

	if (target < guest->floor) {
		target = guest->floor;
		dynmem_policy_refused(&guest->policy, guest->now_ns);
		if (guest->assigned <= target)
			return;
	}
	if (guest->last_grown_ns && pause_ns < guest->min_pause_ns)
		guest->min_pause_ns = pause_ns;
	guest->n_shrunk++;
	guest->n_turns += guest->direction > 0;
	guest->direction = -1;
	guest->assigned = target;
}

/* A second passes. */
static void step(struct guest *guest)
{
	struct dynmem_sample sample = {
		.now_ns = guest->now_ns += NS_PER_SEC,
		.assigned_bytes = guest->assigned,
		.committed_bytes = guest->committed,
		.available_bytes = guest->assigned - MIN(guest->assigned, guest->used),
	};
	uint64_t target = dynmem_policy_target(&guest->policy, &guest->limits, &sample);

	assert_true(target >= guest->limits.min_bytes);
	assert_true(target <= guest->limits.max_bytes);
	if (target > guest->assigned)
		grow(guest, target);
	else if (target < guest->assigned)
		shrink(guest, target);
	assert_true(guest->assigned >= guest->limits.min_bytes);
	assert_true(guest->assigned <= guest->limits.max_bytes);
}

static void run(struct guest *guest, unsigned seconds)
{
	while (seconds--)
		step(guest);
}

static void test_constant_need_converges(_unused_ void **state)
{
	for (uint64_t need = 16 * MIB; need < 12000 * MIB; need += 97 * MIB) {
		struct guest guest = guest_make(2048 * MIB, need);
		uint64_t settled;
		unsigned n_changes;

		run(&guest, 600);
		settled = guest.assigned;
		n_changes = guest.n_grown + guest.n_shrunk;
		assert_true(guest.n_turns <= 1);
		run(&guest, 3600);
		assert_int_equal(guest.assigned, settled);
		assert_int_equal(guest.n_grown + guest.n_shrunk, n_changes);
		/* What it needs, and not much more than that. */
		assert_true(settled >= MIN(need, usual.max_bytes));
		assert_true(settled <= MAX(usual.min_bytes, need + need / 5) * 10 / 9 + 64 * MIB);
	}
}

static void test_growing_is_at_once(_unused_ void **state)
{
	struct guest guest = guest_make(1024 * MIB, 700 * MIB);

	run(&guest, 300);
	guest.used = guest.committed = 3000 * MIB;
	step(&guest);
	assert_true(guest.assigned >= 3600 * MIB);
	/* By use alone, and by commitment alone. */
	guest.used = 5000 * MIB;
	guest.assigned = 5000 * MIB;
	step(&guest);
	assert_true(guest.assigned >= 6000 * MIB);
	guest.used = 100 * MIB;
	guest.committed = UINT64_MAX;
	step(&guest);
	assert_int_equal(guest.assigned, usual.max_bytes);
}

static void test_shrinking_takes_its_time(_unused_ void **state)
{
	struct guest guest = guest_make(4096 * MIB, 3400 * MIB);

	run(&guest, 100);
	guest.used = guest.committed = 100 * MIB;
	run(&guest, 10);
	assert_int_equal(guest.n_shrunk, 0);
	step(&guest);
	assert_int_equal(guest.n_shrunk, 1);
	assert_true(guest.assigned >= 4096 * MIB * 7 / 8);
	run(&guest, 600);
	/* The minimum, but for what is not clearly too much. */
	assert_true(guest.assigned <= 512 * MIB + 64 * MIB);
	assert_int_equal(guest.n_grown, 0);
}

/* A dip shorter than the wait changes nothing. */
static void test_short_dips(_unused_ void **state)
{
	struct guest guest = guest_make(4096 * MIB, 3400 * MIB);

	for (unsigned i = 0; i < 500; i++) {
		guest.used = guest.committed = 100 * MIB;
		run(&guest, 9);
		guest.used = guest.committed = 3400 * MIB;
		run(&guest, 1);
	}
	assert_int_equal(guest.n_grown + guest.n_shrunk, 0);
}

/* Whatever the need does, from growing to shrinking there are 30 s. */
static void test_never_thrashes(_unused_ void **state)
{
	static const unsigned periods_s[] = {2, 5, 11, 20, 31, 45, 60, 100, 300};
	uint32_t seed = 7;

	for (size_t i = 0; i < ARRAY_LEN(periods_s); i++) {
		struct guest guest = guest_make(2048 * MIB, 1000 * MIB);

		for (unsigned s = 0; s < 7200; s++) {
			bool high = s / periods_s[i] % 2;

			seed = seed * 1664525 + 1013904223;
			guest.used = (high ? 5000 : 400) * MIB + (seed >> 8) % 200 * MIB;
			guest.committed = guest.used / 2;
			step(&guest);
		}
		assert_true(guest.min_pause_ns >= 30 * NS_PER_SEC);
		assert_true(guest.n_turns <= 2 * (7200 / 30));
		/* Fast swings keep what they need. */
		if (periods_s[i] <= 5)
			assert_true(guest.n_turns <= 1);
	}
}

static void test_random_walks(_unused_ void **state)
{
	for (uint32_t seed = 1; seed <= 40; seed++) {
		struct guest guest = guest_make(2048 * MIB, 1500 * MIB);
		uint32_t random = seed;

		guest.limits.buffer_percent = 5 + seed * 4;
		for (unsigned s = 0; s < 5000; s++) {
			random = random * 1664525 + 1013904223;
			guest.used += (random >> 10) % 41 * MIB;
			guest.used -= MIN(guest.used, 20 * MIB);
			guest.used = MIN(guest.used, 9000 * MIB);
			guest.committed = guest.used * (80 + random % 40) / 100;
			step(&guest);
			assert_true(guest.assigned >= MIN(guest.used, usual.max_bytes));
		}
		assert_true(guest.min_pause_ns >= 30 * NS_PER_SEC);
	}
}

/* A guest that does not give what it is asked for is not asked all the time. */
static void test_floor(_unused_ void **state)
{
	struct guest guest = guest_make(4096 * MIB, 100 * MIB);
	uint64_t n_refused = 0;

	guest.floor = 2000 * MIB;
	for (unsigned s = 0; s < 3600; s++) {
		uint64_t rest_ns = guest.policy.rest_until_ns;

		step(&guest);
		n_refused += guest.policy.rest_until_ns != rest_ns;
	}
	assert_int_equal(guest.assigned, 2000 * MIB);
	assert_true(n_refused <= 3600 / 60);
}

static void test_limits(_unused_ void **state)
{
	struct guest guest = guest_make(4096 * MIB, 3000 * MIB);
	struct dynmem_sample sample = {.now_ns = NS_PER_SEC, .assigned_bytes = 4096 * MIB};

	/* New ones count at once. */
	guest.limits.max_bytes = 2048 * MIB;
	assert_int_equal(dynmem_policy_target(&guest.policy, &guest.limits, &sample), 2048 * MIB);
	guest.limits = usual;
	guest.limits.min_bytes = 5000 * MIB;
	assert_int_equal(dynmem_policy_target(&guest.policy, &guest.limits, &sample), 5000 * MIB);
	/* Numbers that cannot be. */
	guest.limits = usual;
	sample.available_bytes = UINT64_MAX;
	sample.committed_bytes = UINT64_MAX;
	assert_int_equal(dynmem_policy_target(&guest.policy, &guest.limits, &sample), 8192 * MIB);
	sample.committed_bytes = 0;
	assert_true(dynmem_policy_target(&guest.policy, &guest.limits, &sample) <= 4096 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_constant_need_converges),
		cmocka_unit_test(test_growing_is_at_once),
		cmocka_unit_test(test_shrinking_takes_its_time),
		cmocka_unit_test(test_short_dips),
		cmocka_unit_test(test_never_thrashes),
		cmocka_unit_test(test_random_walks),
		cmocka_unit_test(test_floor),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
