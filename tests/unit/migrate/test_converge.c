/* SPDX-License-Identifier: MIT */
#include "migrate/converge.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS NS_PER_MS

static const struct converge_limits limits = {
	.max_rounds = 30,
	.budget_ns = 10 * MS,
	.limit_ns = 3 * NS_PER_SEC,
};

/* 1 GB/s raw: 4.096 us a page, so 244 pages a millisecond. */
static struct converge_sample at_one_gigabyte(
	unsigned n_rounds, uint64_t pages, uint64_t interval_ns)
{
	return (struct converge_sample){
		.n_rounds = n_rounds,
		.remaining_pages = pages,
		.wire_bytes_per_s = 1000000000,
		.ratio_permille = 1000,
		.interval_ns = interval_ns,
		.round_trip_ns = MS / 4,
		.fixed_ns = 2 * MS,
	};
}

static void test_first_verdict(void **state)
{
	static const struct {
		unsigned n_rounds;
		uint64_t pages, interval_ns, wire_bytes_per_s;
		uint32_t ratio_permille;
		enum converge_verdict verdict;
	} rows[] = {
		/* Nothing left: at once, whatever the rest says. */
		{1, 0, 100 * MS, 0, 1000, CONVERGE_SWITCH},
		/* 4 ms of pages: fits, but the next round would leave next to nothing. */
		{1, 1000, 100 * MS, 1000000000, 1000, CONVERGE_CONTINUE},
		/* 0.04 ms of pages: fits, and nothing is to be gained. */
		{1, 10, 10 * MS, 1000000000, 1000, CONVERGE_SWITCH},
		/* Fits, and the guest is as quick as the network: no gain. */
		{1, 1000, 4 * MS, 1000000000, 1000, CONVERGE_SWITCH},
		/* Fits, a round would help, but there is none left. */
		{30, 1000, 100 * MS, 1000000000, 1000, CONVERGE_SWITCH},
		/* 41 ms: does not fit. */
		{1, 10000, 100 * MS, 1000000000, 1000, CONVERGE_CONTINUE},
		/* The same packed to a tenth: 4 ms. */
		{1, 10000, 41 * MS, 1000000000, 100, CONVERGE_CONTINUE},
		{1, 10000, 4 * MS, 1000000000, 100, CONVERGE_SWITCH},
		/* Out of rounds: 41 ms are borne, 4.1 s are not. */
		{30, 10000, 100 * MS, 1000000000, 1000, CONVERGE_SWITCH},
		{30, 1000000, 100 * MS, 1000000000, 1000, CONVERGE_GIVE_UP},
		/* No rate known: pages would take for ever. */
		{1, 1, 100 * MS, 0, 1000, CONVERGE_CONTINUE},
		{30, 1, 100 * MS, 0, 1000, CONVERGE_GIVE_UP},
		/* No overflow at the far end. */
		{1, UINT64_MAX / 2, 1, 1, UINT32_MAX, CONVERGE_CONTINUE},
		{30, UINT64_MAX / 2, UINT64_MAX / 2, 1, UINT32_MAX, CONVERGE_GIVE_UP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct converge_sample sample =
			at_one_gigabyte(rows[i].n_rounds, rows[i].pages, rows[i].interval_ns);
		struct converge converge = {0};
		uint64_t forecast_ns;

		sample.wire_bytes_per_s = rows[i].wire_bytes_per_s;
		sample.ratio_permille = rows[i].ratio_permille;
		assert_int_equal(
			converge_step(&converge, &limits, &sample, &forecast_ns), rows[i].verdict);
	}
}

static void test_forecast(void **state)
{
	struct converge_sample sample = at_one_gigabyte(1, 10000, 100 * MS);
	struct converge converge = {0};
	uint64_t forecast_ns;

	(void)state;
	converge_step(&converge, &limits, &sample, &forecast_ns);
	assert_int_equal(forecast_ns, 2 * MS + MS / 4 + 40960000);
	sample.ratio_permille = 250;
	converge_step(&converge, &limits, &sample, &forecast_ns);
	assert_int_equal(forecast_ns, 2 * MS + MS / 4 + 10240000);
}

/* A guest with always the same set dirty: two rounds and a second without progress do. */
static void test_no_progress(void **state)
{
	struct converge converge = {0};
	uint64_t forecast_ns;
	unsigned n = 1;

	(void)state;
	for (; n < limits.max_rounds; n++) {
		struct converge_sample sample = at_one_gigabyte(n, 65536 - n, 270 * MS);

		if (converge_step(&converge, &limits, &sample, &forecast_ns) != CONVERGE_CONTINUE)
			break;
	}
	/* The first sets the mark, four of 270 ms pass. */
	assert_int_equal(n, 5);
	converge = (struct converge){0};
	for (n = 1; n < limits.max_rounds; n++) {
		struct converge_sample sample = at_one_gigabyte(n, 650000, 2700 * MS);

		if (converge_step(&converge, &limits, &sample, &forecast_ns) != CONVERGE_CONTINUE)
			break;
	}
	assert_int_equal(n, 3);
}

/* A burst that is over within the second is waited for. */
static void test_burst_is_sat_out(void **state)
{
	static const uint64_t pages[] = {5000, 20000, 21000, 22000, 21000, 4000, 10};
	struct converge converge = {0};
	enum converge_verdict verdict = CONVERGE_CONTINUE;
	uint64_t forecast_ns;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
		struct converge_sample sample = at_one_gigabyte(1 + i, pages[i], 80 * MS);

		assert_int_equal(verdict, CONVERGE_CONTINUE);
		verdict = converge_step(&converge, &limits, &sample, &forecast_ns);
	}
	assert_int_equal(verdict, CONVERGE_SWITCH);
	assert_true(forecast_ns < 3 * MS);
}

/* Whatever the guest does, it ends. */
static void test_always_ends(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct converge converge = {0};
		enum converge_verdict verdict = CONVERGE_CONTINUE;
		uint64_t forecast_ns;
		unsigned n = 0;

		while (verdict == CONVERGE_CONTINUE) {
			struct converge_sample sample;

			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			sample = at_one_gigabyte(
				++n, (seed >> 33) % 3000000, (seed >> 20) % NS_PER_SEC);
			verdict = converge_step(&converge, &limits, &sample, &forecast_ns);
			assert_true(n <= limits.max_rounds);
		}
		if (verdict == CONVERGE_SWITCH)
			assert_true(forecast_ns <= limits.limit_ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_verdict),
		cmocka_unit_test(test_forecast),
		cmocka_unit_test(test_no_progress),
		cmocka_unit_test(test_burst_is_sat_out),
		cmocka_unit_test(test_always_ends),
	};

	return cmocka_run_group_tests_name("convergence", tests, NULL, NULL);
}
