/* SPDX-License-Identifier: MIT */
#include "vmbus/net_offload.h"

#include "base/bytes.h"
#include "base/eth_ops.h"
#include "vmbus/vmbus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ALL_CAPS  (ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6)
#define NDIS_6_0  (6U << 16)
#define NDIS_6_1  ((6U << 16) + 1)
#define NDIS_6_30 ((6U << 16) + 30)

static struct ndis_offload object;

static size_t describe(uint32_t caps, uint32_t ndis_version, size_t limit_bytes)
{
	struct net_offload capable = net_offload_capable(caps);

	return net_offload_describe(&capable, ndis_version, limit_bytes, &object);
}

/* What Linux wants to see before it switches an offload on. */
static void a_full_port_gives_what_linux_looks_for(void **state)
{
	(void)state;
	assert_int_equal(describe(ALL_CAPS, NDIS_6_30, sizeof(object)), NDIS_OFFLOAD_BYTES_6_30);
	assert_int_equal(object.csum4_tx & 0x14, 0x14);
	assert_int_equal(object.csum4_tx & NDIS_CSUM4_UDP, NDIS_CSUM4_UDP);
	assert_int_equal(object.csum6_tx & 0x15, 0x15);
	assert_int_equal(object.csum6_tx & NDIS_CSUM6_UDP, NDIS_CSUM6_UDP);
	assert_int_equal(object.lso4_encapsulation, 2);
	assert_int_equal(object.lso6_encapsulation, 2);
	assert_int_equal(object.lso6_options, 5);
	assert_true(object.lso4_max_bytes > 9000 && object.lso4_max_bytes <= 65535);
	assert_int_equal(object.rsc4 | object.rsc6, 0);
}

static void the_port_decides(void **state)
{
	(void)state;
	describe(0, NDIS_6_30, sizeof(object));
	assert_int_equal(object.csum4_tx | object.csum6_tx, 0);
	assert_int_not_equal(object.csum4_rx, 0);
	assert_int_equal(object.lso4_encapsulation | object.lso6_encapsulation, 0);

	describe(ETH_CAP_CSUM | ETH_CAP_TSO4, NDIS_6_30, sizeof(object));
	assert_int_equal(object.lso4_encapsulation, 2);
	assert_int_equal(object.lso6_encapsulation, 0);
	assert_int_equal(object.lso6_max_bytes, 0);

	/* Segments need checksums. */
	describe(ETH_CAP_TSO4 | ETH_CAP_TSO6, NDIS_6_30, sizeof(object));
	assert_int_equal(object.lso4_encapsulation | object.lso6_encapsulation, 0);
}

static void what_is_withheld_is_not_offered(void **state)
{
	struct net_offload capable;

	(void)state;
	for (uint32_t withheld = 0; withheld < 16; withheld++) {
		uint32_t caps = net_offload_withhold(ALL_CAPS | NET_CAP_RSC, withheld);
		bool tx = !(withheld & NETVSP_CSUM_TX), rx = !(withheld & NETVSP_CSUM_RX);

		capable = net_offload_capable(caps);
		assert_int_equal(capable.tcp4, tx * NET_OFFLOAD_TX + rx * NET_OFFLOAD_RX);
		assert_int_equal(capable.udp6, capable.tcp4);
		assert_int_equal(capable.ip4, capable.tcp4);
		/* Large sends need checksums of what is sent, coalescing those of what comes. */
		assert_int_equal(capable.lso4, tx && !(withheld & NETVSP_LSO));
		assert_int_equal(capable.lso6, capable.lso4);
		assert_int_equal(capable.rsc4, rx && !(withheld & NETVSP_RSC));
		assert_int_equal(capable.rsc6, capable.rsc4);
		assert_true(net_offload_is_granted(&capable, withheld));
		for (uint32_t other = 0; other < 16; other++) {
			/* What another configuration gave is granted only if it is not more. */
			struct net_offload theirs = net_offload_capable(
				net_offload_withhold(ALL_CAPS | NET_CAP_RSC, other));
			bool more = (theirs.tcp4 & ~capable.tcp4) || theirs.lso4 > capable.lso4 ||
				    theirs.rsc4 > capable.rsc4;

			assert_int_equal(net_offload_is_granted(&theirs, withheld), !more);
		}
	}
}

static void size_and_revision_follow_the_guest(void **state)
{
	static const struct {
		uint32_t ndis_version;
		size_t limit_bytes, size_bytes;
		uint8_t revision;
	} cases[] = {
		{0, 156, 112, 1},
		{NDIS_6_0, 156, 112, 1},
		{NDIS_6_1, 156, 144, 2},
		{NDIS_6_30, 156, 156, 3},
		{NDIS_6_30, 1000, 156, 3},
		{NDIS_6_30, 155, 144, 2},
		{NDIS_6_30, 112, 112, 1},
		{NDIS_6_30, 4, 112, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(describe(ALL_CAPS, cases[i].ndis_version, cases[i].limit_bytes),
			cases[i].size_bytes);
		assert_int_equal(object.header.type, NDIS_OBJECT_OFFLOAD);
		assert_int_equal(object.header.revision, cases[i].revision);
		assert_int_equal(object.header.size, cases[i].size_bytes);
	}
}

static struct ndis_offload_params params;

static int set(struct net_offload *offload, uint32_t caps, size_t size_bytes)
{
	uint8_t *exact = calloc(1, size_bytes);
	int r;

	memcpy(exact, &params, MIN(size_bytes, sizeof(params)));
	r = net_offload_set(offload, caps, exact, size_bytes);
	free(exact);
	return r;
}

static int setup_params(void **state)
{
	(void)state;
	params = (struct ndis_offload_params){.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(params)}};
	return 0;
}

static void the_guest_switches_each(void **state)
{
	struct net_offload offload = net_offload_capable(ALL_CAPS);

	(void)state;
	params.tcp4_csum = NDIS_CSUM_TX;
	params.udp4_csum = NDIS_CSUM_RX;
	params.tcp6_csum = NDIS_CSUM_OFF;
	params.lso4 = NDIS_SEGMENT_OFF;
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), 0);
	assert_int_equal(offload.ip4, NET_OFFLOAD_BOTH); /* not named: not changed */
	assert_int_equal(offload.tcp4, NET_OFFLOAD_TX);
	assert_int_equal(offload.udp4, NET_OFFLOAD_RX);
	assert_int_equal(offload.tcp6, 0);
	assert_false(offload.lso4);
	assert_true(offload.lso6);

	params.tcp6_csum = NDIS_CSUM_BOTH;
	params.lso4 = NDIS_SEGMENT_ON;
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), 0);
	assert_int_equal(offload.tcp6, NET_OFFLOAD_BOTH);
	assert_true(offload.lso4);
}

static void beyond_the_port_stays_off(void **state)
{
	struct net_offload offload = net_offload_capable(0);

	(void)state;
	params.tcp4_csum = NDIS_CSUM_BOTH;
	params.udp4_csum = NDIS_CSUM_TX;
	params.lso4 = params.lso6 = NDIS_SEGMENT_ON;
	assert_int_equal(set(&offload, 0, sizeof(params)), 0);
	assert_int_equal(offload.tcp4, NET_OFFLOAD_RX);
	assert_int_equal(offload.udp4, 0);
	assert_false(offload.lso4 || offload.lso6);
}

static void old_guests_send_less(void **state)
{
	struct net_offload offload = net_offload_capable(ALL_CAPS);

	(void)state;
	params.header.size = NDIS_OFFLOAD_PARAMS_MIN_BYTES;
	params.tcp4_csum = NDIS_CSUM_OFF;
	assert_int_equal(set(&offload, ALL_CAPS, NDIS_OFFLOAD_PARAMS_MIN_BYTES), 0);
	assert_int_equal(offload.tcp4, 0);
}

static void bad_parameters_change_nothing(void **state)
{
	const struct net_offload before = net_offload_capable(ALL_CAPS);
	struct net_offload offload = before;

	params.tcp4_csum = NDIS_CSUM_OFF;
	for (size_t size_bytes = 1; size_bytes < NDIS_OFFLOAD_PARAMS_MIN_BYTES; size_bytes++)
		assert_int_equal(set(&offload, ALL_CAPS, size_bytes), -EINVAL);
	params.header.size = sizeof(params) + 1; /* more than there is */
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), -EINVAL);
	params.header.size = NDIS_OFFLOAD_PARAMS_MIN_BYTES - 1;
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), -EINVAL);
	params.header = (struct ndis_object_header){NDIS_OBJECT_OFFLOAD, 3, sizeof(params)};
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), -EINVAL);
	setup_params(state);
	params.tcp4_csum = NDIS_CSUM_OFF;
	params.lso6 = 3;
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), -EINVAL);
	params.lso6 = 0;
	params.udp6_csum = 5;
	assert_int_equal(set(&offload, ALL_CAPS, sizeof(params)), -EINVAL);
	assert_memory_equal(&offload, &before, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_port_gives_what_linux_looks_for),
		cmocka_unit_test(the_port_decides),
		cmocka_unit_test(what_is_withheld_is_not_offered),
		cmocka_unit_test(size_and_revision_follow_the_guest),
		cmocka_unit_test_setup(the_guest_switches_each, setup_params),
		cmocka_unit_test_setup(beyond_the_port_stays_off, setup_params),
		cmocka_unit_test_setup(old_guests_send_less, setup_params),
		cmocka_unit_test_setup(bad_parameters_change_nothing, setup_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
