/* SPDX-License-Identifier: MIT
 *
 * What is read out of sound frames, and what is said of those that are not.
 */
#include "fabric/headers.h"
#include "fabric/inet.h"
#include "tests/unit/fabric/packet.h"

static uint64_t seed = 1071;

#define HTTP    "\xc0\x01\0\x50"
#define PAYLOAD "0123456789abcdef"

/* What must be seen in a frame. */
struct expected {
	const char *name;
	const uint8_t *bytes;
	size_t size_bytes;
	enum headers_l3 l3;
	bool malformed, fragment, later, hidden;
	uint8_t protocol;
	uint16_t l4_at; /* 0: no upper header */
	uint16_t src_port, dst_port;
	bool has_icmp;
	uint8_t icmp_type;
	uint16_t icmp_id;
	uint16_t padding_bytes; /* behind the upper header's packet */
};

#define V4  .l3 = HEADERS_L3_IPV4
#define V6  .l3 = HEADERS_L3_IPV6
#define WEB .src_port = 0xc001, .dst_port = 80

static const struct expected table[] = {
	{"nothing behind Ethernet", BYTES(ETH("\x88\xb5"))},
	{"another protocol", BYTES(ETH("\x88\xb5") PAYLOAD)},
	{"ARP", BYTES(ETH(ARP) ARP_PACKET("\x01", OWN_MAC, OWN_IP4, "\0\0\0\0\0\0", OTHER_IP4)),
		.l3 = HEADERS_L3_ARP},
	{"TCP", BYTES(ETH(IP4) IPV4(P_TCP) TCP("\xc0\x01", "\0\x50", "\x12")), V4, .protocol = 6,
		.l4_at = 34, WEB},
	{"UDP", BYTES(ETH(IP4) IPV4(P_UDP) UDP("\xc0\x01", "\0\x50") PAYLOAD), V4, .protocol = 17,
		.l4_at = 34, WEB},
	{"options of IPv4",
		BYTES(ETH(IP4) "\x46\0\xee\xee\0\x01\0\0\x40" P_UDP "\0\0" OWN_IP4
			       "\x0a\0\0\x63\x94\x04\0\0" UDP("\xc0\x01", "\0\x50")),
		V4, .protocol = 17, .l4_at = 38, WEB},
	{"must not be fragmented",
		BYTES(ETH(IP4) IPV4_PART("\x40\0", P_UDP) UDP("\xc0\x01", "\0\x50")), V4,
		.protocol = 17, .l4_at = 34, WEB},
	{"first fragment", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_UDP) UDP("\xc0\x01", "\0\x50")), V4,
		.fragment = true, .protocol = 17, .l4_at = 34, WEB},
	{"later fragment", BYTES(ETH(IP4) IPV4_PART("\x20\x02", P_UDP) UDP("\xc0\x01", "\0\x50")),
		V4, .fragment = true, .later = true, .hidden = true, .protocol = 17},
	{"last fragment", BYTES(ETH(IP4) IPV4_PART("\0\x02", P_UDP) UDP("\xc0\x01", "\0\x50")), V4,
		.fragment = true, .later = true, .hidden = true, .protocol = 17},
	{"first fragment too short", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_TCP) HTTP "\0\0\0\0"), V4,
		.fragment = true, .hidden = true, .protocol = 6},
	{"UDP too short", BYTES(ETH(IP4) IPV4(P_UDP) HTTP "\0\x08\0"), V4, .hidden = true,
		.protocol = 17},
	{"no UDP at all", BYTES(ETH(IP4) IPV4(P_UDP)), V4, .hidden = true, .protocol = 17},
	{"a protocol without fields", BYTES(ETH(IP4) IPV4("\x02") PAYLOAD), V4, .protocol = 2,
		.l4_at = 34},
	{"a protocol without bytes", BYTES(ETH(IP4) IPV4("\x02")), V4, .protocol = 2, .l4_at = 34},
	{"echo", BYTES(ETH(IP4) IPV4(P_ICMP) "\x08\0\0\0\x12\x34\0\x01"), V4, .protocol = 1,
		.l4_at = 34, .has_icmp = true, .icmp_type = 8, .icmp_id = 0x1234},
	{"echo without identifier", BYTES(ETH(IP4) IPV4(P_ICMP) "\x08\0\0\0\x12\x34"), V4,
		.hidden = true, .protocol = 1},
	{"redirect has no identifier", BYTES(ETH(IP4) IPV4(P_ICMP) "\x05\0\0\0\x12\x34\0\x01"), V4,
		.protocol = 1, .l4_at = 34, .has_icmp = true, .icmp_type = 5},
	{"ICMPv6 in IPv4", BYTES(ETH(IP4) IPV4(P_ICMPV6) "\x80\0\0\0\x12\x34\0\x01"), V4,
		.protocol = 58, .l4_at = 34},
	{"ESP", BYTES(ETH(IP4) IPV4(P_ESP) PAYLOAD), V4, .hidden = true, .protocol = 50},
	{"TCP over IPv6", BYTES(ETH(IP6) IPV6(P_TCP) TCP("\xc0\x01", "\0\x50", "\x12")), V6,
		.protocol = 6, .l4_at = 54, WEB},
	{"echo of ICMPv6", BYTES(ETH(IP6) IPV6(P_ICMPV6) "\x81\0\0\0\x12\x34\0\x01"), V6,
		.protocol = 58, .l4_at = 54, .has_icmp = true, .icmp_type = 129, .icmp_id = 0x1234},
	{"ICMP in IPv6", BYTES(ETH(IP6) IPV6(P_ICMP) "\x08\0\0\0\x12\x34\0\x01"), V6, .protocol = 1,
		.l4_at = 54},
	{"hop by hop", BYTES(ETH(IP6) IPV6("\0") OPTIONS(P_UDP) UDP("\xc0\x01", "\0\x50")), V6,
		.protocol = 17, .l4_at = 62, WEB},
	{"every extension header",
		BYTES(ETH(IP6) IPV6("\0") OPTIONS(P_OPTIONS) OPTIONS(P_ROUTING) ROUTING(P_FRAGMENT)
				FRAGMENT(P_AH, "\0\0") AH(P_UDP) UDP("\xc0\x01", "\0\x50")),
		V6, .protocol = 17, .l4_at = 54 + 48, WEB},
	{"first fragment of IPv6",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_UDP, "\0\x01")
				UDP("\xc0\x01", "\0\x50")),
		V6, .fragment = true, .protocol = 17, .l4_at = 62, WEB},
	{"later fragment of IPv6",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_UDP, "\0\x08")
				UDP("\xc0\x01", "\0\x50")),
		V6, .fragment = true, .later = true, .hidden = true, .protocol = 17},
	{"chain goes on in a later fragment",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_OPTIONS, "\0\x01") P_UDP
			"\x01\0\0\0\0\0\0"),
		V6, .fragment = true, .hidden = true, .protocol = 60},
	{"fragment of a fragment",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_FRAGMENT, "\0\x01")
				FRAGMENT(P_UDP, "\0\x08") UDP("\xc0\x01", "\0\x50")),
		V6, .fragment = true, .hidden = true, .protocol = 44},
	{"as many extension headers as are followed",
		BYTES(ETH(IP6) IPV6(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(
			P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS)
				OPTIONS(P_OPTIONS) OPTIONS(P_UDP) UDP("\xc0\x01", "\0\x50")),
		V6, .protocol = 17, .l4_at = 54 + 64, WEB},
	{"one more",
		BYTES(ETH(IP6) IPV6(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS)
				OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS)
					OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS)
						OPTIONS(P_UDP) UDP("\xc0\x01", "\0\x50")),
		V6, .hidden = true, .protocol = 60},
	{"options past the end",
		BYTES(ETH(IP6) IPV6(P_OPTIONS) P_UDP "\xff\0\0\0\0\0\0" UDP("\xc0\x01", "\0\x50")),
		V6, .hidden = true, .protocol = 60},
	{"no next header", BYTES(ETH(IP6) IPV6("\x3b")), V6, .protocol = 59, .l4_at = 54},
	{"inner tag", BYTES(ETH("\x81\0") "\0\x05" IP4 IPV4(P_UDP) UDP("\xc0\x01", "\0\x50")), V4,
		.protocol = 17, .l4_at = 38, WEB},
	{"two inner tags",
		BYTES(ETH("\x88\xa8") "\0\x05\x81\0\0\x06" IP6 IPV6(P_UDP)
				UDP("\xc0\x01", "\0\x50")),
		V6, .protocol = 17, .l4_at = 62, WEB},
	{"three inner tags",
		BYTES(ETH("\x88\xa8") "\0\x05\x81\0\0\x06\x91\0\0\x07" IP4 IPV4(P_UDP)
				UDP("\xc0\x01", "\0\x50")),
		.hidden = true},
	{"half a tag", BYTES(ETH("\x81\0") "\0\x05"), .malformed = true},
	{"SNAP",
		BYTES(ETH("\0\x24") "\xaa\xaa\x03\0\0\0" IP4 IPV4(P_UDP) UDP("\xc0\x01", "\0\x50")),
		V4, .protocol = 17, .l4_at = 42, WEB},
	{"a bridge's SNAP behind a tag",
		BYTES(ETH("\x81\0") "\0\0\0\x24\xaa\xaa\x03\0\0\xf8" IP4 IPV4(P_UDP)
				UDP("\xc0\x01", "\0\x50")),
		V4, .protocol = 17, .l4_at = 46, WEB},
	{"SNAP of somebody", BYTES(ETH("\0\x10") "\xaa\xaa\x03\0\0\x0c\x08\0" PAYLOAD)},
	{"half of SNAP", BYTES(ETH("\0\x05") "\xaa\xaa\x03\0\0"), .malformed = true},
	{"spanning tree", BYTES(ETH("\0\x07") "\x42\x42\x03\0\0\0\0")},
	{"ARP too short",
		BYTES(ETH(ARP) ARP_PACKET("\x01", OWN_MAC, OWN_IP4, "\0\0\0\0\0\0", "\x0a\0\0")),
		.l3 = HEADERS_L3_ARP, .malformed = true},
	{"ARP of IEEE 802",
		BYTES(ETH(ARP) "\0\x06\x08\0\x06\x04\0\x01" OWN_MAC OWN_IP4 OTHER_MAC OTHER_IP4),
		.l3 = HEADERS_L3_ARP, .malformed = true},
	{"IPv4 too short", BYTES(ETH(IP4) "\x45\0\0\x14\0\x01\0\0\x40\x11\0\0" OWN_IP4 "\x0a\0\0"),
		V4, .malformed = true},
	{"IPv6 as IPv4", BYTES(ETH(IP4) IPV6(P_UDP) UDP("\xc0\x01", "\0\x50")), V4,
		.malformed = true},
	{"IPv4 as IPv6", BYTES(ETH(IP6) IPV4(P_UDP) PAYLOAD PAYLOAD), V6, .malformed = true},
	{"IPv4 header of 16 bytes",
		BYTES(ETH(IP4) "\x44\0\xee\xee\0\x01\0\0\x40" P_UDP
			       "\0\0" OWN_IP4 OTHER_IP4 PAYLOAD),
		V4, .malformed = true},
	{"IPv4 header longer than the frame",
		BYTES(ETH(IP4) "\x4f\0\xee\xee\0\x01\0\0\x40" P_UDP
			       "\0\0" OWN_IP4 OTHER_IP4 PAYLOAD),
		V4, .malformed = true},
	{"IPv4 shorter than its header",
		BYTES(ETH(IP4) "\x45\0\0\x13\0\x01\0\0\x40" P_UDP "\0\0" OWN_IP4 OTHER_IP4 PAYLOAD),
		V4, .malformed = true},
	{"padded IPv4",
		BYTES(ETH(IP4) "\x45\0\0\x1c\0\x01\0\0\x40" P_UDP
			       "\0\0" OWN_IP4 OTHER_IP4 UDP("\xc0\x01", "\0\x50") PAYLOAD),
		V4, .protocol = 17, .l4_at = 34, WEB, .padding_bytes = 16},
	{"UDP in the padding",
		BYTES(ETH(IP4) "\x45\0\0\x14\0\x01\0\0\x40" P_UDP
			       "\0\0" OWN_IP4 OTHER_IP4 UDP("\xc0\x01", "\0\x50")),
		V4, .hidden = true, .protocol = 17},
	{"padded IPv6",
		BYTES(ETH(IP6) "\x60\0\0\0\0\x08" P_UDP
			       "\x40" OWN_IP6 OTHER_IP6 UDP("\xc0\x01", "\0\x50") PAYLOAD),
		V6, .protocol = 17, .l4_at = 54, WEB, .padding_bytes = 16},
	{"IPv6 of unsaid length",
		BYTES(ETH(IP6) "\x60\0\0\0\0\0" P_UDP
			       "\x40" OWN_IP6 OTHER_IP6 UDP("\xc0\x01", "\0\x50") PAYLOAD),
		V6, .protocol = 17, .l4_at = 54, WEB},
};

static void check_upper(const struct expected *expected, const struct headers *headers)
{
	assert_int_equal(headers->l4_at, expected->l4_at);
	if (expected->l4_at)
		assert_int_equal(headers->l4_at + headers->l4_bytes,
			expected->size_bytes - expected->padding_bytes);
	else
		assert_int_equal(headers->l4_bytes, 0);
	assert_int_equal(headers->has_ports, expected->dst_port != 0);
	assert_int_equal(headers->src_port, expected->src_port);
	assert_int_equal(headers->dst_port, expected->dst_port);
	assert_int_equal(headers->tcp_flags, headers->protocol == 6 && expected->l4_at ? 0x12 : 0);
	assert_int_equal(headers->has_icmp, expected->has_icmp);
	assert_int_equal(headers->icmp_type, expected->icmp_type);
	assert_int_equal(headers->icmp_id, expected->icmp_id);
}

static void check_addresses(const struct headers *headers)
{
	static const uint8_t zero[12];

	if (headers->l3 == HEADERS_L3_IPV4) {
		assert_memory_equal(headers->ip_src, OWN_IP4, 4);
		assert_memory_equal(headers->ip_src + 4, zero, 12);
		assert_memory_equal(headers->ip_dst + 4, zero, 12);
		assert_int_equal(headers->ttl, 0x40);
	} else if (headers->l3 == HEADERS_L3_IPV6) {
		assert_int_equal(headers->ip_src[15], 5);
		assert_true(headers->ip_dst[15] == 1 || headers->ip_dst[15] == 9);
		assert_true(headers->ttl == 0xff || headers->ttl == 0x40);
	}
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct expected *expected = &table[i];
		uint8_t *frame = packet_make(expected->bytes, expected->size_bytes);
		bool is_ip = expected->l3 == HEADERS_L3_IPV4 || expected->l3 == HEADERS_L3_IPV6;
		struct headers headers;

		print_message("  %s\n", expected->name);
		memset(&headers, 0xa5, sizeof(headers));
		headers_parse(frame, expected->size_bytes, &headers);
		assert_memory_equal(headers.src, OWN_MAC, ETH_ADDR_LEN);
		assert_int_equal(headers.l3, expected->l3);
		assert_int_equal(headers.malformed, expected->malformed);
		assert_int_equal(headers.fragment, expected->fragment);
		assert_int_equal(headers.first, is_ip && !expected->malformed && !expected->later);
		assert_int_equal(headers.hidden, expected->hidden);
		assert_int_equal(headers.protocol, expected->protocol);
		assert_false(headers.truncated);
		check_upper(expected, &headers);
		if (!headers.malformed)
			check_addresses(&headers);
		free(frame);
	}
}

static void test_arp_fields(void **state)
{
	static const uint8_t bytes[] =
		ETH(ARP) ARP_PACKET("\x02", OWN_MAC, OWN_IP4, OTHER_MAC, OTHER_IP4) PAYLOAD;
	struct headers headers;

	(void)state;
	headers_parse(bytes, sizeof(bytes) - 1, &headers);
	assert_int_equal(headers.ethertype, 0x0806);
	assert_int_equal(headers.arp.operation, 2);
	assert_memory_equal(headers.arp.sender_mac, OWN_MAC, ETH_ADDR_LEN);
	assert_memory_equal(headers.arp.target_mac, OTHER_MAC, ETH_ADDR_LEN);
	assert_memory_equal(headers.arp.sender_ip, OWN_IP4, 4);
	assert_memory_equal(headers.arp.target_ip, OTHER_IP4, 4);
}

/* Whatever a frame loses at its end, what is read stays in it, and nothing is made up. */
static void check_cut(const struct headers *whole, const uint8_t *bytes, size_t size_bytes)
{
	uint8_t *frame = malloc(size_bytes);
	struct headers cut;

	assert_non_null(frame);
	memcpy(frame, bytes, size_bytes);
	headers_parse(frame, size_bytes, &cut);
	assert_true((size_t)cut.l4_at + cut.l4_bytes <= size_bytes);
	if (cut.has_ports) {
		assert_true(whole->has_ports);
		assert_int_equal(cut.dst_port, whole->dst_port);
	}
	if (cut.has_icmp)
		assert_int_equal(cut.icmp_type, whole->icmp_type);
	if (cut.l3 == HEADERS_L3_ARP)
		assert_int_equal(cut.malformed,
			size_bytes < ETH_HEADER_BYTES + ARP_BYTES || whole->malformed);
	if (cut.l3 == HEADERS_L3_IPV4 || cut.l3 == HEADERS_L3_IPV6)
		assert_int_equal(cut.l3, whole->l3);
	free(frame);
}

static void test_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint8_t *frame = packet_make(table[i].bytes, table[i].size_bytes);
		struct headers whole;

		headers_parse(frame, table[i].size_bytes, &whole);
		for (size_t n = ETH_HEADER_BYTES; n < table[i].size_bytes; n++)
			check_cut(&whole, frame, n);
		free(frame);
	}
}

/* 64 KiB of TCP, whose length IP cannot say, or says wrongly. */
static void test_super_frames(void **state)
{
	static const struct {
		uint16_t length;
		bool truncated;
		size_t l4_bytes;
	} lengths[] = {{0, false, 65502}, {65522, false, 65502}, {65535, true, 65502},
		{1500, false, 1480}, {30, false, 0}};
	static uint8_t frame[65536];
	static const uint8_t start[] = ETH(IP4) IPV4(P_TCP) TCP("\xc0\x01", "\0\x50", "\x18");
	struct headers headers;

	(void)state;
	memcpy(frame, start, sizeof(start) - 1);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		store_be16(frame + 16, lengths[i].length);
		headers_parse(frame, sizeof(frame), &headers);
		assert_false(headers.malformed);
		assert_int_equal(headers.truncated, lengths[i].truncated);
		assert_int_equal(headers.has_ports, lengths[i].l4_bytes > 0);
		assert_int_equal(headers.hidden, lengths[i].l4_bytes == 0);
		assert_int_equal(headers.l4_bytes, lengths[i].l4_bytes);
	}
}

/* No frame is larger; the sums of what is read must still fit. */
static void test_largest_frame(void **state)
{
	static const uint8_t start[] = ETH(IP6) "\x60\0\0\0\0\0" P_OPTIONS "\x40" OWN_IP6 OTHER_IP6;
	static uint8_t frame[ETH_FRAME_MAX_BYTES];
	size_t at = sizeof(start) - 1;
	struct headers headers;

	(void)state;
	memcpy(frame, start, at);
	for (unsigned i = 1; i <= HEADERS_MAX_EXTENSIONS; i++) {
		frame[at] = i == HEADERS_MAX_EXTENSIONS ? 17 : 60;
		frame[at + 1] = 0xff;
		at += 2048;
	}
	headers_parse(frame, sizeof(frame), &headers);
	assert_true(headers.has_ports);
	assert_int_equal(headers.l4_at, at);
	assert_int_equal(headers.l4_bytes, sizeof(frame) - at);
	headers_parse(frame, at + 7, &headers);
	assert_true(headers.hidden);
	assert_int_equal(headers.protocol, 17);
}

static void test_random_changes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		const struct expected *sample = &table[random_below(&seed, ARRAY_LEN(table))];
		uint8_t *frame = packet_make(sample->bytes, sample->size_bytes);
		struct headers headers;

		for (unsigned n = 1 + random_below(&seed, 3); n > 0; n--)
			frame[12 + random_below(&seed, (unsigned)sample->size_bytes - 12)] =
				(uint8_t)random_next(&seed);
		headers_parse(frame, sample->size_bytes, &headers);
		assert_true((size_t)headers.l4_at + headers.l4_bytes <= sample->size_bytes);
		assert_false(
			headers.hidden && (headers.l4_at || headers.has_ports || headers.has_icmp));
		assert_false(headers.malformed && (headers.hidden || headers.first));
		free(frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_arp_fields),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_super_frames),
		cmocka_unit_test(test_largest_frame),
		cmocka_unit_test(test_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
