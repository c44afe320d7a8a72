/* SPDX-License-Identifier: MIT
 *
 * The life of a channel: GPADLs, opening and closing, a hostile guest, moving to another VP,
 * rescind, unload.
 */
#include "channel_rig.h"

static void test_gpadls(void **state)
{
	struct channel_rig *rig = *state;
	struct vmbus_channel *channel = rig->echo[0].channel;
	const struct vmbus_gpadl *gpadl;
	uint32_t first = fake_guest_alloc(&rig->guest, 100), pages[100];
	uint32_t relid = rig->offers[0].relid;
	uint8_t byte = 0x5a, got = 0;

	for (uint32_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = first + (i ^ 1);
	channel_rig_open(rig, &channel_rig_rings);
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
	channel_rig_echo(rig, 9);
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
	struct channel_rig *rig = *state;

	channel_rig_open(rig, &channel_rig_rings);
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
		channel_rig_echo(rig, i);
	}
	assert_int_equal(rig->echo[0].n_open, 101);
}

static void test_refused_open(void **state)
{
	struct channel_rig *rig = *state;

	rig->echo[0].refuse_open = -ENODEV;
	assert_int_not_equal(
		fake_channel_open(&rig->guest, &rig->offers[0], &channel_rig_rings, &rig->channel),
		0);
	rig->echo[0].refuse_open = 0;
	/* Indices that cannot be. */
	ring_set(&rig->channel.to_host, write_index, 0x10000000);
	assert_int_not_equal(fake_channel_reopen(&rig->channel), 0);
	ring_set(&rig->channel.to_host, write_index, 0);
	ring_set(&rig->channel.from_host, read_index, 12);
	assert_int_not_equal(fake_channel_reopen(&rig->channel), 0);
	ring_set(&rig->channel.from_host, read_index, 0);
	assert_int_equal(fake_channel_reopen(&rig->channel), 0);
	channel_rig_echo(rig, 1);
}

/* Breaks one channel in one way; the other one goes on, and a reopen heals. */
static void check_broken(struct channel_rig *rig, struct fake_channel *other, uint32_t write_index,
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
	channel_rig_echo(rig, 1);
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
	channel_rig_echo(rig, 2);
	/* Back to where the next one begins. */
	fake_channel_close(&first);
	guest_ring_reset(&first.to_host);
	guest_ring_reset(&first.from_host);
	assert_int_equal(fake_channel_reopen(&first), 0);
}

static void test_broken_rings(void **state)
{
	struct channel_rig *rig = *state;
	const struct fake_open how = {.gpadl_id = 99, .n_ring_pages = 4, .target_vp = 2};
	struct vmbus_packet_descriptor endless = {.type = 6, .offset8 = 2, .length8 = 0xffff};
	struct vmbus_packet_descriptor nothing = {.type = 6};
	struct fake_channel other;

	channel_rig_open(rig, &channel_rig_rings);
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[1], &how, &other), 0);
	check_broken(rig, &other, 0xfffffff8, NULL);
	check_broken(rig, &other, 7, NULL);
	check_broken(rig, &other, 64, &endless);
	check_broken(rig, &other, 64, &nothing);
	check_broken(rig, &other, 8, &nothing);
}

static void test_hostile_read_index_of_the_other_ring(void **state)
{
	struct channel_rig *rig = *state;

	channel_rig_open(rig, &channel_rig_rings);
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
	struct channel_rig *rig = *state;
	struct vmbus_msg_modify_channel m = {
		.header.type = VMBUS_MSG_MODIFY_CHANNEL,
		.relid = rig->offers[0].relid,
		.target_vp = 2,
	};
	struct vmbus_msg_modify_response response;
	unsigned before;

	channel_rig_open(rig, &channel_rig_rings);
	channel_rig_echo(rig, 1);
	assert_int_equal(fake_guest_post(&rig->guest, &m, sizeof(m)), 0);
	fake_guest_take(
		&rig->guest, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.status, 0);
	before = fake_guest_n_signals(&rig->guest, 1);
	rig->channel.target_vp = 2;
	for (unsigned i = 0; i < 50; i++)
		channel_rig_echo(rig, i);
	assert_int_equal(fake_guest_n_signals(&rig->guest, 1), before);
}

static void test_remove_while_open(void **state)
{
	struct channel_rig *rig = *state;
	struct vmbus_msg_relid rescind;

	channel_rig_open(rig, &channel_rig_rings);
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
	struct channel_rig *rig = *state;
	struct fake_channel other;
	const struct fake_open how = {.gpadl_id = 99, .n_ring_pages = 4, .target_vp = 2};

	channel_rig_open(rig, &channel_rig_rings);
	assert_int_equal(fake_channel_open(&rig->guest, &rig->offers[1], &how, &other), 0);
	fake_guest_unload(&rig->guest);
	assert_int_equal(rig->echo[0].n_close, 1);
	assert_int_equal(rig->echo[1].n_close, 1);
	/* The next kernel. */
	rig->guest.n_pages_used = 0;
	fake_guest_connect(&rig->guest, VMBUS_VERSION_4_0);
	assert_int_equal(fake_guest_request_offers(&rig->guest, rig->offers, 2), 2);
	channel_rig_open(rig, &channel_rig_rings);
	channel_rig_echo(rig, 1);
	/* A reset has no message. */
	vmbus_reset(rig->guest.bus);
	assert_int_equal(rig->echo[0].n_close, 2);
}

/* The guest takes its time with its slot; the answers wait in order. */
static void test_answers_wait_for_the_slot(void **state)
{
	struct channel_rig *rig = *state;
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

#define POSTS_PER_VP 300

static void *post_often(void *data)
{
	struct channel_rig *rig = data;
	struct vmbus_msg_gpadl_teardown m = {
		.header.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = rig->offers[1].relid,
	};
	unsigned n = 0;

	/* Pushed back when the answers are not taken; nothing is lost by trying again. */
	while (n < POSTS_PER_VP) {
		if (fake_guest_post(&rig->guest, &m, sizeof(m)) == HV_STATUS_SUCCESS)
			n++;
		else
			sched_yield();
	}
	return NULL;
}

static void test_posts_from_many_vps(void **state)
{
	struct channel_rig *rig = *state;
	pthread_t threads[3];

	channel_rig_open(rig, &channel_rig_rings);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_often, rig), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads) * POSTS_PER_VP; i++) {
		fake_guest_take(&rig->guest, VMBUS_MSG_GPADL_TORNDOWN, NULL,
			sizeof(struct vmbus_msg_gpadl_torndown));
		channel_rig_echo(rig, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_gpadls, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_reopen, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_refused_open, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_broken_rings, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(test_hostile_read_index_of_the_other_ring,
			channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_modify, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_remove_while_open, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_unload, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_answers_wait_for_the_slot, channel_rig_setup, channel_rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_posts_from_many_vps, channel_rig_setup, channel_rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
