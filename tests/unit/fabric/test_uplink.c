/* SPDX-License-Identifier: MIT
 *
 * Uplinks and taps on real interfaces, in network namespaces of its own: what a tag, a checksum
 * request and a super-frame look like on the wire, and TCP of the kernel's through two switches.
 *
 *   VMs - switch A - [u0 = veth = w0] - a raw socket         what is on the wire
 *   tap - switch A - [u0 = veth = w0] - switch C - tap       TCP over a VLAN
 */
#include "fabric/ctl.h"
#include "fabric/io.h"
#include "fabric/offload.h"
#include "fabric/open.h"
#include "tests/unit/fabric/ctl_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define TCP_BYTES (24U << 20)
#define TCP_PORT  5001

static struct remote remote;
static struct fabric_ctl *ctl;
static const char *skip_reason;

static bool run(const char *command)
{
	return system(command) == 0;
}

/* The kernel lets frames out of a link a moment after it has a carrier. */
static bool bring_up(const char *link)
{
	char command[128];

	snprintf(command, sizeof(command), "ip link set %s up", link);
	for (unsigned i = 0; i < WAIT_MS / 10; i++) {
		char check[128];

		snprintf(check, sizeof(check), "ip -o link show dev %s | grep -q 'state UP'", link);
		/* The command waits for whoever is about to change the link. */
		if (run(command) && run(check))
			return run(command);
		poll(NULL, 0, 10);
	}
	return false;
}

static bool bring_both_up(void)
{
	return run("ip link set u0 up") && bring_up("w0") && bring_up("u0");
}

/* A namespace with nothing in it that speaks by itself. */
static bool enter_namespace(void)
{
	return unshare(CLONE_NEWNET) == 0 &&
	       run("f=/proc/sys/net/ipv6/conf/default/disable_ipv6; [ ! -e $f ] || echo 1 >$f") &&
	       run("ip link set lo up");
}

static void on_ctl_close(int error, void *data)
{
	(void)error, (void)data;
}

static int setup(void **state)
{
	int pair[2];

	(void)state;
	remote = (struct remote){0};
	if (skip_reason)
		return 0;
	if (!run("ip link add u0 type veth peer name w0") || !bring_both_up() ||
		loop_new(&remote.loop) < 0 || chan_pair(pair) < 0 ||
		fabric_ctl_new(remote.loop, pair[1], on_ctl_close, NULL, &ctl) < 0)
		return -1;
	return chan_new(
		remote.loop, pair[0], remote_on_message, remote_on_close, &remote, &remote.chan);
}

static int teardown(void **state)
{
	(void)state;
	if (skip_reason)
		return 0;
	remote_forget_reply(&remote);
	chan_free(remote.chan);
	fabric_ctl_free(ctl);
	loop_free(remote.loop);
	return run("ip link del u0") ? 0 : -1;
}

static void skip_if_needed(void)
{
	if (!skip_reason)
		return;
	print_message("skipped: %s\n", skip_reason);
	skip();
}

static void call_with_fd(const char *op, const char *text, int fd)
{
	if (remote_call_fds(&remote, op, text, &fd, 1) < 0)
		fail_msg("%s: %s", op, remote_error(&remote));
	close(fd);
}

static void create_external(const char *name, const char *uplink)
{
	char text[256];
	int fd;

	assert_int_equal(fabric_open_uplink(uplink, &fd), 0);
	snprintf(text, sizeof(text), "{\"name\":\"%s\",\"type\":\"external\",\"uplink\":\"%s\"}",
		name, uplink);
	call_with_fd("switch.create", text, fd);
}

/* ---- the wire ---- */

/* The next frame of the tests' protocol, or of UDP; its tag in *ret_tci, or -1. */
static size_t wire_recv(
	int fd, struct eth_hdr *ret_hdr, uint8_t *data, size_t capacity_bytes, int *ret_tci)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct tpacket_auxdata aux;

	for (;;) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		struct iovec iov[2] = {{ret_hdr, sizeof(*ret_hdr)}, {data, capacity_bytes}};
		struct msghdr message = {
			.msg_iov = iov,
			.msg_iovlen = 2,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		ssize_t got;
		uint16_t ethertype;

		assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
		got = recvmsg(fd, &message, MSG_DONTWAIT);
		assert_true(got >= 10 + 14);
		ethertype = load_be16(data + 12);
		if (ethertype != 0x88b5 && ethertype != 0x0800)
			continue;
		memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(aux));
		*ret_tci = aux.tp_status & TP_STATUS_VLAN_VALID ? aux.tp_vlan_tci : -1;
		return (size_t)got - sizeof(*ret_hdr);
	}
}

static void wire_expect(int fd, int tci, uint32_t mark)
{
	uint8_t data[2048];
	struct eth_hdr hdr;
	int got_tci, inline_tci;

	wire_recv(fd, &hdr, data, sizeof(data), &got_tci);
	assert_int_equal(read_mark(data, &inline_tci), mark);
	assert_int_equal(inline_tci, -1);
	assert_int_equal(got_tci, tci);
}

static void wire_send(int fd, unsigned dst, unsigned src, int tci, uint32_t mark)
{
	struct eth_hdr hdr = {0};
	uint8_t data[128];
	struct iovec iov[2] = {{&hdr, sizeof(hdr)}, {data, make_frame(data, dst, src, tci, mark)}};

	assert_true(writev(fd, iov, 2) > 0);
}

static void test_tags_on_the_wire(void **state)
{
	struct fabric_client *access, *untagged, *trunk;
	int wire;

	(void)state;
	skip_if_needed();
	assert_int_equal(fabric_open_uplink("w0", &wire), 0);
	create_external("A", "u0");
	access = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":10");
	untagged = remote_add_vm(&remote, "A", 2, "");
	trunk = remote_add_vm(
		&remote, "A", 3, "\"mode\":\"trunk\",\"allowed\":\"20-30\",\"native\":11");
	vm_send(access, 50, 1, -1, 1);
	wire_expect(wire, 10, 1);
	vm_send(access, 50, 1, 0xa000, 2);
	wire_expect(wire, 0xa00a, 2);
	vm_send(untagged, 50, 2, -1, 3);
	wire_expect(wire, -1, 3);
	vm_send(trunk, 50, 3, 20, 4);
	wire_expect(wire, 20, 4);
	vm_send(trunk, 50, 3, -1, 5);
	wire_expect(wire, 11, 5);
	vm_send(trunk, 50, 3, 31, 6); /* not allowed */
	vm_send(trunk, 50, 3, 30, 7);
	wire_expect(wire, 30, 7);

	wire_send(wire, 1, 50, 11, 10);
	wire_send(wire, 1, 50, -1, 11);
	wire_send(wire, 1, 50, 10, 12);
	vm_expect(access, -1, 12);
	wire_send(wire, BROADCAST, 50, 0x4000, 13);
	vm_expect(untagged, -1, 13);
	wire_send(wire, BROADCAST, 50, 31, 14);
	wire_send(wire, BROADCAST, 50, 0x2014, 15);
	vm_expect(trunk, 0x2014, 15);
	wire_send(wire, 3, 50, 11, 16);
	vm_expect(trunk, -1, 16);
	close(wire);
	fabric_client_free(access);
	fabric_client_free(untagged);
	fabric_client_free(trunk);
}

static unsigned recv_at_most(struct io *io, struct io_batch *batch, uint32_t max_bytes)
{
	struct pollfd pollfd = {.fd = io->ops->poll_fd(io), .events = POLLIN};

	assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
	batch->max_bytes = max_bytes;
	batch->n_frames = 0;
	assert_int_equal(io->ops->recv(io, batch), 0);
	return batch->n_frames;
}

/* A turn is for so many bytes or a frame, and leaves the rest where it is. */
static void test_turns_are_bounded(void **state)
{
	static const uint8_t mac[ETH_ADDR_LEN] = {2, 0, 0, 0, 0, 9};
	struct io_batch batch = {.arena = malloc(IO_ARENA_BYTES)};
	struct io *uplink, *tap;
	int fd, from[2];

	(void)state;
	skip_if_needed();
	assert_int_equal(fabric_open_uplink("w0", &fd), 0);
	assert_int_equal(io_afpacket_new(fd, &uplink), 0);
	assert_int_equal(fabric_open_tap("host9", mac, &fd), 0);
	assert_int_equal(io_tap_new(fd, &tap), 0);
	assert_int_equal(fabric_open_uplink("u0", &from[0]), 0);
	assert_int_equal(fabric_open_uplink("host9", &from[1]), 0);
	for (unsigned i = 0; i < 8; i++) {
		wire_send(from[0], 1, 2, -1, i);
		wire_send(from[1], 1, 2, -1, i);
	}
	assert_int_equal(recv_at_most(uplink, &batch, 0), 1);
	assert_int_equal(recv_at_most(uplink, &batch, 1000), 1);
	assert_int_equal(recv_at_most(uplink, &batch, 2 * ETH_FRAME_MAX_BYTES), 2);
	assert_int_equal(recv_at_most(uplink, &batch, IO_NO_LIMIT), 4);
	assert_int_equal(recv_at_most(tap, &batch, 0), 1);
	assert_int_equal(recv_at_most(tap, &batch, 1), 1);
	/* What a frame is worth is known when it is there. */
	assert_int_equal(batch.frames[0].size_bytes, 82);
	assert_int_equal(recv_at_most(tap, &batch, 2 * 82), 2);
	assert_int_equal(recv_at_most(tap, &batch, 2 * 82 + 1), 3);
	assert_int_equal(recv_at_most(tap, &batch, IO_NO_LIMIT), 1);
	close(from[0]);
	close(from[1]);
	io_free(uplink);
	io_free(tap);
	free(batch.arena);
}

/* A UDP datagram, and as one super-frame's worth a TCP segment, with the checksum still to finish.
 */
static size_t build_ip(uint8_t *frame, uint8_t protocol, size_t l4_bytes)
{
	uint8_t *ip = frame + 14, tail[4] = {0, protocol};
	uint16_t sum;

	memset(frame, 0, 14 + 20 + l4_bytes);
	make_mac(frame, 50);
	make_mac(frame + 6, 1);
	store_be16(frame + 12, 0x0800);
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(20 + l4_bytes));
	ip[8] = 64;
	ip[9] = protocol;
	store_be32(ip + 12, 0x0a090001);
	store_be32(ip + 16, 0x0a090002);
	for (size_t i = 0; i < l4_bytes; i++)
		ip[20 + i] = (uint8_t)(i * 7);
	store_be16(tail + 2, (uint16_t)l4_bytes);
	sum = csum_add(csum_add(0, ip + 12, 8), tail, 4);
	memcpy(ip + 20 + (protocol == 6 ? 16 : 6), &sum, 2);
	return 14 + 20 + l4_bytes;
}

static void test_checksum_is_finished_by_the_kernel(void **state)
{
	const struct eth_hdr hdr = {
		.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	const struct eth_ops *eth = fabric_client_eth_ops();
	uint8_t frame[256], got[2048];
	struct fabric_client *vm;
	struct eth_hdr got_hdr;
	struct iovec iov;
	int wire, tci;

	(void)state;
	skip_if_needed();
	assert_int_equal(fabric_open_uplink("w0", &wire), 0);
	create_external("A", "u0");
	/* Without the offload, veth makes the kernel do what a wire would need. */
	assert_true(run("ethtool -K u0 tx off >/dev/null"));
	vm = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":10");
	iov = (struct iovec){frame, build_ip(frame, 17, 108)};
	assert_int_equal(eth->send(vm, &hdr, &iov, 1), 0);
	eth->flush(vm);
	assert_int_equal(wire_recv(wire, &got_hdr, got, sizeof(got), &tci), iov.iov_len);
	assert_int_equal(tci, 10);
	assert_int_equal(got_hdr.flags & ETH_HDR_NEEDS_CSUM, 0);
	assert_memory_equal(got, frame, 40);
	assert_memory_equal(got + 42, frame + 42, iov.iov_len - 42);
	assert_int_equal(csum_add(csum_add(csum_add(0, got + 26, 8), (uint8_t[]){0, 17, 0, 108}, 4),
				 got + 34, 108),
		0xffff);
	close(wire);
	fabric_client_free(vm);
}

static void test_super_frame_is_cut_by_the_kernel(void **state)
{
	const struct eth_hdr hdr = {
		.flags = ETH_HDR_NEEDS_CSUM,
		.gso_type = ETH_GSO_TCPV4,
		.gso_size = 1000,
		.csum_start = 34,
		.csum_offset = 16,
	};
	const struct eth_ops *eth = fabric_client_eth_ops();
	static uint8_t frame[8192];
	uint8_t got[2048];
	struct fabric_client *vm;
	struct eth_hdr got_hdr;
	struct iovec iov;
	int wire, tci;

	(void)state;
	skip_if_needed();
	assert_int_equal(fabric_open_uplink("w0", &wire), 0);
	create_external("A", "u0");
	assert_true(run("ethtool -K u0 tx off tso off gso off >/dev/null"));
	vm = remote_add_vm(&remote, "A", 1, "\"mode\":\"access\",\"vid\":10");
	iov = (struct iovec){frame, build_ip(frame, 6, 20 + 5000)};
	frame[34 + 12] = 0x50;
	assert_int_equal(eth->send(vm, &hdr, &iov, 1), 0);
	eth->flush(vm);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(wire_recv(wire, &got_hdr, got, sizeof(got), &tci), 1054);
		assert_int_equal(tci, 10);
		assert_int_equal(load_be32(got + 38), load_be32(frame + 38) + i * 1000);
		assert_memory_equal(got + 54, frame + 54 + i * 1000, 1000);
	}
	close(wire);
	fabric_client_free(vm);
}

static void test_adapter_goes_down_and_comes_back(void **state)
{
	struct fabric_client *vm;
	int wire;

	(void)state;
	skip_if_needed();
	assert_int_equal(fabric_open_uplink("w0", &wire), 0);
	create_external("A", "u0");
	vm = remote_add_vm(&remote, "A", 1, "");
	assert_true(run("ip link set u0 down"));
	vm_send(vm, 50, 1, -1, 1);
	for (unsigned i = 0; i < 100; i++) {
		struct json *port;

		assert_int_equal(remote_call(&remote, "port.stats", "{\"port\":\"uplink:u0\"}"), 0);
		port = json_get(remote.reply, "port");
		if (json_is_string(json_get(port, "reason")) &&
			json_get_int(json_get(port, "dropped"), "error", 0) == 1)
			break;
		assert_int_not_equal(i, 99);
		poll(NULL, 0, 20);
	}
	assert_true(bring_both_up());
	wire_send(wire, 1, 50, -1, 2);
	vm_expect(vm, -1, 2);
	vm_send(vm, 50, 1, -1, 3);
	wire_expect(wire, -1, 3);
	assert_int_equal(remote_call(&remote, "port.stats", "{\"port\":\"uplink:u0\"}"), 0);
	assert_false(json_is_string(json_get(json_get(remote.reply, "port"), "reason")));
	close(wire);
	fabric_client_free(vm);
}

static void test_open_refuses(void **state)
{
	uint8_t mac[ETH_ADDR_LEN];
	int fd = -7;

	(void)state;
	skip_if_needed();
	make_mac(mac, 1);
	assert_int_equal(fabric_open_uplink("nosuch0", &fd), -ENODEV);
	assert_int_equal(fabric_open_uplink("", &fd), -EINVAL);
	assert_int_equal(fabric_open_uplink("a-name-that-is-too-long", &fd), -EINVAL);
	assert_int_equal(fabric_open_tap("a-name-that-is-too-long", mac, &fd), -EINVAL);
	assert_int_equal(fabric_open_tap("u0", mac, &fd), -EINVAL);
	assert_int_equal(fd, -7);
}

static void test_private_switch_takes_no_tap(void **state)
{
	const char *private = "{\"switch\":\"B\",\"port\":\"host\",\"mac\":\"02:00:00:00:00:01\"}";
	const char *internal = "{\"switch\":\"I\",\"port\":\"host\",\"mac\":\"02:00:00:00:00:01\"}";
	uint8_t mac[ETH_ADDR_LEN];
	int tap, uplink;

	(void)state;
	skip_if_needed();
	make_mac(mac, 1);
	assert_int_equal(fabric_open_tap("host0", mac, &tap), 0);
	assert_int_equal(fabric_open_uplink("u0", &uplink), 0);
	assert_int_equal(
		remote_call(&remote, "switch.create", "{\"name\":\"B\",\"type\":\"private\"}"), 0);
	assert_int_equal(
		remote_call(&remote, "switch.create", "{\"name\":\"I\",\"type\":\"internal\"}"), 0);
	assert_int_equal(remote_call_fds(&remote, "port.add_tap", private, &tap, 1), -EINVAL);
	assert_int_equal(remote_call_fds(&remote, "port.add_tap", private, &uplink, 1), -EINVAL);
	assert_int_equal(remote_call_fds(&remote, "port.add_tap", internal, &uplink, 1), -EINVAL);
	assert_int_equal(remote_call_fds(&remote, "port.add_tap", internal, &tap, 1), 0);
	assert_int_equal(
		remote_call_fds(&remote, "switch.create",
			"{\"name\":\"P\",\"type\":\"private\",\"uplink\":\"u0\"}", &uplink, 1),
		-EINVAL);
	assert_int_equal(
		remote_call_fds(&remote, "switch.create",
			"{\"name\":\"P\",\"type\":\"external\",\"uplink\":\"u0\"}", &tap, 1),
		-EINVAL);
	close(tap);
	close(uplink);
}

/* ---- TCP of the kernel's ---- */

static void send_fd(int socket_fd, int fd)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {&(uint8_t){0}, 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(socket_fd, &message, 0) != 1)
		_exit(2);
}

static int recv_fd(int socket_fd)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};
	int fd;

	assert_int_equal(recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC), 1);
	assert_non_null(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static uint8_t stream_byte(size_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

/* The other host: a namespace with a tap, whose descriptor it hands over, and a server that checks
 * what it is sent and then says so. Exit status 0: all is well. */
static int other_host(int socket_fd)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(TCP_PORT)};
	static uint8_t buffer[1 << 18];
	uint8_t mac[ETH_ADDR_LEN];
	int tap, server, client;
	size_t at = 0;
	ssize_t got;

	make_mac(mac, 2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!enter_namespace() || fabric_open_tap("host1", mac, &tap) < 0 ||
		!run("ip addr add 10.9.0.2/24 dev host1"))
		return 2;
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(server, 1) < 0)
		return 3;
	send_fd(socket_fd, tap);
	close(tap);
	client = accept(server, NULL, NULL);
	while ((got = read(client, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < got; i++, at++) {
			if (buffer[i] != stream_byte(at))
				return 4;
		}
	}
	return got == 0 && at == TCP_BYTES && write(client, "k", 1) == 1 ? 0 : 5;
}

static void send_stream(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(TCP_PORT)};
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static uint8_t buffer[1 << 16];
	uint8_t answer = 0;

	address.sin_addr.s_addr = htonl(0x0a090002);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	for (size_t at = 0; at < TCP_BYTES;) {
		ssize_t n_written;

		for (size_t i = 0; i < sizeof(buffer); i++)
			buffer[i] = stream_byte(at + i);
		n_written = write(fd, buffer, MIN(sizeof(buffer), TCP_BYTES - at));
		assert_true(n_written > 0);
		at += (size_t)n_written;
	}
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(read(fd, &answer, 1), 1);
	assert_int_equal(answer, 'k');
	close(fd);
}

static void test_tcp_over_a_vlan(void **state)
{
	uint8_t mac[ETH_ADDR_LEN];
	int pair[2], tap, other_tap, status;
	uint64_t begun_ns, n_frames;
	pid_t child;

	(void)state;
	skip_if_needed();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(other_host(pair[1]));
	close(pair[1]);
	make_mac(mac, 1);
	assert_int_equal(fabric_open_tap("host0", mac, &tap), 0);
	assert_true(run("ip addr add 10.9.0.1/24 dev host0"));
	other_tap = recv_fd(pair[0]);
	create_external("A", "u0");
	create_external("C", "w0");
	call_with_fd("port.add_tap",
		"{\"switch\":\"A\",\"port\":\"host0\",\"mac\":\"02:00:00:00:00:01\",\"mode\":"
		"\"access\","
		"\"vid\":10}",
		tap);
	call_with_fd("port.add_tap",
		"{\"switch\":\"C\",\"port\":\"host1\",\"mac\":\"02:00:00:00:00:02\",\"mode\":"
		"\"access\","
		"\"vid\":10}",
		other_tap);
	begun_ns = clock_mono_ns();
	send_stream();
	print_message("%.1f Gb/s through tap, switch, veth, switch, tap\n",
		TCP_BYTES * 8.0 / (double)(clock_mono_ns() - begun_ns));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(remote_call(&remote, "port.stats", "{\"port\":\"uplink:u0\"}"), 0);
	n_frames = (uint64_t)json_get_int(json_get(remote.reply, "port"), "tx_frames", 0);
	/* It went as super-frames. */
	assert_in_range(n_frames, TCP_BYTES / 65536, TCP_BYTES / 1460 / 4);
	close(pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tags_on_the_wire, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_checksum_is_finished_by_the_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_super_frame_is_cut_by_the_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_adapter_goes_down_and_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private_switch_takes_no_tap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp_over_a_vlan, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	if (geteuid() != 0)
		skip_reason = "raw sockets and namespaces need root";
	else if (access("/dev/net/tun", R_OK | W_OK) < 0)
		skip_reason = "there is no /dev/net/tun";
	else if (!run("ip -V >/dev/null 2>&1") || !run("ethtool --version >/dev/null 2>&1"))
		skip_reason = "ip or ethtool is missing";
	else if (!enter_namespace())
		skip_reason = "no network namespace can be made";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
