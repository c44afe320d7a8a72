/* SPDX-License-Identifier: MIT
 *
 * A team on real interfaces, without a switch around it: what it refuses, adapters that go away,
 * links whose loss the kernel is slow to report, and that it lives with the switch's system call
 * filter.
 */
#include "fabric/sandbox.h"
#include "tests/unit/fabric/team_lab.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define MAX_GAP_NS (300 * NS_PER_MS)

static const char *skip_reason;
static unsigned n_changes;

static void skip_if_needed(void)
{
	if (!skip_reason)
		return;
	print_message("skipped: %s\n", skip_reason);
	skip();
}

static int setup(void **state)
{
	(void)state;
	n_changes = 0;
	if (!skip_reason)
		lab_build();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!skip_reason)
		lab_remove();
	return 0;
}

static void on_change(struct io *io, void *data)
{
	(void)io, (void)data;
	n_changes++;
}

/* A turn of the worker's, as soon as there is something to do. */
static int serve(struct io *io, struct io_batch *batch)
{
	struct pollfd pollfd = {.fd = io->ops->poll_fd(io), .events = POLLIN};

	batch->n_frames = 0;
	memset(batch->dropped, 0, sizeof(batch->dropped));
	poll(&pollfd, 1, 100);
	return io->ops->recv(io, batch);
}

static void serve_until_changes(struct io *io, unsigned n)
{
	const uint64_t end_ns = clock_mono_ns() + LAB_WAIT_MS * NS_PER_MS;
	static struct io_batch batch;

	while (n_changes < n) {
		if (clock_mono_ns() > end_ns)
			fail_msg("no change for %u ms", LAB_WAIT_MS);
		assert_int_equal(serve(io, &batch), 0);
	}
	assert_int_equal(n_changes, n);
}

static void send_one(struct io *io, unsigned src)
{
	static const struct eth_hdr none;
	uint8_t data[128];
	struct iovec iov = {data, make_frame(data, BROADCAST, src, -1, 1)};

	assert_int_equal(io->ops->send(io, &none, &iov, 1), 0);
	assert_int_equal(io->ops->flush(io), 0);
}

/* ---- what it refuses ---- */

static void refuse(const char *const *names, const int *fds, unsigned n, int link_fd, int error)
{
	struct io *io = NULL;

	assert_int_equal(io_team_new(TEAM_HASH, names, fds, n, link_fd, &io), error);
	assert_null(io);
	for (unsigned i = 0; i < MIN(n, 2U); i++)
		assert_true(fcntl(fds[i], F_GETFD) >= 0);
	assert_true(fcntl(link_fd, F_GETFD) >= 0);
}

static void test_refusals(void **state)
{
	const char *const long_names[] = {"m0", "a-name-too-long0"};
	int fds[TEAM_MAX_MEMBERS + 1], link_fd, again_fd, unbound_fd, deaf_fd;

	(void)state;
	skip_if_needed();
	lab_open(fds, &link_fd);
	assert_int_equal(fabric_open_uplink("m0", &again_fd), 0);
	deaf_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	unbound_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	refuse(lab_members, fds, 0, link_fd, -EINVAL);
	refuse(lab_members, fds, TEAM_MAX_MEMBERS + 1, link_fd, -EINVAL);
	refuse(long_names, fds, 2, link_fd, -EINVAL);
	refuse(lab_members, (int[]){fds[0], again_fd}, 2, link_fd, -EINVAL);
	refuse(lab_members, (int[]){fds[0], fds[0]}, 2, link_fd, -EINVAL);
	refuse(lab_members, (int[]){fds[0], link_fd}, 2, link_fd, -EINVAL);
	refuse(lab_members, (int[]){unbound_fd, fds[1]}, 2, link_fd, -EINVAL);
	refuse(lab_members, fds, 2, fds[0], -EINVAL);
	refuse(lab_members, fds, 2, deaf_fd, -EINVAL);
	assert_true(lab_run("ip link del m0"));
	refuse(lab_members, fds, 2, link_fd, -ENODEV);
	close(fds[0]);
	close(fds[1]);
	close(again_fd);
	close(unbound_fd);
	close(deaf_fd);
	close(link_fd);
}

/* ---- adapters and links that go ---- */

static void test_removed_adapter_stays_out(void **state)
{
	struct io_team_member members[TEAM_MAX_MEMBERS];
	static struct io_batch batch;
	struct io *io;
	int r = 0;

	(void)state;
	skip_if_needed();
	io = lab_new_team(TEAM_STANDBY);
	io_team_on_change(io, on_change, NULL);
	assert_true(io_is_team(io));
	assert_true(lab_run("ip link del m0"));
	serve_until_changes(io, 1);
	assert_int_equal(io_team_members(io, members), 2);
	assert_false(members[0].up || members[0].active);
	assert_non_null(members[0].reason);
	assert_true(members[1].up && members[1].active);
	send_one(io, 1);
	assert_int_equal(io->tx.n_frames, 1);
	/* Its name is not what makes it a member. */
	assert_true(lab_run("ip link add name m0 type veth peer name p0 && ip link set m0 up && "
			    "ip link set p0 up"));
	lab_wait_for_link("m0", true);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(serve(io, &batch), 0);
	io_team_members(io, members);
	assert_false(members[0].up);
	assert_int_equal(n_changes, 1);
	assert_true(lab_run("ip link del m1"));
	for (unsigned i = 0; i < LAB_WAIT_MS / 100 && r == 0; i++)
		r = serve(io, &batch);
	assert_int_equal(r, -ENODEV);
	assert_non_null(io->reason);
	io_free(io);
}

static void test_no_link_at_all(void **state)
{
	static struct io_batch batch;
	struct io *io;

	(void)state;
	skip_if_needed();
	io = lab_new_team(TEAM_STANDBY);
	io_team_on_change(io, on_change, NULL);
	assert_null(io->reason);
	lab_set_link("p1", false);
	lab_set_link("p0", false);
	/* It may try the other one in between. */
	for (unsigned i = 0; !io->reason && i < LAB_WAIT_MS / 100; i++)
		assert_int_equal(serve(io, &batch), 0);
	assert_non_null(io->reason);
	n_changes = 0;
	send_one(io, 1);
	assert_int_equal(io->tx.n_frames, 0);
	assert_int_equal(io->tx.n_error, 1);
	lab_set_link("p1", true);
	serve_until_changes(io, 1);
	assert_null(io->reason);
	send_one(io, 1);
	assert_int_equal(io->tx.n_frames, 1);
	assert_int_equal(io->tx.n_error, 1);
	io_free(io);
}

static void set_carrier(int tap, int on)
{
	assert_int_equal(ioctl(tap, TUNSETCARRIER, &on), 0);
}

/* A tap's carrier is reported like that of a network card: when it is lost, up to a second late. A
 * team does not wait for that. */
static void test_late_report(void **state)
{
	const char *const names[] = {"t0", "t1"};
	int taps[2], fds[2], link_fd;
	uint8_t mac[ETH_ADDR_LEN];
	struct io *io;

	(void)state;
	skip_if_needed();
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		print_message("skipped: there is no /dev/net/tun\n");
		skip();
	}
	for (unsigned i = 0; i < 2; i++) {
		make_mac(mac, i + 1);
		assert_int_equal(fabric_open_tap(names[i], mac, &taps[i]), 0);
		assert_int_equal(fabric_open_uplink(names[i], &fds[i]), 0);
	}
	assert_int_equal(fabric_open_link_watch(&link_fd), 0);
	assert_int_equal(io_team_new(TEAM_STANDBY, names, fds, 2, link_fd, &io), 0);
	io_team_on_change(io, on_change, NULL);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t begun_ns, gap_ns;

		/* The kernel rests for a second after each report, whatever link it was about. */
		lab_set_link("p1", i & 1);
		lab_wait_for_link("m1", i & 1);
		begun_ns = clock_mono_ns();
		set_carrier(taps[0], 0);
		serve_until_changes(io, 2 * i + 1);
		gap_ns = clock_mono_ns() - begun_ns;
		print_message("%.0f ms from the loss of a carrier to the other member\n",
			(double)gap_ns / NS_PER_MS);
		assert_true(gap_ns < MAX_GAP_NS);
		set_carrier(taps[0], 1);
		serve_until_changes(io, 2 * i + 2);
	}
	io_free(io);
	close(taps[0]);
	close(taps[1]);
}

/* ---- under the switch's system call filter ---- */

/* The switch: says when it has received something, and ends when the other member has taken over,
 * and it has sent by it. Exit status 0: all is well. */
static int confined(const int fds[2], int link_fd, int report_fd)
{
	static struct io_batch batch;
	const char *what;
	struct io *io;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sandbox_enter(&what) < 0)
		return 2;
	if (io_team_new(TEAM_STANDBY, lab_members, fds, 2, link_fd, &io) < 0)
		return 3;
	io_team_on_change(io, on_change, NULL);
	do {
		if (serve(io, &batch) < 0)
			return 4;
	} while (batch.n_frames == 0);
	if (write(report_fd, "r", 1) != 1)
		return 5;
	while (n_changes == 0) {
		if (serve(io, &batch) < 0)
			return 6;
	}
	send_one(io, 1);
	if (io->tx.n_frames != 1 || io->tx.n_error != 0)
		return 7;
	io_free(io);
	return 0;
}

static int wait_for_exit(pid_t child)
{
	int status;

	for (unsigned i = 0; i < LAB_WAIT_MS / 10; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		poll(NULL, 0, 10);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return -ETIMEDOUT;
}

static void test_confined(void **state)
{
	static const struct eth_hdr none;
	int fds[2], link_fd, remote_fd, report[2];
	struct pollfd pollfd = {.events = POLLIN};
	uint8_t data[128];
	struct iovec iov[2] = {{(void *)&none, sizeof(none)}, {data, 0}};
	pid_t child;

	(void)state;
	skip_if_needed();
	lab_open(fds, &link_fd);
	assert_int_equal(fabric_open_uplink("r1", &remote_fd), 0);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(confined(fds, link_fd, report[1]));
	close(report[1]);
	pollfd.fd = report[0];
	for (unsigned i = 0; i < LAB_WAIT_MS / 10; i++) {
		iov[1].iov_len = make_frame(data, BROADCAST, 50, -1, i);
		assert_true(writev(remote_fd, iov, 2) > 0);
		if (poll(&pollfd, 1, 10) == 1)
			break;
	}
	lab_set_link("p0", false);
	assert_int_equal(wait_for_exit(child), 0);
	close(fds[0]);
	close(fds[1]);
	close(link_fd);
	close(remote_fd);
	close(report[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_adapter_stays_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_link_at_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
	};

	skip_reason = lab_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
