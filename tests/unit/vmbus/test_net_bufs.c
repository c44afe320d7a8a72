/* SPDX-License-Identifier: MIT */
#include "vmbus/net_bufs.h"

#include "net_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SECTION_BYTES 1728
#define N_SECTIONS    40
#define QUEUE         3

static struct vmbus_channel *channel;
static struct net_recv_buf recv_buf;
static struct net_send_buf send_buf;

static const struct vmbus_gpadl *gpadl(uint32_t size_bytes)
{
	static uint32_t next_id = 1;
	const struct vmbus_gpadl *made;

	net_double_gpadl(channel, next_id, size_bytes);
	assert_int_equal(vmbus_channel_gpadl(channel, next_id++, &made), 0);
	return made;
}

static int setup(void **state)
{
	(void)state;
	channel = net_double_new();
	net_recv_buf_init(&recv_buf);
	send_buf = (struct net_send_buf){0};
	return net_recv_buf_set(
		&recv_buf, gpadl(N_SECTIONS * SECTION_BYTES + 100), 7, 0xcafe, SECTION_BYTES);
}

static int teardown(void **state)
{
	(void)state;
	net_recv_buf_fini(&recv_buf);
	net_double_free(channel);
	return 0;
}

/* Take `n` sections and give them to the guest as one packet. */
static uint64_t give(unsigned n, uint32_t *sections)
{
	assert_int_equal(net_recv_buf_take(&recv_buf, false, n, sections), 0);
	net_recv_buf_give(&recv_buf, QUEUE, sections, n);
	return net_recv_buf_transaction(&recv_buf, sections[0]);
}

static void cuts_the_buffer(void **state)
{
	(void)state;
	assert_true(net_recv_buf_ready(&recv_buf));
	assert_int_equal(recv_buf.n_sections, N_SECTIONS);
	assert_int_equal(net_recv_buf_capacity(&recv_buf), N_SECTIONS - NET_CONTROL_RESERVE);
	assert_int_equal(
		net_recv_buf_set(&recv_buf, recv_buf.gpadl, 7, 0xcafe, SECTION_BYTES), -EBUSY);
}

static void sections_are_bounded(void **state)
{
	struct net_recv_buf other;

	(void)state;
	net_recv_buf_init(&other);
	assert_int_equal(
		net_recv_buf_set(&other, gpadl(2 * SECTION_BYTES - 1), 1, 1, SECTION_BYTES),
		-EINVAL);
	assert_int_equal(
		net_recv_buf_set(&other, gpadl(2 * SECTION_BYTES), 1, 1, SECTION_BYTES), 0);
	assert_int_equal(other.n_sections, 2);
	assert_int_equal(net_recv_buf_capacity(&other), 1);
	net_recv_buf_clear(&other);
	assert_int_equal(net_recv_buf_set(&other, gpadl(100 * NET_RECV_MAX_SECTIONS), 1, 1, 64), 0);
	assert_int_equal(other.n_sections, NET_RECV_MAX_SECTIONS);
	net_recv_buf_fini(&other);
}

static void data_leaves_the_reserve_to_control(void **state)
{
	uint32_t section;

	(void)state;
	for (unsigned i = 0; i < N_SECTIONS - NET_CONTROL_RESERVE; i++)
		assert_int_equal(net_recv_buf_take(&recv_buf, false, 1, &section), 0);
	assert_int_equal(net_recv_buf_take(&recv_buf, false, 1, &section), -ENOBUFS);
	for (unsigned i = 0; i < NET_CONTROL_RESERVE; i++)
		assert_int_equal(net_recv_buf_take(&recv_buf, true, 1, &section), 0);
	assert_int_equal(net_recv_buf_take(&recv_buf, true, 1, &section), -ENOBUFS);
	net_recv_buf_put_back(&recv_buf, &section, 1);
	assert_int_equal(net_recv_buf_take(&recv_buf, true, 1, &section), 0);
}

static void packets_come_back_whole(void **state)
{
	uint32_t first[3], second[2], found[NET_PACKET_MAX_SECTIONS];
	uint64_t one, two;

	(void)state;
	one = give(3, first);
	two = give(2, second);
	assert_int_not_equal(one, 0);
	assert_int_not_equal(one, two);
	assert_int_equal(recv_buf.n_outstanding, 2);
	assert_int_equal(net_recv_buf_packet(&recv_buf, first[0], found), 3);
	assert_memory_equal(found, first, sizeof(first));
	assert_int_equal(net_recv_buf_packet(&recv_buf, first[1], found), 0);

	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, one), 0);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, one), -ENOENT);
	assert_int_equal(recv_buf.n_free, N_SECTIONS - 2);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, two), 0);
	assert_int_equal(recv_buf.n_free, N_SECTIONS);
	assert_int_equal(recv_buf.n_outstanding, 0);
}

static void strange_transactions_are_refused(void **state)
{
	uint32_t sections[3];
	uint64_t transaction = give(3, sections);

	(void)state;
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, 0), -ENOENT);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, UINT64_MAX), -ENOENT);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, (uint32_t)transaction), -ENOENT);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE,
				 net_recv_buf_transaction(&recv_buf, sections[1])),
		-ENOENT);
	assert_int_equal(net_recv_buf_complete(
				 &recv_buf, QUEUE, net_recv_buf_transaction(&recv_buf, N_SECTIONS)),
		-ENOENT);
	assert_int_equal(recv_buf.n_free, N_SECTIONS - 3);
}

static void late_completions_find_nothing(void **state)
{
	uint32_t sections[1];
	uint64_t transaction = give(1, sections);

	(void)state;
	net_recv_buf_clear(&recv_buf);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, transaction), -ENOENT);
	assert_int_equal(
		net_recv_buf_set(&recv_buf, gpadl(N_SECTIONS * SECTION_BYTES), 7, 1, SECTION_BYTES),
		0);
	assert_int_not_equal(give(1, sections), transaction);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, transaction), -ENOENT);
}

/* A frame in many sections takes all of them or none. */
static void sections_are_taken_together(void **state)
{
	uint32_t sections[N_SECTIONS];

	(void)state;
	assert_int_equal(net_recv_buf_take(&recv_buf, false, 20, sections), 0);
	assert_int_equal(net_recv_buf_take(&recv_buf, false, 5, sections + 20), -ENOBUFS);
	assert_int_equal(recv_buf.n_free, N_SECTIONS - 20);
	assert_int_equal(net_recv_buf_take(&recv_buf, false, 4, sections + 20), 0);
	assert_false(net_recv_buf_has_room(&recv_buf));
	for (unsigned i = 0; i < 24; i++) {
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(sections[i], sections[k]);
	}
	net_recv_buf_put_back(&recv_buf, sections, 24);
	assert_int_equal(recv_buf.n_free, N_SECTIONS);
	assert_true(net_recv_buf_has_room(&recv_buf));
}

/* Whoever waits for sections is called by the completion that frees some, once. */
static void completions_tell_who_waits(void **state)
{
	uint32_t sections[N_SECTIONS];
	uint64_t one = give(12, sections), two = give(12, sections);

	(void)state;
	assert_false(net_recv_buf_has_room(&recv_buf));
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, one), 1);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, two), 0);
	two = give(24, sections);
	assert_int_equal(net_recv_buf_take(&recv_buf, false, 1, sections), -ENOBUFS);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, two), 1);
}

static void packets_belong_to_their_queue(void **state)
{
	uint32_t sections[3];
	uint64_t transaction = give(3, sections);

	(void)state;
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE + 1, transaction), -ENOENT);
	assert_int_equal(net_recv_buf_reclaim(&recv_buf, QUEUE + 1), 0);
	assert_int_equal(recv_buf.n_outstanding, 1);
	assert_int_equal(net_recv_buf_reclaim(&recv_buf, QUEUE), 0);
	assert_int_equal(recv_buf.n_outstanding, 0);
	assert_int_equal(recv_buf.n_free, N_SECTIONS);
	assert_int_equal(net_recv_buf_complete(&recv_buf, QUEUE, transaction), -ENOENT);
}

static void exact_sections_for_a_restore(void **state)
{
	uint32_t section;

	(void)state;
	assert_int_equal(net_recv_buf_take_exact(&recv_buf, 5), 0);
	assert_int_equal(net_recv_buf_take_exact(&recv_buf, 5), -EBADMSG);
	assert_int_equal(net_recv_buf_take_exact(&recv_buf, N_SECTIONS), -EBADMSG);
	net_recv_buf_collect_free(&recv_buf);
	assert_int_equal(recv_buf.n_free, N_SECTIONS - 1);
	while (net_recv_buf_take(&recv_buf, true, 1, &section) == 0)
		assert_int_not_equal(section, 5);
}

static void send_sections_are_checked(void **state)
{
	uint32_t at;

	(void)state;
	assert_int_equal(net_send_buf_at(&send_buf, 0, 1, &at), -EBADMSG);
	assert_int_equal(net_send_buf_set(&send_buf, gpadl(3 * 6144 + 1), 8, 0, 6144), 0);
	assert_int_equal(net_send_buf_set(&send_buf, send_buf.gpadl, 8, 0, 6144), -EBUSY);
	assert_int_equal(net_send_buf_at(&send_buf, 2, 6144, &at), 0);
	assert_int_equal(at, 2 * 6144);
	assert_int_equal(net_send_buf_at(&send_buf, 3, 1, &at), -EBADMSG);
	assert_int_equal(net_send_buf_at(&send_buf, UINT32_MAX, 1, &at), -EBADMSG);
	assert_int_equal(net_send_buf_at(&send_buf, 0, 6145, &at), -EBADMSG);
	assert_int_equal(net_send_buf_at(&send_buf, 0, UINT32_MAX, &at), -EBADMSG);
	net_send_buf_clear(&send_buf);
	assert_int_equal(net_send_buf_at(&send_buf, 0, 1, &at), -EBADMSG);
}

static void a_small_send_buffer_is_one_section(void **state)
{
	(void)state;
	assert_int_equal(net_send_buf_set(&send_buf, gpadl(4096), 8, 0, 6144), 0);
	assert_int_equal(send_buf.section_bytes, 4096);
	assert_int_equal(send_buf.n_sections, 1);
	net_send_buf_clear(&send_buf);
	assert_int_equal(net_send_buf_set(&send_buf, gpadl(67), 8, 0, 6144), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cuts_the_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(sections_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
			data_leaves_the_reserve_to_control, setup, teardown),
		cmocka_unit_test_setup_teardown(packets_come_back_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(strange_transactions_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(late_completions_find_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(sections_are_taken_together, setup, teardown),
		cmocka_unit_test_setup_teardown(completions_tell_who_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(packets_belong_to_their_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(exact_sections_for_a_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(send_sections_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_small_send_buffer_is_one_section, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
