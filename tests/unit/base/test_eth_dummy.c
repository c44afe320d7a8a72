/* SPDX-License-Identifier: MIT */
#include "base/eth_dummy.h"

#include <poll.h>
#include <string.h>

#include "tests/unit/base/cmocka_all.h"

static const struct eth_ops *const ops = &eth_dummy_ops;

static int setup(void **state)
{
	struct eth_dummy *dummy;

	assert_int_equal(eth_dummy_new(ETH_CAP_CSUM | ETH_CAP_TSO4, &dummy), 0);
	*state = dummy;
	return 0;
}

static int teardown(void **state)
{
	eth_dummy_free(*state);
	return 0;
}

static bool event_read(struct eth_dummy *dummy)
{
	uint64_t n;

	return read(ops->event_fd(dummy), &n, sizeof(n)) == sizeof(n);
}

static int send_bytes(struct eth_dummy *dummy, const struct eth_hdr *hdr, size_t size_bytes)
{
	static uint8_t bytes[ETH_FRAME_MAX_BYTES + 1];
	struct iovec iov[3] = {
		{.iov_base = bytes, .iov_len = size_bytes / 2},
		{.iov_base = NULL, .iov_len = 0},
		{.iov_base = bytes + size_bytes / 2, .iov_len = size_bytes - size_bytes / 2},
	};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	return ops->send(dummy, hdr, iov, ARRAY_LEN(iov));
}

static void test_sent_frames_can_be_taken(void **state)
{
	struct eth_dummy *dummy = *state;
	struct eth_hdr hdr = {.flags = ETH_HDR_NEEDS_CSUM, .csum_start = 14}, got;
	uint8_t frame[128];
	size_t size_bytes;

	assert_int_equal(ops->caps(dummy), ETH_CAP_CSUM | ETH_CAP_TSO4);
	assert_int_equal(eth_dummy_take(dummy, &got, frame, sizeof(frame), &size_bytes), -EAGAIN);
	assert_int_equal(send_bytes(dummy, &hdr, 61), 0);
	assert_int_equal(send_bytes(dummy, &hdr, 100), 0);
	ops->flush(dummy);
	assert_int_equal(eth_dummy_n_sent(dummy), 2);
	assert_int_equal(eth_dummy_n_flushes(dummy), 1);
	assert_int_equal(eth_dummy_take(dummy, &got, frame, 60, &size_bytes), -EMSGSIZE);
	assert_int_equal(eth_dummy_take(dummy, &got, frame, sizeof(frame), &size_bytes), 0);
	assert_int_equal(size_bytes, 61);
	assert_int_equal(frame[60], (uint8_t)(60 * 7));
	assert_memory_equal(&got, &hdr, sizeof(got));
	assert_int_equal(eth_dummy_n_sent(dummy), 1);
}

static void test_frames_that_can_never_be_sent(void **state)
{
	struct eth_dummy *dummy = *state;
	struct eth_hdr plain = {}, tso6 = {.gso_type = ETH_GSO_TCPV6},
		       tso4 = {.gso_type = ETH_GSO_TCPV4 | ETH_GSO_ECN, .gso_size = 1400},
		       odd = {.gso_type = 77};

	assert_int_equal(send_bytes(dummy, &plain, ETH_HEADER_BYTES - 1), -EINVAL);
	assert_int_equal(send_bytes(dummy, &plain, 0), -EINVAL);
	assert_int_equal(send_bytes(dummy, &plain, ETH_FRAME_MAX_BYTES + 1), -EMSGSIZE);
	assert_int_equal(send_bytes(dummy, &plain, ETH_FRAME_MAX_BYTES), 0);
	assert_int_equal(send_bytes(dummy, &tso6, 100), -EINVAL);
	assert_int_equal(send_bytes(dummy, &odd, 100), -EINVAL);
	assert_int_equal(send_bytes(dummy, &tso4, 100), 0);
	assert_int_equal(eth_dummy_n_sent(dummy), 2);
}

static void test_full_and_room_again(void **state)
{
	struct eth_dummy *dummy = *state;
	struct eth_hdr hdr = {};

	eth_dummy_set_room(dummy, 1);
	assert_int_equal(send_bytes(dummy, &hdr, 60), 0);
	assert_int_equal(send_bytes(dummy, &hdr, 60), -EAGAIN);
	assert_false(ops->arm(dummy, ETH_FRAMES));
	eth_dummy_set_room(dummy, 1);
	assert_false(event_read(dummy));
	eth_dummy_set_room(dummy, 0);
	assert_false(ops->arm(dummy, ETH_FRAMES | ETH_ROOM));
	assert_false(event_read(dummy));
	eth_dummy_set_room(dummy, ETH_DUMMY_UNLIMITED);
	assert_true(event_read(dummy));
	assert_true(ops->arm(dummy, ETH_FRAMES | ETH_ROOM));
	assert_int_equal(send_bytes(dummy, &hdr, 60), 0);
}

/* Who waits for one thing is not kept awake by the other. */
static void test_waiting_for_one_thing(void **state)
{
	struct eth_dummy *dummy = *state;
	struct eth_hdr hdr = {};
	uint8_t frame[60] = {};

	eth_dummy_set_room(dummy, 0);
	assert_int_equal(eth_dummy_inject(dummy, &hdr, frame, 60), 0);
	assert_int_equal(ops->arm(dummy, ETH_ROOM), 0);
	assert_int_equal(eth_dummy_inject(dummy, &hdr, frame, 60), 0);
	assert_false(event_read(dummy));
	eth_dummy_set_room(dummy, 1);
	assert_true(event_read(dummy));
	assert_int_equal(ops->arm(dummy, ETH_ROOM), ETH_ROOM);
	assert_int_equal(ops->arm(dummy, ETH_FRAMES), ETH_FRAMES);
	assert_int_equal(ops->arm(dummy, ETH_FRAMES | ETH_ROOM), ETH_FRAMES | ETH_ROOM);
	assert_int_equal(ops->arm(dummy, 0), 0);
}

static void test_injected_frames_are_received(void **state)
{
	struct eth_dummy *dummy = *state;
	struct eth_hdr hdr = {.flags = ETH_HDR_DATA_VALID}, got;
	uint8_t frame[100] = {1, 2, 3}, data[100];
	size_t size_bytes;

	assert_int_equal(ops->recv(dummy, &got, data, sizeof(data), &size_bytes), -EAGAIN);
	assert_false(ops->arm(dummy, ETH_FRAMES));
	assert_int_equal(eth_dummy_inject(dummy, &hdr, frame, 100), 0);
	assert_int_equal(eth_dummy_inject(dummy, &hdr, frame, 60), 0);
	assert_int_equal(eth_dummy_inject(dummy, &hdr, frame, 3), -EINVAL);
	assert_true(event_read(dummy));
	assert_false(event_read(dummy));
	assert_true(ops->arm(dummy, ETH_FRAMES));
	assert_int_equal(eth_dummy_n_injected(dummy), 2);
	/* The first is too large for the receiver: it is dropped, the next one is tried. */
	assert_int_equal(ops->recv(dummy, &got, data, 60, &size_bytes), 0);
	assert_int_equal(size_bytes, 60);
	assert_int_equal(got.flags, ETH_HDR_DATA_VALID);
	assert_memory_equal(data, frame, 60);
	assert_int_equal(eth_dummy_n_dropped(dummy), 1);
	assert_int_equal(eth_dummy_n_injected(dummy), 0);
	assert_int_equal(ops->recv(dummy, &got, data, 60, &size_bytes), -EAGAIN);
}

static void test_free_with_frames_inside(void **state)
{
	struct eth_hdr hdr = {};
	uint8_t frame[60] = {};

	assert_int_equal(send_bytes(*state, &hdr, 60), 0);
	assert_int_equal(eth_dummy_inject(*state, &hdr, frame, 60), 0);
	eth_dummy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sent_frames_can_be_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_frames_that_can_never_be_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_and_room_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_for_one_thing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_injected_frames_are_received, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_with_frames_inside, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
