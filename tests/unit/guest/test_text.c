/* SPDX-License-Identifier: MIT
 *
 * Text, the command line and the console's commands.
 */
#include "vmbus/guest/command.h"
#include "vmbus/guest/config.h"
#include "vmbus/guest/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_builder(void **state)
{
	char line[64];
	struct text text = text_on(line, sizeof(line));
	const uint8_t mac[6] = {0x00, 0x15, 0x5d, 0x0a, 0xff, 0x01};

	(void)state;
	text_add(&text, "a");
	text_field(&text, "n", UINT64_MAX);
	text_char(&text, ' ');
	text_hex(&text, 0xdeadbeef0);
	assert_string_equal(line, "a n=18446744073709551615 deadbeef0");
	text = text_on(line, sizeof(line));
	text_ipv4(&text, 0x0a1400ff);
	text_char(&text, ' ');
	text_mac(&text, mac);
	assert_string_equal(line, "10.20.0.255 00:15:5d:0a:ff:01");
}

static void test_builder_cuts_off(void **state)
{
	char line[9] = "........";
	struct text text = text_on(line, 6);

	(void)state;
	text_add(&text, "abcdefgh");
	text_u64(&text, 12);
	assert_string_equal(line, "abcde");
	assert_int_equal(line[6], '.');
}

static void test_numbers(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_true(parse_u64("0", 1, 0, &v));
	assert_int_equal(v, 0);
	assert_true(parse_u64("18446744073709551615", 20, UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
	assert_false(parse_u64("18446744073709551616", 20, UINT64_MAX, &v));
	assert_false(parse_u64("256", 3, 255, &v));
	assert_false(parse_u64("99999999999999999999999", 23, UINT64_MAX, &v));
	assert_false(parse_u64("", 0, 9, &v));
	assert_false(parse_u64("-1", 2, 9, &v));
	assert_false(parse_u64("1x", 2, 99, &v));
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1..2.3",
		"1.2.3.", ".1.2.3", "a.b.c.d", "1.2.3.4/24", "1.2.3.-4"};
	uint32_t ip = 0;

	(void)state;
	assert_true(parse_ipv4("10.20.0.1", 9, &ip));
	assert_int_equal(ip, 0x0a140001);
	assert_true(parse_ipv4("255.255.255.255", 15, &ip));
	assert_true(ip == 0xffffffff);
	for (size_t i = 0; i < N_ELEMENTS(bad); i++)
		assert_false(parse_ipv4(bad[i], strlen(bad[i]), &ip));
}

static void test_config(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(config_parse(" ip=10.20.0.1/24 gw= name=VM1\tdirty=20000 ws=256 status=1 "
				      "virtio_mmio.device=4K@0xfeb00000:5 quiet ip1=10.30.0.1/8 "
				      "gw1=10.0.0.9 tsc_khz=2600000",
				 &config, NULL),
		0);
	assert_string_equal(config.name, "VM1");
	assert_int_equal(config.nics[0].ip, 0x0a140001);
	assert_int_equal(config.nics[0].prefix_length, 24);
	assert_int_equal(config.nics[0].gateway, 0);
	assert_int_equal(config.nics[1].gateway, 0x0a000009);
	assert_int_equal(config.nics[1].prefix_length, 8);
	assert_int_equal(config.dirty_pages_per_s, 20000);
	assert_int_equal(config.working_set_mb, 256);
	assert_true(config.status);
	assert_int_equal(config.tsc_khz, 2600000);
}

static void test_config_defaults(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(config_parse("", &config, NULL), 0);
	assert_string_equal(config.name, "probe");
	assert_int_equal(config.nics[0].ip, 0);
	assert_int_equal(config.working_set_mb, 0);
	assert_false(config.status);
}

static void test_config_refuses(void **state)
{
	static const char *const bad[] = {"ip=10.20.0.1", "ip=10.20.0.1/0", "ip=10.20.0.1/31",
		"ip=10.20.0/24", "ip=", "gw=1.2", "dirty=-1", "dirty=4294967296", "ws=x",
		"status=2", "name=", "name=sixteen.letters!!", "tsc_khz=", "ip1=/24"};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		const char *word = NULL;
		struct config config;

		assert_int_equal(config_parse(bad[i], &config, &word), -EINVAL);
		assert_ptr_equal(word, bad[i]);
		assert_int_equal(config.dirty_pages_per_s, 0);
		assert_int_equal(config.nics[0].ip, 0);
	}
}

static void test_commands(void **state)
{
	const char *usage = NULL;
	struct command command;

	(void)state;
	assert_int_equal(command_parse("ping 10.0.0.1 3 1000", &command, &usage), 0);
	assert_int_equal(command.kind, COMMAND_PING);
	assert_int_equal(command.ip, 0x0a000001);
	assert_int_equal(command.ping.count, 3);
	assert_int_equal(command.ping.timeout_ms, 1000);
	assert_int_equal(command_parse("  bcast 5", &command, &usage), 0);
	assert_int_equal(command.bcast.nic, 0);
	assert_int_equal(command_parse("bcast 5 1 ", &command, &usage), 0);
	assert_int_equal(command.bcast.nic, 1);
	assert_int_equal(command_parse("udp 1.2.3.4 7 two  words", &command, &usage), 0);
	assert_int_equal(command.udp.port, 7);
	assert_string_equal(command.udp.text, "two  words");
	assert_int_equal(command_parse("dirty 0 0", &command, &usage), 0);
	assert_int_equal(command_parse("verify", &command, &usage), 0);
	assert_string_equal(command.name, "verify");
}

static void test_commands_refused(void **state)
{
	static const char *const bad[] = {"ping", "ping 10.0.0.1", "ping 10.0.0.1 0 1",
		"ping 10.0.0.1 1 60001", "ping x 1 1", "ping 10.0.0.1 1 1 1", "arp", "arp 1.2.3",
		"bcast", "bcast 1 2", "bcast 1000001", "udp 1.2.3.4 0 x", "udp 1.2.3.4 65536 x",
		"dirty 1", "dirty 1 2 3", "verify all", "gap 1"};
	static const char *const unknown[] = {"", "   ", "pong", "pin", "pingg 1", "verif y"};
	struct command command;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		const char *usage = NULL;

		assert_int_equal(command_parse(bad[i], &command, &usage), -EINVAL);
		assert_non_null(usage);
	}
	for (size_t i = 0; i < N_ELEMENTS(unknown); i++) {
		const char *usage = NULL;

		assert_int_equal(command_parse(unknown[i], &command, &usage), -ENOENT);
		assert_null(usage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builder),
		cmocka_unit_test(test_builder_cuts_off),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_config_defaults),
		cmocka_unit_test(test_config_refuses),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_commands_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
