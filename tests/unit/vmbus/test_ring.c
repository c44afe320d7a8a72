/* SPDX-License-Identifier: MIT
 *
 * One ring: indices, wrapping, room, signals, dirty marks, and a guest that writes what it likes.
 */
#include "guest_ring.h"
#include "vmbus/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define N_PAGES 5 /* a control page and 16 KiB of data */

struct rig {
	struct guest_memory memory;
	struct vmbus_gpadl *gpadl;
	uint64_t pfns[N_PAGES];
	struct guest_ring guest;
	struct ring ring;
};

static void make(struct rig *rig, const uint32_t *pages)
{
	guest_memory_init(&rig->memory, 32);
	for (uint32_t i = 0; i < N_PAGES; i++) {
		rig->pfns[i] = guest_pfn(pages[i]);
		rig->guest.pages[i] = guest_page(&rig->memory, pages[i]);
	}
	rig->guest.n_pages = N_PAGES;
	guest_ring_reset(&rig->guest);
	assert_int_equal(
		gpadl_new(rig->memory.space, 1, (struct vmbus_gpa_range){N_PAGES * 4096, 0},
			(const uint8_t *)rig->pfns, &rig->gpadl),
		0);
}

static int setup(void **state)
{
	static const uint32_t neighbours[] = {3, 4, 5, 6, 7};
	static struct rig rig;

	make(&rig, neighbours);
	assert_non_null(rig.gpadl->base);
	*state = &rig;
	return 0;
}

static int setup_scattered(void **state)
{
	static const uint32_t scattered[] = {9, 2, 30, 12, 11};
	static struct rig rig;

	make(&rig, scattered);
	assert_null(rig.gpadl->base);
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

static void open_in(struct rig *rig)
{
	assert_int_equal(ring_in_open(&rig->ring, rig->gpadl, 0, N_PAGES), 0);
}

static void open_out(struct rig *rig)
{
	assert_int_equal(ring_out_open(&rig->ring, rig->gpadl, 0, N_PAGES), 0);
}

static uint32_t available(struct rig *rig)
{
	uint32_t n;

	assert_int_equal(ring_in_available(&rig->ring, &n), 0);
	return n;
}

static void fill(uint8_t *bytes, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(seed * 31 + i * 7);
}

static void test_open_checks_indices(void **state)
{
	struct rig *rig = *state;
	static const uint32_t bad[] = {4, 1, 16384, 16384 + 8, 0x80000000, 0xfffffff8, 0xffffffff};
	struct ring untouched = {.data_bytes = 77};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ring_set(&rig->guest, write_index, bad[i]);
		assert_int_equal(ring_in_open(&untouched, rig->gpadl, 0, N_PAGES), -EBADMSG);
		assert_int_equal(ring_out_open(&untouched, rig->gpadl, 0, N_PAGES), -EBADMSG);
		ring_set(&rig->guest, write_index, 0);
		ring_set(&rig->guest, read_index, bad[i]);
		assert_int_equal(ring_in_open(&untouched, rig->gpadl, 0, N_PAGES), -EBADMSG);
		assert_int_equal(ring_out_open(&untouched, rig->gpadl, 0, N_PAGES), -EBADMSG);
		ring_set(&rig->guest, read_index, 0);
	}
	assert_int_equal(untouched.data_bytes, 77);
}

/* Taken up where it is, as after a migration. */
static void test_open_amid(void **state)
{
	struct rig *rig = *state;

	ring_set(&rig->guest, read_index, 16376);
	ring_set(&rig->guest, write_index, 64);
	open_in(rig);
	assert_int_equal(available(rig), 72);
	open_out(rig);
	assert_int_equal(ring_out_room(&rig->ring, 16384 - 72 - 8), 0);
	assert_int_equal(ring_out_room(&rig->ring, 16384 - 72), -EAGAIN);
}

static void test_in_wraps(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[4104], got[4104];
	uint32_t index = 0;

	open_in(rig);
	for (unsigned round = 0; round < 200; round++) {
		size_t n = 8 * (1 + round * 37 % 513);

		fill(sent, n, round);
		assert_int_equal(available(rig), 0);
		guest_ring_poke(&rig->guest, index, sent, n);
		index = (index + (uint32_t)n) % 16384;
		ring_set(&rig->guest, write_index, index);
		assert_int_equal(available(rig), n);
		ring_in_copy(&rig->ring, 0, got, n);
		assert_memory_equal(sent, got, n);
		ring_in_copy(&rig->ring, (uint32_t)n - 8, got, 8);
		assert_memory_equal(sent + n - 8, got, 8);
		ring_in_consume(&rig->ring, (uint32_t)n);
		assert_int_equal(ring_unpublished_bytes(&rig->ring), n);
		assert_false(ring_in_publish(&rig->ring));
		assert_int_equal(ring_get(&rig->guest, read_index), index);
		assert_int_equal(ring_unpublished_bytes(&rig->ring), 0);
	}
}

static void test_out_wraps(void **state)
{
	struct rig *rig = *state;
	uint8_t sent[4104], got[4104];
	uint32_t index = 0;

	open_out(rig);
	for (unsigned round = 0; round < 200; round++) {
		size_t n = 8 * (1 + round * 37 % 513);

		fill(sent, n, round);
		assert_int_equal(ring_out_room(&rig->ring, (uint32_t)n), 0);
		ring_out_append(&rig->ring, sent, n / 16 * 8);
		ring_out_append(&rig->ring, sent + n / 16 * 8, n - n / 16 * 8);
		assert_int_equal(ring_get(&rig->guest, write_index), index);
		assert_true(ring_out_publish(&rig->ring));
		guest_ring_peek(&rig->guest, index, got, n);
		assert_memory_equal(sent, got, n);
		index = (index + (uint32_t)n) % 16384;
		assert_int_equal(ring_get(&rig->guest, write_index), index);
		ring_set(&rig->guest, read_index, index);
	}
}

static void test_never_full(void **state)
{
	struct rig *rig = *state;
	static const uint8_t bytes[16384];

	open_out(rig);
	assert_int_equal(ring_out_room(&rig->ring, 16384 + 8), -EMSGSIZE);
	assert_int_equal(ring_out_room(&rig->ring, 16384), -EMSGSIZE);
	assert_int_equal(ring_out_room(&rig->ring, 16384 - 8), 0);
	ring_out_append(&rig->ring, bytes, 16384 - 16);
	assert_int_equal(ring_out_room(&rig->ring, 16), -EAGAIN);
	assert_int_equal(ring_out_room(&rig->ring, 8), 0);
	ring_out_append(&rig->ring, bytes, 8);
	assert_int_equal(ring_out_room(&rig->ring, 8), -EAGAIN);
	ring_out_publish(&rig->ring);
	ring_set(&rig->guest, read_index, 8);
	assert_int_equal(ring_out_room(&rig->ring, 8), 0);
	assert_int_equal(ring_out_room(&rig->ring, 16), -EAGAIN);
}

/* Signal on empty to non-empty only, and not a guest that masked. */
static void test_signals_of_data(void **state)
{
	struct rig *rig = *state;
	static const uint8_t bytes[64];

	open_out(rig);
	assert_false(ring_out_publish(&rig->ring)); /* nothing */
	ring_out_append(&rig->ring, bytes, 16);
	assert_true(ring_out_publish(&rig->ring));
	ring_out_append(&rig->ring, bytes, 16);
	assert_false(ring_out_publish(&rig->ring)); /* the guest has not read yet */
	ring_set(&rig->guest, read_index, 16);
	ring_out_append(&rig->ring, bytes, 16);
	assert_false(ring_out_publish(&rig->ring)); /* is reading */
	ring_set(&rig->guest, read_index, 48);
	/* A burst is one publish and one signal. */
	for (unsigned i = 0; i < 10; i++)
		ring_out_append(&rig->ring, bytes, 16);
	assert_true(ring_out_publish(&rig->ring));
	ring_set(&rig->guest, read_index, 48 + 160);
	ring_set(&rig->guest, interrupt_mask, 1);
	ring_out_append(&rig->ring, bytes, 16);
	assert_false(ring_out_publish(&rig->ring));
}

static void test_mask(void **state)
{
	struct rig *rig = *state;

	open_in(rig);
	ring_in_mask(&rig->ring, true);
	assert_int_equal(ring_get(&rig->guest, interrupt_mask), 1);
	ring_in_mask(&rig->ring, false);
	assert_int_equal(ring_get(&rig->guest, interrupt_mask), 0);
}

static void put(struct rig *rig, uint32_t n)
{
	ring_set(&rig->guest, write_index, (ring_get(&rig->guest, write_index) + n) % 16384);
}

static bool consume(struct rig *rig, uint32_t n)
{
	assert_true(available(rig) >= n);
	ring_in_consume(&rig->ring, n);
	return ring_in_publish(&rig->ring);
}

/* The producer sleeps until more than `pending` bytes are free and is woken exactly then. */
static void test_signals_of_room(void **state)
{
	struct rig *rig = *state;

	open_in(rig);
	put(rig, 16000);                /* 384 free */
	assert_false(consume(rig, 80)); /* nobody waits */
	ring_set(&rig->guest, pending_send_bytes, 1000);
	assert_false(consume(rig, 80));  /* 544 */
	assert_false(consume(rig, 456)); /* 1000 is not more than 1000 */
	assert_true(consume(rig, 8));
	assert_false(consume(rig, 8)); /* woken already */
	ring_set(&rig->guest, pending_send_bytes, 0);
	assert_false(consume(rig, 800));

	/* One that does not announce the feature is not read at all. */
	ring_set(&rig->guest, pending_send_bytes, 5000);
	ring_set(&rig->guest, feature_bits, 0);
	assert_false(consume(rig, 8000));
	ring_set(&rig->guest, feature_bits, 0xffffffff);

	/* All but everything, in odd bytes: woken by the empty ring. */
	ring_set(&rig->guest, pending_send_bytes, 16383);
	assert_true(consume(rig, available(rig)));
}

static void test_hostile_write_index(void **state)
{
	struct rig *rig = *state;
	static const uint32_t bad[] = {1, 4, 12, 16384, 16392, 0x7ffffff8, 0xffffffff};
	uint32_t n = 77;

	open_in(rig);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ring_set(&rig->guest, write_index, bad[i]);
		assert_int_equal(ring_in_available(&rig->ring, &n), -EBADMSG);
		assert_int_equal(n, 77);
	}
	ring_set(&rig->guest, write_index, 64);
	assert_int_equal(available(rig), 64);
	/* Later tricks are not looked at before what was seen is consumed. */
	ring_set(&rig->guest, write_index, 0xffffffff);
	assert_int_equal(available(rig), 64);
	ring_in_consume(&rig->ring, 64);
	ring_set(&rig->guest, pending_send_bytes, 0xffffffff);
	assert_false(ring_in_publish(&rig->ring));
	assert_int_equal(ring_in_available(&rig->ring, &n), -EBADMSG);
	/* Our own index is ours, whatever the guest writes over it. */
	ring_set(&rig->guest, read_index, 0xdeadbeef);
	ring_set(&rig->guest, write_index, 128);
	assert_int_equal(available(rig), 64);
	ring_in_consume(&rig->ring, 64);
	ring_in_publish(&rig->ring);
	assert_int_equal(ring_get(&rig->guest, read_index), 128);
}

static void test_hostile_read_index(void **state)
{
	struct rig *rig = *state;
	static const uint8_t bytes[16384];

	open_out(rig);
	ring_out_append(&rig->ring, bytes, 16384 - 8);
	ring_out_publish(&rig->ring);
	ring_set(&rig->guest, read_index, 3);
	assert_int_equal(ring_out_room(&rig->ring, 8), -EBADMSG);
	ring_set(&rig->guest, read_index, 16384);
	assert_int_equal(ring_out_room(&rig->ring, 8), -EBADMSG);
	ring_set(&rig->guest, read_index, 16);
	assert_int_equal(ring_out_room(&rig->ring, 8), 0);
}

static void test_room_requests(void **state)
{
	struct rig *rig = *state;

	open_out(rig);
	assert_true(ring_out_room_is_signalled(&rig->ring));
	ring_out_want_room(&rig->ring, 4096);
	assert_int_equal(ring_get(&rig->guest, pending_send_bytes), 4096);
	ring_out_want_room(&rig->ring, 0);
	assert_int_equal(ring_get(&rig->guest, pending_send_bytes), 0);
	ring_set(&rig->guest, feature_bits, 0);
	assert_false(ring_out_room_is_signalled(&rig->ring));
}

static void test_dirty_marks(void **state)
{
	struct rig *rig = *state;
	static const uint8_t bytes[16];

	open_out(rig);
	guest_clean_pages(&rig->memory);
	/* Around the end: the last page of data and the first one, and the control page. */
	ring_set(&rig->guest, read_index, 16376);
	ring_set(&rig->guest, write_index, 16376);
	open_out(rig);
	ring_out_append(&rig->ring, bytes, 16);
	ring_out_publish(&rig->ring);
	for (uint32_t page = 0; page < 32; page++) {
		uint64_t pfn = guest_pfn(page);
		bool expected = pfn == rig->pfns[0] || pfn == rig->pfns[1] || pfn == rig->pfns[4];

		assert_int_equal(guest_page_is_dirty(&rig->memory, page), expected);
	}

	guest_clean_pages(&rig->memory);
	open_in(rig);
	ring_in_mask(&rig->ring, true);
	assert_true(guest_page_is_dirty(&rig->memory, (uint32_t)(rig->pfns[0] - guest_pfn(0))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_checks_indices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_amid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_wraps, setup_scattered, teardown),
		cmocka_unit_test_setup_teardown(test_out_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_wraps, setup_scattered, teardown),
		cmocka_unit_test_setup_teardown(test_never_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_of_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_of_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_write_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_read_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dirty_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dirty_marks, setup_scattered, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
