/* SPDX-License-Identifier: MIT
 *
 * Whatever breaks, and after whichever byte, the contract of migrate.h holds: one side owns the VM,
 * it runs there, callbacks come as promised, and every wait ends.
 */
#include "proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PAGES(n) ((n)*4096UL)
#define LINKS    3

static void setup(struct pair *p)
{
	pair_init(p, PAGES(48), PAGES(16));
	fake_vm_set_state(&p->source_vm, 300, 4);
	p->source_params.compress = MIG_COMPRESS_ALWAYS;
	fake_vm_run(&p->source_vm, 8, 2000);
}

/* The source gave up. What the target's owner has heard by then depends on the last byte. */
static void wait_for_both(struct pair *p)
{
	struct timespec until;

	pair_wait(p, &p->n_done);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PAIR_PATIENCE_S;
	pthread_mutex_lock(&p->lock);
	while (!p->n_failed && !p->n_target_ready)
		assert_int_equal(pthread_cond_timedwait(&p->changed, &p->lock, &until), 0);
	pthread_mutex_unlock(&p->lock);
}

static void check_failure(struct pair *p)
{
	pair_check_source_unharmed(p);
	assert_true(fake_vm_is_running(&p->source_vm));
	mig_target_free(take_ptr(p->target));
	assert_in_range(p->n_target_ready, 0, 1);
	assert_in_range(p->n_failed, 0, 1);
	if (p->n_failed)
		assert_true(p->failed_error < 0 && p->failed_text[0]);
	/* Ready and failed: only because the source said so. */
	if (p->n_failed && p->n_target_ready)
		assert_memory_equal(p->failed_text, "source: ", 8);
}

static void check_success(struct pair *p)
{
	assert_int_equal(p->done_error, 0);
	assert_int_equal(p->n_target_ready, 1);
	assert_int_equal(p->n_failed, 0);
	assert_int_equal(p->source_vm.n_resume, 0);
	assert_true(fake_vm_equal(&p->source_vm, &p->target_vm));
}

/* One migration with the deed after `after_bytes`; true when it came to the commit all the same. */
static bool run_one(enum proxy_deed deed, uint64_t after_bytes, uint64_t stall_timeout_ns,
	uint64_t *ret_carried_bytes)
{
	struct proxy proxy;
	struct pair p;
	bool ready;

	setup(&p);
	if (stall_timeout_ns) {
		p.source_params.stall_timeout_ns = stall_timeout_ns;
		p.target_params.stall_timeout_ns = stall_timeout_ns;
	}
	proxy_start(&proxy, &p, LINKS, deed, after_bytes);
	ready = pair_wait_outcome(&p);
	if (ready) {
		assert_int_equal(mig_source_finish(p.source, true), 0);
		pair_wait(&p, &p.n_done);
	} else {
		wait_for_both(&p);
	}
	/* It cancels jobs, so it has to go before they do. */
	proxy_stop(&proxy, ret_carried_bytes);
	if (proxy.done && deed == PROXY_CANCEL_SOURCE)
		assert_int_equal(proxy.cancel_result, ready ? -EBUSY : 0);
	if (!ready)
		check_failure(&p);
	pair_end(&p);
	if (ready)
		check_success(&p);
	pair_fini(&p);
	return ready;
}

static uint64_t whole_length(void)
{
	uint64_t carried_bytes;

	assert_true(run_one(PROXY_STALL, UINT64_MAX, 0, &carried_bytes));
	return carried_bytes;
}

/* Every byte of the handshake and the manifest, then in strides, then the last ones one by one. */
static void run_all(enum proxy_deed deed)
{
	uint64_t length = whole_length(), stride = length / 40;
	unsigned n_ready = 0, n_runs = 0;

	for (uint64_t at = 0; at < length + 200; n_runs++) {
		n_ready += run_one(deed, at, 0, NULL);
		if (at < 600)
			at += 37;
		else if (at + 400 < length)
			at += MIN(stride, length - 400 - at + 1);
		else
			at += 13;
	}
	assert_true(n_ready < n_runs);
}

static void test_everything_is_cut(void **state)
{
	(void)state;
	run_all(PROXY_CUT_ALL);
}

static void test_control_is_cut(void **state)
{
	(void)state;
	run_all(PROXY_CUT_CONTROL);
}

static void test_a_data_connection_is_cut(void **state)
{
	(void)state;
	run_all(PROXY_CUT_DATA);
}

static void test_source_is_cancelled(void **state)
{
	(void)state;
	run_all(PROXY_CANCEL_SOURCE);
}

static void test_target_is_cancelled(void **state)
{
	(void)state;
	run_all(PROXY_CANCEL_TARGET);
}

/* Nobody closes anything: patience has to run out. */
static void test_peer_falls_silent(void **state)
{
	static const unsigned permille[] = {0, 1, 2, 100, 300, 600, 900, 990};
	uint64_t length = whole_length();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(permille); i++)
		run_one(PROXY_STALL, length * permille[i] / 1000, 200000000ULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_cut),
		cmocka_unit_test(test_control_is_cut),
		cmocka_unit_test(test_a_data_connection_is_cut),
		cmocka_unit_test(test_source_is_cancelled),
		cmocka_unit_test(test_target_is_cancelled),
		cmocka_unit_test(test_peer_falls_silent),
	};

	return cmocka_run_group_tests_name("broken migrations", tests, NULL, NULL);
}
