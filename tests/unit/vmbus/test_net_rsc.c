/* SPDX-License-Identifier: MIT
 *
 * Super-frames for a guest that knows coalesced packets: one packet, put together again as Linux
 * 6.1 does it.
 */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"
#include "net_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct net_rig rig;
static struct net_double_packet packet;
static struct rig_received got;
static struct frame frame, whole;
static struct eth_hdr hdr;

static int setup_sized(uint32_t mtu_bytes, uint32_t recv_bytes, bool rsc)
{
	rig = (struct net_rig){
		.mtu_bytes = mtu_bytes, .recv_bytes = recv_bytes, .n_queues = 2, .rsc = rsc};
	rig_new(&rig, RIG_ALL_CAPS);
	rig_up(&rig);
	guest_coalesce(&rig, NDIS_SEGMENT_ON, NDIS_SEGMENT_ON);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_sized(1500, 200 * 1728, true);
}

static int setup_without(void **state)
{
	(void)state;
	return setup_sized(1500, 200 * 1728, false);
}

static int setup_small(void **state)
{
	(void)state;
	return setup_sized(1500, 40 * 1728, true);
}

static int setup_jumbo(void **state)
{
	(void)state;
	return setup_sized(9000, 60 * 9200, true);
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

/* In `frame` as it comes from the port, in `whole` as the guest is to see it. */
static void inject_super(const struct frame_spec *spec, uint16_t gso_size)
{
	struct frame_spec untagged = *spec;

	untagged.tagged = false;
	frame_make(&whole, &untagged);
	frame_make(&frame, spec);
	frame_make_partial(&frame, true);
	hdr = (struct eth_hdr){
		.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = spec->ipv6 ? ETH_GSO_TCPV6 : ETH_GSO_TCPV4,
		.gso_size = gso_size,
		.csum_start = (uint16_t)frame.l4_at,
		.csum_offset = 16,
	};
	rig_inject(&rig, &hdr, frame.bytes, frame.size_bytes);
}

static void expect_whole(unsigned n_ranges)
{
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(packet.n_ranges, n_ranges);
	assert_int_equal(guest_coalesced(&rig, &packet, &got), 1);
	assert_int_equal(got.frame.size_bytes, whole.size_bytes);
	assert_memory_equal(got.frame.bytes, whole.bytes, whole.size_bytes);
	assert_true(frame_checksums_ok(&got.frame));
	assert_true(got.has_checksum && got.checksum & RNDIS_RXCSUM_TCP_OK);
	rig_complete(&rig, &packet);
	assert_int_equal(rig.vsp->recv.n_free, rig.vsp->recv.n_sections);
}

static void a_super_frame_comes_whole(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		inject_super(&(struct frame_spec){.ipv6 = bits & 1,
				     .tagged = bits & 2,
				     .tcp_option_words = 3,
				     .payload_bytes = 60000},
			1400);
		expect_whole(37);
		assert_int_equal(got.has_vlan, bits >> 1);
		if (got.has_vlan)
			assert_int_equal(got.vlan, 5 << 4 | 3);
	}
	assert_int_equal(rig_stats(&rig).rx.frames, 4);
	rig_expect_nothing(&rig);
}

/* From one that fits a section to the largest there is. */
static void of_every_size(void **state)
{
	(void)state;
	for (size_t bytes = 1100; bytes < 65400; bytes += 1607) {
		inject_super(&(struct frame_spec){.payload_bytes = bytes}, 1000);
		rig_work(&rig);
		rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
		assert_int_equal(guest_coalesced(&rig, &packet, &got), 1);
		assert_int_equal(got.frame.size_bytes, whole.size_bytes);
		assert_memory_equal(got.frame.bytes, whole.bytes, whole.size_bytes);
		rig_complete(&rig, &packet);
	}
	/* 65535 of IP. */
	inject_super(&(struct frame_spec){.tagged = true, .payload_bytes = 65495}, 1000);
	expect_whole(40);
}

static void plain_frames_have_packets_of_their_own(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	inject_super(&(struct frame_spec){.payload_bytes = 10000}, 1400);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 100});
	rig_inject(&rig, NULL, frame.bytes, frame.size_bytes);
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(packet.n_ranges, 2);
	rig_received(&rig, &packet, 0, &got);
	assert_false(got.has_packet_id);
	rig_complete(&rig, &packet);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(guest_coalesced(&rig, &packet, &got), 1);
	assert_memory_equal(got.frame.bytes, whole.bytes, whole.size_bytes);
	rig_complete(&rig, &packet);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	assert_int_equal(packet.n_ranges, 1);
}

static void ids_differ_from_packet_to_packet(void **state)
{
	uint32_t first;

	(void)state;
	inject_super(&(struct frame_spec){.payload_bytes = 5000}, 1400);
	expect_whole(4);
	first = got.packet_id >> 16;
	inject_super(&(struct frame_spec){.payload_bytes = 5000}, 1400);
	expect_whole(4);
	assert_int_not_equal(got.packet_id >> 16, first);
}

static void expect_segments(size_t payload_bytes, size_t segment_bytes)
{
	size_t at = 0;

	rig_work(&rig);
	while (at < payload_bytes && net_double_take(rig.channel, &packet)) {
		for (unsigned i = 0; i < packet.n_ranges; i++, at += segment_bytes) {
			rig_received(&rig, &packet, i, &got);
			assert_false(got.has_packet_id);
			assert_true(frame_checksums_ok(&got.frame));
		}
		rig_complete(&rig, &packet);
	}
	assert_true(at >= payload_bytes);
}

static void who_does_not_know_them_gets_segments(void **state)
{
	(void)state;
	assert_false(rig.vsp->rndis.rsc);
	inject_super(&(struct frame_spec){.payload_bytes = 14000}, 1400);
	expect_segments(14000, 1400);
}

static void each_family_has_its_switch(void **state)
{
	(void)state;
	guest_coalesce(&rig, NDIS_SEGMENT_OFF, NDIS_OFFLOAD_NO_CHANGE);
	inject_super(&(struct frame_spec){.payload_bytes = 14000}, 1400);
	expect_segments(14000, 1400);
	inject_super(&(struct frame_spec){.ipv6 = true, .payload_bytes = 14000}, 1400);
	expect_whole(9);
	guest_coalesce(&rig, NDIS_SEGMENT_ON, NDIS_SEGMENT_OFF);
	inject_super(&(struct frame_spec){.ipv6 = true, .payload_bytes = 14000}, 1400);
	expect_segments(14000, 1400);
}

/* A version before 6.1 has no such packets, whatever its capabilities say. */
static void older_guests_get_segments(void **state)
{
	(void)state;
	net_queue_open(rig.vsp->queues, rig.channel);
	rig_init(&rig, NVSP_VERSION_6, NVSP_VERSION_6);
	rig_ndis(&rig, NVSP_VERSION_6);
	rig_buffers(&rig);
	rig_rndis(&rig);
	rig_set_filter(&rig, NDIS_PACKET_TYPE_PROMISCUOUS);
	guest_coalesce(&rig, NDIS_SEGMENT_ON, NDIS_SEGMENT_ON);
	inject_super(&(struct frame_spec){.payload_bytes = 14000}, 1400);
	expect_segments(14000, 1400);
}

/* 24 sections for data: what will never fit in them is cut. */
static void a_small_buffer_gets_segments(void **state)
{
	(void)state;
	inject_super(&(struct frame_spec){.payload_bytes = 60000}, 1400);
	expect_segments(60000, 1400);
	inject_super(&(struct frame_spec){.payload_bytes = 30000}, 1400);
	expect_whole(19);
}

static void a_whole_frame_waits_for_its_sections(void **state)
{
	struct net_double_packet held;

	(void)state;
	inject_super(&(struct frame_spec){.payload_bytes = 30000}, 1400);
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &held);
	inject_super(&(struct frame_spec){.payload_bytes = 30001}, 1400);
	rig_work(&rig);
	rig_expect_nothing(&rig);
	assert_true(rig.vsp->rx.holding);
	assert_false(net_queue_arm(rig.vsp->queues));
	rig_complete(&rig, &held);
	expect_whole(19);
}

static void jumbo_sections_take_more(void **state)
{
	(void)state;
	assert_int_equal(rig.recv_complete.section.sub_alloc_size, 9128);
	inject_super(&(struct frame_spec){.payload_bytes = 60000}, 8900);
	expect_whole(7);
}

/* Not one that is no larger than a segment, nor one whose checksum cannot be made here. */
static void what_cannot_be_coalesced_is_cut(void **state)
{
	(void)state;
	inject_super(&(struct frame_spec){.payload_bytes = 500}, 1000);
	expect_segments(500, 1000);
	inject_super(
		&(struct frame_spec){.ipv6 = true, .routing = true, .payload_bytes = 4000}, 1000);
	expect_segments(4000, 1000);
}

static void it_goes_to_its_queue_with_its_hash(void **state)
{
	struct guest_rss rss = guest_rss_make(2);

	(void)state;
	guest_scale(&rig);
	for (unsigned i = 0; i < 128; i++)
		rss.table[i] = 1;
	assert_int_equal(guest_rss_set(&rig, &rss), RNDIS_STATUS_SUCCESS);
	inject_super(&(struct frame_spec){.tagged = true, .payload_bytes = 20000}, 1400);
	rig_work(&rig);
	rig_expect_nothing(&rig);
	assert_true(guest_take(&rig, 1, &packet));
	assert_int_equal(guest_coalesced(&rig, &packet, &got), 1);
	assert_true(got.has_hash && got.has_vlan && got.has_checksum);
	assert_memory_equal(got.frame.bytes, whole.bytes, whole.size_bytes);
}

static void a_write_that_fails_drops_one_frame(void **state)
{
	(void)state;
	frame_make(&whole, &(struct frame_spec){.payload_bytes = 100});
	net_double_shrink(rig.channel, RIG_RECV_GPADL, 100 * 1728);
	inject_super(&(struct frame_spec){.payload_bytes = 60000}, 1400);
	/* The first hundred sections are taken before. */
	rig_work(&rig);
	while (net_double_take(rig.channel, &packet))
		;
	for (unsigned i = 0; i < 3; i++)
		inject_super(&(struct frame_spec){.payload_bytes = 60000}, 1400);
	rig_work(&rig);
	assert_true(rig_stats(&rig).rx.dropped > 0);
	assert_false(rig.vsp->rx.holding);
}

#define TEST(setup_, name) cmocka_unit_test_setup_teardown(name, setup_, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, a_super_frame_comes_whole),
		TEST(setup, of_every_size),
		TEST(setup, plain_frames_have_packets_of_their_own),
		TEST(setup, ids_differ_from_packet_to_packet),
		TEST(setup_without, who_does_not_know_them_gets_segments),
		TEST(setup, each_family_has_its_switch),
		TEST(setup, older_guests_get_segments),
		TEST(setup_small, a_small_buffer_gets_segments),
		TEST(setup_small, a_whole_frame_waits_for_its_sections),
		TEST(setup_jumbo, jumbo_sections_take_more),
		TEST(setup, what_cannot_be_coalesced_is_cut),
		TEST(setup, it_goes_to_its_queue_with_its_hash),
		TEST(setup, a_write_that_fails_drops_one_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
