/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The NIC is saved on one host and goes on on the other; guest memory moves along. */
static struct net_rig source, target;
static struct buf state_bytes;
static struct net_double_packet packet;
static struct rig_received got;
static struct frame frame, seen;
static struct eth_hdr hdr;
static uint8_t run[80000];
static uint8_t ppi[64];
static uint32_t target_caps;

static int setup(void **state)
{
	(void)state;
	source = (struct net_rig){0};
	target = (struct net_rig){0};
	target_caps = RIG_ALL_CAPS;
	rig_new(&source, RIG_ALL_CAPS);
	return 0;
}

static int setup_up(void **state)
{
	setup(state);
	rig_up(&source);
	return 0;
}

static int setup_up_poor(void **state)
{
	(void)state;
	source = (struct net_rig){0};
	target = (struct net_rig){0};
	target_caps = RIG_ALL_CAPS;
	rig_new(&source, 0);
	rig_up(&source);
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

/* A fresh NIC with the guest's memory of the source. */
static void make_target(void)
{
	if (target.vsp)
		rig_free(&target);
	target = (struct net_rig){
		.mtu_bytes = source.mtu_bytes,
		.recv_bytes = source.recv_bytes,
		.n_queues = source.n_queues,
	};
	rig_new(&target, target_caps);
	net_queue_close(target.vsp->queues);
	for (unsigned i = 0; i < source.channel->n_subs; i++)
		target.channel->subs[i]->is_open = source.channel->subs[i]->is_open;
	memcpy(target.recv, source.recv, source.recv_bytes);
	memcpy(target.send, source.send, RIG_SEND_BYTES);
	memcpy(target.channel->memory, source.channel->memory, NET_DOUBLE_MEMORY_BYTES);
	target.recv_complete = source.recv_complete;
	target.next_transaction = source.next_transaction;
	target.next_request = source.next_request;
}

static struct vmbus_channel *channel_of(unsigned queue)
{
	return queue ? target.channel->subs[queue - 1] : target.channel;
}

static int restore_bytes(const void *bytes, size_t size_bytes, bool open)
{
	struct vmbus_channel *channels[NET_MAX_QUEUES] = {NULL};
	uint8_t *exact = calloc(1, size_bytes ? size_bytes : 1);
	struct reader in;
	int r;

	memcpy(exact, bytes, size_bytes);
	in = reader_make(exact, size_bytes);
	for (unsigned i = 0; open && i < target.n_queues; i++)
		channels[i] = i == 0 || target.channel->subs[i - 1]->is_open ? channel_of(i) : NULL;
	r = net_vsp_restore(target.vsp, &in, channels);
	if (r == 0 && !reader_done(&in))
		r = -E2BIG;
	free(exact);
	return r;
}

static void move(void)
{
	save();
	make_target();
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes,
				 source.vsp->phase != NET_CLOSED),
		0);
}

/* Saved once more without having run, it is the same. */
static void assert_same_again(void)
{
	struct buf again = {0};

	net_vsp_save(target.vsp, &again);
	assert_int_equal(again.size_bytes, state_bytes.size_bytes);
	assert_memory_equal(again.data, state_bytes.data, again.size_bytes);
	buf_fini(&again);
}

static void assert_traffic(struct net_rig *rig)
{
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 500});
	assert_int_equal(rig_transmit_frame(rig, frame.bytes, frame.size_bytes, NULL, 0),
		NVSP_STATUS_SUCCESS);
	assert_true(rig_at_port(rig, &hdr, &seen));
	assert_memory_equal(seen.bytes, frame.bytes, frame.size_bytes);
	rig_inject(rig, NULL, frame.bytes, frame.size_bytes);
	rig_work(rig);
	rig_expect_transfer(rig, NVSP_CHANNEL_DATA, &packet);
	rig_received(rig, &packet, 0, &got);
	assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
	rig_complete(rig, &packet);
	assert_int_equal(rig->vsp->recv.n_free, rig->vsp->recv.n_sections);
}

static void a_closed_nic(void **state)
{
	(void)state;
	net_queue_close(source.vsp->queues);
	move();
	assert_same_again();
	net_queue_open(target.vsp->queues, target.channel);
	rig_up(&target);
	assert_traffic(&target);
}

static void in_the_middle_of_initialisation(void **state)
{
	(void)state;
	move();
	assert_same_again();
	assert_int_equal(target.vsp->phase, NET_OPEN);
	rig_init(&target, NVSP_VERSION_5, NVSP_VERSION_5);

	rig_init(&source, NVSP_VERSION_5, NVSP_VERSION_5);
	rig_ndis(&source, NVSP_VERSION_5);
	move();
	assert_same_again();
	assert_int_equal(target.vsp->version, NVSP_VERSION_5);
	rig_buffers(&target);

	rig_buffers(&source);
	move();
	assert_same_again();
	rig_rndis(&target);
	assert_int_equal(rig_query(&target, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0), 0);
	rig_value(&target, NDIS_OFFLOAD_BYTES_6_30); /* it knows the guest's NDIS */
}

static void settings_move_along(void **state)
{
	const struct ndis_offload_params params = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(params)},
		.tcp4_csum = NDIS_CSUM_TX,
		.lso6 = NDIS_SEGMENT_OFF,
	};

	(void)state;
	rig_set_filter(&source, NDIS_PACKET_TYPE_PROMISCUOUS);
	rig_set(&source, OID_TCP_OFFLOAD_PARAMETERS, &params, sizeof(params));
	source.vsp->rndis.link_up = false; /* not yet told */
	source.vsp->rndis.mac[5] = 0x77;
	source.vsp->queues[0].stats.rx.dropped = 99;
	move();
	assert_same_again();
	assert_int_equal(target.vsp->rndis.packet_filter, NDIS_PACKET_TYPE_PROMISCUOUS);
	assert_int_equal(target.vsp->rndis.offload.tcp4, NET_OFFLOAD_TX);
	assert_false(target.vsp->rndis.offload.lso6);
	assert_int_equal(target.vsp->rndis.mac[5], 0x77);
	assert_int_equal(rig_stats(&target).rx.dropped, 99);
	assert_int_equal(target.vsp->guest_caps, NVSP_NDIS_CAP_8021Q);
	rig_work(&target);
	rig_expect_transfer(&target, NVSP_CHANNEL_CONTROL, &packet);
	assert_int_equal(load_le32(target.recv + packet.ranges[0].byte_offset + 8),
		RNDIS_STATUS_MEDIA_DISCONNECT);
}

static void the_guests_sections_stay_the_guests(void **state)
{
	struct net_double_packet held[3];
	uint32_t n_out = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(held); i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
		for (unsigned k = 0; k <= i; k++, n_out++)
			rig_inject(&source, NULL, frame.bytes, frame.size_bytes);
		rig_work(&source);
		rig_expect_transfer(&source, NVSP_CHANNEL_DATA, &held[i]);
	}
	move();
	assert_same_again();
	assert_int_equal(target.vsp->recv.n_outstanding, 3);
	assert_int_equal(target.vsp->recv.n_free, target.vsp->recv.n_sections - n_out);
	/* It completes on the new host what it was given on the old one. */
	for (unsigned i = 0; i < ARRAY_LEN(held); i++)
		rig_complete(&target, &held[i]);
	assert_int_equal(rig_stats(&target).n_protocol_errors, 0);
	assert_traffic(&target);
}

static void a_packet_that_waits_for_the_port(void **state)
{
	size_t at = 0;
	uint64_t transaction;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 100 + i});
		at += rig_rndis_packet(run + at, frame.bytes, frame.size_bytes, NULL, 0);
	}
	transaction = rig_queue_ranges(&source, run, at);
	eth_dummy_set_room(source.port, 2);
	rig_work(&source);
	assert_int_equal(eth_dummy_n_sent(source.port), 2);
	move();
	assert_same_again();
	rig_work(&target);
	rig_expect_completion(&target, transaction, &packet);
	assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_SUCCESS);
	for (unsigned i = 2; i < 4; i++) {
		frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 100 + i});
		assert_true(rig_at_port(&target, &hdr, &seen));
		assert_memory_equal(seen.bytes, frame.bytes, frame.size_bytes);
	}
	assert_false(rig_at_port(&target, &hdr, &seen));
	assert_traffic(&target);
}

static void a_packet_in_a_section_waits_too(void **state)
{
	uint64_t transaction;

	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 900});
	transaction = rig_queue_section(
		&source, 5, run, rig_rndis_packet(run, frame.bytes, frame.size_bytes, NULL, 0));
	eth_dummy_set_room(source.port, 0);
	rig_work(&source);
	move();
	assert_same_again();
	rig_work(&target);
	rig_expect_completion(&target, transaction, &packet);
	assert_true(rig_at_port(&target, &hdr, &seen));
	assert_memory_equal(seen.bytes, frame.bytes, frame.size_bytes);
}

/* Begun in segments by a port that could not, gone on in segments by one that can. */
static void a_large_send_half_done(void **state)
{
	size_t payload_bytes = 10000, at;
	uint64_t transaction;

	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = payload_bytes});
	transaction = rig_queue_ranges(&source, run,
		rig_rndis_packet(run, frame.bytes, frame.size_bytes, ppi,
			rig_ppi(ppi, RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1000)));
	eth_dummy_set_room(source.port, 4);
	rig_work(&source);
	move();
	assert_same_again();
	rig_work(&target);
	rig_expect_completion(&target, transaction, &packet);
	assert_int_equal(eth_dummy_n_sent(target.port), 6);
	for (at = 4000; at < payload_bytes; at += 1000) {
		assert_true(rig_at_port(&target, &hdr, &seen));
		assert_int_equal(hdr.gso_type, ETH_GSO_NONE);
		assert_true(frame_checksums_ok(&seen));
		assert_memory_equal(
			seen.bytes + seen.payload_at, frame.bytes + frame.payload_at + at, 1000);
	}
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 10000});
	assert_int_equal(rig_transmit_frame(&target, frame.bytes, frame.size_bytes, ppi,
				 rig_ppi(ppi, RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1000)),
		NVSP_STATUS_SUCCESS);
	assert_int_equal(eth_dummy_n_sent(target.port), 1);
}

/* A port that can less than the guest was promised. */
static void a_poorer_host(void **state)
{
	(void)state;
	target_caps = 0;
	move();
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 5000});
	assert_int_equal(rig_transmit_frame(&target, frame.bytes, frame.size_bytes, ppi,
				 rig_ppi(ppi, RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1000)),
		NVSP_STATUS_SUCCESS);
	assert_int_equal(eth_dummy_n_sent(target.port), 5);
}

static void a_super_frame_half_delivered(void **state)
{
	struct net_double_packet held[4];
	size_t at = 0, payload_bytes = 65000;
	unsigned n_held = 0;

	(void)state;
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = payload_bytes});
	frame_make_partial(&frame, true);
	hdr = (struct eth_hdr){.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = ETH_GSO_TCPV4,
		.gso_size = 800,
		.csum_start = (uint16_t)frame.l4_at,
		.csum_offset = 16};
	rig_inject(&source, &hdr, frame.bytes, frame.size_bytes);
	rig_work(&source);
	while (net_double_take(source.channel, &held[n_held])) {
		for (unsigned i = 0; i < held[n_held].n_ranges; i++)
			at += 800;
		n_held++;
	}
	assert_true(at < payload_bytes);
	move();
	assert_same_again();
	for (unsigned i = 0; i < n_held; i++)
		rig_complete(&target, &held[i]);
	while (net_double_take(target.channel, &packet)) {
		for (unsigned i = 0; i < packet.n_ranges; i++) {
			size_t part_bytes;

			rig_received(&target, &packet, i, &got);
			part_bytes = got.frame.size_bytes - got.frame.payload_at;
			assert_true(got.has_vlan && got.has_checksum);
			assert_true(frame_checksums_ok(&got.frame));
			assert_memory_equal(got.frame.bytes + got.frame.payload_at,
				frame.bytes + frame.payload_at + at, part_bytes);
			at += part_bytes;
		}
		rig_complete(&target, &packet);
	}
	assert_int_equal(at, payload_bytes);
	assert_traffic(&target);
}

static void filled_sections_that_wait_for_the_ring(void **state)
{
	(void)state;
	source.channel->room = 0;
	for (unsigned i = 0; i < 5; i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100 + i});
		rig_inject(&source, NULL, frame.bytes, frame.size_bytes);
	}
	rig_work(&source);
	move();
	assert_same_again();
	rig_work(&target);
	rig_expect_transfer(&target, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(packet.n_ranges, 5);
	for (unsigned i = 0; i < 5; i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100 + i});
		rig_received(&target, &packet, i, &got);
		assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
	}
	rig_complete(&target, &packet);
	assert_traffic(&target);
}

static void completions_and_answers_that_wait(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 4242};
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0};
	const struct net_double_range range = {RIG_CONTROL_GPA, sizeof(keepalive)};

	(void)state;
	source.channel->room = 0;
	memcpy(source.channel->memory + RIG_CONTROL_GPA, &keepalive, sizeof(keepalive));
	for (unsigned i = 0; i < 3; i++)
		net_double_push(source.channel, VMBUS_PACKET_GPA_DIRECT, 900 + i, true, &nvsp,
			sizeof(nvsp), &range, 1);
	rig_work(&source);
	move();
	assert_same_again();
	rig_work(&target);
	for (unsigned i = 0; i < 3; i++)
		rig_expect_completion(&target, 900 + i, &packet);
	for (unsigned i = 0; i < 3; i++) {
		rig_expect_transfer(&target, NVSP_CHANNEL_CONTROL, &packet);
		assert_int_equal(load_le32(target.recv + packet.ranges[0].byte_offset + 8), 4242);
	}
	rig_expect_nothing(&target);
}

static void a_broken_channel_stays_broken(void **state)
{
	(void)state;
	source.channel->broken = true;
	rig_work(&source);
	move();
	assert_true(target.vsp->queues[0].broken);
	assert_false(net_queue_work(target.vsp->queues));
}

static void another_nic_is_refused(void **state)
{
	(void)state;
	save();
	make_target();
	state_bytes.data[5] ^= 1; /* MAC */
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, true), -EBADMSG);
	state_bytes.data[5] ^= 1;
	state_bytes.data[6] ^= 1; /* MTU */
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, true), -EBADMSG);
	state_bytes.data[6] ^= 1;
	/* The channel's state and ours must agree. */
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, false), -EBADMSG);
	net_queue_close(source.vsp->queues);
	save();
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, true), -EBADMSG);
}

static void buffers_must_be_there(void **state)
{
	(void)state;
	save();
	make_target();
	net_double_gpadl_drop(target.channel, RIG_SEND_GPADL);
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, true), -EBADMSG);
	assert_int_equal(target.vsp->phase, NET_CLOSED);
	make_target();
	net_double_gpadl_drop(target.channel, RIG_RECV_GPADL);
	net_double_gpadl(target.channel, RIG_RECV_GPADL, RIG_RECV_BYTES - 1728);
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, true), -EBADMSG);
}

/* Everything outstanding at once: a state with all its parts. */
static void make_busy(void)
{
	size_t size_bytes;

	frame_make(&frame, &(struct frame_spec){.payload_bytes = 3000});
	size_bytes = rig_rndis_packet(run, frame.bytes, frame.size_bytes, ppi,
		rig_ppi(ppi, RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1000));
	for (unsigned i = 0; i < 3; i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
		rig_inject(&source, NULL, frame.bytes, frame.size_bytes);
		rig_work(&source);
	}
	source.channel->room = 0;
	rig_queue_ranges(&source, run, size_bytes);
	rig_queue_ranges(&source, run, size_bytes);
	eth_dummy_set_room(source.port, 1);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 60000});
	frame_make_partial(&frame, true);
	hdr = (struct eth_hdr){.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = ETH_GSO_TCPV4,
		.gso_size = 1000,
		.csum_start = (uint16_t)frame.l4_at,
		.csum_offset = 16};
	rig_inject(&source, &hdr, frame.bytes, frame.size_bytes);
	rig_work(&source);
	assert_true(source.vsp->queues[0].tx.busy);
	assert_true(source.vsp->rx.holding);
	assert_true(source.vsp->queues[0].rx.n_entries > 0);
	assert_true(source.vsp->queues[0].n_completions > 0);
	assert_true(source.vsp->recv.n_outstanding > 0);
	save();
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	make_busy();
	make_target();
	for (size_t bytes = 0; bytes < state_bytes.size_bytes; bytes++) {
		/* The frame's payload is the bulk of it: not every byte of that. */
		if (bytes % 97 && bytes > 600 && bytes + 600 < state_bytes.size_bytes)
			continue;
		assert_int_equal(restore_bytes(state_bytes.data, bytes, true), -EBADMSG);
		assert_int_equal(target.vsp->phase, NET_CLOSED);
	}
	assert_int_equal(restore_bytes(state_bytes.data, state_bytes.size_bytes, true), 0);
}

/* Whatever a byte is changed to, the NIC refuses or runs; a sanitizer sees what it does. */
static void changed_bytes_do_no_harm(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};

	(void)state;
	make_busy();
	make_target();
	for (size_t at = 0; at < state_bytes.size_bytes; at++) {
		if (at % 997 && at > 700 && at + 700 < state_bytes.size_bytes)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
			state_bytes.data[at] ^= masks[i];
			if (restore_bytes(state_bytes.data, state_bytes.size_bytes, true) == 0)
				rig_work(&target);
			state_bytes.data[at] ^= masks[i];
			while (net_double_take(target.channel, &packet))
				;
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
		TEST(setup, a_closed_nic),
		TEST(setup, in_the_middle_of_initialisation),
		TEST(setup_up, settings_move_along),
		TEST(setup_up, the_guests_sections_stay_the_guests),
		TEST(setup_up, a_packet_that_waits_for_the_port),
		TEST(setup_up, a_packet_in_a_section_waits_too),
		TEST(setup_up_poor, a_large_send_half_done),
		TEST(setup_up, a_poorer_host),
		TEST(setup_up, a_super_frame_half_delivered),
		TEST(setup_up, filled_sections_that_wait_for_the_ring),
		TEST(setup_up, completions_and_answers_that_wait),
		TEST(setup_up, a_broken_channel_stays_broken),
		TEST(setup_up, another_nic_is_refused),
		TEST(setup_up, buffers_must_be_there),
		TEST(setup_up, every_truncation_is_refused),
		TEST(setup_up, changed_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
