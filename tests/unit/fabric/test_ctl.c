/* SPDX-License-Identifier: MIT
 *
 * The control interface over a real channel, with the worker running and VMs on shared-memory
 * ports.
 *
 * That a frame does not arrive is shown by a later one of the same sender that does.
 */
#include "fabric/ctl.h"
#include "fabric/shm_port.h"
#include "fabric/vlan.h"
#include "tests/unit/fabric/ctl_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static struct remote remote;
static struct fabric_ctl *ctl;
static int ctl_closed;

static void on_ctl_close(int error, void *data)
{
	(void)data;
	ctl_closed = error;
	loop_stop(remote.loop);
}

static int setup(void **state)
{
	int pair[2];

	(void)state;
	remote = (struct remote){0};
	ctl_closed = 0;
	return loop_new(&remote.loop) < 0 || chan_pair(pair) < 0 ||
	       fabric_ctl_new(remote.loop, pair[1], on_ctl_close, NULL, &ctl) < 0 ||
	       chan_new(remote.loop, pair[0], remote_on_message, remote_on_close, &remote,
		       &remote.chan) < 0;
}

static int teardown(void **state)
{
	(void)state;
	remote_forget_reply(&remote);
	chan_free(remote.chan);
	fabric_ctl_free(ctl);
	loop_free(remote.loop);
	return 0;
}

static void ok(const char *op, const char *text)
{
	if (remote_call(&remote, op, text) < 0)
		fail_msg("%s %s: %s", op, text, remote_error(&remote));
}

/* The JSON object of a port, lent until the next request. */
static struct json *port_stats(const char *id)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"port\":\"%s\"}", id);
	ok("port.stats", text);
	return json_get(remote.reply, "port");
}

static int64_t dropped(const char *id, const char *reason)
{
	return json_get_int(json_get(port_stats(id), "dropped"), reason, 0);
}

static void wait_for_dropped(const char *id, const char *reason, int64_t n)
{
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	while (dropped(id, reason) < n) {
		if (clock_mono_ns() > until_ns)
			fail_msg("%s: %s did not get to %lld", id, reason, (long long)n);
	}
}

static void wait_for_rx(const char *id, int64_t n)
{
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	while (json_get_int(port_stats(id), "rx_frames", 0) < n) {
		if (clock_mono_ns() > until_ns)
			fail_msg("the switch did not take %lld frames of %s", (long long)n, id);
	}
}

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

#define PORT(rest) "{\"switch\":\"B\",\"port\":\"VM1/nic0\",\"mac\":\"00:15:5d:00:00:01\"" rest "}"

static void test_refusals(void **state)
{
	static const struct {
		const char *op, *text;
		int error;
		const char *sentence;
	} requests[] = {
		{"switch.create", "{}", -EINVAL, "switch.create needs \"name\", a string"},
		{"switch.create", "{\"name\":7,\"type\":\"private\"}", -EINVAL,
			"switch.create: \"name\" must be a string"},
		{"switch.create", "{\"name\":\"B\",\"type\":\"private\"}", -EEXIST,
			"there is a switch B already"},
		{"switch.create", "{\"name\":\"X\",\"type\":\"bridge\"}", -EINVAL,
			"switch.create: \"type\" must be external, internal or private"},
		{"switch.create", "{\"name\":\"X\",\"type\":\"private\",\"uplink\":\"eth1\"}",
			-EINVAL, "switches of type private have no uplink"},
		{"switch.create", "{\"name\":\"X\",\"type\":\"external\",\"uplink\":\"eth1\"}",
			-EINVAL,
			"switch.create takes the raw socket of an external switch's uplink, but 0 "
			"descriptors came with it"},
		{"switch.delete", "{\"name\":\"X\"}", -ENOENT, "there is no switch X"},
		{"switch.list", "{\"from\":-1}", -EINVAL,
			"switch.list: \"from\" must be a whole number from 0 to 2147483647"},
		{"port.add", "{}", -EINVAL, "port.add needs \"switch\", a string"},
		{"port.add", "{\"switch\":\"X\",\"port\":\"p\",\"mac\":\"02:00:00:00:00:01\"}",
			-ENOENT, "there is no switch X"},
		{"port.add", "{\"switch\":\"B\",\"mac\":\"02:00:00:00:00:01\"}", -EINVAL,
			"port.add needs \"port\", a string"},
		{"port.add", "{\"switch\":\"B\",\"port\":\"\",\"mac\":\"02:00:00:00:00:01\"}",
			-EINVAL,
			"a port name has 1 to 127 characters and no control characters among them"},
		{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"02:00:00:00:00:1\"}",
			-EINVAL, "port.add: \"mac\" must be a MAC address like 00:15:5d:00:00:01"},
		{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"02:00:00:00:00:01:02\"}",
			-EINVAL, "port.add: \"mac\" must be a MAC address like 00:15:5d:00:00:01"},
		{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"\"}", -EINVAL,
			"port.add: \"mac\" must be a MAC address like 00:15:5d:00:00:01"},
		{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"ff:ff:ff:ff:ff:ff\"}",
			-EINVAL, "port.add: a port cannot have the MAC address ff:ff:ff:ff:ff:ff"},
		{"port.add", "{\"switch\":\"B\",\"port\":\"p\",\"mac\":\"00:00:00:00:00:00\"}",
			-EINVAL, "port.add: a port cannot have the MAC address 00:00:00:00:00:00"},
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
			"port.add: \"mode\" must be untagged, access or trunk"},
		{"port.add", PORT(",\"mode\":1"), -EINVAL, "port.add: \"mode\" must be a string"},
		{"port.add", PORT(",\"muted\":1"), -EINVAL,
			"port.add: \"muted\" must be true or false"},
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
		{"switch.explode", "{}", -EOPNOTSUPP, "the switch knows no request switch.explode"},
	};

	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		assert_int_equal(
			remote_call(&remote, requests[i].op, requests[i].text), requests[i].error);
		assert_string_equal(remote_error(&remote), requests[i].sentence);
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

static void test_frames_stay_in_their_vlan(void **state)
{
	struct fabric_client *vm[5];

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"internal\"}");
	vm[1] = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":2");
	vm[2] = remote_add_vm(&remote, "A", 2, "\"mode\":\"access\",\"vid\":2");
	vm[3] = remote_add_vm(&remote, "A", 3, "\"mode\":\"access\",\"vid\":3");
	vm[4] = remote_add_vm(
		&remote, "A", 4, "\"mode\":\"trunk\",\"allowed\":\"2-3\",\"native\":9");
	vm_send(vm[1], BROADCAST, 1, -1, 100);
	vm_send(vm[1], 2, 1, -1, 101);
	vm_send(vm[1], 3, 1, -1, 102);
	vm_send(vm[1], 3, 1, 3, 103);
	vm_send(vm[1], 2, 9, -1, 104);
	vm_send(vm[1], 2, 1, -1, 105);
	vm_expect(vm[2], -1, 100);
	vm_expect(vm[2], -1, 101);
	vm_expect(vm[2], -1, 105);
	vm_expect(vm[4], 2, 100);
	/* The trunk speaks to either, and is the first that VM 3 hears. */
	vm_send(vm[4], BROADCAST, 4, 3, 200);
	vm_expect(vm[3], -1, 200);
	vm_send(vm[4], 2, 4, 2, 201);
	vm_expect(vm[2], -1, 201);
	vm_send(vm[3], 4, 3, -1, 300);
	vm_expect(vm[4], 3, 300);
	assert_int_equal(dropped("VM1/nic0", "spoofed"), 1);
	assert_int_equal(dropped("VM1/nic0", "tagged"), 1);
	assert_int_equal(dropped("VM1/nic0", "nowhere"), 1);
	assert_int_equal(json_get_int(port_stats("VM1/nic0"), "rx_frames", 0), 6);
	assert_int_equal(json_get_int(port_stats("VM2/nic0"), "tx_frames", 0), 4);
	for (unsigned i = 1; i < 5; i++)
		fabric_client_free(vm[i]);
}

static void test_switches_are_apart(void **state)
{
	struct fabric_client *a, *b, *b2;

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"internal\"}");
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	a = remote_add_vm(&remote, "A", 1, "");
	b = remote_add_vm(&remote, "B", 2, "");
	b2 = remote_add_vm(&remote, "B", 3, "");
	vm_send(a, BROADCAST, 1, -1, 1);
	vm_send(a, 2, 1, -1, 2);
	wait_for_rx("VM1/nic0", 2);
	vm_send(b2, 2, 3, -1, 3);
	vm_expect(b, -1, 3);
	fabric_client_free(a);
	fabric_client_free(b);
	fabric_client_free(b2);
}

/* Receive frames of one kind, RARP, and nothing else, until there were `n`. */
static void expect_announcements(struct fabric_client *vm, unsigned n, unsigned source, int tci)
{
	const struct eth_ops *eth = fabric_client_eth_ops();
	uint8_t frame[2048], mac[ETH_ADDR_LEN];
	struct eth_hdr hdr;
	size_t size_bytes;

	make_mac(mac, source);
	while (n > 0) {
		const uint8_t *at = frame + 12;

		if (eth->recv(vm, &hdr, frame, sizeof(frame), &size_bytes) == -EAGAIN) {
			vm_wait(vm, false);
			continue;
		}
		if (tci >= 0) {
			assert_int_equal(load_be16(at), 0x8100);
			assert_int_equal(load_be16(at + 2), tci);
			at += 4;
		}
		assert_int_equal(load_be16(at), 0x8035);
		assert_memory_equal(frame + 6, mac, ETH_ADDR_LEN);
		n--;
	}
}

static void test_mute_forwards_what_was_sent(void **state)
{
	struct fabric_client *a, *b;

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"private\"}");
	a = remote_add_vm(&remote, "A", 1, "");
	b = remote_add_vm(&remote, "A", 2, "");
	for (unsigned i = 0; i < 2000; i++)
		vm_send(a, 2, 1, -1, i);
	ok("port.mute", "{\"port\":\"VM1/nic0\"}");
	vm_send(a, 2, 1, -1, 5000);
	for (unsigned i = 0; i < 2000; i++)
		vm_expect(b, -1, i);
	vm_send(b, 1, 2, -1, 6000);
	wait_for_dropped("VM2/nic0", "nowhere", 1);
	wait_for_dropped("VM1/nic0", "muted", 1);
	assert_string_equal(json_get_string(port_stats("VM1/nic0"), "state", ""), "muted");
	ok("port.open", "{\"port\":\"VM1/nic0\"}");
	expect_announcements(b, 1, 1, -1);
	fabric_client_free(a);
	fabric_client_free(b);
}

static void on_pause_over(void *data)
{
	(void)data;
	loop_stop(remote.loop);
}

/* Timers of the control thread run while it runs. */
static void run_loop_for(uint64_t ns)
{
	assert_int_equal(loop_timer_add(remote.loop, ns, on_pause_over, NULL, NULL), 0);
	loop_run(remote.loop);
}

static void test_open_announces(void **state)
{
	struct fabric_client *moved, *neighbour, *trunk;

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"internal\"}");
	neighbour = remote_add_vm(&remote, "A", 2, "\"mode\":\"access\",\"vid\":7");
	trunk = remote_add_vm(&remote, "A", 3, "\"mode\":\"trunk\",\"allowed\":\"7\"");
	moved = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":7,\"muted\":true");
	vm_send(neighbour, 1, 2, -1, 1);
	vm_send(neighbour, BROADCAST, 2, -1, 2);
	ok("port.open", "{\"port\":\"VM1/nic0\"}");
	assert_string_equal(json_get_string(port_stats("VM1/nic0"), "state", ""), "up");
	for (unsigned i = 0; json_get_int(port_stats("VM2/nic0"), "tx_frames", 0) < 3; i++) {
		assert_true(i < WAIT_MS / 10);
		run_loop_for(10 * NS_PER_MS);
	}
	vm_expect(trunk, 7, 2);
	expect_announcements(neighbour, 3, 1, -1);
	expect_announcements(trunk, 3, 1, 7);
	vm_send(neighbour, 1, 2, -1, 3);
	vm_expect(moved, -1, 3);
	fabric_client_free(moved);
	fabric_client_free(neighbour);
	fabric_client_free(trunk);
}

static void test_port_set(void **state)
{
	struct fabric_client *a, *b;

	(void)state;
	ok("switch.create", "{\"name\":\"A\",\"type\":\"internal\"}");
	a = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":2");
	b = remote_add_vm(&remote, "A", 2, "\"mode\":\"access\",\"vid\":3,\"spoofing\":true");
	vm_send(a, 2, 1, -1, 1);
	wait_for_dropped("VM1/nic0", "nowhere", 1);
	ok("port.set", "{\"port\":\"VM2/nic0\",\"mode\":\"access\",\"vid\":2}");
	assert_true(json_get_bool(port_stats("VM2/nic0"), "spoofing", false));
	vm_send(a, 2, 1, -1, 2);
	vm_expect(b, -1, 2);
	ok("port.set",
		"{\"port\":\"VM2/nic0\",\"mode\":\"trunk\",\"allowed\":\"2,5-6\",\"native\":4,"
		"\"spoofing\":false}");
	vm_send(a, 2, 1, -1, 3);
	vm_expect(b, 2, 3);
	assert_string_equal(json_get_string(port_stats("VM2/nic0"), "allowed", ""), "2,5-6");
	assert_int_equal(json_get_int(port_stats("VM2/nic0"), "native", 0), 4);
	assert_false(json_get_bool(port_stats("VM2/nic0"), "spoofing", true));
	assert_int_equal(
		remote_call(&remote, "port.set", "{\"port\":\"VM2/nic0\",\"mode\":\"access\"}"),
		-EINVAL);
	assert_string_equal(json_get_string(port_stats("VM2/nic0"), "mode", ""), "trunk");
	fabric_client_free(a);
	fabric_client_free(b);
}

static void test_broken_ring_is_reported(void **state)
{
	struct fabric_client *vm, *good, *other;
	struct shm_port *shared;
	int kick_fd;

	(void)state;
	ok("switch.create", "{\"name\":\"B\",\"type\":\"private\"}");
	good = remote_add_vm(&remote, "B", 2, "");
	other = remote_add_vm(&remote, "B", 3, "");
	ok("port.add", PORT(",\"ring_bytes\":262144"));
	assert_int_equal(json_get_int(remote.reply, "ring_bytes", 0), 262144);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, remote.fds[0], 0);
	assert_true(shared != MAP_FAILED);
	kick_fd = fcntl(remote.fds[1], F_DUPFD_CLOEXEC, 0);
	vm = remote_take_client(&remote);
	__atomic_store_n(&shared->to_switch.head, 0x7ffffff8, __ATOMIC_SEQ_CST);
	eventfd_write(kick_fd, 1);
	close(kick_fd);
	while (!remote.event[0])
		remote_run(&remote);
	assert_string_equal(remote.event, "port.shut");
	assert_string_equal(remote.event_text, "VM1/nic0: the producer's index left the ring");
	assert_string_equal(json_get_string(port_stats("VM1/nic0"), "state", ""), "shut");
	assert_string_equal(json_get_string(port_stats("VM1/nic0"), "reason", ""),
		"the producer's index left the ring");
	assert_int_equal(remote_call(&remote, "port.open", "{\"port\":\"VM1/nic0\"}"), -EPIPE);
	vm_send(good, 3, 2, -1, 1);
	vm_expect(other, -1, 1);
	ok("port.remove", "{\"port\":\"VM1/nic0\"}");
	ok("port.add", PORT(""));
	munmap(shared, sizeof(*shared));
	fabric_client_free(vm);
	fabric_client_free(good);
	fabric_client_free(other);
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
		cmocka_unit_test_setup_teardown(test_frames_stay_in_their_vlan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switches_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mute_forwards_what_was_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_announces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_ring_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_listing_comes_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fdb_show, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_the_channel, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
