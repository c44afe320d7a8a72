/* SPDX-License-Identifier: MIT */
#include "tests/unit/vmbus/net_tx_rig.h"

static void from_memory(void **state)
{
	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 1460});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
	assert_int_equal(rig_stats(&rig).tx.frames, 1);
	assert_int_equal(rig_stats(&rig).tx.bytes, 1514);
	assert_int_equal(eth_dummy_n_flushes(rig.port), 1);
}

static void from_a_section(void **state)
{
	uint64_t transaction;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 700});
	transaction = rig_queue_section(
		&rig, 7, run, rig_rndis_packet(run, sent.bytes, sent.size_bytes, NULL, 0));
	rig_work(&rig);
	rig_expect_completion(&rig, transaction, &packet);
	assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
}

/* Header in the send section, data in memory: what Linux does with large frames. */
static void partly_from_a_section(void **state)
{
	struct nvsp_send_rndis_pkt nvsp = {NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, 3, 0};
	struct net_double_range range = {RIG_DATA_GPA + 77, 0};
	size_t size_bytes;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 1460});
	size_bytes = rig_rndis_packet(run, sent.bytes, sent.size_bytes, NULL, 0);
	for (uint32_t split = 1; split < 200; split += 13) {
		memcpy(rig.send + 3 * NET_SEND_SECTION_BYTES, run, split);
		memcpy(rig.channel->memory + range.gpa, run + split, size_bytes - split);
		nvsp.send_section_size = split;
		range.byte_count = (uint32_t)size_bytes - split;
		net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, split, true, &nvsp,
			sizeof(nvsp), &range, 1);
		rig_work(&rig);
		rig_expect_completion(&rig, split, &packet);
		assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_SUCCESS);
		assert_sent_as_is();
	}
}

/* Pages of their own, odd offsets, empty ranges, several pages in one range. */
static void from_scattered_memory(void **state)
{
	const struct nvsp_send_rndis_pkt nvsp = {
		NVSP_SEND_RNDIS_PKT, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0};
	struct net_double_range ranges[] = {
		{0x2fff, 1}, {0x5000, 0}, {0x6003, 40}, {0x9ff0, 0}, {0x20ffd, 0}};
	size_t size_bytes, at = 0;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 1460});
	size_bytes = rig_rndis_packet(run, sent.bytes, sent.size_bytes, NULL, 0);
	ranges[3].byte_count = 700;
	ranges[4].byte_count = (uint32_t)size_bytes - 741;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		memcpy(rig.channel->memory + ranges[i].gpa, run + at, ranges[i].byte_count);
		at += ranges[i].byte_count;
	}
	net_double_push(rig.channel, VMBUS_PACKET_GPA_DIRECT, 9, true, &nvsp, sizeof(nvsp), ranges,
		ARRAY_LEN(ranges));
	rig_work(&rig);
	rig_expect_completion(&rig, 9, &packet);
	assert_int_equal(load_le32(packet.payload + 4), NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
}

static void several_in_one_packet(void **state)
{
	size_t size_bytes = make_batch(8);

	(void)state;
	assert_int_equal(rig_transmit(&rig, run, size_bytes), NVSP_STATUS_SUCCESS);
	for (unsigned i = 0; i < 8; i++) {
		frame_make(&sent, &(struct frame_spec){.udp = true, .payload_bytes = 100 + i});
		assert_sent_as_is();
	}
	assert_nothing_at_port();
	assert_int_equal(eth_dummy_n_flushes(rig.port), 1);
}

static void more_than_promised_in_one_packet(void **state)
{
	size_t size_bytes = make_batch(9);

	(void)state;
	assert_int_equal(rig_transmit(&rig, run, size_bytes), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(eth_dummy_n_sent(rig.port), 8);
	assert_int_equal(rig_stats(&rig).n_protocol_errors, 1);
}

/* Padding behind a message counts in its length, behind the last it may be too short for a header.
 */
static void padding_between_messages(void **state)
{
	size_t first, second;

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 101});
	first = rig_rndis_packet(run, sent.bytes, sent.size_bytes, NULL, 0);
	store_le32(run + 4, (uint32_t)ALIGN_UP(first, 8));
	first = ALIGN_UP(first, 8);
	second = rig_rndis_packet(run + first, sent.bytes, sent.size_bytes, NULL, 0);
	memset(run + first + second, 0xee, 7);
	assert_int_equal(rig_transmit(&rig, run, first + second + 7), NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
	assert_sent_as_is();
	assert_nothing_at_port();
}

static void short_frames_are_padded(void **state)
{
	(void)state;
	memset(&sent, 0, sizeof(sent));
	memcpy(sent.bytes, frame_src, 6);
	memcpy(sent.bytes + 6, frame_dst, 6);
	store_be16(sent.bytes + 12, 0x0806);
	sent.size_bytes = 14;
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_SUCCESS);
	sent.size_bytes = 60;
	assert_sent_as_is();
}

static void the_tag_moves_into_the_frame(void **state)
{
	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 1460});
	assert_int_equal(
		transmit(ppi, rig_ppi(ppi, RNDIS_PPI_8021Q, 5 << 4 | 3)), NVSP_STATUS_SUCCESS);
	frame_make(&sent, &(struct frame_spec){.tagged = true, .payload_bytes = 1460});
	assert_sent_as_is();

	frame_make(&sent, &(struct frame_spec){.payload_bytes = 20});
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_8021Q, 0)), NVSP_STATUS_SUCCESS);
	sent.size_bytes = 74;
	assert_sent_as_is();
}

static void a_tag_in_line_passes(void **state)
{
	(void)state;
	frame_make(&sent, &(struct frame_spec){.tagged = true, .payload_bytes = 1460});
	assert_int_equal(transmit(NULL, 0), NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
}

static void checksums_are_left_to_the_port(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 16; bits++) {
		struct frame_spec spec = {.ipv6 = bits & 1,
			.udp = bits & 2,
			.tagged = bits & 4,
			.routing = bits & 1 && bits & 8,
			.payload_bytes = 999};
		struct frame whole;

		frame_make(&whole, &spec);
		sent = whole;
		frame_make_partial(&sent, true);
		assert_int_equal(
			transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, checksum_wish(&spec))),
			NVSP_STATUS_SUCCESS);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		assert_int_equal(hdr.flags, ETH_HDR_NEEDS_CSUM);
		assert_int_equal(hdr.csum_start, whole.l4_at);
		assert_int_equal(hdr.csum_offset, spec.udp ? 6 : 16);
		assert_int_equal(hdr.gso_type, ETH_GSO_NONE);
		assert_memory_equal(seen.bytes, sent.bytes, sent.size_bytes);
		/* The other side does what it is asked. */
		assert_int_equal(net_checksum_complete(seen.bytes, seen.size_bytes, hdr.csum_start,
					 hdr.csum_offset),
			0);
		assert_memory_equal(seen.bytes, whole.bytes, whole.size_bytes);
	}
}

/* Whatever the guest left in the checksum field. */
static void garbage_in_the_checksum_field(void **state)
{
	const struct frame_spec spec = {.payload_bytes = 99};

	(void)state;
	frame_make(&sent, &spec);
	store_be16(sent.bytes + sent.l4_at + 16, 0x5555);
	store_be16(sent.bytes + sent.ip_at + 10, 0x5555);
	transmit(ppi,
		rig_ppi(ppi, RNDIS_PPI_CHECKSUM, checksum_wish(&spec) | RNDIS_TXCSUM_IP_HEADER));
	assert_true(rig_at_port(&rig, &hdr, &seen));
	net_checksum_complete(seen.bytes, seen.size_bytes, hdr.csum_start, hdr.csum_offset);
	assert_true(frame_checksums_ok(&seen));
}

/* Ethernet padding is not TCP's. */
static void padding_is_not_summed(void **state)
{
	const struct frame_spec spec = {.payload_bytes = 2};

	(void)state;
	frame_make(&sent, &spec);
	memset(sent.bytes + sent.size_bytes, 0xaa, 4);
	sent.size_bytes = 60;
	transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, checksum_wish(&spec)));
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_int_equal(seen.size_bytes, 60);
	net_checksum_complete(seen.bytes, seen.size_bytes, hdr.csum_start, hdr.csum_offset);
	assert_true(frame_checksums_ok(&seen));
}

static void a_poor_port_gets_checksums(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		struct frame_spec spec = {.ipv6 = bits & 1, .udp = bits & 2, .payload_bytes = 999};

		frame_make(&sent, &spec);
		frame_make_partial(&sent, true);
		assert_int_equal(
			transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, checksum_wish(&spec))),
			NVSP_STATUS_SUCCESS);
		frame_make(&sent, &spec);
		assert_sent_as_is();
	}
}

static void contradictory_checksum_wishes(void **state)
{
	static const uint32_t wishes[] = {RNDIS_TXCSUM_UDP, RNDIS_TXCSUM_TCP | RNDIS_TXCSUM_UDP};

	(void)state;
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 99});
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
		assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, wishes[i])),
			NVSP_STATUS_INVALID_RNDIS_PKT);
	store_be16(sent.bytes + 12, 0x0806); /* not IP */
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, RNDIS_TXCSUM_TCP)),
		NVSP_STATUS_INVALID_RNDIS_PKT);
	frame_make(&sent, &(struct frame_spec){.payload_bytes = 99});
	store_be16(sent.bytes + sent.ip_at + 6, 0x2000); /* a fragment */
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, RNDIS_TXCSUM_TCP)),
		NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_nothing_at_port();
	/* Nothing wished for: nothing to contradict. */
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_CHECKSUM, RNDIS_TXCSUM_IPV4)),
		NVSP_STATUS_SUCCESS);
	assert_sent_as_is();
}

/* As guests leave a large send: no IP length, no header checksum, a pseudo sum without length. */
static void make_large(const struct frame_spec *spec)
{
	frame_make(&sent, spec);
	frame_make_partial(&sent, false);
	if (spec->ipv6) {
		store_be16(sent.bytes + sent.ip_at + 4, 0);
	} else {
		store_be16(sent.bytes + sent.ip_at + 2, 0);
		store_be16(sent.bytes + sent.ip_at + 10, 0);
	}
}

static uint32_t transmit_large(const struct frame_spec *spec, uint32_t mss)
{
	uint32_t lso = mss | RNDIS_LSO_V2 | (spec->ipv6 ? RNDIS_LSO_IPV6 : 0);

	make_large(spec);
	return transmit(ppi, rig_ppi(ppi, RNDIS_PPI_LSO, lso));
}

static void large_sends_cross_whole(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		const struct frame_spec spec = {
			.ipv6 = bits & 1, .tagged = bits & 2, .payload_bytes = 60000};
		struct frame whole;

		assert_int_equal(transmit_large(&spec, 1400), NVSP_STATUS_SUCCESS);
		assert_true(rig_at_port(&rig, &hdr, &seen));
		frame_make(&whole, &spec);
		frame_make_partial(&whole, true);
		assert_int_equal(hdr.flags, ETH_HDR_NEEDS_CSUM);
		assert_int_equal(hdr.gso_type, spec.ipv6 ? ETH_GSO_TCPV6 : ETH_GSO_TCPV4);
		assert_int_equal(hdr.gso_size, 1400);
		assert_int_equal(hdr.hdr_len, whole.payload_at);
		assert_int_equal(hdr.csum_start, whole.l4_at);
		assert_int_equal(hdr.csum_offset, 16);
		assert_int_equal(seen.size_bytes, whole.size_bytes);
		assert_memory_equal(seen.bytes, whole.bytes, whole.size_bytes);
	}
	assert_nothing_at_port();
}

/* What a port need not know is cut here: routing headers, segments of next to nothing. */
static void strange_large_sends_are_cut(void **state)
{
	const struct frame_spec routed = {.ipv6 = true, .routing = true, .payload_bytes = 4000};

	(void)state;
	assert_int_equal(transmit_large(&routed, 1000), NVSP_STATUS_SUCCESS);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(rig_at_port(&rig, &hdr, &seen));
		assert_int_equal(hdr.gso_type, ETH_GSO_NONE);
		assert_true(frame_checksums_ok(&seen));
	}
	assert_nothing_at_port();
	assert_int_equal(transmit_large(&(struct frame_spec){.payload_bytes = 400}, 40),
		NVSP_STATUS_SUCCESS);
	assert_int_equal(eth_dummy_n_sent(rig.port), 10);
}

static void a_large_send_that_is_small(void **state)
{
	const struct frame_spec spec = {.payload_bytes = 1000};

	(void)state;
	assert_int_equal(transmit_large(&spec, 1400), NVSP_STATUS_SUCCESS);
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_int_equal(hdr.gso_type, ETH_GSO_NONE);
	assert_int_equal(hdr.flags, ETH_HDR_NEEDS_CSUM);
	net_checksum_complete(seen.bytes, seen.size_bytes, hdr.csum_start, hdr.csum_offset);
	assert_true(frame_checksums_ok(&seen));
}

static void the_mtu_bounds_large_sends(void **state)
{
	(void)state;
	assert_int_equal(transmit_large(&(struct frame_spec){.payload_bytes = 30000}, 20000),
		NVSP_STATUS_SUCCESS);
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_int_equal(hdr.gso_size, 1460);
	assert_int_equal(
		transmit_large(
			&(struct frame_spec){.payload_bytes = 30000, .tcp_flags = 0x90}, 1000),
		NVSP_STATUS_SUCCESS);
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_int_equal(hdr.gso_type, ETH_GSO_TCPV4 | ETH_GSO_ECN);
}

/* All the payload, in order, in frames that every port takes. */
static void assert_segments(size_t payload_bytes, size_t at)
{
	struct frame whole;

	frame_make(&whole, &(struct frame_spec){.payload_bytes = payload_bytes});
	while (at < payload_bytes) {
		size_t part_bytes;

		assert_true(rig_at_port(&rig, &hdr, &seen));
		assert_int_equal(hdr.flags, 0);
		assert_int_equal(hdr.gso_type, 0);
		assert_true(frame_checksums_ok(&seen));
		part_bytes = load_be16(seen.bytes + 16) - 40U;
		assert_memory_equal(seen.bytes + seen.payload_at,
			whole.bytes + whole.payload_at + at, part_bytes);
		at += part_bytes;
	}
	assert_int_equal(at, payload_bytes);
}

static void a_poor_port_gets_segments(void **state)
{
	const struct frame_spec spec = {.payload_bytes = 30001};

	(void)state;
	assert_int_equal(transmit_large(&spec, 1000), NVSP_STATUS_SUCCESS);
	assert_int_equal(eth_dummy_n_sent(rig.port), 31);
	assert_segments(30001, 0);
	assert_int_equal(seen.size_bytes, 60); /* the last, padded */
}

static void segments_wait_for_room(void **state)
{
	const struct frame_spec spec = {.payload_bytes = 10000};
	size_t size_bytes;
	uint64_t transaction;

	(void)state;
	make_large(&spec);
	size_bytes = rig_rndis_packet(run, sent.bytes, sent.size_bytes, ppi,
		rig_ppi(ppi, RNDIS_PPI_LSO, 1000 | RNDIS_LSO_V2));
	transaction = rig_queue_ranges(&rig, run, size_bytes);
	eth_dummy_set_room(rig.port, 0);
	for (unsigned i = 0; i < 10; i++) {
		rig_work(&rig);
		assert_int_equal(eth_dummy_n_sent(rig.port), i);
		rig_expect_nothing(&rig);
		eth_dummy_set_room(rig.port, 1);
	}
	rig_work(&rig);
	rig_expect_completion(&rig, transaction, &packet);
	assert_segments(10000, 0);
}

static void contradictory_large_sends(void **state)
{
	static const uint32_t bad[] = {
		1000,                                 /* not version 2 */
		RNDIS_LSO_V2,                         /* segments of nothing */
		RNDIS_LSO_V2 | 7,                     /* of next to nothing */
		RNDIS_LSO_V2 | RNDIS_LSO_IPV6 | 1000, /* not its IP */
	};

	(void)state;
	make_large(&(struct frame_spec){.payload_bytes = 5000});
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_LSO, bad[i])),
			NVSP_STATUS_INVALID_RNDIS_PKT);
	make_large(&(struct frame_spec){.udp = true, .payload_bytes = 5000});
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1000)),
		NVSP_STATUS_INVALID_RNDIS_PKT);
	/* More than an IP packet can be. */
	make_large(&(struct frame_spec){.payload_bytes = 65535 - 40});
	sent.size_bytes++;
	assert_int_equal(transmit(ppi, rig_ppi(ppi, RNDIS_PPI_LSO, RNDIS_LSO_V2 | 1000)),
		NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_nothing_at_port();
	assert_int_equal(transmit_large(&(struct frame_spec){.payload_bytes = 65535 - 40}, 1000),
		NVSP_STATUS_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, from_memory),
		TEST(setup, from_a_section),
		TEST(setup, partly_from_a_section),
		TEST(setup, from_scattered_memory),
		TEST(setup, several_in_one_packet),
		TEST(setup, more_than_promised_in_one_packet),
		TEST(setup, padding_between_messages),
		TEST(setup, short_frames_are_padded),
		TEST(setup, the_tag_moves_into_the_frame),
		TEST(setup, a_tag_in_line_passes),
		TEST(setup, checksums_are_left_to_the_port),
		TEST(setup, garbage_in_the_checksum_field),
		TEST(setup, padding_is_not_summed),
		TEST(setup_poor, a_poor_port_gets_checksums),
		TEST(setup, contradictory_checksum_wishes),
		TEST(setup, large_sends_cross_whole),
		TEST(setup, strange_large_sends_are_cut),
		TEST(setup, a_large_send_that_is_small),
		TEST(setup, the_mtu_bounds_large_sends),
		TEST(setup_poor, a_poor_port_gets_segments),
		TEST(setup_poor, segments_wait_for_room),
		TEST(setup, contradictory_large_sends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
