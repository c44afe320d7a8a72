/* SPDX-License-Identifier: MIT
 *
 * net_tx_rig.h - a NIC that is up, and one frame at a time from its guest to its port: what the
 * tests of transmission share.
 */
#ifndef VIADUCT_TESTS_NET_TX_RIG_H
#define VIADUCT_TESTS_NET_TX_RIG_H

#include "base/bytes.h"
#include "tests/unit/vmbus/net_rig.h"
#include "vmbus/net_ppi.h"
#include "vmbus/net_vsp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static _unused_ struct net_rig rig;
static _unused_ struct net_double_packet packet;
static _unused_ struct frame sent, seen;
static _unused_ struct eth_hdr hdr;
static _unused_ uint8_t run[80000];
static _unused_ uint8_t ppi[64];

static _unused_ int setup_caps(uint32_t caps)
{
	rig = (struct net_rig){0};
	rig_new(&rig, caps);
	rig_up(&rig);
	return 0;
}

static _unused_ int setup(void **state)
{
	(void)state;
	return setup_caps(RIG_ALL_CAPS);
}

static _unused_ int setup_poor(void **state)
{
	(void)state;
	return setup_caps(0);
}

static _unused_ int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static _unused_ void assert_sent_as_is(void)
{
	assert_true(rig_at_port(&rig, &hdr, &seen));
	assert_int_equal(hdr.flags, 0);
	assert_int_equal(hdr.gso_type, ETH_GSO_NONE);
	assert_int_equal(seen.size_bytes, sent.size_bytes);
	assert_memory_equal(seen.bytes, sent.bytes, sent.size_bytes);
}

static _unused_ void assert_nothing_at_port(void)
{
	assert_false(rig_at_port(&rig, &hdr, &seen));
}

static _unused_ uint32_t transmit(const void *list, size_t list_bytes)
{
	return rig_transmit_frame(&rig, sent.bytes, sent.size_bytes, list, list_bytes);
}

static _unused_ uint32_t checksum_wish(const struct frame_spec *spec)
{
	uint32_t wish = spec->ipv6 ? RNDIS_TXCSUM_IPV6 : RNDIS_TXCSUM_IPV4;

	wish |= spec->udp ? RNDIS_TXCSUM_UDP : RNDIS_TXCSUM_TCP;
	return wish | 34U << RNDIS_TXCSUM_TCP_OFFSET_SHIFT; /* not believed */
}

static _unused_ size_t make_batch(unsigned n)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		frame_make(&sent, &(struct frame_spec){.udp = true, .payload_bytes = 100 + i});
		at += rig_rndis_packet(run + at, sent.bytes, sent.size_bytes, NULL, 0);
	}
	return at;
}

#define TEST(setup_, name) cmocka_unit_test_setup_teardown(name, setup_, teardown)

#endif
