/* SPDX-License-Identifier: MIT
 *
 * Which ports a busy worker gives away.
 */
#include "fabric/share.h"
#include "tests/unit/base/cmocka_all.h"

static const struct {
	const char *name;
	unsigned n;
	uint64_t work[5];
	unsigned busy, other;
	unsigned n_given;
	bool given[5];
} cases[] = {
	{"none", 0, {0}, 1000, 0, 0, {0}},
	{"one port's work cannot be shared", 1, {100}, 1000, 0, 0, {0}},
	{"nor does it help to give idle ones", 3, {100, 0, 0}, 1000, 0, 0, {0}},
	{"two alike", 2, {100, 100}, 1000, 0, 1, {true, false}},
	{"the smaller one of two", 2, {60, 40}, 1000, 0, 1, {false, true}},
	{"an even split", 5, {10, 40, 20, 20, 10}, 1000, 0, 2, {true, true, false, false, false}},
	{"too little to be worth it", 2, {95, 5}, 1000, 0, 0, {0}},
	{"just enough", 2, {90, 10}, 1000, 0, 1, {false, true}},
	{"to one that has something to do", 5, {20, 20, 20, 20, 20}, 1000, 500, 1, {true}},
	{"the other is as busy", 2, {50, 50}, 960, 960, 0, {0}},
	{"the other is busier", 2, {50, 50}, 960, 990, 0, {0}},
	{"no work at all", 3, {0, 0, 0}, 1000, 0, 0, {0}},
	{"large numbers", 2, {1ULL << 50, 1ULL << 50}, 1000, 0, 1, {true, false}},
};

static void test_picks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct share_item items[5];
		unsigned n_given;

		for (unsigned k = 0; k < cases[i].n; k++)
			items[k] = (struct share_item){cases[i].work[k], k % 2};
		n_given = share_pick(items, cases[i].n, cases[i].busy, cases[i].other);
		if (n_given != cases[i].n_given)
			fail_msg("%s: %u given", cases[i].name, n_given);
		for (unsigned k = 0; k < cases[i].n; k++) {
			if (items[k].give != cases[i].given[k])
				fail_msg("%s: port %u", cases[i].name, k);
		}
	}
}

/* Whatever the ports did: nobody is left with less than the one who gets it, and the rest stays. */
static void test_never_gives_more_than_it_keeps(void **state)
{
	uint64_t random = 88172645463325252ULL;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct share_item items[16];
		uint64_t given = 0, total = 0;
		unsigned n = 1 + round % 16, n_given = 0;

		for (unsigned k = 0; k < n; k++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			items[k] = (struct share_item){.work = random % 1000};
			total += items[k].work;
		}
		n_given = share_pick(items, n, 1000, (unsigned)(random >> 32) % 500);
		for (unsigned k = 0; k < n; k++) {
			given += items[k].give ? items[k].work : 0;
			n_given -= items[k].give;
		}
		assert_int_equal(n_given, 0);
		assert_true(2 * given <= total);
		assert_true(given == 0 || given * 1000 >= total * SHARE_LEAST_PERMILLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picks),
		cmocka_unit_test(test_never_gives_more_than_it_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
