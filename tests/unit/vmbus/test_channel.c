/* SPDX-License-Identifier: MIT
 *
 * Traffic of a channel: both ways, with and without room, and everything that wakes its worker.
 */
#include "channel_rig.h"

#include <sys/eventfd.h>

/* It asks for signals only when it has done and signalled everything. */
static bool host_sleeps(struct channel_rig *rig)
{
	return ring_get(&rig->channel.to_host, interrupt_mask) == 0;
}

static void test_echo(void **state)
{
	struct channel_rig *rig = *state;
	struct vmbus_info info;

	channel_rig_open(rig, &channel_rig_rings);
	for (uint64_t id = 0; id < 200; id++)
		channel_rig_echo(rig, id);
	assert_int_equal(echo_count(&rig->echo[0].n_echoed), 200);
	assert_int_equal(echo_count(&rig->echo[1].n_work), 0);
	vmbus_get_info(rig->guest.bus, &info);
	assert_true(info.connected);
	assert_int_equal(info.n_open_channels, 1);
	assert_int_equal(info.n_protocol_errors, 0);
	assert_true(info.n_messages_in >= 4);
	assert_int_equal(info.n_messages_out, 1 + 3 + 1 + 1);
}

/* Many under way at once, sizes of every kind, both rings filling up. */
static void pipeline(struct channel_rig *rig, unsigned n_packets)
{
	unsigned sent = 0, received = 0;
	uint8_t payload[2048];

	while (received < n_packets) {
		size_t n = 1 + sent * 61 % sizeof(payload);

		memset(payload, (int)sent, n);
		if (sent < n_packets && fake_channel_try_send(&rig->channel, VMBUS_PACKET_INBAND,
						sent, NULL, 0, payload, n)) {
			sent++;
			continue;
		}
		n = 1 + received * 61 % sizeof(payload);
		memset(payload, (int)received, n);
		channel_rig_expect_echo(rig, received++, payload, n);
	}
}

static void test_pipeline(void **state)
{
	struct channel_rig *rig = *state;

	channel_rig_open(rig, &channel_rig_rings);
	pipeline(rig, 20000);
	assert_int_equal(echo_count(&rig->echo[0].n_broken), 0);
}

static void test_pipeline_on_scattered_pages(void **state)
{
	struct channel_rig *rig = *state;
	const struct fake_open how = {.gpadl_id = 7, .n_ring_pages = 4, .scattered = true};

	channel_rig_open(rig, &how);
	pipeline(rig, 5000);
}

/* A ring of one page of data; a producer that sleeps until there is room. */
static void test_smallest_ring(void **state)
{
	struct channel_rig *rig = *state;
	const struct fake_open how = {.gpadl_id = 7, .n_ring_pages = 2, .target_vp = 3};

	channel_rig_open(rig, &how);
	pipeline(rig, 2000);
	assert_true(fake_guest_n_signals(&rig->guest, 3) > 0);
	assert_int_equal(fake_guest_n_signals(&rig->guest, 1), 0);
}

/* The guest fills the ring, sleeps for room, and goes on when the host says so. */
static void test_guest_waits_for_room(void **state)
{
	struct channel_rig *rig = *state;
	uint8_t payload[700] = {0};
	const unsigned n = 5000;

	channel_rig_open(rig, &channel_rig_rings);
	rig->channel.no_completions = true;
	for (unsigned i = 0; i < n; i++)
		fake_channel_send(&rig->channel, i, payload, 1 + i * 31 % sizeof(payload));
	wait_until(echo_count(&rig->echo[0].n_taken) == n);
	assert_int_equal(echo_count(&rig->echo[0].n_echoed), 0);
}

static void flood(struct channel_rig *rig, uint64_t n)
{
	struct echo_device *echo = &rig->echo[0];
	uint64_t number;

	__atomic_store_n(&echo->flood_end, echo->flood_end + n, __ATOMIC_RELEASE);
	vmbus_channel_kick(echo->channel);
	for (uint64_t i = echo->flood_end - n; i < echo->flood_end; i++) {
		int got = fake_channel_recv(&rig->channel, rig->packet, sizeof(rig->packet));

		assert_int_equal(got, 16 + ECHO_FLOOD_BYTES);
		memcpy(&number, rig->packet + 16, sizeof(number));
		assert_int_equal(number, i);
	}
	assert_int_equal(fake_channel_try_recv(&rig->channel, rig->packet, sizeof(rig->packet)), 0);
}

/* The host fills the ring, sleeps for room, and goes on when the guest says so. */
static void test_host_waits_for_room(void **state)
{
	struct channel_rig *rig = *state;

	channel_rig_open(rig, &channel_rig_rings);
	flood(rig, 10000);
	flood(rig, 1);
	channel_rig_echo(rig, 5);
	wait_until(ring_get(&rig->channel.from_host, pending_send_bytes) == 0);
}

static void read_everything(void *data)
{
	struct channel_rig *rig = data;

	ring_set(&rig->channel.from_host, read_index, 0);
}

/* Room that the guest made after the host found none, and before the host asked for it: no signal
 * comes, so the host has to look again. */
static void test_room_before_it_is_asked_for(void **state)
{
	struct channel_rig *rig = *state;
	const uint32_t data_bytes = 4 * VMBUS_PAGE_BYTES, packet_bytes = 16 + 8 + 8;
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_INBAND,
		.flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
	};
	uint64_t payload = 5;
	bool signal;

	channel_rig_open(rig, &channel_rig_rings);
	wait_until(host_sleeps(rig));
	/* Full as far as the host can tell; and a packet whose consumption the guest waits for, so
	 * that it is signalled between the send that fails and the request for room. */
	ring_set(&rig->channel.from_host, read_index, 8);
	ring_set(&rig->channel.to_host, pending_send_bytes, data_bytes - packet_bytes);
	pthread_mutex_lock(&rig->guest.lock);
	rig->guest.next_signal = read_everything;
	rig->guest.next_signal_data = rig;
	pthread_mutex_unlock(&rig->guest.lock);
	assert_true(guest_ring_send(
		&rig->channel.to_host, descriptor, NULL, 0, &payload, sizeof(payload), &signal));
	fake_channel_ring_doorbell(&rig->channel);
	fake_channel_wait(&rig->channel);
	channel_rig_expect_echo(rig, 0, &payload, sizeof(payload));
}

/* A guest that never signals room is looked at. */
static void test_guest_without_the_feature(void **state)
{
	struct channel_rig *rig = *state;

	channel_rig_open(rig, &channel_rig_rings);
	ring_set(&rig->channel.from_host, feature_bits, 0);
	ring_set(&rig->channel.to_host, feature_bits, 0);
	flood(rig, 1000);
}

/* One signal for a burst. */
static void test_signals_are_few(void **state)
{
	struct channel_rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];
	unsigned before;

	channel_rig_open(rig, &channel_rig_rings);
	channel_rig_echo(rig, 1);
	wait_until(host_sleeps(rig));
	before = fake_guest_n_signals(&rig->guest, 1);
	__atomic_store_n(&echo->flood_end, 40, __ATOMIC_RELEASE);
	vmbus_channel_kick(echo->channel);
	wait_until(ring_get(&rig->channel.from_host, write_index) -
				   ring_get(&rig->channel.from_host, read_index) ==
			   40 * (16 + ECHO_FLOOD_BYTES + 8) &&
		   host_sleeps(rig));
	assert_int_equal(fake_guest_n_signals(&rig->guest, 1), before + 1);
}

static void test_gpa_direct(void **state)
{
	struct channel_rig *rig = *state;
	uint32_t page = fake_guest_alloc(&rig->guest, 2);
	uint64_t header[] = {1ULL << 32, 200 | 4000ULL << 32, guest_pfn(page + 1), guest_pfn(page)};
	uint8_t expected[200];

	memset(expected, 'a', 96);
	memset(expected + 96, 'b', 104);
	memcpy(guest_page(&rig->guest.memory, page + 1) + 4000, expected, 96);
	memcpy(guest_page(&rig->guest.memory, page), expected + 96, 104);
	channel_rig_open(rig, &channel_rig_rings);
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_GPA_DIRECT, 3, header, sizeof(header), "nvsp", 4));
	channel_rig_expect_echo(rig, 3, expected, sizeof(expected));
	/* Not memory: the device is told, and the channel goes on. */
	header[3] = 1;
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_GPA_DIRECT, 4, header, sizeof(header), "nvsp", 4));
	channel_rig_expect_echo(rig, 4, "", 0);
}

static void test_no_interrupts(void **state)
{
	struct channel_rig *rig = *state;
	const struct fake_open how = {
		.gpadl_id = 1,
		.n_ring_pages = 4,
		.target_vp = VMBUS_OPEN_NO_INTERRUPTS,
	};
	int got = 0;

	channel_rig_open(rig, &how);
	assert_true(
		fake_channel_try_send(&rig->channel, VMBUS_PACKET_INBAND, 1, NULL, 0, "polled", 6));
	wait_until((got = fake_channel_try_recv(&rig->channel, rig->packet, sizeof(rig->packet))) !=
		   0);
	assert_int_equal(got, 24);
	for (uint32_t vp = 0; vp < FAKE_N_VPS; vp++)
		assert_int_equal(fake_guest_n_signals(&rig->guest, vp), 0);
}

static void test_event_fd_calls_work(void **state)
{
	struct channel_rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	echo->event_fd = fd;
	channel_rig_open(rig, &channel_rig_rings);
	channel_rig_echo(rig, 1);
	for (unsigned i = 0; i < 20; i++) {
		unsigned before = echo_count(&echo->n_work);

		assert_int_equal(eventfd_write(fd, 1), 0);
		wait_until(echo_count(&echo->n_work) > before);
	}
	fake_channel_close(&rig->channel);
	close(fd);
	echo->event_fd = -1;
}

static void *kick_often(void *data)
{
	for (unsigned i = 0; i < 20000; i++)
		vmbus_channel_kick(data);
	return NULL;
}

/* A kick after the last one must be answered, whatever went before. */
static void test_kicks_are_not_lost(void **state)
{
	struct channel_rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];
	pthread_t threads[3];

	channel_rig_open(rig, &channel_rig_rings);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, kick_often, echo->channel), 0);
	for (unsigned i = 0; i < 2000; i++) {
		unsigned before = echo_count(&echo->n_work);

		vmbus_channel_kick(echo->channel);
		wait_until(echo_count(&echo->n_work) > before);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 100; i++) {
		unsigned before = echo_count(&echo->n_work);

		vmbus_channel_kick(echo->channel);
		wait_until(echo_count(&echo->n_work) > before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_pipeline, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_pipeline_on_scattered_pages, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_smallest_ring, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_guest_waits_for_room, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_host_waits_for_room, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_room_before_it_is_asked_for, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_guest_without_the_feature, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_signals_are_few, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_gpa_direct, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_no_interrupts, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_event_fd_calls_work, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_kicks_are_not_lost, channel_rig_setup, channel_rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
