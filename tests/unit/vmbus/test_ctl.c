/* SPDX-License-Identifier: MIT
 *
 * Connection, offers and the message table.
 */
#include "ctl_rig.h"

static int setup(void **state)
{
	static struct ctl_rig rig;

	rig_init(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void test_each_version(void **state)
{
	static const uint32_t versions[] = {VMBUS_VERSION_2_4, VMBUS_VERSION_3_0, VMBUS_VERSION_4_0,
		VMBUS_VERSION_4_1, VMBUS_VERSION_5_0, VMBUS_VERSION_5_1, VMBUS_VERSION_5_2,
		VMBUS_VERSION_5_3};
	struct ctl_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct vmbus_msg_version_response response;
		struct vmbus_info info;

		assert_int_equal(rig_contact(rig, versions[i]), HV_STATUS_SUCCESS);
		rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
		assert_int_equal(response.supported, 1);
		assert_int_equal(response.connection_state, VMBUS_CONNECTION_OK);
		assert_int_equal(response.message_connection_id,
			versions[i] < VMBUS_VERSION_5_0 ? versions[i] : VMBUS_CONNECTION_MESSAGES);
		ctl_get_info(rig->ctl, &info);
		assert_true(info.connected);
		assert_int_equal(info.version, versions[i]);
	}
	assert_int_equal(rig_errors(rig), 0);
}

static void test_refused_versions_are_answered(void **state)
{
	static const uint32_t versions[] = {0, 0xd, VMBUS_VERSION(1, 1), VMBUS_VERSION(2, 5),
		VMBUS_VERSION(5, 4), VMBUS_VERSION(6, 0), 0xffffffff};
	struct ctl_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct vmbus_msg_version_response response;
		struct vmbus_info info;

		assert_int_equal(rig_contact(rig, versions[i]), HV_STATUS_SUCCESS);
		rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
		assert_int_equal(response.supported, 0);
		ctl_get_info(rig->ctl, &info);
		assert_false(info.connected);
	}
	rig_connect(rig, VMBUS_VERSION_5_2);
}

static void test_contact_for_another_sint_is_refused(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_initiate_contact m = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = VMBUS_VERSION_5_3,
		.target_vp = 7,
		.v5 = {.sint = 5},
	};
	struct vmbus_msg_version_response response;

	assert_int_equal(rig_send(rig, &m, sizeof(m)), 0);
	rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 0);
	m.v5.sint = VMBUS_SINT;
	m.v5.vtl = 2;
	assert_int_equal(rig_send(rig, &m, sizeof(m)), 0);
	rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 0);
}

static void test_second_contact_unloads(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_version_response response;

	rig_add(rig, 1, 1);
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_gpadl_header(rig, 1, 10, 64 * VMBUS_PAGE_BYTES, 0, 26), 0);
	/* An answer the guest did not take is dropped with the old connection. */
	assert_int_equal(rig_teardown(rig, 1, 77), 0);
	assert_int_equal(rig_contact(rig, VMBUS_VERSION_4_0), 0);
	assert_int_equal(rig->n_close, 1);
	assert_int_equal(rig->n_gone, 1);
	rig_expect(rig, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.supported, 1);
	rig_expect_nothing(rig);
	/* Offers come anew. */
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, NULL, sizeof(struct vmbus_msg_offer_channel));
	rig_expect(rig, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
}

static void test_refused_second_contact_unloads(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_info info;

	rig_add(rig, 1, 1);
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_contact(rig, VMBUS_VERSION(9, 9)), 0);
	ctl_get_info(rig->ctl, &info);
	assert_false(info.connected);
	assert_int_equal(info.n_open_channels, 0);
}

static void expect_offer(
	struct ctl_rig *rig, uint8_t class_byte, uint8_t instance_byte, uint32_t relid)
{
	struct vmbus_msg_offer_channel offer;

	rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer));
	assert_int_equal(offer.class_guid[0], class_byte);
	assert_int_equal(offer.class_guid[15], class_byte);
	assert_int_equal(offer.instance_guid[0], instance_byte);
	assert_int_equal(offer.relid, relid);
	assert_int_equal(offer.flags, VMBUS_OFFER_ENUMERATE_INTERFACE);
	assert_int_equal(offer.mmio_mb, 3);
	assert_int_equal(offer.user_defined[119], 0x55);
	assert_int_equal(offer.sub_channel_index, 0);
	assert_int_equal(offer.is_dedicated_interrupt, 1);
	assert_int_equal(offer.monitor_allocated, 0);
	assert_int_equal(offer.connection_id, CTL_EVENT_CONNECTION_BASE + relid);
}

static void test_offers_are_sorted(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_offer again = rig_offer(2, 2);
	struct ctl_channel *channel;

	rig_add(rig, 2, 2);
	rig_add(rig, 3, 1);
	rig_add(rig, 1, 9);
	rig_add(rig, 2, 1);
	assert_int_equal(ctl_channel_add(rig->ctl, &again, rig, &channel), -EEXIST);
	rig_connect(rig, VMBUS_VERSION_5_3);
	rig_expect_nothing(rig); /* not asked for yet */
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	expect_offer(rig, 1, 9, 1);
	expect_offer(rig, 2, 1, 2);
	expect_offer(rig, 2, 2, 3);
	expect_offer(rig, 3, 1, 4);
	rig_expect(rig, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(struct vmbus_msg_header));
	rig_expect_nothing(rig);

	/* Later ones come at once, and take their place in the order with the next boot. */
	rig_add(rig, 0, 1);
	expect_offer(rig, 0, 1, 5);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_UNLOAD), 0);
	rig_expect(rig, VMBUS_MSG_UNLOAD_RESPONSE, NULL, sizeof(struct vmbus_msg_header));
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	expect_offer(rig, 0, 1, 1);
	expect_offer(rig, 1, 9, 2);
}

static void test_offers_once(void **state)
{
	struct ctl_rig *rig = *state;

	rig_add(rig, 1, 1);
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	rig_expect_nothing(rig);
	assert_int_equal(rig_errors(rig), 1);
}

static void test_unload(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_info info;

	rig_add(rig, 1, 1);
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	rig_make_open(rig, 1, 9);
	assert_int_equal(rig_teardown(rig, 1, 77), 0); /* leaves an answer in the queue */
	assert_int_equal(rig_plain(rig, VMBUS_MSG_UNLOAD), 0);
	rig_expect(rig, VMBUS_MSG_UNLOAD_RESPONSE, NULL, sizeof(struct vmbus_msg_header));
	rig_expect_nothing(rig);
	assert_int_equal(rig->n_close, 1);
	assert_int_equal(rig->n_gone, 1);
	ctl_get_info(rig->ctl, &info);
	assert_false(info.connected);
	assert_int_equal(info.version, 0);
	assert_int_equal(info.n_offers, 1);
	assert_int_equal(info.n_open_channels, 0);
}

static void test_reset_is_silent(void **state)
{
	struct ctl_rig *rig = *state;

	rig_add(rig, 1, 1);
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	rig_make_open(rig, 1, 9);
	ctl_reset(rig->ctl);
	assert_int_equal(rig->n_close, 1);
	rig_expect_nothing(rig);
}

static void test_socket_requests_are_refused(void **state)
{
	struct ctl_rig *rig = *state;
	uint8_t bytes[56] = {VMBUS_MSG_TL_CONNECT_REQUEST};
	struct vmbus_msg_tl_connect_result result;

	memset(bytes + 8, 0xaa, 16);
	memset(bytes + 24, 0xbb, 16);
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_send(rig, bytes, sizeof(bytes)), 0);
	rig_expect(rig, VMBUS_MSG_TL_CONNECT_RESULT, &result, sizeof(result));
	assert_int_equal(result.endpoint_guid[15], 0xaa);
	assert_int_equal(result.service_guid[0], 0xbb);
	assert_int_not_equal(result.status, 0);
}

static void test_connection_ids(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_msg_header m = {.type = VMBUS_MSG_REQUEST_OFFERS};
	static const uint32_t unknown[] = {0, 2, 3, 5, CTL_EVENT_CONNECTION_BASE, 0xffffffff};

	rig_connect(rig, VMBUS_VERSION_5_3);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		assert_int_equal(ctl_receive(rig->ctl, unknown[i], 1, &m, sizeof(m)),
			HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(ctl_receive(rig->ctl, VMBUS_CONNECTION_MESSAGES_V5, 1, &m, sizeof(m)), 0);
	rig_expect(rig, VMBUS_MSG_ALL_OFFERS_DELIVERED, NULL, sizeof(m));
}

static void test_malformed(void **state)
{
	struct ctl_rig *rig = *state;
	uint8_t bytes[VMBUS_MSG_MAX_BYTES + 1] = {VMBUS_MSG_INITIATE_CONTACT};

	assert_int_equal(rig_send(rig, bytes, 0), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(rig_send(rig, bytes, 7), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(rig_send(rig, bytes, sizeof(bytes)), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(ctl_receive(rig->ctl, 1, 2, bytes, 40), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(
		ctl_receive(rig->ctl, 1, 0x80000010, bytes, 40), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(rig_errors(rig), 5);
	rig_expect_nothing(rig);
}

static void test_unknown_types(void **state)
{
	struct ctl_rig *rig = *state;
	uint64_t n = 0;

	rig_connect(rig, VMBUS_VERSION_5_3);
	for (uint32_t type = 0; type < 64; type++) {
		if (ctl_table_find(type))
			continue;
		assert_int_equal(rig_plain(rig, type), HV_STATUS_SUCCESS);
		n++;
	}
	assert_int_equal(rig_errors(rig), n);
	rig_expect_nothing(rig);
}

/* Every row of the table: one byte short, in the wrong state, in too old a version; and each row is
 * reached by a message of exactly its size. */
static void test_every_row(void **state)
{
	struct ctl_rig *rig = *state;

	for (size_t i = 0; i < ctl_table_len; i++) {
		const struct ctl_row *row = &ctl_table[i];
		uint8_t bytes[VMBUS_MSG_MAX_BYTES] = {0};
		struct vmbus_info info;
		uint64_t errors, n_in;

		store_le32(bytes, row->type);
		rig_connect(rig, VMBUS_VERSION_5_3);
		errors = rig_errors(rig);
		for (size_t size = 8; size < row->min_bytes; size++) {
			assert_int_equal(rig_send(rig, bytes, size), HV_STATUS_INVALID_PARAMETER);
			assert_int_equal(rig_errors(rig), ++errors);
		}
		rig_expect_nothing(rig);

		if (row->min_version) {
			rig_connect(rig, VMBUS_VERSION_2_4);
			assert_int_equal(rig_send(rig, bytes, row->min_bytes), 0);
			assert_int_equal(rig_errors(rig), ++errors);
			rig_expect_nothing(rig);
			rig_connect(rig, VMBUS_VERSION_5_3);
		}

		ctl_get_info(rig->ctl, &info);
		n_in = info.n_messages_in;
		assert_int_equal(rig_send(rig, bytes, row->min_bytes), 0);
		ctl_get_info(rig->ctl, &info);
		assert_int_equal(info.n_messages_in, n_in + 1);
		/* Longer than needed is as good. */
		rig_drop_messages(rig);
		rig_connect(rig, VMBUS_VERSION_5_3);
		assert_int_equal(rig_send(rig, bytes, sizeof(bytes)), 0);
		ctl_get_info(rig->ctl, &info);
		assert_int_equal(info.n_messages_in, n_in + 3);

		rig_drop_messages(rig);
		ctl_reset(rig->ctl);
		errors = rig_errors(rig);
		assert_int_equal(rig_send(rig, bytes, row->min_bytes), 0);
		if (!(row->states & 1U << CTL_DISCONNECTED)) {
			assert_int_equal(rig_errors(rig), errors + 1);
			rig_expect_nothing(rig);
		}
		rig_drop_messages(rig);
	}
}

static void test_pushback(void **state)
{
	struct ctl_rig *rig = *state;
	unsigned n = 0;

	rig_add(rig, 1, 1);
	rig_connect_with_offers(rig, VMBUS_VERSION_5_3);
	while (rig_teardown(rig, 1, n) == HV_STATUS_SUCCESS)
		n++;
	assert_int_equal(n, CTL_QUEUE_PUSHBACK);
	assert_int_equal(rig_teardown(rig, 1, n), HV_STATUS_INSUFFICIENT_BUFFERS);
	/* Room again, nothing lost, the order kept. */
	for (unsigned i = 0; i < n; i++) {
		struct vmbus_msg_gpadl_torndown m;

		rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, &m, sizeof(m));
		assert_int_equal(m.gpadl_id, i);
		if (i == 0)
			assert_int_equal(rig_teardown(rig, 1, n), HV_STATUS_SUCCESS);
	}
	rig_expect(rig, VMBUS_MSG_GPADL_TORNDOWN, NULL, sizeof(struct vmbus_msg_gpadl_torndown));
	rig_expect_nothing(rig);

	/* A crashing guest gets through. */
	while (rig_teardown(rig, 1, n) == HV_STATUS_SUCCESS)
		;
	assert_int_equal(rig_plain(rig, VMBUS_MSG_UNLOAD), HV_STATUS_SUCCESS);
	rig_expect(rig, VMBUS_MSG_UNLOAD_RESPONSE, NULL, sizeof(struct vmbus_msg_header));

	/* Contact is pushed back only while there is no connection to reset. */
	n = 0;
	while (rig_contact(rig, VMBUS_VERSION(9, 9)) == HV_STATUS_SUCCESS)
		n++;
	assert_int_equal(n, CTL_QUEUE_PUSHBACK);
	rig_drop_messages(rig);
	rig_connect(rig, VMBUS_VERSION_5_3);
}

static void test_as_many_channels_as_relids(void **state)
{
	struct ctl_rig *rig = *state;
	struct vmbus_offer offer = rig_offer(9, 0);
	struct ctl_channel *channel;
	unsigned n = 0;

	for (; n < CTL_MAX_CHANNELS; n++) {
		store_le32(offer.instance_guid, n);
		assert_int_equal(ctl_channel_add(rig->ctl, &offer, rig, &channel), 0);
	}
	store_le32(offer.instance_guid, n);
	assert_int_equal(ctl_channel_add(rig->ctl, &offer, rig, &channel), -ENOSPC);
	rig_connect(rig, VMBUS_VERSION_5_3);
	assert_int_equal(rig_plain(rig, VMBUS_MSG_REQUEST_OFFERS), 0);
	for (uint32_t relid = 1; relid <= CTL_MAX_CHANNELS; relid++) {
		struct vmbus_msg_offer_channel m;

		rig_expect(rig, VMBUS_MSG_OFFER_CHANNEL, &m, sizeof(m));
		assert_int_equal(m.relid, relid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_version, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_refused_versions_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_contact_for_another_sint_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_contact_unloads, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_refused_second_contact_unloads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offers_are_sorted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offers_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_is_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_requests_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connection_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_row, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pushback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_as_many_channels_as_relids, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
