/* SPDX-License-Identifier: MIT
 *
 * Policies of ports by the control interface: what requests set, what they refuse, what the data
 * path makes of it, and what travels.
 */
#include "base/base64.h"
#include "fabric/vlan.h"
#include "tests/unit/fabric/ctl_local.h"

static const struct {
	const char *keys, *sentence;
} refusals[] = {
	{",\"mode\":\"isolated\"",
		"port.add: mode isolated needs \"primary\" and \"secondary\", different VLANs from "
		"1 to 4094"},
	{",\"mode\":\"community\",\"primary\":5,\"secondary\":5",
		"port.add: mode community needs \"primary\" and \"secondary\", different VLANs "
		"from 1 to 4094"},
	{",\"mode\":\"isolated\",\"primary\":5,\"secondary\":4095",
		"port.add: mode isolated needs \"primary\" and \"secondary\", different VLANs from "
		"1 to 4094"},
	{",\"mode\":\"promiscuous\",\"primary\":5,\"secondaries\":\"4-6\"",
		"port.add: mode promiscuous needs \"primary\" and \"secondaries\", different VLANs "
		"from 1 to 4094"},
	{",\"mode\":\"access\",\"vid\":5,\"primary\":6",
		"port.add: mode access does not go with \"primary\""},
	{",\"guards\":true", "port.add: \"guards\" must be an object"},
	{",\"guards\":{\"dhcp\":1}", "port.add, guards: \"dhcp\" must be true or false"},
	{",\"guards\":{\"ips\":[\"10.0.0\"]}", "port.add, guards: '10.0.0' is not an IP address"},
	{",\"guards\":{\"ips\":[1]}", "port.add, guards: '' is not an IP address"},
	{",\"guards\":{\"ips\":\"10.0.0.1\"}",
		"port.add, guards: \"ips\" must be a list of at most 16 IP addresses"},
	{",\"acl\":{}", "port.add: \"acl\" must be a list of at most 256 rules"},
	{",\"acl\":[7]", "port.add, rule 0 of \"acl\" needs \"action\", a string"},
	{",\"acl\":[{\"action\":\"allow\",\"direction\":\"in\"},{\"action\":\"burn\"}]",
		"port.add, rule 1 of \"acl\": \"action\" cannot be 'burn'"},
	{",\"acl\":[{\"action\":\"deny\",\"direction\":\"up\"}]",
		"port.add, rule 0 of \"acl\": \"direction\" cannot be 'up'"},
	{",\"acl\":[{\"action\":\"deny\",\"direction\":\"in\",\"protocol\":\"gre\"}]",
		"port.add, rule 0 of \"acl\": \"protocol\" cannot be 'gre'"},
	{",\"acl\":[{\"action\":\"deny\",\"direction\":\"in\",\"protocol\":256}]",
		"port.add, rule 0 of \"acl\": \"protocol\" must be a whole number from 0 to 255"},
	{",\"acl\":[{\"action\":\"deny\",\"direction\":\"in\",\"remote\":\"10.0.0.0/33\"}]",
		"port.add, rule 0 of \"acl\": \"remote\" must be an address or prefix like "
		"10.0.0.0/8, fd00::/16 or 00:15:5d:00:00:00/24, or *"},
	{",\"acl\":[{\"action\":\"deny\",\"direction\":\"in\",\"protocol\":\"tcp\","
	 "\"local_ports\":\"90-80\"}]",
		"port.add, rule 0 of \"acl\": \"local_ports\" must be a port or a range of ports "
		"like 8000-8080"},
	{",\"bandwidth\":{\"max_bps\":-1}",
		"port.add, bandwidth: \"max_bps\" must be a whole number from 0 to 1000000000000"},
	{",\"bandwidth\":{\"weight\":101}",
		"port.add, bandwidth: \"weight\" must be a whole number from 0 to 100"},
	{",\"mirror\":\"both\"", "port.add: \"mirror\" must be none, source or destination"},
};

static void test_refusals(void **state)
{
	char text[512];

	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		snprintf(text, sizeof(text), PORT("%s"), refusals[i].keys);
		assert_int_equal(remote_call(&remote, "port.add", text), -EINVAL);
		assert_string_equal(remote_error(&remote), refusals[i].sentence);
	}
	ok("switch.list", "{}");
	assert_int_equal(
		json_length(json_get(json_at(json_get(remote.reply, "switches"), 0), "ports")), 0);
}

static void test_vlans_must_agree(void **state)
{
	struct fabric_client *vm;

	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	vm = remote_add_vm(
		&remote, "B", 5, "\"mode\":\"isolated\",\"primary\":100,\"secondary\":101");
	assert_int_equal(remote_call(&remote, "port.add", PORT(",\"mode\":\"access\",\"vid\":101")),
		-EINVAL);
	assert_string_equal(remote_error(&remote),
		"port VM1/nic0 uses VLAN 101 of switch B otherwise than port VM5/nic0: a VLAN is "
		"ordinary, or primary, or secondary to one primary VLAN");
	fabric_client_free(vm);
}

static void test_keys_that_are_absent_stay(void **state)
{
	struct fabric_client *vm;
	const struct json *port, *rules;

	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	vm = remote_add_vm(&remote, "B", 5,
		"\"mode\":\"access\",\"vid\":12,\"guards\":{\"dhcp\":true,\"ips\":[\"fd00::5\"]},"
		"\"acl\":[{\"action\":\"deny\",\"direction\":\"in\",\"protocol\":\"udp\"},"
		"{\"action\":\"meter\",\"direction\":\"both\"}],"
		"\"bandwidth\":{\"max_bps\":10000000,\"storm_fps\":7},\"mirror\":\"source\"");
	ok("port.set", "{\"port\":\"VM5/nic0\",\"guards\":{\"router\":true}}");
	port = port_stats("VM5/nic0");
	assert_int_equal(json_get_int(port, "vid", 0), 12);
	assert_true(json_get_bool(json_get(port, "guards"), "dhcp", false));
	assert_true(json_get_bool(json_get(port, "guards"), "router", false));
	assert_string_equal(
		json_string(json_at(json_get(json_get(port, "guards"), "ips"), 0), ""), "fd00::5");
	rules = json_get(port, "acl");
	assert_int_equal(json_length(rules), 2);
	assert_int_equal(json_get_int(json_get(port, "bandwidth"), "max_bps", 0), 10000000);
	assert_int_equal(json_get_int(json_get(port, "bandwidth"), "storm_fps", 0), 7);
	assert_string_equal(json_get_string(port, "mirror", ""), "source");
	ok("port.set", "{\"port\":\"VM5/nic0\",\"acl\":[],\"mirror\":\"none\"}");
	port = port_stats("VM5/nic0");
	assert_int_equal(json_length(json_get(port, "acl")), 0);
	assert_string_equal(json_get_string(port, "mode", ""), "access");
	fabric_client_free(vm);
}

/* Three VMs in one VLAN: 5 sends, 6 gets, 7 looks on. */
struct trio {
	struct fabric_client *vm[3];
};

static struct trio make_trio(const char *keys5, const char *keys6, const char *keys7)
{
	const char *keys[] = {keys5, keys6, keys7};
	struct trio trio;

	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	for (unsigned i = 0; i < 3; i++)
		trio.vm[i] = remote_add_vm(&remote, "B", 5 + i, keys[i]);
	return trio;
}

static void free_trio(struct trio *trio)
{
	for (unsigned i = 0; i < 3; i++)
		fabric_client_free(trio->vm[i]);
}

static void test_mirrors(void **state)
{
	struct trio trio = make_trio("\"mode\":\"access\",\"vid\":2,\"mirror\":\"source\"",
		"\"mode\":\"access\",\"vid\":2",
		"\"mode\":\"access\",\"vid\":9,\"mirror\":"
		"\"destination\"");

	(void)state;
	vm_send(trio.vm[0], 6, 5, -1, 1);
	vm_expect(trio.vm[1], -1, 1);
	vm_expect(trio.vm[2], 2, 1); /* the VLAN of the frame shows */
	vm_send(trio.vm[1], 5, 6, -1, 2);
	vm_expect(trio.vm[0], -1, 2);
	vm_expect(trio.vm[2], 2, 2);
	/* The destination itself is an ordinary port of its VLAN. */
	vm_send(trio.vm[2], BROADCAST, 7, -1, 3);
	wait_for_dropped("VM7/nic0", "nowhere", 1);
	ok("port.set", "{\"port\":\"VM5/nic0\",\"mirror\":\"none\"}");
	vm_send(trio.vm[0], 6, 5, -1, 4);
	vm_expect(trio.vm[1], -1, 4);
	assert_int_equal(json_get_int(port_stats("VM7/nic0"), "tx_frames", -1), 2);
	free_trio(&trio);
}

static void test_storms_are_limited(void **state)
{
	struct trio trio = make_trio("\"bandwidth\":{\"storm_fps\":3}", "", "");

	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		vm_send(trio.vm[0], BROADCAST, 5, -1, i);
	wait_for_rx("VM5/nic0", 50);
	/* The second may have changed in between, once. */
	assert_true(dropped("VM5/nic0", "storm") >= 44);
	assert_true(dropped("VM5/nic0", "storm") <= 47);
	vm_send(trio.vm[0], 6, 5, -1, 99);
	wait_for_rx("VM5/nic0", 51);
	assert_true(dropped("VM5/nic0", "storm") <= 47);
	free_trio(&trio);
}

static void test_lists_deny_both_ways(void **state)
{
	struct trio trio = make_trio("\"acl\":[{\"action\":\"deny\",\"direction\":\"out\","
				     "\"remote\":\"02:00:00:00:00:06\"}]",
		"\"acl\":[{\"action\":\"deny\",\"direction\":\"in\","
		"\"remote\":\"02:00:00:00:00:07\"}]",
		"");

	(void)state;
	vm_send(trio.vm[0], 6, 5, -1, 1);
	wait_for_dropped("VM5/nic0", "acl", 1);
	vm_send(trio.vm[2], 6, 7, -1, 2);
	wait_for_dropped("VM6/nic0", "acl", 1); /* counted where it was to leave */
	vm_send(trio.vm[1], 7, 6, -1, 3);
	vm_expect(trio.vm[2], -1, 3);
	assert_int_equal(
		json_get_int(json_at(json_get(port_stats("VM6/nic0"), "acl"), 0), "frames", 0), 1);
	free_trio(&trio);
}

static void trace(const char *port, unsigned dst, unsigned src)
{
	char text[512];
	uint8_t frame[128];
	char *encoded = base64_encode(frame, make_frame(frame, dst, src, -1, 1));

	snprintf(text, sizeof(text), "{\"port\":\"%s\",\"frame\":\"%s\"}", port, encoded);
	free(encoded);
	ok("port.trace", text);
}

static void test_trace_says_why_and_changes_nothing(void **state)
{
	struct trio trio = make_trio("\"acl\":[{\"action\":\"deny\",\"direction\":\"out\","
				     "\"remote\":\"02:00:00:00:00:06\"}]",
		"", "");
	const struct json *steps, *last;

	(void)state;
	trace("VM5/nic0", 6, 5);
	steps = json_get(remote.reply, "steps");
	last = json_at(steps, json_length(steps) - 1);
	assert_string_equal(json_get_string(last, "step", ""), "access list out");
	assert_string_equal(json_get_string(last, "text", ""), "VM5/nic0: rule 0 denies it");
	assert_int_equal(json_length(json_get(remote.reply, "out")), 0);
	trace("VM5/nic0", 7, 5);
	assert_int_equal(json_length(json_get(remote.reply, "out")), 1);
	assert_string_equal(
		json_get_string(json_at(json_get(remote.reply, "out"), 0), "port", ""), "VM7/nic0");
	trace("VM5/nic0", 7, 99);
	steps = json_get(remote.reply, "steps");
	last = json_at(steps, json_length(steps) - 1);
	assert_false(json_get_bool(last, "ok", true));
	assert_string_equal(json_get_string(last, "text", ""),
		"dropped (spoofed): its source address is not the port's, and the port may not "
		"spoof");
	assert_int_equal(
		json_get_int(json_at(json_get(port_stats("VM5/nic0"), "acl"), 0), "frames", 1), 0);
	assert_int_equal(dropped("VM5/nic0", "spoofed"), 0);
	assert_int_equal(json_get_int(port_stats("VM7/nic0"), "tx_frames", -1), 0);
	assert_int_equal(
		remote_call(&remote, "port.trace", "{\"port\":\"VM5/nic0\",\"frame\":\"AAAA\"}"),
		-EINVAL);
	assert_int_equal(remote_call(&remote, "port.trace",
				 "{\"port\":\"VM5/nic0\",\"frame\":\"not base64\"}"),
		-EINVAL);
	free_trio(&trio);
}

/* The bytes of everything that was captured so far, appended to `out`. */
static void read_capture(const char *port, struct buf *out)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"port\":\"%s\"}", port);
	ok("capture.read", text);
	assert_int_equal(base64_decode(json_get_string(remote.reply, "data", ""), out), 0);
}

static bool contains(const struct buf *buf, const void *bytes, size_t size_bytes)
{
	return memmem(buf->data, buf->size_bytes, bytes, size_bytes) != NULL;
}

static void test_captures(void **state)
{
	struct trio trio = make_trio("", "", "");
	struct buf captured = {0};
	uint8_t sent[128], received[128], hidden[128];
	size_t n = make_frame(sent, 6, 5, -1, 0xabcdef01);

	(void)state;
	make_frame(received, 5, 6, -1, 0xabcdef02);
	make_frame(hidden, 7, 6, -1, 0xabcdef03);
	assert_int_equal(remote_call(&remote, "capture.read", "{\"port\":\"VM5/nic0\"}"), -ENOENT);
	ok("capture.start", "{\"port\":\"VM5/nic0\"}");
	assert_int_equal(remote_call(&remote, "capture.start", "{\"port\":\"VM5/nic0\"}"), -EBUSY);
	vm_send(trio.vm[0], 6, 5, -1, 0xabcdef01);
	vm_expect(trio.vm[1], -1, 0xabcdef01);
	vm_send(trio.vm[1], 5, 6, -1, 0xabcdef02);
	vm_expect(trio.vm[0], -1, 0xabcdef02);
	vm_send(trio.vm[1], 7, 6, -1, 0xabcdef03);
	vm_expect(trio.vm[2], -1, 0xabcdef03);
	read_capture("VM5/nic0", &captured);
	assert_true(captured.size_bytes >= 28);
	assert_int_equal(load_le32(captured.data), 0x0a0d0d0a); /* a section header */
	assert_true(contains(&captured, sent, n));
	assert_true(contains(&captured, received, n));
	assert_false(contains(&captured, hidden, n));
	ok("capture.stop", "{\"port\":\"VM5/nic0\"}");
	assert_int_equal(remote_call(&remote, "capture.stop", "{\"port\":\"VM5/nic0\"}"), -ENOENT);
	buf_fini(&captured);
	free_trio(&trio);
}

/* Counters of a port and of its rules are there on the other side, in a port with the same rules.
 */
static void test_state_travels(void **state)
{
	static const char acl[] = "\"acl\":[{\"action\":\"meter\",\"direction\":\"out\"}]";
	struct trio trio = make_trio(acl, "", "");
	struct fabric_client *arrived;
	char text[16384], keys[256];

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		vm_send(trio.vm[0], 6, 5, -1, i);
	wait_for_rx("VM5/nic0", 5);
	ok("port.mute", "{\"port\":\"VM5/nic0\"}");
	ok("port.export", "{\"port\":\"VM5/nic0\"}");
	snprintf(text, sizeof(text), "{\"port\":\"VM9/nic0\",\"state\":\"%s\"}",
		json_get_string(remote.reply, "state", ""));
	snprintf(keys, sizeof(keys), "%s,\"muted\":true", acl);
	arrived = remote_add_vm(&remote, "B", 9, keys);
	ok("port.import", text);
	assert_int_equal(json_get_int(port_stats("VM9/nic0"), "rx_frames", 0), 5);
	assert_int_equal(
		json_get_int(json_at(json_get(port_stats("VM9/nic0"), "acl"), 0), "frames", 0), 5);
	ok("port.open", "{\"port\":\"VM9/nic0\"}");
	assert_int_equal(remote_call(&remote, "port.import", text), -EBUSY);
	assert_int_equal(
		remote_call(&remote, "port.import", "{\"port\":\"VM5/nic0\",\"state\":\"AAAA\"}"),
		-EBADMSG);
	fabric_client_free(arrived);
	free_trio(&trio);
}

static void test_names_and_kinds_change(void **state)
{
	struct trio trio = make_trio("", "", "");

	(void)state;
	ok("switch.create", "{\"name\":\"C\",\"type\":\"internal\"}");
	assert_int_equal(
		remote_call(&remote, "switch.rename", "{\"name\":\"B\",\"to\":\"C\"}"), -EEXIST);
	ok("switch.rename", "{\"name\":\"B\",\"to\":\"D\"}");
	ok("switch.rename", "{\"name\":\"D\",\"to\":\"D\"}");
	vm_send(trio.vm[0], 6, 5, -1, 1);
	vm_expect(trio.vm[1], -1, 1);
	assert_int_equal(remote_call(&remote, "switch.rebind", "{\"name\":\"D\"}"), -EINVAL);
	assert_string_equal(remote_error(&remote), "switch D is private: it never has an uplink");
	ok("switch.rebind", "{\"name\":\"C\"}");
	assert_int_equal(remote_call(&remote, "switch.rebind",
				 "{\"name\":\"C\",\"uplinks\":[\"eth0\"],\"uplink\":\"eth1\"}"),
		-EINVAL);
	assert_int_equal(remote_call(&remote, "switch.rebind",
				 "{\"name\":\"C\",\"uplinks\":[\"a,b\",\"c\"]}"),
		-EINVAL);
	assert_int_equal(
		remote_call(&remote, "switch.set", "{\"name\":\"C\",\"bandwidth_mode\":\"fair\"}"),
		-EINVAL);
	ok("switch.set",
		"{\"name\":\"C\",\"bandwidth_mode\":\"absolute\",\"link_bps\":1000000000}");
	free_trio(&trio);
}

static void test_probes_need_an_uplink(void **state)
{
	(void)state;
	ok("switch.create", "{\"name\":\"I\",\"type\":\"internal\"}");
	assert_int_equal(remote_call(&remote, "reach.begin",
				 "{\"switch\":\"I\",\"token\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}"),
		-EINVAL);
	assert_string_equal(
		remote_error(&remote), "switch I has no uplink, so its VLANs end in it");
	assert_int_equal(
		remote_call(&remote, "reach.begin", "{\"switch\":\"I\",\"token\":\"AAAA\"}"),
		-EINVAL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refusals),
		TEST(test_vlans_must_agree),
		TEST(test_keys_that_are_absent_stay),
		TEST(test_mirrors),
		TEST(test_storms_are_limited),
		TEST(test_lists_deny_both_ways),
		TEST(test_trace_says_why_and_changes_nothing),
		TEST(test_captures),
		TEST(test_state_travels),
		TEST(test_names_and_kinds_change),
		TEST(test_probes_need_an_uplink),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
