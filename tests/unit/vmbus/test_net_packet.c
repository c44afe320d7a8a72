/* SPDX-License-Identifier: MIT */
#include "vmbus/net_packet.h"

#include "base/bytes.h"
#include "net_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct frame frame;
static struct net_layers layers;

static int find(void)
{
	/* Exactly as large as it is: a read beyond is an error of its own. */
	uint8_t *exact = calloc(1, frame.size_bytes ? frame.size_bytes : 1);
	int r;

	memcpy(exact, frame.bytes, frame.size_bytes);
	r = net_layers_find(exact, frame.size_bytes, NET_LENGTH_OF_IP, &layers);
	free(exact);
	return r;
}

static void assert_found(const struct frame_spec *spec)
{
	frame_make(&frame, spec);
	assert_int_equal(find(), 0);
	assert_int_equal(layers.ipv6, spec->ipv6);
	assert_int_equal(layers.routed, spec->routing);
	assert_int_equal(layers.protocol, spec->udp ? NET_IP_UDP : NET_IP_TCP);
	assert_int_equal(layers.ip_at, frame.ip_at);
	assert_int_equal(layers.l4_at, frame.l4_at);
	assert_int_equal(layers.payload_at, frame.payload_at);
	assert_int_equal(layers.end_at, frame.size_bytes);
}

static void finds_the_headers_of_every_kind(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 16; bits++) {
		struct frame_spec spec = {
			.ipv6 = bits & 1,
			.udp = bits & 2,
			.tagged = bits & 4,
			.routing = bits & 8 && bits & 1,
			.tcp_option_words = bits & 2 ? 0 : 10,
			.payload_bytes = 100,
		};

		assert_found(&spec);
	}
}

static void leaves_padding_outside(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 1});
	frame.size_bytes = 60;
	assert_int_equal(find(), 0);
	assert_int_equal(layers.end_at, 14 + 20 + 20 + 1);
}

static void two_tags_are_passed_three_are_not(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.tagged = true, .payload_bytes = 10});
	memmove(frame.bytes + 16, frame.bytes + 12, frame.size_bytes - 12);
	store_be16(frame.bytes + 12, 0x88a8);
	frame.size_bytes += 4;
	assert_int_equal(find(), 0);
	assert_int_equal(layers.ip_at, 22);

	memmove(frame.bytes + 16, frame.bytes + 12, frame.size_bytes - 12);
	frame.size_bytes += 4;
	assert_int_equal(find(), -ENOENT);
}

static void other_protocols_are_not_ip(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){0});
	store_be16(frame.bytes + 12, 0x0806);
	assert_int_equal(find(), -ENOENT);
}

static void fragments_and_unknown_protocols_have_no_ports(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 10});
	store_be16(frame.bytes + 14 + 6, 0x2000);
	assert_int_equal(find(), 0);
	assert_int_equal(layers.protocol, 0);

	store_be16(frame.bytes + 14 + 6, 0);
	frame.bytes[14 + 9] = 1;
	assert_int_equal(find(), 0);
	assert_int_equal(layers.protocol, 0);

	frame_make(&frame, &(struct frame_spec){.ipv6 = true, .payload_bytes = 10});
	frame.bytes[14 + 6] = 44;
	assert_int_equal(find(), 0);
	assert_int_equal(layers.protocol, 0);
}

/* Every truncation is refused, or is so short that there is no IP. */
static void truncated_frames_are_refused(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		size_t whole;

		frame_make(&frame, &(struct frame_spec){.ipv6 = bits & 1,
					   .udp = bits & 2,
					   .routing = bits & 1 && bits & 4,
					   .payload_bytes = 30});
		whole = frame.size_bytes;
		for (frame.size_bytes = 0; frame.size_bytes < whole; frame.size_bytes++)
			assert_true(find() < 0);
	}
}

static void contradictory_lengths_are_refused(void **state)
{
	const struct frame_spec spec4 = {.payload_bytes = 30};
	const struct frame_spec spec6 = {.ipv6 = true, .routing = true, .payload_bytes = 30};

	(void)state;
	frame_make(&frame, &spec4);
	frame.bytes[14] = 0x44; /* header below 20 */
	assert_int_equal(find(), -EBADMSG);
	frame_make(&frame, &spec4);
	frame.bytes[14] = 0x65; /* not the version of its ethertype */
	assert_int_equal(find(), -EBADMSG);
	frame_make(&frame, &spec4);
	store_be16(frame.bytes + 16, 19); /* total below header */
	assert_int_equal(find(), -EBADMSG);
	frame_make(&frame, &spec4);
	frame.bytes[frame.l4_at + 12] = 0x40; /* TCP header below 20 */
	assert_int_equal(find(), -EBADMSG);
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 1});
	frame.bytes[frame.l4_at + 12] = 0xf0; /* TCP header beyond the packet */
	assert_int_equal(find(), -EBADMSG);

	frame_make(&frame, &spec6);
	frame.bytes[14 + 41] = 0xff; /* extension header beyond the packet */
	assert_int_equal(find(), -EBADMSG);
	frame_make(&frame, &spec6);
	memset(frame.bytes + 14 + 40, 0, frame.size_bytes - 14 - 40); /* extensions without end */
	frame.bytes[14 + 6] = 0;
	assert_int_equal(find(), -EBADMSG);
}

static void a_length_of_the_frame_overrides_that_of_ip(void **state)
{
	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 3000});
	store_be16(frame.bytes + 16, 0);
	assert_int_equal(find(), -EBADMSG);
	assert_int_equal(
		net_layers_find(frame.bytes, frame.size_bytes, NET_LENGTH_OF_FRAME, &layers), 0);
	assert_int_equal(layers.end_at, frame.size_bytes);
}

static void checksums_agree_with_the_book(void **state)
{
	(void)state;
	for (size_t payload_bytes = 0; payload_bytes < 40; payload_bytes++) {
		for (unsigned bits = 0; bits < 4; bits++) {
			frame_make(&frame, &(struct frame_spec){.ipv6 = bits & 1,
						   .udp = bits & 2,
						   .payload_bytes = payload_bytes});
			frame_make_partial(&frame, true);
			assert_false(frame_checksums_ok(&frame));
			assert_int_equal(net_checksum_complete(frame.bytes, frame.size_bytes,
						 frame.l4_at, frame.udp ? 6 : 16),
				0);
			assert_true(frame_checksums_ok(&frame));
		}
	}
}

static void ip_header_checksum(void **state)
{
	uint8_t *ip = frame.bytes + 14;

	(void)state;
	frame_make(&frame, &(struct frame_spec){.payload_bytes = 9});
	assert_true(net_ip4_checksum_ok(ip));
	ip[8]--;
	assert_false(net_ip4_checksum_ok(ip));
	net_ip4_checksum_write(ip);
	assert_true(net_ip4_checksum_ok(ip));
	assert_true(frame_checksums_ok(&frame));
}

static void completion_outside_the_frame_is_refused(void **state)
{
	uint8_t bytes[64] = {0};

	(void)state;
	assert_int_equal(net_checksum_complete(bytes, 64, 64, 0), -EINVAL);
	assert_int_equal(net_checksum_complete(bytes, 64, 65, 0), -EINVAL);
	assert_int_equal(net_checksum_complete(bytes, 64, SIZE_MAX, 0), -EINVAL);
	assert_int_equal(net_checksum_complete(bytes, 64, 63, 0), -EINVAL);
	assert_int_equal(net_checksum_complete(bytes, 64, 62, 1), -EINVAL);
	assert_int_equal(net_checksum_complete(bytes, 64, 62, SIZE_MAX), -EINVAL);
	assert_int_equal(net_checksum_complete(bytes, 64, 62, 0), 0);
}

/* 0 in UDP would say that there is none. */
static void a_checksum_is_never_zero(void **state)
{
	uint8_t bytes[16];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(net_checksum_complete(bytes, sizeof(bytes), 0, 6), 0);
	assert_int_equal(load_be16(bytes + 6), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_headers_of_every_kind),
		cmocka_unit_test(leaves_padding_outside),
		cmocka_unit_test(two_tags_are_passed_three_are_not),
		cmocka_unit_test(other_protocols_are_not_ip),
		cmocka_unit_test(fragments_and_unknown_protocols_have_no_ports),
		cmocka_unit_test(truncated_frames_are_refused),
		cmocka_unit_test(contradictory_lengths_are_refused),
		cmocka_unit_test(a_length_of_the_frame_overrides_that_of_ip),
		cmocka_unit_test(checksums_agree_with_the_book),
		cmocka_unit_test(ip_header_checksum),
		cmocka_unit_test(completion_outside_the_frame_is_refused),
		cmocka_unit_test(a_checksum_is_never_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
