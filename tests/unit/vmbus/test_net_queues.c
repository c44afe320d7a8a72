/* SPDX-License-Identifier: MIT
 *
 * Several queues: sub-channels from the request to the table, frames to the queue that the guest's
 * table names, packets completed where they came from, and who waits for whom.
 */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_QUEUES 4

static struct net_rig rig;
static struct net_double_packet packet;
static struct rig_received got;
static struct frame frame, seen;
static struct eth_hdr hdr;
static uint8_t run[80000];

static int setup_sized(unsigned n_sections)
{
	rig = (struct net_rig){.n_queues = N_QUEUES, .recv_bytes = n_sections * 1728};
	rig_new(&rig, RIG_ALL_CAPS);
	rig_up(&rig);
	return 0;
}

static int setup_up(void **state)
{
	(void)state;
	return setup_sized(600);
}

static int setup_scaled(void **state)
{
	setup_up(state);
	guest_scale(&rig);
	return 0;
}

static int setup_scaled_small(void **state)
{
	(void)state;
	setup_sized(64);
	guest_scale(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static uint64_t errors(void)
{
	return rig_stats(&rig).n_protocol_errors;
}

/* A flow that the guest's table sends to this queue. */
static unsigned flow_of(unsigned queue)
{
	for (unsigned flow = 0; flow < 500; flow++) {
		guest_flow_frame(&frame, flow, 100);
		if (guest_flow_queue(&rig, &frame) == queue)
			return flow;
	}
	fail_msg("no flow for queue %u", queue);
	return 0;
}

static void inject_flow(unsigned flow, size_t payload_bytes)
{
	guest_flow_frame(&frame, flow, payload_bytes);
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
}

/* One frame in one packet on a queue, given back. */
static void expect_on(unsigned queue)
{
	assert_true(guest_take(&rig, queue, &packet));
	assert_int_equal(packet.n_ranges, 1);
	rig_received(&rig, &packet, 0, &got);
	assert_int_equal(got.frame.size_bytes, frame.size_bytes);
	assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
	guest_give_back(&rig, queue, &packet);
	rig_work(&rig);
}

static void expect_nothing_anywhere(void)
{
	for (unsigned i = 0; i < N_QUEUES; i++)
		assert_false(guest_take(&rig, i, &packet));
}

static void request(uint32_t op, uint32_t n, uint32_t status)
{
	const struct nvsp_subchannel_request message = {NVSP_SUBCHANNEL, op, n};
	uint8_t answer[NVSP_MESSAGE_BYTES];

	rig_exchange(&rig, &message, sizeof(message), answer);
	assert_int_equal(load_le32(answer + 4), status);
}

static void as_many_are_offered_as_were_promised(void **state)
{
	(void)state;
	request(2, 1, NVSP_STATUS_FAILURE);
	guest_request_subs(&rig, 2, 2);
	request(NVSP_SUBCHANNEL_ALLOCATE, 1, NVSP_STATUS_FAILURE); /* once */
	assert_int_equal(rig.channel->n_offered, 2);
	assert_int_equal(errors(), 2);
	/* The third was not promised. */
	assert_int_equal(net_queue_open(&rig.vsp->queues[3], rig_channel(&rig, 3)), -EINVAL);
	guest_open_subs(&rig);
}

static void not_more_than_there_are(void **state)
{
	(void)state;
	guest_request_subs(&rig, 0xffffffff, N_QUEUES - 1);
	guest_open_subs(&rig);
	assert_int_equal(errors(), 0);
}

static void none_is_fine(void **state)
{
	(void)state;
	guest_request_subs(&rig, 0, 0);
	rig_expect_nothing(&rig);
}

/* The guest hears the number before it sees the offers. */
static void the_promise_goes_first(void **state)
{
	const struct nvsp_subchannel_request message = {NVSP_SUBCHANNEL, 1, 3};

	(void)state;
	rig.channel->room = 0;
	rig_post(&rig, &message, sizeof(message), true);
	assert_int_equal(rig.channel->n_offered, 0);
	assert_int_equal(net_queue_open(&rig.vsp->queues[1], rig_channel(&rig, 1)), -EINVAL);
	rig.channel->room = 1;
	rig_work(&rig);
	assert_int_equal(rig.channel->n_offered, 3);
}

static void the_table_waits_for_the_ring(void **state)
{
	(void)state;
	guest_request_subs(&rig, 1, 1);
	rig.channel->room = 0;
	assert_int_equal(net_queue_open(&rig.vsp->queues[1], rig_channel(&rig, 1)), 0);
	rig_work(&rig);
	rig_expect_nothing(&rig);
	rig.channel->room = 1;
	rig_work(&rig);
	assert_true(net_double_take(rig.channel, &packet));
	assert_int_equal(load_le32(packet.payload), NVSP_SEND_INDIRECTION_TABLE);
	rig_work(&rig);
	rig_expect_nothing(&rig);
}

static void nothing_is_offered_before_version_5(void **state)
{
	const struct nvsp_subchannel_request message = {NVSP_SUBCHANNEL, 1, 3};
	uint8_t answer[NVSP_MESSAGE_BYTES];

	(void)state;
	net_queue_open(rig.vsp->queues, rig.channel);
	rig_init(&rig, NVSP_VERSION_4, NVSP_VERSION_4);
	rig_exchange(&rig, &message, sizeof(message), answer);
	assert_int_equal(load_le32(answer + 4), NVSP_STATUS_FAILURE);
	assert_int_equal(rig.channel->n_offered, 0);
}

static void frames_go_where_the_table_says(void **state)
{
	struct guest_rss rss = guest_rss_make(N_QUEUES);
	unsigned n_hit = 0;

	(void)state;
	for (unsigned flow = 0; flow < 200; flow++) {
		unsigned queue;

		inject_flow(flow, 100);
		queue = guest_flow_queue(&rig, &frame);
		n_hit |= 1U << queue;
		rig_work(&rig);
		expect_on(queue);
		assert_true(got.has_hash);
		expect_nothing_anywhere();
	}
	assert_int_equal(n_hit, (1U << N_QUEUES) - 1);

	/* Another table, other queues. */
	for (unsigned i = 0; i < 128; i++)
		rss.table[i] = 2;
	assert_int_equal(guest_rss_set(&rig, &rss), RNDIS_STATUS_SUCCESS);
	inject_flow(flow_of(2), 100);
	rig_work(&rig);
	expect_on(2);
	/* And off. */
	rss.fixed.flags = NDIS_RSS_FLAG_DISABLE;
	assert_int_equal(guest_rss_set(&rig, &rss), RNDIS_STATUS_SUCCESS);
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	rig_work(&rig);
	expect_on(0);
	assert_false(got.has_hash);
	assert_int_equal(errors(), 0);
}

static void what_has_no_hash_goes_to_the_first(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	store_be16(frame.bytes + 12, 0x88cc);
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	rig_work(&rig);
	assert_true(guest_take(&rig, 0, &packet));
	rig_complete(&rig, &packet);
	expect_nothing_anywhere();
}

static void the_hash_of_a_tagged_frame(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.tagged = true, .ipv6 = true, .payload_bytes = 90});
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	rig_work(&rig);
	frame_make(&frame, &(struct frame_spec){.ipv6 = true, .payload_bytes = 90});
	expect_on(guest_flow_queue(&rig, &frame));
	assert_true(got.has_hash && got.has_vlan);
}

static void a_closed_queue_leaves_its_frames_to_the_first(void **state)
{
	unsigned flow = flow_of(3);

	(void)state;
	guest_close_sub(&rig, 3);
	inject_flow(flow, 100);
	rig_work(&rig);
	expect_on(0);
	assert_int_equal(net_queue_open(&rig.vsp->queues[3], rig_channel(&rig, 3)), 0);
	rig_channel(&rig, 3)->is_open = true;
	rig_work(&rig);
	assert_true(net_double_take(rig.channel, &packet)); /* the table again */
	inject_flow(flow, 100);
	rig_work(&rig);
	expect_on(3);
}

static void a_flow_keeps_its_order(void **state)
{
	uint32_t next[4] = {0};
	unsigned flows[4], n_seen = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		flows[i] = flow_of(i);
	for (uint32_t i = 0; i < 400; i++) {
		guest_flow_frame(&frame, flows[i % 4], 100);
		store_le32(frame.bytes + frame.payload_at, i / 4);
		rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	}
	rig_work(&rig);
	for (unsigned queue = 0; queue < 4; queue++) {
		while (guest_take(&rig, queue, &packet)) {
			for (unsigned i = 0; i < packet.n_ranges; i++, n_seen++) {
				rig_received(&rig, &packet, i, &got);
				assert_int_equal(load_le32(got.frame.bytes + got.frame.payload_at),
					next[queue]++);
			}
			guest_give_back(&rig, queue, &packet);
		}
	}
	rig_work(&rig);
	assert_int_equal(n_seen, 400);
	assert_int_equal(rig.vsp->recv.n_free, rig.vsp->recv.n_sections);
	for (unsigned queue = 0; queue < 4; queue++)
		assert_int_equal(rig.vsp->queues[queue].stats.rx.frames, 100);
}

/* A frame of the guest on a queue; its transaction. */
static uint64_t push_frame(unsigned queue)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	size_t size_bytes = rig_rndis_packet(run, frame.bytes, frame.size_bytes, NULL, 0);
	const struct net_double_range range = {RIG_DATA_GPA, (uint32_t)size_bytes};
	uint64_t transaction = rig.next_transaction++;

	memcpy(rig.channel->memory + RIG_DATA_GPA, run, size_bytes);
	net_double_push(rig_channel(&rig, queue), VMBUS_PACKET_GPA_DIRECT, transaction, true, &nvsp,
		sizeof(nvsp), &range, 1);
	return transaction;
}

static void expect_done(unsigned queue, uint64_t transaction, uint32_t status)
{
	assert_true(net_double_take(rig_channel(&rig, queue), &packet));
	assert_int_equal(packet.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(packet.transaction_id, transaction);
	assert_int_equal(load_le32(packet.payload + 4), status);
}

static void packets_complete_where_they_came_from(void **state)
{
	(void)state;
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		uint64_t transaction;

		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100 + queue});
		transaction = push_frame(queue);
		rig_work(&rig);
		expect_done(queue, transaction, NVSP_STATUS_SUCCESS);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		assert_memory_equal(seen.bytes, frame.bytes, frame.size_bytes);
		assert_int_equal(rig.vsp->queues[queue].stats.tx.frames, 1);
	}
	assert_int_equal(rig_stats(&rig).tx.frames, N_QUEUES);
	expect_nothing_anywhere();
}

/* Everything but frames is the primary's. */
static void sub_channels_carry_frames_only(void **state)
{
	const struct nvsp_init init = {NVSP_INIT, NVSP_VERSION_61, NVSP_VERSION_61};
	const struct nvsp_revoke_buf revoke = {NVSP_REVOKE_RECV_BUF, NVSP_RECV_BUF_ID};
	const struct nvsp_send_rndis_pkt control = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct rndis_halt halt = {RNDIS_HALT, sizeof(halt), 1};
	const struct net_double_range range = {RIG_CONTROL_GPA, sizeof(halt)};
	struct vmbus_channel *sub = rig_channel(&rig, 1);

	(void)state;
	memcpy(rig.channel->memory + RIG_CONTROL_GPA, &halt, sizeof(halt));
	net_double_push(sub, VMBUS_PACKET_INBAND, 50, true, &init, sizeof(init), NULL, 0);
	net_double_push(sub, VMBUS_PACKET_INBAND, 51, true, &revoke, sizeof(revoke), NULL, 0);
	net_double_push(sub, VMBUS_PACKET_INBAND, 52, true, "", 0, NULL, 0);
	net_double_push(
		sub, VMBUS_PACKET_GPA_DIRECT, 53, true, &control, sizeof(control), &range, 1);
	rig_work(&rig);
	for (uint64_t transaction = 50; transaction < 54; transaction++) {
		assert_true(net_double_take(sub, &packet));
		assert_int_equal(packet.transaction_id, transaction);
	}
	assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(errors(), 4);
	assert_true(rig.vsp->rndis.ready);
	assert_true(net_recv_buf_ready(&rig.vsp->recv));
}

static void sections_come_back_on_their_queue(void **state)
{
	(void)state;
	inject_flow(flow_of(2), 100);
	rig_work(&rig);
	assert_true(guest_take(&rig, 2, &packet));
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		if (queue != 2)
			guest_give_back(&rig, queue, &packet);
	}
	rig_work(&rig);
	assert_int_equal(errors(), N_QUEUES - 1);
	assert_int_equal(rig.vsp->recv.n_outstanding, 1);
	guest_give_back(&rig, 2, &packet);
	rig_work(&rig);
	assert_int_equal(rig.vsp->recv.n_outstanding, 0);
	assert_int_equal(errors(), N_QUEUES - 1);
}

/* The receiver waits for a queue whose guest does not read, and is called when it does. */
static void a_full_ring_holds_the_receiver(void **state)
{
	unsigned flow = flow_of(1), n_seen = 0;

	(void)state;
	rig_channel(&rig, 1)->room = 0;
	for (unsigned i = 0; i < 300; i++)
		inject_flow(flow, 100 + i);
	rig_work(&rig);
	assert_false(net_queue_arm(rig.vsp->queues)); /* not kept awake */
	assert_true(eth_dummy_n_injected(rig.port) >= 300 - NET_RX_QUEUE_MAX - 1);
	rig_channel(&rig, 1)->room = NET_DOUBLE_NO_LIMIT;
	vmbus_channel_kick(rig_channel(&rig, 1));
	rig_work(&rig);
	while (guest_take(&rig, 1, &packet)) {
		for (unsigned i = 0; i < packet.n_ranges; i++) {
			rig_received(&rig, &packet, i, &got);
			guest_flow_frame(&frame, flow, 100 + n_seen++);
			assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
		}
		guest_give_back(&rig, 1, &packet);
		rig_work(&rig);
	}
	assert_int_equal(n_seen, 300);
	assert_int_equal(rig_stats(&rig).rx.dropped, 0);
}

/* All sections are with one queue: what it gives back calls the receiver. */
static void sections_of_one_queue_serve_the_others(void **state)
{
	struct net_double_packet held[8];
	unsigned n_held = 0, taken = 0;

	(void)state;
	for (unsigned i = 0; i < 48; i++)
		inject_flow(flow_of(1), 100);
	rig_work(&rig);
	inject_flow(flow_of(2), 100);
	rig_work(&rig);
	while (guest_take(&rig, 1, &held[n_held]))
		taken += held[n_held++].n_ranges;
	assert_int_equal(taken, 48);
	assert_false(guest_take(&rig, 2, &packet));
	guest_give_back(&rig, 1, &held[0]);
	rig_work(&rig);
	expect_on(2);
}

/* The port is full for all; its keeper alone waits, and calls those who have something. */
static void who_waits_for_the_port_is_called(void **state)
{
	uint64_t transactions[N_QUEUES];
	unsigned n_kicks;

	(void)state;
	eth_dummy_set_room(rig.port, 0);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	for (unsigned queue = 1; queue < 3; queue++)
		transactions[queue] = push_frame(queue);
	rig_work(&rig);
	n_kicks = rig_channel(&rig, 1)->n_kicks;
	assert_false(net_queue_arm(&rig.vsp->queues[1]));
	assert_false(net_queue_arm(rig.vsp->queues));
	assert_int_equal(rig_channel(&rig, 1)->n_kicks, n_kicks);
	eth_dummy_set_room(rig.port, 2);
	assert_false(net_queue_arm(rig.vsp->queues)); /* not for itself */
	assert_int_equal(rig_channel(&rig, 1)->n_kicks, n_kicks + 1);
	rig_work(&rig);
	for (unsigned queue = 1; queue < 3; queue++)
		expect_done(queue, transactions[queue], NVSP_STATUS_SUCCESS);

	/* For room alone: frames that wait for sections do not wake it. */
	eth_dummy_set_room(rig.port, 0);
	transactions[0] = push_frame(0);
	rig_work(&rig);
	assert_false(net_queue_arm(rig.vsp->queues));
	eth_dummy_set_room(rig.port, 1);
	assert_true(net_queue_arm(rig.vsp->queues));
	rig_work(&rig);
	expect_done(0, transactions[0], NVSP_STATUS_SUCCESS);
}

static void room_is_awaited_while_frames_are_held(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++)
		inject_flow(flow_of(0), 100);
	rig_work(&rig);
	assert_true(rig.vsp->rx_blocked);
	eth_dummy_set_room(rig.port, 0);
	push_frame(0);
	rig_work(&rig);
	assert_false(net_queue_arm(rig.vsp->queues)); /* though there are frames */
	eth_dummy_set_room(rig.port, 1);
	assert_true(net_queue_arm(rig.vsp->queues));
}

static void a_broken_queue_breaks_alone(void **state)
{
	unsigned flow = flow_of(1);

	(void)state;
	inject_flow(flow, 100);
	rig_work(&rig);
	assert_true(guest_take(&rig, 1, &packet));
	rig_channel(&rig, 1)->broken = true;
	rig_work(&rig);
	assert_true(rig.vsp->queues[1].broken);
	assert_int_equal(errors(), 1);
	assert_int_equal(rig.vsp->recv.n_free, rig.vsp->recv.n_sections);
	/* Its flows find another way, the others keep theirs. */
	inject_flow(flow, 100);
	rig_work(&rig);
	expect_on(0);
	inject_flow(flow_of(2), 100);
	rig_work(&rig);
	expect_on(2);
	guest_close_sub(&rig, 1);
	rig_channel(&rig, 1)->broken = false;
	assert_int_equal(net_queue_open(&rig.vsp->queues[1], rig_channel(&rig, 1)), 0);
	rig_work(&rig);
	assert_true(net_double_take(rig.channel, &packet));
	inject_flow(flow, 100);
	rig_work(&rig);
	expect_on(1);
}

/* A queue that breaks while the receiver waits for it lets it go on. */
static void a_broken_queue_holds_nobody(void **state)
{
	unsigned flow = flow_of(1);

	(void)state;
	rig_channel(&rig, 1)->room = 0;
	for (unsigned i = 0; i < 300; i++)
		inject_flow(flow, 100);
	rig_work(&rig);
	assert_true(rig.vsp->rx.holding);
	rig_channel(&rig, 1)->broken = true;
	vmbus_channel_kick(rig_channel(&rig, 1));
	rig_work(&rig);
	assert_int_equal(eth_dummy_n_injected(rig.port), 0);
	assert_false(rig.vsp->rx.holding);
}

static void a_queue_that_closes_gives_its_sections_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++)
		inject_flow(flow_of(1), 100);
	rig_work(&rig);
	assert_true(guest_take(&rig, 1, &packet));
	rig_channel(&rig, 1)->room = 0;
	for (unsigned i = 0; i < 10; i++)
		inject_flow(flow_of(1), 100);
	rig_work(&rig);
	assert_int_equal(rig.vsp->queues[1].rx.n_entries, 10);
	guest_close_sub(&rig, 1);
	assert_int_equal(rig.vsp->recv.n_free, rig.vsp->recv.n_sections);
	assert_int_equal(rig.vsp->recv.n_outstanding, 0);
}

/* What a guest does to change its MTU: all goes, and is asked for anew. */
static void detach_and_attach_again(void **state)
{
	const struct rndis_halt halt = {RNDIS_HALT, sizeof(halt), 1};
	const struct nvsp_revoke_buf recv = {NVSP_REVOKE_RECV_BUF, NVSP_RECV_BUF_ID};

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		inject_flow(flow_of(1), 100);
		inject_flow(flow_of(2), 100);
		rig_work(&rig);
		for (unsigned queue = 1; queue < 3; queue++)
			assert_true(guest_take(&rig, queue, &packet));
		rig_set_filter(&rig, 0);
		assert_int_equal(rig_control(&rig, &halt, sizeof(halt)), NVSP_STATUS_SUCCESS);
		rig_post(&rig, &recv, sizeof(recv), false);
		for (unsigned queue = 1; queue < N_QUEUES; queue++)
			guest_close_sub(&rig, queue);
		net_queue_close(rig.vsp->queues);
		rig.channel->n_offered = 0;
		assert_int_equal(rig.vsp->n_granted, 0);
		assert_int_equal(net_queue_open(rig.vsp->queues, rig.channel), 0);
		rig_up(&rig);
		assert_false(rig.vsp->rndis.rss.enabled);
		guest_scale(&rig);
	}
	assert_int_equal(errors(), 0);
}

#define TEST(setup_, name) cmocka_unit_test_setup_teardown(name, setup_, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup_up, as_many_are_offered_as_were_promised),
		TEST(setup_up, not_more_than_there_are),
		TEST(setup_up, none_is_fine),
		TEST(setup_up, the_promise_goes_first),
		TEST(setup_up, the_table_waits_for_the_ring),
		TEST(setup_up, nothing_is_offered_before_version_5),
		TEST(setup_scaled, frames_go_where_the_table_says),
		TEST(setup_scaled, what_has_no_hash_goes_to_the_first),
		TEST(setup_scaled, the_hash_of_a_tagged_frame),
		TEST(setup_scaled, a_closed_queue_leaves_its_frames_to_the_first),
		TEST(setup_scaled, a_flow_keeps_its_order),
		TEST(setup_scaled, packets_complete_where_they_came_from),
		TEST(setup_scaled, sub_channels_carry_frames_only),
		TEST(setup_scaled, sections_come_back_on_their_queue),
		TEST(setup_scaled, a_full_ring_holds_the_receiver),
		TEST(setup_scaled_small, sections_of_one_queue_serve_the_others),
		TEST(setup_scaled, who_waits_for_the_port_is_called),
		TEST(setup_scaled_small, room_is_awaited_while_frames_are_held),
		TEST(setup_scaled, a_broken_queue_breaks_alone),
		TEST(setup_scaled, a_broken_queue_holds_nobody),
		TEST(setup_scaled, a_queue_that_closes_gives_its_sections_back),
		TEST(setup_scaled, detach_and_attach_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
