/* SPDX-License-Identifier: MIT
 *
 * Packets in rings: every kind there and back, and framing that does not hold together.
 */
#include "guest_ring.h"
#include "vmbus/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define N_PAGES 9 /* a control page and 32 KiB of data */

struct rig {
	struct guest_memory memory;
	struct vmbus_gpadl *gpadl;
	uint64_t pfns[N_PAGES];
	struct guest_ring guest;
	struct ring ring;
	uint8_t buffer[VMBUS_MAX_PACKET_BYTES];
	struct vmbus_packet packet;
};

static int setup(void **state)
{
	static struct rig rig;

	guest_memory_init(&rig.memory, N_PAGES);
	for (uint32_t i = 0; i < N_PAGES; i++) {
		rig.pfns[i] = guest_pfn(i);
		rig.guest.pages[i] = guest_page(&rig.memory, i);
	}
	rig.guest.n_pages = N_PAGES;
	guest_ring_reset(&rig.guest);
	assert_int_equal(gpadl_new(rig.memory.space, 1, (struct vmbus_gpa_range){N_PAGES * 4096, 0},
				 (const uint8_t *)rig.pfns, &rig.gpadl),
		0);
	assert_int_equal(ring_in_open(&rig.ring, rig.gpadl, 0, N_PAGES), 0);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	gpadl_free(rig->gpadl);
	guest_memory_fini(&rig->memory);
	return 0;
}

static int take(struct rig *rig)
{
	return packet_take(&rig->ring, rig->buffer, &rig->packet);
}

static void send(struct rig *rig, uint16_t type, uint16_t flags, const void *header,
	size_t header_bytes, const void *payload, size_t payload_bytes)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = type,
		.flags = flags,
		.transaction_id = 0x1122334455667788,
	};
	bool signal;

	assert_true(guest_ring_send(
		&rig->guest, descriptor, header, header_bytes, payload, payload_bytes, &signal));
}

static void test_inband(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(take(rig), -EAGAIN);
	send(rig, VMBUS_PACKET_INBAND, 1, NULL, 0, "twelve bytes", 12);
	send(rig, VMBUS_PACKET_COMPLETION, 0, NULL, 0, "", 0);
	assert_int_equal(take(rig), 0);
	assert_int_equal(rig->packet.type, VMBUS_PACKET_INBAND);
	assert_true(rig->packet.completion_requested);
	assert_int_equal(rig->packet.transaction_id, 0x1122334455667788);
	assert_int_equal(rig->packet.payload_bytes, 16); /* padded: the length counts in eights */
	assert_memory_equal(rig->packet.payload, "twelve bytes", 12);
	assert_int_equal(rig->packet.n_ranges, 0);
	assert_int_equal(take(rig), 0);
	assert_int_equal(rig->packet.type, VMBUS_PACKET_COMPLETION);
	assert_false(rig->packet.completion_requested);
	assert_int_equal(rig->packet.payload_bytes, 0);
	assert_int_equal(take(rig), -EAGAIN);
}

static void test_around_the_end(void **state)
{
	struct rig *rig = *state;
	uint8_t payload[3000];

	for (unsigned round = 0; round < 100; round++) {
		size_t n = 1 + round * 97 % sizeof(payload);

		memset(payload, (int)round, n);
		send(rig, VMBUS_PACKET_INBAND, 0, NULL, 0, payload, n);
		assert_int_equal(take(rig), 0);
		assert_int_equal(rig->packet.payload_bytes, ALIGN_UP(n, 8));
		assert_memory_equal(rig->packet.payload, payload, n);
		ring_in_publish(&rig->ring);
	}
}

static void test_gpa_direct(void **state)
{
	struct rig *rig = *state;
	uint8_t header[8 + 8 + 8 + 8 + 2 * 8] = {0};
	const struct vmbus_range *ranges = rig->packet.ranges;

	store_le32(header + 4, 2);
	store_le32(header + 8, 100); /* first range: one page */
	store_le32(header + 12, 50);
	store_le64(header + 16, 11);
	store_le32(header + 24, 4096); /* second: across two */
	store_le32(header + 28, 1);
	store_le64(header + 32, 21);
	store_le64(header + 40, 22);
	send(rig, VMBUS_PACKET_GPA_DIRECT, 1, header, sizeof(header), "payload!", 8);
	assert_int_equal(take(rig), 0);
	assert_int_equal(rig->packet.n_ranges, 2);
	assert_int_equal(ranges[0].byte_count, 100);
	assert_int_equal(ranges[0].byte_offset, 50);
	assert_int_equal(ranges[0].n_pfns, 1);
	assert_int_equal(load_le64(ranges[0].pfns), 11);
	assert_int_equal(ranges[1].n_pfns, 2);
	assert_int_equal(load_le64(ranges[1].pfns + 8), 22);
	assert_int_equal(rig->packet.payload_bytes, 8);
	assert_memory_equal(rig->packet.payload, "payload!", 8);
}

static void test_most_ranges(void **state)
{
	struct rig *rig = *state;
	uint8_t header[8 + (VMBUS_MAX_RANGES + 1) * 16] = {0};

	for (unsigned i = 0; i <= VMBUS_MAX_RANGES; i++) {
		store_le32(header + 8 + 16 * i, 60);
		store_le64(header + 8 + 16 * i + 8, i);
	}
	store_le32(header + 4, VMBUS_MAX_RANGES);
	send(rig, VMBUS_PACKET_GPA_DIRECT, 1, header, sizeof(header) - 16, "", 0);
	assert_int_equal(take(rig), 0);
	assert_int_equal(rig->packet.n_ranges, VMBUS_MAX_RANGES);
	assert_int_equal(
		load_le64(rig->packet.ranges[VMBUS_MAX_RANGES - 1].pfns), VMBUS_MAX_RANGES - 1);
	store_le32(header + 4, VMBUS_MAX_RANGES + 1);
	send(rig, VMBUS_PACKET_GPA_DIRECT, 1, header, sizeof(header), "", 0);
	assert_int_equal(take(rig), -EBADMSG);
}

/* Range lists that say more than there is. */
static void test_impossible_ranges(void **state)
{
	struct rig *rig = *state;
	static const struct {
		uint32_t range_count, byte_count, byte_offset;
		unsigned n_words; /* after the range count */
	} bad[] = {
		{1, 4096, 0, 0},                /* no range */
		{1, 4096, 0, 1},                /* no PFN */
		{1, 4097, 0, 2},                /* one too few */
		{1, 4096, 1, 2},                /* the same by its offset */
		{2, 4096, 0, 2},                /* one of two */
		{1, 0xffffffff, 0xffffffff, 2}, /* a sum beyond 32 bits */
		{1, 0x80000000, 0x80000000, 2}, /* a sum of nothing in 32 bits */
		{0xffffffff, 4096, 0, 2},
		{0x10000001, 4096, 0, 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t header[8 + 16] = {0};

		store_le32(header + 4, bad[i].range_count);
		store_le32(header + 8, bad[i].byte_count);
		store_le32(header + 12, bad[i].byte_offset);
		guest_ring_reset(&rig->guest);
		assert_int_equal(ring_in_open(&rig->ring, rig->gpadl, 0, N_PAGES), 0);
		send(rig, VMBUS_PACKET_GPA_DIRECT, 1, header, 8 + bad[i].n_words * 8, "xx", 2);
		assert_int_equal(take(rig), -EBADMSG);
		/* Nothing is consumed: it stays bad. */
		assert_int_equal(take(rig), -EBADMSG);
		assert_int_equal(ring_unpublished_bytes(&rig->ring), 0);
	}
}

static void test_ranges_of_nothing(void **state)
{
	struct rig *rig = *state;
	uint8_t header[8 + 8] = {0};

	store_le32(header + 4, 1);
	send(rig, VMBUS_PACKET_GPA_DIRECT, 1, header, sizeof(header), "", 0);
	assert_int_equal(take(rig), 0);
	assert_int_equal(rig->packet.n_ranges, 1);
	assert_int_equal(rig->packet.ranges[0].n_pfns, 0);
	store_le32(header + 4, 0);
	send(rig, VMBUS_PACKET_GPA_DIRECT, 1, header, 8, "", 0);
	assert_int_equal(take(rig), 0);
	assert_int_equal(rig->packet.n_ranges, 0);
}

/* A descriptor as it stands in the ring, with `in_ring` bytes written. */
static int take_raw(struct rig *rig, uint16_t offset8, uint16_t length8, uint32_t in_ring)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_INBAND,
		.offset8 = offset8,
		.length8 = length8,
	};

	guest_ring_reset(&rig->guest);
	assert_int_equal(ring_in_open(&rig->ring, rig->gpadl, 0, N_PAGES), 0);
	guest_ring_poke(&rig->guest, 0, &descriptor, sizeof(descriptor));
	ring_set(&rig->guest, write_index, in_ring);
	return take(rig);
}

static void test_framing(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(take_raw(rig, 2, 2, 24), 0);
	assert_int_equal(take_raw(rig, 2, 3, 32), 0);
	assert_int_equal(take_raw(rig, 2, 3, 2000), 0);
	assert_int_equal(take_raw(rig, 2, 2, 8), -EBADMSG);  /* not a descriptor */
	assert_int_equal(take_raw(rig, 2, 2, 16), -EBADMSG); /* no trailer */
	assert_int_equal(take_raw(rig, 2, 3, 24), -EBADMSG); /* more than was written */
	assert_int_equal(take_raw(rig, 2, 0xffff, 24), -EBADMSG);
	assert_int_equal(take_raw(rig, 2, 0xffff, 32760), -EBADMSG);
	assert_int_equal(take_raw(rig, 0, 4, 64), -EBADMSG); /* payload in the descriptor */
	assert_int_equal(take_raw(rig, 1, 4, 64), -EBADMSG);
	assert_int_equal(take_raw(rig, 0, 0, 64), -EBADMSG); /* would never advance */
	assert_int_equal(take_raw(rig, 2, 1, 64), -EBADMSG);
	assert_int_equal(take_raw(rig, 5, 4, 64), -EBADMSG); /* payload behind the end */
	assert_int_equal(take_raw(rig, 0xffff, 4, 64), -EBADMSG);
	assert_int_equal(take_raw(rig, 2, VMBUS_MAX_PACKET_BYTES / 8, 32000), 0);
	assert_int_equal(take_raw(rig, 2, VMBUS_MAX_PACKET_BYTES / 8 + 1, 32000), -EBADMSG);
}

/* What the guest changes after the packet was taken does not matter. */
static void test_copied_once(void **state)
{
	struct rig *rig = *state;

	send(rig, VMBUS_PACKET_INBAND, 0, NULL, 0, "before", 6);
	assert_int_equal(take(rig), 0);
	guest_ring_poke(&rig->guest, 16, "AFTER!", 6);
	assert_memory_equal(rig->packet.payload, "before", 6);
}

static void test_put(void **state)
{
	struct rig *rig = *state;
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_TRANSFER_PAGES,
		.flags = 1,
		.transaction_id = 42,
	};
	uint64_t words[] = {1, 2};
	struct packet_header headers[] = {{&words[0], 8}, {&words[1], 8}};
	uint8_t got[256];
	bool signal;

	assert_int_equal(ring_out_open(&rig->ring, rig->gpadl, 0, N_PAGES), 0);
	for (size_t n = 0; n < 40; n++) {
		uint8_t payload[40];
		size_t length = ALIGN_UP(16 + 16 + n, 8);

		memset(payload, (int)n + 1, sizeof(payload));
		assert_int_equal(packet_ring_bytes(16, n), length + 8);
		assert_int_equal(
			packet_put(&rig->ring, descriptor, headers, 2, n ? payload : NULL, n), 0);
		assert_true(ring_out_publish(&rig->ring));
		memset(got, 0xee, sizeof(got));
		assert_int_equal(guest_ring_recv(&rig->guest, got, sizeof(got), &signal), length);
		assert_int_equal(load_le16(got), VMBUS_PACKET_TRANSFER_PAGES);
		assert_int_equal(load_le16(got + 2), 4);
		assert_int_equal(load_le16(got + 4), length / 8);
		assert_int_equal(load_le16(got + 6), 1);
		assert_int_equal(load_le64(got + 8), 42);
		assert_int_equal(load_le64(got + 16), 1);
		assert_int_equal(load_le64(got + 24), 2);
		assert_memory_equal(got + 32, payload, n);
		for (size_t i = 32 + n; i < length; i++)
			assert_int_equal(got[i], 0);
	}
}

static void test_put_too_much(void **state)
{
	struct rig *rig = *state;
	struct vmbus_packet_descriptor descriptor = {.type = VMBUS_PACKET_INBAND};
	static const uint8_t payload[40000];

	assert_int_equal(ring_out_open(&rig->ring, rig->gpadl, 0, N_PAGES), 0);
	assert_int_equal(
		packet_put(&rig->ring, descriptor, NULL, 0, payload, 32768 - 24), -EMSGSIZE);
	assert_int_equal(
		packet_put(&rig->ring, descriptor, NULL, 0, payload, sizeof(payload)), -EMSGSIZE);
	assert_true(packet_ring_bytes(0, SIZE_MAX) == SIZE_MAX);
	assert_true(packet_ring_bytes(SIZE_MAX, 1) == SIZE_MAX);
	assert_true(packet_ring_bytes(0, 65535 * 8) == SIZE_MAX);
	assert_int_equal(packet_put(&rig->ring, descriptor, NULL, 0, payload, 32768 - 32), 0);
	assert_int_equal(packet_put(&rig->ring, descriptor, NULL, 0, payload, 0), -EAGAIN);
	assert_int_equal(ring_unpublished_bytes(&rig->ring), 32768 - 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inband, setup, teardown),
		cmocka_unit_test_setup_teardown(test_around_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gpa_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(test_most_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impossible_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ranges_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_framing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copied_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_too_much, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
