/* SPDX-License-Identifier: MIT
 *
 * Sub-channels of the control plane: dormant, offered, open, rescinded, and the same over a saved
 * state.
 */
#include "ctl_rig.h"

#define N_SUBS 3

/* A device with sub-channels between two without, so that relids and places in the order differ. */
struct sub_rig {
	struct ctl_rig r;
	struct ctl_channel *primary;
	struct ctl_channel *subs[N_SUBS];
	uint32_t relid;
	uint32_t sub_relids[N_SUBS]; /* as last offered */
};

static void sub_rig_init(struct sub_rig *rig)
{
	rig_init(&rig->r);
	rig_add(&rig->r, 3, 1);
	rig->primary = rig_add(&rig->r, 2, 1);
	rig_add(&rig->r, 1, 1);
	rig->relid = 2;
	for (unsigned i = 0; i < N_SUBS; i++)
		assert_int_equal(
			ctl_subchannel_add(rig->r.ctl, rig->primary, &rig->r, &rig->subs[i]), 0);
}

static int setup(void **state)
{
	static struct sub_rig rig;

	sub_rig_init(&rig);
	rig_connect_with_offers(&rig.r, VMBUS_VERSION_5_3);
	rig_make_open(&rig.r, rig.relid, 9);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&((struct sub_rig *)*state)->r);
	return 0;
}

static void expect_offers(struct sub_rig *rig, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		struct vmbus_msg_offer_channel offer;

		rig_expect(&rig->r, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
		assert_memory_equal(offer.class_guid, rig->primary->offer.class_guid, 16);
		assert_memory_equal(offer.instance_guid, rig->primary->offer.instance_guid, 16);
		assert_int_equal(offer.sub_channel_index, i + 1);
		assert_int_equal(offer.relid, rig->subs[i]->relid);
		assert_int_equal(offer.connection_id, ctl_event_connection(rig->subs[i]));
		assert_int_equal(offer.is_dedicated_interrupt, 1);
		assert_int_equal(offer.monitor_allocated, 0);
		rig->sub_relids[i] = offer.relid;
	}
}

static void expect_rescinds(struct sub_rig *rig, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vmbus_msg_relid m;

		rig_expect(&rig->r, VMBUS_MSG_RESCIND_OFFER, &m, sizeof(m));
		assert_int_equal(m.relid, rig->sub_relids[i]);
	}
}

static void release(struct sub_rig *rig, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		assert_int_equal(
			rig_relid(&rig->r, VMBUS_MSG_RELID_RELEASED, rig->sub_relids[i]), 0);
}

static void close_primary(struct sub_rig *rig)
{
	assert_int_equal(rig_relid(&rig->r, VMBUS_MSG_CLOSE_CHANNEL, rig->relid), 0);
}

static void reopen_primary(struct sub_rig *rig)
{
	struct vmbus_msg_open_result result;

	assert_int_equal(rig_open(&rig->r, rig->relid, 9, 4), 0);
	rig_expect(&rig->r, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result));
	assert_int_equal(result.status, 0);
}

static void offer_subs(struct sub_rig *rig, unsigned n)
{
	ctl_subchannels_offer(rig->r.ctl, rig->primary, n);
}

static void test_dormant_until_asked_for(void **state)
{
	struct sub_rig *rig = *state;
	struct vmbus_info info;

	/* The setup dropped three offers, and nothing came after. */
	rig_expect_nothing(&rig->r);
	ctl_get_info(rig->r.ctl, &info);
	assert_int_equal(info.n_offers, 3);
	for (unsigned i = 0; i < N_SUBS; i++)
		assert_int_equal(rig->subs[i]->relid, 0);
	offer_subs(rig, 2);
	expect_offers(rig, 0, 2);
	rig_expect_nothing(&rig->r);
	assert_int_equal(rig->sub_relids[0], 4);
	/* Only those that are not yet. */
	offer_subs(rig, 2);
	offer_subs(rig, 1);
	rig_expect_nothing(&rig->r);
	offer_subs(rig, 3);
	expect_offers(rig, 2, 1);
	rig_expect_nothing(&rig->r);
	ctl_get_info(rig->r.ctl, &info);
	assert_int_equal(info.n_offers, 6);
	assert_int_equal(rig_errors(&rig->r), 0);
}

static void test_not_without_an_open_primary(void **state)
{
	struct sub_rig *rig = *state;

	close_primary(rig);
	offer_subs(rig, N_SUBS);
	reopen_primary(rig);
	rig_expect_nothing(&rig->r);
	ctl_reset(rig->r.ctl);
	offer_subs(rig, N_SUBS);
	rig_connect_with_offers(&rig->r, VMBUS_VERSION_5_3);
	for (unsigned i = 0; i < N_SUBS; i++)
		assert_int_equal(rig->subs[i]->state, CTL_CHANNEL_UNOFFERED);
}

/* A driver that changes its MTU: close everything, open, ask for the sub-channels again. */
static void test_close_and_open_repeatedly(void **state)
{
	struct sub_rig *rig = *state;

	for (unsigned round = 0; round < 3000; round++) {
		unsigned n_open = rig->r.n_open, n_close = rig->r.n_close;

		offer_subs(rig, N_SUBS);
		expect_offers(rig, 0, N_SUBS);
		for (unsigned i = 0; i < N_SUBS; i++) {
			assert_in_range(rig->sub_relids[i], 4, 6);
			rig_make_open(&rig->r, rig->sub_relids[i], 20 + i);
		}
		assert_int_equal(rig->r.n_open, n_open + N_SUBS);
		for (unsigned i = 0; i < N_SUBS; i++) {
			assert_int_equal(
				rig_relid(&rig->r, VMBUS_MSG_CLOSE_CHANNEL, rig->sub_relids[i]), 0);
			assert_int_equal(rig_teardown(&rig->r, rig->sub_relids[i], 20 + i), 0);
			rig_expect(&rig->r, VMBUS_MSG_GPADL_TORNDOWN, NULL,
				sizeof(struct vmbus_msg_gpadl_torndown));
		}
		rig_expect_nothing(&rig->r);
		close_primary(rig);
		assert_int_equal(rig->r.n_close, n_close + N_SUBS + 1);
		expect_rescinds(rig, N_SUBS);
		release(rig, 0, N_SUBS);
		rig_expect_nothing(&rig->r);
		reopen_primary(rig);
	}
	assert_int_equal(rig_errors(&rig->r), 0);
}

/* Whatever the guest left open is closed, GPADLs and all, and before the primary. */
static void test_close_of_the_primary_closes_them(void **state)
{
	struct sub_rig *rig = *state;

	offer_subs(rig, N_SUBS);
	expect_offers(rig, 0, N_SUBS);
	rig_make_open(&rig->r, rig->sub_relids[0], 20);
	rig_make_open(&rig->r, rig->sub_relids[2], 21);
	close_primary(rig);
	assert_int_equal(rig->r.n_close, 3);
	assert_ptr_equal(rig->r.last_close, rig->primary);
	assert_int_equal(rig->r.n_gone, 2);
	expect_rescinds(rig, N_SUBS);
	/* What crossed the rescind. */
	assert_int_equal(rig_relid(&rig->r, VMBUS_MSG_CLOSE_CHANNEL, rig->sub_relids[0]), 0);
	assert_int_equal(rig_teardown(&rig->r, rig->sub_relids[0], 20), 0);
	rig_expect(
		&rig->r, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
	assert_int_equal(rig_open(&rig->r, rig->sub_relids[1], 20, 4), 0);
	rig_expect_nothing(&rig->r);
	assert_int_equal(rig_errors(&rig->r), 0);
}

/* The guest pulls the primary's ring away instead of closing it. */
static void test_teardown_of_the_primary_s_rings(void **state)
{
	struct sub_rig *rig = *state;

	offer_subs(rig, 1);
	expect_offers(rig, 0, 1);
	rig_make_open(&rig->r, rig->sub_relids[0], 20);
	assert_int_equal(rig_teardown(&rig->r, rig->relid, 9), 0);
	assert_ptr_equal(rig->r.last_close, rig->primary);
	expect_rescinds(rig, 1);
	rig_expect(
		&rig->r, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
}

/* One relid at a time: what is asked for again waits for the release, each for its own. */
static void test_offered_again_when_released(void **state)
{
	struct sub_rig *rig = *state;

	offer_subs(rig, N_SUBS);
	expect_offers(rig, 0, N_SUBS);
	close_primary(rig);
	expect_rescinds(rig, N_SUBS);
	reopen_primary(rig);
	release(rig, 0, 1);
	rig_expect_nothing(&rig->r); /* not asked for */
	offer_subs(rig, N_SUBS);
	expect_offers(rig, 0, 1);
	rig_expect_nothing(&rig->r);
	release(rig, 2, 1);
	expect_offers(rig, 2, 1);
	/* Closed again before the last was released: it is wanted no more. */
	close_primary(rig);
	rig_drop_messages(&rig->r);
	release(rig, 0, N_SUBS);
	rig_expect_nothing(&rig->r);
	assert_int_equal(rig_errors(&rig->r), 0);
}

/* A guest that never releases harms itself only. */
static void test_never_released(void **state)
{
	struct sub_rig *rig = *state;
	struct vmbus_msg_offer_channel offer;

	offer_subs(rig, N_SUBS);
	for (unsigned round = 0; round < 5000; round++) {
		close_primary(rig);
		rig_drop_messages(&rig->r);
		reopen_primary(rig);
		offer_subs(rig, N_SUBS);
		rig_expect_nothing(&rig->r);
	}
	for (unsigned i = 0; i < N_SUBS; i++)
		assert_int_equal(rig->subs[i]->state, CTL_CHANNEL_REVOKED);
	rig_add(&rig->r, 9, 1);
	rig_expect(&rig->r, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 4 + N_SUBS);
	/* Everything is as on the first day after it started over. */
	rig_connect_with_offers(&rig->r, VMBUS_VERSION_5_3);
	rig_make_open(&rig->r, rig->relid, 9);
	offer_subs(rig, N_SUBS);
	expect_offers(rig, 0, N_SUBS);
}

/* Refused answers do not go missing when the guest's queue is full of what it did not read. */
static void test_a_guest_that_does_not_read(void **state)
{
	struct sub_rig *rig = *state;
	uint16_t status = 0;
	unsigned n = 0;

	for (unsigned round = 0; round < 5000 && !status; round++) {
		offer_subs(rig, N_SUBS);
		status = rig_relid(&rig->r, VMBUS_MSG_CLOSE_CHANNEL, rig->relid);
		for (unsigned i = 0; i < N_SUBS && !status; i++)
			status = rig_relid(&rig->r, VMBUS_MSG_RELID_RELEASED, 4 + i);
		if (!status)
			status = rig_open(&rig->r, rig->relid, 9, 4);
	}
	assert_int_equal(status, HV_STATUS_INSUFFICIENT_BUFFERS);
	offer_subs(rig, N_SUBS);
	for (; ctl_message_first(rig->r.ctl); n++)
		ctl_message_pop(rig->r.ctl, true);
	assert_in_range(n, CTL_QUEUE_PUSHBACK, CTL_QUEUE_PUSHBACK + 4 * N_SUBS);
}

static void test_primary_is_removed(void **state)
{
	struct sub_rig *rig = *state;
	struct vmbus_msg_offer_channel offer;
	struct vmbus_msg_relid m;

	offer_subs(rig, 2);
	expect_offers(rig, 0, 2);
	rig_make_open(&rig->r, rig->sub_relids[1], 20);
	ctl_channel_revoke(rig->r.ctl, rig->primary);
	assert_ptr_equal(rig->r.last_close, rig->primary);
	expect_rescinds(rig, 2);
	rig_expect(&rig->r, VMBUS_MSG_RESCIND_OFFER, &m, sizeof(m));
	assert_int_equal(m.relid, rig->relid);

	/* Back again: first the primary, and each when its place is free. */
	rig->primary = rig_add(&rig->r, 2, 1);
	for (unsigned i = 0; i < N_SUBS; i++)
		assert_int_equal(
			ctl_subchannel_add(rig->r.ctl, rig->primary, &rig->r, &rig->subs[i]), 0);
	rig_expect_nothing(&rig->r);
	release(rig, 0, 1);
	rig_expect_nothing(&rig->r);
	assert_int_equal(rig_relid(&rig->r, VMBUS_MSG_RELID_RELEASED, rig->relid), 0);
	rig_expect(&rig->r, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.sub_channel_index, 0);
	rig->relid = offer.relid;
	rig_make_open(&rig->r, rig->relid, 9);
	offer_subs(rig, N_SUBS);
	m.relid = rig->sub_relids[1]; /* the old one */
	expect_offers(rig, 0, 1);
	expect_offers(rig, 2, 1);
	rig_expect_nothing(&rig->r);
	assert_int_equal(rig_relid(&rig->r, VMBUS_MSG_RELID_RELEASED, m.relid), 0);
	expect_offers(rig, 1, 1);
	assert_int_equal(rig_errors(&rig->r), 0);
}

static void test_reset_and_unload(void **state)
{
	struct sub_rig *rig = *state;

	for (unsigned round = 0; round < 3; round++) {
		unsigned n_close = rig->r.n_close;

		offer_subs(rig, N_SUBS);
		expect_offers(rig, 0, N_SUBS);
		rig_make_open(&rig->r, rig->sub_relids[0], 20);
		if (round == 0)
			ctl_reset(rig->r.ctl);
		else if (round == 1)
			assert_int_equal(rig_plain(&rig->r, VMBUS_MSG_UNLOAD), 0);
		rig_drop_messages(&rig->r); /* in the last round: contact is enough */
		rig_connect_with_offers(&rig->r, VMBUS_VERSION_5_3);
		assert_int_equal(rig->r.n_close, n_close + 2);
		assert_ptr_equal(rig->r.last_close, rig->primary);
		for (unsigned i = 0; i < N_SUBS; i++)
			assert_int_equal(rig->subs[i]->relid, 0);
		rig_make_open(&rig->r, rig->relid, 9);
	}
}

static void test_too_many(void **state)
{
	struct sub_rig *rig = *state;
	struct ctl_channel *channel;
	unsigned n = 3 + N_SUBS;

	while (n < CTL_MAX_CHANNELS) {
		assert_int_equal(
			ctl_subchannel_add(rig->r.ctl, rig->primary, &rig->r, &channel), 0);
		n++;
	}
	assert_int_equal(channel->sub_channel_index, CTL_MAX_CHANNELS - 3);
	assert_int_equal(ctl_subchannel_add(rig->r.ctl, rig->primary, &rig->r, &channel), -ENOSPC);
	offer_subs(rig, n);
	assert_int_equal(channel->relid, VMBUS_MAX_RELID);
	rig_drop_messages(&rig->r);
	close_primary(rig);
	for (n = 3; n < CTL_MAX_CHANNELS; n++)
		rig_expect(&rig->r, VMBUS_MSG_RESCIND_OFFER, NULL, sizeof(struct vmbus_msg_relid));
	rig_expect_nothing(&rig->r);
}

/* Saved and restored, every sub-channel in another state. */
static void test_move(void **state)
{
	struct sub_rig *rig = *state, to;
	struct buf saved = {0}, again = {0};
	struct reader in;

	offer_subs(rig, N_SUBS);
	expect_offers(rig, 0, N_SUBS);
	close_primary(rig);
	expect_rescinds(rig, N_SUBS);
	reopen_primary(rig);
	offer_subs(rig, 2);
	release(rig, 1, 1);
	expect_offers(rig, 1, 1);
	rig_make_open(&rig->r, rig->sub_relids[1], 20);
	/* Now: wanted and waiting for release; open; rescinded and not wanted. */
	ctl_save(rig->r.ctl, &saved);
	sub_rig_init(&to);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(ctl_restore(to.r.ctl, &in, CTL_STATE_VERSION), 0);
	assert_int_equal(to.r.n_restored, 2);
	ctl_save(to.r.ctl, &again);
	assert_int_equal(saved.size_bytes, again.size_bytes);
	assert_memory_equal(saved.data, again.data, saved.size_bytes);

	memcpy(to.sub_relids, rig->sub_relids, sizeof(to.sub_relids));
	assert_int_equal(to.subs[1]->state, CTL_CHANNEL_OPEN);
	release(&to, 0, 1);
	expect_offers(&to, 0, 1);
	release(&to, 2, 1);
	rig_expect_nothing(&to.r);
	assert_int_equal(to.subs[2]->state, CTL_CHANNEL_UNOFFERED);
	close_primary(&to);
	expect_rescinds(&to, 2);
	assert_int_equal(rig_errors(&to.r), 0);
	rig_fini(&to.r);
	buf_fini(&saved);
	buf_fini(&again);
}

/* Byte by byte, and cut anywhere: refused, or a state that holds together. */
static void test_hostile_state(void **state)
{
	struct sub_rig *rig = *state, to;
	struct buf saved = {0};

	offer_subs(rig, N_SUBS);
	expect_offers(rig, 0, N_SUBS);
	rig_make_open(&rig->r, rig->sub_relids[1], 20);
	ctl_save(rig->r.ctl, &saved);
	sub_rig_init(&to);
	for (size_t i = 0; i < saved.size_bytes; i++) {
		static const uint8_t values[] = {0, 1, 2, 3, 4, 0x80, 0xff};
		uint8_t was = saved.data[i];
		struct reader cut = reader_make(saved.data, i);

		assert_int_equal(ctl_restore(to.r.ctl, &cut, CTL_STATE_VERSION), -EBADMSG);
		for (size_t v = 0; v < ARRAY_LEN(values); v++) {
			struct reader in = reader_make(saved.data, saved.size_bytes);

			saved.data[i] = values[v];
			if (ctl_restore(to.r.ctl, &in, CTL_STATE_VERSION))
				continue;
			/* It runs on. */
			ctl_subchannels_offer(to.r.ctl, to.primary, N_SUBS);
			(void)rig_relid(&to.r, VMBUS_MSG_CLOSE_CHANNEL, to.relid);
			ctl_reset(to.r.ctl);
		}
		saved.data[i] = was;
	}
	rig_fini(&to.r);
	buf_fini(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dormant_until_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_without_an_open_primary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_and_open_repeatedly, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_close_of_the_primary_closes_them, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_teardown_of_the_primary_s_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offered_again_when_released, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_released, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_guest_that_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_primary_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_and_unload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
