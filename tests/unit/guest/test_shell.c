/* SPDX-License-Identifier: MIT
 *
 * The console: every line is answered by exactly one line, whatever happens.
 */
#include "vmbus/guest/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define IP_A 0x0a140001
#define IP_B 0x0a140002

static const uint8_t mac_a[ETH_MAC_BYTES] = {0x00, 0x15, 0x5d, 0, 0, 0xa};
static const uint8_t mac_b[ETH_MAC_BYTES] = {0x00, 0x15, 0x5d, 0, 0, 0xb};

/* The shell's NIC and another host on the same wire; what is sent arrives at once. */
static struct net net_a, net_b;
static bool has_nic, cut, link_full;
static struct work work;
static struct gap gap;
static struct shell shell;
static uint8_t *memory;
static uint64_t now_ns;
static char answer[600];
static unsigned n_answers, n_poweroffs, n_crashes;

static bool send_to_b(void *nic, const void *frame, size_t size_bytes)
{
	(void)nic;
	if (link_full)
		return false;
	if (!cut)
		net_input(&net_b, frame, size_bytes, 0, now_ns);
	return true;
}

static bool send_to_a(void *nic, const void *frame, size_t size_bytes)
{
	uint8_t copy[ETH_FRAME_BYTES];

	(void)nic;
	memcpy(copy, frame, size_bytes);
	now_ns += 150 * NS_PER_US;
	net_input(&net_a, copy, size_bytes, 0, now_ns);
	return true;
}

static void print(const char *line)
{
	snprintf(answer, sizeof(answer), "%s", line);
	n_answers++;
}

static uint64_t tsc_to_us(uint64_t tsc)
{
	return tsc / 1000;
}

static uint64_t irqs(void)
{
	return 42;
}

static struct net *nic(unsigned index, struct shell_nic_facts *ret_facts)
{
	if (index || !has_nic)
		return NULL;
	*ret_facts =
		(struct shell_nic_facts){.link_up = true, .nvsp_version = 0x60001, .mtu = 1500};
	return &net_a;
}

static void power_off(void)
{
	n_poweroffs++;
}

static void crash(void)
{
	n_crashes++;
}

static const struct shell_ops ops = {print, tsc_to_us, irqs, nic, power_off, crash};

static int set_up(void **state)
{
	struct net_link to_b = {send_to_b, NULL}, to_a = {send_to_a, NULL};

	(void)state;
	memory = aligned_alloc(4096, 2 << 20);
	if (!memory)
		return -1;
	net_init(&net_a, &to_b, mac_a, IP_A, 24, 0);
	net_init(&net_b, &to_a, mac_b, IP_B, 24, 0);
	work_init(&work, memory, 2 << 20);
	gap = (struct gap){0};
	shell = (struct shell){.ops = &ops, .name = "VM1", .work = &work, .gap = &gap};
	has_nic = true;
	cut = link_full = false;
	now_ns = NS_PER_S;
	n_poweroffs = n_crashes = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

/* Types a line and lets the guest run until it is answered. */
static const char *type(const char *line)
{
	n_answers = 0;
	assert_int_equal(shell_start(&shell, line, now_ns), 0);
	for (int i = 0; i < 100000 && n_answers == 0; i++) {
		assert_int_equal(shell_start(&shell, "gap", now_ns), -EBUSY);
		work_run(&work, now_ns);
		shell_step(&shell, now_ns);
		net_run(&net_a, now_ns);
		now_ns += NS_PER_MS;
	}
	assert_int_equal(n_answers, 1);
	assert_false(shell.busy);
	assert_true(shell_deadline(&shell) == NEVER_NS);
	return answer;
}

static void test_ping(void **state)
{
	(void)state;
	type("arp 10.20.0.2");
	assert_string_equal(
		type("ping 10.20.0.2 3 1000"), "ok ping 10.20.0.2 sent=3 received=3 rtt_us=150");
	assert_string_equal(
		type("ping 10.20.0.99 2 100"), "ok ping 10.20.0.99 sent=2 received=0 rtt_us=0");
	cut = true;
	assert_string_equal(
		type("ping 10.20.0.2 2 100"), "ok ping 10.20.0.2 sent=2 received=0 rtt_us=0");
	assert_string_equal(type("ping 10.30.0.2 1 100"), "err ping no route");
	has_nic = false;
	assert_string_equal(type("ping 10.20.0.2 1 100"), "err ping no route");
}

static void test_arp(void **state)
{
	(void)state;
	assert_string_equal(type("arp 10.20.0.2"), "ok arp 10.20.0.2 mac=00:15:5d:00:00:0b");
	cut = true;
	assert_string_equal(type("arp 10.20.0.2"), "err arp 10.20.0.2 no answer");
	assert_string_equal(type("arp 10.30.0.2"), "err arp no route");
}

static void test_bcast(void **state)
{
	(void)state;
	assert_string_equal(type("bcast 20"), "ok bcast sent=20");
	assert_int_equal(net_b.counters.markers, 20);
	assert_string_equal(type("bcast 0"), "ok bcast sent=0");
	assert_string_equal(type("bcast 1 1"), "err bcast no such NIC");
	link_full = true;
	assert_string_equal(type("bcast 3"), "ok bcast sent=0");
}

static void test_udp(void **state)
{
	(void)state;
	assert_string_equal(type("udp 10.20.0.2 9 hello there"), "ok udp 10.20.0.2 bytes=11");
	assert_int_equal(net_b.counters.rx_frames, 2);
	assert_string_equal(type("udp 10.20.0.2 9"), "ok udp 10.20.0.2 bytes=0");
}

static void test_workload(void **state)
{
	char expected[100];

	(void)state;
	assert_string_equal(type("verify"), "ok verify pages=0 bad=0 crc=0");
	assert_string_equal(type("dirty 1000 1"), "ok dirty rate=1000 pages=256");
	assert_string_equal(type("dirty 1000 3"), "err dirty not so much memory");
	type("verify");
	snprintf(expected, sizeof(expected), "ok verify pages=256 bad=0 crc=%x", work.verify_crc);
	assert_string_equal(answer, expected);
	memory[4096] ^= 1;
	type("verify");
	assert_non_null(strstr(answer, " bad=1 "));
}

static void test_status(void **state)
{
	(void)state;
	gap_sample(&gap, 5000);
	gap_sample(&gap, 12345);
	now_ns = 12345 * NS_PER_MS;
	assert_string_equal(type("status"), "ok status t_ms=12345 dirtied=0 bad=0 gap_us=0 "
					    "gap_max_us=7 rx=0 tx=0 tcp=0 irq=42");
	shell.last_second_gap_tsc = gap_end_second(&gap);
	type("status");
	assert_non_null(strstr(answer, " gap_us=7 gap_max_us=7 "));
	assert_string_equal(type("gap"), "ok gap us=7");
	assert_string_equal(type("gap"), "ok gap us=0");
	gap_skip(&gap, 1000000);
	gap_sample(&gap, 1001000);
	assert_string_equal(type("gap"), "ok gap us=1");
}

static void test_net(void **state)
{
	(void)state;
	assert_string_equal(type("net"),
		"ok net nic=0 mac=00:15:5d:00:00:0a ip=10.20.0.1 link=up nvsp=6.1 mtu=1500 "
		"marks=0 foreign=0 bad=0 dropped=0 resent=0");
	has_nic = false;
	assert_string_equal(type("net"), "ok net");
}

static void test_ends(void **state)
{
	(void)state;
	assert_string_equal(type("poweroff"), "ok poweroff");
	assert_int_equal(n_poweroffs, 1);
	assert_string_equal(type("crash"), "ok crash");
	assert_int_equal(n_crashes, 1);
}

static void test_nonsense(void **state)
{
	(void)state;
	assert_string_equal(type(""), "err unknown command");
	assert_string_equal(type("xyzzy 1 2 3"), "err unknown command");
	assert_string_equal(type("ping now"), "err usage: ping IP COUNT TIMEOUT_MS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bcast, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_udp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_workload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_net, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
