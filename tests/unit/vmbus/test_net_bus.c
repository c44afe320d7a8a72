/* SPDX-License-Identifier: MIT
 *
 * The NIC with one queue on the real bus: in traffic, in a move and when the guest takes things
 * away.
 */
#include "net_bus_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static int setup(void **state)
{
	static struct bus_rig rig;

	bus_rig_init(&rig, 1);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	bus_rig_fini(*state);
	return 0;
}

static struct bus_queue *primary(struct bus_rig *rig)
{
	return &rig->queues[0];
}

static uint32_t number_at_port(struct bus_rig *rig)
{
	uint32_t flow, number;

	assert_true(bus_at_port(rig, &flow, &number));
	return number;
}

/* The frames of the transfer packet in rig->packet count on from `next`. */
static uint32_t check_numbers(struct bus_rig *rig, uint32_t next)
{
	const uint8_t *at;
	uint32_t bytes;

	assert_int_equal(load_le32(primary(rig)->payload + 4), NVSP_CHANNEL_DATA);
	for (unsigned i = 0; (at = bus_section(primary(rig), i, &bytes)); i++) {
		static struct frame frame;
		struct rndis_packet packet;

		memcpy(&packet, at, sizeof(packet));
		frame_parse(&frame, at + RNDIS_BODY_AT + packet.data_offset, packet.data_length);
		assert_int_equal(load_le32(frame.bytes + frame.payload_at + 4), next++);
	}
	return next;
}

static void frames_go_out(void **state)
{
	struct bus_rig *rig = *state;

	for (uint32_t i = 0; i < 500; i++) {
		bus_take_completion(primary(rig), bus_send_frame(primary(rig), 0, i));
		assert_int_equal(load_le32(primary(rig)->payload + 4), NVSP_STATUS_SUCCESS);
		assert_int_equal(number_at_port(rig), i);
	}
	assert_int_equal(bus_rig_info(rig).tx_frames, 500);
	assert_int_equal(bus_rig_info(rig).n_protocol_errors, 0);
}

static void frames_come_in(void **state)
{
	struct bus_rig *rig = *state;
	uint32_t n_in = 0, n_seen = 0;

	/* More than there are sections, unread: they come as sections come back. */
	for (; n_in < 300; n_in++)
		bus_inject(rig, 0, n_in);
	while (n_seen < 2000) {
		bus_take(primary(rig));
		n_seen = check_numbers(rig, n_seen);
		bus_give_back(primary(rig));
		while (n_in < 2000 && n_in < n_seen + 250)
			bus_inject(rig, 0, n_in++);
	}
	assert_int_equal(bus_rig_info(rig).rx_frames, 2000);
	assert_int_equal(bus_rig_info(rig).rx_dropped, 0);
}

/* Both ways at once through a port that is full again and again. */
static void both_ways_through_a_narrow_port(void **state)
{
	struct bus_rig *rig = *state;
	uint32_t n_out = 0, n_done = 0, n_seen = 0, n_in = 0;
	uint64_t first = primary(rig)->next_transaction;

	eth_dummy_set_room(rig->port, 0);
	while (n_done < 400 || n_seen < 400) {
		while (n_out < 400 && n_out < n_done + 8) {
			assert_int_equal(bus_send_frame(primary(rig), 0, n_out), first + n_out);
			n_out++;
		}
		while (n_in < 400 && n_in < n_seen + 50)
			bus_inject(rig, 0, n_in++);
		eth_dummy_set_room(rig->port, 3);
		bus_take(primary(rig));
		if (primary(rig)->descriptor.type == VMBUS_PACKET_TRANSFER_PAGES) {
			n_seen = check_numbers(rig, n_seen);
			bus_give_back(primary(rig));
		} else {
			assert_int_equal(primary(rig)->descriptor.transaction_id, first + n_done);
			assert_int_equal(number_at_port(rig), n_done++);
		}
	}
	assert_int_equal(bus_rig_info(rig).tx_dropped + bus_rig_info(rig).rx_dropped, 0);
}

/* Again and again in the middle of it: every frame once, every packet completed once. */
static void moved_amid_traffic(void **state)
{
	struct bus_rig *rig = *state;
	uint32_t n_out = 0, n_done = 0, n_port = 0;
	uint64_t first = primary(rig)->next_transaction;

	for (unsigned round = 0; round < 30; round++) {
		eth_dummy_set_room(rig->port, round % 4);
		for (; n_out < n_done + 8; n_out++)
			bus_send_frame(primary(rig), 0, n_out);
		bus_rig_move(rig);
		while (eth_dummy_n_sent(rig->port))
			assert_int_equal(number_at_port(rig), n_port++);
		eth_dummy_set_room(rig->port, ETH_DUMMY_UNLIMITED);
		while (n_done < n_out)
			bus_take_completion(primary(rig), first + n_done++);
		while (eth_dummy_n_sent(rig->port))
			assert_int_equal(number_at_port(rig), n_port++);
		assert_int_equal(n_port, n_done);
	}
	assert_int_equal(bus_rig_info(rig).n_protocol_errors, 0);
}

/* The guest still holds sections that the old host gave it. */
static void moved_with_sections_out(void **state)
{
	struct bus_rig *rig = *state;
	uint32_t n_seen = 0;

	for (uint32_t i = 0; i < 40; i++)
		bus_inject(rig, 0, i);
	bus_take(primary(rig));
	n_seen = check_numbers(rig, n_seen);
	bus_rig_move(rig);
	bus_give_back(primary(rig));
	while (n_seen < 40) {
		bus_take(primary(rig));
		n_seen = check_numbers(rig, n_seen);
		bus_give_back(primary(rig));
	}
	bus_inject(rig, 0, 40);
	bus_take(primary(rig));
	assert_int_equal(check_numbers(rig, 40), 41);
	assert_int_equal(bus_rig_info(rig).n_protocol_errors, 0);
}

static void a_link_change_is_indicated(void **state)
{
	static const uint32_t expected[] = {
		RNDIS_STATUS_MEDIA_DISCONNECT, RNDIS_STATUS_MEDIA_CONNECT};
	struct bus_rig *rig = *state;
	uint32_t bytes;

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(netvsp_set_link(rig->nic, i), 0);
		bus_take(primary(rig));
		assert_int_equal(load_le32(primary(rig)->payload + 4), NVSP_CHANNEL_CONTROL);
		assert_int_equal(load_le32(bus_section(primary(rig), 0, &bytes) + 8), expected[i]);
		bus_give_back(primary(rig));
	}
}

/* A guest that pulls its buffers away under way, and closes, and comes again. */
static void buffers_pulled_away(void **state)
{
	struct bus_rig *rig = *state;

	for (unsigned round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 100; i++)
			bus_inject(rig, 0, i);
		bus_send_frame(primary(rig), 0, round);
		bus_rig_close_all(rig);
		assert_int_equal(bus_rig_info(rig).nvsp_version, 0);
		assert_int_equal(fake_channel_reopen(&primary(rig)->channel), 0);
		bus_rig_initialise(rig);
	}
	while (eth_dummy_n_sent(rig->port))
		number_at_port(rig);
	bus_take_completion(primary(rig), bus_send_frame(primary(rig), 0, 77));
	assert_int_equal(number_at_port(rig), 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_go_out),
		TEST(frames_come_in),
		TEST(both_ways_through_a_narrow_port),
		TEST(moved_amid_traffic),
		TEST(moved_with_sections_out),
		TEST(a_link_change_is_indicated),
		TEST(buffers_pulled_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
