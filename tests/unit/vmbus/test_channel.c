/* SPDX-License-Identifier: MIT
 *
 * Channels as a guest and a device see them: opening, traffic both ways with and without room,
 * GPADLs, a hostile guest, closing amid traffic.
 */
#include "base/clock.h"
#include "echo_device.h"
#include "fake_guest.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#define N_DEVICES 2

struct rig {
	struct fake_guest guest;
	struct echo_device echo[N_DEVICES];
	struct vmbus_msg_offer_channel offers[N_DEVICES];
	struct fake_channel channel;
	uint8_t packet[VMBUS_MAX_PACKET_BYTES];
};

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, 512);
	for (uint8_t i = 0; i < N_DEVICES; i++) {
		echo_init(&rig.echo[i]);
		echo_offer(&rig.echo[i], rig.guest.bus, (uint8_t)(i + 1));
	}
	fake_guest_start(&rig.guest);
	fake_guest_connect(&rig.guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig.guest, rig.offers, N_DEVICES), N_DEVICES);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fake_guest_stop(&rig->guest);
	for (unsigned i = 0; i < N_DEVICES; i++) {
		if (rig->echo[i].channel)
			vmbus_offer_remove(rig->echo[i].channel);
		assert_int_equal(rig->echo[i].n_open, rig->echo[i].n_close);
	}
	fake_guest_fini(&rig->guest);
	return 0;
}

static const struct fake_open usual = {.gpadl_id = 0xe1e10, .n_ring_pages = 5, .target_vp = 1};

static void open_first(struct rig *rig, const struct fake_open *how)
{
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[0], how, &rig->channel), 0);
	assert_true(vmbus_channel_is_open(rig->echo[0].channel));
	assert_int_equal(vmbus_channel_relid(rig->echo[0].channel), rig->offers[0].relid);
}

/* Spin, bounded, until the condition of another thread holds. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		uint64_t _end_ns = clock_mono_ns() + 20 * NS_PER_SEC;                              \
		while (!(condition)) {                                                             \
			assert_true(clock_mono_ns() < _end_ns);                                    \
			sched_yield();                                                             \
		}                                                                                  \
	} while (0)

static void expect_echo(struct rig *rig, uint64_t id, const void *payload, size_t n)
{
	int got = fake_channel_recv(&rig->channel, rig->packet, sizeof(rig->packet));
	struct vmbus_packet_descriptor descriptor;

	memcpy(&descriptor, rig->packet, sizeof(descriptor));
	assert_int_equal(descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(descriptor.transaction_id, id);
	assert_int_equal(got, 16 + ALIGN_UP(n, 8));
	assert_memory_equal(rig->packet + 16, payload, n);
}

static void echo_one(struct rig *rig, uint64_t id)
{
	uint8_t payload[100];

	memset(payload, (int)id + 1, sizeof(payload));
	fake_channel_send(&rig->channel, id, payload, sizeof(payload));
	expect_echo(rig, id, payload, sizeof(payload));
}

/* It asks for signals only when it has done and signalled everything. */
static bool host_sleeps(struct rig *rig)
{
	return ring_get(&rig->channel.to_host, interrupt_mask) == 0;
}

static void test_echo(void **state)
{
	struct rig *rig = *state;
	struct vmbus_info info;

	open_first(rig, &usual);
	for (uint64_t id = 0; id < 200; id++)
		echo_one(rig, id);
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
static void pipeline(struct rig *rig, unsigned n_packets)
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
		expect_echo(rig, received++, payload, n);
	}
}

static void test_pipeline(void **state)
{
	struct rig *rig = *state;

	open_first(rig, &usual);
	pipeline(rig, 20000);
	assert_int_equal(echo_count(&rig->echo[0].n_broken), 0);
}

static void test_pipeline_on_scattered_pages(void **state)
{
	struct rig *rig = *state;
	const struct fake_open how = {.gpadl_id = 7, .n_ring_pages = 4, .scattered = true};

	open_first(rig, &how);
	pipeline(rig, 5000);
}

/* A ring of one page of data; a producer that sleeps until there is room. */
static void test_smallest_ring(void **state)
{
	struct rig *rig = *state;
	const struct fake_open how = {.gpadl_id = 7, .n_ring_pages = 2, .target_vp = 3};

	open_first(rig, &how);
	pipeline(rig, 2000);
	assert_true(fake_guest_n_signals(&rig->guest, 3) > 0);
	assert_int_equal(fake_guest_n_signals(&rig->guest, 1), 0);
}

/* The guest fills the ring, sleeps for room, and goes on when the host says so. */
static void test_guest_waits_for_room(void **state)
{
	struct rig *rig = *state;
	uint8_t payload[700] = {0};
	const unsigned n = 5000;

	open_first(rig, &usual);
	rig->channel.no_completions = true;
	for (unsigned i = 0; i < n; i++)
		fake_channel_send(&rig->channel, i, payload, 1 + i * 31 % sizeof(payload));
	wait_until(echo_count(&rig->echo[0].n_taken) == n);
	assert_int_equal(echo_count(&rig->echo[0].n_echoed), 0);
}

static void flood(struct rig *rig, uint64_t n)
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
	struct rig *rig = *state;

	open_first(rig, &usual);
	flood(rig, 10000);
	flood(rig, 1);
	echo_one(rig, 5);
	wait_until(ring_get(&rig->channel.from_host, pending_send_bytes) == 0);
}

static void read_everything(void *data)
{
	struct rig *rig = data;

	ring_set(&rig->channel.from_host, read_index, 0);
}

/* Room that the guest made after the host found none, and before the host asked for it: no signal
 * comes, so the host has to look again. */
static void test_room_before_it_is_asked_for(void **state)
{
	struct rig *rig = *state;
	const uint32_t data_bytes = 4 * VMBUS_PAGE_BYTES, packet_bytes = 16 + 8 + 8;
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_INBAND,
		.flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
	};
	uint64_t payload = 5;
	bool signal;

	open_first(rig, &usual);
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
	expect_echo(rig, 0, &payload, sizeof(payload));
}

/* A guest that never signals room is looked at. */
static void test_guest_without_the_feature(void **state)
{
	struct rig *rig = *state;

	open_first(rig, &usual);
	ring_set(&rig->channel.from_host, feature_bits, 0);
	ring_set(&rig->channel.to_host, feature_bits, 0);
	flood(rig, 1000);
}

/* One signal for a burst. */
static void test_signals_are_few(void **state)
{
	struct rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];
	unsigned before;

	open_first(rig, &usual);
	echo_one(rig, 1);
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
	struct rig *rig = *state;
	uint32_t page = fake_guest_alloc(&rig->guest, 2);
	uint64_t header[] = {1ULL << 32, 200 | 4000ULL << 32, guest_pfn(page + 1), guest_pfn(page)};
	uint8_t expected[200];

	memset(expected, 'a', 96);
	memset(expected + 96, 'b', 104);
	memcpy(guest_page(&rig->guest.memory, page + 1) + 4000, expected, 96);
	memcpy(guest_page(&rig->guest.memory, page), expected + 96, 104);
	open_first(rig, &usual);
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_GPA_DIRECT, 3, header, sizeof(header), "nvsp", 4));
	expect_echo(rig, 3, expected, sizeof(expected));
	/* Not memory: the device is told, and the channel goes on. */
	header[3] = 1;
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_GPA_DIRECT, 4, header, sizeof(header), "nvsp", 4));
	expect_echo(rig, 4, "", 0);
}

static void test_gpadls(void **state)
{
	struct rig *rig = *state;
	struct vmbus_channel *channel = rig->echo[0].channel;
	const struct vmbus_gpadl *gpadl;
	uint32_t first = fake_guest_alloc(&rig->guest, 100), pages[100];
	uint32_t relid = rig->offers[0].relid;
	uint8_t byte = 0x5a, got = 0;

	for (uint32_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = first + (i ^ 1);
	open_first(rig, &usual);
	assert_int_equal(vmbus_channel_gpadl(channel, 33, &gpadl), -ENOENT);
	assert_int_equal(fake_guest_make_gpadl(&rig->guest, relid, 33, pages, 100), 0);
	assert_int_equal(vmbus_channel_gpadl(channel, 33, &gpadl), 0);
	assert_int_equal(vmbus_channel_gpadl(rig->echo[1].channel, 33, &gpadl), -ENOENT);
	assert_int_equal(vmbus_gpadl_size_bytes(gpadl), 100 * 4096);
	assert_int_equal(vmbus_gpadl_write(gpadl, 99 * 4096 + 17, &byte, 1), 0);
	assert_int_equal(guest_page(&rig->guest.memory, pages[99])[17], 0x5a);
	assert_true(guest_page_is_dirty(&rig->guest.memory, pages[99]));
	assert_int_equal(vmbus_gpadl_read(gpadl, 99 * 4096 + 17, &got, 1), 0);
	assert_int_equal(got, 0x5a);

	fake_guest_teardown_gpadl(&rig->guest, relid, 33);
	assert_int_equal(rig->echo[0].n_gpadl_gone, 1);
	assert_int_equal(rig->echo[0].last_gpadl_gone, 33);
	assert_int_equal(vmbus_channel_gpadl(channel, 33, &gpadl), -ENOENT);
	echo_one(rig, 9);
	/* Not told of what it cannot hold any more. */
	assert_int_equal(fake_guest_make_gpadl(&rig->guest, relid, 34, pages, 1), 0);
	fake_channel_close(&rig->channel);
	fake_guest_teardown_gpadl(&rig->guest, relid, 34);
	assert_int_equal(rig->echo[0].n_gpadl_gone, 1);
	/* Memory that is none. */
	pages[50] = 1000000;
	assert_int_not_equal(fake_guest_make_gpadl(&rig->guest, relid, 35, pages, 100), 0);
}

static void test_reopen(void **state)
{
	struct rig *rig = *state;

	open_first(rig, &usual);
	for (unsigned i = 0; i < 100; i++) {
		/* Leave some under way. */
		for (unsigned n = i % 5; n; n--)
			fake_channel_try_send(
				&rig->channel, VMBUS_PACKET_INBAND, n, NULL, 0, "left behind", 11);
		fake_channel_close(&rig->channel);
		assert_false(vmbus_channel_is_open(rig->echo[0].channel));
		assert_int_equal(vmbus_channel_relid(rig->echo[0].channel), 0);
		guest_ring_reset(&rig->channel.to_host);
		guest_ring_reset(&rig->channel.from_host);
		assert_int_equal(fake_channel_reopen(&rig->channel), 0);
		echo_one(rig, i);
	}
	assert_int_equal(rig->echo[0].n_open, 101);
}

static void test_refused_open(void **state)
{
	struct rig *rig = *state;

	rig->echo[0].refuse_open = -ENODEV;
	assert_int_not_equal(
		fake_channel_open(&rig->guest, &rig->offers[0], &usual, &rig->channel), 0);
	rig->echo[0].refuse_open = 0;
	/* Indices that cannot be. */
	ring_set(&rig->channel.to_host, write_index, 0x10000000);
	assert_int_not_equal(fake_channel_reopen(&rig->channel), 0);
	ring_set(&rig->channel.to_host, write_index, 0);
	ring_set(&rig->channel.from_host, read_index, 12);
	assert_int_not_equal(fake_channel_reopen(&rig->channel), 0);
	ring_set(&rig->channel.from_host, read_index, 0);
	assert_int_equal(fake_channel_reopen(&rig->channel), 0);
	echo_one(rig, 1);
}

/* Breaks one channel in one way; the other one goes on, and a reopen heals. */
static void check_broken(struct rig *rig, struct fake_channel *other, uint32_t write_index,
	const struct vmbus_packet_descriptor *descriptor)
{
	struct fake_channel first = rig->channel;
	unsigned before = echo_count(&rig->echo[0].n_broken);

	if (descriptor)
		guest_ring_poke(&first.to_host, ring_get(&first.to_host, write_index), descriptor,
			sizeof(*descriptor));
	ring_set(&first.to_host, write_index, write_index);
	fake_channel_ring_doorbell(&first);
	wait_until(echo_count(&rig->echo[0].n_broken) > before);

	rig->channel = *other;
	echo_one(rig, 1);
	rig->channel = first;
	/* What it does now does not matter any more. */
	guest_ring_reset(&first.to_host);
	fake_channel_ring_doorbell(&first);
	before = echo_count(&rig->echo[0].n_broken);
	vmbus_channel_kick(rig->echo[0].channel);
	wait_until(echo_count(&rig->echo[0].n_broken) > before);
	assert_int_equal(fake_channel_try_recv(&first, rig->packet, sizeof(rig->packet)), 0);

	fake_channel_close(&first);
	guest_ring_reset(&first.from_host);
	assert_int_equal(fake_channel_reopen(&first), 0);
	echo_one(rig, 2);
	/* Back to where the next one begins. */
	fake_channel_close(&first);
	guest_ring_reset(&first.to_host);
	guest_ring_reset(&first.from_host);
	assert_int_equal(fake_channel_reopen(&first), 0);
}

static void test_broken_rings(void **state)
{
	struct rig *rig = *state;
	const struct fake_open how = {.gpadl_id = 99, .n_ring_pages = 4, .target_vp = 2};
	struct vmbus_packet_descriptor endless = {.type = 6, .offset8 = 2, .length8 = 0xffff};
	struct vmbus_packet_descriptor nothing = {.type = 6};
	struct fake_channel other;

	open_first(rig, &usual);
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[1], &how, &other), 0);
	check_broken(rig, &other, 0xfffffff8, NULL);
	check_broken(rig, &other, 7, NULL);
	check_broken(rig, &other, 64, &endless);
	check_broken(rig, &other, 64, &nothing);
	check_broken(rig, &other, 8, &nothing);
}

static void test_hostile_read_index_of_the_other_ring(void **state)
{
	struct rig *rig = *state;

	open_first(rig, &usual);
	__atomic_store_n(&rig->echo[0].flood_end, 1000, __ATOMIC_RELEASE); /* fills the ring */
	vmbus_channel_kick(rig->echo[0].channel);
	wait_until(ring_get(&rig->channel.from_host, pending_send_bytes));
	ring_set(&rig->channel.from_host, read_index, 0x20000001);
	fake_channel_ring_doorbell(&rig->channel);
	wait_until(echo_count(&rig->echo[0].n_broken));
	fake_channel_close(&rig->channel);
}

static void test_modify(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_modify_channel m = {
		.header.type = VMBUS_MSG_MODIFY_CHANNEL,
		.relid = rig->offers[0].relid,
		.target_vp = 2,
	};
	struct vmbus_msg_modify_response response;
	unsigned before;

	open_first(rig, &usual);
	echo_one(rig, 1);
	assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	fake_guest_take(
		&rig->guest, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.status, 0);
	before = fake_guest_n_signals(&rig->guest, 1);
	rig->channel.target_vp = 2;
	for (unsigned i = 0; i < 50; i++)
		echo_one(rig, i);
	assert_int_equal(fake_guest_n_signals(&rig->guest, 1), before);
}

static void test_no_interrupts(void **state)
{
	struct rig *rig = *state;
	const struct fake_open how = {
		.gpadl_id = 1,
		.n_ring_pages = 4,
		.target_vp = VMBUS_OPEN_NO_INTERRUPTS,
	};
	int got = 0;

	open_first(rig, &how);
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
	struct rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	echo->event_fd = fd;
	open_first(rig, &usual);
	echo_one(rig, 1);
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
	struct rig *rig = *state;
	struct echo_device *echo = &rig->echo[0];
	pthread_t threads[3];

	open_first(rig, &usual);
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

static void test_remove_while_open(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_relid rescind;

	open_first(rig, &usual);
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_INBAND, 1, NULL, 0, "under way", 9));
	vmbus_offer_remove(rig->echo[0].channel);
	rig->echo[0].channel = NULL;
	assert_int_equal(rig->echo[0].n_close, 1);
	fake_guest_take(&rig->guest, VMBUS_MSG_RESCIND_OFFER, &rescind, sizeof(rescind));
	assert_int_equal(rescind.relid, rig->offers[0].relid);
	fake_channel_ring_doorbell(&rig->channel); /* nobody there */
	rescind.header.type = VMBUS_MSG_RELID_RELEASED;
	assert_int_equal(fake_guest_post(&rig->guest, &rescind, sizeof(rescind)), 0);
}

static void test_unload(void **state)
{
	struct rig *rig = *state;
	struct fake_channel other;
	const struct fake_open how = {.gpadl_id = 99, .n_ring_pages = 4, .target_vp = 2};

	open_first(rig, &usual);
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[1], &how, &other), 0);
	fake_guest_unload(&rig->guest);
	assert_int_equal(rig->echo[0].n_close, 1);
	assert_int_equal(rig->echo[1].n_close, 1);
	/* The next kernel. */
	rig->guest.n_pages_used = 0;
	fake_guest_connect(&rig->guest, VMBUS_VERSION_4_0);
	assert_int_equal(fake_guest_request_offers(&rig->guest, rig->offers, 2), 2);
	open_first(rig, &usual);
	echo_one(rig, 1);
	/* A reset has no message. */
	vmbus_reset(rig->guest.bus);
	assert_int_equal(rig->echo[0].n_close, 2);
}

/* The guest takes its time with its slot; the answers wait in order. */
static void test_answers_wait_for_the_slot(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_gpadl_teardown m = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = rig->offers[0].relid,
	};
	struct vmbus_msg_gpadl_torndown answer;

	for (uint32_t i = 0; i < 10; i++) {
		m.gpadl_id = i;
		assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	}
	for (uint32_t i = 0; i < 10; i++) {
		fake_guest_take(&rig->guest, VMBUS_MSG_GPADL_TORNDOWN, &answer, sizeof(answer));
		assert_int_equal(answer.gpadl_id, i);
	}
	/* One whose SynIC is off gets nothing and holds up nothing. */
	rig->guest.deaf = true;
	assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	rig->guest.deaf = false;
	m.gpadl_id = 11;
	assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	fake_guest_take(&rig->guest, VMBUS_MSG_GPADL_TORNDOWN, &answer, sizeof(answer));
	assert_int_equal(answer.gpadl_id, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipeline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipeline_on_scattered_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smallest_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guest_waits_for_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_waits_for_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_before_it_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guest_without_the_feature, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_are_few, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gpa_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gpadls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hostile_read_index_of_the_other_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_fd_calls_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kicks_are_not_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_while_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_wait_for_the_slot, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
