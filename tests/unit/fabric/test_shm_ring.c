/* SPDX-License-Identifier: MIT
 *
 * A ring, one end against the other, and each against somebody who does not keep to the layout.
 */
#include "fabric/shm_ring.h"
#include "tests/unit/fabric/support.h"

#define RING_BYTES SHM_PORT_RING_MIN_BYTES

static uint8_t frame[ETH_FRAME_MAX_BYTES + 1], got[ETH_FRAME_MAX_BYTES];
static struct shm_ring_ctl ctl;
static uint8_t ring[RING_BYTES];
static struct shm_producer producer;
static struct shm_consumer consumer;

static int setup_ring(void **state)
{
	(void)state;
	memset(&ctl, 0, sizeof(ctl));
	shm_producer_init(&producer, &ctl, ring, RING_BYTES);
	shm_consumer_init(&consumer, &ctl, ring, RING_BYTES);
	return 0;
}

static int put(size_t size_bytes)
{
	static const struct eth_hdr none;
	const struct iovec iov = {frame, size_bytes};

	return shm_producer_put(&producer, &none, &iov, 1);
}

static bool publish(void)
{
	shm_producer_publish(&producer);
	return shm_producer_must_kick(&producer);
}

static void test_frames_come_out_as_they_went_in(void **state)
{
	uint64_t in_seed = 5, out_seed = 5, seed = 6;
	unsigned n_in = 0, n_out = 0;

	(void)state;
	while (n_out < 20000) {
		struct eth_hdr hdr = {.csum_start = (uint16_t)n_in};
		uint32_t size_bytes;
		struct iovec iov[3];

		for (unsigned n = random_below(&seed, 8); n > 0; n--) {
			size_t bytes = random_below(&in_seed, 3000);

			random_bytes(&in_seed, frame, bytes);
			hdr.csum_start = (uint16_t)n_in;
			iov[0] = (struct iovec){frame, bytes / 3};
			iov[1] = (struct iovec){frame + bytes / 3, 0};
			iov[2] = (struct iovec){frame + bytes / 3, bytes - bytes / 3};
			assert_int_equal(shm_producer_put(&producer, &hdr, iov, 3), 0);
			n_in++;
		}
		assert_int_equal(shm_consumer_peek(&consumer, &size_bytes),
			n_in > n_out && ctl.head != consumer.tail ? 0 : -EAGAIN);
		shm_producer_publish(&producer);
		while (shm_consumer_peek(&consumer, &size_bytes) == 0) {
			assert_int_equal(size_bytes, random_below(&out_seed, 3000));
			random_bytes(&out_seed, frame, size_bytes);
			shm_consumer_take(&consumer, &hdr, got);
			assert_memory_equal(got, frame, size_bytes);
			assert_int_equal(hdr.csum_start, (uint16_t)n_out);
			n_out++;
		}
		assert_int_equal(n_in, n_out);
		shm_consumer_publish(&consumer);
	}
}

static void test_full_ring(void **state)
{
	uint32_t size_bytes;
	unsigned n = 0;

	(void)state;
	while (put(1000) == 0)
		n++;
	assert_int_equal(n, RING_BYTES / 1016);
	assert_int_equal(put(1000), -EAGAIN);
	shm_producer_publish(&producer);
	assert_false(shm_producer_arm(&producer));
	/* The kick is owed when half of it is free, not before. */
	for (unsigned i = 0; i < n; i++) {
		bool kick;

		assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), 0);
		shm_consumer_take(&consumer, NULL, NULL);
		kick = shm_consumer_publish(&consumer);
		assert_int_equal(kick, n * 1016 - (i + 1) * 1016 <= RING_BYTES / 2 &&
					       !ctl.want_space && producer.tail == 0);
		if (kick) {
			assert_true(shm_producer_arm(&producer));
			assert_int_equal(put(ETH_FRAME_MAX_BYTES), 0);
			return;
		}
	}
	fail();
}

static void test_wake_up_flags(void **state)
{
	uint32_t size_bytes;

	(void)state;
	assert_int_equal(put(100), 0);
	assert_false(publish());
	assert_true(shm_consumer_arm(&consumer));
	assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), 0);
	shm_consumer_take(&consumer, NULL, NULL);
	assert_false(shm_consumer_arm(&consumer));
	assert_int_equal(put(100), 0);
	assert_true(publish());
	assert_int_equal(put(100), 0);
	assert_false(publish());
}

static void test_frame_sizes(void **state)
{
	uint32_t size_bytes;

	(void)state;
	assert_int_equal(put(ETH_FRAME_MAX_BYTES), 0);
	assert_int_equal(put(ETH_FRAME_MAX_BYTES + 1), -EMSGSIZE);
	assert_int_equal(put(SIZE_MAX), -EMSGSIZE);
	shm_producer_publish(&producer);
	assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), 0);
	assert_int_equal(size_bytes, ETH_FRAME_MAX_BYTES);
}

static void test_indices_wrap(void **state)
{
	uint32_t size_bytes;

	(void)state;
	ctl.head = ctl.tail = UINT32_MAX - 1015;
	producer.head = producer.tail = ctl.head;
	consumer.head = consumer.tail = consumer.published = ctl.head;
	for (unsigned i = 0; i < 5; i++) {
		memset(frame, (int)i, 1000);
		assert_int_equal(put(1000), 0);
		shm_producer_publish(&producer);
		assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), 0);
		assert_int_equal(size_bytes, 1000);
		shm_consumer_take(&consumer, &(struct eth_hdr){0}, got);
		assert_int_equal(got[999], i);
		shm_consumer_publish(&consumer);
	}
	assert_int_equal(ctl.tail, 4 * 1016);
}

static void write_record(uint32_t at, uint32_t frame_bytes, uint16_t reserved)
{
	struct shm_record record = {.frame_bytes = frame_bytes, .reserved = reserved};

	memcpy(ring + at, &record, sizeof(record));
}

static void test_hostile_producer(void **state)
{
	static const struct {
		uint32_t head, frame_bytes;
		uint16_t reserved;
	} attempts[] = {
		{RING_BYTES + 8, 100, 0}, /* more than there is */
		{0x80000000, 100, 0},     /* far ahead */
		{UINT32_MAX - 7, 100, 0}, /* backwards */
		{12, 4, 0},               /* not aligned */
		{8, 0, 0},                /* half a header */
		{64, 49, 0},              /* a byte longer than what was written */
		{64, RING_BYTES, 0},
		{64, UINT32_MAX, 0},
		{64, UINT32_MAX - 15, 0}, /* the sum with the header wraps */
		{64, UINT32_MAX - 23, 0},
		{RING_BYTES, RING_BYTES, 0},
		{64, 10, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		uint32_t size_bytes;

		setup_ring(state);
		write_record(0, attempts[i].frame_bytes, attempts[i].reserved);
		ctl.head = attempts[i].head;
		assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), -EBADMSG);
		assert_non_null(consumer.why);
		/* For good, whatever the producer does now. */
		ctl.head = 0;
		assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), -EBADMSG);
	}
}

static void test_record_changes_after_the_look(void **state)
{
	struct eth_hdr hdr;
	uint32_t size_bytes;

	(void)state;
	write_record(0, 48, 0);
	ctl.head = 64;
	assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), 0);
	write_record(0, 60000, 0);
	memset(got, 0x55, sizeof(got));
	shm_consumer_take(&consumer, &hdr, got);
	assert_int_equal(got[48], 0x55);
	assert_int_equal(consumer.tail, 64);
	assert_int_equal(shm_consumer_peek(&consumer, &size_bytes), -EAGAIN);
}

static void test_hostile_consumer(void **state)
{
	static const uint32_t tails[] = {8, 1u << 31, UINT32_MAX, RING_BYTES * 2};

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		setup_ring(state);
		while (put(60000) == 0)
			;
		shm_producer_publish(&producer);
		ctl.tail = producer.head + tails[i];
		assert_int_equal(put(60000), -EBADMSG);
		assert_non_null(producer.why);
		ctl.tail = producer.head;
		assert_int_equal(put(60), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_frames_come_out_as_they_went_in, setup_ring),
		cmocka_unit_test_setup(test_full_ring, setup_ring),
		cmocka_unit_test_setup(test_wake_up_flags, setup_ring),
		cmocka_unit_test_setup(test_frame_sizes, setup_ring),
		cmocka_unit_test_setup(test_indices_wrap, setup_ring),
		cmocka_unit_test_setup(test_hostile_producer, setup_ring),
		cmocka_unit_test_setup(test_record_changes_after_the_look, setup_ring),
		cmocka_unit_test_setup(test_hostile_consumer, setup_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
