/* SPDX-License-Identifier: MIT
 *
 * The IPv4 host below TCP: two hosts on one wire, and frames made by hand.
 */
#include "vmbus/guest/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define IP_A 0x0a140001
#define IP_B 0x0a140002

static const uint8_t mac_a[ETH_MAC_BYTES] = {0x00, 0x15, 0x5d, 0, 0, 0xa};
static const uint8_t mac_b[ETH_MAC_BYTES] = {0x00, 0x15, 0x5d, 0, 0, 0xb};

#define MAX_FRAMES 64

/* What a host sent. */
struct wire {
	uint8_t frames[MAX_FRAMES][ETH_FRAME_BYTES];
	size_t sizes[MAX_FRAMES];
	size_t n;
	bool full;
};

struct world {
	struct net a, b;
	struct wire from_a, from_b;
	uint64_t now_ns;
};

static bool wire_send(void *nic, const void *frame, size_t size_bytes)
{
	struct wire *wire = nic;

	if (wire->full)
		return false;
	assert_true(size_bytes >= ETH_MIN_BYTES && size_bytes <= ETH_FRAME_BYTES);
	assert_true(wire->n < MAX_FRAMES);
	memcpy(wire->frames[wire->n], frame, size_bytes);
	wire->sizes[wire->n++] = size_bytes;
	return true;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct net_link link_a, link_b;

	if (!w)
		return -1;
	link_a = (struct net_link){wire_send, &w->from_a};
	link_b = (struct net_link){wire_send, &w->from_b};
	net_init(&w->a, &link_a, mac_a, IP_A, 24, 0);
	net_init(&w->b, &link_b, mac_b, IP_B, 24, 0);
	w->now_ns = NS_PER_S;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* A copy of exactly the frame's size, so that reading beyond it is noticed. */
static void deliver(struct net *to, const uint8_t *frame, size_t size_bytes, uint64_t now_ns)
{
	uint8_t *copy = malloc(size_bytes ? size_bytes : 1);

	assert_non_null(copy);
	memcpy(copy, frame, size_bytes);
	net_input(to, copy, size_bytes, 0, now_ns);
	free(copy);
}

static void carry(struct wire *wire, struct net *to, uint64_t now_ns)
{
	struct wire *taken = malloc(sizeof(*taken));

	assert_non_null(taken);
	*taken = *wire;
	wire->n = 0;
	for (size_t i = 0; i < taken->n; i++)
		deliver(to, taken->frames[i], taken->sizes[i], now_ns);
	free(taken);
}

static void settle(struct world *w)
{
	for (int i = 0; i < 20 && (w->from_a.n || w->from_b.n); i++) {
		carry(&w->from_a, &w->b, w->now_ns);
		carry(&w->from_b, &w->a, w->now_ns);
		w->now_ns += 100 * NS_PER_US;
	}
	assert_int_equal(w->from_a.n + w->from_b.n, 0);
}

static uint16_t naive_checksum(const uint8_t *data, size_t size_bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size_bytes; i++)
		sum += i % 2 ? data[i] : data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void test_checksum(void **state)
{
	uint8_t data[1501];

	(void)state;
	srandom(1);
	for (int round = 0; round < 200; round++) {
		size_t n = (size_t)random() % sizeof(data);

		for (size_t i = 0; i < n; i++)
			data[i] = round % 10 ? (uint8_t)random() : 0xff;
		assert_int_equal(
			inet_checksum(inet_sum(0, data, n)), be16(naive_checksum(data, n)));
	}
}

static void test_ping(void **state)
{
	struct world *w = *state;
	uint8_t mac[ETH_MAC_BYTES];

	net_ping_send(&w->a, IP_B, w->now_ns);
	assert_int_equal(net_arp_lookup(&w->a, IP_B, mac), -EAGAIN);
	settle(w);
	assert_true(w->a.ping.answered);
	assert_true(w->a.ping.rtt_ns > 0);
	assert_int_equal(net_arp_lookup(&w->a, IP_B, mac), 0);
	assert_memory_equal(mac, mac_b, ETH_MAC_BYTES);
	/* Who was asked knows the asker, too. */
	assert_int_equal(net_arp_lookup(&w->b, IP_A, mac), 0);
	assert_int_equal(w->a.counters.malformed + w->b.counters.malformed, 0);
	/* An answer to an older request is none. */
	net_ping_send(&w->a, IP_B, w->now_ns);
	net_ping_send(&w->a, IP_B, w->now_ns);
	w->from_a.n = 1;
	settle(w);
	assert_false(w->a.ping.answered);
}

static void test_arp_gives_up(void **state)
{
	struct world *w = *state;

	net_ping_send(&w->a, 0x0a140063, w->now_ns);
	for (int i = 0; i < 10; i++) {
		w->now_ns = MIN_OF(net_deadline(&w->a), w->now_ns + NS_PER_S);
		net_run(&w->a, w->now_ns);
	}
	assert_int_equal(w->from_a.n, 3); /* requests */
	assert_int_equal(w->a.counters.tx_dropped, 1);
	assert_true(net_deadline(&w->a) == NEVER_NS);
}

static void test_arp_table_is_bounded(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 3; i < 3 + 3 * ARP_N_ENTRIES; i++) {
		net_arp_request(&w->a, 0x0a140000 + i, w->now_ns += NS_PER_MS);
		w->from_a.n = 0;
	}
	net_ping_send(&w->a, IP_B, w->now_ns);
	settle(w);
	assert_true(w->a.ping.answered);
}

static void test_arp_follows_a_move(void **state)
{
	static const uint8_t new_mac[ETH_MAC_BYTES] = {2, 0, 0, 0, 0, 9};
	struct world *w = *state;
	uint8_t mac[ETH_MAC_BYTES];

	net_ping_send(&w->a, IP_B, w->now_ns);
	settle(w);
	memcpy(w->b.mac, new_mac, ETH_MAC_BYTES);
	net_announce(&w->b);
	assert_int_equal(w->from_b.n, 1);
	settle(w);
	assert_int_equal(net_arp_lookup(&w->a, IP_B, mac), 0);
	assert_memory_equal(mac, new_mac, ETH_MAC_BYTES);
	/* Old knowledge is used, and asked for again. */
	w->now_ns += 120 * NS_PER_S;
	net_ping_send(&w->a, IP_B, w->now_ns);
	assert_int_equal(w->from_a.n, 2);
	settle(w);
	assert_true(w->a.ping.answered);
}

static void test_arp_ignores(void **state)
{
	struct world *w = *state;
	struct {
		struct eth_header eth;
		struct arp_packet arp;
	} _wire_ good =
			 {
				 .eth = {.type = be16(ETHERTYPE_ARP)},
				 .arp = {be16(ARP_HARDWARE_ETHERNET), be16(ETHERTYPE_IPV4),
					 ETH_MAC_BYTES, 4, be16(ARP_REQUEST),
					 .sender_ip = be32(IP_B), .target_ip = be32(IP_A)},
			 },
		 frame;
	uint8_t mac[ETH_MAC_BYTES];

	memset(good.eth.to, 0xff, ETH_MAC_BYTES);
	memcpy(good.arp.sender_mac, mac_b, ETH_MAC_BYTES);
	for (size_t n = 0; n < sizeof(good); n++)
		deliver(&w->a, (uint8_t *)&good, n, w->now_ns);
	frame = good;
	frame.arp.sender_mac[0] = 1; /* a group */
	deliver(&w->a, (uint8_t *)&frame, sizeof(frame), w->now_ns);
	frame = good;
	frame.arp.hardware_length = 8;
	deliver(&w->a, (uint8_t *)&frame, sizeof(frame), w->now_ns);
	frame = good;
	frame.arp.sender_ip = be32(0x0b000001); /* elsewhere */
	deliver(&w->a, (uint8_t *)&frame, sizeof(frame), w->now_ns);
	frame = good;
	frame.arp.sender_ip = be32(IP_A); /* ourselves */
	deliver(&w->a, (uint8_t *)&frame, sizeof(frame), w->now_ns);
	frame = good;
	frame.arp.target_ip = be32(0x0a140009); /* not us, and not known */
	deliver(&w->a, (uint8_t *)&frame, sizeof(frame), w->now_ns);
	assert_int_equal(w->from_a.n, 0);
	assert_int_equal(net_arp_lookup(&w->a, IP_B, mac), -EAGAIN);
	deliver(&w->a, (uint8_t *)&good, sizeof(good), w->now_ns);
	assert_int_equal(w->from_a.n, 1);
	assert_int_equal(net_arp_lookup(&w->a, IP_B, mac), 0);
}

static void test_udp_echo(void **state)
{
	struct world *w = *state;
	uint8_t data[1472];
	const struct udp_header *udp;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (size_t n = 0; n <= sizeof(data); n = n * 2 + 1) {
		assert_int_equal(net_udp_send(&w->a, IP_B, 9007, 7, data, n, w->now_ns), 0);
		settle(w);
		udp = (const struct udp_header *)(w->from_b.frames[0] + 34);
		assert_int_equal(be16(udp->destination), 9007);
		assert_int_equal(be16(udp->length), 8 + n);
		assert_memory_equal(udp + 1, data, n);
	}
	assert_int_equal(net_udp_send(&w->a, IP_B, 1, 7, data, sizeof(data) + 1, 0), -EMSGSIZE);
	assert_int_equal(w->a.counters.malformed + w->b.counters.malformed, 0);
	/* Echo to echo would never end. */
	net_udp_send(&w->a, IP_B, 7, 7, data, 10, w->now_ns);
	carry(&w->from_a, &w->b, w->now_ns);
	assert_int_equal(w->from_b.n, 0);
}

static void test_gateway(void **state)
{
	struct world *w = *state;

	net_ping_send(&w->a, 0x08080808, w->now_ns);
	assert_int_equal(w->from_a.n, 0);
	assert_int_equal(w->a.counters.tx_dropped, 1);
	w->a.gateway = IP_B;
	net_ping_send(&w->a, 0x08080808, w->now_ns);
	carry(&w->from_a, &w->b, w->now_ns);
	carry(&w->from_b, &w->a, w->now_ns);
	assert_int_equal(w->from_a.n, 1);
	assert_memory_equal(w->from_a.frames[0], mac_b, ETH_MAC_BYTES);
}

static void test_frames_for_others(void **state)
{
	struct world *w = *state;

	assert_true(net_send_marker(&w->a, "hello", 5));
	assert_int_equal(be16(*(uint16_t *)(w->from_a.frames[0] + 12)), ETHERTYPE_MARKER);
	settle(w);
	assert_int_equal(w->b.counters.markers, 1);
	net_ping_send(&w->a, IP_B, w->now_ns);
	settle(w);
	net_ping_send(&w->a, IP_B, w->now_ns);
	w->from_a.frames[0][5] ^= 1;
	settle(w);
	assert_int_equal(w->b.counters.foreign, 1);
	assert_false(w->a.ping.answered);
}

static void test_full_link(void **state)
{
	struct world *w = *state;

	w->from_a.full = true;
	assert_false(net_send_marker(&w->a, "x", 1));
	net_ping_send(&w->a, IP_B, w->now_ns);
	assert_int_equal(w->a.counters.tx_dropped, 2);
	w->from_a.full = false;
	net_run(&w->a, net_deadline(&w->a));
	settle(w);
	assert_true(w->a.ping.answered);
}

static void test_no_address(void **state)
{
	struct world *w = *state;

	w->b.ip = 0;
	net_announce(&w->b);
	net_ping_send(&w->a, IP_B, w->now_ns);
	carry(&w->from_a, &w->b, w->now_ns);
	assert_int_equal(w->from_b.n, 0);
}

/* One field wrong at a time. */
static void test_ipv4_refuses(void **state)
{
	struct world *w = *state;
	uint8_t good[ETH_FRAME_BYTES], frame[ETH_FRAME_BYTES];
	struct ipv4_header *ip = (struct ipv4_header *)(frame + ETH_HEADER_BYTES);
	size_t size_bytes;

	net_ping_send(&w->a, IP_B, w->now_ns);
	settle(w);
	net_ping_send(&w->a, IP_B, w->now_ns);
	size_bytes = w->from_a.sizes[0];
	memcpy(good, w->from_a.frames[0], size_bytes);
	w->from_a.n = 0;
	for (size_t n = 0; n < size_bytes; n++)
		deliver(&w->b, good, n, w->now_ns);
	for (int i = 0; i < 9; i++) {
		memcpy(frame, good, size_bytes);
		if (i == 0)
			ip->version_ihl = 0x65;
		else if (i == 1)
			ip->version_ihl = 0x44;
		else if (i == 2)
			ip->version_ihl = 0x4f;
		else if (i == 3)
			ip->length = be16((uint16_t)(size_bytes - ETH_HEADER_BYTES + 1));
		else if (i == 4)
			ip->fragment = be16(0x2000);
		else if (i == 5)
			ip->source = be32(0xe0000001);
		else if (i == 6)
			ip->source = be32(IPV4_BROADCAST);
		else if (i == 7)
			ip->destination = be32(0x0a140003);
		else
			ip->length = be16(19);
		ip->checksum = 0;
		ip->checksum = inet_checksum(inet_sum(0, ip, (ip->version_ihl & 15) * 4));
		deliver(&w->b, frame, size_bytes, w->now_ns);
	}
	memcpy(frame, good, size_bytes);
	ip->checksum ^= 1;
	deliver(&w->b, frame, size_bytes, w->now_ns);
	assert_int_equal(w->from_b.n, 0);
	/* The NIC's word replaces the header's checksum. */
	net_input(&w->b, frame, size_bytes, NET_IP_CHECKED, w->now_ns);
	assert_int_equal(w->from_b.n, 1);
}

/* Anything at all: nothing crashes, nothing is read beyond its end. */
static void test_random_frames(void **state)
{
	static const uint16_t types[] = {ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_MARKER, 0x86dd};
	static const uint8_t protocols[] = {
		IPV4_PROTOCOL_ICMP, IPV4_PROTOCOL_UDP, IPV4_PROTOCOL_TCP, 47};
	struct world *w = *state;
	uint8_t frame[ETH_FRAME_BYTES];

	srandom(2);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)random() % 120;
		struct eth_header *eth = (struct eth_header *)frame;
		struct ipv4_header *ip = (struct ipv4_header *)(eth + 1);

		for (size_t i = 0; i < sizeof(frame) && i < 120; i++)
			frame[i] = random() % 3 ? (uint8_t)random() : 0;
		memcpy(eth->to, mac_a, ETH_MAC_BYTES);
		eth->type = be16(types[random() % 4]);
		if (random() % 4) {
			ip->version_ihl = (uint8_t)(0x40 | random() % 16);
			ip->length = be16((uint16_t)(random() % 110));
			ip->fragment = 0;
			ip->protocol = protocols[random() % 4];
			ip->destination = be32(IP_A);
		}
		uint8_t *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, frame, n);
		net_input(&w->a, copy, n, NET_IP_CHECKED | NET_TRANSPORT_CHECKED, w->now_ns);
		free(copy);
		w->now_ns += NS_PER_MS;
		net_run(&w->a, w->now_ns);
		w->from_a.n = 0;
	}
	net_ping_send(&w->a, IP_B, w->now_ns);
	for (int i = 0; i < 5 && !w->a.ping.answered; i++) {
		settle(w);
		w->now_ns += NS_PER_S;
		net_run(&w->a, w->now_ns);
	}
	assert_true(w->a.ping.answered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum),
		cmocka_unit_test_setup_teardown(test_ping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arp_gives_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arp_table_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arp_follows_a_move, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arp_ignores, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_udp_echo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gateway, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_frames_for_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ipv4_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random_frames, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
