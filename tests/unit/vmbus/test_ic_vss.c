/* SPDX-License-Identifier: MIT
 *
 * Snapshots: every way a freeze can go, and that what may be frozen is always thawed.
 */
#include "ic_rig.h"
#include "vmbus/ic_vss.h"
#include "vmbus/proto/vss.h"

static struct ic_vss_core vss;

static int setup(void **state)
{
	static struct ic_rig rig;

	ic_vss_init(&vss);
	ic_rig_init(&rig, &vss.core);
	*state = &rig;
	return 0;
}

static void expect(struct ic_rig *rig, uint8_t operation)
{
	struct vss_body body;

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(body));
	memcpy(&body, rig->body, sizeof(body));
	assert_int_equal(body.operation, operation);
}

static void expect_and_answer(struct ic_rig *rig, uint8_t operation, uint32_t status)
{
	expect(rig, operation);
	ic_rig_answer(rig, status, NULL, 0);
}

static void told(struct ic_rig *rig, unsigned n_done, int error)
{
	ic_rig_tell(&vss.freeze_finished);
	ic_rig_tell(&vss.thaw_finished);
	assert_int_equal(rig->n_done, n_done);
	assert_int_equal(rig->error, error);
}

static void quiet(struct ic_rig *rig)
{
	assert_false(ic_rig_fetch(rig));
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
}

static void freeze(struct ic_rig *rig, uint64_t limit_ns)
{
	const struct ic_ask ask = {.done = ic_rig_done, .data = rig};

	assert_int_equal(ic_vss_ask_freeze(&vss, limit_ns, &ask), 0);
	assert_int_equal(ic_vss_ask_freeze(&vss, limit_ns, &ask), -EBUSY);
	assert_int_equal(ic_vss_ask_thaw(&vss, &ask), -EBUSY);
}

static int thaw(struct ic_rig *rig)
{
	const struct ic_ask ask = {.done = ic_rig_done, .data = rig};

	return ic_vss_ask_thaw(&vss, &ask);
}

static void up_to_frozen(struct ic_rig *rig, uint64_t limit_ns)
{
	ic_rig_up(rig);
	freeze(rig, limit_ns);
	expect_and_answer(rig, VSS_GET_DM_INFO, IC_STATUS_OK);
	expect_and_answer(rig, VSS_HOT_BACKUP, IC_STATUS_OK);
	expect_and_answer(rig, VSS_FREEZE, IC_STATUS_OK);
	told(rig, 1, 0);
	assert_false(ic_rig_fetch(rig));
}

static void test_freeze_and_thaw(void **state)
{
	struct ic_rig *rig = *state;
	const struct ic_ask ask = {.done = ic_rig_done, .data = rig};

	assert_int_equal(ic_vss_ask_freeze(&vss, 0, &ask), -ENOTCONN);
	assert_int_equal(ic_vss_ask_thaw(&vss, &ask), -ENOTCONN);
	up_to_frozen(rig, 0);
	assert_int_equal(thaw(rig), 0);
	expect(rig, VSS_THAW);
	assert_int_equal(thaw(rig), -EALREADY);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	told(rig, 2, 0);
	assert_int_equal(thaw(rig), -EALREADY);
	quiet(rig);
}

static void test_limit(void **state)
{
	struct ic_rig *rig = *state;

	up_to_frozen(rig, 0);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), rig->time.now_ns + 10 * NS_PER_SEC);
	ic_rig_pass(rig, 10 * NS_PER_SEC - 1);
	assert_false(ic_rig_fetch(rig));
	ic_rig_pass(rig, 1);
	expect(rig, VSS_THAW);
	assert_int_equal(thaw(rig), -EALREADY);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	told(rig, 1, 0);
	quiet(rig);
}

/* Each step refused. */
static void test_refusals(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	freeze(rig, 0);
	expect_and_answer(rig, VSS_GET_DM_INFO, IC_STATUS_FAIL);
	told(rig, 1, -EREMOTEIO);
	quiet(rig);
	freeze(rig, 0);
	expect_and_answer(rig, VSS_GET_DM_INFO, IC_STATUS_OK);
	expect_and_answer(rig, VSS_HOT_BACKUP, IC_STATUS_FAIL);
	told(rig, 2, -EREMOTEIO);
	quiet(rig);
	freeze(rig, 0);
	expect_and_answer(rig, VSS_GET_DM_INFO, IC_STATUS_OK);
	expect_and_answer(rig, VSS_HOT_BACKUP, IC_STATUS_OK);
	expect_and_answer(rig, VSS_FREEZE, IC_STATUS_FAIL);
	told(rig, 3, -EREMOTEIO);
	expect_and_answer(rig, VSS_THAW, IC_STATUS_FAIL);
	told(rig, 3, -EREMOTEIO);
	quiet(rig);
}

static void test_patience(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	freeze(rig, 0);
	expect_and_answer(rig, VSS_GET_DM_INFO, IC_STATUS_OK);
	expect_and_answer(rig, VSS_HOT_BACKUP, IC_STATUS_OK);
	expect(rig, VSS_FREEZE);
	ic_rig_pass(rig, 60 * NS_PER_SEC);
	told(rig, 1, -ETIMEDOUT);
	/* It may get to it yet. */
	expect(rig, VSS_THAW);
	ic_rig_pass(rig, 60 * NS_PER_SEC);
	told(rig, 1, -ETIMEDOUT);
	quiet(rig);
}

static void test_closed(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	freeze(rig, 0);
	expect(rig, VSS_GET_DM_INFO);
	ic_core_close(rig->core);
	told(rig, 1, -ECANCELED);
	rig->n_done = rig->error = 0;
	up_to_frozen(rig, 0);
	assert_int_equal(thaw(rig), 0);
	ic_core_close(rig->core);
	told(rig, 2, -ECANCELED);
	ic_rig_up(rig);
	quiet(rig);
}

/* Saved in every step; on the other side there is nobody who would thaw. */
static void test_state(void **state)
{
	static const struct {
		unsigned n_answers;
		bool sent, thawed;
	} cases[] = {{0, false, false}, {0, true, false}, {1, true, false}, {2, true, true},
		{3, false, true}};
	struct ic_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf saved = {0};
		struct reader in;

		setup(state);
		ic_rig_up(rig);
		freeze(rig, 0);
		for (unsigned n = 0; n < cases[i].n_answers; n++) {
			ic_rig_expect(rig);
			ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
		}
		if (cases[i].sent)
			ic_rig_expect(rig);
		ic_core_cancel(rig->core, &rig->time);
		ic_vss_cancel(&vss);
		told(rig, 1, cases[i].n_answers == 3 ? 0 : -ECANCELED);
		ic_vss_save(&vss, &saved);
		for (unsigned side = 0; side < 2; side++) {
			if (cases[i].thawed)
				expect_and_answer(rig, VSS_THAW, IC_STATUS_OK);
			quiet(rig);
			told(rig, 1, rig->error);
			ic_vss_init(&vss);
			in = reader_make(saved.data, saved.size_bytes);
			assert_int_equal(ic_vss_restore(&vss, &in, true), 0);
			assert_true(reader_done(&in));
		}
		for (size_t n = 0; n < saved.size_bytes; n++) {
			ic_vss_init(&vss);
			in = reader_make(saved.data, n);
			assert_int_equal(ic_vss_restore(&vss, &in, true), -EBADMSG);
		}
		saved.data[saved.size_bytes - 1] = 2;
		in = reader_make(saved.data, saved.size_bytes);
		assert_int_equal(ic_vss_restore(&vss, &in, true), -EBADMSG);
		buf_fini(&saved);
	}
	/* To be thawed, without a guest. */
	{
		struct buf saved = {0};
		struct reader in;

		ic_vss_init(&vss);
		ic_vss_save(&vss, &saved);
		saved.data[saved.size_bytes - 1] = 1;
		in = reader_make(saved.data, saved.size_bytes);
		assert_int_equal(ic_vss_restore(&vss, &in, false), -EBADMSG);
		buf_fini(&saved);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_freeze_and_thaw, setup),
		cmocka_unit_test_setup(test_limit, setup),
		cmocka_unit_test_setup(test_refusals, setup),
		cmocka_unit_test_setup(test_patience, setup),
		cmocka_unit_test_setup(test_closed, setup),
		cmocka_unit_test_setup(test_state, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
