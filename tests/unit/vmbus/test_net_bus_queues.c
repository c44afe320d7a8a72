/* SPDX-License-Identifier: MIT
 *
 * The NIC with several queues on the real bus, a thread for each of the guest's queues: in traffic
 * both ways, in a move, and when the guest starts over.
 */
#include "base/thread.h"
#include "net_bus_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N_QUEUES  4
#define N_FLOWS   16
#define N_NUMBERS 300

static int setup(void **state)
{
	static struct bus_rig rig;

	bus_rig_init(&rig, N_QUEUES);
	bus_rig_scale(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	bus_rig_fini(*state);
	return 0;
}

/* What a queue's thread is at; it must not assert, that is for the main thread. */
struct driver {
	struct bus_queue *queue;
	struct thread thread;
	uint32_t n_to_send, n_to_see; /* until it ends */
	uint32_t n_sent, n_done, n_seen;
	uint32_t next[N_FLOWS]; /* number of each flow */
	const char *failure;
};

static void see_frames(struct driver *driver)
{
	const uint8_t *at;
	uint32_t bytes;

	for (unsigned i = 0; (at = bus_section(driver->queue, i, &bytes)); i++) {
		struct rndis_packet packet;
		struct frame frame;
		uint32_t flow;

		memcpy(&packet, at, sizeof(packet));
		frame_parse(&frame, at + RNDIS_BODY_AT + packet.data_offset, packet.data_length);
		flow = load_le32(frame.bytes + frame.payload_at);
		if (flow >= N_FLOWS ||
			bus_queue_of(driver->queue->rig, flow) != driver->queue->index)
			driver->failure = "a frame on the wrong queue";
		else if (load_le32(frame.bytes + frame.payload_at + 4) != driver->next[flow]++)
			driver->failure = "a flow out of order";
		driver->n_seen++;
	}
	bus_give_back(driver->queue);
}

static void drive(void *data)
{
	struct driver *driver = data;
	struct bus_queue *queue = driver->queue;
	uint64_t first = queue->next_transaction;

	while (!driver->failure &&
		(driver->n_done < driver->n_to_send || driver->n_seen < driver->n_to_see)) {
		while (driver->n_sent < driver->n_to_send &&
			driver->n_sent < driver->n_done + BUS_RIG_SECTIONS)
			bus_send_frame(queue, queue->index, driver->n_sent++);
		bus_take(queue);
		if (queue->descriptor.type == VMBUS_PACKET_TRANSFER_PAGES) {
			see_frames(driver);
			continue;
		}
		/* Completions of sections come between those of frames. */
		if (queue->descriptor.type != VMBUS_PACKET_COMPLETION ||
			queue->descriptor.transaction_id < first)
			driver->failure = "a completion for nothing";
		else
			driver->n_done++;
	}
}

static void start(struct driver *drivers, struct bus_rig *rig, uint32_t n_to_send, uint32_t n_each)
{
	memset(drivers, 0, N_QUEUES * sizeof(*drivers));
	for (unsigned i = 0; i < N_QUEUES; i++) {
		drivers[i].queue = &rig->queues[i];
		drivers[i].n_to_send = n_to_send;
	}
	for (uint32_t flow = 0; flow < N_FLOWS; flow++)
		drivers[bus_queue_of(rig, flow)].n_to_see += n_each;
	for (unsigned i = 0; i < N_QUEUES; i++)
		assert_int_equal(thread_start(&drivers[i].thread, "guest", drive, &drivers[i]), 0);
}

static void join(struct driver *drivers)
{
	for (unsigned i = 0; i < N_QUEUES; i++) {
		thread_join(&drivers[i].thread);
		if (drivers[i].failure)
			fail_msg("queue %u: %s", i, drivers[i].failure);
	}
}

/* Every flow of the guest, once and in order. */
static void check_port(struct bus_rig *rig, uint32_t n_each)
{
	uint32_t next[N_QUEUES] = {0}, flow, number;

	while (bus_at_port(rig, &flow, &number)) {
		assert_true(flow < N_QUEUES);
		assert_int_equal(number, next[flow]++);
	}
	for (unsigned i = 0; i < N_QUEUES; i++)
		assert_int_equal(next[i], n_each);
}

static void the_flows_use_all_queues(void **state)
{
	unsigned used = 0;

	for (uint32_t flow = 0; flow < N_FLOWS; flow++)
		used |= 1U << bus_queue_of(*state, flow);
	assert_int_equal(used, (1U << N_QUEUES) - 1);
}

static void frames_go_out_on_all_queues(void **state)
{
	struct driver drivers[N_QUEUES];
	struct bus_rig *rig = *state;
	struct netvsp_info info;

	start(drivers, rig, N_NUMBERS, 0);
	join(drivers);
	check_port(rig, N_NUMBERS);
	info = bus_rig_info(rig);
	assert_int_equal(info.n_queues, N_QUEUES);
	for (unsigned i = 0; i < N_QUEUES; i++) {
		assert_true(info.queues[i].open);
		assert_int_equal(info.queues[i].tx.frames, N_NUMBERS);
	}
	assert_int_equal(info.tx.frames, N_QUEUES * N_NUMBERS);
	assert_int_equal(info.n_protocol_errors, 0);
}

static void frames_come_in_on_all_queues(void **state)
{
	struct driver drivers[N_QUEUES];
	struct bus_rig *rig = *state;
	struct netvsp_info info;

	start(drivers, rig, 0, N_NUMBERS);
	for (uint32_t number = 0; number < N_NUMBERS; number++) {
		for (uint32_t flow = 0; flow < N_FLOWS; flow++)
			bus_inject(rig, flow, number);
	}
	join(drivers);
	info = bus_rig_info(rig);
	assert_true(info.scales);
	assert_int_equal(info.rx.frames, N_FLOWS * N_NUMBERS);
	assert_int_equal(info.rx.dropped, 0);
	assert_int_equal(info.n_protocol_errors, 0);
	for (unsigned i = 0; i < N_QUEUES; i++)
		assert_int_equal(info.queues[i].rx.frames, drivers[i].n_seen);
}

static void both_ways_through_a_narrow_port(void **state)
{
	struct driver drivers[N_QUEUES];
	struct bus_rig *rig = *state;
	uint32_t next[N_QUEUES] = {0}, flow, number, n_out = 0;

	eth_dummy_set_room(rig->port, 0);
	start(drivers, rig, N_NUMBERS, N_NUMBERS);
	for (number = 0; number < N_NUMBERS; number++) {
		for (flow = 0; flow < N_FLOWS; flow++)
			bus_inject(rig, flow, number);
		if (number % 16 == 0)
			assert_int_equal(netvsp_set_link(rig->nic, true), 0);
	}
	while (n_out < N_QUEUES * N_NUMBERS) {
		eth_dummy_set_room(rig->port, 3);
		while (bus_at_port(rig, &flow, &number)) {
			assert_int_equal(number, next[flow]++);
			n_out++;
		}
		(void)bus_rig_info(rig);
		sched_yield();
	}
	join(drivers);
	assert_int_equal(bus_rig_info(rig).n_protocol_errors, 0);
	assert_int_equal(bus_rig_info(rig).tx_dropped + bus_rig_info(rig).rx_dropped, 0);
}

/* Each queue is full of what its guest sends and receives when it moves; nothing is lost, nothing
 * is done twice. */
static void moved_amid_traffic(void **state)
{
	struct driver drivers[N_QUEUES];
	struct bus_rig *rig = *state;
	uint32_t n_number = 0, n_sent = 0, next[N_QUEUES] = {0}, seen[N_FLOWS] = {0};

	for (unsigned round = 0; round < 12; round++) {
		uint32_t flow, number;

		eth_dummy_set_room(rig->port, round % 5);
		for (unsigned i = 0; i < N_QUEUES; i++) {
			for (uint32_t k = 0; k < 5; k++)
				bus_send_frame(&rig->queues[i], i, n_sent + k);
		}
		for (uint32_t k = 0; k < 7; k++) {
			for (flow = 0; flow < N_FLOWS; flow++)
				bus_inject(rig, flow, n_number + k);
		}
		bus_rig_move(rig);
		eth_dummy_set_room(rig->port, ETH_DUMMY_UNLIMITED);
		memset(drivers, 0, sizeof(drivers));
		for (unsigned i = 0; i < N_QUEUES; i++) {
			drivers[i].queue = &rig->queues[i];
			/* They were sent before. */
			drivers[i].n_to_send = drivers[i].n_sent = 5;
			memcpy(drivers[i].next, seen, sizeof(seen));
			rig->queues[i].next_transaction -= 5;
		}
		for (flow = 0; flow < N_FLOWS; flow++)
			drivers[bus_queue_of(rig, flow)].n_to_see += 7;
		for (unsigned i = 0; i < N_QUEUES; i++)
			drive(&drivers[i]);
		for (unsigned i = 0; i < N_QUEUES; i++) {
			assert_null(drivers[i].failure);
			rig->queues[i].next_transaction += 5;
		}
		while (bus_at_port(rig, &flow, &number))
			assert_int_equal(number, next[flow]++);
		n_sent += 5;
		n_number += 7;
		for (flow = 0; flow < N_FLOWS; flow++)
			seen[flow] = n_number;
		for (unsigned i = 0; i < N_QUEUES; i++)
			assert_int_equal(next[i], n_sent);
	}
	assert_int_equal(bus_rig_info(rig).n_protocol_errors, 0);
	assert_true(bus_rig_info(rig).scales);
}

/* A guest that changes its MTU: sub-channels closed, rescinded, released, asked for anew. Frames on
 * their way are lost with the buffers they are in. */
static void started_over(void **state)
{
	struct driver drivers[N_QUEUES];
	struct bus_rig *rig = *state;

	for (unsigned round = 0; round < 5; round++) {
		uint32_t flow, number;

		for (flow = 0; flow < N_FLOWS; flow++)
			bus_inject(rig, flow, 0);
		for (unsigned i = 0; i < N_QUEUES; i++)
			bus_send_frame(&rig->queues[i], i, 0);
		bus_rig_close_all(rig);
		for (unsigned i = 1; i < N_QUEUES; i++)
			assert_false(bus_rig_info(rig).queues[i].open);
		while (bus_at_port(rig, &flow, &number))
			;
		assert_int_equal(fake_channel_reopen(&rig->queues[0].channel), 0);
		bus_rig_initialise(rig);
		bus_rig_scale(rig);
		start(drivers, rig, 50, 0);
		join(drivers);
		while (bus_at_port(rig, &flow, &number))
			;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_flows_use_all_queues),
		TEST(frames_go_out_on_all_queues),
		TEST(frames_come_in_on_all_queues),
		TEST(both_ways_through_a_narrow_port),
		TEST(moved_amid_traffic),
		TEST(started_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
