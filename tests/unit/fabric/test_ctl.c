/* SPDX-License-Identifier: MIT
 *
 * Requests of the control interface: what they do, what they refuse, and how long answers arrive.
 */
#include "fabric/vlan.h"
#include "tests/unit/fabric/ctl_local.h"

#include <dirent.h>
#include <fcntl.h>

static void test_life_of_a_switch(void **state)
{
	struct fabric_client *vm;
	struct json *sw, *port;

	(void)state;
	ok("switch.list", "{}");
	assert_int_equal(json_length(json_get(remote.reply, "switches")), 0);
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	ok("switch.create", "{\"name\":\"I\",\"type\":\"internal\",\"uplink\":null}");
	vm = remote_add_vm(&remote, "B", 5, "\"mode\":\"access\",\"vid\":12,\"muted\":true");
	assert_int_equal(remote_call(&remote, "switch.delete", "{\"name\":\"B\"}"), -EBUSY);
	assert_string_equal(remote_error(&remote), "switch B still has 1 port");
	ok("switch.list", "{}");
	assert_null(json_get(remote.reply, "next"));
	sw = json_at(json_get(remote.reply, "switches"), 0);
	assert_string_equal(json_get_string(sw, "name", ""), "B");
	assert_string_equal(json_get_string(sw, "type", ""), "private");
	assert_int_equal(json_length(json_get(sw, "ports")), 1);
	port = json_at(json_get(sw, "ports"), 0);
	assert_string_equal(json_get_string(port, "id", ""), "VM5/nic0");
	assert_string_equal(json_get_string(port, "kind", ""), "vm");
	assert_string_equal(json_get_string(port, "vm", ""), "VM5");
	assert_string_equal(json_get_string(port, "mac", ""), "02:00:00:00:00:05");
	assert_string_equal(json_get_string(port, "mode", ""), "access");
	assert_int_equal(json_get_int(port, "vid", -1), 12);
	assert_int_equal(json_get_int(port, "native", -1), 0);
	assert_false(json_is_string(json_get(port, "allowed")));
	assert_true(json_get_bool(port, "muted", false));
	assert_string_equal(json_get_string(port, "state", ""), "muted");
	assert_int_equal(json_get_int(port, "rx_frames", -1), 0);
	sw = json_at(json_get(remote.reply, "switches"), 1);
	assert_string_equal(json_get_string(sw, "name", ""), "I");
	ok("port.remove", "{\"port\":\"VM5/nic0\"}");
	assert_int_equal(remote_call(&remote, "port.stats", "{\"port\":\"VM5/nic0\"}"), -ENOENT);
	ok("switch.delete", "{\"name\":\"B\"}");
	fabric_client_free(vm);
}

static const struct {
	const char *op, *text;
	int error;
	const char *sentence;
} refusals[] = {
	{"switch.create", "{}", -EINVAL, "switch.create needs \"name\", a string"},
	{"switch.create", "{\"name\":7,\"type\":\"private\"}", -EINVAL,
		"switch.create: \"name\" must be a string"},
	{"switch.create", "{\"name\":\"B\",\"type\":\"private\"}", -EEXIST,
		"there is a switch B already"},
	{"switch.create", "{\"name\":\"X\",\"type\":\"bridge\"}", -EINVAL,
		"switch.create: \"type\" must be external, internal or private"},
	{"switch.create", "{\"name\":\"X\",\"type\":\"private\",\"uplink\":\"eth1\"}", -EINVAL,
		"switches of type private have no uplink"},
	{"switch.create", "{\"name\":\"X\",\"type\":\"external\",\"uplink\":\"eth1\"}", -EINVAL,
		"switch.create takes the raw socket of an external switch's uplink, but 0 "
		"descriptors came with it"},
	{"switch.delete", "{\"name\":\"X\"}", -ENOENT, "there is no switch X"},
	{"switch.list", "{\"from\":-1}", -EINVAL,
		"switch.list: \"from\" must be a whole number from 0 to 2147483647"},
	{"port.add", "{}", -EINVAL, "port.add needs \"switch\", a string"},
	{"port.add", "{\"switch\":\"X\",\"port\":\"p\",\"mac\":\"02:00:00:00:00:01\"}", -ENOENT,
		"there is no switch X"},
	{"port.add", "{\"switch\":\"B\",\"mac\":\"02:00:00:00:00:01\"}", -EINVAL,
		"port.add needs \"port\", a string"},
	{"port.add", "{\"switch\":\"B\",\"port\":\"\",\"mac\":\"02:00:00:00:00:01\"}", -EINVAL,
		"a port name has 1 to 127 characters and no control characters among them"},
	{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"02:00:00:00:00:1\"}", -EINVAL,
		"port.add: \"mac\" must be a MAC address like 00:15:5d:00:00:01"},
	{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"02:00:00:00:00:01:02\"}", -EINVAL,
		"port.add: \"mac\" must be a MAC address like 00:15:5d:00:00:01"},
	{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"\"}", -EINVAL,
		"port.add: \"mac\" must be a MAC address like 00:15:5d:00:00:01"},
	{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"ff:ff:ff:ff:ff:ff\"}", -EINVAL,
		"port.add: a port cannot have the MAC address ff:ff:ff:ff:ff:ff"},
	{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"00:00:00:00:00:00\"}", -EINVAL,
		"port.add: a port cannot have the MAC address 00:00:00:00:00:00"},
	{"port.add", PORT(",\"mode\":\"access\""), -EINVAL,
		"port.add: mode access needs \"vid\" from 1 to 4094; 0 is reserved"},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":4095"), -EINVAL,
		"port.add: mode access needs \"vid\" from 1 to 4094; 4095 is reserved"},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":4096"), -EINVAL,
		"port.add: \"vid\" must be a whole number from 0 to 4095"},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":-1"), -EINVAL,
		"port.add: \"vid\" must be a whole number from 0 to 4095"},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":2.5"), -EINVAL,
		"port.add: \"vid\" must be a whole number from 0 to 4095"},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":\"2\""), -EINVAL,
		"port.add: \"vid\" must be a whole number from 0 to 4095"},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":2,\"native\":3"), -EINVAL,
		"port.add: mode access does not go with \"native\""},
	{"port.add", PORT(",\"mode\":\"access\",\"vid\":2,\"allowed\":\"3\""), -EINVAL,
		"port.add: mode access does not go with \"allowed\""},
	{"port.add", PORT(",\"vid\":2"), -EINVAL,
		"port.add: mode untagged does not go with \"vid\""},
	{"port.add", PORT(",\"mode\":\"trunk\""), -EINVAL,
		"port.add: mode trunk needs \"allowed\", a list of VLANs like 2-4,7"},
	{"port.add", PORT(",\"mode\":\"trunk\",\"allowed\":\"2-4\",\"vid\":3"), -EINVAL,
		"port.add: mode trunk does not go with \"vid\""},
	{"port.add", PORT(",\"mode\":\"trunk\",\"allowed\":\"0-4\""), -EINVAL,
		"port.add: \"allowed\" must be a list like 2-4,7 of VLANs from 1 to 4094 "
		"(0 and "
		"4095 are reserved)"},
	{"port.add", PORT(",\"mode\":\"trunk\",\"allowed\":\"2\",\"native\":4095"), -EINVAL,
		"port.add: VLAN 4095 is reserved and cannot be native; VLANs are 1 to "
		"4094, 0 "
		"leaves untagged frames untagged"},
	{"port.add", PORT(",\"mode\":\"promiscuous\""), -EINVAL,
		"port.add: mode promiscuous needs \"secondaries\", a list of VLANs like 2-4,7"},
	{"port.add", PORT(",\"mode\":\"general\""), -EINVAL,
		"port.add: \"mode\" must be untagged, access, trunk, isolated, community or "
		"promiscuous"},
	{"port.add", PORT(",\"mode\":1"), -EINVAL, "port.add: \"mode\" must be a string"},
	{"port.add", PORT(",\"muted\":1"), -EINVAL, "port.add: \"muted\" must be true or false"},
	{"port.add", PORT(",\"ring_bytes\":300000"), -EINVAL,
		"port.add: \"ring_bytes\" must be a power of two"},
	{"port.add", PORT(",\"ring_bytes\":4096"), -EINVAL,
		"port.add: \"ring_bytes\" must be a whole number from 262144 to 16777216"},
	{"port.add_tap", PORT(""), -EINVAL,
		"switch B is private: the management operating system cannot connect to "
		"it"},
	{"port.remove", "{\"port\":\"nobody\"}", -ENOENT, "there is no port nobody"},
	{"port.mute", "{\"port\":[]}", -EINVAL, "port.mute: \"port\" must be a string"},
	{"port.open", "{}", -EINVAL, "port.open needs \"port\", a string"},
	{"fdb.show", "{\"switch\":\"X\"}", -ENOENT, "there is no switch X"},
	{"fdb.set", "{\"switch\":\"B\"}", -EINVAL,
		"fdb.set: \"static\" must be a list of at most 256 addresses"},
	{"fdb.set", "{\"switch\":\"B\",\"static\":[7]}", -EINVAL,
		"fdb.set needs \"mac\", a string"},
	{"fdb.set", "{\"switch\":\"B\",\"static\":[{\"mac\":\"01:00:00:00:00:01\"}]}", -EINVAL,
		"fdb.set: a port cannot have the MAC address 01:00:00:00:00:01"},
	{"fdb.set", "{\"switch\":\"B\",\"static\":[{\"mac\":\"00:15:5d:00:00:01\",\"vlan\":4095}]}",
		-EINVAL, "fdb.set: \"vlan\" must be a whole number from 0 to 4094"},
	{"switch.explode", "{}", -EOPNOTSUPP, "the switch knows no request switch.explode"},
};

static void test_refusals(void **state)
{
	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		assert_int_equal(
			remote_call(&remote, refusals[i].op, refusals[i].text), refusals[i].error);
		assert_string_equal(remote_error(&remote), refusals[i].sentence);
	}
	ok("switch.list", "{}");
	assert_int_equal(json_length(json_get(remote.reply, "switches")), 1);
	assert_int_equal(
		json_length(json_get(json_at(json_get(remote.reply, "switches"), 0), "ports")), 0);
}

static unsigned count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

static void test_descriptors_of_refused_requests_are_closed(void **state)
{
	int fds[2] = {open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC)};
	unsigned n_before;

	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"internal\"}");
	n_before = count_fds();
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(
			remote_call_fds(&remote, "switch.create",
				"{\"name\":\"X\",\"type\":\"external\",\"uplink\":\"e\"}", fds, 1),
			-EINVAL);
		assert_int_equal(remote_call_fds(&remote, "switch.create",
					 "{\"name\":\"X\",\"type\":\"private\"}", fds, 1),
			-EINVAL);
		assert_int_equal(
			remote_call_fds(&remote, "port.add_tap", PORT(""), fds, 1), -EINVAL);
		assert_int_equal(
			remote_call_fds(&remote, "port.add_tap", PORT(""), fds, 2), -EINVAL);
		assert_int_equal(remote_call_fds(&remote, "port.add", PORT(""), fds, 1), -EINVAL);
		ok("port.add", PORT(""));
		remote_forget_reply(&remote);
		assert_int_equal(remote_call(&remote, "port.add", PORT("")), -EEXIST);
		assert_int_equal(remote.n_fds, 0);
		ok("port.remove", "{\"port\":\"VM1/nic0\"}");
	}
	assert_int_equal(count_fds(), n_before);
	close(fds[0]);
	close(fds[1]);
}

/* 120 trunks whose lists of VLANs are as long as they get. */
static void test_long_listing_comes_in_pages(void **state)
{
	enum { N = 120 };
	static char list[VLAN_LIST_MAX_LEN + 8], text[VLAN_LIST_MAX_LEN + 256];
	unsigned n_seen = 0, n_pages = 0;
	int64_t from = 0;
	size_t len = 0;

	(void)state;
	for (unsigned vid = 1; vid <= VLAN_VID_MAX; vid += 2)
		len += (size_t)sprintf(list + len, "%s%u", len ? "," : "", vid);
	ok("switch.create", "{\"name\":\"A\",\"type\":\"private\"}");
	ok("switch.create", "{\"name\":\"empty\",\"type\":\"internal\"}");
	for (unsigned i = 0; i < N; i++) {
		snprintf(text, sizeof(text),
			"{\"switch\":\"A\",\"port\":\"VM%03u\",\"mac\":\"02:00:00:00:00:%02x\","
			"\"mode\":\"trunk\",\"allowed\":\"%s\",\"ring_bytes\":262144}",
			i, i + 1, list);
		ok("port.add", text);
	}
	while (from >= 0) {
		struct json *switches;

		snprintf(text, sizeof(text), "{\"from\":%lld}", (long long)from);
		ok("switch.list", text);
		switches = json_get(remote.reply, "switches");
		for (size_t i = 0; i < json_length(switches); i++) {
			struct json *ports = json_get(json_at(switches, i), "ports");

			for (size_t k = 0; k < json_length(ports); k++) {
				snprintf(text, sizeof(text), "VM%03u", n_seen++);
				assert_string_equal(
					json_get_string(json_at(ports, k), "id", ""), text);
			}
		}
		n_pages++;
		if (!json_get(remote.reply, "next"))
			assert_string_equal(
				json_get_string(
					json_at(switches, json_length(switches) - 1), "name", ""),
				"empty");
		from = json_get_int(remote.reply, "next", -1);
	}
	assert_int_equal(n_seen, N);
	assert_true(n_pages > 5);
}

static void test_fdb_show(void **state)
{
	enum { N = 3000 };
	struct fabric_client *vm;
	unsigned n_static = 0, n_learned = 0, n_pages = 0;
	int64_t from = 0;
	char text[128];

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"private\"}");
	vm = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":2,\"spoofing\":true");
	fabric_client_free(
		remote_add_vm(&remote, "A", 2, "\"mode\":\"trunk\",\"allowed\":\"2-3\""));
	for (unsigned i = 0; i < N; i++)
		vm_send(vm, 2, 100 + i, -1, i);
	wait_for_rx("VM1/nic0", N);
	while (from >= 0) {
		struct json *entries;

		snprintf(text, sizeof(text), "{\"switch\":\"A\",\"from\":%lld}", (long long)from);
		ok("fdb.show", text);
		entries = json_get(remote.reply, "entries");
		for (size_t i = 0; i < json_length(entries); i++) {
			struct json *entry = json_at(entries, i);

			if (!json_get_bool(entry, "static", false)) {
				assert_int_equal(json_get_int(entry, "vlan", 0), 2);
				assert_string_equal(json_get_string(entry, "port", ""), "VM1/nic0");
				n_learned++;
			} else if (strcmp(json_get_string(entry, "port", ""), "VM2/nic0") == 0) {
				assert_false(json_is_int(json_get(entry, "vlan")));
				n_static++;
			} else {
				assert_string_equal(
					json_get_string(entry, "mac", ""), "02:00:00:00:00:01");
				n_static++;
			}
		}
		from = json_get_int(remote.reply, "next", -1);
		n_pages++;
	}
	assert_int_equal(n_static, 2);
	assert_int_equal(n_learned, N);
	assert_true(n_pages > 1);
	fabric_client_free(vm);
}

static void test_workers(void **state)
{
	struct fabric_client *vm;
	const struct json *workers;
	int64_t n_ports = 0;

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"private\"}");
	vm = remote_add_vm(&remote, "A", 1, "");
	ok("workers.show", "{}");
	workers = json_get(remote.reply, "workers");
	assert_true(json_length(workers) > 0);
	for (size_t i = 0; i < json_length(workers); i++) {
		const struct json *worker = json_at(workers, i);

		n_ports += json_get_int(worker, "ports", -1);
		assert_in_range(json_get_int(worker, "busy_permille", -1), 0, 1000);
	}
	assert_int_equal(n_ports, 1);
	fabric_client_free(vm);
}

/* Requests put together at random never leave a private switch with anything but VM ports, nor the
 * channel broken. */
static void test_random_requests(void **state)
{
	static const char *const op_names[] = {"switch.create", "switch.delete", "switch.list",
		"port.add", "port.add", "port.add_tap", "port.set", "port.remove", "port.mute",
		"port.open", "port.stats", "fdb.show", "nonsense"};
	static const char *const keys[] = {"\"name\":\"A\"", "\"name\":\"B\"", "\"switch\":\"A\"",
		"\"switch\":\"B\"", "\"type\":\"private\"", "\"type\":\"internal\"",
		"\"type\":\"external\"", "\"uplink\":\"eth0\"", "\"port\":\"p1\"",
		"\"port\":\"p2\"", "\"port\":\"uplink:eth0\"", "\"mac\":\"02:00:00:00:00:01\"",
		"\"mac\":\"02:00:00:00:00:02\"", "\"mode\":\"trunk\"", "\"mode\":\"access\"",
		"\"vid\":2", "\"native\":3", "\"allowed\":\"2-9\"", "\"muted\":true",
		"\"muted\":null", "\"spoofing\":true", "\"ring_bytes\":262144", "\"from\":1",
		"\"from\":{}"};
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	uint64_t seed = 77;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		const char *op = op_names[random_below(&seed, ARRAY_LEN(op_names))];
		bool used[ARRAY_LEN(keys)] = {false};
		char text[1024] = "{";
		int r;

		for (unsigned n = random_below(&seed, 12); n > 0; n--) {
			unsigned key = random_below(&seed, ARRAY_LEN(keys));
			const char *colon = strchr(keys[key], ':');
			char name[32];

			/* A key that comes twice is malformed JSON. */
			snprintf(name, sizeof(name), "%.*s", (int)(colon - keys[key]), keys[key]);
			if (used[key] || strstr(text, name))
				continue;
			used[key] = true;
			strcat(text, text[1] ? "," : "");
			strcat(text, keys[key]);
		}
		strcat(text, "}");
		r = remote_call_fds(&remote, op, text, &fd, random_below(&seed, 8) == 0);
		assert_true(r == 0 || remote_error(&remote)[0]);
	}
	ok("switch.list", "{}");
	for (size_t i = 0; i < json_length(json_get(remote.reply, "switches")); i++) {
		struct json *sw = json_at(json_get(remote.reply, "switches"), i);
		struct json *ports = json_get(sw, "ports");

		for (size_t k = 0; k < json_length(ports); k++)
			assert_string_equal(json_get_string(json_at(ports, k), "kind", ""), "vm");
	}
	close(fd);
}

static void test_end_of_the_channel(void **state)
{
	struct fabric_client *vm;

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"private\"}");
	vm = remote_add_vm(&remote, "A", 1, "");
	chan_free(take_ptr(remote.chan));
	loop_run(remote.loop);
	assert_int_equal(ctl_closed, -EPIPE);
	vm_send(vm, BROADCAST, 1, -1, 1);
	fabric_client_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life_of_a_switch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_descriptors_of_refused_requests_are_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_listing_comes_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fdb_show, setup, teardown),
		cmocka_unit_test_setup_teardown(test_workers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_the_channel, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
