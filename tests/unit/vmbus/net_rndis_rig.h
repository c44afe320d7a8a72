/* SPDX-License-Identifier: MIT
 *
 * net_rndis_rig.h - the control half of RNDIS alone, asked as a guest asks it: what the tests of
 * its messages and of its objects share.
 */
#ifndef VIADUCT_TESTS_NET_RNDIS_RIG_H
#define VIADUCT_TESTS_NET_RNDIS_RIG_H

#include "vmbus/net_rndis.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MTU      1500
#define NDIS_630 ((6U << 16) + 30)

static _unused_ const uint8_t mac[ETH_ADDR_LEN] = {0x02, 0x15, 0x5d, 1, 2, 3};
static const struct net_stats stats = {.tx = {.frames = 11,
					       .bytes = 1100,
					       .multicast_frames = 2,
					       .multicast_bytes = 200,
					       .broadcast_frames = 3,
					       .broadcast_bytes = 300,
					       .dropped = 3},
	.rx = {.frames = 22,
		.bytes = 0x100002200,
		.multicast_frames = 5,
		.multicast_bytes = 500,
		.broadcast_frames = 6,
		.broadcast_bytes = 600,
		.dropped = 4}};
static _unused_ struct net_rndis rndis;
static _unused_ uint32_t next_request;

/* The answer that was taken last. */
static _unused_ uint8_t answer[NET_RNDIS_ANSWER_MAX_BYTES];
static _unused_ size_t answer_bytes;

static _unused_ int handle(const void *message, size_t size_bytes)
{
	uint8_t *exact = calloc(1, size_bytes ? size_bytes : 1);
	int r;

	if (size_bytes)
		memcpy(exact, message, size_bytes);
	r = net_rndis_handle(&rndis, exact, size_bytes);
	free(exact);
	return r;
}

static _unused_ bool take(void)
{
	const struct net_rndis_answer *first = net_rndis_answer(&rndis);

	if (!first)
		return false;
	memcpy(answer, first->bytes, first->size_bytes);
	answer_bytes = first->size_bytes;
	assert_int_equal(load_le32(answer + 4), answer_bytes);
	net_rndis_answer_sent(&rndis);
	return true;
}

static _unused_ uint32_t initialize(uint32_t major)
{
	const struct rndis_initialize request = {
		RNDIS_INITIALIZE, sizeof(request), ++next_request, major, 0, 0x4000};
	struct rndis_initialize_complete complete;

	assert_int_equal(handle(&request, sizeof(request)), 0);
	assert_true(take());
	assert_int_equal(answer_bytes, sizeof(complete));
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_INITIALIZE_COMPLETE);
	assert_int_equal(complete.request_id, next_request);
	assert_int_equal(complete.major, 1);
	assert_int_equal(complete.device_flags, 1);
	assert_int_equal(complete.medium, 0);
	assert_int_equal(complete.max_packets_per_message, 8);
	assert_int_equal(complete.packet_alignment_factor, 3);
	assert_int_equal(complete.af_list_size, 0);
	return complete.status;
}

static _unused_ int setup(void **state)
{
	(void)state;
	memset(&rndis, 0, sizeof(rndis));
	memcpy(rndis.permanent_mac, mac, sizeof(mac));
	rndis.mtu_bytes = MTU;
	rndis.n_queues = 1;
	rndis.allow_mac_change = true;
	rndis.port_caps = ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
	rndis.stats = &stats;
	rndis.link_up = true;
	net_rndis_reset(&rndis);
	rndis.ndis_version = NDIS_630;
	return 0;
}

static _unused_ int setup_ready(void **state)
{
	setup(state);
	assert_int_equal(initialize(1), RNDIS_STATUS_SUCCESS);
	assert_true(rndis.ready);
	return 0;
}

static _unused_ size_t request(
	uint8_t *message, uint32_t type, uint32_t oid, const void *value, size_t value_bytes)
{
	const struct rndis_oid_request fixed = {
		.type = type,
		.length = (uint32_t)(sizeof(fixed) + value_bytes),
		.request_id = ++next_request,
		.oid = oid,
		.buffer_length = (uint32_t)value_bytes,
		.buffer_offset = sizeof(fixed) - RNDIS_BODY_AT,
	};

	memcpy(message, &fixed, sizeof(fixed));
	if (value_bytes)
		memcpy(message + sizeof(fixed), value, value_bytes);
	return fixed.length;
}

static _unused_ uint32_t query(uint32_t oid, const void *input, size_t input_bytes)
{
	uint8_t message[1024];
	struct rndis_query_complete complete;

	assert_int_equal(
		handle(message, request(message, RNDIS_QUERY, oid, input, input_bytes)), 0);
	assert_true(take());
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_QUERY_COMPLETE);
	assert_int_equal(complete.request_id, next_request);
	assert_int_equal(complete.buffer_offset, RNDIS_QUERY_BUFFER_OFFSET);
	assert_int_equal(complete.buffer_length, answer_bytes - sizeof(complete));
	if (complete.status != RNDIS_STATUS_SUCCESS)
		assert_int_equal(complete.buffer_length, 0);
	return complete.status;
}

static const uint8_t *value(size_t bytes)
{
	assert_int_equal(answer_bytes, sizeof(struct rndis_query_complete) + bytes);
	return answer + sizeof(struct rndis_query_complete);
}

static _unused_ uint32_t query_u32(uint32_t oid)
{
	assert_int_equal(query(oid, NULL, 0), RNDIS_STATUS_SUCCESS);
	return load_le32(value(4));
}

static _unused_ uint32_t set(uint32_t oid, const void *data, size_t bytes)
{
	uint8_t message[1024];
	struct rndis_set_complete complete;

	assert_int_equal(handle(message, request(message, RNDIS_SET, oid, data, bytes)), 0);
	assert_true(take());
	assert_int_equal(answer_bytes, sizeof(complete));
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_SET_COMPLETE);
	assert_int_equal(complete.request_id, next_request);
	return complete.status;
}

static _unused_ uint32_t set_u32(uint32_t oid, uint32_t v)
{
	return set(oid, &v, sizeof(v));
}

#endif
