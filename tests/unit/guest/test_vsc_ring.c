/* SPDX-License-Identifier: MIT
 *
 * The guest's side of a ring, with the test as the host at the other end of the same memory.
 */
#include "vmbus/guest/vsc_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define N_PAGES    3
#define DATA_BYTES ((N_PAGES - 1) * VMBUS_PAGE_BYTES)

struct fixture {
	uint8_t *pages;
	struct vmbus_ring_control *control;
	struct vsc_ring ring;
	uint8_t buffer[DATA_BYTES];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->pages = aligned_alloc(VMBUS_PAGE_BYTES, N_PAGES * VMBUS_PAGE_BYTES);
	if (!f->pages)
		return -1;
	memset(f->pages, 0, N_PAGES * VMBUS_PAGE_BYTES);
	f->control = (struct vmbus_ring_control *)f->pages;
	vsc_ring_init(&f->ring, f->pages, N_PAGES);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->pages);
	free(f);
	return 0;
}

static struct vsc_packet_out packet_of(const void *payload, uint32_t payload_bytes, uint64_t id)
{
	return (struct vsc_packet_out){
		.type = VMBUS_PACKET_INBAND,
		.transaction_id = id,
		.payload = payload,
		.payload_bytes = payload_bytes,
	};
}

static void test_layout(void **state)
{
	static const uint8_t header[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct fixture *f = *state;
	struct vsc_packet_out packet = packet_of("abc", 3, 0x1122334455667788);
	struct vmbus_packet_descriptor descriptor;
	struct vmbus_packet_trailer trailer;
	bool signal = false;

	assert_int_equal(f->control->feature_bits, VMBUS_RING_FEATURE_PENDING_SEND_SIZE);
	packet.type = VMBUS_PACKET_GPA_DIRECT;
	packet.request_completion = true;
	packet.header = header;
	packet.header_bytes = sizeof(header);
	assert_int_equal(vsc_ring_send(&f->ring, &packet, &signal), 0);
	assert_true(signal);
	memcpy(&descriptor, f->pages + VMBUS_PAGE_BYTES, sizeof(descriptor));
	assert_int_equal(descriptor.type, 9);
	assert_int_equal(descriptor.offset8, 3);
	assert_int_equal(descriptor.length8, 4);
	assert_int_equal(descriptor.flags, 1);
	assert_true(descriptor.transaction_id == 0x1122334455667788);
	assert_memory_equal(f->pages + VMBUS_PAGE_BYTES + 16, header, 8);
	assert_memory_equal(f->pages + VMBUS_PAGE_BYTES + 24, "abc\0\0\0\0\0", 8);
	memcpy(&trailer, f->pages + VMBUS_PAGE_BYTES + 32, sizeof(trailer));
	assert_int_equal(trailer.start_index, 0);
	assert_int_equal(f->control->write_index, 40);
	assert_int_equal(vsc_ring_packet_bytes(8, 3), 40);
}

/* Everything that goes in comes out, over many turns of the ring. */
static void test_round_trips(void **state)
{
	struct fixture *f = *state;
	uint8_t payload[700];
	uint64_t sent = 0, received = 0;
	bool signal;

	srandom(3);
	while (received < 20000) {
		struct vsc_packet_out packet;
		struct vsc_packet in;
		int r;

		memset(payload, (int)(sent & 0xff), sizeof(payload));
		packet = packet_of(payload, (uint32_t)(sent * 37 % sizeof(payload)), sent);
		if (random() % 2) {
			r = vsc_ring_send(&f->ring, &packet, &signal);
			assert_true(r == 0 || r == -EAGAIN);
			sent += r == 0;
		} else {
			r = vsc_ring_receive(&f->ring, f->buffer, sizeof(f->buffer), &in, &signal);
			if (sent == received) {
				assert_int_equal(r, -EAGAIN);
				continue;
			}
			assert_int_equal(r, 0);
			assert_true(in.transaction_id == received);
			assert_int_equal(
				in.payload_bytes, (received * 37 % sizeof(payload) + 7) / 8 * 8);
			if (received * 37 % sizeof(payload))
				assert_int_equal(in.payload[0], received & 0xff);
			received++;
		}
	}
}

static void test_never_quite_full(void **state)
{
	struct fixture *f = *state;
	struct vsc_packet_out packet = packet_of("x", 1, 0);
	uint32_t n = 0;
	bool signal;

	while (vsc_ring_send(&f->ring, &packet, &signal) == 0) {
		assert_int_equal(signal, n == 0);
		n++;
	}
	assert_int_equal(n, (DATA_BYTES - 1) / 32);
	assert_int_not_equal(f->control->write_index, f->control->read_index);
}

static void test_signal_only_when_asked(void **state)
{
	struct fixture *f = *state;
	struct vsc_packet_out packet = packet_of("x", 1, 0);
	bool signal = true;

	f->control->interrupt_mask = 1;
	assert_int_equal(vsc_ring_send(&f->ring, &packet, &signal), 0);
	assert_false(signal);
	f->control->interrupt_mask = 0;
	assert_int_equal(vsc_ring_send(&f->ring, &packet, &signal), 0);
	assert_false(signal); /* was not empty */
	f->control->read_index = f->control->write_index;
	assert_int_equal(vsc_ring_send(&f->ring, &packet, &signal), 0);
	assert_true(signal);
	vsc_ring_mask(&f->ring, true);
	assert_int_equal(f->control->interrupt_mask, 1);
	assert_false(vsc_ring_is_empty(&f->ring));
}

/* The producer asked for room: it hears about it once, when there is. */
static void test_room_is_signalled(void **state)
{
	struct fixture *f = *state;
	struct vsc_packet_out packet = packet_of(f->buffer, 1000, 0);
	struct vsc_packet in;
	bool signal;
	int n_signals = 0;

	while (vsc_ring_send(&f->ring, &packet, &signal) == 0)
		;
	assert_false(vsc_ring_want_room(&f->ring, 3000));
	assert_int_equal(f->control->pending_send_bytes, 3000);
	while (vsc_ring_receive(&f->ring, f->buffer, sizeof(f->buffer), &in, &signal) == 0) {
		bool room = vsc_ring_has_room(&f->ring, 3000);

		n_signals += signal;
		assert_int_equal(n_signals, room);
	}
	assert_int_equal(n_signals, 1);
	assert_true(vsc_ring_want_room(&f->ring, 3000));
	/* Sending something else does not take the wish back. */
	assert_int_equal(vsc_ring_send(&f->ring, &packet, &signal), 0);
	assert_int_equal(f->control->pending_send_bytes, 3000);
	vsc_ring_want_room(&f->ring, 0);
	assert_int_equal(f->control->pending_send_bytes, 0);
}

static void test_oversized_is_skipped(void **state)
{
	struct fixture *f = *state;
	struct vsc_packet_out big = packet_of(f->buffer, 1000, 1), small = packet_of("s", 1, 2);
	struct vsc_packet in;
	bool signal;
	uint8_t buffer[64];

	vsc_ring_send(&f->ring, &big, &signal);
	vsc_ring_send(&f->ring, &small, &signal);
	assert_int_equal(
		vsc_ring_receive(&f->ring, buffer, sizeof(buffer), &in, &signal), -EMSGSIZE);
	assert_int_equal(vsc_ring_receive(&f->ring, buffer, sizeof(buffer), &in, &signal), 0);
	assert_true(in.transaction_id == 2);
}

static int receive(struct fixture *f)
{
	struct vsc_packet in;
	bool signal;

	return vsc_ring_receive(&f->ring, f->buffer, sizeof(f->buffer), &in, &signal);
}

static void test_broken_indices(void **state)
{
	static const uint32_t bad[] = {4, DATA_BYTES, DATA_BYTES + 8, 0xfffffff8};
	struct fixture *f = *state;

	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		f->control->write_index = bad[i];
		assert_int_equal(receive(f), -EBADMSG);
	}
	f->control->write_index = 0;
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		f->control->read_index = bad[i];
		assert_false(vsc_ring_has_room(&f->ring, 8));
		assert_int_equal(receive(f), -EBADMSG);
	}
}

static void test_broken_packets(void **state)
{
	static const struct {
		uint16_t offset8, length8;
		uint32_t available;
	} bad[] = {
		{2, 2, 16},      /* no trailer */
		{2, 2, 8},       /* not even a descriptor */
		{1, 4, 64},      /* payload inside the descriptor */
		{5, 4, 64},      /* payload behind the end */
		{2, 8, 64},      /* longer than what is there */
		{2, 0, 64},      /* no length */
		{2, 0xffff, 64}, /* far longer */
		{0xffff, 0xffff, 64},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		struct vmbus_packet_descriptor descriptor = {
			.type = 6, .offset8 = bad[i].offset8, .length8 = bad[i].length8};

		memcpy(f->pages + VMBUS_PAGE_BYTES, &descriptor, sizeof(descriptor));
		f->control->read_index = 0;
		f->control->write_index = bad[i].available;
		assert_int_equal(receive(f), -EBADMSG);
		assert_int_equal(f->control->read_index, 0);
	}
}

static void test_random_memory(void **state)
{
	struct fixture *f = *state;

	srandom(4);
	for (int round = 0; round < 20000; round++) {
		uint32_t *words = (uint32_t *)(f->pages + VMBUS_PAGE_BYTES);

		for (int i = 0; i < 12; i++)
			words[i] = (uint32_t)random() & 0x000f000f;
		f->control->read_index = (uint32_t)(random() % 4 * 8);
		f->control->write_index = (uint32_t)(random() % (DATA_BYTES / 4) * 4);
		f->control->pending_send_bytes = (uint32_t)random();
		for (int i = 0; i < 8 && receive(f) == 0; i++)
			;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_layout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_round_trips, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_never_quite_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_signal_only_when_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_room_is_signalled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oversized_is_skipped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_indices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
