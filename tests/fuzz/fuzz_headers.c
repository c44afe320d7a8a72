/* SPDX-License-Identifier: MIT
 *
 * fuzz_headers.c - a frame is parsed and shown to all guards. What is read must be in the frame and
 * agree with itself; what a guard looks for must not pass it, nor when its end is cut off.
 *
 * Input: a byte with options - bit 0: the port has no MAC address of its own, bits 1 and 2: how
 * many IP addresses it has - and the number of bytes to cut off (u16), then the frame.
 */
#include "base/bytes.h"
#include "fabric/guard.h"
#include "fabric/inet.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static struct guard read_guard(uint8_t options)
{
	static const uint8_t mac[ETH_ADDR_LEN] = {2, 0, 0, 0, 0, 5};
	static const struct guard_address addresses[] = {
		{false, {10, 0, 0, 5}},
		{true, {0xfe, 0x80, [15] = 5}},
		{true, {0x20, 0x01, 0x0d, 0xb8, [15] = 5}},
	};
	struct guard guard = {.n_addresses = options >> 1 & 3};

	if (!(options & 1))
		memcpy(guard.mac, mac, ETH_ADDR_LEN);
	memcpy(guard.addresses, addresses, sizeof(addresses));
	return guard;
}

/* In memory of exactly its size. */
static uint8_t *copy_of(const uint8_t *frame, size_t size_bytes)
{
	uint8_t *copy = malloc(size_bytes);

	check(copy, "no memory");
	memcpy(copy, frame, size_bytes);
	return copy;
}

static void check_unset(const struct headers *headers)
{
	struct headers expected = {.ethertype = headers->ethertype,
		.l3 = headers->l3,
		.malformed = headers->malformed,
		.hidden = headers->l3 == HEADERS_L3_OTHER && headers->hidden};

	memcpy(expected.dst, headers->dst, ETH_ADDR_LEN);
	memcpy(expected.src, headers->src, ETH_ADDR_LEN);
	check(memcmp(&expected, headers, sizeof(expected)) == 0, "set for nothing");
}

static void check_upper(const struct headers *headers, const uint8_t *frame, size_t size_bytes)
{
	const uint8_t *l4 = frame + headers->l4_at;

	check((size_t)headers->l4_at + headers->l4_bytes <= size_bytes, "out of bounds");
	check(headers->first || (headers->fragment && headers->hidden), "later and not hidden");
	check(headers->hidden == (headers->l4_at == 0), "hidden or there");
	check(!headers->hidden || (!headers->has_ports && !headers->has_icmp), "hidden and seen");
	if (headers->has_ports) {
		check(headers->l4_bytes >= UDP_BYTES, "ports of nothing");
		check(headers->src_port == load_be16(l4) && headers->dst_port == load_be16(l4 + 2),
			"other ports");
	}
	if (headers->has_icmp) {
		check(headers->l4_bytes >= ICMP_MIN_BYTES, "ICMP of nothing");
		check(headers->icmp_type == l4[ICMP_TYPE], "other type");
	}
}

/* What is behind the packet is not read. */
static void check_padding(const struct headers *headers, const uint8_t *frame, size_t size_bytes)
{
	size_t end = (size_t)headers->l4_at + headers->l4_bytes;
	struct headers again;
	uint8_t *copy;

	if (headers->hidden || end == size_bytes)
		return;
	copy = copy_of(frame, end);
	headers_parse(copy, end, &again);
	check(memcmp(&again, headers, sizeof(again)) == 0, "padding was read");
	free(copy);
}

static void check_headers(const struct headers *headers, const uint8_t *frame, size_t size_bytes)
{
	check(memcmp(headers->dst, frame, ETH_ADDR_LEN) == 0, "destination");
	check(memcmp(headers->src, frame + ETH_ADDR_LEN, ETH_ADDR_LEN) == 0, "source");
	if (headers->malformed || headers->l3 == HEADERS_L3_OTHER) {
		check_unset(headers);
	} else if (headers->l3 != HEADERS_L3_ARP) {
		check_upper(headers, frame, size_bytes);
		check_padding(headers, frame, size_bytes);
	}
}

static bool refuses(struct guard *guard, uint32_t flags, const struct headers *headers,
	const uint8_t *frame, size_t size_bytes)
{
	guard->flags = flags;
	return guard_check(guard, headers, frame, size_bytes) != DROP_NONE;
}

/* The guards that refuse the frame. */
static uint32_t refusing(
	struct guard *guard, const struct headers *headers, const uint8_t *frame, size_t size_bytes)
{
	uint32_t flags = 0;

	for (uint32_t flag = GUARD_DHCP; flag <= GUARD_ADDRESSES; flag <<= 1) {
		if (refuses(guard, flag, headers, frame, size_bytes))
			flags |= flag;
	}
	for (uint32_t all = 0; all < GUARD_ADDRESSES << 1; all++)
		check(refuses(guard, all, headers, frame, size_bytes) == !!(all & flags),
			"guards depend on each other");
	return flags;
}

/* What each guard has to refuse at the least. */
static void check_refused(const struct headers *headers, uint32_t refused)
{
	bool ipv6 = headers->l3 == HEADERS_L3_IPV6;

	if (headers->malformed)
		check(refused, "malformed and accepted");
	if (headers->has_ports && headers->protocol == PROTOCOL_UDP &&
		headers->src_port == (ipv6 ? DHCPV6_SERVER_PORT : DHCP_SERVER_PORT))
		check(refused & GUARD_DHCP, "a DHCP server");
	if (headers->has_icmp && ipv6 && (headers->icmp_type == 134 || headers->icmp_type == 137))
		check(refused & GUARD_ROUTER, "a router of IPv6");
	if (headers->has_icmp && !ipv6 && (headers->icmp_type == 5 || headers->icmp_type == 9))
		check(refused & GUARD_ROUTER, "a router of IPv4");
}

static void check_cut(struct guard *guard, const struct headers *whole, uint32_t refused,
	const uint8_t *frame, size_t size_bytes)
{
	uint8_t *copy = copy_of(frame, size_bytes);
	struct headers headers;
	uint32_t refused_cut;

	headers_parse(copy, size_bytes, &headers);
	check_headers(&headers, copy, size_bytes);
	refused_cut = refusing(guard, &headers, copy, size_bytes);
	/* Where IPv6 does not say its length, nobody can tell that options are missing. */
	if (headers.has_icmp && !headers.truncated &&
		size_bytes < (size_t)whole->l4_at + whole->l4_bytes)
		refused_cut |= GUARD_ADDRESSES;
	check((refused & ~refused_cut) == 0, "passes when its end is cut off");
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct guard guard = read_guard(reader_u8(&in));
	size_t cut_bytes = reader_le16(&in);
	struct headers headers;
	uint32_t refused;
	uint8_t *frame;

	if (!reader_ok(&in) || in.left_bytes < ETH_HEADER_BYTES ||
		in.left_bytes > ETH_FRAME_MAX_BYTES)
		return 0;
	size_bytes = in.left_bytes;
	frame = copy_of(in.at, size_bytes);
	headers_parse(frame, size_bytes, &headers);
	check_headers(&headers, frame, size_bytes);
	refused = refusing(&guard, &headers, frame, size_bytes);
	check_refused(&headers, refused);
	cut_bytes %= size_bytes - ETH_HEADER_BYTES + 1;
	check_cut(&guard, &headers, refused, frame, size_bytes - cut_bytes);
	free(frame);
	return 0;
}
