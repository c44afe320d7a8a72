/* SPDX-License-Identifier: MIT
 *
 * Frames between VMs on shared-memory ports, with the worker running and the control interface used
 * on the way. That a frame does not arrive is shown by a later one of the same sender that does.
 */
#include "fabric/shm_port.h"
#include "tests/unit/fabric/ctl_local.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames_stay_in_their_vlan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switches_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mute_forwards_what_was_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_announces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_ring_is_reported, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
