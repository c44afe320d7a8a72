/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct net_rig rig;
static struct net_double_packet packet;

static int setup(void **state)
{
	(void)state;
	rig = (struct net_rig){0};
	rig_new(&rig, RIG_ALL_CAPS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static int setup_negotiated(void **state)
{
	setup(state);
	assert_int_equal(rig_init(&rig, NVSP_VERSION_61, NVSP_VERSION_61), NVSP_STATUS_SUCCESS);
	return 0;
}

static int setup_up(void **state)
{
	setup(state);
	rig_up(&rig);
	return 0;
}

/* Every message refused from here on counts. */
static uint64_t errors(void)
{
	return rig_stats(&rig).n_protocol_errors;
}

/* The status word at `at` of the answer to a message. */
static uint32_t status_of(const void *message, size_t size_bytes, size_t at)
{
	uint8_t answer[NVSP_MESSAGE_BYTES];

	rig_exchange(&rig, message, size_bytes, answer);
	return load_le32(answer + at);
}

static void each_version_is_negotiated(void **state)
{
	static const uint32_t versions[] = {NVSP_VERSION_1, NVSP_VERSION_2, NVSP_VERSION_4,
		NVSP_VERSION_5, NVSP_VERSION_6, NVSP_VERSION_61};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		net_queue_open(rig.vsp->queues, rig.channel);
		assert_int_equal(rig_init(&rig, versions[i], versions[i]), NVSP_STATUS_SUCCESS);
		assert_int_equal(rig.vsp->version, versions[i]);
	}
	assert_int_equal(errors(), 0);
}

static void the_newest_of_a_range_is_taken(void **state)
{
	(void)state;
	assert_int_equal(rig_init(&rig, 0, 0x5ffff), NVSP_STATUS_SUCCESS);
	assert_int_equal(rig.vsp->version, NVSP_VERSION_5);
}

/* As Linux falls back: one try after the other on the same channel. */
static void refused_versions_are_answered(void **state)
{
	(void)state;
	assert_int_equal(rig_init(&rig, 0x70000, 0x70000), NVSP_STATUS_PROTOCOL_TOO_NEW);
	assert_int_equal(rig_init(&rig, 1, 1), NVSP_STATUS_PROTOCOL_TOO_OLD);
	assert_int_not_equal(rig_init(&rig, 0x50001, 0x5ffff), NVSP_STATUS_SUCCESS);
	assert_int_equal(rig_init(&rig, 5, 4), NVSP_STATUS_FAILURE);
	assert_int_equal(rig.vsp->version, 0);
	assert_int_equal(rig_init(&rig, NVSP_VERSION_61, NVSP_VERSION_61), NVSP_STATUS_SUCCESS);
	assert_int_equal(rig_init(&rig, NVSP_VERSION_61, NVSP_VERSION_61), NVSP_STATUS_FAILURE);
}

/* The order of Linux 6.1, with what it asks on the way. */
static void the_order_of_linux(void **state)
{
	struct ndis_object_header offload = {NDIS_OBJECT_OFFLOAD, 3, NDIS_OFFLOAD_BYTES_6_30};
	struct ndis_offload_params params = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(params)},
		.tcp4_csum = NDIS_CSUM_BOTH,
		.tcp6_csum = NDIS_CSUM_BOTH,
		.lso4 = NDIS_SEGMENT_ON,
		.lso6 = NDIS_SEGMENT_ON,
	};
	uint8_t room[NDIS_OFFLOAD_BYTES_6_30] = {0};

	(void)state;
	rig_init(&rig, NVSP_VERSION_61, NVSP_VERSION_61);
	rig_ndis(&rig, NVSP_VERSION_61);
	rig_buffers(&rig);
	rig_rndis(&rig);
	assert_int_equal(rig_query(&rig, OID_GEN_MAXIMUM_FRAME_SIZE, NULL, 0), 0);
	assert_int_equal(load_le32(rig_value(&rig, 4)), 1500);
	assert_int_equal(rig_query(&rig, OID_802_3_PERMANENT_ADDRESS, NULL, 0), 0);
	assert_memory_equal(rig_value(&rig, 6), frame_dst, 6);
	assert_int_not_equal(rig_query(&rig, OID_GEN_FRIENDLY_NAME, NULL, 0), 0);
	memcpy(room, &offload, sizeof(offload));
	assert_int_equal(
		rig_query(&rig, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, room, sizeof(room)), 0);
	rig_value(&rig, NDIS_OFFLOAD_BYTES_6_30);
	assert_int_equal(rig_set(&rig, OID_TCP_OFFLOAD_PARAMETERS, &params, sizeof(params)), 0);
	assert_int_equal(rig_query(&rig, OID_GEN_MEDIA_CONNECT_STATUS, NULL, 0), 0);
	assert_int_equal(load_le32(rig_value(&rig, 4)), 0);
	assert_int_equal(rig_query(&rig, OID_GEN_LINK_SPEED, NULL, 0), 0);
	assert_int_equal(rig_query(&rig, OID_GEN_RECEIVE_SCALE_CAPABILITIES, NULL, 0), 0);
	rig_value(&rig, 18);
	rig_set_filter(&rig, NDIS_PACKET_TYPE_DIRECTED);
	assert_int_equal(errors(), 0);
	assert_int_equal(rig.vsp->guest_frame_bytes, 1514);
	assert_int_equal(rig.vsp->guest_caps, NVSP_NDIS_CAP_8021Q);
}

static void old_guests_get_old_objects(void **state)
{
	static const struct {
		uint32_t version;
		size_t offload_bytes;
	} cases[] = {
		{NVSP_VERSION_1, NDIS_OFFLOAD_BYTES_6_1},
		{NVSP_VERSION_4, NDIS_OFFLOAD_BYTES_6_1},
		{NVSP_VERSION_5, NDIS_OFFLOAD_BYTES_6_30},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		net_queue_open(rig.vsp->queues, rig.channel);
		rig_init(&rig, cases[i].version, cases[i].version);
		rig_ndis(&rig, cases[i].version);
		rig_buffers(&rig);
		rig_rndis(&rig);
		assert_int_equal(
			rig_query(&rig, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0), 0);
		rig_value(&rig, cases[i].offload_bytes);
	}
	assert_int_equal(errors(), 0);
}

/* Messages of 28 bytes, the size of the union before version 2. */
static void short_unions_are_taken(void **state)
{
	uint8_t message[NVSP_MESSAGE_MIN_BYTES] = {0};
	const struct nvsp_init init = {NVSP_INIT, NVSP_VERSION_1, NVSP_VERSION_1};

	(void)state;
	memcpy(message, &init, sizeof(init));
	assert_int_equal(status_of(message, sizeof(message), 12), NVSP_STATUS_SUCCESS);
}

static void nothing_goes_before_init(void **state)
{
	const struct nvsp_send_buf recv = {NVSP_SEND_RECV_BUF, RIG_RECV_GPADL, NVSP_RECV_BUF_ID};
	const struct nvsp_send_buf send = {NVSP_SEND_SEND_BUF, RIG_SEND_GPADL, NVSP_SEND_BUF_ID};
	const struct nvsp_subchannel_request subchannel = {NVSP_SUBCHANNEL, 1, 1};

	(void)state;
	assert_int_equal(status_of(&recv, sizeof(recv), 4), NVSP_STATUS_FAILURE);
	assert_int_equal(status_of(&send, sizeof(send), 4), NVSP_STATUS_FAILURE);
	assert_int_equal(status_of(&subchannel, sizeof(subchannel), 4), NVSP_STATUS_FAILURE);
	assert_int_equal(errors(), 3);
	assert_false(net_recv_buf_ready(&rig.vsp->recv));
}

static void messages_belong_to_their_version(void **state)
{
	const struct nvsp_send_ndis_config config = {.type = NVSP_SEND_NDIS_CONFIG, .mtu = 999};
	const struct nvsp_subchannel_request subchannel = {NVSP_SUBCHANNEL, 1, 1};

	(void)state;
	rig_init(&rig, NVSP_VERSION_1, NVSP_VERSION_1);
	rig_post(&rig, &config, sizeof(config), false);
	assert_int_equal(rig.vsp->guest_frame_bytes, 0);
	assert_int_equal(status_of(&subchannel, sizeof(subchannel), 4), NVSP_STATUS_FAILURE);
	assert_int_equal(errors(), 2);
}

/* Every message of the table, one byte short and empty: refused, completed when it must be. */
static void truncated_messages_are_refused(void **state)
{
	static const struct {
		uint32_t type;
		size_t size_bytes;
	} messages[] = {
		{NVSP_INIT, sizeof(struct nvsp_init)},
		{NVSP_SEND_NDIS_VERSION, sizeof(struct nvsp_send_ndis_version)},
		{NVSP_SEND_RECV_BUF, sizeof(struct nvsp_send_buf)},
		{NVSP_REVOKE_RECV_BUF, sizeof(struct nvsp_revoke_buf)},
		{NVSP_SEND_SEND_BUF, sizeof(struct nvsp_send_buf)},
		{NVSP_REVOKE_SEND_BUF, sizeof(struct nvsp_revoke_buf)},
		{NVSP_SEND_RNDIS_PKT, sizeof(struct nvsp_send_rndis_pkt)},
		{NVSP_SEND_NDIS_CONFIG, sizeof(struct nvsp_send_ndis_config)},
		{NVSP_SWITCH_DATA_PATH, sizeof(struct nvsp_switch_data_path)},
		{NVSP_SUBCHANNEL, sizeof(struct nvsp_subchannel_request)},
	};
	uint8_t message[NVSP_MESSAGE_BYTES] = {0};
	uint64_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		store_le32(message, messages[i].type);
		for (size_t bytes = 0; bytes < messages[i].size_bytes; bytes++) {
			rig_expect_completion(&rig, rig_post(&rig, message, bytes, true), &packet);
			assert_int_equal(errors(), ++n);
			rig_post(&rig, message, bytes, false);
			assert_int_equal(errors(), ++n);
			rig_expect_nothing(&rig);
		}
	}
}

static void unknown_messages_are_refused(void **state)
{
	static const uint32_t types[] = {0, 2, 99, 109, 120, 128, 131, 134, 135, 136, 0xffffffff};
	uint8_t message[NVSP_MESSAGE_BYTES] = {0};
	uint8_t answer[NVSP_MESSAGE_BYTES];
	static const uint8_t zeros[NVSP_MESSAGE_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		store_le32(message, types[i]);
		rig_exchange(&rig, message, sizeof(message), answer);
		assert_memory_equal(answer, zeros, sizeof(zeros));
	}
	assert_int_equal(errors(), ARRAY_LEN(types));
}

/* Only RNDIS may come with memory ranges, and nothing as transfer pages. */
static void packet_types_are_checked(void **state)
{
	const struct nvsp_subchannel_request subchannel = {NVSP_SUBCHANNEL, 1, 1};
	const struct net_double_range range = {0x1000, 100};

	(void)state;
	net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, 50, true, &subchannel,
		sizeof(subchannel), &range, 1);
	net_double_push(rig.channel, VMBUS_PACKET_TRANSFER_PAGES, 51, true, &subchannel,
		sizeof(subchannel), NULL, 0);
	net_double_push(rig.channel, 3, 52, true, &subchannel, sizeof(subchannel), NULL, 0);
	rig_work(&rig);
	for (uint64_t transaction = 50; transaction < 53; transaction++) {
		rig_expect_completion(&rig, transaction, &packet);
		assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_FAILURE);
	}
	assert_int_equal(errors(), 3);
}

static void one_queue_grants_no_sub_channel(void **state)
{
	const struct nvsp_subchannel_request request = {NVSP_SUBCHANNEL, 1, 7};
	const struct nvsp_subchannel_request other_op = {NVSP_SUBCHANNEL, 2, 7};
	struct nvsp_subchannel_complete complete;
	uint8_t answer[NVSP_MESSAGE_BYTES];

	(void)state;
	rig_exchange(&rig, &request, sizeof(request), answer);
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, NVSP_SUBCHANNEL);
	assert_int_equal(complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(complete.n_subchannels, 0);
	assert_int_equal(status_of(&other_op, sizeof(other_op), 4), NVSP_STATUS_FAILURE);
}

static void the_data_path_stays_synthetic(void **state)
{
	struct nvsp_switch_data_path message = {NVSP_SWITCH_DATA_PATH, NVSP_DATA_PATH_SYNTHETIC};

	(void)state;
	rig_expect_completion(&rig, rig_post(&rig, &message, sizeof(message), true), &packet);
	assert_int_equal(packet.payload_bytes, 0);
	assert_int_equal(errors(), 0);
	message.active = NVSP_DATA_PATH_VF;
	rig_expect_completion(&rig, rig_post(&rig, &message, sizeof(message), true), &packet);
	assert_int_equal(packet.payload_bytes, 0);
	assert_int_equal(errors(), 1);
}

static void buffers_are_lent_once(void **state)
{
	const struct nvsp_send_buf unknown = {NVSP_SEND_RECV_BUF, 0x77, NVSP_RECV_BUF_ID};
	const struct nvsp_send_buf recv = {NVSP_SEND_RECV_BUF, RIG_RECV_GPADL, NVSP_RECV_BUF_ID};
	const struct nvsp_send_buf send = {NVSP_SEND_SEND_BUF, RIG_SEND_GPADL, NVSP_SEND_BUF_ID};

	(void)state;
	assert_int_equal(status_of(&unknown, sizeof(unknown), 4), NVSP_STATUS_FAILURE);
	rig_buffers(&rig);
	assert_int_equal(rig.recv_complete.section.sub_alloc_size, 1728);
	assert_int_equal(rig.recv_complete.section.n_sub_allocs, 64);
	assert_int_equal(status_of(&recv, sizeof(recv), 4), NVSP_STATUS_FAILURE);
	assert_int_equal(status_of(&send, sizeof(send), 4), NVSP_STATUS_FAILURE);
	assert_int_equal(errors(), 3);
	assert_true(net_recv_buf_ready(&rig.vsp->recv));
}

static void a_receive_buffer_too_small_is_refused(void **state)
{
	const struct nvsp_send_buf recv = {NVSP_SEND_RECV_BUF, 0x99, NVSP_RECV_BUF_ID};

	(void)state;
	net_double_gpadl(rig.channel, 0x99, 2 * 1728 - 1);
	assert_int_equal(status_of(&recv, sizeof(recv), 4), NVSP_STATUS_FAILURE);
}

static void revoking_twice_or_another_is_refused(void **state)
{
	struct nvsp_revoke_buf revoke = {NVSP_REVOKE_RECV_BUF, 0x1234};

	(void)state;
	rig_post(&rig, &revoke, sizeof(revoke), false);
	assert_int_equal(errors(), 1);
	assert_true(net_recv_buf_ready(&rig.vsp->recv));
	revoke.id = NVSP_RECV_BUF_ID;
	rig_post(&rig, &revoke, sizeof(revoke), false);
	assert_int_equal(errors(), 1);
	assert_false(net_recv_buf_ready(&rig.vsp->recv));
	rig_post(&rig, &revoke, sizeof(revoke), false);
	assert_int_equal(errors(), 2);

	revoke = (struct nvsp_revoke_buf){NVSP_REVOKE_SEND_BUF, 1};
	rig_post(&rig, &revoke, sizeof(revoke), false);
	assert_int_equal(errors(), 3);
	revoke.id = NVSP_SEND_BUF_ID;
	rig_post(&rig, &revoke, sizeof(revoke), false);
	rig_post(&rig, &revoke, sizeof(revoke), false);
	assert_int_equal(errors(), 4);
	rig_expect_nothing(&rig);
}

/* What a guest does to change its MTU: take everything down and begin anew on the same offer. */
static void detach_and_attach_again(void **state)
{
	const struct rndis_halt halt = {RNDIS_HALT, sizeof(halt), 1};
	const struct nvsp_revoke_buf recv = {NVSP_REVOKE_RECV_BUF, NVSP_RECV_BUF_ID};
	const struct nvsp_revoke_buf send = {NVSP_REVOKE_SEND_BUF, NVSP_SEND_BUF_ID};

	(void)state;
	rig_set_filter(&rig, 0);
	assert_int_equal(rig_control(&rig, &halt, sizeof(halt)), NVSP_STATUS_SUCCESS);
	assert_int_equal(rig.answer_bytes, 0);
	rig_post(&rig, &recv, sizeof(recv), false);
	rig_post(&rig, &send, sizeof(send), false);
	net_queue_close(rig.vsp->queues);
	net_vsp_gpadl_gone(rig.vsp, RIG_RECV_GPADL);
	assert_false(net_queue_work(rig.vsp->queues));
	assert_false(net_queue_arm(rig.vsp->queues));
	net_queue_open(rig.vsp->queues, rig.channel);
	rig_up(&rig);
	assert_int_equal(errors(), 0);
}

static void a_gpadl_that_goes_is_not_used(void **state)
{
	struct frame frame;

	(void)state;
	net_vsp_gpadl_gone(rig.vsp, RIG_RECV_GPADL);
	net_double_gpadl_drop(rig.channel, RIG_RECV_GPADL);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	rig_work(&rig);
	rig_expect_nothing(&rig);
	net_vsp_gpadl_gone(rig.vsp, RIG_SEND_GPADL);
	net_double_gpadl_drop(rig.channel, RIG_SEND_GPADL);
	net_vsp_gpadl_gone(rig.vsp, 0x5555);
	assert_int_equal(errors(), 0);
}

static void control_needs_a_way_for_its_answer(void **state)
{
	const struct rndis_initialize initialize = {
		RNDIS_INITIALIZE, sizeof(initialize), 1, 1, 0, 0};

	(void)state;
	assert_int_equal(
		rig_control(&rig, &initialize, sizeof(initialize)), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(rig.answer_bytes, 0);
	assert_false(rig.vsp->rndis.ready);
}

static void malformed_control_is_refused(void **state)
{
	const struct rndis_keepalive shorter = {RNDIS_KEEPALIVE, 8, 1};
	const struct rndis_keepalive longer = {RNDIS_KEEPALIVE, 13, 1};
	const struct nvsp_send_rndis_pkt strange = {NVSP_SEND_RNDIS_PKT, 2, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {RIG_CONTROL_GPA, 12};
	const struct net_double_range nowhere = {NET_DOUBLE_MEMORY_BYTES - 4, 12};

	(void)state;
	assert_int_equal(
		rig_control(&rig, &shorter, sizeof(shorter)), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(rig_control(&rig, &longer, sizeof(longer)), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(rig_control(&rig, "", 0), NVSP_STATUS_INVALID_RNDIS_PKT);
	net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, 60, true, &strange, sizeof(strange),
		&range, 1);
	net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, 61, true,
		&(struct nvsp_send_rndis_pkt){NVSP_SEND_RNDIS_PKT, 1, NVSP_NO_SECTION, 0}, 16,
		&nowhere, 1);
	rig_work(&rig);
	for (uint64_t transaction = 60; transaction < 62; transaction++) {
		rig_expect_completion(&rig, transaction, &packet);
		assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_INVALID_RNDIS_PKT);
	}
	assert_int_equal(errors(), 5);
}

/* A guest that asks and does not read: its requests fail, nothing else does. */
static void requests_without_end_are_pushed_back(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 9};
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {RIG_CONTROL_GPA, sizeof(keepalive)};
	unsigned n_done = 0, n_busy = 0, n_answers = 0;

	(void)state;
	memcpy(rig.channel->memory + RIG_CONTROL_GPA, &keepalive, sizeof(keepalive));
	for (unsigned i = 0; i < 600; i++)
		net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, 1000 + i, true, &nvsp,
			sizeof(nvsp), &range, 1);
	rig_work(&rig);
	while (net_double_take(rig.channel, &packet)) {
		if (packet.type == VMBUS_PACKET_TRANSFER_PAGES) {
			n_answers++;
			continue;
		}
		assert_int_equal(packet.transaction_id, 1000 + n_done++);
		n_busy += load_le32(packet.payload + 4) == NVSP_STATUS_BUSY;
	}
	assert_int_equal(n_done, 600);
	assert_int_equal(n_answers, rig.recv_complete.section.n_sub_allocs);
	assert_true(n_busy > 0);
	assert_int_equal(errors(), n_busy);
}

static void completions_wait_for_the_ring(void **state)
{
	const struct nvsp_subchannel_request request = {NVSP_SUBCHANNEL, 1, 7};

	(void)state;
	rig.channel->room = 10;
	for (unsigned i = 0; i < 200; i++)
		net_double_push(rig.channel, VMBUS_PACKET_INBAND, i, true, &request,
			sizeof(request), NULL, 0);
	rig_work(&rig);
	/* No more is taken than can be completed. */
	assert_true(net_double_n_queued(rig.channel) >= 200 - 10 - NET_MAX_COMPLETIONS);
	assert_int_equal(rig.channel->room, 0);
	for (unsigned i = 0; i < 200; i++) {
		rig_expect_completion(&rig, i, &packet);
		rig.channel->room++;
		rig_work(&rig);
	}
	rig_expect_nothing(&rig);
	assert_int_equal(errors(), 0);
}

static void a_broken_channel_is_dead_until_it_opens_again(void **state)
{
	(void)state;
	rig.channel->broken = true;
	rig_work(&rig);
	assert_true(rig.vsp->queues[0].broken);
	assert_int_equal(errors(), 1);
	rig_work(&rig);
	assert_false(net_queue_arm(rig.vsp->queues));
	assert_int_equal(errors(), 1);
	rig.channel->broken = false;
	rig_work(&rig);
	assert_true(rig.vsp->queues[0].broken);
	net_queue_open(rig.vsp->queues, rig.channel);
	rig_up(&rig);
}

static void link_indications_reach_the_guest(void **state)
{
	(void)state;
	rig.vsp->rndis.link_up = false;
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_CONTROL, &packet);
	assert_int_equal(load_le32(rig.recv + packet.ranges[0].byte_offset), RNDIS_INDICATE_STATUS);
	assert_int_equal(load_le32(rig.recv + packet.ranges[0].byte_offset + 8),
		RNDIS_STATUS_MEDIA_DISCONNECT);
	rig_expect_nothing(&rig);
}

#define TEST(setup_, name) cmocka_unit_test_setup_teardown(name, setup_, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, each_version_is_negotiated),
		TEST(setup, the_newest_of_a_range_is_taken),
		TEST(setup, refused_versions_are_answered),
		TEST(setup, the_order_of_linux),
		TEST(setup, old_guests_get_old_objects),
		TEST(setup, short_unions_are_taken),
		TEST(setup, nothing_goes_before_init),
		TEST(setup, messages_belong_to_their_version),
		TEST(setup_negotiated, truncated_messages_are_refused),
		TEST(setup_negotiated, unknown_messages_are_refused),
		TEST(setup_negotiated, packet_types_are_checked),
		TEST(setup_negotiated, one_queue_grants_no_sub_channel),
		TEST(setup_negotiated, the_data_path_stays_synthetic),
		TEST(setup_negotiated, buffers_are_lent_once),
		TEST(setup_negotiated, a_receive_buffer_too_small_is_refused),
		TEST(setup_up, revoking_twice_or_another_is_refused),
		TEST(setup_up, detach_and_attach_again),
		TEST(setup_up, a_gpadl_that_goes_is_not_used),
		TEST(setup_negotiated, control_needs_a_way_for_its_answer),
		TEST(setup_up, malformed_control_is_refused),
		TEST(setup_up, requests_without_end_are_pushed_back),
		TEST(setup_negotiated, completions_wait_for_the_ring),
		TEST(setup_up, a_broken_channel_is_dead_until_it_opens_again),
		TEST(setup_up, link_indications_reach_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
