/* SPDX-License-Identifier: MIT
 *
 * The contract of migrate.h towards the owners: verdicts, cancels, refusals, failing operations.
 */
#include "pair.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1UL << 20)

static void setup(struct pair *p)
{
	pair_init(p, 1 * MIB, 1 * MIB);
	pair_connect(p, PAIR_SOCKETPAIR, 3);
	fake_vm_run(&p->source_vm, 32, 5000);
}

static void test_not_committed(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	pair_start(&p);
	assert_true(pair_wait_outcome(&p));
	assert_false(fake_vm_is_running(&p.source_vm));
	assert_int_equal(mig_target_cancel(p.target), -EBUSY);
	assert_int_equal(mig_source_finish(p.source, false), 0);
	pair_check_source_unharmed(&p);
	assert_int_equal(p.done_error, -ECANCELED);
	assert_true(fake_vm_is_running(&p.source_vm));
	pair_wait(&p, &p.n_failed);
	assert_int_equal(p.failed_error, -ECANCELED);
	pair_end(&p);
	assert_int_equal(p.n_failed, 1);
	assert_int_equal(p.n_target_ready, 1);
	pair_fini(&p);
}

/* The target is gone after it was ready: that changes nothing for the source. */
static void test_target_vanishes_after_ready(void **state)
{
	(void)state;
	for (int committed = 0; committed <= 1; committed++) {
		struct pair p;

		setup(&p);
		pair_start(&p);
		assert_true(pair_wait_outcome(&p));
		mig_target_free(take_ptr(p.target));
		assert_int_equal(pair_read(&p, &p.n_done), 0);
		assert_false(fake_vm_is_running(&p.source_vm));
		assert_int_equal(mig_source_finish(p.source, committed), 0);
		pair_wait(&p, &p.n_done);
		assert_int_equal(p.done_error, committed ? 0 : -ECANCELED);
		assert_int_equal(p.source_vm.n_resume, committed ? 0 : 1);
		assert_int_equal(pair_read(&p, &p.n_failed), 0);
		pair_fini(&p);
	}
}

/* The source's process dies after it was ready: its owner knows what became of the VM. */
static void test_source_vanishes_after_ready(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	pair_start(&p);
	assert_true(pair_wait_outcome(&p));
	mig_source_free(take_ptr(p.source));
	assert_int_equal(p.n_done, 0);
	assert_int_equal(p.source_vm.n_resume, 0);
	mig_target_free(take_ptr(p.target));
	assert_int_equal(p.n_failed, 0);
	pair_fini(&p);
}

static void test_free_is_a_cancel(void **state)
{
	(void)state;
	for (int source_first = 0; source_first <= 1; source_first++) {
		struct pair p;

		setup(&p);
		p.source_params.bandwidth_bytes_per_s = 100000;
		p.source_params.compress = MIG_COMPRESS_OFF;
		pair_start(&p);
		if (source_first) {
			mig_source_free(take_ptr(p.source));
			assert_int_equal(p.n_done, 1);
			pair_wait(&p, &p.n_failed);
		} else {
			mig_target_free(take_ptr(p.target));
			assert_int_equal(p.n_failed, 1);
			pair_check_source_unharmed(&p);
		}
		pair_fini(&p);
	}
}

static void test_cancel_before_the_peer_is_there(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	pair_start_source(&p);
	assert_int_equal(mig_source_cancel(p.source), 0);
	pair_check_source_unharmed(&p);
	assert_int_equal(p.done_error, -ECANCELED);
	pair_start_target(&p);
	pair_wait(&p, &p.n_failed);
	pair_fini(&p);

	setup(&p);
	pair_start_target(&p);
	assert_int_equal(mig_target_cancel(p.target), 0);
	pair_wait(&p, &p.n_failed);
	assert_int_equal(p.failed_error, -ECANCELED);
	mig_target_free(take_ptr(p.target));
	pair_start_source(&p);
	pair_check_source_unharmed(&p);
	pair_fini(&p);
}

static void expect_refusal(struct pair *p, int done_error, int failed_error)
{
	pair_start(p);
	pair_check_source_unharmed(p);
	pair_wait(p, &p->n_failed);
	assert_int_equal(p->done_error, done_error);
	assert_int_equal(p->failed_error, failed_error);
	assert_int_equal(p->source_vm.n_start, 0);
	assert_int_equal(p->n_target_ready, 0);
	pair_fini(p);
}

static void test_wrong_key(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	p.target_params.job_key[31] ^= 1;
	pair_start(&p);
	pair_check_source_unharmed(&p);
	pair_wait(&p, &p.n_failed);
	/* Both find out by themselves, unless the other one has hung up by then. */
	assert_true(p.done_error == -EACCES || p.failed_error == -EACCES);
	assert_true(p.done_error == -EACCES || p.done_error == -ECONNRESET);
	assert_true(p.failed_error == -EACCES || p.failed_error == -ECONNRESET);
	assert_int_equal(p.source_vm.n_start, 0);
	pair_fini(&p);
}

static void test_wrong_vm(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	p.target_params.vm_name = "vm2";
	expect_refusal(&p, -ESTALE, -ESTALE);
	setup(&p);
	p.target_params.vm_name = "vm11";
	expect_refusal(&p, -ESTALE, -ESTALE);
}

static void test_wrong_cpu(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	p.target_params.cpuid_digest++;
	pair_start(&p);
	pair_check_source_unharmed(&p);
	assert_non_null(strstr(p.done_text, "target: "));
	assert_non_null(strstr(p.done_text, "processors"));
	pair_fini(&p);
}

static void test_other_memory(void **state)
{
	static const size_t sizes[][2] = {{1 * MIB, 2 * MIB}, {2 * MIB, 1 * MIB}, {2 * MIB, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pair p;

		setup(&p);
		fake_vm_fini(&p.target_vm);
		fake_vm_init(&p.target_vm, sizes[i][0], sizes[i][1]);
		expect_refusal(&p, -EMSGSIZE, -EMSGSIZE);
	}
}

static void test_failing_operations(void **state)
{
	static const size_t ops[] = {
		offsetof(struct fake_vm, fail_start),
		offsetof(struct fake_vm, fail_collect),
		offsetof(struct fake_vm, fail_pause),
		offsetof(struct fake_vm, fail_save),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct mig_report report;
		struct pair p;

		setup(&p);
		*(int *)((char *)&p.source_vm + ops[i]) = -ENOTTY;
		pair_start(&p);
		pair_wait(&p, &p.n_done);
		mig_source_report(p.source, &report);
		assert_int_equal(report.phase, MIG_PHASE_DONE);
		assert_int_equal(report.error, -ENOTTY);
		pair_check_source_unharmed(&p);
		assert_int_equal(p.done_error, -ENOTTY);
		assert_true(fake_vm_is_running(&p.source_vm));
		pair_wait(&p, &p.n_failed);
		assert_int_equal(p.failed_error, -ENOTTY);
		pair_fini(&p);
	}
}

static void test_failing_restore(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	p.target_vm.fail_restore = -EBADMSG;
	pair_start(&p);
	pair_check_source_unharmed(&p);
	assert_int_equal(p.done_error, -EBADMSG);
	assert_non_null(strstr(p.done_text, "fake.0"));
	assert_true(fake_vm_is_running(&p.source_vm));
	pair_wait(&p, &p.n_failed);
	assert_int_equal(p.n_target_ready, 0);
	pair_fini(&p);
}

static void test_failing_resume_is_told(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	p.target_vm.fail_restore = -EBADMSG;
	p.source_vm.fail_resume = -EIO;
	pair_start(&p);
	pair_wait(&p, &p.n_done);
	assert_non_null(strstr(p.done_text, "does not resume"));
	pair_fini(&p);
}

static void test_too_slow_to_converge(void **state)
{
	struct pair p;

	(void)state;
	setup(&p);
	p.source_vm.hot_pages = 20;
	p.source_params.max_rounds = 2;
	p.source_params.blackout_budget_ns = 1;
	p.source_params.blackout_limit_ns = 1;
	pair_start(&p);
	pair_check_source_unharmed(&p);
	assert_int_equal(p.done_error, -ETIMEDOUT);
	assert_int_equal(p.source_vm.n_pause, 0);
	pair_fini(&p);
}

static bool is_closed(int fd)
{
	return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static void test_bad_parameters_close_the_sockets(void **state)
{
	static const struct mig_source_callbacks source_callbacks;
	static const struct mig_target_callbacks target_callbacks;
	static char long_name[300];

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	for (int i = 0; i < 3; i++) {
		struct pair p;

		pair_init(&p, 1 * MIB, 0);
		pair_connect(&p, PAIR_SOCKETPAIR, i == 0 ? 1 : 2);
		if (i == 1)
			p.source_params.vm_name = p.target_params.vm_name = "";
		if (i == 2)
			p.source_params.vm_name = p.target_params.vm_name = long_name;
		assert_int_equal(mig_source_start(&p.source_params, &fake_vm_ops, &p.source_vm,
					 p.source_fds, p.n_links, &source_callbacks, &p, &p.source),
			-EINVAL);
		assert_int_equal(mig_target_start(&p.target_params, &fake_vm_ops, &p.target_vm,
					 p.target_fds, p.n_links, &target_callbacks, &p, &p.target),
			-EINVAL);
		assert_true(is_closed(p.source_fds[0]));
		assert_true(is_closed(p.target_fds[p.n_links - 1]));
		pair_fini(&p);
	}
	mig_source_free(NULL);
	mig_target_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_committed),
		cmocka_unit_test(test_target_vanishes_after_ready),
		cmocka_unit_test(test_source_vanishes_after_ready),
		cmocka_unit_test(test_free_is_a_cancel),
		cmocka_unit_test(test_cancel_before_the_peer_is_there),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_wrong_vm),
		cmocka_unit_test(test_wrong_cpu),
		cmocka_unit_test(test_other_memory),
		cmocka_unit_test(test_failing_operations),
		cmocka_unit_test(test_failing_restore),
		cmocka_unit_test(test_failing_resume_is_told),
		cmocka_unit_test(test_too_slow_to_converge),
		cmocka_unit_test(test_bad_parameters_close_the_sockets),
	};

	return cmocka_run_group_tests_name("migration contract", tests, NULL, NULL);
}
