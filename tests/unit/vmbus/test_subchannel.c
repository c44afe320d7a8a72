/* SPDX-License-Identifier: MIT
 *
 * Sub-channels on the whole bus: a worker asks for them, a guest opens them on VPs of their own,
 * the machine moves, the driver starts over.
 */
#include "channel_rig.h"
#include "vmbus/bus.h"

#define N_SUBS   3
#define DEVICES  (1 + N_SUBS)
#define GPADL    0xe1e10
#define N_ROUNDS 20

struct rig {
	struct fake_guest guest;
	struct echo_device echo[DEVICES];               /* the primary, its sub-channels */
	struct vmbus_msg_offer_channel offers[DEVICES]; /* as last offered */
	struct fake_channel channels[DEVICES];
	uint8_t packet[VMBUS_MAX_PACKET_BYTES];
};

static void offer_device(struct rig *rig)
{
	for (unsigned i = 0; i < DEVICES; i++)
		echo_init(&rig->echo[i]);
	echo_offer(&rig->echo[0], rig->guest.bus, 1);
	for (unsigned i = 1; i < DEVICES; i++)
		assert_int_equal(vmbus_subchannel_add(rig->echo[0].channel, &echo_ops,
					 &rig->echo[i], &rig->echo[i].channel),
			0);
}

/* Open on VP i % 4; the rings' pages are made once and used again. */
static void open_channel(struct rig *rig, unsigned i)
{
	struct fake_channel *channel = &rig->channels[i];
	struct fake_open how = {.gpadl_id = GPADL + i, .n_ring_pages = 3, .target_vp = i % 4};

	rig->guest.n_pages_used = i * 8;
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[i], &how, channel), 0);
	assert_int_equal(vmbus_channel_target_vp(rig->echo[i].channel), i % 4);
}

static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	fake_guest_init(&rig.guest, 64);
	offer_device(&rig);
	fake_guest_start(&rig.guest);
	fake_guest_connect(&rig.guest, VMBUS_VERSION_5_3);
	assert_int_equal(fake_guest_request_offers(&rig.guest, rig.offers, 1), 1);
	open_channel(&rig, 0);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fake_guest_stop(&rig->guest);
	vmbus_offer_remove(rig->echo[0].channel);
	fake_guest_fini(&rig->guest);
	return 0;
}

static void send(struct rig *rig, unsigned i, uint64_t id)
{
	assert_true(fake_channel_try_send(
		&rig->channels[i], VMBUS_PACKET_INBAND, id, NULL, 0, &id, sizeof(id)));
}

static void check_echo(struct rig *rig, uint64_t id)
{
	struct vmbus_packet_descriptor descriptor;

	memcpy(&descriptor, rig->packet, sizeof(descriptor));
	assert_int_equal(descriptor.type, VMBUS_PACKET_COMPLETION);
	assert_true(descriptor.transaction_id == id);
	assert_memory_equal(rig->packet + 16, &id, 8);
}

static void expect_echo(struct rig *rig, unsigned i, uint64_t id)
{
	assert_int_equal(
		fake_channel_recv(&rig->channels[i], rig->packet, sizeof(rig->packet)), 24);
	check_echo(rig, id);
}

static void take_offers(struct rig *rig, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		struct vmbus_msg_offer_channel *offer = &rig->offers[i];

		fake_guest_take(&rig->guest, VMBUS_MSG_OFFER_CHANNEL, offer, sizeof(*offer));
		assert_int_equal(offer->sub_channel_index, i);
		assert_memory_equal(offer->instance_guid, rig->offers[0].instance_guid, 16);
	}
}

static void take_rescinds(struct rig *rig, unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		struct vmbus_msg_relid m;

		fake_guest_take(&rig->guest, VMBUS_MSG_RESCIND_OFFER, &m, sizeof(m));
		assert_int_equal(m.relid, rig->offers[i].relid);
	}
}

static void release(struct rig *rig, unsigned i)
{
	struct vmbus_msg_relid m = {
		.header.type = VMBUS_MSG_RELID_RELEASED,
		.relid = rig->offers[i].relid,
	};

	assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
}

/* Ask for them as a driver does; the answer is there before the first offer is. */
static void ask(struct rig *rig, unsigned n)
{
	const uint64_t id = ECHO_OFFER_SUBCHANNELS + n;

	send(rig, 0, id);
	take_offers(rig, 1, n);
	assert_int_equal(
		fake_channel_try_recv(&rig->channels[0], rig->packet, sizeof(rig->packet)), 24);
	check_echo(rig, id);
}

static void open_subs(struct rig *rig)
{
	ask(rig, N_SUBS);
	for (unsigned i = 1; i < DEVICES; i++)
		open_channel(rig, i);
}

static void *echo_many(void *data)
{
	struct fake_channel *channel = data;

	for (uint64_t id = 1; id <= 500; id++) {
		uint8_t packet[64];

		fake_channel_send(channel, id, &id, sizeof(id));
		assert_int_equal(fake_channel_recv(channel, packet, sizeof(packet)), 24);
		assert_memory_equal(packet + 16, &id, 8);
	}
	return NULL;
}

/* Each with its own rings, worker, doorbell and VP. */
static void test_channels_of_their_own(void **state)
{
	struct rig *rig = *state;
	pthread_t threads[DEVICES];

	open_subs(rig);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, echo_many, &rig->channels[i]), 0);
	for (unsigned i = 0; i < DEVICES; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 1; i < DEVICES; i++) {
		assert_int_equal(echo_count(&rig->echo[i].n_open), 1);
		assert_int_equal(echo_count(&rig->echo[i].n_echoed), 500);
		/* A flag of its own in the page of its own VP, and in no other. */
		for (unsigned vp = 0; vp < FAKE_N_VPS; vp++)
			assert_int_equal(
				fake_guest_flag_was_set(&rig->guest, vp, rig->offers[i].relid),
				vp == i % 4);
	}
}

static void test_retarget(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_modify_channel m = {
		.header.type = VMBUS_MSG_MODIFY_CHANNEL,
		.target_vp = 0,
	};
	struct vmbus_msg_modify_response response;

	open_subs(rig);
	m.relid = rig->offers[3].relid;
	assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	fake_guest_take(
		&rig->guest, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.status, 0);
	assert_int_equal(vmbus_channel_target_vp(rig->echo[3].channel), 0);
	rig->channels[3].target_vp = 0;
	send(rig, 3, 1);
	expect_echo(rig, 3, 1);
	assert_int_equal(vmbus_channel_target_vp(rig->echo[2].channel), 2);
}

static void test_too_many(void **state)
{
	struct rig *rig = *state;
	struct vmbus_channel *channel = NULL;

	send(rig, 0, ECHO_OFFER_SUBCHANNELS + N_SUBS + 1);
	expect_echo(rig, 0, ECHO_OFFER_SUBCHANNELS + N_SUBS + 1);
	send(rig, 0, 1);
	expect_echo(rig, 0, 1);
	assert_int_equal(rig->echo[0].offer_error, -EINVAL);
	assert_int_equal(
		vmbus_subchannel_add(rig->echo[0].channel, &echo_ops, &rig->echo[1], &channel),
		-EBUSY);
	assert_null(channel);
	ask(rig, 1);
}

/* What a change of the MTU does: everything closed, opened, asked for again. */
static void test_start_over(void **state)
{
	struct rig *rig = *state;

	for (unsigned round = 1; round <= N_ROUNDS; round++) {
		bool tidy = round % 2;

		open_subs(rig);
		for (unsigned i = 0; i < DEVICES; i++) {
			send(rig, i, round);
			expect_echo(rig, i, round);
		}
		for (unsigned i = 1; i < DEVICES && tidy; i++) {
			fake_channel_close(&rig->channels[i]);
			fake_guest_teardown_gpadl(&rig->guest, rig->offers[i].relid, GPADL + i);
		}
		fake_channel_close(&rig->channels[0]);
		for (unsigned i = 0; i < DEVICES; i++) {
			assert_int_equal(rig->echo[i].n_close, round);
			assert_false(vmbus_channel_is_open(rig->echo[i].channel));
			assert_int_equal(vmbus_channel_relid(rig->echo[i].channel), 0);
		}
		take_rescinds(rig, N_SUBS);
		for (unsigned i = 1; i < DEVICES; i++)
			release(rig, i);
		fake_guest_teardown_gpadl(&rig->guest, rig->offers[0].relid, GPADL);
		open_channel(rig, 0);
	}
}

/* Asked for by a guest that has not released them: as soon as it does. */
static void test_release_late(void **state)
{
	struct rig *rig = *state;

	open_subs(rig);
	fake_channel_close(&rig->channels[0]);
	take_rescinds(rig, N_SUBS);
	assert_int_equal(fake_channel_reopen(&rig->channels[0]), 0);
	send(rig, 0, ECHO_OFFER_SUBCHANNELS + 2);
	expect_echo(rig, 0, ECHO_OFFER_SUBCHANNELS + 2);
	release(rig, 2);
	take_offers(rig, 2, 1);
	release(rig, 1);
	take_offers(rig, 1, 1);
	open_channel(rig, 1);
	send(rig, 1, 7);
	expect_echo(rig, 1, 7);
}

/* The wish of a worker is not lost to a stop that comes between, nor granted twice. */
static void test_stop_after_asking(void **state)
{
	struct rig *rig = *state;

	for (unsigned round = 0; round < 100; round++) {
		const uint64_t id = ECHO_OFFER_SUBCHANNELS + N_SUBS;

		send(rig, 0, id);
		for (unsigned i = 0; i < round % 5; i++)
			sched_yield();
		fake_guest_stop(&rig->guest);
		fake_guest_start(&rig->guest);
		take_offers(rig, 1, N_SUBS);
		expect_echo(rig, 0, id);
		fake_channel_close(&rig->channels[0]);
		take_rescinds(rig, N_SUBS);
		for (unsigned i = 1; i < DEVICES; i++)
			release(rig, i);
		assert_int_equal(fake_channel_reopen(&rig->channels[0]), 0);
	}
}

/* A new bus with new devices on the same memory, and the saved state; started. */
static void move(struct rig *rig)
{
	struct buf saved = {0};
	struct reader in;

	fake_guest_stop(&rig->guest);
	assert_int_equal(unit_save_all(rig->guest.units, &saved), 0);
	vmbus_offer_remove(rig->echo[0].channel);
	fake_guest_free_bus(&rig->guest);
	memset(rig->guest.flags, 0, sizeof(rig->guest.flags));
	fake_guest_new_bus(&rig->guest);
	offer_device(rig);
	in = reader_make(saved.data, saved.size_bytes);
	assert_int_equal(unit_restore_all(rig->guest.units, &in, NULL), 0);
	assert_true(reader_done(&in));
	buf_fini(&saved);
	fake_guest_start(&rig->guest);
}

static void test_move(void **state)
{
	struct rig *rig = *state;

	open_subs(rig);
	for (uint64_t round = 1; round <= N_ROUNDS; round++) {
		for (unsigned i = 0; i < DEVICES; i++)
			send(rig, i, round);
		move(rig);
		for (unsigned i = 0; i < DEVICES; i++) {
			assert_true(vmbus_channel_is_open(rig->echo[i].channel));
			assert_int_equal(
				vmbus_channel_relid(rig->echo[i].channel), rig->offers[i].relid);
			assert_int_equal(vmbus_channel_target_vp(rig->echo[i].channel), i % 4);
			assert_int_equal(rig->echo[i].n_open, 0);
			expect_echo(rig, i, round);
		}
	}
	/* The destination knows them as the source did. */
	fake_channel_close(&rig->channels[0]);
	take_rescinds(rig, N_SUBS);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(rig->echo[i].n_close, 1);
}

/* On the worker: go on only when the bus is being stopped and waits for it. */
static void wait_for_the_stop(void *data)
{
	struct vmbus_channel *channel = data;

	wait_until(__atomic_load_n(&channel->worker.held, __ATOMIC_ACQUIRE));
}

/* The worker asks when nobody can offer any more: what it asked for moves. */
static void test_move_while_asking(void **state)
{
	struct rig *rig = *state;
	const uint64_t id = ECHO_OFFER_SUBCHANNELS + N_SUBS;

	rig->echo[0].on_offer = wait_for_the_stop;
	rig->echo[0].hook_data = rig->echo[0].channel;
	send(rig, 0, id);
	wait_until(echo_count(&rig->echo[0].n_echoed));
	move(rig);
	take_offers(rig, 1, N_SUBS);
	expect_echo(rig, 0, id);
	open_channel(rig, 1);
	send(rig, 1, 3);
	expect_echo(rig, 1, 3);
}

/* Asked for at the source, offered at the destination. */
static void test_move_after_asking(void **state)
{
	struct rig *rig = *state;
	const uint64_t id = ECHO_OFFER_SUBCHANNELS + N_SUBS;

	for (unsigned round = 0; round < N_ROUNDS; round++) {
		send(rig, 0, id);
		move(rig);
		take_offers(rig, 1, N_SUBS);
		expect_echo(rig, 0, id);
		move(rig);
		open_channel(rig, 2);
		send(rig, 2, 5);
		expect_echo(rig, 2, 5);
		move(rig);
		fake_channel_close(&rig->channels[0]);
		take_rescinds(rig, N_SUBS);
		move(rig);
		for (unsigned i = 1; i < DEVICES; i++)
			release(rig, i);
		assert_int_equal(fake_channel_reopen(&rig->channels[0]), 0);
	}
}

static void expect_stillness(void *data)
{
	struct rig *rig = data;
	unsigned before[DEVICES];

	for (unsigned i = 0; i < DEVICES; i++)
		before[i] = echo_count(&rig->echo[i].n_work);
	for (unsigned i = 0; i < DEVICES; i++)
		vmbus_channel_kick(rig->echo[i].channel);
	for (unsigned n = 0; n < 100; n++)
		sched_yield();
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(echo_count(&rig->echo[i].n_work), before[i]);
}

/* A buffer of the primary goes: nobody of the family is at work meanwhile, and all go on after. */
static void test_buffer_of_all_channels(void **state)
{
	struct rig *rig = *state;
	uint32_t page = 60;

	open_subs(rig);
	rig->echo[0].on_gpadl_gone = expect_stillness;
	rig->echo[0].hook_data = rig;
	for (unsigned round = 1; round <= N_ROUNDS; round++) {
		assert_int_equal(
			fake_guest_make_gpadl(&rig->guest, rig->offers[0].relid, 99, &page, 1), 0);
		for (unsigned i = 0; i < DEVICES; i++)
			send(rig, i, round);
		fake_guest_teardown_gpadl(&rig->guest, rig->offers[0].relid, 99);
		assert_int_equal(rig->echo[0].n_gpadl_gone, round);
		for (unsigned i = 0; i < DEVICES; i++)
			expect_echo(rig, i, round);
	}
	rig->echo[0].on_gpadl_gone = NULL;
}

static void test_unload_and_reset(void **state)
{
	struct rig *rig = *state;

	for (unsigned round = 1; round <= 6; round++) {
		open_subs(rig);
		if (round % 3 == 0) {
			vmbus_reset(rig->guest.bus);
		} else if (round % 3 == 1) {
			fake_guest_unload(&rig->guest);
		}
		fake_guest_connect(&rig->guest, VMBUS_VERSION_5_3);
		assert_int_equal(fake_guest_request_offers(&rig->guest, rig->offers, 1), 1);
		for (unsigned i = 0; i < DEVICES; i++)
			assert_int_equal(rig->echo[i].n_close, round);
		open_channel(rig, 0);
	}
}

static void test_remove_and_return(void **state)
{
	struct rig *rig = *state;
	struct vmbus_msg_relid m;

	open_subs(rig);
	vmbus_offer_remove(rig->echo[0].channel);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(rig->echo[i].n_close, 1);
	take_rescinds(rig, N_SUBS);
	fake_guest_take(&rig->guest, VMBUS_MSG_RESCIND_OFFER, &m, sizeof(m));
	assert_int_equal(m.relid, rig->offers[0].relid);
	fake_guest_stop(&rig->guest);
	offer_device(rig);
	fake_guest_start(&rig->guest);
	for (unsigned i = 0; i < DEVICES; i++)
		release(rig, i);
	take_offers(rig, 0, 1);
	open_channel(rig, 0);
	open_subs(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_channels_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retarget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_after_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move_while_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move_after_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_buffer_of_all_channels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unload_and_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_and_return, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
