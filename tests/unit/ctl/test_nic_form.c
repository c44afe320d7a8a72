/* SPDX-License-Identifier: MIT */
#include "node/ctl/ctl.h"

#include "tests/unit/base/cmocka_all.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ctl_fail(enum exit_code code, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_null(strchr(text, '\n')); /* one line */
	return (int)code;
}

static void is_parsed(const char *spec, const char *wanted)
{
	_cleanup_json_ struct json *nics = json_array_new();
	_cleanup_json_ struct json *expected = NULL;
	_cleanup_free_ char *text = NULL;

	assert_int_equal(json_parse(wanted, strlen(wanted), &expected), 0);
	assert_int_equal(ctl_parse_nic(spec, nics), EXIT_OK);
	text = json_dump(json_at(nics, 0), 0);
	if (!json_is_equal(json_at(nics, 0), expected))
		fail_msg("%s: %s", spec, text);
}

static void specs_become_settings(void **state _unused_)
{
	is_parsed("switch=A", "{\"switch\":\"A\"}");
	is_parsed("switch=A,vlan=2,mac=00:15:5d:01:02:03,mtu=9000",
		"{\"switch\":\"A\",\"mode\":\"access\",\"vid\":2,\"mac\":\"00:15:5d:01:02:03\","
		"\"mtu\":9000}");
	is_parsed(
		"native=5,trunk=2-4+7", "{\"mode\":\"trunk\",\"allowed\":\"2-4,7\",\"native\":5}");
	is_parsed("isolated=200+201", "{\"mode\":\"isolated\",\"primary\":200,\"secondary\":201}");
	is_parsed("promiscuous=200+201-203+210",
		"{\"mode\":\"promiscuous\",\"primary\":200,\"secondaries\":\"201-203,210\"}");
	is_parsed("secondary=201,primary=200,private=Community",
		"{\"mode\":\"community\",\"primary\":200,\"secondary\":201}");
	is_parsed("untagged,spoofing=On,dhcp-guard=off,ip=10.0.0.5+fd00::5,mirror=Source",
		"{\"mode\":\"untagged\",\"spoofing\":true,\"guards\":{\"dhcp\":false,\"ips\":["
		"\"10.0.0.5\",\"fd00::5\"]},\"mirror\":\"source\"}");
	is_parsed("ip=none", "{\"guards\":{\"ips\":[]}}");
	is_parsed("max-bandwidth=2.5G,min-bandwidth=10M,storm-limit=500",
		"{\"bandwidth\":{\"max_bps\":2500000000,\"min_bps\":10000000,\"weight\":null,"
		"\"storm_fps\":500}}");
	is_parsed("csum=TX,lso=off,rss=false",
		"{\"offload\":{\"csum\":\"tx\",\"lso\":false,\"rss\":false}}");
}

static void nonsense_is_refused(void **state _unused_)
{
	static const char *const wrong[] = {"", "vlan", "vlan=", "vlan=2x", "vlan=two",
		"vlan=2,trunk=3", "native=3", "vlan=2,native=3", "primary=200", "isolated=200",
		"isolated=200+201+202", "isolated=x+201", "private=shared", "spoofing=maybe",
		"mtu=1k", "max-bandwidth=fast", "max-bandwidth=-1", "max-bandwidth=1MB",
		"max-bandwidth=nan", "max-bandwidth=9999999999999999", "weight=3,min-bandwidth=1M",
		"colour=red"};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		_cleanup_json_ struct json *nics = json_array_new();

		if (ctl_parse_nic(wrong[i], nics) != EXIT_USAGE)
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(json_length(nics), 0);
	}
}

static void rates_are_decimal(void **state _unused_)
{
	static const struct {
		const char *text;
		int64_t bps;
		const char *back;
	} rates[] = {{"0", 0, "0"}, {"1500", 1500, "1.5K"}, {"100M", 100000000, "100M"},
		{"2.5g", 2500000000, "2.5G"}, {"64k", 64000, "64K"}};
	int64_t bps;

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		assert_int_equal(ctl_parse_rate(rates[i].text, &bps), 0);
		assert_int_equal(bps, rates[i].bps);
		assert_string_equal(format_rate(bps), rates[i].back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specs_become_settings),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(rates_are_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
