/* SPDX-License-Identifier: MIT
 *
 * Checksums and segments against references that are slow and obvious.
 */
#include "fabric/frame.h"
#include "fabric/offload.h"
#include "tests/unit/fabric/support.h"

static uint64_t seed = 4711;
static uint8_t frame[ETH_FRAME_MAX_BYTES];

/* RFC 1071, word by word. */
static uint16_t slow_sum(uint32_t sum, const uint8_t *data, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

struct shape {
	bool ipv6, udp;
	unsigned l3_at, ip_header_bytes, l4_header_bytes, gso_size;
	size_t payload_bytes;
};

static size_t header_bytes(const struct shape *shape)
{
	return shape->l3_at + shape->ip_header_bytes + shape->l4_header_bytes;
}

static void build_ip(const struct shape *shape)
{
	uint8_t *ip = frame + shape->l3_at;
	unsigned protocol = shape->udp ? 17 : 6;
	uint8_t *next = ip + 40;

	if (!shape->ipv6) {
		ip[0] = (uint8_t)(0x40 | shape->ip_header_bytes / 4);
		store_be16(ip + 6, 0x4000);
		ip[9] = (uint8_t)protocol;
		return;
	}
	ip[0] = 0x60;
	ip[6] = (uint8_t)protocol;
	if (shape->ip_header_bytes > 40) {
		ip[6] = 60;
		next[0] = (uint8_t)protocol;
		next[1] = (uint8_t)((shape->ip_header_bytes - 40) / 8 - 1);
	}
}

/* A super-frame of random content, as a guest would hand it over; returns its size. */
static size_t build(const struct shape *shape, struct eth_hdr *hdr)
{
	unsigned l4_at = shape->l3_at + shape->ip_header_bytes;
	size_t size_bytes = header_bytes(shape) + shape->payload_bytes;

	random_bytes(&seed, frame, size_bytes);
	if (shape->l3_at == 18)
		store_be16(frame + 12, 0x8100);
	store_be16(frame + shape->l3_at - 2, shape->ipv6 ? 0x86dd : 0x0800);
	build_ip(shape);
	if (!shape->udp)
		frame[l4_at + 12] = (uint8_t)(shape->l4_header_bytes / 4 << 4);
	*hdr = (struct eth_hdr){
		.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = shape->udp    ? FRAME_GSO_UDP_L4
			    : shape->ipv6 ? ETH_GSO_TCPV6
					  : ETH_GSO_TCPV4,
		.gso_size = (uint16_t)shape->gso_size,
		.csum_start = (uint16_t)l4_at,
		.csum_offset = shape->udp ? 6 : 16,
	};
	return size_bytes;
}

/* What the checksum of a finished segment comes to, pseudo-header included: 0xffff when right. */
static uint16_t l4_sum(const struct shape *shape, const uint8_t *segment, size_t size_bytes)
{
	const uint8_t *ip = segment + shape->l3_at;
	unsigned l4_at = shape->l3_at + shape->ip_header_bytes;
	size_t l4_bytes = size_bytes - l4_at;
	uint32_t sum = (uint32_t)l4_bytes + (shape->udp ? 17 : 6);
	uint16_t pseudo = shape->ipv6 ? slow_sum(sum, ip + 8, 32) : slow_sum(sum, ip + 12, 8);

	return slow_sum(pseudo, segment + l4_at, l4_bytes);
}

static void check_ip(
	const struct shape *shape, const uint8_t *segment, size_t size_bytes, unsigned index)
{
	const uint8_t *ip = segment + shape->l3_at;
	const uint8_t *before = frame + shape->l3_at;

	if (shape->ipv6) {
		assert_int_equal(load_be16(ip + 4), size_bytes - shape->l3_at - 40);
		assert_memory_equal(ip, before, 4);
		assert_memory_equal(ip + 6, before + 6, shape->ip_header_bytes - 6);
		return;
	}
	assert_int_equal(load_be16(ip + 2), size_bytes - shape->l3_at);
	assert_int_equal(load_be16(ip + 4), (uint16_t)(load_be16(before + 4) + index));
	assert_int_equal(slow_sum(0, ip, shape->ip_header_bytes), 0xffff);
	assert_memory_equal(ip + 6, before + 6, 4);
	assert_memory_equal(ip + 12, before + 12, shape->ip_header_bytes - 12);
}

static void check_tcp(
	const struct shape *shape, const uint8_t *segment, size_t payload_at, bool first, bool last)
{
	unsigned l4_at = shape->l3_at + shape->ip_header_bytes;
	const uint8_t *tcp = segment + l4_at, *before = frame + l4_at;
	uint8_t flags = before[13];

	if (!last)
		flags &= (uint8_t)~0x09;
	if (!first)
		flags &= (uint8_t)~0x80;
	assert_int_equal(load_be32(tcp + 4), load_be32(before + 4) + (uint32_t)payload_at);
	assert_int_equal(tcp[13], flags);
	assert_memory_equal(tcp, before, 4);
	assert_memory_equal(tcp + 8, before + 8, 5);
	assert_memory_equal(tcp + 14, before + 14, 2);
	assert_memory_equal(tcp + 18, before + 18, shape->l4_header_bytes - 18);
}

static void check_segments(const struct shape *shape)
{
	static uint8_t segment[ETH_FRAME_MAX_BYTES];
	unsigned l4_at = shape->l3_at + shape->ip_header_bytes;
	struct eth_hdr hdr, segment_hdr;
	size_t size_bytes = build(shape, &hdr);
	size_t payload_at = 0, segment_bytes;
	unsigned index = 0;
	struct gso gso;

	assert_int_equal(offload_check(&hdr, frame, size_bytes), 0);
	assert_int_equal(hdr.hdr_len, header_bytes(shape));
	gso_begin(&gso, &hdr, frame, size_bytes);
	while ((segment_bytes = gso_next(&gso, &segment_hdr, segment))) {
		size_t payload_bytes = segment_bytes - header_bytes(shape);
		bool last = payload_at + payload_bytes == shape->payload_bytes;

		assert_true(segment_bytes <= gso_segment_max_bytes(&gso));
		assert_true(last || payload_bytes == shape->gso_size);
		assert_memory_equal(segment, frame, shape->l3_at);
		assert_memory_equal(segment + header_bytes(shape),
			frame + header_bytes(shape) + payload_at, payload_bytes);
		check_ip(shape, segment, segment_bytes, index);
		if (shape->udp)
			assert_int_equal(load_be16(segment + l4_at + 4), segment_bytes - l4_at);
		else
			check_tcp(shape, segment, payload_at, index == 0, last);
		assert_int_equal(segment_hdr.gso_type, ETH_GSO_NONE);
		offload_finish_csum(&segment_hdr, segment, segment_bytes);
		assert_int_equal(segment_hdr.flags, 0);
		assert_int_equal(l4_sum(shape, segment, segment_bytes), 0xffff);
		payload_at += payload_bytes;
		index++;
	}
	assert_int_equal(payload_at, shape->payload_bytes);
}

static void test_segments(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		struct shape shape = {
			.ipv6 = random_below(&seed, 2),
			.udp = random_below(&seed, 4) == 0,
			.l3_at = random_below(&seed, 4) ? 14 : 18,
			.gso_size = 48 + random_below(&seed, 9000),
			.payload_bytes = 1 + random_below(&seed, 65000),
		};

		shape.ip_header_bytes = shape.ipv6 ? 40 + 8 * random_below(&seed, 3)
						   : 20 + 4 * random_below(&seed, 11);
		shape.l4_header_bytes = shape.udp ? 8 : 20 + 4 * random_below(&seed, 11);
		check_segments(&shape);
	}
}

static void test_ecn_super_frame(void **state)
{
	struct shape shape = {.l3_at = 14,
		.ip_header_bytes = 20,
		.l4_header_bytes = 20,
		.gso_size = 1000,
		.payload_bytes = 5000};
	struct eth_hdr hdr;
	size_t size_bytes = build(&shape, &hdr);

	(void)state;
	hdr.gso_type |= ETH_GSO_ECN;
	assert_int_equal(offload_check(&hdr, frame, size_bytes), 0);
	assert_true(offload_needs_segments(&hdr, 0));
	assert_true(offload_needs_segments(&hdr, ETH_CAP_TSO6));
	assert_false(offload_needs_segments(&hdr, ETH_CAP_TSO4));
}

static void test_csum_add(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		size_t size_bytes = random_below(&seed, 200);
		size_t offset = random_below(&seed, 8);
		uint16_t start = (uint16_t)random_next(&seed);
		uint16_t expected, got;

		random_bytes(&seed, frame, offset + size_bytes);
		expected = slow_sum(be16toh(start), frame + offset, size_bytes);
		got = be16toh(csum_add(start, frame + offset, size_bytes));
		/* 0 and 0xffff are both zero; only a sum of nothing is 0. */
		assert_int_equal(got % 0xffff, expected % 0xffff);
	}
}

static void test_finish_never_writes_zero(void **state)
{
	struct eth_hdr hdr = {.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};

	(void)state;
	memset(frame, 0, 64);
	memset(frame + 50, 0xff, 2);
	offload_finish_csum(&hdr, frame, 64);
	assert_int_equal(load_be16(frame + 40), 0xffff);
	assert_int_equal(hdr.flags, 0);
}

/* One change at a time to a sound super-frame; each must be refused. */
static const struct shape sound = {.l3_at = 14,
	.ip_header_bytes = 20,
	.l4_header_bytes = 20,
	.gso_size = 1000,
	.payload_bytes = 5000};

static void test_refused_requests(void **state)
{
	static const struct eth_hdr requests[] = {
		{1, ETH_GSO_TCPV4, 0, 0, 34, 16},
		{1, ETH_GSO_TCPV4, 0, GSO_MIN_PAYLOAD_BYTES - 1, 34, 16},
		{0, ETH_GSO_TCPV4, 0, 1000, 34, 16},
		{1, ETH_GSO_TCPV4, 0, 1000, 35, 16},
		{1, ETH_GSO_TCPV4, 0, 1000, 34, 6},
		{1, ETH_GSO_TCPV6, 0, 1000, 34, 16},
		{1, ETH_GSO_UDP, 0, 1000, 34, 16},
		{1, FRAME_GSO_UDP_L4, 0, 1000, 34, 16},
		{1, FRAME_GSO_UDP_L4, 0, 1000, 34, 6},
		{1, 0x7f, 0, 1000, 34, 16},
		{1, ETH_GSO_ECN, 0, 1000, 34, 16},
	};
	struct eth_hdr hdr;
	size_t size_bytes = build(&sound, &hdr);

	(void)state;
	assert_int_equal(offload_check(&hdr, frame, size_bytes), 0);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		hdr = requests[i];
		assert_int_equal(offload_check(&hdr, frame, size_bytes), -EBADMSG);
	}
}

static void test_refused_frames(void **state)
{
	static const struct {
		unsigned at;
		uint16_t value;
		size_t size_bytes;
	} changes[] = {
		{12, 0x0806, 5054}, /* ARP */
		{14, 0x6500, 5054}, /* IP version 6 */
		{14, 0x4400, 5054}, /* IP header of 16 bytes */
		{14, 0x4f00, 54},   /* IP header longer than the frame */
		{20, 0x2000, 5054}, /* more fragments */
		{20, 0x0001, 5054}, /* fragment offset */
		{22, 0x4011, 5054}, /* UDP */
		{46, 0x4000, 5054}, /* TCP header of 16 bytes */
		{46, 0xf000, 74},   /* TCP header longer than the frame */
		{46, 0x5000, 54},   /* no payload */
		{46, 0x5000, 53},
		{46, 0x5000, 33},
		{46, 0x5000, 14},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct eth_hdr hdr;

		build(&sound, &hdr);
		store_be16(frame + changes[i].at, changes[i].value);
		assert_int_equal(offload_check(&hdr, frame, changes[i].size_bytes), -EBADMSG);
	}
}

static void test_refused_behind_two_inner_tags(void **state)
{
	struct shape shape = sound;
	struct eth_hdr hdr;
	size_t size_bytes;

	(void)state;
	shape.l3_at = 18;
	size_bytes = build(&shape, &hdr);
	assert_int_equal(offload_check(&hdr, frame, size_bytes), 0);
	store_be16(frame + 16, 0x8100);
	assert_int_equal(offload_check(&hdr, frame, size_bytes), -EBADMSG);
	assert_int_equal(offload_check(&hdr, frame, 17), -EBADMSG);
}

static void test_refused_ipv6_options(void **state)
{
	static const struct shape shape = {.ipv6 = true,
		.l3_at = 14,
		.ip_header_bytes = 48,
		.l4_header_bytes = 20,
		.gso_size = 1000,
		.payload_bytes = 5000};
	struct eth_hdr hdr;
	size_t size_bytes = build(&shape, &hdr);

	(void)state;
	assert_int_equal(offload_check(&hdr, frame, size_bytes), 0);
	frame[14 + 40 + 1] = 0xff; /* header longer than GSO_MAX_HEADER_BYTES */
	assert_int_equal(offload_check(&hdr, frame, size_bytes), -EBADMSG);
	assert_int_equal(offload_check(&hdr, frame, 300), -EBADMSG);
	frame[14 + 40 + 1] = 0;
	frame[14 + 40] = 44; /* a fragment */
	assert_int_equal(offload_check(&hdr, frame, size_bytes), -EBADMSG);
	frame[14 + 40] = 60; /* options up to the end */
	memset(frame + 14 + 48, 60, sizeof(frame) - 62);
	assert_int_equal(offload_check(&hdr, frame, size_bytes), -EBADMSG);
}

/* Whatever passes the check can be cut, whatever it is. */
static void test_random_headers(void **state)
{
	static uint8_t segment[ETH_FRAME_MAX_BYTES];
	static const struct shape shape = {.l3_at = 14,
		.ip_header_bytes = 20,
		.l4_header_bytes = 20,
		.gso_size = 100,
		.payload_bytes = 600};
	unsigned n_passed = 0;

	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		struct eth_hdr hdr, segment_hdr;
		size_t size_bytes = build(&shape, &hdr);
		size_t n_bytes = 0, got;
		struct gso gso;

		for (unsigned n = random_below(&seed, 3); n > 0; n--)
			frame[12 + random_below(&seed, 50)] = (uint8_t)random_next(&seed);
		size_bytes -= random_below(&seed, 2) * random_below(&seed, 640);
		if (offload_check(&hdr, frame, size_bytes) < 0)
			continue;
		n_passed++;
		gso_begin(&gso, &hdr, frame, size_bytes);
		while ((got = gso_next(&gso, &segment_hdr, segment))) {
			assert_true((size_t)segment_hdr.csum_start + segment_hdr.csum_offset + 2 <=
				    got);
			n_bytes += got - gso.header_bytes;
		}
		assert_int_equal(n_bytes, size_bytes - hdr.hdr_len);
	}
	assert_true(n_passed > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_ecn_super_frame),
		cmocka_unit_test(test_csum_add),
		cmocka_unit_test(test_finish_never_writes_zero),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_refused_frames),
		cmocka_unit_test(test_refused_behind_two_inner_tags),
		cmocka_unit_test(test_refused_ipv6_options),
		cmocka_unit_test(test_random_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
