/* SPDX-License-Identifier: MIT
 *
 * Whole migrations between two fake VMs: what arrives is what was there, whatever the guest does
 * meanwhile.
 */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1UL << 20)

static void commit(struct pair *p)
{
	assert_true(pair_wait_outcome(p));
	assert_int_equal(pair_read(p, &p->n_target_ready), 1);
	assert_int_equal(mig_source_cancel(p->source), -EBUSY);
	assert_int_equal(mig_source_finish(p->source, true), 0);
	assert_int_equal(mig_source_finish(p->source, true), -EINVAL);
	pair_wait(p, &p->n_done);
	assert_int_equal(p->done_error, 0);
	assert_int_equal(pair_read(p, &p->n_failed), 0);
	assert_int_equal(p->source_vm.n_resume, 0);
	assert_int_equal(p->source_vm.n_start, p->source_vm.n_stop);
	assert_true(fake_vm_equal(&p->source_vm, &p->target_vm));
}

static void check_reports(struct pair *p)
{
	struct mig_report sent, received;
	uint64_t pages = 0;

	mig_source_report(p->source, &sent);
	mig_target_report(p->target, &received);
	assert_int_equal(sent.phase, MIG_PHASE_DONE);
	assert_int_equal(sent.percent, 100);
	assert_int_equal(sent.error, 0);
	assert_int_equal(sent.n_rounds, received.n_rounds);
	for (unsigned i = 0; i < sent.n_rounds; i++) {
		assert_int_equal(sent.rounds[i].n_pages, received.rounds[i].n_pages);
		assert_int_equal(sent.rounds[i].n_zero, received.rounds[i].n_zero);
		assert_int_equal(sent.rounds[i].n_lz4, received.rounds[i].n_lz4);
		pages += sent.rounds[i].n_pages;
	}
	assert_int_equal(sent.raw_bytes, pages * GPA_PAGE_SIZE);
	assert_int_equal(sent.ram_bytes, p->source_vm.low_bytes + p->source_vm.high_bytes);
	assert_int_equal(sent.state_bytes, p->source_vm.state_bytes);
	assert_true(sent.paused_at_ns > 0);
	assert_true(sent.total_ns > 0);
	assert_true(sent.n_rounds >= 2);
}

static void migrate(enum pair_transport transport, unsigned n_channels, uint64_t pages_per_s)
{
	struct pair p;

	pair_init(&p, 8 * MIB, 4 * MIB);
	pair_connect(&p, transport, 1 + n_channels);
	fake_vm_run(&p.source_vm, 1024, pages_per_s);
	pair_start(&p);
	commit(&p);
	check_reports(&p);
	pair_fini(&p);
}

static void test_one_to_four_channels(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 4; n++)
		migrate(PAIR_SOCKETPAIR, n, 20000);
}

static void test_over_tcp(void **state)
{
	(void)state;
	migrate(PAIR_LOOPBACK, 1, 20000);
	migrate(PAIR_LOOPBACK, MIG_MAX_CHANNELS, 20000);
}

/* Dirties as fast as it can: no budget can be met, but the end comes all the same. */
static void test_never_converging_guest(void **state)
{
	(void)state;
	migrate(PAIR_LOOPBACK, 2, 0);
}

static void test_idle_guest(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 8 * MIB, 0);
	pair_connect(&p, PAIR_SOCKETPAIR, 3);
	pair_start(&p);
	commit(&p);
	pair_fini(&p);
}

static void test_each_content_and_codec(void **state)
{
	(void)state;
	for (enum fake_content content = FAKE_ZEROS; content <= FAKE_MIXED; content++) {
		for (enum mig_compress c = MIG_COMPRESS_OFF; c <= MIG_COMPRESS_ALWAYS; c++) {
			struct mig_report report;
			struct pair p;

			pair_init(&p, 4 * MIB, 4 * MIB);
			memset(p.source_vm.low, 0, p.source_vm.low_bytes);
			memset(p.source_vm.high, 0, p.source_vm.high_bytes);
			fake_vm_fill(&p.source_vm, content, 3);
			p.source_params.compress = c;
			pair_connect(&p, PAIR_SOCKETPAIR, 3);
			pair_start(&p);
			commit(&p);
			mig_source_report(p.source, &report);
			if (content == FAKE_ZEROS)
				assert_true(report.sent_bytes < 100000);
			if (content == FAKE_TEXT && c == MIG_COMPRESS_ALWAYS)
				assert_true(report.sent_bytes < report.raw_bytes / 4);
			if (c == MIG_COMPRESS_OFF || content == FAKE_RANDOM)
				assert_int_equal(report.rounds[0].n_lz4, 0);
			pair_fini(&p);
		}
	}
}

/* The target's set-up left something where the source has zeros, marked or not. */
static void test_target_memory_is_replaced(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 4 * MIB, 4 * MIB);
	memset(p.source_vm.low, 0, p.source_vm.low_bytes);
	memset(p.target_vm.low + 4096 * 3, 0xaa, 4096 * 70);
	p.target_vm.high[5] = 1;
	assert_int_equal(gpa_write(p.target_vm.memory, gpa(4096 * 500), "set-up", 6), 0);
	pair_connect(&p, PAIR_SOCKETPAIR, 3);
	pair_start(&p);
	commit(&p);
	pair_fini(&p);
}

static void test_no_state_and_much_state(void **state)
{
	static const size_t sizes[] = {0, 1, 1 * MIB, 3 * MIB + 17};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pair p;

		pair_init(&p, 1 * MIB, 0);
		fake_vm_set_state(&p.source_vm, sizes[i], 9);
		pair_connect(&p, PAIR_LOOPBACK, 2);
		pair_start(&p);
		commit(&p);
		pair_fini(&p);
	}
}

static void test_bandwidth_limit_slows_the_rounds(void **state)
{
	struct mig_report report;
	struct pair p;

	(void)state;
	pair_init(&p, 4 * MIB, 0);
	fake_vm_fill(&p.source_vm, FAKE_RANDOM, 5);
	p.source_params.compress = MIG_COMPRESS_OFF;
	p.source_params.bandwidth_bytes_per_s = 40 * MIB;
	pair_connect(&p, PAIR_LOOPBACK, 3);
	pair_start(&p);
	commit(&p);
	mig_source_report(p.source, &report);
	/* 4 MiB minus the burst that may have been saved up; never less. */
	assert_true(report.rounds[0].duration_ns > 70000000ULL);
	assert_true(pair_read(&p, &p.n_progress) >= 1);
	pair_fini(&p);
}

/* The target may get its connections in any order. */
static void test_connections_in_any_order(void **state)
{
	struct pair p;
	int swap;

	(void)state;
	pair_init(&p, 2 * MIB, 0);
	pair_connect(&p, PAIR_SOCKETPAIR, 4);
	swap = p.target_fds[0];
	p.target_fds[0] = p.target_fds[3];
	p.target_fds[3] = p.target_fds[1];
	p.target_fds[1] = swap;
	pair_start(&p);
	commit(&p);
	pair_fini(&p);
}

static void test_report_as_json(void **state)
{
	struct mig_report report;
	struct json *j;
	struct pair p;

	(void)state;
	pair_init(&p, 2 * MIB, 0);
	pair_connect(&p, PAIR_SOCKETPAIR, 2);
	pair_start(&p);
	commit(&p);
	mig_source_report(p.source, &report);
	j = mig_report_json(&report);
	assert_non_null(j);
	assert_string_equal(json_get_string(j, "phase", ""), "done");
	assert_int_equal(json_get_int(j, "percent", 0), 100);
	assert_int_equal(json_get_int(j, "ram_bytes", 0), 2 * MIB);
	assert_int_equal(json_length(json_get(j, "rounds")), report.n_rounds);
	assert_int_equal(json_get_int(json_at(json_get(j, "rounds"), 0), "pages", 0), 512);
	assert_int_equal(json_get_int(json_get(j, "blackout"), "save_ns", -1), report.save_ns);
	assert_true(json_get_real(j, "ratio", 0) > 0);
	json_unref(j);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_to_four_channels),
		cmocka_unit_test(test_over_tcp),
		cmocka_unit_test(test_never_converging_guest),
		cmocka_unit_test(test_idle_guest),
		cmocka_unit_test(test_each_content_and_codec),
		cmocka_unit_test(test_target_memory_is_replaced),
		cmocka_unit_test(test_no_state_and_much_state),
		cmocka_unit_test(test_bandwidth_limit_slows_the_rounds),
		cmocka_unit_test(test_connections_in_any_order),
		cmocka_unit_test(test_report_as_json),
	};

	return cmocka_run_group_tests_name("live migration", tests, NULL, NULL);
}
