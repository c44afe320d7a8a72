/* SPDX-License-Identifier: MIT
 *
 * The worker and ports whose bandwidth is limited: it sleeps until they may go on, and does not
 * poll meanwhile. The ports are VMs' and one like a TAP, whose descriptor stays readable.
 */
#include "fabric/crew.h"
#include "fabric/client.h"
#include "tests/unit/fabric/ctl_support.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#define RING_BYTES  (4U << 20)
#define FRAME_BYTES 9000
#define N_FRAMES    200
#define MAX_BPS     (100 * 1000 * 1000ULL)

static struct crew *crew;
static struct vswitch *sw;

/* ---- a port that is polled as a TAP is: a byte in its pipe is a frame to VM 2 ---- */

struct pipe_port {
	struct io io;
	int fd;
	uint8_t frame[128];
};

static int pipe_poll_fd(const struct io *io)
{
	return container_of(io, struct pipe_port, io)->fd;
}

static uint32_t pipe_caps(const struct io *io)
{
	(void)io;
	return 0;
}

static int pipe_recv(struct io *io, struct io_batch *batch)
{
	struct pipe_port *pipe_port = container_of(io, struct pipe_port, io);
	uint8_t mark;

	if (read(pipe_port->fd, &mark, 1) == 1)
		batch->frames[batch->n_frames++] = (struct frame){
			.data = pipe_port->frame,
			.size_bytes = (uint32_t)make_frame(pipe_port->frame, 2, 3, -1, mark),
		};
	return 0;
}

static int pipe_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	(void)io, (void)hdr, (void)iov, (void)n_iov;
	return 0;
}

static int pipe_flush(struct io *io)
{
	(void)io;
	return 0;
}

static bool pipe_arm(struct io *io)
{
	(void)io;
	return false;
}

static void pipe_free(struct io *io)
{
	struct pipe_port *pipe_port = container_of(io, struct pipe_port, io);

	close_fd(pipe_port->fd);
	free(pipe_port);
}

static const struct io_ops pipe_ops = {
	.kind = "pipe",
	.poll_events = EPOLLIN,
	.poll_fd = pipe_poll_fd,
	.caps = pipe_caps,
	.recv = pipe_recv,
	.send = pipe_send,
	.flush = pipe_flush,
	.arm = pipe_arm,
	.free = pipe_free,
};

static struct io *new_pipe_port(int fd)
{
	struct pipe_port *pipe_port = calloc(1, sizeof(*pipe_port));

	assert_non_null(pipe_port);
	pipe_port->io.ops = &pipe_ops;
	pipe_port->fd = fd;
	return &pipe_port->io;
}

/* ---- what is done while no frame is under way ---- */

struct request {
	unsigned number; /* of the port */
	struct io *io;
	struct qos_config qos;
	uint64_t debt_bytes;
	int result;
	bool parked, masked;
};

static struct vport *find_port(struct crew *of, unsigned number)
{
	char id[16];

	snprintf(id, sizeof(id), "VM%u", number);
	return vport_find(crew_fabric(of), id);
}

static void make_switch(struct crew *of, void *data)
{
	struct why why;

	*(int *)data = vswitch_new(crew_fabric(of), "A", VSWITCH_INTERNAL, NULL, NULL, &sw, &why);
}

static void add_port(struct crew *of, void *data)
{
	struct request *request = data;
	struct vport_config config;
	struct vport *port;
	struct why why;
	char id[16];

	memset(&config, 0, sizeof(config));
	snprintf(id, sizeof(id), "VM%u", request->number);
	config.id = id;
	make_mac(config.mac, request->number);
	vlan_policy_untagged(&config.vlan);
	request->result = vport_new(crew_fabric(of), sw, &config, request->io, &port, &why);
	if (request->result < 0)
		return;
	qos_port_init(&port->qos, &sw->qos, &request->qos, clock_mono_ns());
	qos_charge(&sw->qos, &port->qos, request->debt_bytes, 0, clock_mono_ns());
	request->result = crew_add_port(of, port);
}

static void set_qos(struct crew *of, void *data)
{
	const struct request *request = data;

	qos_port_init(
		&find_port(of, request->number)->qos, &sw->qos, &request->qos, clock_mono_ns());
}

static void remove_port(struct crew *of, void *data)
{
	struct vport *port = find_port(of, ((const struct request *)data)->number);

	crew_remove_port(of, port);
	vport_free(port);
}

static void look(struct crew *of, void *data)
{
	struct request *request = data;
	const struct vport *port = find_port(of, request->number);

	request->parked = port->parked;
	request->masked = port->masked;
}

static void on_event(enum vport_event event, struct vport *port, void *data)
{
	(void)event, (void)port, (void)data;
}

/* ---- */

static int setup(void **state)
{
	int r;

	(void)state;
	if (crew_new(2, on_event, NULL, &crew) < 0)
		return -1;
	crew_call(crew, make_switch, &r);
	return r;
}

static int teardown(void **state)
{
	(void)state;
	crew_free(crew);
	return 0;
}

static struct fabric_client *add_vm(struct request request)
{
	struct fabric_client *client;
	int fds[3];

	assert_int_equal(io_shm_new(RING_BYTES, &request.io, fds), 0);
	crew_call(crew, add_port, &request);
	assert_int_equal(request.result, 0);
	assert_int_equal(fabric_client_new(fds[0], fds[1], fds[2], &client), 0);
	return client;
}

static void wait_until_parked(unsigned number, bool masked)
{
	struct request request = {.number = number};
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	do {
		if (clock_mono_ns() > until_ns)
			fail_msg("VM%u was not parked", number);
		sched_yield();
		crew_call(crew, look, &request);
	} while (!request.parked || request.masked != masked);
}

/* It has the size of a frame that takes long. */
static void send_large(struct fabric_client *client, uint32_t mark)
{
	static const struct eth_hdr none;
	static uint8_t frame[FRAME_BYTES];
	struct iovec iov = {frame, sizeof(frame)};

	make_frame(frame, 2, 1, -1, mark);
	assert_int_equal(fabric_client_eth_ops()->send(client, &none, &iov, 1), 0);
	fabric_client_eth_ops()->flush(client);
}

static void expect_large(struct fabric_client *client, uint32_t mark)
{
	static uint8_t frame[FRAME_BYTES];
	struct eth_hdr hdr;
	size_t size_bytes;
	int tci;

	while (fabric_client_eth_ops()->recv(client, &hdr, frame, sizeof(frame), &size_bytes) ==
		-EAGAIN)
		vm_wait(client, false);
	assert_int_equal(size_bytes, FRAME_BYTES);
	assert_int_equal(read_mark(frame, &tci), mark);
}

static void test_shaped_port_loses_nothing_and_is_not_faster(void **state)
{
	/* But for what the bucket holds. */
	const uint64_t least_ns = (N_FRAMES * FRAME_BYTES * 8ULL - MAX_BPS / 100) * 1000 / 100;
	struct request request = {.number = 1, .qos.max_bps = MAX_BPS};
	uint64_t begin_ns = clock_mono_ns();
	struct fabric_client *a = add_vm(request), *b, *c;

	(void)state;
	b = add_vm((struct request){.number = 2});
	c = add_vm((struct request){.number = 3});
	for (unsigned i = 0; i < N_FRAMES; i++)
		send_large(a, i);
	/* Others talk meanwhile. */
	vm_send(b, 3, 2, -1, 77);
	vm_expect(c, -1, 77);
	for (unsigned i = 0; i < N_FRAMES; i++)
		expect_large(b, i);
	assert_true(clock_mono_ns() - begin_ns >= least_ns);
	fabric_client_free(a);
	fabric_client_free(b);
	fabric_client_free(c);
}

/* At 1 Mbit/s it owes so much that its turn is hours away. */
static void test_another_bandwidth_wakes_the_port(void **state)
{
	struct request request = {
		.number = 1, .qos.max_bps = QOS_MIN_RATE_BPS, .debt_bytes = UINT64_MAX};
	struct fabric_client *a = add_vm(request), *b = add_vm((struct request){.number = 2});

	(void)state;
	send_large(a, 1);
	wait_until_parked(1, false);
	request.qos.max_bps = 0;
	crew_call(crew, set_qos, &request);
	expect_large(b, 1);
	send_large(a, 2);
	expect_large(b, 2);
	fabric_client_free(a);
	fabric_client_free(b);
}

static void test_parked_port_is_removed(void **state)
{
	struct request request = {
		.number = 1, .qos.max_bps = QOS_MIN_RATE_BPS, .debt_bytes = UINT64_MAX};
	struct fabric_client *a = add_vm(request), *b = add_vm((struct request){.number = 2});
	struct fabric_client *c;

	(void)state;
	send_large(a, 1);
	wait_until_parked(1, false);
	crew_call(crew, remove_port, &request);
	fabric_client_free(a);
	request.debt_bytes = 0;
	a = add_vm(request);
	send_large(a, 2);
	expect_large(b, 2);
	/* And one is parked when everything ends. */
	request.debt_bytes = UINT64_MAX;
	request.number = 3;
	c = add_vm(request);
	wait_until_parked(3, false);
	fabric_client_free(a);
	fabric_client_free(b);
	fabric_client_free(c);
}

static void test_readable_port_is_not_polled_while_parked(void **state)
{
	struct request request = {
		.number = 3, .qos.max_bps = QOS_MIN_RATE_BPS, .debt_bytes = UINT64_MAX};
	struct fabric_client *b = add_vm((struct request){.number = 2});
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	request.io = new_pipe_port(fds[0]);
	assert_int_equal(write(fds[1], "\1\2\3", 3), 3);
	crew_call(crew, add_port, &request);
	assert_int_equal(request.result, 0);
	wait_until_parked(3, true);
	request.qos.max_bps = 0;
	crew_call(crew, set_qos, &request);
	for (unsigned i = 1; i <= 3; i++)
		vm_expect(b, -1, i);
	/* It was asleep, and is polled again. */
	for (unsigned i = 4; i < 20; i++) {
		uint8_t mark = (uint8_t)i;

		assert_int_equal(write(fds[1], &mark, 1), 1);
		vm_expect(b, -1, i);
	}
	close(fds[1]);
	crew_call(crew, remove_port, &request);
	fabric_client_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_shaped_port_loses_nothing_and_is_not_faster, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_bandwidth_wakes_the_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parked_port_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_readable_port_is_not_polled_while_parked, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
