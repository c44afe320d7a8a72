/* SPDX-License-Identifier: MIT */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TCP_OK4 (RNDIS_RXCSUM_TCP_OK | RNDIS_RXCSUM_IP_OK)
#define UDP_OK4 (RNDIS_RXCSUM_UDP_OK | RNDIS_RXCSUM_IP_OK)

static struct net_rig rig;
static struct net_double_packet packet;
static struct rig_received got;
static struct frame frame;

static int setup(void **state)
{
	(void)state;
	rig = (struct net_rig){0};
	rig_new(&rig, RIG_ALL_CAPS);
	rig_up(&rig);
	return 0;
}

static int setup_jumbo(void **state)
{
	(void)state;
	rig = (struct net_rig){.mtu_bytes = 9000, .recv_bytes = 64 * 9200};
	rig_new(&rig, RIG_ALL_CAPS);
	rig_up(&rig);
	return 0;
}

static int setup_without_filter(void **state)
{
	setup(state);
	rig_set_filter(&rig, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static void inject(const struct eth_hdr *hdr)
{
	rig_inject(&rig, hdr, frame.bytes, frame.size_bytes);
}

/* One packet with one frame, which goes back at once. */
static void receive_one(void)
{
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(packet.n_ranges, 1);
	rig_received(&rig, &packet, 0, &got);
	rig_complete(&rig, &packet);
	rig_expect_nothing(&rig);
}

static void receive_none(void)
{
	rig_work(&rig);
	rig_expect_nothing(&rig);
}

static void assert_got_frame(void)
{
	assert_int_equal(got.frame.size_bytes, frame.size_bytes);
	assert_memory_equal(got.frame.bytes, frame.bytes, frame.size_bytes);
}

static void a_frame_arrives_as_it_is(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 1460});
	inject(NULL);
	receive_one();
	assert_got_frame();
	assert_false(got.has_checksum || got.has_vlan);
	assert_int_equal(rig_stats(&rig).rx.frames, 1);
	assert_int_equal(rig_stats(&rig).rx.bytes, 1514);
}

static void short_frames_are_padded(void **state)
{
	(void)state;
	memset(rig.recv, 0xee, RIG_RECV_BYTES);
	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 1});
	inject(NULL);
	receive_one();
	frame.size_bytes = 60;
	assert_got_frame();
}

static void the_tag_moves_beside_the_frame(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = 1460});
	inject(NULL);
	receive_one();
	assert_true(got.has_vlan);
	assert_int_equal(got.vlan, 5 << 4 | 3);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 1460});
	assert_got_frame();
}

static void a_second_tag_stays(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = 1460});
	memmove(frame.bytes + 16, frame.bytes + 12, frame.size_bytes - 12);
	frame.size_bytes += 4;
	store_be16(frame.bytes + 14, 9);
	inject(NULL);
	receive_one();
	assert_int_equal(got.vlan, 9 << 4);
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = 1460});
	assert_got_frame();
}

static void partial_checksums_are_completed(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		struct frame_spec spec = {.ipv6 = bits & 1,
			.udp = bits & 2,
			.tagged = bits & 4,
			.payload_bytes = 1001};
		uint32_t verdict = spec.udp ? RNDIS_RXCSUM_UDP_OK : RNDIS_RXCSUM_TCP_OK;
		struct eth_hdr hdr = {.flags = ETH_HDR_NEEDS_CSUM};

		frame_make(&frame, &spec);
		frame_make_partial(&frame, true);
		hdr.csum_start = (uint16_t)frame.l4_at;
		hdr.csum_offset = spec.udp ? 6 : 16;
		inject(&hdr);
		receive_one();
		assert_true(got.has_checksum);
		assert_int_equal(got.checksum, spec.ipv6 ? verdict : verdict | RNDIS_RXCSUM_IP_OK);
		spec.tagged = false;
		frame_make(&frame, &spec);
		assert_got_frame();
	}
}

static void trusted_checksums_are_passed_on(void **state)
{
	const struct eth_hdr valid = {.flags = ETH_HDR_DATA_VALID};

	(void)state;
	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 100});
	inject(&valid);
	receive_one();
	assert_int_equal(got.checksum, UDP_OK4);

	/* Nobody said that of the IP header. */
	frame.bytes[frame.ip_at + 8]--;
	inject(&valid);
	receive_one();
	assert_int_equal(got.checksum, RNDIS_RXCSUM_UDP_OK);

	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	store_be16(frame.bytes + 12, 0x0806);
	inject(&valid);
	receive_one();
	assert_false(got.has_checksum);
}

static void a_guest_that_checks_itself_is_told_nothing(void **state)
{
	const struct eth_hdr valid = {.flags = ETH_HDR_DATA_VALID};
	const struct ndis_offload_params params = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(params)},
		.tcp4_csum = NDIS_CSUM_TX,
	};

	(void)state;
	assert_int_equal(rig_set(&rig, OID_TCP_OFFLOAD_PARAMETERS, &params, sizeof(params)), 0);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	inject(&valid);
	receive_one();
	assert_false(got.has_checksum);
	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 100});
	inject(&valid);
	receive_one();
	assert_int_equal(got.checksum, UDP_OK4);
}

static struct eth_hdr super_hdr(const struct frame_spec *spec, uint16_t gso_size)
{
	struct eth_hdr hdr = {
		.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = spec->ipv6 ? ETH_GSO_TCPV6 : ETH_GSO_TCPV4,
		.gso_size = gso_size,
		.csum_offset = 16,
	};

	frame_make(&frame, spec);
	frame_make_partial(&frame, true);
	hdr.csum_start = (uint16_t)frame.l4_at;
	hdr.hdr_len = (uint16_t)frame.payload_at;
	return hdr;
}

/* All segments, from as many packets as it takes, given back as they come. */
static size_t receive_segments(size_t at, size_t payload_bytes)
{
	while (at < payload_bytes && net_double_take(rig.channel, &packet)) {
		for (unsigned i = 0; i < packet.n_ranges; i++) {
			size_t part_bytes;

			rig_received(&rig, &packet, i, &got);
			assert_true(frame_checksums_ok(&got.frame));
			assert_true(got.has_checksum);
			part_bytes = MIN(
				got.frame.size_bytes - got.frame.payload_at, payload_bytes - at);
			assert_memory_equal(got.frame.bytes + got.frame.payload_at,
				frame.bytes + frame.payload_at + at, part_bytes);
			at += part_bytes;
		}
		rig_complete(&rig, &packet);
	}
	return at;
}

static void super_frames_are_cut(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		const struct frame_spec spec = {
			.ipv6 = bits & 1, .tagged = bits & 2, .payload_bytes = 60000};
		struct eth_hdr hdr = super_hdr(&spec, 1400);

		inject(&hdr);
		rig_work(&rig);
		assert_int_equal(receive_segments(0, 60000), 60000);
		assert_int_equal(got.has_vlan, spec.tagged);
		assert_int_equal(got.checksum, spec.ipv6 ? RNDIS_RXCSUM_TCP_OK : TCP_OK4);
		receive_none();
	}
	assert_int_equal(rig_stats(&rig).rx.frames, 4 * 43);
}

static void the_mtu_of_the_guest_bounds_segments(void **state)
{
	struct eth_hdr hdr = super_hdr(&(struct frame_spec){.payload_bytes = 20000}, 8000);

	(void)state;
	inject(&hdr);
	rig_work(&rig);
	assert_int_equal(receive_segments(0, 20000), 20000);
	assert_int_equal(rig_stats(&rig).rx.frames, 14); /* of 1460 */
}

static void jumbo_frames_have_jumbo_sections(void **state)
{
	(void)state;
	assert_true(rig.recv_complete.section.sub_alloc_size >= 9000 + 14 + 44 + 32);
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = 8960});
	inject(&(struct eth_hdr){.flags = ETH_HDR_DATA_VALID});
	receive_one();
	assert_true(got.has_vlan && got.has_checksum);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 8960});
	assert_got_frame();
}

static void frames_beyond_the_mtu_are_dropped(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 1461});
	inject(NULL);
	receive_none();
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = 1461});
	inject(NULL);
	receive_none();
	assert_int_equal(rig_stats(&rig).rx.dropped, 2);
}

static void hostile_headers_are_dropped(void **state)
{
	struct eth_hdr hdrs[] = {
		{.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 0xffff},
		{.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 16},
		{.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 0, .csum_offset = 0}, /* the address */
		{.gso_type = ETH_GSO_TCPV4, .gso_size = 0},
		{.gso_type = ETH_GSO_TCPV4, .gso_size = 7},
		{.gso_type = ETH_GSO_TCPV6, .gso_size = 1000}, /* not IPv6 */
	};
	uint64_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hdrs); i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 1000});
		inject(&hdrs[i]);
		receive_none();
		assert_int_equal(rig_stats(&rig).rx.dropped, ++n);
	}
	/* A super-frame of UDP, of no payload, of broken headers. */
	frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 9000});
	inject(&(struct eth_hdr){.gso_type = ETH_GSO_TCPV4, .gso_size = 1000});
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 0});
	inject(&(struct eth_hdr){.gso_type = ETH_GSO_TCPV4, .gso_size = 1000});
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 9000});
	frame.bytes[frame.l4_at + 12] = 0;
	inject(&(struct eth_hdr){.gso_type = ETH_GSO_TCPV4, .gso_size = 1000});
	receive_none();
	assert_int_equal(rig_stats(&rig).rx.dropped, n + 3);
}

static void a_frame_that_is_only_a_tag(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.tagged = true});
	frame.size_bytes = 14;
	inject(NULL);
	receive_one(); /* too short to be stripped: as it is */
	assert_false(got.has_vlan);
	frame.size_bytes = 18;
	inject(NULL);
	receive_one();
	assert_true(got.has_vlan);
}

static void nothing_before_the_filter(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	inject(NULL);
	receive_none();
	assert_int_equal(eth_dummy_n_injected(rig.port), 0); /* gone, not kept for later */
	rig_set_filter(&rig, NDIS_PACKET_TYPE_DIRECTED);
	receive_none();
	inject(NULL);
	receive_one();
}

static void the_filter_is_honoured(void **state)
{
	static const uint8_t other[6] = {0x02, 1, 1, 1, 1, 1};
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

	(void)state;
	rig_set_filter(&rig, NDIS_PACKET_TYPE_DIRECTED);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	memcpy(frame.bytes, other, 6);
	inject(NULL);
	memcpy(frame.bytes, broadcast, 6);
	inject(NULL);
	receive_none();
	rig_set_filter(&rig, NDIS_PACKET_TYPE_PROMISCUOUS);
	memcpy(frame.bytes, other, 6);
	inject(NULL);
	receive_one();
}

static void no_link_no_frames(void **state)
{
	(void)state;
	rig.vsp->rndis.link_up = false;
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_CONTROL, &packet);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	inject(NULL);
	receive_none();
	assert_int_equal(eth_dummy_n_injected(rig.port), 0);
}

static void bursts_share_packets(void **state)
{
	unsigned n_frames = 0;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 100 + i});
		inject(NULL);
	}
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(packet.n_ranges, 40);
	do {
		for (unsigned i = 0; i < packet.n_ranges; i++) {
			frame_make(&frame, &(struct frame_spec){
						   .udp = true, .payload_bytes = 100 + n_frames++});
			rig_received(&rig, &packet, i, &got);
			assert_got_frame();
		}
	} while (net_double_take(rig.channel, &packet));
	assert_int_equal(n_frames, 40);
}

/* Frames stay at the port while no section is free, and the guest's completions let them go on. */
static void sections_run_out_and_come_back(void **state)
{
	struct net_double_packet held[64];
	unsigned n_held = 0, n_frames = 0;
	uint32_t n_data = rig.recv_complete.section.n_sub_allocs - NET_CONTROL_RESERVE;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		frame_make(&frame, &(struct frame_spec){.udp = true, .payload_bytes = 100 + i});
		inject(NULL);
	}
	rig_work(&rig);
	while (net_double_take(rig.channel, &held[n_held]))
		n_frames += held[n_held++].n_ranges;
	assert_int_equal(n_frames, n_data);
	assert_true(n_held <= n_data);
	assert_int_equal(eth_dummy_n_injected(rig.port), 200 - n_data);
	/* The port is not armed: its frames would keep the worker awake. */
	assert_false(net_queue_arm(rig.vsp->queues));

	/* Control goes on meanwhile. */
	assert_int_equal(rig_query(&rig, OID_GEN_LINK_SPEED, NULL, 0), 0);

	for (unsigned i = 0; i < n_held; i++) {
		rig_complete(&rig, &held[i]);
		while (net_double_take(rig.channel, &held[n_held]))
			n_frames += held[n_held++].n_ranges;
	}
	assert_int_equal(n_frames, 200);
	assert_int_equal(rig_stats(&rig).rx.dropped, 0);
	assert_int_equal(rig.vsp->recv.n_free, rig.recv_complete.section.n_sub_allocs);
	assert_int_equal(rig_stats(&rig).n_protocol_errors, 0);
}

static void a_super_frame_waits_for_sections(void **state)
{
	struct eth_hdr hdr = super_hdr(&(struct frame_spec){.payload_bytes = 65000}, 800);
	uint32_t n_data = rig.recv_complete.section.n_sub_allocs - NET_CONTROL_RESERVE;

	(void)state;
	inject(&hdr); /* 82 segments into 48 sections */
	rig_work(&rig);
	assert_int_equal(rig_stats(&rig).rx.frames, n_data);
	assert_int_equal(receive_segments(0, 65000), 65000);
	assert_int_equal(rig_stats(&rig).rx.frames, 82);
}

static void a_full_ring_holds_what_is_filled(void **state)
{
	(void)state;
	rig.channel->room = 0;
	for (unsigned i = 0; i < 100; i++) {
		frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
		inject(NULL);
	}
	rig_work(&rig);
	rig_expect_nothing(&rig);
	assert_false(net_queue_arm(rig.vsp->queues));
	assert_true(eth_dummy_n_injected(rig.port) >= 100 - NET_RX_QUEUE_MAX / 2 - 1);
	for (unsigned n = 0; n < 100; n += packet.n_ranges) {
		rig.channel->room = 1;
		rig_work(&rig);
		rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
		rig_complete(&rig, &packet);
	}
	assert_int_equal(rig_stats(&rig).rx.dropped, 0);
}

static void strange_completions_are_counted(void **state)
{
	const struct nvsp_send_rndis_pkt_complete complete = {
		NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS};

	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	inject(NULL);
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	for (unsigned i = 0; i < 2; i++)
		net_double_push(rig.channel, VMBUS_PACKET_COMPLETION, packet.transaction_id, false,
			&complete, sizeof(complete), NULL, 0);
	net_double_push(rig.channel, VMBUS_PACKET_COMPLETION, 0, false, NULL, 0, NULL, 0);
	rig_work(&rig);
	assert_int_equal(rig_stats(&rig).n_protocol_errors, 2);
	assert_int_equal(rig.vsp->recv.n_outstanding, 0);
}

/* An error in the status recycles the sections all the same; so does no status at all. */
static void failed_completions_recycle(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	inject(NULL);
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	net_double_push(rig.channel, VMBUS_PACKET_COMPLETION, packet.transaction_id, false, NULL, 0,
		NULL, 0);
	rig_work(&rig);
	assert_int_equal(rig.vsp->recv.n_free, rig.recv_complete.section.n_sub_allocs);
}

static void revoking_takes_everything_back(void **state)
{
	const struct nvsp_revoke_buf revoke = {NVSP_REVOKE_RECV_BUF, NVSP_RECV_BUF_ID};
	struct eth_hdr hdr = super_hdr(&(struct frame_spec){.payload_bytes = 65000}, 800);

	(void)state;
	inject(&hdr);
	rig_work(&rig);
	while (net_double_take(rig.channel, &packet))
		;
	assert_true(rig.vsp->rx.holding);
	rig_post(&rig, &revoke, sizeof(revoke), false);
	assert_false(rig.vsp->rx.holding);
	inject(&hdr);
	receive_none();
	assert_int_equal(rig_stats(&rig).n_protocol_errors, 0);
}

static void arming_asks_the_port(void **state)
{
	(void)state;
	assert_false(net_queue_arm(rig.vsp->queues));
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	inject(NULL);
	assert_true(net_queue_arm(rig.vsp->queues));
	receive_one();
	assert_false(net_queue_arm(rig.vsp->queues));
}

#define TEST(setup_, name) cmocka_unit_test_setup_teardown(name, setup_, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, a_frame_arrives_as_it_is),
		TEST(setup, short_frames_are_padded),
		TEST(setup, the_tag_moves_beside_the_frame),
		TEST(setup, a_second_tag_stays),
		TEST(setup, partial_checksums_are_completed),
		TEST(setup, trusted_checksums_are_passed_on),
		TEST(setup, a_guest_that_checks_itself_is_told_nothing),
		TEST(setup, super_frames_are_cut),
		TEST(setup, the_mtu_of_the_guest_bounds_segments),
		TEST(setup_jumbo, jumbo_frames_have_jumbo_sections),
		TEST(setup, frames_beyond_the_mtu_are_dropped),
		TEST(setup, hostile_headers_are_dropped),
		TEST(setup, a_frame_that_is_only_a_tag),
		TEST(setup_without_filter, nothing_before_the_filter),
		TEST(setup, the_filter_is_honoured),
		TEST(setup, no_link_no_frames),
		TEST(setup, bursts_share_packets),
		TEST(setup, sections_run_out_and_come_back),
		TEST(setup, a_super_frame_waits_for_sections),
		TEST(setup, a_full_ring_holds_what_is_filled),
		TEST(setup, strange_completions_are_counted),
		TEST(setup, failed_completions_recycle),
		TEST(setup, revoking_takes_everything_back),
		TEST(setup, arming_asks_the_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
