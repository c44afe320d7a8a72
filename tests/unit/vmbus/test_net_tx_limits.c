/* SPDX-License-Identifier: MIT */
#include "tests/unit/vmbus/net_tx_rig.h"

static void frames_beyond_the_mtu(void **state)
{
	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 1461});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_INVALID_RNDIS_PKT);
	frame_make(&sent, &(struct frame_spec){.tagged = true, .payload_bytes = 1461});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_nothing_at_port();
}

static void a_full_port_holds_and_keeps_order(void **state)
{
	uint64_t transactions[8];

	(void)state;
	eth_dummy_set_room(rig.port, 3);
	for (unsigned i = 0; i < ARRAY_LEN(transactions); i++) {
		frame_make(&sent, &(struct frame_spec){.payload_bytes = 100 + i});
		transactions[i] = rig_queue_section(
			&rig, i, run, rig_rndis_packet(run, sent.bytes, sent.size_bytes, NULL, 0));
		rig_work(&rig);
	}
	assert_int_equal(eth_dummy_n_sent(rig.port), 3);
	assert_int_equal(net_double_n_queued(rig.channel), 4); /* one is held */
	assert_false(net_queue_arm(rig.vsp->queues));
	for (unsigned i = 0; i < 3; i++)
		rig_expect_completion(&rig, transactions[i], &packet);
	rig_expect_nothing(&rig);

	eth_dummy_set_room(rig.port, ETH_DUMMY_UNLIMITED);
	assert_true(net_queue_arm(rig.vsp->queues));
	rig_work(&rig);
	for (unsigned i = 3; i < ARRAY_LEN(transactions); i++)
		rig_expect_completion(&rig, transactions[i], &packet);
	for (unsigned i = 0; i < ARRAY_LEN(transactions); i++) {
		frame_make(&sent, &(struct frame_spec){.payload_bytes = 100 + i});
		assert_sent_as_is();
	}
	assert_nothing_at_port();
	assert_int_equal(rig_stats(&rig).tx.dropped, 0);
}

/* A port that died, say: the guest is not kept waiting for it. */
static void what_the_port_refuses_is_dropped(void **state)
{
	const struct frame_spec spec = {.payload_bytes = 99};

	(void)state;
	rig.vsp->port.caps = ETH_CAP_CSUM; /* which it has not */
	frame_make(&sent, &spec);
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, checksum_wish(&spec))),
		NVSP_STATUS_SUCCESS);
	assert_nothing_at_port();
	assert_int_equal(rig_stats(&rig).tx.dropped, 1);
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
}

static void without_a_link_frames_are_dropped(void **state)
{
	(void)state;
	rig.vsp->rndis.link_up = false;
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_CONTROL, &packet);
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 100});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_SUCCESS);
	assert_nothing_at_port();
	assert_int_equal(rig_stats(&rig).tx.dropped, 1);
}

static void no_completion_unless_wanted(void **state)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	struct net_double_range range = {RIG_DATA_GPA, 0};

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 100});
	range.byte_count = (uint32_t)rig_rndis_packet(
		rig.channel->memory + RIG_DATA_GPA, sent.bytes, sent.size_bytes, NULL, 0);
	net_double_push(
		rig.channel, VMBUS_PACKET_GPA_DIRECT, 5, false, &nvsp, sizeof(nvsp), &range, 1);
	rig_work(&rig);
	rig_expect_nothing(&rig);
	assert_sent_as_is();
}

static void data_waits_for_rndis(void **state)
{
	const struct rndis_halt halt = {RNDIS_HALT, sizeof(halt), 1};

	(void)state;
	rig_control(&rig, &halt, sizeof(halt));
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 100});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_nothing_at_port();
}

static void sections_out_of_range(void **state)
{
	static const struct {
		uint32_t section, bytes;
	} bad[] = {{8, 100}, {0xfffffffe, 100}, {0, 6145}, {0, 0xffffffff}, {0, 0}, {0, 7}};
	uint64_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct nvsp_send_rndis_pkt nvsp = {
			NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, bad[i].section, bad[i].bytes};

		rig_expect_completion(&rig, rig_post(&rig, &nvsp, sizeof(nvsp), true), &packet);
		assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_INVALID_RNDIS_PKT);
		assert_int_equal(rig_stats(&rig).n_protocol_errors, ++n);
	}
}

static void a_section_before_there_is_a_buffer(void **state)
{
	const struct nvsp_revoke_buf revoke = {NVSP_REVOKE_SEND_BUF, NVSP_SEND_BUF_ID};
	uint64_t transaction;

	(void)state;
	rig_post(&rig, &revoke, sizeof(revoke), false);
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 100});
	transaction = rig_queue_section(
		&rig, 0, run, rig_rndis_packet(run, sent.bytes, sent.size_bytes, NULL, 0));
	rig_work(&rig);
	rig_expect_completion(&rig, transaction, &packet);
	assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_INVALID_RNDIS_PKT);
}

/* The send buffer goes while its packet waits for the port. */
static void a_held_packet_may_lose_its_buffer(void **state)
{
	size_t size_bytes = make_batch(2);
	uint64_t transaction = rig_queue_section(&rig, 0, run, size_bytes);

	(void)state;
	eth_dummy_set_room(rig.port, 0);
	rig_work(&rig);
	net_vsp_gpadl_gone(rig.vsp, RIG_SEND_GPADL);
	net_double_gpadl_drop(rig.channel, RIG_SEND_GPADL);
	eth_dummy_set_room(rig.port, 10);
	rig_work(&rig);
	rig_expect_completion(&rig, transaction, &packet);
	assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(eth_dummy_n_sent(rig.port), 1); /* it was copied before */
}

static void memory_that_is_not_there(void **state)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	const struct net_double_range ranges[] = {
		{NET_DOUBLE_MEMORY_BYTES - 20, 100},  /* beyond the end */
		{NET_DOUBLE_MEMORY_BYTES, 100},       /* behind it */
		{RIG_DATA_GPA, NET_TX_MAX_BYTES + 1}, /* more than a packet may carry */
		{RIG_DATA_GPA, 0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, 70 + i, true, &nvsp,
			sizeof(nvsp), &ranges[i], 1);
		rig_work(&rig);
		rig_expect_completion(&rig, 70 + i, &packet);
		assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_INVALID_RNDIS_PKT);
	}
}

/* Every field of the header, one at a time. */
static void contradictory_rndis_packets(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} bad[] = {
		{0, RNDIS_QUERY}, /* not a packet */
		{0, 0},           /* nothing */
		{4, 43},          /* shorter than its header */
		{4, 0},           /* walks in place */
		{4, 0xffffffff},  /* longer than the run */
		{8, 0},           /* data inside the header */
		{8, 0xfffffff8},  /* data far away */
		{8, 53},          /* data one byte beyond */
		{12, 13},         /* less than Ethernet */
		{12, 0xffffffff}, /* far more than there is */
		{28, 0},          /* list inside the header */
		{28, 0xfffffff0}, /* list far away */
		{32, 0xffffffff}, /* list beyond */
		{32, 17},         /* torn list */
		{32, 600},        /* longer than any list */
	};
	size_t size_bytes;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 1400});
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_bytes = rig_rndis_packet(
			run, sent.bytes, sent.size_bytes, ppi, rig_ppi(ppi, RNDIS_PPI_8021Q, 0x50));
		assert_int_equal(rig_transmit(&rig, run, size_bytes), NVSP_STATUS_SUCCESS);
		store_le32(run + bad[i].at, bad[i].value);
		assert_int_equal(
			rig_transmit(&rig, run, size_bytes), NVSP_STATUS_INVALID_RNDIS_PKT);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		assert_nothing_at_port();
	}
	assert_int_equal(rig_stats(&rig).n_protocol_errors, ARRAY_LEN(bad));
}

static void truncated_runs(void **state)
{
	size_t size_bytes;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 10});
	size_bytes = rig_rndis_packet(run, sent.bytes, sent.size_bytes, ppi,
		rig_ppi(ppi, RNDIS_PPI_CHECKSUM, RNDIS_TXCSUM_TCP));
	for (size_t bytes = 0; bytes < size_bytes; bytes++)
		assert_int_equal(rig_transmit(&rig, run, bytes), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_nothing_at_port();
}

static void a_bad_message_spares_those_before(void **state)
{
	size_t size_bytes = make_batch(3);

	(void)state;
	store_le32(run + size_bytes - sent.size_bytes - 44, 99);
	assert_int_equal(rig_transmit(&rig, run, size_bytes), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(eth_dummy_n_sent(rig.port), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, frames_beyond_the_mtu),
		TEST(setup, a_full_port_holds_and_keeps_order),
		TEST(setup_poor, what_the_port_refuses_is_dropped),
		TEST(setup, without_a_link_frames_are_dropped),
		TEST(setup, no_completion_unless_wanted),
		TEST(setup, data_waits_for_rndis),
		TEST(setup, sections_out_of_range),
		TEST(setup, a_section_before_there_is_a_buffer),
		TEST(setup, a_held_packet_may_lose_its_buffer),
		TEST(setup, memory_that_is_not_there),
		TEST(setup, contradictory_rndis_packets),
		TEST(setup, truncated_runs),
		TEST(setup, a_bad_message_spares_those_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
