/* SPDX-License-Identifier: MIT
 *
 * The choice of the codec, the bandwidth limit, and LZ4 itself.
 */
#include "migrate/codec.h"
#include "migrate/comp_lz4.h"
#include "migrate/pace.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK 262144ULL

/* Send `n` chunks with these costs; how many of the last half were packed. */
static unsigned packed_of(struct codec *codec, unsigned n, uint64_t wire_bytes_per_s,
	uint64_t pack_bytes_per_s, uint32_t ratio_permille)
{
	unsigned n_packed = 0;

	for (unsigned i = 0; i < n; i++) {
		bool pack = codec_choose_lz4(codec, true);
		uint64_t sent = pack ? CHUNK * ratio_permille / 1000 : CHUNK;

		if (pack)
			codec_note_pack(codec, CHUNK, sent, CHUNK * NS_PER_SEC / pack_bytes_per_s);
		codec_note_write(codec, sent, sent * NS_PER_SEC / wire_bytes_per_s);
		n_packed += pack && i >= n / 2;
	}
	return n_packed;
}

static void test_what_is_scarcer(void **state)
{
	static const struct {
		uint64_t wire_bytes_per_s, pack_bytes_per_s;
		uint32_t ratio_permille;
		bool packs;
	} rows[] = {
		{125000000, 600000000, 400, true},   /* gigabit: the wire is scarce */
		{3000000000, 600000000, 400, false}, /* loopback: the processor is */
		{3000000000, 5000000000, 20, true},  /* nearly empty pages */
		{125000000, 600000000, 1000, false}, /* does not pack */
		{1000, 600000000, 950, true},        /* a very slow wire takes any gain */
		{400000000, 600000000, 400, false},  /* 2.5 ns raw; 1.67 + 1 ns packed */
		{340000000, 600000000, 400, true},   /* 2.94 ns raw; 1.67 + 1.18 ns packed */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct codec codec;
		unsigned n_packed;

		codec_init(&codec, CODEC_ADAPTIVE);
		n_packed = packed_of(&codec, 640, rows[i].wire_bytes_per_s,
			rows[i].pack_bytes_per_s, rows[i].ratio_permille);
		if (rows[i].packs)
			assert_int_equal(n_packed, 320);
		else /* only to see whether that is still so */
			assert_in_range(n_packed, 1, 320 / CODEC_PROBE_EVERY + 1);
	}
}

static void test_notices_changes(void **state)
{
	struct codec codec;

	(void)state;
	codec_init(&codec, CODEC_ADAPTIVE);
	assert_true(packed_of(&codec, 200, 3000000000, 600000000, 400) < 10);
	assert_int_equal(packed_of(&codec, 400, 100000000, 600000000, 400), 200);
	assert_true(packed_of(&codec, 200, 3000000000, 600000000, 400) < 10);
	/* From incompressible to compressible memory on a slow wire: a probe finds out. */
	assert_true(packed_of(&codec, 200, 100000000, 600000000, 1000) < 10);
	assert_int_equal(packed_of(&codec, 800, 100000000, 600000000, 300), 400);
}

static void test_policies(void **state)
{
	struct codec codec;

	(void)state;
	codec_init(&codec, CODEC_RAW);
	assert_int_equal(packed_of(&codec, 100, 1000, 600000000, 10), 0);
	codec_init(&codec, CODEC_LZ4);
	assert_int_equal(packed_of(&codec, 100, 3000000000, 1000000, 999), 50);
	assert_true(codec_choose_lz4(&codec, false));
	/* No experiments while the VM is paused. */
	codec_init(&codec, CODEC_ADAPTIVE);
	assert_false(codec_choose_lz4(&codec, false));
	assert_true(codec_choose_lz4(&codec, true));
	packed_of(&codec, 64, 3000000000, 600000000, 400);
	for (unsigned i = 0; i < 2 * CODEC_PROBE_EVERY; i++)
		assert_false(codec_choose_lz4(&codec, false));
}

/* Portions of 4 ms against waits of 0.3 ms. */
static void test_whose_wait_it_is(void **state)
{
	uint64_t network_ns = 0;
	struct codec codec;

	(void)state;
	codec_init(&codec, CODEC_ADAPTIVE);
	for (unsigned i = 0; i < 1000; i++)
		network_ns += codec_network_wait_ns(&codec, 300000, i % 16 == 15 ? 4000000 : 0);
	assert_true(network_ns < 60 * 300000); /* until enough is known */
	codec_init(&codec, CODEC_ADAPTIVE);
	network_ns = 0;
	for (unsigned i = 0; i < 1000; i++)
		network_ns += codec_network_wait_ns(&codec, 300000, i % 200 == 0 ? 4000000 : 0);
	assert_true(network_ns > 800 * 300000);
	codec_init(&codec, CODEC_ADAPTIVE);
	assert_int_equal(codec_network_wait_ns(&codec, 0, 0), 0);
}

static void test_odd_samples(void **state)
{
	struct codec codec;

	(void)state;
	codec_init(&codec, CODEC_ADAPTIVE);
	codec_note_write(&codec, 0, 0);
	codec_note_pack(&codec, 0, 0, 0);
	codec_note_pack(&codec, 10, 10, 5);
	assert_false(codec.packed_once || codec.wrote_once);
	codec_note_write(&codec, CHUNK, UINT64_MAX);
	codec_note_pack(&codec, CHUNK, CHUNK, UINT64_MAX);
	codec_note_write(&codec, CHUNK, 0);
	(void)codec_choose_lz4(&codec, true);
}

static void test_pace(void **state)
{
	uint64_t now_ns = 50 * NS_PER_SEC, begun_ns = now_ns, sent = 0;
	struct pace pace;

	(void)state;
	pace_init(&pace, 0);
	assert_int_equal(pace_take(&pace, UINT64_MAX, now_ns), 0);
	pace_fini(&pace);

	pace_init(&pace, 100000000);
	for (unsigned i = 0; i < 1000; i++) {
		now_ns += pace_take(&pace, CHUNK, now_ns);
		sent += CHUNK;
	}
	/* What was sent in that time is what the limit allows, but for one burst and one chunk. */
	assert_true(sent - CHUNK <= (now_ns - begun_ns + 10 * NS_PER_MS) / 10);
	assert_true(sent >= (now_ns - begun_ns) / 10);
	/* Idle time is not saved up for ever. */
	now_ns += 3600 * NS_PER_SEC;
	assert_int_equal(pace_take(&pace, 1000000, now_ns), 0);
	assert_int_equal(pace_take(&pace, 1000000, now_ns), 0);
	assert_int_equal(pace_take(&pace, 1000000, now_ns), 10 * NS_PER_MS);
	pace_fini(&pace);
}

static void test_lz4(void **state)
{
	static uint8_t data[CHUNK], packed[CHUNK], unpacked[CHUNK + 64];
	void *lz4 = comp_lz4_new();
	uint64_t seed = 7;
	size_t n;

	(void)state;
	assert_non_null(lz4);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i / 100);
	n = comp_lz4_pack(lz4, data, sizeof(data), packed, sizeof(packed));
	assert_in_range(n, 1, sizeof(data) / 10);
	assert_int_equal(comp_lz4_unpack(packed, n, unpacked, sizeof(data)), 0);
	assert_memory_equal(data, unpacked, sizeof(data));

	/* Neither less nor more than it was, nor anything cut or changed in size. */
	assert_int_equal(comp_lz4_unpack(packed, n, unpacked, sizeof(data) - 1), -EBADMSG);
	assert_int_equal(comp_lz4_unpack(packed, n, unpacked, sizeof(data) + 1), -EBADMSG);
	for (size_t cut = 0; cut < n; cut += 13)
		assert_int_equal(comp_lz4_unpack(packed, cut, unpacked, sizeof(data)), -EBADMSG);
	assert_int_equal(comp_lz4_unpack(packed, SIZE_MAX, unpacked, sizeof(data)), -EBADMSG);
	for (unsigned i = 0; i < 2000; i++) {
		seed = seed * 6364136223846793005ULL + 1;
		packed[(seed >> 33) % n] ^= (uint8_t)(1 << (seed >> 60 & 7));
		(void)comp_lz4_unpack(packed, n, unpacked, sizeof(data));
	}
	for (size_t i = 0; i < sizeof(data); i++) {
		seed = seed * 6364136223846793005ULL + 1;
		data[i] = (uint8_t)(seed >> 56);
	}
	assert_int_equal(comp_lz4_pack(lz4, data, sizeof(data), packed, sizeof(data) - 1), 0);
	free(lz4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_scarcer),
		cmocka_unit_test(test_notices_changes),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_whose_wait_it_is),
		cmocka_unit_test(test_odd_samples),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_lz4),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
