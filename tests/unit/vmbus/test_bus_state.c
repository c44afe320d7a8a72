/* SPDX-License-Identifier: MIT
 *
 * The bus as a state unit: stopping amid traffic, moving to a new bus on the same memory, going on.
 */
#include "base/clock.h"
#include "echo_device.h"
#include "fake_guest.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct rig {
	struct fake_guest guest;
	struct echo_device echo;
	struct vmbus_msg_offer_channel offer;
	struct fake_channel channel;
	struct buf saved;
	uint8_t packet[VMBUS_MAX_PACKET_BYTES];
};

static const struct fake_open usual = {.gpadl_id = 0xe1e10, .n_ring_pages = 5, .target_vp = 1};

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, 512);
	echo_init(&rig.echo);
	echo_offer(&rig.echo, rig.guest.bus, 1);
	*state = &rig;
	return 0;
}

static int setup_open(void **state)
{
	struct rig *rig;

	setup(state);
	rig = *state;
	fake_guest_start(&rig->guest);
	fake_guest_connect(&rig->guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig->guest, &rig->offer, 1), 1);
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offer, &usual, &rig->channel), 0);
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fake_guest_stop(&rig->guest);
	vmbus_offer_remove(rig->echo.channel);
	fake_guest_fini(&rig->guest);
	buf_fini(&rig->saved);
	return 0;
}

/* A new bus with a new device on the same memory, and the saved state; not started. */
static int move(struct rig *rig)
{
	struct reader in;
	int err;

	fake_guest_stop(&rig->guest);
	buf_reset(&rig->saved);
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
	vmbus_offer_remove(rig->echo.channel);
	fake_guest_free_bus(&rig->guest);
	memset(rig->guest.flags, 0, sizeof(rig->guest.flags));
	fake_guest_new_bus(&rig->guest);
	echo_init(&rig->echo);
	echo_offer(&rig->echo, rig->guest.bus, 1);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	err = unit_restore_all(rig->guest.units, &in, NULL);
	if (!err)
		assert_true(reader_done(&in));
	return err;
}

static void send_one(struct rig *rig, uint64_t id)
{
	assert_true(fake_channel_try_send(
		&rig->channel, VMBUS_PACKET_INBAND, id, NULL, 0, &id, sizeof(id)));
}

static void expect_one(struct rig *rig, uint64_t id)
{
	int n = fake_channel_recv(&rig->channel, rig->packet, sizeof(rig->packet));
	struct vmbus_packet_descriptor descriptor;

	assert_int_equal(n, 24);
	memcpy(&descriptor, rig->packet, sizeof(descriptor));
	assert_int_equal(descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(descriptor.transaction_id, id);
	assert_memory_equal(rig->packet + 16, &id, 8);
}

static void test_not_started(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_initiate_contact m = {
		.header.type = VMBUS_MSG_INITIATE_CONTACT,
		.version = VMBUS_VERSION_4_0,
	};

	assert_int_equal(
		fake_guest_post(&rig->guest, &m, sizeof(m)), HV_STATUS_INSUFFICIENT_BUFFERS);
	fake_guest_start(&rig->guest);
	fake_guest_connect(&rig->guest, VMBUS_VERSION_4_0);
	fake_guest_stop(&rig->guest);
	assert_int_equal(
		fake_guest_post(&rig->guest, &m, sizeof(m)), HV_STATUS_INSUFFICIENT_BUFFERS);
	fake_guest_start(&rig->guest);
	assert_int_equal(fake_guest_request_offers(&rig->guest, &rig->offer, 1), 1);
}

/* Nothing is touched while stopped; what came meanwhile is done after. */
static void test_stop_and_start(void **state)
{
	struct rig *rig = *state;
	const size_t n_bytes = rig->guest.memory.n_pages * GPA_PAGE_SIZE;
	uint8_t *copy = malloc(n_bytes);

	assert_non_null(copy);
	for (uint64_t round = 0; round < 50; round++) {
		unsigned n_work;

		for (uint64_t i = 0; i < round % 7; i++)
			send_one(rig, i);
		fake_guest_stop(&rig->guest);
		n_work = echo_count(&rig->echo.n_work);
		send_one(rig, 100);
		fake_channel_ring_doorbell(&rig->channel);
		vmbus_channel_kick(rig->echo.channel);
		memcpy(copy, rig->guest.memory.host, n_bytes);
		sched_yield();
		assert_int_equal(echo_count(&rig->echo.n_work), n_work);
		assert_memory_equal(copy, rig->guest.memory.host, n_bytes);
		fake_guest_start(&rig->guest);
		for (uint64_t i = 0; i < round % 7; i++)
			expect_one(rig, i);
		expect_one(rig, 100);
	}
	free(copy);
}

static void test_move_amid_traffic(void **state)
{
	struct rig *rig = *state;
	uint64_t sent = 0, received = 0;

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 30; i++)
			send_one(rig, sent++);
		for (unsigned i = 0; i < round; i++)
			expect_one(rig, received++);
		assert_int_equal(move(rig), 0);
		assert_true(vmbus_channel_is_open(rig->echo.channel));
		assert_int_equal(rig->echo.n_open, 0);
		send_one(rig, sent++);
		fake_guest_start(&rig->guest);
		while (received < sent)
			expect_one(rig, received++);
	}
	fake_channel_close(&rig->channel);
	assert_int_equal(rig->echo.n_close, 1);
	assert_int_equal(fake_channel_reopen(&rig->channel), 0);
	send_one(rig, 1);
	expect_one(rig, 1);
}

/* The destination tells the guest once, even if there is nothing: a signal may have been lost. */
static void test_start_signals_both_ways(void **state)
{
	struct rig *rig = *state;
	unsigned before;

	send_one(rig, 1);
	expect_one(rig, 1);
	assert_int_equal(move(rig), 0);
	before = fake_guest_n_signals(&rig->guest, 1);
	fake_guest_start(&rig->guest);
	fake_channel_wait(&rig->channel);
	assert_true(fake_guest_n_signals(&rig->guest, 1) > before);

	/* The doorbell that was rung at the source is not needed: the ring is looked at. */
	fake_guest_stop(&rig->guest);
	fake_guest_start(&rig->guest);
	assert_int_equal(move(rig), 0);
	{
		struct vmbus_packet_descriptor descriptor = {
			.type = VMBUS_PACKET_INBAND,
			.flags = 1,
			.transaction_id = 7,
		};
		uint64_t id = 7;
		bool signal;

		assert_true(guest_ring_send(
			&rig->channel.to_host, descriptor, NULL, 0, &id, sizeof(id), &signal));
	}
	fake_guest_start(&rig->guest);
	expect_one(rig, 7);
}

/* The rings are taken up at start: memory may still arrive after the state. */
static void test_memory_after_state(void **state)
{
	struct rig *rig = *state;
	const size_t n_bytes = rig->guest.memory.n_pages * GPA_PAGE_SIZE;
	uint8_t *copy = malloc(n_bytes);

	assert_non_null(copy);
	for (uint64_t i = 0; i < 100; i++) {
		send_one(rig, i);
		expect_one(rig, i);
	}
	fake_guest_stop(&rig->guest);
	memcpy(copy, rig->guest.memory.host, n_bytes);
	memset(rig->guest.memory.host, 0xff, n_bytes);
	assert_int_equal(move(rig), 0);
	memcpy(rig->guest.memory.host, copy, n_bytes);
	fake_guest_start(&rig->guest);
	send_one(rig, 5);
	expect_one(rig, 5);
	free(copy);
}

/* A guest that broke its rings can be moved away all the same. */
static void test_move_broken_rings(void **state)
{
	struct rig *rig = *state;

	ring_set(&rig->channel.to_host, write_index, 3);
	assert_int_equal(move(rig), 0);
	fake_guest_start(&rig->guest);
	fake_channel_close(&rig->channel);
	guest_ring_reset(&rig->channel.to_host);
	guest_ring_reset(&rig->channel.from_host);
	assert_int_equal(fake_channel_reopen(&rig->channel), 0);
	send_one(rig, 5);
	expect_one(rig, 5);
}

static void test_move_with_gpadl(void **state)
{
	struct rig *rig = *state;
	uint32_t first = fake_guest_alloc(&rig->guest, 60), pages[60];
	const struct vmbus_gpadl *gpadl;
	uint8_t byte = 9;

	for (uint32_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = first + (i ^ 1);
	assert_int_equal(fake_guest_make_gpadl(&rig->guest, rig->offer.relid, 77, pages, 60), 0);
	assert_int_equal(move(rig), 0);
	assert_int_equal(vmbus_channel_gpadl(rig->echo.channel, 77, &gpadl), 0);
	assert_int_equal(vmbus_gpadl_write(gpadl, 4096, &byte, 1), 0);
	assert_int_equal(guest_page(&rig->guest.memory, pages[1])[0], 9);
	fake_guest_start(&rig->guest);
	fake_guest_teardown_gpadl(&rig->guest, rig->offer.relid, 77);
	assert_int_equal(rig->echo.n_gpadl_gone, 1);
}

/* Answers that found the slot taken come after the move, in order. */
static void test_move_with_queued_messages(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_gpadl_teardown m = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = rig->offer.relid,
	};
	struct vmbus_msg_gpadl_torndown answer;

	for (uint32_t i = 0; i < 5; i++) {
		m.gpadl_id = i;
		assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	}
	/* The first is in the slot, which is guest memory and moves by itself. */
	assert_int_equal(move(rig), 0);
	fake_guest_start(&rig->guest);
	for (uint32_t i = 0; i < 5; i++) {
		fake_guest_take(&rig->guest, VMBUS_MSG_GPADL_TORNDOWN, &answer, sizeof(answer));
		assert_int_equal(answer.gpadl_id, i);
	}
}

static void test_restored_and_never_started(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(move(rig), 0);
	assert_int_equal(move(rig), 0);
}

static void test_state_that_names_other_memory(void **state)
{
	struct rig *rig = *state;
	struct reader in;

	fake_guest_stop(&rig->guest);
	assert_int_equal(unit_save_all(rig->guest.units, &rig->saved), 0);
	vmbus_offer_remove(rig->echo.channel);
	fake_guest_fini(&rig->guest);
	fake_guest_init(&rig->guest, 4); /* a smaller machine */
	echo_offer(&rig->echo, rig->guest.bus, 1);
	in = reader_make(rig->saved.data, rig->saved.size_bytes);
	assert_int_equal(unit_restore_all(rig->guest.units, &in, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_not_started, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_and_start, setup_open, teardown),
		cmocka_unit_test_setup_teardown(test_move_amid_traffic, setup_open, teardown),
		cmocka_unit_test_setup_teardown(test_start_signals_both_ways, setup_open, teardown),
		cmocka_unit_test_setup_teardown(test_memory_after_state, setup_open, teardown),
		cmocka_unit_test_setup_teardown(test_move_broken_rings, setup_open, teardown),
		cmocka_unit_test_setup_teardown(test_move_with_gpadl, setup_open, teardown),
		cmocka_unit_test_setup_teardown(
			test_move_with_queued_messages, setup_open, teardown),
		cmocka_unit_test_setup_teardown(
			test_restored_and_never_started, setup_open, teardown),
		cmocka_unit_test_setup_teardown(
			test_state_that_names_other_memory, setup_open, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
