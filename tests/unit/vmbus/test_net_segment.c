/* SPDX-License-Identifier: MIT */
#include "vmbus/net_segment.h"

#include "base/bytes.h"
#include "net_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_CWR 0x80

static struct frame super, cut;
static struct net_layers layers;
static struct net_segmenter segmenter;

static int begin(const struct frame_spec *spec, uint32_t segment_bytes, uint32_t mtu_bytes)
{
	frame_make(&super, spec);
	frame_make_partial(&super, true);
	assert_int_equal(
		net_layers_find(super.bytes, super.size_bytes, NET_LENGTH_OF_IP, &layers), 0);
	return net_segmenter_init(&segmenter, super.bytes, &layers, segment_bytes, mtu_bytes);
}

static void make(unsigned index)
{
	static uint8_t bytes[sizeof(cut.bytes)];
	struct net_segment segment;

	net_segment_make(&segmenter, index, &segment);
	memcpy(bytes, segment.header, segment.header_bytes);
	memcpy(bytes + segment.header_bytes, segment.payload, segment.payload_bytes);
	frame_parse(&cut, bytes, segment.header_bytes + segment.payload_bytes);
}

static uint8_t flags_of(const struct frame *frame)
{
	return frame->bytes[frame->l4_at + 13];
}

/* All payload once, in order, behind right headers. */
static void assert_cut_well(const struct frame_spec *spec, uint32_t mss, uint32_t mtu_bytes)
{
	size_t at = 0;

	assert_int_equal(begin(spec, mss, mtu_bytes), 0);
	for (unsigned i = 0; i < segmenter.n_segments; i++) {
		size_t payload_bytes;

		make(i);
		payload_bytes = cut.size_bytes - cut.payload_at;
		if (!spec->routing)
			assert_true(frame_checksums_ok(&cut));
		assert_true(cut.size_bytes - cut.ip_at <= mtu_bytes);
		assert_true(payload_bytes <= mss);
		assert_memory_equal(cut.bytes + cut.payload_at, super.bytes + super.payload_at + at,
			payload_bytes);
		assert_int_equal(load_be32(cut.bytes + cut.l4_at + 4),
			(uint32_t)(load_be32(super.bytes + super.l4_at + 4) + at));
		if (!spec->ipv6)
			assert_int_equal(load_be16(cut.bytes + cut.ip_at + 4), 0x1234 + i);
		at += payload_bytes;
	}
	assert_int_equal(at, spec->payload_bytes);
}

static void cuts_every_kind(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct frame_spec spec = {
			.ipv6 = bits & 1,
			.tagged = bits & 2,
			.tcp_option_words = bits & 4 ? 3 : 0,
			.payload_bytes = 64000,
		};

		assert_cut_well(&spec, 1400, 1500);
		assert_cut_well(&spec, 1401, 1500); /* odd pieces */
	}
}

static void the_mtu_bounds_segments(void **state)
{
	(void)state;
	assert_cut_well(&(struct frame_spec){.payload_bytes = 30000}, 9000, 1500);
	assert_int_equal(segmenter.segment_bytes, 1460);
	assert_cut_well(&(struct frame_spec){.ipv6 = true, .payload_bytes = 30000}, 65535, 9000);
	assert_int_equal(segmenter.segment_bytes, 8940);
}

static void a_small_frame_is_one_segment(void **state)
{
	(void)state;
	assert_cut_well(&(struct frame_spec){.payload_bytes = 10}, 1460, 1500);
	assert_int_equal(segmenter.n_segments, 1);
}

static void flags_go_where_they_belong(void **state)
{
	(void)state;
	assert_int_equal(begin(&(struct frame_spec){.payload_bytes = 3000,
				       .tcp_flags = TCP_CWR | TCP_ACK | TCP_PSH | TCP_FIN},
				 1000, 1500),
		0);
	assert_int_equal(segmenter.n_segments, 3);
	make(0);
	assert_int_equal(flags_of(&cut), TCP_CWR | TCP_ACK);
	make(1);
	assert_int_equal(flags_of(&cut), TCP_ACK);
	make(2);
	assert_int_equal(flags_of(&cut), TCP_ACK | TCP_PSH | TCP_FIN);
}

/* The checksum's destination is not in the IP header: what the partial sum says counts. */
static void a_routing_header_keeps_its_partial_sum(void **state)
{
	const struct frame_spec spec = {.ipv6 = true, .routing = true, .payload_bytes = 5000};
	uint8_t *last_byte_of_destination;

	(void)state;
	assert_cut_well(&spec, 1200, 1500);
	last_byte_of_destination = super.bytes + super.ip_at + 39;
	*last_byte_of_destination = 9;
	for (unsigned i = 0; i < segmenter.n_segments; i++) {
		make(i);
		assert_false(frame_checksums_ok(&cut));
		cut.bytes[cut.ip_at + 39] = 2;
		assert_true(frame_checksums_ok(&cut));
	}
}

static void what_cannot_be_cut_is_refused(void **state)
{
	(void)state;
	assert_int_equal(begin(&(struct frame_spec){.payload_bytes = 0}, 1000, 1500), -EINVAL);
	assert_int_equal(
		begin(&(struct frame_spec){.udp = true, .payload_bytes = 100}, 10, 1500), -EINVAL);
	assert_int_equal(begin(&(struct frame_spec){.payload_bytes = 100}, 0, 1500), -EINVAL);
	assert_int_equal(
		begin(&(struct frame_spec){.payload_bytes = 100}, NET_SEGMENT_MIN_BYTES - 1, 1500),
		-EINVAL);
	assert_int_equal(begin(&(struct frame_spec){.payload_bytes = 100}, 1000, 40), -EINVAL);
	assert_int_equal(begin(&(struct frame_spec){.payload_bytes = 100}, 1000, 47), -EINVAL);
	assert_int_equal(begin(&(struct frame_spec){.payload_bytes = 100}, 1000, 48), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_every_kind),
		cmocka_unit_test(the_mtu_bounds_segments),
		cmocka_unit_test(a_small_frame_is_one_segment),
		cmocka_unit_test(flags_go_where_they_belong),
		cmocka_unit_test(a_routing_header_keeps_its_partial_sum),
		cmocka_unit_test(what_cannot_be_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
