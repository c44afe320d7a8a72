/* SPDX-License-Identifier: MIT
 *
 * Several workers: ports go to a second one while the first cannot keep up, frames of a port stay
 * in order meanwhile, requests find no frame under way, and everything comes back when there is
 * little to do. Two ports always have something to send; what they send goes to VMs, to all, or
 * teaches the switch addresses.
 */
#include "fabric/crew.h"
#include "tests/unit/fabric/ctl_support.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define N_SOURCES  2
#define N_SINKS    2
#define N_WORKERS  2
#define BROADCASTS 97 /* one in so many */

/* ---- a port that always has something to send, while it is told so ---- */

struct source {
	struct io io;
	unsigned number;
	int fd;      /* level-triggered, readable while it is active */
	bool active; /* atomic */
	uint32_t n_recv;
	uint8_t frames[IO_BATCH_FRAMES][128];
	/* Sent to it, by whomever, under its lock. */
	uint64_t n_sent;
};

static struct source *source_of(const struct io *io)
{
	return container_of(io, struct source, io);
}

static int source_poll_fd(const struct io *io)
{
	return source_of(io)->fd;
}

static uint32_t source_caps(const struct io *io)
{
	(void)io;
	return 0;
}

static int source_recv(struct io *io, struct io_batch *batch)
{
	struct source *source = source_of(io);

	if (!__atomic_load_n(&source->active, __ATOMIC_ACQUIRE))
		return 0;
	for (unsigned i = 0; i < IO_BATCH_FRAMES; i++) {
		uint32_t mark = source->n_recv++;
		uint8_t *frame = source->frames[i];
		/* Source addresses change, for the port may spoof. */
		unsigned src = 100 * (source->number + 1) + mark / 1000 % 50;
		unsigned dst = mark % BROADCASTS ? 10 + mark % N_SINKS : BROADCAST;

		batch->frames[i] = (struct frame){
			.data = frame,
			.size_bytes = (uint32_t)make_frame(frame, dst, src, -1, mark),
		};
	}
	batch->n_frames = IO_BATCH_FRAMES;
	return 0;
}

static int source_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	(void)hdr, (void)iov, (void)n_iov;
	source_of(io)->n_sent++;
	return 0;
}

static int source_flush(struct io *io)
{
	(void)io;
	return 0;
}

static bool source_arm(struct io *io)
{
	return __atomic_load_n(&source_of(io)->active, __ATOMIC_ACQUIRE);
}

static void source_free(struct io *io)
{
	close_fd(source_of(io)->fd);
	free(source_of(io));
}

static const struct io_ops source_ops = {
	.kind = "source",
	.poll_events = EPOLLIN,
	.poll_fd = source_poll_fd,
	.caps = source_caps,
	.recv = source_recv,
	.send = source_send,
	.flush = source_flush,
	.arm = source_arm,
	.free = source_free,
};

/* ---- a port that is sent frames ---- */

struct sink {
	struct io io;
	int fd;
	/* Under the lock of its port. */
	uint64_t n_got[N_SOURCES];
	uint32_t last_mark[N_SOURCES];
	unsigned n_out_of_order;
	unsigned n_unflushed, n_flushed;
};

static struct sink *sink_of(const struct io *io)
{
	return container_of(io, struct sink, io);
}

static int sink_poll_fd(const struct io *io)
{
	return sink_of(io)->fd;
}

static int sink_recv(struct io *io, struct io_batch *batch)
{
	(void)io, (void)batch;
	return 0;
}

static int sink_send(
	struct io *io, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct sink *sink = sink_of(io);
	const uint8_t *frame = iov[0].iov_base;
	unsigned source = load_be16(frame + 10) / 100 - 1;
	uint32_t mark = load_be32(frame + 14);

	(void)hdr, (void)n_iov;
	if (sink->n_got[source]++ && mark <= sink->last_mark[source])
		sink->n_out_of_order++;
	sink->last_mark[source] = mark;
	sink->n_unflushed++;
	return 0;
}

static int sink_flush(struct io *io)
{
	struct sink *sink = sink_of(io);

	sink->n_flushed += sink->n_unflushed;
	sink->n_unflushed = 0;
	return 0;
}

static bool sink_arm(struct io *io)
{
	(void)io;
	return false;
}

static void sink_free(struct io *io)
{
	close_fd(sink_of(io)->fd);
	free(sink_of(io));
}

static const struct io_ops sink_ops = {
	.kind = "sink",
	.duplex = true,
	.poll_events = EPOLLIN,
	.poll_fd = sink_poll_fd,
	.caps = source_caps,
	.recv = sink_recv,
	.send = sink_send,
	.flush = sink_flush,
	.arm = sink_arm,
	.free = sink_free,
};

/* ---- the lab ---- */

static struct crew *crew;
static struct vswitch *sw;
static struct source *sources[N_SOURCES];
static struct sink *sinks[N_SINKS];

static void add_port(unsigned number, bool spoofing, struct io *io)
{
	struct vport_config config = {.spoofing = spoofing};
	struct vport *port;
	struct why why;
	char id[16];

	snprintf(id, sizeof(id), "VM%u", number);
	config.id = id;
	make_mac(config.mac, number);
	vlan_policy_untagged(&config.vlan);
	assert_int_equal(vport_new(crew_fabric(crew), sw, &config, io, &port, &why), 0);
	assert_int_equal(crew_add_port(crew, port), 0);
}

static void build(struct crew *of, void *data)
{
	struct why why;

	(void)data;
	assert_int_equal(
		vswitch_new(crew_fabric(of), "A", VSWITCH_INTERNAL, NULL, NULL, &sw, &why), 0);
	for (unsigned i = 0; i < N_SOURCES; i++) {
		sources[i] = calloc(1, sizeof(*sources[i]));
		assert_non_null(sources[i]);
		sources[i]->io.ops = &source_ops;
		sources[i]->number = i;
		sources[i]->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		add_port(1 + i, true, &sources[i]->io);
	}
	for (unsigned i = 0; i < N_SINKS; i++) {
		sinks[i] = calloc(1, sizeof(*sinks[i]));
		assert_non_null(sinks[i]);
		sinks[i]->io.ops = &sink_ops;
		sinks[i]->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		add_port(10 + i, false, &sinks[i]->io);
	}
}

static void on_event(enum vport_event event, struct vport *port, void *data)
{
	(void)event, (void)port, (void)data;
}

static int setup(void **state)
{
	(void)state;
	if (crew_new(N_WORKERS, on_event, NULL, &crew) < 0)
		return -1;
	crew_call(crew, build, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crew_free(crew);
	return 0;
}

static void set_active(unsigned source, bool active)
{
	eventfd_t ignored;

	__atomic_store_n(&sources[source]->active, active, __ATOMIC_RELEASE);
	if (active)
		eventfd_write(sources[source]->fd, 1);
	else
		eventfd_read(sources[source]->fd, &ignored);
}

static void get_report(struct crew *of, void *data)
{
	assert_int_equal(crew_report(of, data), N_WORKERS);
}

/* Between two looks: these stop all workers, and nobody would be busy. */
static void pause_a_moment(void)
{
	(void)poll(NULL, 0, 5);
}

/* Waits until the second worker has that many ports. */
static void wait_for_ports(unsigned n_ports)
{
	struct worker_report reports[CREW_MAX_WORKERS];
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	do {
		if (clock_mono_ns() > until_ns)
			fail_msg("the second worker has %u ports, not %u", reports[1].n_ports,
				n_ports);
		pause_a_moment();
		crew_call(crew, get_report, reports);
		assert_int_equal(reports[0].n_ports + reports[1].n_ports, N_SOURCES + N_SINKS);
	} while (reports[1].n_ports != n_ports);
}

static void check_sinks(struct crew *of, void *data)
{
	uint64_t *least = data;

	(void)of;
	*least = UINT64_MAX;
	for (unsigned i = 0; i < N_SINKS; i++) {
		assert_int_equal(sinks[i]->n_out_of_order, 0);
		/* Whoever queued something has flushed it when nothing is under way. */
		assert_int_equal(sinks[i]->n_unflushed, 0);
		for (unsigned k = 0; k < N_SOURCES; k++)
			*least = MIN(*least, sinks[i]->n_got[k]);
	}
}

/* Both sources reach both sinks. */
static void wait_for_progress(void)
{
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS, before, now;

	crew_call(crew, check_sinks, &before);
	do {
		if (clock_mono_ns() > until_ns)
			fail_msg("a source does not reach a sink any more");
		pause_a_moment();
		crew_call(crew, check_sinks, &now);
	} while (now < before + 10000);
}

static void change_things(struct crew *of, void *data)
{
	const struct qos_config unlimited = {0};
	struct vport *port = vport_find(crew_fabric(of), "VM10");
	struct why why;

	(void)data;
	assert_non_null(port);
	vport_mute(port);
	assert_int_equal(vport_open(port, &why), 0);
	qos_port_init(&port->qos, &sw->qos, &unlimited, clock_mono_ns());
	crew_remove_port(of, port);
	assert_int_equal(crew_add_port(of, port), 0);
}

static void test_busy_ports_are_shared_and_come_back(void **state)
{
	(void)state;
	wait_for_ports(0);
	set_active(0, true);
	set_active(1, true);
	wait_for_ports(1);
	wait_for_progress();
	for (unsigned i = 0; i < 200; i++)
		crew_call(crew, change_things, NULL);
	wait_for_progress();
	set_active(0, false);
	set_active(1, false);
	wait_for_ports(0);
	/* What came in broadcasts of the other one. */
	assert_true(sources[0]->n_sent > 0 && sources[1]->n_sent > 0);
	/* And once more. */
	set_active(0, true);
	set_active(1, true);
	wait_for_ports(1);
	wait_for_progress();
}

/* Work of one port cannot be shared: it stays where it is. */
static void test_one_busy_port_stays(void **state)
{
	struct worker_report reports[CREW_MAX_WORKERS];
	uint64_t until_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	(void)state;
	set_active(0, true);
	do {
		assert_true(clock_mono_ns() < until_ns);
		pause_a_moment();
		crew_call(crew, get_report, reports);
	} while (reports[0].busy_permille < 950);
	assert_int_equal(reports[1].n_ports, 0);
	assert_int_equal(reports[1].busy_permille, 0);
}

static void break_sink(struct crew *of, void *data)
{
	(void)data;
	assert_true(vport_shut(vport_find(crew_fabric(of), "VM11")));
	assert_false(vport_shut(vport_find(crew_fabric(of), "VM11")));
}

static void test_ends_while_busy_and_shared(void **state)
{
	(void)state;
	set_active(0, true);
	set_active(1, true);
	wait_for_ports(1);
	crew_call(crew, break_sink, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_busy_ports_are_shared_and_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_busy_port_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_while_busy_and_shared, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
