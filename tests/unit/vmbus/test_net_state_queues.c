/* SPDX-License-Identifier: MIT
 *
 * A NIC with several queues moves: scaling, coalescing, sections and completions of each queue,
 * sub-channels promised and not yet there; and states that contradict themselves.
 */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_QUEUES 3

static struct net_rig source, target;
static struct buf state_bytes;
static struct net_double_packet packet;
static struct rig_received got;
static struct frame frame, seen;
static struct eth_hdr hdr;
static uint8_t run[80000];

static int setup_new(void **state)
{
	(void)state;
	source = (struct net_rig){.n_queues = N_QUEUES, .rsc = true, .recv_bytes = 100 * 1728};
	target = (struct net_rig){0};
	rig_new(&source, RIG_ALL_CAPS);
	rig_up(&source);
	return 0;
}

static int setup(void **state)
{
	setup_new(state);
	guest_scale(&source);
	guest_coalesce(&source, NDIS_SEGMENT_ON, NDIS_SEGMENT_ON);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&source);
	if (target.vsp)
		rig_free(&target);
	buf_fini(&state_bytes);
	state_bytes = (struct buf){0};
	return 0;
}

static void save(void)
{
	buf_reset(&state_bytes);
	net_vsp_save(source.vsp, &state_bytes);
	assert_false(state_bytes.failed);
}

static void make_target(unsigned n_queues)
{
	if (target.vsp)
		rig_free(&target);
	target = (struct net_rig){
		.mtu_bytes = 1500, .recv_bytes = 100 * 1728, .n_queues = n_queues, .rsc = true};
	rig_new(&target, RIG_ALL_CAPS);
	net_queue_close(target.vsp->queues);
	memcpy(target.recv, source.recv, source.recv_bytes);
	memcpy(target.send, source.send, RIG_SEND_BYTES);
	memcpy(target.channel->memory, source.channel->memory, NET_DOUBLE_MEMORY_BYTES);
	target.recv_complete = source.recv_complete;
	target.next_transaction = source.next_transaction;
	target.next_request = source.next_request;
	target.channel->n_offered = source.channel->n_offered;
	for (unsigned i = 1; i < MIN(n_queues, (unsigned)N_QUEUES); i++)
		rig_channel(&target, i)->is_open = rig_channel(&source, i)->is_open;
}

static int restore_bytes(const void *bytes, size_t size_bytes)
{
	struct vmbus_channel *channels[NET_MAX_QUEUES] = {target.channel};
	uint8_t *exact = calloc(1, size_bytes ? size_bytes : 1);
	struct reader in;
	int r;

	for (unsigned i = 1; i < target.n_queues; i++) {
		if (rig_channel(&target, i)->is_open)
			channels[i] = rig_channel(&target, i);
	}
	memcpy(exact, bytes, size_bytes);
	in = reader_make(exact, size_bytes);
	r = net_vsp_restore(target.vsp, &in, channels);
	if (r == 0 && !reader_done(&in))
		r = -E2BIG;
	free(exact);
	return r;
}

static int restore(void)
{
	return restore_bytes(state_bytes.data, state_bytes.size_bytes);
}

static void move(void)
{
	struct buf again = {0};

	save();
	make_target(N_QUEUES);
	assert_int_equal(restore(), 0);
	net_vsp_save(target.vsp, &again);
	assert_int_equal(again.size_bytes, state_bytes.size_bytes);
	assert_memory_equal(again.data, state_bytes.data, again.size_bytes);
	buf_fini(&again);
}

static unsigned flow_of(struct net_rig *rig, unsigned queue)
{
	for (unsigned flow = 0; flow < 500; flow++) {
		guest_flow_frame(&frame, flow, 100);
		if (guest_flow_queue(rig, &frame) == queue)
			return flow;
	}
	fail_msg("no flow for queue %u", queue);
	return 0;
}

static void inject_flow(struct net_rig *rig, unsigned flow, size_t payload_bytes)
{
	guest_flow_frame(&frame, flow, payload_bytes);
	rig_inject(rig, NULL, frame.bytes, frame.size_bytes);
}

static void inject_super(struct net_rig *rig, size_t payload_bytes)
{
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = payload_bytes});
	frame_make_partial(&frame, true);
	hdr = (struct eth_hdr){.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = ETH_GSO_TCPV4,
		.gso_size = 1400,
		.csum_start = (uint16_t)frame.l4_at,
		.csum_offset = 16};
	rig_inject(rig, &hdr, frame.bytes, frame.size_bytes);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = payload_bytes});
}

static void settings_of_all_queues_move_along(void **state)
{
	static const uint8_t group[6] = {0x33, 0x33, 0, 0, 0, 9};

	(void)state;
	assert_int_equal(rig_set(&source, OID_802_3_MULTICAST_LIST, group, sizeof(group)), 0);
	source.vsp->queues[2].stats.tx.multicast_bytes = 12345;
	move();
	assert_true(target.vsp->rndis.rss.enabled);
	assert_memory_equal(
		&target.vsp->rndis.rss, &source.vsp->rndis.rss, sizeof(source.vsp->rndis.rss));
	assert_true(target.vsp->rndis.offload.rsc4 && target.vsp->rndis.rsc);
	assert_int_equal(target.vsp->n_granted, N_QUEUES - 1);
	assert_int_equal(target.vsp->rndis.n_multicast, 1);
	assert_int_equal(target.vsp->queues[2].stats.tx.multicast_bytes, 12345);
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		inject_flow(&target, flow_of(&target, queue), 100);
		rig_work(&target);
		assert_true(guest_take(&target, queue, &packet));
		guest_give_back(&target, queue, &packet);
	}
	inject_super(&target, 30000);
	rig_work(&target);
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		if (guest_take(&target, queue, &packet))
			break;
	}
	assert_int_equal(guest_coalesced(&target, &packet, &got), 1);
	assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
}

/* It switched coalescing on, then says that it never heard of it: what is saved still makes sense.
 */
static void coalescing_taken_back_moves_along(void **state)
{
	const uint32_t version = source.vsp->version;

	(void)state;
	assert_true(source.vsp->rndis.offload.rsc4 && source.vsp->rndis.offload.rsc6);
	source.rsc = false;
	rig_ndis(&source, version);
	assert_false(source.vsp->rndis.offload.rsc4 || source.vsp->rndis.offload.rsc6);
	move();
	assert_false(target.vsp->rndis.rsc || target.vsp->rndis.offload.rsc4);
}

/* A guest that was promised sub-channels gets them from the new host. */
static void promised_and_not_yet_offered(void **state)
{
	const struct nvsp_subchannel_request message = {NVSP_SUBCHANNEL, 1, 2};

	(void)state;
	source.channel->room = 0;
	rig_post(&source, &message, sizeof(message), true);
	assert_int_equal(source.channel->n_offered, 0);
	move();
	rig_work(&target);
	assert_true(net_double_take(target.channel, &packet));
	assert_int_equal(load_le32(packet.payload + 8), 2);
	assert_int_equal(target.channel->n_offered, 2);
	guest_open_subs(&target);
}

static void offered_and_not_yet_open(void **state)
{
	(void)state;
	guest_request_subs(&source, 2, 2);
	move();
	guest_open_subs(&target);

	/* One of the two. */
	assert_int_equal(net_queue_open(&source.vsp->queues[1], rig_channel(&source, 1)), 0);
	rig_channel(&source, 1)->is_open = true;
	move();
	rig_work(&target);
	rig_expect_nothing(&target);
	assert_int_equal(net_queue_open(&target.vsp->queues[2], rig_channel(&target, 2)), 0);
	rig_work(&target);
	assert_true(net_double_take(target.channel, &packet));
	assert_int_equal(load_le32(packet.payload), NVSP_SEND_INDIRECTION_TABLE);
}

static void the_table_that_waits(void **state)
{
	(void)state;
	guest_request_subs(&source, 1, 1);
	source.channel->room = 0;
	assert_int_equal(net_queue_open(&source.vsp->queues[1], rig_channel(&source, 1)), 0);
	rig_channel(&source, 1)->is_open = true;
	rig_work(&source);
	move();
	rig_work(&target);
	assert_true(net_double_take(target.channel, &packet));
	assert_int_equal(load_le32(packet.payload), NVSP_SEND_INDIRECTION_TABLE);
}

static void each_queue_keeps_what_is_its_own(void **state)
{
	struct net_double_packet held[N_QUEUES];

	(void)state;
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		for (unsigned i = 0; i <= queue; i++)
			inject_flow(&source, flow_of(&source, queue), 100);
	}
	rig_work(&source);
	for (unsigned queue = 0; queue < N_QUEUES; queue++)
		assert_true(guest_take(&source, queue, &held[queue]));
	/* What is filled and not yet sent. */
	rig_channel(&source, 2)->room = 0;
	for (unsigned i = 0; i < 5; i++)
		inject_flow(&source, flow_of(&source, 2), 200 + i);
	rig_work(&source);
	assert_int_equal(source.vsp->queues[2].rx.n_entries, 5);
	move();
	rig_work(&target);
	assert_true(guest_take(&target, 2, &packet));
	assert_int_equal(packet.n_ranges, 5);
	guest_give_back(&target, 2, &packet);
	guest_give_back(&target, 1, &held[2]); /* the wrong way */
	rig_work(&target);
	assert_int_equal(rig_stats(&target).n_protocol_errors, 1);
	for (unsigned queue = 0; queue < N_QUEUES; queue++)
		guest_give_back(&target, queue, &held[queue]);
	rig_work(&target);
	assert_int_equal(rig_stats(&target).n_protocol_errors, 1);
	assert_int_equal(target.vsp->recv.n_free, target.vsp->recv.n_sections);
}

static void push_frame(struct net_rig *rig, unsigned queue, uint64_t transaction)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	size_t size_bytes = rig_rndis_packet(run, frame.bytes, frame.size_bytes, NULL, 0);
	const struct net_double_range range = {RIG_DATA_GPA + queue * 4096, (uint32_t)size_bytes};

	memcpy(rig->channel->memory + RIG_DATA_GPA + queue * 4096, run, size_bytes);
	net_double_push(rig_channel(rig, queue), VMBUS_PACKET_GPA_DIRECT, transaction, true, &nvsp,
		sizeof(nvsp), &range, 1);
}

static void packets_and_completions_of_each_queue(void **state)
{
	(void)state;
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100 + queue});
		rig_channel(&source, queue)->room = 0;
		push_frame(&source, queue, 700 + queue);
	}
	rig_work(&source);
	assert_int_equal(eth_dummy_n_sent(source.port), N_QUEUES);
	eth_dummy_set_room(source.port, 0);
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 200 + queue});
		push_frame(&source, queue, 800 + queue);
	}
	rig_work(&source);
	for (unsigned queue = 0; queue < N_QUEUES; queue++)
		assert_true(source.vsp->queues[queue].tx.busy);
	move();
	rig_work(&target);
	for (unsigned queue = 0; queue < N_QUEUES; queue++) {
		for (unsigned i = 7; i <= 8; i++) {
			assert_true(net_double_take(rig_channel(&target, queue), &packet));
			assert_int_equal(packet.transaction_id, i * 100 + queue);
		}
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 200 + queue});
		assert_true(rig_at_port(&target, &hdr, &seen));
		assert_memory_equal(seen.bytes, frame.bytes, frame.size_bytes);
	}
	assert_int_equal(eth_dummy_n_sent(target.port), 0);
}

/* A whole super-frame that waits for sections, and one that waits for its ring. */
static void coalesced_packets_half_way(void **state)
{
	unsigned queue;

	(void)state;
	for (unsigned i = 0; i < N_QUEUES; i++)
		rig_channel(&source, i)->room = 0;
	for (unsigned i = 0; i < 3; i++)
		inject_super(&source, 60000);
	rig_work(&source);
	assert_true(source.vsp->rx.holding);
	move();
	for (unsigned n = 0; n < 3; n++) {
		rig_work(&target);
		for (queue = 0; queue < N_QUEUES; queue++) {
			if (guest_take(&target, queue, &packet))
				break;
		}
		assert_true(queue < N_QUEUES);
		assert_int_equal(guest_coalesced(&target, &packet, &got), 1);
		assert_true(got.has_vlan && got.has_hash);
		assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
		guest_give_back(&target, queue, &packet);
	}
	rig_work(&target);
	assert_int_equal(target.vsp->recv.n_free, target.vsp->recv.n_sections);
}

static void a_broken_queue_stays_broken(void **state)
{
	(void)state;
	rig_channel(&source, 1)->broken = true;
	rig_work(&source);
	move();
	assert_true(target.vsp->queues[1].broken);
	inject_flow(&target, flow_of(&target, 1), 100);
	rig_work(&target);
	assert_true(guest_take(&target, 0, &packet));
}

static void the_link_indication_that_is_out(void **state)
{
	struct net_double_packet held;

	(void)state;
	source.vsp->rndis.link_up = false;
	rig_work(&source);
	rig_expect_transfer(&source, NVSP_CHANNEL_CONTROL, &held);
	source.vsp->rndis.link_up = true;
	rig_work(&source);
	rig_expect_nothing(&source);
	move();
	rig_work(&target);
	rig_expect_nothing(&target);
	rig_complete(&target, &held);
	rig_expect_transfer(&target, NVSP_CHANNEL_CONTROL, &packet);
	assert_int_equal(load_le32(target.recv + packet.ranges[0].byte_offset + 8),
		RNDIS_STATUS_MEDIA_CONNECT);
}

static void the_open_channels_must_be_the_same(void **state)
{
	(void)state;
	save();
	make_target(N_QUEUES);
	rig_channel(&target, 2)->is_open = false;
	assert_int_equal(restore(), -EBADMSG);
	make_target(N_QUEUES + 1); /* another NIC */
	assert_int_equal(restore(), -EBADMSG);
	make_target(1);
	assert_int_equal(restore(), -EBADMSG);
	/* Closed here, open there. */
	for (unsigned i = 1; i < N_QUEUES; i++)
		guest_close_sub(&source, i);
	save();
	make_target(N_QUEUES);
	rig_channel(&target, 1)->is_open = true;
	assert_int_equal(restore(), -EBADMSG);
	rig_channel(&target, 1)->is_open = false;
	assert_int_equal(restore(), 0);
}

/* All parts there are. */
static void make_busy(void)
{
	inject_flow(&source, flow_of(&source, 1), 100);
	inject_flow(&source, flow_of(&source, 2), 100);
	rig_work(&source);
	for (unsigned i = 0; i < N_QUEUES; i++)
		rig_channel(&source, i)->room = 0;
	for (unsigned i = 0; i < N_QUEUES; i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
		push_frame(&source, i, 700 + i);
		inject_flow(&source, flow_of(&source, i), 100);
	}
	rig_work(&source);
	eth_dummy_set_room(source.port, 0);
	push_frame(&source, 1, 800);
	inject_super(&source, 30000);
	inject_super(&source, 65000);
	inject_super(&source, 65000);
	rig_work(&source);
	assert_true(source.vsp->rx.holding);
	save();
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	make_busy();
	make_target(N_QUEUES);
	for (size_t bytes = 0; bytes < state_bytes.size_bytes; bytes++) {
		if (bytes % 97 && bytes > 1500 && bytes + 1500 < state_bytes.size_bytes)
			continue;
		assert_int_equal(restore_bytes(state_bytes.data, bytes), -EBADMSG);
		assert_int_equal(target.vsp->phase, NET_CLOSED);
	}
	assert_int_equal(restore(), 0);
}

static void changed_bytes_do_no_harm(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};

	(void)state;
	make_busy();
	make_target(N_QUEUES);
	for (size_t at = 0; at < state_bytes.size_bytes; at++) {
		if (at % 997 && at > 1500 && at + 1500 < state_bytes.size_bytes)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
			state_bytes.data[at] ^= masks[i];
			if (restore() == 0)
				rig_work(&target);
			state_bytes.data[at] ^= masks[i];
			for (unsigned queue = 0; queue < N_QUEUES; queue++) {
				while (net_double_take(rig_channel(&target, queue), &packet))
					;
			}
			while (rig_at_port(&target, &hdr, &seen))
				;
			net_queue_close(target.vsp->queues);
		}
	}
}

#define TEST(setup_, name) cmocka_unit_test_setup_teardown(name, setup_, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, settings_of_all_queues_move_along),
		TEST(setup, coalescing_taken_back_moves_along),
		TEST(setup_new, promised_and_not_yet_offered),
		TEST(setup_new, offered_and_not_yet_open),
		TEST(setup_new, the_table_that_waits),
		TEST(setup, each_queue_keeps_what_is_its_own),
		TEST(setup, packets_and_completions_of_each_queue),
		TEST(setup, coalesced_packets_half_way),
		TEST(setup, a_broken_queue_stays_broken),
		TEST(setup, the_link_indication_that_is_out),
		TEST(setup, the_open_channels_must_be_the_same),
		TEST(setup, every_truncation_is_refused),
		TEST(setup, changed_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
