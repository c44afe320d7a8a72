/* SPDX-License-Identifier: MIT
 *
 * What each guard refuses and what it lets pass, frame by frame; and that nothing refused passes
 * when its end is cut off.
 */
#include "fabric/guard.h"
#include "tests/unit/fabric/packet.h"

/* Ports, as in a UDP header. */
#define DHCPS  "\0\x43"
#define DHCPC  "\0\x44"
#define DHCP6C "\x02\x22"
#define DHCP6S "\x02\x23"
#define ANY    "\xc0\x01"

#define ADVERTISES "\x86\0\0\0\x40\0\x07\x08\0\0\0\0\0\0\0\0"
#define MTU_OPTION "\x05\x01\0\0\0\0\x05\xdc"
#define REDIRECTS  "\x89"
#define SOLICITS   "\x87"
#define ANSWERS    "\x88"

/* Which guards refuse it. */
enum {
	D = GUARD_DHCP,
	R = GUARD_ROUTER,
	A = GUARD_ADDRESSES,
};

struct sample {
	const char *name;
	const uint8_t *bytes;
	size_t size_bytes;
	uint32_t refused;
};

static const struct sample dhcp[] = {
	{"discover", BYTES(ETH(IP4) IPV4_FROM(NO_IP4, "\0\0", P_UDP) UDP(DHCPC, DHCPS) "\x01\x01"),
		0},
	{"offer", BYTES(ETH(IP4) IPV4(P_UDP) UDP(DHCPS, DHCPC) "\x02\x01"), D},
	{"to a relay agent", BYTES(ETH(IP4) IPV4(P_UDP) UDP(DHCPS, DHCPS) "\x02\x01"), D},
	{"offer from another port", BYTES(ETH(IP4) IPV4(P_UDP) UDP(ANY, DHCPC) "\x02\x01"), D},
	{"request to a client", BYTES(ETH(IP4) IPV4(P_UDP) UDP(ANY, DHCPC) "\x01\x01"), 0},
	{"nothing to a client", BYTES(ETH(IP4) IPV4(P_UDP) UDP(ANY, DHCPC)), D},
	{"request in fragments to a client",
		BYTES(ETH(IP4) IPV4_PART("\x20\0", P_UDP) UDP(ANY, DHCPC) "\x01\x01\x06\0\0\0\0\0"),
		D},
	{"offer in fragments", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_UDP) UDP(DHCPS, DHCPC)), D},
	{"rest of an offer", BYTES(ETH(IP4) IPV4_PART("\0\x01", P_UDP) "\x02\x01\x06\0"), 0},
	{"other UDP in fragments", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_UDP) UDP(ANY, ANY)), 0},
	{"empty first fragment of UDP", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_UDP)), D},
	{"offer with options of IP",
		BYTES(ETH(IP4) "\x46\0\xee\xee\0\x01\0\0\x40" P_UDP "\0\0" OWN_IP4
			       "\x0a\0\0\x63\x94\x04\0\0" UDP(DHCPS, DHCPC) "\x02"),
		D},
	{"offer in a SNAP frame",
		BYTES(ETH("\0\x26") "\xaa\xaa\x03\0\0\0" IP4 IPV4(P_UDP)
				UDP(DHCPS, DHCPC) "\x02\x01"),
		D},
	{"offer behind a tag",
		BYTES(ETH("\x88\xa8") "\0\0" IP4 IPV4(P_UDP) UDP(DHCPS, DHCPC) "\x02\x01"), D},
	{"offer behind more tags than are followed",
		BYTES(ETH("\x88\xa8") "\0\0\x81\0\0\0\x81\0\0\0" IP4 IPV4(P_UDP) UDP(DHCPS, DHCPC)),
		D | R | A},
	{"TCP from port 67", BYTES(ETH(IP4) IPV4(P_TCP) TCP(DHCPS, DHCPC, "\x02")), 0},
	{"DHCP's ports over IPv6", BYTES(ETH(IP6) IPV6(P_UDP) UDP(DHCPS, DHCPC) "\x02\x01"), 0},
	{"solicit", BYTES(ETH(IP6) IPV6(P_UDP) UDP(DHCP6C, DHCP6S) "\x01\0\0\0"), 0},
	{"relayed solicit", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6S) "\x0c\0\0\0"), 0},
	{"advertise", BYTES(ETH(IP6) IPV6(P_UDP) UDP(DHCP6S, DHCP6C) "\x02\0\0\0"), D},
	{"anything from port 547", BYTES(ETH(IP6) IPV6(P_UDP) UDP(DHCP6S, ANY) "\x01\0\0\0"), D},
	{"advertise from another port", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6C) "\x02\0\0\0"),
		D},
	{"reply", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6C) "\x07\0\0\0"), D},
	{"reconfigure", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6C) "\x0a\0\0\0"), D},
	{"DHCP response", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6C) "\x15\0\0\0"), D},
	{"relayed reply", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6S) "\x0d\0\0\0"), D},
	{"nothing to port 546", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6C)), D},
	{"nothing to port 547", BYTES(ETH(IP6) IPV6(P_UDP) UDP(DHCP6C, DHCP6S)), D},
	{"solicit to a client", BYTES(ETH(IP6) IPV6(P_UDP) UDP(ANY, DHCP6C) "\x01\0\0\0"), 0},
	{"long request in fragments",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_UDP, "\0\x01")
				UDP(DHCP6C, DHCP6S) "\x03\0\0\0\0\0\0\0"),
		0},
	{"advertise behind extension headers",
		BYTES(ETH(IP6) IPV6("\0") OPTIONS(P_OPTIONS) OPTIONS(P_ROUTING) ROUTING(P_AH)
				AH(P_UDP) UDP(ANY, DHCP6C) "\x02\0\0\0"),
		D},
	{"first fragment of extension headers",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_OPTIONS, "\0\x01") P_UDP
			"\x01\0\0\0\0\0\0"),
		D | R | A},
	{"fragment of a fragment",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_FRAGMENT, "\0\x01")
				FRAGMENT(P_UDP, "\0\x09") UDP(ANY, DHCP6C)),
		D | R | A},
	{"later fragment of IPv6",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_UDP, "\0\x08") "\x02\0\0\0"), 0},
	{"ESP", BYTES(ETH(IP6) IPV6(P_ESP) "\0\0\0\x01\0\0\0\x01"), 0},
};

static const struct sample router[] = {
	{"advertisement", BYTES(ETH(IP6) IPV6(P_ICMPV6) ADVERTISES SOURCE_LINK(OWN_MAC) MTU_OPTION),
		R},
	{"solicitation", BYTES(ETH(IP6) IPV6(P_ICMPV6) ND_FIXED("\x85") SOURCE_LINK(OWN_MAC)), 0},
	{"advertisement behind options", BYTES(ETH(IP6) IPV6("\0") OPTIONS(P_ICMPV6) ADVERTISES),
		R},
	{"advertisement in an atomic fragment",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_ICMPV6, "\0\0") ADVERTISES), R},
	{"advertisement in fragments",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_ICMPV6, "\0\x01") ADVERTISES), R | A},
	{"advertisement behind too many options",
		BYTES(ETH(IP6) IPV6(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(
			P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS)
				OPTIONS(P_OPTIONS) OPTIONS(P_OPTIONS) OPTIONS(P_ICMPV6) ADVERTISES),
		D | R | A},
	{"advertisement in a SNAP frame",
		BYTES(ETH("\0\x40") "\xaa\xaa\x03\0\0\xf8" IP6 IPV6(P_ICMPV6) ADVERTISES), R},
	{"redirect of IPv6", BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(REDIRECTS, OWN_IP6) OTHER_IP6), R},
	{"redirect of IPv4", BYTES(ETH(IP4) IPV4(P_ICMP) "\x05\x01\0\0\x0a\0\0\x09"), R},
	{"advertisement of IPv4", BYTES(ETH(IP4) IPV4(P_ICMP) "\x09\0\0\0\x01\x02\0\x1e"), R},
	{"solicitation of IPv4", BYTES(ETH(IP4) IPV4(P_ICMP) "\x0a\0\0\0\0\0\0\0"), 0},
	{"redirect in fragments",
		BYTES(ETH(IP4) IPV4_PART("\x20\0", P_ICMP) "\x05\x01\0\0\x0a\0\0\x09"), R},
	{"empty first fragment of ICMP", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_ICMP)), R},
	{"echo", BYTES(ETH(IP4) IPV4(P_ICMP) "\x08\0\0\0\x12\x34\0\x01"), 0},
	{"echo of IPv6", BYTES(ETH(IP6) IPV6(P_ICMPV6) "\x80\0\0\0\x12\x34\0\x01"), 0},
	{"long echo", BYTES(ETH(IP4) IPV4_PART("\x20\0", P_ICMP) "\x08\0\0\0\x12\x34\0\x01"), 0},
	{"rest of a long echo", BYTES(ETH(IP4) IPV4_PART("\0\x01", P_ICMP) "\x05\0\0\0"), 0},
	{"malformed IPv4", BYTES(ETH(IP4) "\x41\0\xee\xee"), D | R},
	{"malformed IPv6", BYTES(ETH(IP6) "\x40\0\0\0\0\0"), D | R | A},
};

/* With GUARD_ADDRESSES, of a port that has addresses. */
static const struct sample addresses[] = {
	{"request", BYTES(ETH(ARP) ARP_PACKET("\x01", OWN_MAC, OWN_IP4, "\0\0\0\0\0\0", OTHER_IP4)),
		0},
	{"reply", BYTES(ETH(ARP) ARP_PACKET("\x02", OWN_MAC, OWN_IP4, OTHER_MAC, OTHER_IP4)), 0},
	{"gratuitous",
		BYTES(ETH(ARP) ARP_PACKET("\x01", OWN_MAC, OWN_IP4, "\0\0\0\0\0\0", OWN_IP4)), 0},
	{"gratuitous reply", BYTES(ETH(ARP) ARP_PACKET("\x02", OWN_MAC, OWN_IP4, OWN_MAC, OWN_IP4)),
		0},
	{"probe", BYTES(ETH(ARP) ARP_PACKET("\x01", OWN_MAC, NO_IP4, "\0\0\0\0\0\0", OWN_IP4)), 0},
	{"probe for another's",
		BYTES(ETH(ARP) ARP_PACKET("\x01", OWN_MAC, NO_IP4, "\0\0\0\0\0\0", OTHER_IP4)), A},
	{"another's IP", BYTES(ETH(ARP) ARP_PACKET("\x02", OWN_MAC, OTHER_IP4, OTHER_MAC, OWN_IP4)),
		A},
	{"another's MAC",
		BYTES(ETH(ARP) ARP_PACKET("\x02", OTHER_MAC, OWN_IP4, OTHER_MAC, OTHER_IP4)), A},
	{"ARP of IEEE 802",
		BYTES(ETH(ARP) "\0\x06\x08\0\x06\x04\0\x02" OWN_MAC OWN_IP4 OTHER_MAC OTHER_IP4),
		A},
	{"ARP behind a tag",
		BYTES(ETH("\x88\xa8") "\0\0" ARP ARP_PACKET(
			"\x02", OWN_MAC, OTHER_IP4, OTHER_MAC, OWN_IP4)),
		A},
	{"solicitation",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(SOLICITS, OTHER_IP6) SOURCE_LINK(OWN_MAC)), 0},
	{"solicitation with another's MAC",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(SOLICITS, OTHER_IP6) SOURCE_LINK(OTHER_MAC)), A},
	{"solicitation from another",
		BYTES(ETH(IP6) IPV6_FROM(OTHER_IP6, P_ICMPV6) ND(SOLICITS, OWN_IP6)
				SOURCE_LINK(OWN_MAC)),
		A},
	{"duplicate detection", BYTES(ETH(IP6) IPV6_FROM(NO_IP6, P_ICMPV6) ND(SOLICITS, OWN_IP6)),
		0},
	{"duplicate detection of another's",
		BYTES(ETH(IP6) IPV6_FROM(NO_IP6, P_ICMPV6) ND(SOLICITS, OTHER_IP6)), A},
	{"with a nonce",
		BYTES(ETH(IP6) IPV6_FROM(NO_IP6, P_ICMPV6)
				ND(SOLICITS, OWN_LINK) "\x0e\x01\x01\x02\x03"
						       "\x04\x05\x06"),
		0},
	{"advertisement", BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6) TARGET_LINK(OWN_MAC)),
		0},
	{"advertisement without MAC", BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6)), 0},
	{"advertisement of another's IP",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OTHER_IP6) TARGET_LINK(OWN_MAC)), A},
	{"advertisement of another's MAC",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6) TARGET_LINK(OTHER_MAC)), A},
	{"the second MAC counts as well",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6) TARGET_LINK(OWN_MAC)
				TARGET_LINK(OTHER_MAC)),
		A},
	{"long MAC option",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6) "\x02\x02" OWN_MAC
								   "\0\0\0\0\0\0\0\0"),
		A},
	{"option without length",
		BYTES(ETH(IP6) IPV6(P_ICMPV6)
				ND(ANSWERS, OWN_IP6) "\x0e\0\0\0\0\0\0\0" TARGET_LINK(OTHER_MAC)),
		A},
	{"option past the end",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6) "\x0e\x02\0\0\0\0\0\0"), A},
	{"part of an option", BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(ANSWERS, OWN_IP6) "\x02\x01\x02"),
		A},
	{"advertisement too short",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) "\x88\0\0\0\x20\0\0\0\xfe\x80\0\0\0\0\0\0"), A},
	{"advertisement in fragments",
		BYTES(ETH(IP6) IPV6(P_FRAGMENT) FRAGMENT(P_ICMPV6, "\0\x01") ND(ANSWERS, OWN_IP6)),
		A},
	{"router solicitation with another's MAC",
		BYTES(ETH(IP6) IPV6(P_ICMPV6) ND_FIXED("\x85") SOURCE_LINK(OTHER_MAC)), A},
	{"redirect to another", BYTES(ETH(IP6) IPV6(P_ICMPV6) ND(REDIRECTS, OTHER_IP6) OTHER_IP6),
		R | A},
	{"IPv4 from another", BYTES(ETH(IP4) IPV4_FROM(OTHER_IP4, "\0\0", P_UDP) UDP(ANY, ANY)), 0},
	{"IPv6 from another", BYTES(ETH(IP6) IPV6_FROM(OTHER_IP6, P_UDP) UDP(ANY, ANY)), 0},
	{"group report", BYTES(ETH(IP6) IPV6("\0") OPTIONS(P_ICMPV6) "\x8f\0\0\0\0\0\0\0"), 0},
};

static const struct {
	const struct sample *samples;
	size_t n_samples;
} groups[] = {
	{dhcp, ARRAY_LEN(dhcp)},
	{router, ARRAY_LEN(router)},
	{addresses, ARRAY_LEN(addresses)},
};

static struct guard make_guard(uint32_t flags)
{
	struct guard guard = {.flags = flags, .n_addresses = 3};

	memcpy(guard.mac, OWN_MAC, ETH_ADDR_LEN);
	memcpy(guard.addresses[0].ip, OWN_IP4, 4);
	guard.addresses[1].ipv6 = true;
	memcpy(guard.addresses[1].ip, OWN_LINK, HEADERS_IP_BYTES);
	guard.addresses[2].ipv6 = true;
	memcpy(guard.addresses[2].ip, OWN_IP6, HEADERS_IP_BYTES);
	return guard;
}

static enum drop check_bytes(const struct guard *guard, const uint8_t *frame, size_t size_bytes)
{
	struct headers headers;

	headers_parse(frame, size_bytes, &headers);
	return guard_check(guard, &headers, frame, size_bytes);
}

static enum drop first_drop(uint32_t flags)
{
	return flags & D   ? DROP_DHCP_GUARD
	       : flags & R ? DROP_ROUTER_GUARD
	       : flags & A ? DROP_ADDRESS_GUARD
			   : DROP_NONE;
}

static void check_sample(const struct sample *sample)
{
	uint8_t *frame = packet_make(sample->bytes, sample->size_bytes);

	print_message("  %s\n", sample->name);
	for (uint32_t flags = 0; flags <= (D | R | A); flags++) {
		struct guard guard = make_guard(flags);

		assert_int_equal(check_bytes(&guard, frame, sample->size_bytes),
			first_drop(flags & sample->refused));
	}
	free(frame);
}

static void test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		for (size_t k = 0; k < groups[i].n_samples; k++)
			check_sample(&groups[i].samples[k]);
	}
}

/* Each length in memory of its own. */
static void check_cuts(const struct sample *sample)
{
	uint8_t *frame = packet_make(sample->bytes, sample->size_bytes);

	for (size_t n = ETH_HEADER_BYTES; n < sample->size_bytes; n++) {
		uint8_t *cut = malloc(n);

		assert_non_null(cut);
		memcpy(cut, frame, n);
		for (uint32_t flag = D; flag <= A; flag <<= 1) {
			struct guard guard = make_guard(flag);
			enum drop drop = check_bytes(&guard, cut, n);

			if (sample->refused & flag)
				assert_int_equal(drop, first_drop(flag));
			else
				assert_true(drop == DROP_NONE || drop == first_drop(flag));
		}
		free(cut);
	}
	free(frame);
}

static void test_no_cut_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		for (size_t k = 0; k < groups[i].n_samples; k++)
			check_cuts(&groups[i].samples[k]);
	}
}

/* Padding, of which an option or the start of a message could be made up, changes nothing. */
static void test_padding_is_not_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		for (size_t k = 0; k < groups[i].n_samples; k++) {
			const struct sample *sample = &groups[i].samples[k];
			uint8_t *frame = packet_make(sample->bytes, sample->size_bytes);
			struct guard guard = make_guard(D | R | A);
			uint8_t padded[512] = {0};

			memcpy(padded, frame, sample->size_bytes);
			memset(padded + sample->size_bytes, 2, 64);
			assert_int_equal(check_bytes(&guard, padded, sample->size_bytes + 64),
				first_drop(sample->refused));
			free(frame);
		}
	}
}

static enum drop check_arp(const struct guard *guard, const char *mac, const char *ip)
{
	uint8_t frame[] = ETH(ARP) ARP_PACKET("\x02", OWN_MAC, OWN_IP4, OTHER_MAC, OTHER_IP4);

	memcpy(frame + 22, mac, ETH_ADDR_LEN);
	memcpy(frame + 28, ip, 4);
	return check_bytes(guard, frame, sizeof(frame) - 1);
}

static void test_port_without_addresses(void **state)
{
	struct guard guard = make_guard(A);

	(void)state;
	guard.n_addresses = 0;
	assert_int_equal(check_arp(&guard, OWN_MAC, OTHER_IP4), DROP_NONE);
	assert_int_equal(check_arp(&guard, OTHER_MAC, OTHER_IP4), DROP_ADDRESS_GUARD);
	assert_int_equal(check_arp(&guard, OTHER_MAC, OWN_IP4), DROP_ADDRESS_GUARD);
}

static void test_port_that_may_spoof(void **state)
{
	struct guard guard = make_guard(A);
	uint8_t frame[] = ETH(ARP) ARP_PACKET("\x02", OTHER_MAC, OWN_IP4, OTHER_MAC, OTHER_IP4);

	(void)state;
	memset(guard.mac, 0, ETH_ADDR_LEN);
	assert_int_equal(check_bytes(&guard, frame, sizeof(frame) - 1), DROP_ADDRESS_GUARD);
	memcpy(frame + ETH_ADDR_LEN, OTHER_MAC, ETH_ADDR_LEN);
	assert_int_equal(check_bytes(&guard, frame, sizeof(frame) - 1), DROP_NONE);
}

/* 10.0.0.5 in the first bytes of an IPv6 address is not that address. */
static void test_families_are_apart(void **state)
{
	struct guard guard = make_guard(A);

	(void)state;
	guard.addresses[0].ipv6 = true;
	assert_int_equal(check_arp(&guard, OWN_MAC, OWN_IP4), DROP_ADDRESS_GUARD);
	guard.addresses[0].ipv6 = false;
	assert_int_equal(check_arp(&guard, OWN_MAC, OWN_IP4), DROP_NONE);
}

/* TCP of 64 KiB passes all guards, whatever its length says. */
static void test_super_frames_pass(void **state)
{
	static const uint16_t lengths[] = {0, 65522, 65535, 40};
	static const uint8_t start[] = ETH(IP4) IPV4(P_TCP) TCP(ANY, ANY, "\x18");
	static uint8_t frame[65536];
	struct guard guard = make_guard(D | R | A);

	(void)state;
	memcpy(frame, start, sizeof(start) - 1);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		store_be16(frame + 16, lengths[i]);
		assert_int_equal(check_bytes(&guard, frame, sizeof(frame)), DROP_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_no_cut_passes),
		cmocka_unit_test(test_padding_is_not_read),
		cmocka_unit_test(test_port_without_addresses),
		cmocka_unit_test(test_port_that_may_spoof),
		cmocka_unit_test(test_families_are_apart),
		cmocka_unit_test(test_super_frames_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
