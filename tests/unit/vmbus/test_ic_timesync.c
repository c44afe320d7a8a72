/* SPDX-License-Identifier: MIT
 *
 * Time synchronisation: what is sent when, in each version.
 */
#include "ic_rig.h"
#include "vmbus/ic_timesync.h"

static struct ic_timesync_core timesync;

static int setup(void **state)
{
	static struct ic_rig rig;

	ic_timesync_init(&timesync, true);
	ic_rig_init(&rig, &timesync.core);
	*state = &rig;
	return 0;
}

static void expect(struct ic_rig *rig, uint8_t flags)
{
	struct ic_timesync_reference_body body;

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(body));
	memcpy(&body, rig->body, sizeof(body));
	assert_int_equal(body.wall_clock, rig->time.wall_clock);
	assert_int_equal(body.reference, rig->time.reference);
	assert_int_equal(body.flags, flags);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	assert_false(ic_rig_fetch(rig));
}

static void test_sync_twice_then_samples(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	for (unsigned round = 0; round < 3; round++) {
		expect(rig, IC_TIMESYNC_SYNC);
		ic_rig_pass(rig, 5 * NS_PER_SEC);
		expect(rig, IC_TIMESYNC_SYNC);
		for (unsigned i = 0; i < 20; i++) {
			ic_rig_pass(rig, 5 * NS_PER_SEC - 1);
			assert_false(ic_rig_fetch(rig));
			ic_rig_pass(rig, 1);
			expect(rig, IC_TIMESYNC_SAMPLE);
		}
		ic_timesync_resync(&timesync, rig->time.now_ns);
	}
}

/* The time in a question that was not answered is old; the next one is right. */
static void test_resync_while_asked(void **state)
{
	struct ic_rig *rig = *state;

	ic_rig_up(rig);
	ic_rig_expect(rig);
	ic_timesync_resync(&timesync, rig->time.now_ns);
	ic_rig_pass(rig, 100 * NS_PER_SEC);
	assert_int_equal(ic_core_deadline_ns(rig->core, true), IC_NEVER);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
	expect(rig, IC_TIMESYNC_SYNC);
	ic_rig_pass(rig, 5 * NS_PER_SEC);
	expect(rig, IC_TIMESYNC_SYNC);
	ic_rig_pass(rig, 5 * NS_PER_SEC);
	expect(rig, IC_TIMESYNC_SAMPLE);
}

static void expect_older(struct ic_rig *rig)
{
	struct ic_timesync_body body;

	ic_rig_expect(rig);
	assert_int_equal(rig->header.body_bytes, sizeof(body));
	memcpy(&body, rig->body, sizeof(body));
	assert_int_equal(body.wall_clock, rig->time.wall_clock);
	assert_int_equal(body.flags, IC_TIMESYNC_SYNC);
	ic_rig_answer(rig, IC_STATUS_OK, NULL, 0);
}

static void test_older_versions(void **state)
{
	struct ic_rig *rig = *state;

	ic_core_open(rig->core);
	assert_true(ic_rig_fetch(rig));
	ic_rig_choose(rig, (struct ic_version){3, 0}, (struct ic_version){3, 0});
	expect_older(rig);
	/* Without a reference time the newest is neither offered nor accepted. */
	ic_timesync_init(&timesync, false);
	ic_rig_up(rig);
	assert_int_equal(rig->core->message_version.major, 3);
	expect_older(rig);
	ic_core_close(rig->core);
	ic_core_open(rig->core);
	assert_true(ic_rig_fetch(rig));
	assert_int_equal(rig->header.body_bytes, 8 + 4 * 4);
	ic_rig_choose(rig, (struct ic_version){3, 0}, (struct ic_version){4, 0});
	assert_int_equal(rig->core->phase, IC_REFUSED);
}

/* Nor does a state of a host that had one restore here. */
static void test_state(void **state)
{
	struct ic_rig *rig = *state;
	struct buf saved = {0};
	struct reader in;

	ic_rig_up(rig);
	ic_timesync_save(&timesync, &saved);
	in = reader_make(saved.data, saved.size_bytes);
	ic_timesync_init(&timesync, false);
	assert_int_equal(ic_timesync_restore(&timesync, &in, true), -EBADMSG);
	in = reader_make(saved.data, saved.size_bytes);
	ic_timesync_init(&timesync, true);
	assert_int_equal(ic_timesync_restore(&timesync, &in, true), 0);
	assert_true(reader_done(&in));
	ic_timesync_resync(&timesync, rig->time.now_ns);
	expect(rig, IC_TIMESYNC_SYNC);
	buf_fini(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sync_twice_then_samples, setup),
		cmocka_unit_test_setup(test_resync_while_asked, setup),
		cmocka_unit_test_setup(test_older_versions, setup),
		cmocka_unit_test_setup(test_state, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
