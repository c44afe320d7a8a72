/* SPDX-License-Identifier: MIT
 *
 * The shared-memory port: the switch's end against the VM's, and each end against somebody who does
 * not keep to the layout.
 */
#include "base/thread.h"
#include "fabric/client.h"
#include "fabric/io.h"
#include "fabric/shm_ring.h"
#include "tests/unit/fabric/support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#define RING_BYTES SHM_PORT_RING_MIN_BYTES
#define WAIT_MS    10000

static uint8_t frame[ETH_FRAME_MAX_BYTES + 1], got[ETH_FRAME_MAX_BYTES];

static struct io *io;
static struct fabric_client *client;
static const struct eth_ops *eth;
static struct io_batch batch = {.max_bytes = IO_NO_LIMIT};
static struct shm_port *shared; /* a third mapping, for mischief */

static int setup_port(void **state)
{
	int fds[3];

	(void)state;
	eth = fabric_client_eth_ops();
	if (io_shm_new(RING_BYTES, &io, fds) < 0)
		return -1;
	shared = mmap(NULL, shm_port_size_bytes(RING_BYTES), PROT_READ | PROT_WRITE, MAP_SHARED,
		fds[0], 0);
	batch.arena = malloc(IO_ARENA_BYTES);
	return shared == MAP_FAILED || !batch.arena ||
	       fabric_client_new(fds[0], fds[1], fds[2], &client) < 0;
}

static int teardown_port(void **state)
{
	(void)state;
	fabric_client_free(client);
	io_free(io);
	munmap(shared, shm_port_size_bytes(RING_BYTES));
	free(batch.arena);
	return 0;
}

static void switch_flush(void)
{
	assert_int_equal(io->ops->flush(io), 0);
	io->ops->kick(io);
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	return poll(&pollfd, 1, 0) == 1;
}

static int recv_batch(void)
{
	int r;

	batch.n_frames = 0;
	memset(batch.dropped, 0, sizeof(batch.dropped));
	r = io->ops->recv(io, &batch);
	io->ops->release(io);
	return r;
}

static int client_send(size_t size_bytes)
{
	static const struct eth_hdr none;
	const struct iovec iov = {frame, size_bytes};

	return eth->send(client, &none, &iov, 1);
}

static int switch_send(size_t size_bytes)
{
	static const struct eth_hdr none;
	const struct iovec iov = {frame, size_bytes};

	return io->ops->send(io, &none, &iov, 1);
}

static void test_to_switch(void **state)
{
	const struct eth_hdr hdr = {.flags = ETH_HDR_NEEDS_CSUM | ETH_HDR_DATA_VALID,
		.csum_start = 34,
		.csum_offset = 16};
	const struct iovec iov[2] = {{frame, 20}, {frame + 20, 80}};

	(void)state;
	random_bytes(&(uint64_t){3}, frame, 100);
	assert_false(io->ops->arm(io));
	assert_int_equal(eth->send(client, &hdr, iov, 2), 0);
	assert_false(is_readable(io->ops->poll_fd(io)));
	eth->flush(client);
	assert_true(is_readable(io->ops->poll_fd(io)));
	assert_int_equal(recv_batch(), 0);
	assert_int_equal(batch.n_frames, 1);
	assert_int_equal(batch.frames[0].size_bytes, 100);
	assert_memory_equal(batch.frames[0].data, frame, 100);
	assert_int_equal(batch.frames[0].hdr.csum_start, 34);
	/* A VM's word that its checksums are right is not passed on. */
	assert_int_equal(batch.frames[0].hdr.flags, ETH_HDR_NEEDS_CSUM);
}

static void test_to_vm(void **state)
{
	struct eth_hdr hdr;
	size_t size_bytes;
	uint64_t kick;

	(void)state;
	random_bytes(&(uint64_t){4}, frame, 100);
	assert_int_equal(eth->recv(client, &hdr, got, sizeof(got), &size_bytes), -EAGAIN);
	assert_false(eth->arm(client, ETH_FRAMES));
	assert_int_equal(switch_send(100), 0);
	assert_int_equal(switch_send(5000), 0);
	assert_int_equal(switch_send(60), 0);
	switch_flush();
	assert_true(is_readable(eth->event_fd(client)));
	assert_int_equal(read(eth->event_fd(client), &kick, sizeof(kick)), 8);
	assert_int_equal(read(eth->event_fd(client), &kick, sizeof(kick)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(eth->recv(client, &hdr, got, 1514, &size_bytes), 0);
	assert_int_equal(size_bytes, 100);
	assert_memory_equal(got, frame, 100);
	/* The large one is skipped. */
	assert_int_equal(eth->recv(client, &hdr, got, 1514, &size_bytes), 0);
	assert_int_equal(size_bytes, 60);
	assert_int_equal(eth->recv(client, &hdr, got, 1514, &size_bytes), -EAGAIN);
	assert_int_equal(io->tx.n_frames, 3);
	assert_int_equal(io->tx.n_bytes, 5160);
}

static void test_client_waits_for_room(void **state)
{
	(void)state;
	while (client_send(60000) == 0)
		;
	assert_int_equal(client_send(60000), -EAGAIN);
	assert_int_equal(client_send(ETH_FRAME_MAX_BYTES + 1), -EMSGSIZE);
	assert_int_equal(client_send(13), -EINVAL);
	assert_false(eth->arm(client, ETH_FRAMES | ETH_ROOM));
	assert_int_equal(recv_batch(), 0);
	assert_true(batch.n_frames > 0);
	assert_true(is_readable(eth->event_fd(client)));
	assert_int_equal(client_send(60000), 0);
}

/* Who waits for one thing is not kept awake by the other. */
static void test_client_waits_for_one_side(void **state)
{
	(void)state;
	while (client_send(60000) == 0)
		;
	assert_int_equal(switch_send(100), 0);
	switch_flush();
	assert_int_equal(eth->arm(client, ETH_ROOM), 0);
	assert_int_equal(eth->arm(client, ETH_FRAMES), ETH_FRAMES);
	assert_int_equal(eth->arm(client, ETH_FRAMES | ETH_ROOM), ETH_FRAMES);
	assert_int_equal(recv_batch(), 0);
	assert_true(is_readable(eth->event_fd(client)));
	assert_int_equal(eth->arm(client, ETH_ROOM), ETH_ROOM);
}

static void test_full_towards_vm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(switch_send(60000), 0);
	assert_int_equal(io->tx.n_frames, RING_BYTES / 60016);
	assert_int_equal(io->tx.n_full, 10 - RING_BYTES / 60016);
}

static void test_batch_fits_the_arena(void **state)
{
	size_t total_bytes = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(client_send(60), 0);
	eth->flush(client);
	assert_int_equal(recv_batch(), 0);
	assert_int_equal(batch.n_frames, IO_BATCH_FRAMES);
	assert_int_equal(recv_batch(), 0);
	assert_int_equal(batch.n_frames, 100 - IO_BATCH_FRAMES);
	while (client_send(ETH_FRAME_MAX_BYTES) == 0)
		total_bytes += ETH_FRAME_MAX_BYTES;
	eth->flush(client);
	while (recv_batch() == 0 && batch.n_frames) {
		for (unsigned i = 0; i < batch.n_frames; i++) {
			assert_true(batch.frames[i].data + batch.frames[i].size_bytes <=
				    batch.arena + IO_ARENA_BYTES);
			total_bytes -= batch.frames[i].size_bytes;
		}
	}
	assert_int_equal(total_bytes, 0);
}

/* The payload of a super-frame stays in the ring until release(); its beginning does not. */
static void test_super_frames_stay_in_the_ring(void **state)
{
	const struct eth_hdr hdr = {.flags = ETH_HDR_NEEDS_CSUM, .gso_type = ETH_GSO_TCPV4};
	const struct iovec iov = {frame, 60000};
	unsigned n_wrapped = 0;

	(void)state;
	random_bytes(&(uint64_t){5}, frame, 60000);
	for (unsigned i = 0; i < 50; i++) {
		const struct frame *at = &batch.frames[0];
		size_t n_bytes = 0;

		assert_int_equal(eth->send(client, &hdr, &iov, 1), 0);
		eth->flush(client);
		batch.n_frames = 0;
		batch.max_bytes = IO_NO_LIMIT;
		assert_int_equal(io->ops->recv(io, &batch), 0);
		assert_int_equal(batch.n_frames, 1);
		assert_in_range(at->size_bytes, 600, 2000);
		assert_int_equal(frame_bytes(at), 60000);
		assert_memory_equal(at->data, frame, at->size_bytes);
		for (unsigned k = 0; k < at->n_tail; k++) {
			assert_memory_equal(at->tail[k].iov_base, frame + at->size_bytes + n_bytes,
				at->tail[k].iov_len);
			n_bytes += at->tail[k].iov_len;
		}
		assert_int_equal(n_bytes, at->tail_bytes);
		n_wrapped += at->n_tail == 2;
		/* Nobody may write there yet. */
		for (unsigned n = 0; eth->send(client, &hdr, &iov, 1) == 0; n++)
			assert_true(n < RING_BYTES / 60000);
		assert_memory_equal(
			at->tail[0].iov_base, frame + at->size_bytes, at->tail[0].iov_len);
		io->ops->release(io);
		eth->flush(client);
		while (recv_batch() == 0 && batch.n_frames)
			;
	}
	assert_true(n_wrapped > 0);
}

static void test_turn_is_bounded(void **state)
{
	/* What may be taken, of frames of 1000 bytes and then one of 60000. */
	static const struct {
		uint32_t max_bytes;
		unsigned n_frames;
	} turns[] = {
		{3000, 3}, {2999, 2}, {1, 1}, {0, 1}, {60000, 2}, {59999, 1}, {IO_NO_LIMIT, 0}};

	(void)state;
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(client_send(1000), 0);
	assert_int_equal(client_send(60000), 0);
	eth->flush(client);
	for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
		batch.max_bytes = turns[i].max_bytes;
		assert_int_equal(recv_batch(), 0);
		assert_int_equal(batch.n_frames, turns[i].n_frames);
	}
}

static void test_rx_caps(void **state)
{
	(void)state;
	assert_int_equal(io->ops->caps(io), 0);
	fabric_client_set_rx_caps(client, ETH_CAP_CSUM | ETH_CAP_TSO4);
	assert_int_equal(io->ops->caps(io), ETH_CAP_CSUM | ETH_CAP_TSO4);
}

static void write_shared_record(unsigned ring_index, uint32_t at, uint32_t frame_bytes)
{
	struct shm_record record = {.frame_bytes = frame_bytes};

	memcpy(shm_port_ring(shared, RING_BYTES, ring_index) + at, &record, sizeof(record));
}

static void test_runts_and_giants_from_vm(void **state)
{
	(void)state;
	write_shared_record(0, 0, 3);
	write_shared_record(0, 24, ETH_FRAME_MAX_BYTES + 1);
	shared->to_switch.head = 24 + ALIGN_UP(16 + ETH_FRAME_MAX_BYTES + 1, 8);
	assert_int_equal(recv_batch(), 0);
	/* Runts are for the data path to judge. */
	assert_int_equal(batch.n_frames, 1);
	assert_int_equal(batch.frames[0].size_bytes, 3);
	assert_int_equal(batch.dropped[DROP_GIANT], 1);
}

static void test_broken_by_vm(void **state)
{
	struct fabric_client_info info;

	(void)state;
	shared->to_switch.head = 64;
	write_shared_record(0, 0, 1000);
	assert_int_equal(recv_batch(), -EBADMSG);
	assert_string_equal(io->reason, "a record is longer than what was written");
	fabric_client_get_info(client, &info);
	assert_true(info.dead);
	assert_string_equal(info.reason, "the switch shut the port");
	assert_int_equal(client_send(60), -EINVAL);
	/* Whoever waits for room finds out by sending. */
	assert_int_equal(eth->arm(client, ETH_FRAMES | ETH_ROOM), ETH_ROOM);
	assert_int_equal(eth->arm(client, ETH_FRAMES), 0);
}

static void test_broken_by_vm_as_consumer(void **state)
{
	(void)state;
	while (io->tx.n_full == 0)
		assert_int_equal(switch_send(60000), 0);
	shared->to_vm.tail = 1u << 31;
	assert_int_equal(switch_send(60000), -EBADMSG);
	assert_string_equal(io->reason, "the consumer's index left the ring");
}

static void test_broken_by_switch(void **state)
{
	struct fabric_client_info info;
	struct eth_hdr hdr;
	size_t size_bytes;

	(void)state;
	fabric_client_get_info(client, &info);
	assert_false(info.dead);
	shared->to_vm.head = 12345;
	assert_int_equal(eth->recv(client, &hdr, got, sizeof(got), &size_bytes), -EAGAIN);
	assert_int_equal(eth->arm(client, ETH_FRAMES | ETH_ROOM), ETH_ROOM);
	assert_int_equal(client_send(60), -EINVAL);
	fabric_client_get_info(client, &info);
	assert_true(info.dead);
	assert_string_equal(info.reason, "the producer's index is not aligned");
}

static void test_unsound_header_from_switch(void **state)
{
	const struct eth_hdr bad = {
		.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 50, .csum_offset = 9};
	const struct iovec iov = {frame, 60};
	struct fabric_client_info info;
	struct eth_hdr hdr;
	size_t size_bytes;

	(void)state;
	assert_int_equal(io->ops->send(io, &bad, &iov, 1), 0);
	write_shared_record(1, 80, 5);
	assert_int_equal(switch_send(5), 0);
	io->ops->flush(io);
	assert_int_equal(eth->recv(client, &hdr, got, sizeof(got), &size_bytes), -EAGAIN);
	fabric_client_get_info(client, &info);
	assert_int_equal(info.n_rx_dropped, 2);
	assert_false(info.dead);
}

static void test_switch_goes(void **state)
{
	struct fabric_client_info info;

	(void)state;
	io_free(io);
	io = NULL;
	assert_true(is_readable(eth->event_fd(client)));
	fabric_client_get_info(client, &info);
	assert_true(info.dead);
	assert_int_equal(client_send(60), -EINVAL);
}

static void test_vm_goes(void **state)
{
	(void)state;
	fabric_client_free(client);
	client = NULL;
	shared->to_vm.want_data = 1;
	assert_int_equal(switch_send(60), 0);
	switch_flush();
	assert_int_equal(recv_batch(), 0);
	assert_int_equal(batch.n_frames, 0);
}

/* A VM that shares the file status flags of its descriptors cannot make a kick wait. */
static void test_kicks_never_block(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		shared->to_vm.want_data = 1;
		switch_flush();
	}
}

/* ---- memory that is not a port ---- */

static int try_client(int memory_fd)
{
	int pipe_fds[2], kick_fd;
	struct fabric_client *refused;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	kick_fd = pipe_fds[1];
	return fabric_client_new(memory_fd, kick_fd, pipe_fds[0], &refused);
}

static int make_memory(size_t size_bytes, int seals, const struct shm_port *head)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size_bytes), 0);
	if (size_bytes >= sizeof(*head))
		assert_int_equal(pwrite(fd, head, sizeof(*head), 0), sizeof(*head));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_client_refuses_other_memory(void **state)
{
	const struct shm_port sound = {
		.magic = SHM_PORT_MAGIC,
		.version = SHM_PORT_VERSION,
		.ring_bytes = RING_BYTES,
		.switch_state = SHM_PORT_LIVE,
	};
	const size_t size_bytes = shm_port_size_bytes(RING_BYTES);
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	struct shm_port bad;

	(void)state;
	assert_int_equal(try_client(make_memory(size_bytes, F_SEAL_GROW, &sound)), -EINVAL);
	assert_int_equal(try_client(make_memory(size_bytes - 1, seals, &sound)), -EINVAL);
	assert_int_equal(try_client(make_memory(4096, seals, &sound)), -EINVAL);
	assert_int_equal(try_client(make_memory(0, seals, &sound)), -EINVAL);
	assert_int_equal(try_client(make_memory(size_bytes * 2, seals, &sound)), -EINVAL);
	assert_int_equal(try_client(open("/dev/null", O_RDWR | O_CLOEXEC)), -EINVAL);
	assert_int_equal(try_client(-1), -EINVAL);
	bad = sound;
	bad.magic++;
	assert_int_equal(try_client(make_memory(size_bytes, seals, &bad)), -EINVAL);
	bad = sound;
	bad.version = 2;
	assert_int_equal(try_client(make_memory(size_bytes, seals, &bad)), -EINVAL);
	bad = sound;
	bad.ring_bytes = RING_BYTES * 2;
	assert_int_equal(try_client(make_memory(size_bytes, seals, &bad)), -EINVAL);
	bad.ring_bytes = RING_BYTES + 4096;
	assert_int_equal(
		try_client(make_memory(shm_port_size_bytes(RING_BYTES + 4096), seals, &bad)),
		-EINVAL);
	bad.ring_bytes = 0;
	assert_int_equal(try_client(make_memory(size_bytes, seals, &bad)), -EINVAL);
}

/* ---- two threads, with sleep in between ---- */

#define N_STRESS 60000

static void stress_vm(void *data)
{
	uint64_t seed = 11;
	uint64_t kick;
	unsigned sent = 0;

	(void)data;
	while (sent < N_STRESS) {
		store_be32(frame, sent);
		if (client_send(64 + random_below(&seed, 2000)) == 0) {
			sent++;
			if (random_below(&seed, 16) == 0)
				eth->flush(client);
			continue;
		}
		if (!eth->arm(client, ETH_FRAMES | ETH_ROOM)) {
			struct pollfd pollfd = {.fd = eth->event_fd(client), .events = POLLIN};

			if (poll(&pollfd, 1, WAIT_MS) != 1)
				return;
			(void)!read(pollfd.fd, &kick, sizeof(kick));
		}
	}
	eth->flush(client);
}

static void test_no_wake_up_is_lost(void **state)
{
	struct thread vm = {0};
	unsigned received = 0;

	(void)state;
	assert_int_equal(thread_start(&vm, "vm", stress_vm, NULL), 0);
	while (received < N_STRESS) {
		struct pollfd pollfd = {.fd = io->ops->poll_fd(io), .events = POLLIN};
		uint64_t kick;

		assert_int_equal(recv_batch(), 0);
		for (unsigned i = 0; i < batch.n_frames; i++)
			assert_int_equal(load_be32(batch.frames[i].data), received++);
		if (batch.n_frames || io->ops->arm(io))
			continue;
		assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
		assert_int_equal(read(pollfd.fd, &kick, sizeof(kick)), 8);
	}
	thread_join(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_to_switch, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_to_vm, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_client_waits_for_room, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_client_waits_for_one_side, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_full_towards_vm, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_batch_fits_the_arena, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_super_frames_stay_in_the_ring, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_turn_is_bounded, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_rx_caps, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_runts_and_giants_from_vm, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_broken_by_vm, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_broken_by_vm_as_consumer, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_broken_by_switch, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(
			test_unsound_header_from_switch, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_switch_goes, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_vm_goes, setup_port, teardown_port),
		cmocka_unit_test_setup_teardown(test_kicks_never_block, setup_port, teardown_port),
		cmocka_unit_test(test_client_refuses_other_memory),
		cmocka_unit_test_setup_teardown(test_no_wake_up_is_lost, setup_port, teardown_port),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
