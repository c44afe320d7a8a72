/* SPDX-License-Identifier: MIT
 *
 * A switch whose uplink is a team: frames at 1 kHz in all directions while one of the links is cut
 * and comes back. Nothing is seen twice, ever; nothing is lost but in a moment after the cut.
 */
#include "base/clock.h"
#include "fabric/announce.h"
#include "fabric/client.h"
#include "fabric/crew.h"
#include "tests/unit/fabric/team_lab.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <sys/timerfd.h>

#define MAX_FRAMES  16384 /* of a flow */
#define MAX_LOST_NS (300 * NS_PER_MS)
/* Frames that were on their way when the link was cut. */
#define MAX_LATE_NS (100 * NS_PER_MS)
#define N_VMS       2
#define REMOTE      50 /* the address of the remote host */
#define SINK_REMOTE N_VMS
#define N_SINKS     (N_VMS + 1)
#define RING_BYTES  (1U << 20)

enum {
	OUT_0,     /* VM 0 to the remote host */
	OUT_1,     /* VM 1 to it */
	IN_0,      /* from it to VM 0 */
	IN_1,      /* to VM 1 */
	BROAD_OUT, /* VM 0 to all */
	BROAD_IN,  /* the remote host to all */
	N_FLOWS,
};

static const struct {
	const char *name;
	int vm;         /* that sends; -1: the remote host */
	int to;         /* VM, SINK_REMOTE, or -1: all */
	unsigned sinks; /* bit mask: who is to see the frames */
} flows[N_FLOWS] = {
	[OUT_0] = {"VM 0 out", 0, SINK_REMOTE, 1 << SINK_REMOTE},
	[OUT_1] = {"VM 1 out", 1, SINK_REMOTE, 1 << SINK_REMOTE},
	[IN_0] = {"VM 0 in", -1, 0, 1 << 0},
	[IN_1] = {"VM 1 in", -1, 1, 1 << 1},
	[BROAD_OUT] = {"broadcast out", 0, -1, 1 << 1 | 1 << SINK_REMOTE},
	[BROAD_IN] = {"broadcast in", -1, -1, 1 << 0 | 1 << 1},
};

static const char *skip_reason;

static struct {
	enum team_mode mode;
	int tci; /* on the wire; -1: none */
	struct crew *crew;
	struct io *team;
	struct vport *ports[N_VMS];
	struct fabric_client *vms[N_VMS];
	unsigned vm_address[N_VMS];
	int vm_fds[N_VMS][3];
	int remote_fd, capture_fds[2], timer_fd;
	bool announcing;
	unsigned n_announced; /* changes */

	/* Atomic. */
	unsigned n_changes, n_shut;

	unsigned n_sent;
	uint64_t sent_ns[MAX_FRAMES];
	uint8_t n_got[N_FLOWS][N_SINKS][MAX_FRAMES];
	unsigned n_all_got;
	/* When VM 0's first frame since `capture_from_ns` was on the wire of a member. */
	uint64_t capture_from_ns, captured_ns[2];
} lab;

/* ---- the switch ---- */

static void on_event(enum vport_event event, struct vport *port, void *data)
{
	(void)port, (void)data;
	if (event == VPORT_WAS_SHUT)
		__atomic_add_fetch(&lab.n_shut, 1, __ATOMIC_RELEASE);
	else if (event == VPORT_UPLINK_MOVED)
		__atomic_add_fetch(&lab.n_changes, 1, __ATOMIC_RELEASE);
}

static void build_switch(struct crew *crew, void *data)
{
	struct vswitch *sw;
	struct why why;

	(void)data;
	assert_int_equal(
		vswitch_new(crew_fabric(crew), "A", VSWITCH_EXTERNAL, "team", lab.team, &sw, &why),
		0);
	assert_int_equal(crew_add_port(crew, vswitch_uplink(sw)), 0);
	for (unsigned i = 0; i < N_VMS; i++) {
		const char *const ids[] = {"VM0/nic0", "VM1/nic0"};
		struct vport_config config = {.id = ids[i]};
		struct io *io;

		make_mac(config.mac, lab.vm_address[i]);
		vlan_policy_untagged(&config.vlan);
		if (lab.tci >= 0)
			assert_int_equal(vlan_policy_access(&config.vlan, (unsigned)lab.tci), 0);
		assert_int_equal(io_shm_new(RING_BYTES, &io, lab.vm_fds[i]), 0);
		assert_int_equal(
			vport_new(crew_fabric(crew), sw, &config, io, &lab.ports[i], &why), 0);
		assert_int_equal(crew_add_port(crew, lab.ports[i]), 0);
	}
}

static void announce_begin(struct crew *crew, void *data)
{
	(void)crew, (void)data;
	for (unsigned i = 0; i < N_VMS; i++)
		announce_start(lab.ports[i], clock_mono_ns());
}

static void announce_more(struct crew *crew, void *data)
{
	(void)data;
	lab.announcing =
		announce_step(crew_fabric(crew), crew_datapath(crew), clock_mono_ns()) != 0;
}

static void announce_if_changed(void)
{
	unsigned n_changes = __atomic_load_n(&lab.n_changes, __ATOMIC_ACQUIRE);

	if (n_changes != lab.n_announced) {
		lab.n_announced = n_changes;
		lab.announcing = true;
		crew_call(lab.crew, announce_begin, NULL);
	}
	if (lab.announcing)
		crew_call(lab.crew, announce_more, NULL);
}

static void list_members(struct crew *crew, void *data)
{
	(void)crew;
	assert_int_equal(io_team_members(lab.team, data), 2);
}

/* ---- traffic ---- */

static void send_flow(unsigned flow, uint32_t mark)
{
	static const struct eth_hdr none;
	const struct eth_ops *eth = fabric_client_eth_ops();
	int vm = flows[flow].vm, to = flows[flow].to;
	unsigned dst = to < 0 ? BROADCAST : to == SINK_REMOTE ? REMOTE : lab.vm_address[to];
	uint8_t data[128];
	struct iovec iov[2] = {{(void *)&none, sizeof(none)}, {data, 0}};

	if (vm < 0) {
		iov[1].iov_len = make_frame(data, dst, REMOTE, lab.tci, mark);
		assert_true(writev(lab.remote_fd, iov, 2) > 0);
	} else {
		iov[1].iov_len = make_frame(data, dst, lab.vm_address[vm], -1, mark);
		assert_int_equal(eth->send(lab.vms[vm], &none, &iov[1], 1), 0);
		eth->flush(lab.vms[vm]);
	}
}

static void got_frame(unsigned sink, const uint8_t *data, size_t size_bytes)
{
	unsigned flow, number;
	int tci;

	/* Announcements pass as well. */
	if (size_bytes < 64 || load_be16(data + 12) != 0x88b5)
		return;
	flow = read_mark(data, &tci) >> 16;
	number = read_mark(data, &tci) & 0xffff;
	assert_true(flow < N_FLOWS && number < lab.n_sent);
	/* A switch hands unicast to its destination only; the raw socket of the remote host sees
	 * what is flooded as well, but not its own. */
	if (!(flows[flow].sinks >> sink & 1))
		fail_msg("%s: frame %u was seen by %u", flows[flow].name, number, sink);
	if (lab.n_got[flow][sink][number]++)
		fail_msg("%s: frame %u was seen twice by %u", flows[flow].name, number, sink);
	lab.n_all_got++;
}

static void drain(void)
{
	const struct eth_ops *eth = fabric_client_eth_ops();
	struct eth_hdr hdr;
	uint8_t data[2048];
	size_t size_bytes;
	struct iovec iov[2] = {{&hdr, sizeof(hdr)}, {data, sizeof(data)}};
	ssize_t got;

	for (unsigned i = 0; i < N_VMS; i++) {
		while (eth->recv(lab.vms[i], &hdr, data, sizeof(data), &size_bytes) == 0)
			got_frame(i, data, size_bytes);
	}
	while ((got = readv(lab.remote_fd, iov, 2)) > (ssize_t)sizeof(hdr))
		got_frame(SINK_REMOTE, data, (size_t)got - sizeof(hdr));
}

/* What is on the wire of a member, with the kernel's time. */
static void drain_capture(unsigned member)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[256];
	} control;
	uint8_t data[256], address[ETH_ADDR_LEN];
	struct iovec iov = {data, sizeof(data)};

	make_mac(address, lab.vm_address[0]);
	for (;;) {
		struct msghdr message = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		struct cmsghdr *header;
		struct timespec time;
		uint64_t at_ns;

		if (recvmsg(lab.capture_fds[member], &message, MSG_DONTWAIT) <= 0)
			return;
		header = CMSG_FIRSTHDR(&message);
		assert_non_null(header);
		assert_int_equal(header->cmsg_type, SO_TIMESTAMPNS);
		memcpy(&time, CMSG_DATA(header), sizeof(time));
		at_ns = (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
		if (memcmp(data + ETH_ADDR_LEN, address, ETH_ADDR_LEN) == 0 &&
			at_ns >= lab.capture_from_ns && !lab.captured_ns[member])
			lab.captured_ns[member] = at_ns;
	}
}

/* One frame in each flow for each millisecond that has passed - but a burst only as large as any
 * queue on the way. */
static void send_due(void)
{
	uint64_t n_due = 0;

	assert_int_equal(read(lab.timer_fd, &n_due, sizeof(n_due)), sizeof(n_due));
	for (unsigned i = 0; i < MIN(n_due, 20U); i++) {
		assert_true(lab.n_sent < MAX_FRAMES);
		lab.sent_ns[lab.n_sent++] = clock_mono_ns();
		for (unsigned flow = 0; flow < N_FLOWS; flow++)
			send_flow(flow, flow << 16 | (lab.n_sent - 1));
	}
}

static void pump(void)
{
	send_due();
	drain();
	for (unsigned i = 0; i < 2; i++)
		drain_capture(i);
	announce_if_changed();
	assert_int_equal(__atomic_load_n(&lab.n_shut, __ATOMIC_ACQUIRE), 0);
}

static void pump_frames(unsigned n)
{
	for (unsigned end = lab.n_sent + n; lab.n_sent < end;)
		pump();
}

static void pump_until_changes(unsigned n_changes)
{
	uint64_t end_ns = clock_mono_ns() + LAB_WAIT_MS * NS_PER_MS;

	while (lab.n_announced < n_changes) {
		if (clock_mono_ns() > end_ns)
			fail_msg("no change for %u ms", LAB_WAIT_MS);
		pump();
	}
	assert_int_equal(lab.n_announced, n_changes);
}

/* ---- what became of it ---- */

/* Frames of a flow that a sink did not see; all of them must have been sent in [from_ns, to_ns). */
static unsigned count_lost(unsigned flow, unsigned sink, uint64_t from_ns, uint64_t to_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < lab.n_sent; i++) {
		if (lab.n_got[flow][sink][i])
			continue;
		n++;
		if (lab.sent_ns[i] < from_ns || lab.sent_ns[i] >= to_ns)
			fail_msg("%s: frame %u of %u was lost to %u", flows[flow].name, i,
				lab.n_sent, sink);
	}
	return n;
}

/* In the most unlucky order of things the last frames are still on their way. */
static void wait_for_last(void)
{
	unsigned before, n_quiet = 0;

	for (unsigned i = 0; n_quiet < 20 && i < LAB_WAIT_MS / 10; i++) {
		before = lab.n_all_got;
		poll(NULL, 0, 10);
		drain();
		n_quiet = before == lab.n_all_got ? n_quiet + 1 : 0;
	}
}

static void check_flows(uint64_t cut_ns)
{
	for (unsigned flow = 0; flow < N_FLOWS; flow++) {
		for (unsigned sink = 0; sink < N_SINKS; sink++) {
			/* What stays within the switch, and - with a hash - what does not cross the
			 * link that was cut, does not notice. */
			bool unharmed = (flow == BROAD_OUT && sink != SINK_REMOTE) ||
					(lab.mode == TEAM_HASH && (flow == OUT_1 || flow == IN_1));
			unsigned n;

			if (!(flows[flow].sinks >> sink & 1))
				continue;
			n = unharmed ? count_lost(flow, sink, 0, 0)
				     : count_lost(flow, sink, cut_ns - MAX_LATE_NS,
					       cut_ns + MAX_LOST_NS);
			if (n)
				print_message(
					"  lost of %-13s to %u: %u of %u, all about the cut\n",
					flows[flow].name, sink, n, lab.n_sent);
		}
	}
}

/* ---- the tests ---- */

static int open_capture(const char *link)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link);
	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &request), 0);
	address.sll_ifindex = request.ifr_ifindex;
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Addresses of which, with a hash, one leaves by each member. */
static void choose_addresses(void)
{
	static struct team team;
	uint8_t mac[ETH_ADDR_LEN];

	team_init(&team, TEAM_HASH, 2, 3, 0);
	for (unsigned i = 0; i < N_VMS; i++) {
		for (lab.vm_address[i] = 1;; lab.vm_address[i]++) {
			make_mac(mac, lab.vm_address[i]);
			if (team_send(&team, mac, 0, 0) == (int)i)
				break;
		}
	}
}

static void lab_start(enum team_mode mode, int tci)
{
	const struct itimerspec every_ms = {{0, NS_PER_MS}, {0, NS_PER_MS}};

	memset(&lab, 0, sizeof(lab));
	lab.mode = mode;
	lab.tci = tci;
	choose_addresses();
	lab_build();
	lab.team = lab_new_team(mode);
	assert_int_equal(fabric_open_uplink("r1", &lab.remote_fd), 0);
	lab.capture_fds[0] = open_capture("p0");
	lab.capture_fds[1] = open_capture("p1");
	assert_int_equal(crew_new(2, on_event, NULL, &lab.crew), 0);
	crew_call(lab.crew, build_switch, NULL);
	for (unsigned i = 0; i < N_VMS; i++)
		assert_int_equal(fabric_client_new(lab.vm_fds[i][0], lab.vm_fds[i][1],
					 lab.vm_fds[i][2], &lab.vms[i]),
			0);
	lab.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	assert_int_equal(timerfd_settime(lab.timer_fd, 0, &every_ms, NULL), 0);
}

static int teardown(void **state)
{
	(void)state;
	if (skip_reason || !lab.crew)
		return 0;
	for (unsigned i = 0; i < N_VMS; i++)
		fabric_client_free(lab.vms[i]);
	crew_free(lab.crew);
	close(lab.timer_fd);
	close(lab.remote_fd);
	close(lab.capture_fds[0]);
	close(lab.capture_fds[1]);
	lab_remove();
	return 0;
}

static void cut_and_mend(enum team_mode mode, int tci)
{
	struct io_team_member members[TEAM_MAX_MEMBERS];
	uint64_t cut_ns, mended_ns;
	double gap_ms;

	lab_start(mode, tci);
	pump_frames(200);
	lab.capture_from_ns = clock_real_ns();
	cut_ns = clock_mono_ns();
	lab_set_link("p0", false);
	pump_until_changes(1);
	pump_frames(400);
	assert_true(lab.captured_ns[1] > lab.capture_from_ns);
	gap_ms = (double)(lab.captured_ns[1] - lab.capture_from_ns) / NS_PER_MS;

	mended_ns = clock_mono_ns();
	lab_set_link("p0", true);
	pump_until_changes(2);
	print_message("%s: %.2f ms from the cut to the first frame by the other member; back %.0f "
		      "ms after the link\n",
		team_mode_name(mode), gap_ms, (double)(clock_mono_ns() - mended_ns) / NS_PER_MS);
	assert_true(clock_mono_ns() - mended_ns >= TEAM_HOLD_NS);
	lab.capture_from_ns = clock_real_ns();
	lab.captured_ns[0] = 0;
	pump_frames(400);
	assert_true(lab.captured_ns[0] > 0);
	wait_for_last();
	check_flows(cut_ns);
	assert_true(gap_ms * NS_PER_MS < MAX_LOST_NS);

	crew_call(lab.crew, list_members, members);
	assert_string_equal(members[1].name, "m1");
	assert_true(members[0].up && members[1].up && members[0].active);
	assert_int_equal(members[1].active, mode == TEAM_HASH);
	assert_int_equal(members[0].n_changes, 2);
	/* Every broadcast came twice, and ours came back. */
	assert_true(members[1].rx_dropped > 0 && members[1].rx_frames > members[1].rx_dropped);
	assert_true(members[0].tx_frames > 0 && members[1].tx_frames > 0);
}

static void skip_if_needed(void)
{
	if (!skip_reason)
		return;
	print_message("skipped: %s\n", skip_reason);
	skip();
}

static void test_standby(void **state)
{
	(void)state;
	skip_if_needed();
	cut_and_mend(TEAM_STANDBY, -1);
}

static void test_hash(void **state)
{
	(void)state;
	skip_if_needed();
	cut_and_mend(TEAM_HASH, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_standby, teardown),
		cmocka_unit_test_teardown(test_hash, teardown),
	};

	/* A VM that ends leaves a pipe without a reader. */
	signal(SIGPIPE, SIG_IGN);
	skip_reason = lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
