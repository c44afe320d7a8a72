/* SPDX-License-Identifier: MIT */
#include "migrate/crc32c.h"

#include "base/bytes.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* The reversed polynomial 0x1edc6f41, a nibble at a time: small enough to be seen to be right, and
 * only for processors that are long gone. */
static const uint32_t nibble_table[16] = {
	0x00000000,
	0x105ec76f,
	0x20bd8ede,
	0x30e349b1,
	0x417b1dbc,
	0x5125dad3,
	0x61c69362,
	0x7198540d,
	0x82f63b78,
	0x92a8fc17,
	0xa24bb5a6,
	0xb21572c9,
	0xc38d26c4,
	0xd3d3e1ab,
	0xe330a81a,
	0xf36e6f75,
};

static uint32_t portable_add(uint32_t crc, const uint8_t *at, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++) {
		crc ^= at[i];
		crc = crc >> 4 ^ nibble_table[crc & 15];
		crc = crc >> 4 ^ nibble_table[crc & 15];
	}
	return crc;
}

static void portable_add_striped(uint32_t *lanes, const uint8_t *at, size_t n_stripes)
{
	for (size_t i = 0; i < n_stripes * 4; i++)
		lanes[i % 4] = portable_add(lanes[i % 4], at + i * 8, 8);
}

#if defined(__x86_64__)
static bool have_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t native_add(
	uint32_t crc, const uint8_t *at, size_t size_bytes)
{
	uint64_t sum = crc;

	for (; size_bytes >= 8; size_bytes -= 8, at += 8)
		sum = _mm_crc32_u64(sum, load_le64(at));
	for (; size_bytes; size_bytes--, at++)
		sum = _mm_crc32_u8((uint32_t)sum, *at);
	return (uint32_t)sum;
}

__attribute__((target("sse4.2"))) static void native_add_striped(
	uint32_t *lanes, const uint8_t *at, size_t n_stripes)
{
	uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];

	for (; n_stripes; n_stripes--, at += 32) {
		a = _mm_crc32_u64(a, load_le64(at));
		b = _mm_crc32_u64(b, load_le64(at + 8));
		c = _mm_crc32_u64(c, load_le64(at + 16));
		d = _mm_crc32_u64(d, load_le64(at + 24));
	}
	lanes[0] = (uint32_t)a;
	lanes[1] = (uint32_t)b;
	lanes[2] = (uint32_t)c;
	lanes[3] = (uint32_t)d;
}
#else
static bool have_instruction(void)
{
	return false;
}
#define native_add         portable_add
#define native_add_striped portable_add_striped
#endif

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size_bytes)
{
	return ~portable_add(~crc, data, size_bytes);
}

static uint32_t add(uint32_t crc, const uint8_t *at, size_t size_bytes)
{
	return have_instruction() ? native_add(crc, at, size_bytes)
				  : portable_add(crc, at, size_bytes);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size_bytes)
{
	return ~add(~crc, data, size_bytes);
}

void crc32c_striped_init(struct crc32c_striped *c)
{
	memset(c->lanes, 0xff, sizeof(c->lanes));
}

void crc32c_striped_add(struct crc32c_striped *c, const void *data, size_t size_bytes)
{
	const uint8_t *at = data;
	size_t n_stripes = size_bytes / 32;

	if (have_instruction())
		native_add_striped(c->lanes, at, n_stripes);
	else
		portable_add_striped(c->lanes, at, n_stripes);
	c->lanes[0] = add(c->lanes[0], at + n_stripes * 32, size_bytes % 32);
}

uint32_t crc32c_striped_end(const struct crc32c_striped *c)
{
	uint8_t sums[16];

	for (size_t i = 0; i < ARRAY_LEN(c->lanes); i++)
		store_le32(sums + i * 4, ~c->lanes[i]);
	return crc32c(0, sums, sizeof(sums));
}

uint32_t crc32c_striped_portable(const void *data, size_t size_bytes)
{
	const uint8_t *at = data;
	size_t n_stripes = size_bytes / 32;
	struct crc32c_striped c;

	crc32c_striped_init(&c);
	portable_add_striped(c.lanes, at, n_stripes);
	c.lanes[0] = portable_add(c.lanes[0], at + n_stripes * 32, size_bytes % 32);
	return crc32c_striped_end(&c);
}

uint32_t crc32c_striped(const void *data, size_t size_bytes)
{
	struct crc32c_striped c;

	crc32c_striped_init(&c);
	crc32c_striped_add(&c, data, size_bytes);
	return crc32c_striped_end(&c);
}
