/* SPDX-License-Identifier: MIT
 *
 * Tags: beside the frame on the guest's side, in line on the port's, whatever else is asked of the
 * frame; and the smallest and largest MTU.
 */
#include "vmbus/net_vsp.h"

#include "net_tx_rig.h"

#define VLAN_5 (5 << 4 | 3) /* as frame_make() tags: VLAN 5, priority 3 */

static struct rig_received got;

static int setup_mtu(uint32_t mtu_bytes)
{
	rig = (struct net_rig){.mtu_bytes = mtu_bytes, .recv_bytes = 64 * 9200};
	rig_new(&rig, RIG_ALL_CAPS);
	rig_up(&rig);
	return 0;
}

static int setup_smallest(void **state)
{
	(void)state;
	return setup_mtu(576);
}

static int setup_largest(void **state)
{
	(void)state;
	return setup_mtu(9000);
}

static size_t tag_and(uint32_t type, uint32_t value)
{
	size_t at = rig_ppi(ppi, RNDIS_PPI_8021Q, VLAN_5);

	return at + rig_ppi(ppi + at, type, value);
}

static void a_tag_and_a_checksum(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		struct frame_spec spec = {.ipv6 = bits & 1, .udp = bits & 2, .payload_bytes = 700};

		frame_make(&sent, &spec);
		frame_make_partial(&sent, true);
		assert_int_equal(transmit(ppi, tag_and(RNDIS_PPI_CHECKSUM, checksum_wish(&spec))),
			NVSP_STATUS_SUCCESS);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		spec.tagged = true;
		frame_make(&sent, &spec);
		assert_int_equal(hdr.csum_start, sent.l4_at);
		assert_int_equal(hdr.flags, ETH_HDR_NEEDS_CSUM);
		frame_make_partial(&sent, true);
		assert_int_equal(seen.size_bytes, sent.size_bytes);
		assert_memory_equal(seen.bytes, sent.bytes, sent.size_bytes);
	}
}

static void a_tag_and_a_large_send(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		frame_make(&sent, &(struct frame_spec){.ipv6 = ipv6, .payload_bytes = 20000});
		frame_make_partial(&sent, false);
		assert_int_equal(
			transmit(ppi, tag_and(RNDIS_PPI_LSO,
					      RNDIS_LSO_V2 | 1400 | (ipv6 ? RNDIS_LSO_IPV6 : 0))),
			NVSP_STATUS_SUCCESS);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		frame_make(&sent,
			&(struct frame_spec){.tagged = true, .ipv6 = ipv6, .payload_bytes = 20000});
		frame_make_partial(&sent, true);
		assert_int_equal(hdr.gso_type, ipv6 ? ETH_GSO_TCPV6 : ETH_GSO_TCPV4);
		assert_int_equal(hdr.gso_size, 1400);
		assert_int_equal(hdr.hdr_len, sent.payload_at);
		assert_int_equal(hdr.csum_start, sent.l4_at);
		assert_int_equal(seen.size_bytes, sent.size_bytes);
		assert_memory_equal(seen.bytes, sent.bytes, sent.size_bytes);
	}
}

/* A port that cannot cut gets segments, each with the tag. */
static void a_tag_on_each_segment(void **state)
{
	size_t at = 0;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 7000});
	frame_make_partial(&sent, false);
	assert_int_equal(
		transmit(ppi, tag_and(RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1460)), NVSP_STATUS_SUCCESS);
	for (; at < 7000; at += 1460) {
		assert_true(rig_at_port(&rig, &hdr, &seen));
		assert_int_equal(load_be16(seen.bytes + 12), 0x8100);
		assert_int_equal(load_be16(seen.bytes + 14), 3 << 13 | 5);
		assert_true(frame_checksums_ok(&seen));
		assert_memory_equal(seen.bytes + seen.payload_at, sent.bytes + sent.payload_at + at,
			MIN((size_t)1460, 7000 - at));
	}
	assert_nothing_at_port();
}

/* VLAN 0 with a priority is a tag like any other, both ways. */
static void priority_tags(void **state)
{
	static const uint8_t tag[] = {0x81, 0, 5 << 5, 0};

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 500});
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_8021Q, 5)), NVSP_STATUS_SUCCESS);
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_memory_equal(seen.bytes + 12, tag, sizeof(tag));
	rig_inject(&rig, NULL, seen.bytes, seen.size_bytes);
	/* A tag that says nothing is one all the same. */
	memset(seen.bytes + 14, 0, 2);
	rig_inject(&rig, NULL, seen.bytes, seen.size_bytes);
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	for (unsigned i = 0; i < 2; i++) {
		rig_received(&rig, &packet, i, &got);
		assert_true(got.has_vlan);
		assert_int_equal(got.vlan, i ? 0 : 5);
		assert_int_equal(got.frame.size_bytes, sent.size_bytes);
		assert_memory_equal(got.frame.bytes + 12, sent.bytes + 12, sent.size_bytes - 12);
	}
}

/* The canonical format bit too: nothing of the tag is lost. */
static void every_bit_of_the_tag(void **state)
{
	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 500});
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_8021Q, 0xffff)), NVSP_STATUS_SUCCESS);
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_int_equal(load_be16(seen.bytes + 14), 0xffff);
	rig_inject(&rig, NULL, seen.bytes, seen.size_bytes);
	rig_work(&rig);
	rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
	rig_received(&rig, &packet, 0, &got);
	assert_int_equal(got.vlan, 0xffff);
}

/* The largest frame passes with and without a tag, both ways; a byte more does not. */
static void check_mtu(size_t mtu_bytes)
{
	uint64_t n_dropped = rig_stats(&rig).rx.dropped;

	assert_int_equal(rig_query(&rig, OID_GEN_MAXIMUM_FRAME_SIZE, NULL, 0), 0);
	assert_int_equal(load_le32(rig_value(&rig, 4)), mtu_bytes);
	for (unsigned tagged = 0; tagged < 2; tagged++) {
		frame_make(&sent, &(struct frame_spec){.payload_bytes = mtu_bytes - 40});
		assert_int_equal(transmit(ppi, tagged ? rig_ppi(ppi, RNDIS_PPI_8021Q, VLAN_5) : 0),
			NVSP_STATUS_SUCCESS);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		rig_inject(&rig, NULL, seen.bytes, seen.size_bytes);
		rig_work(&rig);
		rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
		rig_received(&rig, &packet, 0, &got);
		assert_int_equal(got.has_vlan, tagged);
		assert_memory_equal(got.frame.bytes, sent.bytes, sent.size_bytes);
		rig_complete(&rig, &packet);

		frame_make(&sent,
			&(struct frame_spec){.tagged = tagged, .payload_bytes = mtu_bytes - 39});
		rig_inject(&rig, NULL, sent.bytes, sent.size_bytes);
		rig_work(&rig);
		rig_expect_nothing(&rig);
		assert_int_equal(rig_stats(&rig).rx.dropped, ++n_dropped);
	}
	frame_make(&sent, &(struct frame_spec){.payload_bytes = mtu_bytes - 39});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_INVALID_RNDIS_PKT);
}

static void the_smallest_mtu(void **state)
{
	(void)state;
	check_mtu(576);
	assert_int_equal(rig.recv_complete.section.sub_alloc_size, 1728);
}

static void the_largest_mtu(void **state)
{
	(void)state;
	check_mtu(9000);
	assert_true(rig.recv_complete.section.sub_alloc_size >= 9000 + 18 + 44);
}

/* Multicast and broadcast are counted apart, both ways. */
static void figures_by_destination(void **state)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct net_stats stats;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		/* 140 bytes and more. */
		frame_make(&sent, &(struct frame_spec){.payload_bytes = 86 + i / 2});
		if (i / 2 == 1)
			sent.bytes[0] = 0x33;
		if (i / 2 == 2)
			memcpy(sent.bytes, all, 6);
		if (i % 2) {
			assert_int_equal(transmit(NULL, 0), NVSP_STATUS_SUCCESS);
			continue;
		}
		rig_inject(&rig, NULL, sent.bytes, sent.size_bytes);
		rig_work(&rig);
		rig_expect_transfer(&rig, NVSP_CHANNEL_DATA, &packet);
		rig_complete(&rig, &packet);
	}
	stats = rig_stats(&rig);
	assert_int_equal(stats.tx.frames, 3);
	assert_int_equal(stats.tx.bytes, 140 + 141 + 142);
	assert_int_equal(stats.tx.multicast_frames, 1);
	assert_int_equal(stats.tx.multicast_bytes, 141);
	assert_int_equal(stats.tx.broadcast_frames, 1);
	assert_int_equal(stats.tx.broadcast_bytes, 142);
	assert_memory_equal(&stats.rx, &stats.tx, sizeof(stats.rx));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, a_tag_and_a_checksum),
		TEST(setup, a_tag_and_a_large_send),
		TEST(setup_poor, a_tag_on_each_segment),
		TEST(setup, priority_tags),
		TEST(setup, every_bit_of_the_tag),
		TEST(setup_smallest, the_smallest_mtu),
		TEST(setup_largest, the_largest_mtu),
		TEST(setup, figures_by_destination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
