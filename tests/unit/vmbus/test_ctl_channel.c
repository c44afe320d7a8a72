/* SPDX-License-Identifier: MIT
 *
 * Channels of the control plane: opening, closing, moving, rescinding.
 */
#include "ctl_rig.h"

static int setup(void **state)
{
	static struct ctl_rig rig;

	rig_init(&rig);
	rig_add(&rig, 1, 1);
	rig_add(&rig, 2, 1);
	rig_connect_with_offers(&rig, VMBUS_VERSION_5_3);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static uint32_t open_status(struct ctl_rig *rig)
{
	struct vmbus_msg_open_result result;

	rig_expect(rig, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result));
	return result.status;
}

static void test_open_close_reopen(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_info info;

	rig_make_open(rig, 1, 9);
	assert_int_equal(rig->last_open->open.target_vp, 1);
	assert_int_equal(rig->last_open->open.open_id, 101);
	assert_int_equal(rig->last_open->open.user_data[119], 0x77);
	ctl_get_info(rig->ctl, &info);
	assert_int_equal(info.n_open_channels, 1);
	assert_int_equal(info.n_offers, 2);

	assert_int_equal(rig_relid(rig, VMBUS_MSG_CLOSE_CHANNEL, 1), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig->n_close, 1);
	/* The GPADL is still there. */
	assert_int_equal(rig_open(rig, 1, 9, 4), 0);
	assert_int_equal(open_status(rig), 0);
	assert_int_equal(rig->n_open, 2);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_CLOSE_CHANNEL, 1), 0);
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
	assert_int_equal(rig->n_gone, 1);
	rig_make_open(rig, 1, 10);
	assert_int_equal(rig_errors(rig), 0);
}

static void test_open_twice(void **state)
{
	struct ctl_rig *rig = *state;

	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_open(rig, 1, 9, 4), 0);
	assert_int_not_equal(open_status(rig), 0);
	assert_int_equal(rig->n_open, 1);
	assert_int_equal(rig->n_close, 0);
	assert_int_equal(rig_errors(rig), 1);
}

static void test_open_without_rings(void **state)
{
	struct ctl_rig *rig = *state;
	static const uint32_t bad_offsets[] = {0, 1, 7, 8, 9, 0x80000000, 0xffffffff};
	uint64_t n = 0;

	assert_int_equal(rig_open(rig, 1, 9, 4), 0); /* no such GPADL */
	assert_int_not_equal(open_status(rig), 0);
	assert_int_equal(rig_errors(rig), ++n);

	rig_make_gpadl(rig, 1, 9, 8);
	for (size_t i = 0; i < ARRAY_LEN(bad_offsets); i++) {
		assert_int_equal(rig_open(rig, 1, 9, bad_offsets[i]), 0);
		assert_int_not_equal(open_status(rig), 0);
		assert_int_equal(rig_errors(rig), ++n);
	}

	assert_int_equal(rig_open(rig, 2, 9, 4), 0); /* another channel's */
	assert_int_not_equal(open_status(rig), 0);

	rig_make_gpadl(rig, 1, 10, 3); /* too small whatever the offset */
	for (uint32_t offset = 0; offset < 5; offset++) {
		assert_int_equal(rig_open(rig, 1, 10, offset), 0);
		assert_int_not_equal(open_status(rig), 0);
	}

	assert_int_equal(rig_gpadl_header(rig, 1, 11, 8 * VMBUS_PAGE_BYTES, 512, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_CREATED, NULL, sizeof(struct vmbus_msg_gpadl_created));
	assert_int_equal(rig_open(rig, 1, 11, 4), 0); /* not whole pages */
	assert_int_not_equal(open_status(rig), 0);

	assert_int_equal(rig_gpadl_header(rig, 1, 12, 64 * VMBUS_PAGE_BYTES, 0, 26), 0);
	assert_int_equal(rig_open(rig, 1, 12, 4), 0); /* under assembly */
	assert_int_not_equal(open_status(rig), 0);
	assert_int_equal(rig->n_open, 0);
}

static void test_device_refuses(void **state)
{
	struct ctl_rig *rig = *state;

	rig->refuse_open = -EIO;
	rig_make_gpadl(rig, 1, 9, 8);
	assert_int_equal(rig_open(rig, 1, 9, 4), 0);
	assert_int_not_equal(open_status(rig), 0);
	assert_int_equal(rig_errors(rig), 0); /* not the guest's fault */
	rig->refuse_open = 0;
	assert_int_equal(rig_open(rig, 1, 9, 4), 0);
	assert_int_equal(open_status(rig), 0);
}

static void test_no_such_channel(void **state)
{
	struct ctl_rig *rig = *state;
	static const uint32_t relids[] = {0, 3, 2047, 2048, 0xffffffff};
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(relids); i++) {
		struct vmbus_msg_modify_response response;

		assert_int_equal(rig_open(rig, relids[i], 9, 4), 0);
		assert_int_equal(rig_relid(rig, VMBUS_MSG_CLOSE_CHANNEL, relids[i]), 0);
		assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, relids[i]), 0);
		rig_expect_nothing(rig);
		assert_int_equal(rig_modify(rig, relids[i], 0), 0);
		rig_expect(rig, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
		assert_int_not_equal(response.status, 0);
		n += 4;
		assert_int_equal(rig_errors(rig), n);
	}
}

static void test_close_not_open(void **state)
{
	struct ctl_rig *rig = *state;

	assert_int_equal(rig_relid(rig, VMBUS_MSG_CLOSE_CHANNEL, 1), 0);
	assert_int_equal(rig_errors(rig), 1);
	assert_int_equal(rig->n_close, 0);
}

static void test_modify(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_modify_response response;

	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_modify(rig, 1, 3), 0);
	rig_expect(rig, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.relid, 1);
	assert_int_equal(response.status, 0);
	assert_int_equal(rig->n_retarget, 1);
	assert_int_equal(rig->last_open->open.target_vp, 3);
	/* Not open. */
	assert_int_equal(rig_modify(rig, 2, 3), 0);
	rig_expect(rig, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
	assert_int_not_equal(response.status, 0);
	assert_int_equal(rig->n_retarget, 1);

	/* Without the answer in versions before it. */
	rig_connect_with_offers(rig, VMBUS_VERSION_5_2);
	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_modify(rig, 1, 2), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig->n_retarget, 2);
}

static void test_rescind_open_channel(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_gpadl_created created;
	struct vmbus_msg_relid rescind;
	struct vmbus_info info;

	rig_make_open(rig, 1, 9);
	rig_make_gpadl(rig, 1, 10, 40);
	assert_int_equal(rig_gpadl_header(rig, 1, 11, 64 * VMBUS_PAGE_BYTES, 0, 26), 0);
	ctl_channel_revoke(rig->ctl, rig->last_open);
	rig_expect(rig, VMBUS_MSG_RESCIND_OFFER, &rescind, sizeof(rescind));
	assert_int_equal(rescind.relid, 1);
	assert_int_equal(rig->n_close, 1);
	assert_int_equal(rig->n_gone, 2);
	ctl_get_info(rig->ctl, &info);
	assert_int_equal(info.n_offers, 1);

	/* What crosses a rescind is not the guest's fault. */
	assert_int_equal(rig_open(rig, 1, 9, 4), 0);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_CLOSE_CHANNEL, 1), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_gpadl_header(rig, 1, 12, VMBUS_PAGE_BYTES, 0, 1), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created));
	assert_int_not_equal(created.status, 0);
	assert_int_equal(rig_teardown(rig, 1, 9), 0);
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
	assert_int_equal(rig_modify(rig, 1, 2), 0);
	rig_expect(rig, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, NULL,
		sizeof(struct vmbus_msg_modify_response));
	assert_int_equal(rig_errors(rig), 0);

	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 1), 0);
	assert_int_equal(rig_errors(rig), 0);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 1), 0);
	assert_int_equal(rig_errors(rig), 1);
}

static void test_relid_is_reused_only_after_release(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_offer_channel offer;

	ctl_channel_revoke(rig->ctl, ctl_channel_next(rig->ctl, NULL));
	rig_drop_messages(rig);
	rig_add(rig, 4, 1);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 3);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 1), 0);
	rig_add(rig, 5, 1);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.relid, 1);
}

/* Linux drops an offer of an instance that it still has, and would never see it again. */
static void test_device_returns_before_the_guest_released_it(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_offer_channel offer;

	rig_make_open(rig, 1, 9);
	ctl_channel_revoke(rig->ctl, rig->last_open);
	rig_expect(rig, VMBUS_MSG_RESCIND_OFFER, NULL, sizeof(struct vmbus_msg_relid));
	/* It comes, goes and comes again, and another one comes. */
	ctl_channel_revoke(rig->ctl, rig_add(rig, 1, 1));
	rig_add(rig, 1, 1);
	rig_expect_nothing(rig);
	rig_add(rig, 1, 2);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.instance_guid[0], 2);
	assert_int_equal(offer.relid, 3);

	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 1), 0);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.class_guid[0], 1);
	assert_int_equal(offer.instance_guid[0], 1);
	assert_int_equal(offer.relid, 1);
	rig_make_open(rig, 1, 10);
	assert_int_equal(rig_errors(rig), 0);

	/* A guest that never releases it gets it when it starts over. */
	ctl_channel_revoke(rig->ctl, rig->last_open);
	rig_add(rig, 1, 1);
	rig_drop_messages(rig);
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.class_guid[0], 1);
	assert_int_equal(offer.relid, 1);
}

static void test_rescinded_channels_end_with_the_connection(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_offer_channel offer;

	ctl_channel_revoke(rig->ctl, ctl_channel_next(rig->ctl, NULL));
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.class_guid[0], 2);
	assert_int_equal(offer.relid, 1);
}

static void test_released_without_rescind(void **state)
{
	struct ctl_rig *rig = *state;

	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 1), 0);
	assert_int_equal(rig_relid(rig, VMBUS_MSG_RELID_RELEASED, 2), 0);
	assert_int_equal(rig_errors(rig), 2);
	assert_int_equal(rig->n_close, 0);
}

static void test_removed_before_the_guest_knew(void **state)
{
	struct ctl_rig *rig = *state;

	ctl_reset(rig->ctl);
	ctl_channel_revoke(rig->ctl, ctl_channel_next(rig->ctl, NULL));
	rig_expect_nothing(rig);
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, NULL, sizeof(struct vmbus_msg_offer_channel));
	rig_expect(rig, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_close_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_without_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_channel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_not_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rescind_open_channel, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_relid_is_reused_only_after_release, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_device_returns_before_the_guest_released_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_rescinded_channels_end_with_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_released_without_rescind, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_removed_before_the_guest_knew, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
