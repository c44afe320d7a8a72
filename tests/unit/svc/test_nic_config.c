/* SPDX-License-Identifier: MIT */
#include "node/svc/nic.h"

#include "base/bytes.h"
#include "tests/unit/base/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static struct json *parse(const char *text)
{
	struct json *j = NULL;

	if (json_parse(text, strlen(text), &j) < 0)
		fail_msg("the test's own text is no JSON: %s", text);
	return j;
}

/* NULL: taken; otherwise the sentence, until the next call. */
static const char *change(
	const char *old, const char *changes, enum nic_kind kind, struct json **ret)
{
	static struct nic_error error;
	_cleanup_json_ struct json *before = old ? parse(old) : NULL;
	_cleanup_json_ struct json *wanted = parse(changes);

	*ret = NULL;
	if (nic_config_change(before, wanted, kind, ret, &error) == 0)
		return NULL;
	/* Every refusal is one clear line, and nothing comes out beside it. */
	assert_null(*ret);
	assert_true(strlen(error.text) > 20);
	assert_null(strchr(error.text, '\n'));
	return error.text;
}

static void is_taken(const char *old, const char *changes, const char *wanted)
{
	_cleanup_json_ struct json *config = NULL;
	_cleanup_json_ struct json *expected = parse(wanted);
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *expected_text = json_dump(expected, 0);
	const char *why = change(old, changes, NIC_OF_VM, &config);

	if (why)
		fail_msg("%s: %s", changes, why);
	text = json_dump(config, 0);
	assert_string_equal(text, expected_text);
}

static void is_refused(const char *changes, const char *because)
{
	_cleanup_json_ struct json *config = NULL;
	const char *why = change("{\"switch\":\"A\"}", changes, NIC_OF_VM, &config);

	if (!why)
		fail_msg("taken: %s", changes);
	if (!strstr(why, because))
		fail_msg("%s: '%s' does not say '%s'", changes, why, because);
}

static void every_mode_is_taken_with_its_settings(void **state _unused_)
{
	is_taken(NULL, "{\"switch\":\"A\"}", "{\"switch\":\"A\"}");
	is_taken("{\"switch\":\"A\"}", "{\"mode\":\"access\",\"vid\":4094}",
		"{\"switch\":\"A\",\"mode\":\"access\",\"vid\":4094}");
	is_taken("{\"switch\":\"A\",\"mode\":\"access\",\"vid\":2}",
		"{\"mode\":\"trunk\",\"allowed\":\"2-4,7\",\"native\":0}",
		"{\"switch\":\"A\",\"mode\":\"trunk\",\"allowed\":\"2-4,7\",\"native\":0}");
	is_taken("{\"switch\":\"A\",\"mode\":\"trunk\",\"allowed\":\"2\"}",
		"{\"mode\":\"isolated\",\"primary\":200,\"secondary\":201}",
		"{\"switch\":\"A\",\"mode\":\"isolated\",\"primary\":200,\"secondary\":201}");
	is_taken("{\"switch\":\"A\"}",
		"{\"mode\":\"promiscuous\",\"primary\":200,\"secondaries\":\"201-203,210\"}",
		"{\"switch\":\"A\",\"mode\":\"promiscuous\",\"primary\":200,\"secondaries\":\"201-"
		"203,210\"}");
	/* What says nothing is not kept. */
	is_taken("{\"switch\":\"A\"}",
		"{\"mode\":\"untagged\",\"vid\":0,\"allowed\":\"\",\"native\":null}",
		"{\"switch\":\"A\",\"mode\":\"untagged\"}");
	/* The group goes as a whole. */
	is_taken("{\"switch\":\"A\",\"mode\":\"access\",\"vid\":2,\"mtu\":9000}",
		"{\"mode\":\"untagged\"}", "{\"switch\":\"A\",\"mtu\":9000,\"mode\":\"untagged\"}");
}

static void reserved_and_contradictory_vlans_are_refused(void **state _unused_)
{
	static const struct {
		const char *changes, *because;
	} wrong[] = {
		{"{\"mode\":\"access\",\"vid\":0}", "802.1Q keeps it"},
		{"{\"mode\":\"access\",\"vid\":4095}", "reserved by 802.1Q"},
		{"{\"mode\":\"access\",\"vid\":4096}", "1 to 4094"},
		{"{\"mode\":\"access\",\"vid\":-1}", "1 to 4094"},
		{"{\"mode\":\"access\",\"vid\":9223372036854775807}", "1 to 4094"},
		{"{\"mode\":\"access\",\"vid\":\"2\"}", "needs \"vid\""},
		{"{\"mode\":\"access\",\"vid\":2.5}", "needs \"vid\""},
		{"{\"mode\":\"access\",\"vid\":[2]}", "needs \"vid\""},
		{"{\"mode\":\"access\"}", "needs \"vid\""},
		{"{\"mode\":\"access\",\"vid\":2,\"allowed\":\"3\"}",
			"does not go with \"allowed\""},
		{"{\"mode\":\"access\",\"vid\":2,\"primary\":3}", "does not go with \"primary\""},
		{"{\"mode\":\"untagged\",\"vid\":2}", "does not go with \"vid\""},
		{"{\"mode\":\"untagged\",\"vid\":[]}", "does not go with \"vid\""},
		{"{\"mode\":\"trunk\"}", "empty"},
		{"{\"mode\":\"trunk\",\"allowed\":7}", "empty"},
		{"{\"mode\":\"trunk\",\"allowed\":\"2\",\"native\":4095}", "reserved by 802.1Q"},
		{"{\"mode\":\"trunk\",\"allowed\":\"2-\"}", "no list"},
		{"{\"mode\":\"trunk\",\"allowed\":\"2,,3\"}", "no list"},
		{"{\"mode\":\"trunk\",\"allowed\":\"2 3\"}", "no list"},
		{"{\"mode\":\"trunk\",\"allowed\":\"-3\"}", "no list"},
		{"{\"mode\":\"trunk\",\"allowed\":\"2,\"}", "no list"},
		{"{\"mode\":\"trunk\",\"allowed\":\"4-2\"}", "beyond"},
		{"{\"mode\":\"trunk\",\"allowed\":\"0-3\"}", "beyond"},
		{"{\"mode\":\"trunk\",\"allowed\":\"4095\"}", "beyond"},
		{"{\"mode\":\"trunk\",\"allowed\":\"99999999999999999999\"}", "beyond"},
		{"{\"mode\":\"isolated\",\"primary\":200}", "needs \"secondary\""},
		{"{\"mode\":\"isolated\",\"primary\":200,\"secondary\":200}", "must differ"},
		{"{\"mode\":\"community\",\"primary\":4095,\"secondary\":2}", "reserved"},
		{"{\"mode\":\"promiscuous\",\"primary\":200,\"secondaries\":\"199-201\"}",
			"its own secondary"},
		{"{\"mode\":\"promiscuous\",\"primary\":200,\"secondary\":201}",
			"does not go with \"secondary\""},
		{"{\"mode\":\"magic\"}", "no VLAN mode"},
		{"{\"mode\":7,\"vid\":2}", "name the mode"},
		{"{\"vid\":2}", "name the mode"},
		{"{\"native\":2}", "name the mode"},
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		is_refused(wrong[i].changes, wrong[i].because);
}

static void wrong_types_and_unknown_names_are_refused(void **state _unused_)
{
	static const char *const wrong[] = {
		"7",
		"[]",
		"\"mode\"",
		"{\"spoofing\":\"on\"}",
		"{\"spoofing\":1}",
		"{\"sp00fing\":true}",
		"{\"lease\":3}",
		"{\"guards\":true}",
		"{\"guards\":[]}",
		"{\"guards\":{\"dhcp\":\"on\"}}",
		"{\"guards\":{\"dhpc\":true}}",
		"{\"guards\":{\"ips\":\"10.0.0.5\"}}",
		"{\"guards\":{\"ips\":[7]}}",
		"{\"guards\":{\"ips\":[\"10.0.0.5/24\"]}}",
		"{\"guards\":{\"ips\":[\"10.0.0\"]}}",
		"{\"guards\":{\"ips\":[\"fd00::g\"]}}",
		"{\"bandwidth\":7}",
		"{\"bandwidth\":{\"max_bps\":\"100M\"}}",
		"{\"bandwidth\":{\"max_bps\":1.5}}",
		"{\"bandwidth\":{\"max_bps\":999999}}",
		"{\"bandwidth\":{\"max_bps\":-1}}",
		"{\"bandwidth\":{\"max_bps\":1000000000001}}",
		"{\"bandwidth\":{\"weight\":101}}",
		"{\"bandwidth\":{\"storm_fps\":4294967296}}",
		"{\"bandwidth\":{\"storm_fps\":true}}",
		"{\"bandwidth\":{\"bps\":1}}",
		"{\"bandwidth\":{\"min_bps\":1000000,\"weight\":1}}",
		"{\"bandwidth\":{\"min_bps\":2000000,\"max_bps\":1000000}}",
		"{\"mirror\":\"both\"}",
		"{\"mirror\":true}",
		"{\"offload\":\"off\"}",
		"{\"offload\":{\"csum\":true}}",
		"{\"offload\":{\"csum\":\"none\"}}",
		"{\"offload\":{\"lso\":\"on\"}}",
		"{\"offload\":{\"tso\":true}}",
		"{\"offload\":{\"lso\":true,\"csum\":\"rx\"}}",
		"{\"acl\":{}}",
		"{\"acl\":7}",
		"{\"acl\":[7]}",
		"{\"acl\":[null]}",
		"{\"acl\":[{}]}",
		"{\"mtu\":575}",
		"{\"mtu\":9001}",
		"{\"mtu\":\"1500\"}",
		"{\"switch\":\"\"}",
		"{\"switch\":\"a/b\"}",
		"{\"switch\":null}",
		"{\"mac\":\"01:00:5e:00:00:01\"}",
		"{\"mac\":\"00:15:5d:00:00\"}",
		"{\"mac\":\"00:15:5d:00:00:01x\"}",
		"{\"mac\":7}",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		is_refused(wrong[i], "");
}

static void groups_change_member_by_member(void **state _unused_)
{
	is_taken("{\"switch\":\"A\",\"guards\":{\"dhcp\":true}}",
		"{\"guards\":{\"router\":true,\"ips\":[\"10.0.0.5\",\"fd00::5\"]}}",
		"{\"switch\":\"A\",\"guards\":{\"dhcp\":true,\"router\":true,\"ips\":[\"10.0.0.5\","
		"\"fd00::5\"]}}");
	is_taken("{\"switch\":\"A\",\"bandwidth\":{\"max_bps\":5000000,\"weight\":7}}",
		"{\"bandwidth\":{\"weight\":null,\"min_bps\":1000000}}",
		"{\"switch\":\"A\",\"bandwidth\":{\"max_bps\":5000000,\"min_bps\":1000000}}");
	is_taken("{\"switch\":\"A\",\"bandwidth\":{\"max_bps\":5000000},\"spoofing\":true}",
		"{\"bandwidth\":null,\"spoofing\":null}", "{\"switch\":\"A\"}");
	/* What was there before counts as well. */
	{
		_cleanup_json_ struct json *config = NULL;

		assert_non_null(change("{\"switch\":\"A\",\"bandwidth\":{\"weight\":7}}",
			"{\"bandwidth\":{\"min_bps\":1000000}}", NIC_OF_VM, &config));
	}
}

static void a_host_has_the_policy_only(void **state _unused_)
{
	_cleanup_json_ struct json *config = NULL;

	assert_null(change("{\"name\":\"backup\",\"ifname\":\"vs-backup\"}",
		"{\"mode\":\"access\",\"vid\":7,\"mirror\":\"source\"}", NIC_OF_HOST, &config));
	assert_string_equal(json_get_string(config, "ifname", ""), "vs-backup");
	json_unref(take_ptr(config));
	assert_non_null(change("{}", "{\"switch\":\"A\"}", NIC_OF_HOST, &config));
	assert_non_null(change("{}", "{\"offload\":{}}", NIC_OF_HOST, &config));
	assert_non_null(change("{}", "{\"ifname\":\"eth0\"}", NIC_OF_HOST, &config));
}

static void lists_are_bounded(void **state _unused_)
{
	struct buf text = {0};
	_cleanup_json_ struct json *config = NULL;

	buf_bytes(&text, "{\"guards\":{\"ips\":[", 18);
	for (unsigned i = 0; i < NIC_MAX_IPS + 1; i++)
		buf_bytes(&text, ",\"10.0.0.5\"" + !i, 11 - !i);
	buf_bytes(&text, "]}}", 4);
	is_refused((const char *)text.data, "at most 16");
	buf_fini(&text);

	text = (struct buf){0};
	buf_bytes(&text, "{\"acl\":[", 8);
	for (unsigned i = 0; i < NIC_MAX_RULES + 1; i++)
		buf_bytes(&text, ",{\"action\":\"deny\"}" + !i, 18 - !i);
	buf_bytes(&text, "]}", 3);
	is_refused((const char *)text.data, "at most 256");
	buf_fini(&text);

	text = (struct buf){0};
	buf_bytes(&text, "{\"mode\":\"trunk\",\"allowed\":\"2", 28);
	for (unsigned i = 0; i < NIC_LIST_MAX_BYTES; i++)
		buf_bytes(&text, ",2", 2);
	buf_bytes(&text, "\"}", 3);
	is_refused((const char *)text.data, "longer");
	buf_fini(&text);
}

/* ---- rules ---- */

static void rules_are_kept_short(void **state _unused_)
{
	is_taken("{\"switch\":\"A\"}",
		"{\"acl\":[{\"action\":\"allow\",\"weight\":0,\"local\":\"*\",\"stateful\":false},"
		"{\"action\":\"deny\",\"direction\":\"in\",\"weight\":9,\"protocol\":6,"
		"\"remote\":\"10.0.0.0/8\",\"local_ports\":22}]}",
		"{\"switch\":\"A\",\"acl\":[{\"action\":\"allow\",\"direction\":\"both\"},"
		"{\"action\":\"deny\",\"direction\":\"in\",\"weight\":9,\"protocol\":\"6\","
		"\"remote\":\"10.0.0.0/8\",\"local_ports\":\"22\"}]}");
	is_taken("{\"switch\":\"A\",\"acl\":[{\"action\":\"deny\",\"direction\":\"both\"}]}",
		"{\"acl\":[{\"action\":\"allow\",\"direction\":\"out\",\"protocol\":\"udp\","
		"\"remote\":\"fd00::/16\",\"remote_ports\":\"53-53\",\"stateful\":true,"
		"\"idle_s\":30}]}",
		"{\"switch\":\"A\",\"acl\":[{\"action\":\"allow\",\"direction\":\"out\","
		"\"protocol\":\"udp\",\"remote\":\"fd00::/16\",\"remote_ports\":\"53-53\","
		"\"idle_s\":30,\"stateful\":true}]}");
	is_taken("{\"switch\":\"A\",\"acl\":[{\"action\":\"deny\",\"direction\":\"both\"}]}",
		"{\"acl\":[]}", "{\"switch\":\"A\",\"acl\":[]}");
}

static void wrong_rules_are_refused(void **state _unused_)
{
	static const struct {
		const char *rest, *because;
	} wrong[] = {
		{"\"action\":\"reject\"", "allow, deny or meter"},
		{"\"action\":7", "allow, deny or meter"},
		{"\"action\":\"deny\",\"weigth\":1", "has no 'weigth'"},
		{"\"action\":\"deny\",\"direction\":\"up\"", "in, out or both"},
		{"\"action\":\"deny\",\"direction\":true", "in, out or both"},
		{"\"action\":\"deny\",\"weight\":-1", "whole number"},
		{"\"action\":\"deny\",\"weight\":65536", "whole number"},
		{"\"action\":\"deny\",\"weight\":\"1\"", "whole number"},
		{"\"action\":\"deny\",\"protocol\":\"tcpip\"", "no protocol"},
		{"\"action\":\"deny\",\"protocol\":\"256\"", "no protocol"},
		{"\"action\":\"deny\",\"protocol\":-1", "no protocol"},
		{"\"action\":\"deny\",\"protocol\":[6]", "no protocol"},
		{"\"action\":\"deny\",\"local\":\"10.0.0.0/33\"", "no address"},
		{"\"action\":\"deny\",\"local\":\"10.0.0.0/\"", "no address"},
		{"\"action\":\"deny\",\"local\":\"10.0.0.0/-1\"", "no address"},
		{"\"action\":\"deny\",\"local\":\"fd00::/129\"", "no address"},
		{"\"action\":\"deny\",\"local\":\"00:15:5d:01:02:03/49\"", "no address"},
		{"\"action\":\"deny\",\"local\":\"00:15:5d:01:02\"", "no address"},
		{"\"action\":\"deny\",\"local\":\"\"", "no address"},
		{"\"action\":\"deny\",\"local\":7", "no address"},
		{"\"action\":\"deny\",\"local\":\"10.0.0.1\",\"remote\":\"fd00::1\"", "two kinds"},
		{"\"action\":\"deny\",\"local\":\"10.0.0.1\",\"remote\":\"00-15-5d-01-02-03\"",
			"two kinds"},
		{"\"action\":\"deny\",\"protocol\":\"icmp\",\"remote\":\"fd00::1\"", "icmpv6"},
		{"\"action\":\"deny\",\"protocol\":\"icmpv6\",\"local\":\"10.0.0.1\"", "say icmp"},
		{"\"action\":\"deny\",\"local_ports\":\"80\"", "tcp and udp"},
		{"\"action\":\"deny\",\"protocol\":\"icmp\",\"local_ports\":\"80\"", "tcp and udp"},
		{"\"action\":\"deny\",\"protocol\":\"tcp\",\"local_ports\":\"0\"", "no ports"},
		{"\"action\":\"deny\",\"protocol\":\"tcp\",\"local_ports\":\"90-80\"", "no ports"},
		{"\"action\":\"deny\",\"protocol\":\"tcp\",\"local_ports\":\"80-\"", "no ports"},
		{"\"action\":\"deny\",\"protocol\":\"tcp\",\"local_ports\":\"80-65536\"",
			"no ports"},
		{"\"action\":\"deny\",\"protocol\":\"tcp\",\"local_ports\":\"12345678-90\"",
			"no ports"},
		{"\"action\":\"deny\",\"protocol\":\"tcp\",\"remote_ports\":[80]", "no ports"},
		{"\"action\":\"deny\",\"stateful\":true", "only an allow rule"},
		{"\"action\":\"meter\",\"stateful\":true", "only an allow rule"},
		{"\"action\":\"allow\",\"stateful\":\"yes\"", "true or false"},
		{"\"action\":\"allow\",\"idle_s\":30", "not stateful"},
		{"\"action\":\"allow\",\"stateful\":true,\"idle_s\":0", "whole number"},
		{"\"action\":\"allow\",\"stateful\":true,\"idle_s\":86401", "whole number"},
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char text[300];

		snprintf(text, sizeof(text), "{\"acl\":[{\"action\":\"meter\"},{%s}]}",
			wrong[i].rest);
		is_refused(text, wrong[i].because);
		is_refused(text, "rule 1:");
	}
}

/* ---- what the switch is told ---- */

static void differs(const char *before, const char *after, const char *wanted)
{
	_cleanup_json_ struct json *a = parse(before);
	_cleanup_json_ struct json *b = parse(after);
	_cleanup_json_ struct json *message = json_object_new();
	_cleanup_free_ char *text = NULL;
	bool any = nic_policy_diff(a, b, message);

	text = json_dump(message, 0);
	assert_string_equal(text, wanted);
	assert_int_equal(any, strcmp(wanted, "{}") != 0);
}

static void the_switch_is_told_what_differs(void **state _unused_)
{
	_cleanup_json_ struct json *config =
		parse("{\"switch\":\"A\",\"mac\":\"00:15:5d:00:00:01\",\"mtu\":9000,\"lease\":3,"
		      "\"offload\":{\"lso\":false},\"spoofing\":true,\"guards\":{\"dhcp\":true}}");
	_cleanup_json_ struct json *message = json_object_new();
	_cleanup_free_ char *text = NULL;

	nic_policy_set(config, message);
	text = json_dump(message, 0);
	assert_string_equal(
		text, "{\"mode\":\"untagged\",\"spoofing\":true,\"guards\":{\"dhcp\":true}}");

	differs("{}", "{\"mtu\":9000,\"switch\":\"B\",\"offload\":{\"lso\":true}}", "{}");
	differs("{\"mode\":\"access\",\"vid\":2,\"mirror\":\"source\"}",
		"{\"mode\":\"access\",\"vid\":3,\"mirror\":\"source\"}",
		"{\"mode\":\"access\",\"vid\":3}");
	differs("{\"mode\":\"access\",\"vid\":2}", "{}", "{\"mode\":\"untagged\"}");
	/* What is not set any more goes back to what the switch has without it. */
	differs("{\"spoofing\":true,\"mirror\":\"source\",\"acl\":[{\"action\":\"deny\"}],"
		"\"guards\":{\"dhcp\":true},\"bandwidth\":{\"max_bps\":1000000}}",
		"{}",
		"{\"spoofing\":false,\"guards\":{},\"acl\":[],\"bandwidth\":{},\"mirror\":"
		"\"none\"}");
	differs("{\"guards\":{\"dhcp\":true}}", "{\"guards\":{\"dhcp\":true}}", "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_is_taken_with_its_settings),
		cmocka_unit_test(reserved_and_contradictory_vlans_are_refused),
		cmocka_unit_test(wrong_types_and_unknown_names_are_refused),
		cmocka_unit_test(groups_change_member_by_member),
		cmocka_unit_test(a_host_has_the_policy_only),
		cmocka_unit_test(lists_are_bounded),
		cmocka_unit_test(rules_are_kept_short),
		cmocka_unit_test(wrong_rules_are_refused),
		cmocka_unit_test(the_switch_is_told_what_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
