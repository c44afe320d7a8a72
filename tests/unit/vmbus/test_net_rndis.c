/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rndis.h"

#include "net_rndis_rig.h"

static void keepalive_reset_halt(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 77};
	const struct rndis_reset reset = {RNDIS_RESET, sizeof(reset), 0};
	const struct rndis_halt halt = {RNDIS_HALT, sizeof(halt), 78};
	struct rndis_reset_complete complete;

	(void)state;
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_DIRECTED);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
	assert_true(take());
	assert_int_equal(load_le32(answer), RNDIS_KEEPALIVE_COMPLETE);
	assert_int_equal(load_le32(answer + 8), 77);
	assert_int_equal(load_le32(answer + 12), RNDIS_STATUS_SUCCESS);

	assert_int_equal(handle(&reset, sizeof(reset)), 0);
	assert_true(take());
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_RESET_COMPLETE);
	assert_int_equal(complete.status, RNDIS_STATUS_SUCCESS);
	assert_int_equal(complete.addressing_reset, 1);
	assert_int_equal(rndis.packet_filter, 0);

	assert_int_equal(handle(&halt, sizeof(halt)), 0);
	assert_false(take());
	assert_false(rndis.ready);
	assert_false(net_rndis_accepts(&rndis, mac));
	assert_int_equal(initialize(1), RNDIS_STATUS_SUCCESS);
}

static void before_initialize_all_is_refused_but_answered(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 5};
	const struct rndis_reset reset = {RNDIS_RESET, sizeof(reset), 0};

	(void)state;
	assert_int_equal(query(OID_GEN_LINK_SPEED, NULL, 0), RNDIS_STATUS_FAILURE);
	assert_int_equal(set_u32(OID_GEN_CURRENT_PACKET_FILTER, 1), RNDIS_STATUS_FAILURE);
	assert_int_equal(rndis.packet_filter, 0);
	assert_int_equal(handle(&reset, sizeof(reset)), 0);
	assert_true(take());
	assert_int_equal(answer_bytes, sizeof(struct rndis_reset_complete));
	assert_int_equal(load_le32(answer + 8), RNDIS_STATUS_FAILURE);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
	assert_true(take());
	assert_int_equal(load_le32(answer + 12), RNDIS_STATUS_SUCCESS);
	assert_int_equal(initialize(2), RNDIS_STATUS_NOT_SUPPORTED);
	assert_false(rndis.ready);
}

static void malformed_messages_are_refused_whole(void **state)
{
	const struct rndis_oid_request good = {
		RNDIS_QUERY, sizeof(good), 1, OID_GEN_LINK_SPEED, 0, 20, 0};
	struct rndis_oid_request bad = good;

	(void)state;
	for (size_t bytes = 0; bytes < sizeof(good); bytes++)
		assert_int_equal(handle(&good, bytes), -EBADMSG);
	bad.length = sizeof(bad) - 1; /* too short for a query */
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.length = sizeof(bad) + 1; /* longer than there are bytes */
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.length = 0xffffffff;
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad = good;
	bad.type = RNDIS_PACKET; /* not control */
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.type = RNDIS_QUERY_COMPLETE;
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.type = RNDIS_INDICATE_STATUS;
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	assert_false(take());
}

static void a_value_outside_the_message_is_answered_with_an_error(void **state)
{
	static const struct {
		uint32_t length, offset;
	} bad[] = {
		{5, 20},                 /* beyond the message */
		{4, 21},                 /* the same */
		{4, 12},                 /* in the fixed part */
		{4, 0},                  /* the same */
		{0xffffffff, 20},        /* far */
		{4, 0xffffffff},         /* far */
		{0xffffffff, 0xffffffff} /* overflows */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (uint32_t type = RNDIS_QUERY; type <= RNDIS_SET; type++) {
			uint8_t message[32] = {0};
			const struct rndis_oid_request fixed = {type, sizeof(message), 1,
				OID_GEN_CURRENT_PACKET_FILTER, bad[i].length, bad[i].offset, 0};

			memcpy(message, &fixed, sizeof(fixed));
			assert_int_equal(handle(message, sizeof(message)), 0);
			assert_true(take());
			assert_int_equal(load_le32(answer + 12), RNDIS_STATUS_INVALID_DATA);
			if (type == RNDIS_QUERY)
				assert_int_equal(load_le32(answer + 20), RNDIS_QUERY_BUFFER_OFFSET);
		}
	}
	assert_int_equal(rndis.packet_filter, 0);
}

static void unread_answers_push_back(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 5};
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < NET_RNDIS_MAX_ANSWERS - 1; i++)
		assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), -EBUSY);
	rndis.link_up = false; /* still has its place */
	while (take())
		n++;
	assert_int_equal(n, NET_RNDIS_MAX_ANSWERS);
	assert_int_equal(load_le32(answer), RNDIS_INDICATE_STATUS);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
}

static void assert_indication(uint32_t status)
{
	struct rndis_indicate_status indication;

	assert_true(take());
	assert_int_equal(answer_bytes, sizeof(indication));
	memcpy(&indication, answer, sizeof(indication));
	assert_int_equal(indication.type, RNDIS_INDICATE_STATUS);
	assert_int_equal(indication.status, status);
	assert_int_equal(indication.buffer_length, 0);
	net_rndis_link_taken(&rndis);
}

static void the_link_is_told_once(void **state)
{
	(void)state;
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_DIRECTED);
	assert_false(take());
	rndis.link_up = false;
	assert_indication(RNDIS_STATUS_MEDIA_DISCONNECT);
	assert_false(take());
	assert_int_equal(query_u32(OID_GEN_MEDIA_CONNECT_STATUS), 1);
	rndis.link_up = true;
	rndis.link_up = false; /* flaps between two looks: nothing to tell */
	assert_false(take());
	rndis.link_up = true;
	assert_indication(RNDIS_STATUS_MEDIA_CONNECT);
	assert_false(take());
}

/* While the guest has not given the last one back, there is none: then the last state wins. */
static void a_flapping_link_is_told_at_the_guests_pace(void **state)
{
	(void)state;
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_DIRECTED);
	rndis.link_up = false;
	assert_true(take());
	for (unsigned i = 0; i < 10; i++) {
		rndis.link_up = i % 2;
		assert_false(take());
	}
	net_rndis_link_taken(&rndis);
	assert_indication(RNDIS_STATUS_MEDIA_CONNECT);
	rndis.link_up = false;
	rndis.link_up = true;
	assert_false(take());
}

static void the_link_waits_for_initialize(void **state)
{
	(void)state;
	rndis.link_up = false;
	assert_false(take());
	assert_int_equal(initialize(1), RNDIS_STATUS_SUCCESS);
	assert_false(take()); /* it will ask */
	assert_int_equal(query_u32(OID_GEN_MEDIA_CONNECT_STATUS), 1);
	rndis.link_up = true;
	assert_indication(RNDIS_STATUS_MEDIA_CONNECT);
}

/* Between INITIALIZE and its interface a guest does not listen. */
static void a_change_before_the_filter_is_told_again(void **state)
{
	(void)state;
	rndis.link_up = false;
	assert_indication(RNDIS_STATUS_MEDIA_DISCONNECT);
	assert_int_equal(set_u32(OID_GEN_CURRENT_PACKET_FILTER, 1), 0);
	assert_indication(RNDIS_STATUS_MEDIA_DISCONNECT);
	assert_false(take());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keepalive_reset_halt, setup_ready),
		cmocka_unit_test_setup(before_initialize_all_is_refused_but_answered, setup),
		cmocka_unit_test_setup(malformed_messages_are_refused_whole, setup_ready),
		cmocka_unit_test_setup(
			a_value_outside_the_message_is_answered_with_an_error, setup_ready),
		cmocka_unit_test_setup(unread_answers_push_back, setup_ready),
		cmocka_unit_test_setup(the_link_is_told_once, setup_ready),
		cmocka_unit_test_setup(a_flapping_link_is_told_at_the_guests_pace, setup_ready),
		cmocka_unit_test_setup(the_link_waits_for_initialize, setup),
		cmocka_unit_test_setup(a_change_before_the_filter_is_told_again, setup_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
