/* SPDX-License-Identifier: MIT
 *
 * support.h - what the tests of the fabric share: frames to send, random numbers that repeat.
 */
#ifndef VIADUCT_TESTS_FABRIC_SUPPORT_H
#define VIADUCT_TESTS_FABRIC_SUPPORT_H

#include "base/bytes.h"
#include "base/eth_ops.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* xorshift64*; `state` is not 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static inline unsigned random_below(uint64_t *state, unsigned limit)
{
	return (unsigned)(random_next(state) >> 33) % limit;
}

static inline void random_bytes(uint64_t *state, void *data, size_t size_bytes)
{
	uint8_t *p = data;

	for (size_t i = 0; i < size_bytes; i++)
		p[i] = (uint8_t)(random_next(state) >> 40);
}

/* 02:00:00:00:00:NN, locally administered. */
static inline void make_mac(uint8_t mac[ETH_ADDR_LEN], unsigned number)
{
	memset(mac, 0, ETH_ADDR_LEN);
	mac[0] = 2;
	mac[4] = (uint8_t)(number >> 8);
	mac[5] = (uint8_t)number;
}

#define BROADCAST 0xffffffffU

static inline void make_address(uint8_t mac[ETH_ADDR_LEN], unsigned number)
{
	if (number == BROADCAST)
		memset(mac, 0xff, ETH_ADDR_LEN);
	else
		make_mac(mac, number);
}

/* A frame of an experimental protocol with the number `mark` in it; tagged when tci >= 0. Returns
 * its size, which is at least 64. */
static inline size_t make_frame(uint8_t *frame, unsigned dst, unsigned src, int tci, uint32_t mark)
{
	size_t at = 2 * ETH_ADDR_LEN;

	make_address(frame, dst);
	make_address(frame + ETH_ADDR_LEN, src);
	if (tci >= 0) {
		store_be16(frame + at, 0x8100);
		store_be16(frame + at + 2, (uint16_t)tci);
		at += 4;
	}
	store_be16(frame + at, 0x88b5);
	store_be32(frame + at + 2, mark);
	memset(frame + at + 6, (int)(mark & 0xff), 64);
	return at + 6 + 64;
}

/* The mark in a frame of make_frame(), and its tag (-1 for none). */
static inline uint32_t read_mark(const uint8_t *frame, int *ret_tci)
{
	size_t at = 2 * ETH_ADDR_LEN;

	*ret_tci = -1;
	if (load_be16(frame + at) == 0x8100) {
		*ret_tci = load_be16(frame + at + 2);
		at += 4;
	}
	assert_int_equal(load_be16(frame + at), 0x88b5);
	return load_be32(frame + at + 2);
}

#endif
