/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rndis.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MTU      1500
#define NDIS_630 ((6U << 16) + 30)

static const uint8_t mac[ETH_ADDR_LEN] = {0x02, 0x15, 0x5d, 1, 2, 3};
static const struct net_stats stats = {
	.tx_frames = 11, .rx_frames = 22, .tx_dropped = 3, .rx_dropped = 4};
static struct net_rndis rndis;
static uint32_t next_request;

/* The answer that was taken last. */
static uint8_t answer[NET_RNDIS_ANSWER_MAX_BYTES];
static size_t answer_bytes;

static int handle(const void *message, size_t size_bytes)
{
	uint8_t *exact = calloc(1, size_bytes ? size_bytes : 1);
	int r;

	if (size_bytes)
		memcpy(exact, message, size_bytes);
	r = net_rndis_handle(&rndis, exact, size_bytes);
	free(exact);
	return r;
}

static bool take(void)
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

static uint32_t initialize(uint32_t major)
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

static int setup(void **state)
{
	(void)state;
	memset(&rndis, 0, sizeof(rndis));
	memcpy(rndis.permanent_mac, mac, sizeof(mac));
	rndis.mtu_bytes = MTU;
	rndis.port_caps = ETH_CAP_CSUM | ETH_CAP_TSO4 | ETH_CAP_TSO6;
	rndis.stats = &stats;
	rndis.link_up = true;
	net_rndis_reset(&rndis);
	rndis.ndis_version = NDIS_630;
	return 0;
}

static int setup_ready(void **state)
{
	setup(state);
	assert_int_equal(initialize(1), RNDIS_STATUS_SUCCESS);
	assert_true(rndis.ready);
	return 0;
}

static size_t request(
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

static uint32_t query(uint32_t oid, const void *input, size_t input_bytes)
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

static uint32_t query_u32(uint32_t oid)
{
	assert_int_equal(query(oid, NULL, 0), RNDIS_STATUS_SUCCESS);
	return load_le32(value(4));
}

static uint32_t set(uint32_t oid, const void *data, size_t bytes)
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

static uint32_t set_u32(uint32_t oid, uint32_t v)
{
	return set(oid, &v, sizeof(v));
}

static void numbers(void **state)
{
	static const struct {
		uint32_t oid, value;
	} expected[] = {
		{OID_GEN_HARDWARE_STATUS, 0},
		{OID_GEN_MEDIA_SUPPORTED, 0},
		{OID_GEN_MEDIA_IN_USE, 0},
		{OID_GEN_MAXIMUM_LOOKAHEAD, MTU},
		{OID_GEN_MAXIMUM_FRAME_SIZE, MTU},
		{OID_GEN_LINK_SPEED, 100000000},
		{OID_GEN_TRANSMIT_BLOCK_SIZE, MTU + 14},
		{OID_GEN_RECEIVE_BLOCK_SIZE, MTU + 14},
		{OID_GEN_VENDOR_ID, 0xffffff},
		{OID_GEN_CURRENT_PACKET_FILTER, 0},
		{OID_GEN_CURRENT_LOOKAHEAD, MTU},
		{OID_GEN_MAXIMUM_TOTAL_SIZE, MTU + 14},
		{OID_GEN_MEDIA_CONNECT_STATUS, 0},
		{OID_GEN_MAXIMUM_SEND_PACKETS, 8},
		{OID_GEN_XMIT_OK, 11},
		{OID_GEN_RCV_OK, 22},
		{OID_GEN_XMIT_ERROR, 3},
		{OID_GEN_RCV_ERROR, 0},
		{OID_GEN_RCV_NO_BUFFER, 4},
		{OID_802_3_MAXIMUM_LIST_SIZE, 32},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(query_u32(expected[i].oid), expected[i].value);
}

static void addresses_and_texts(void **state)
{
	(void)state;
	assert_int_equal(query(OID_802_3_PERMANENT_ADDRESS, NULL, 0), 0);
	assert_memory_equal(value(6), mac, 6);
	assert_int_equal(query(OID_802_3_CURRENT_ADDRESS, NULL, 0), 0);
	assert_memory_equal(value(6), mac, 6);
	assert_int_equal(query(OID_GEN_VENDOR_DESCRIPTION, NULL, 0), 0);
	assert_true(answer_bytes > sizeof(struct rndis_query_complete));
	assert_int_equal(answer[answer_bytes - 1], 0);
}

static void the_supported_list_is_true(void **state)
{
	uint8_t list[NET_RNDIS_ANSWER_MAX_BYTES];
	size_t n;

	(void)state;
	assert_int_equal(query(OID_GEN_SUPPORTED_LIST, NULL, 0), 0);
	n = (answer_bytes - sizeof(struct rndis_query_complete)) / 4;
	memcpy(list, answer + sizeof(struct rndis_query_complete), n * 4);
	assert_true(n >= 20);
	for (size_t i = 0; i < n; i++) {
		uint32_t oid = load_le32(list + i * 4);

		if (query(oid, NULL, 0) == RNDIS_STATUS_NOT_SUPPORTED)
			assert_int_not_equal(set(oid, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED);
	}
}

static void unknown_objects(void **state)
{
	(void)state;
	assert_int_equal(query(OID_GEN_FRIENDLY_NAME, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(query(0xffffffff, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(query(OID_TCP_OFFLOAD_PARAMETERS, NULL, 0), RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(set_u32(OID_GEN_LINK_SPEED, 1), RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(set_u32(0x12345678, 1), RNDIS_STATUS_NOT_SUPPORTED);
}

static void offload_objects(void **state)
{
	const struct ndis_object_header room = {NDIS_OBJECT_OFFLOAD, 2, NDIS_OFFLOAD_BYTES_6_1};
	const struct ndis_offload_params off = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(off)}, .tcp4_csum = NDIS_CSUM_OFF};
	struct ndis_offload object;

	(void)state;
	assert_int_equal(query(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0), 0);
	memcpy(&object, value(NDIS_OFFLOAD_BYTES_6_30), sizeof(object));
	assert_int_equal(object.header.revision, 3);
	assert_true(object.csum4_tx & NDIS_CSUM4_TCP);

	assert_int_equal(query(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, &room, sizeof(room)), 0);
	value(NDIS_OFFLOAD_BYTES_6_1);

	assert_int_equal(set(OID_TCP_OFFLOAD_PARAMETERS, &off, sizeof(off)), 0);
	assert_int_equal(query(OID_TCP_OFFLOAD_CURRENT_CONFIG, NULL, 0), 0);
	memcpy(&object, value(NDIS_OFFLOAD_BYTES_6_30), sizeof(object));
	assert_false(object.csum4_tx & NDIS_CSUM4_TCP);
	assert_true(object.csum4_tx & NDIS_CSUM4_UDP);
	assert_int_equal(query(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0), 0);
	memcpy(&object, value(NDIS_OFFLOAD_BYTES_6_30), sizeof(object));
	assert_true(object.csum4_tx & NDIS_CSUM4_TCP);

	assert_int_equal(set(OID_TCP_OFFLOAD_PARAMETERS, &off, 21), RNDIS_STATUS_INVALID_LENGTH);
	assert_int_equal(set(OID_TCP_OFFLOAD_PARAMETERS, &object, 22), RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_u32(OID_OFFLOAD_ENCAPSULATION, 2), RNDIS_STATUS_SUCCESS);
}

struct rss {
	struct ndis_rss_params params;
	uint32_t table[128];
	uint8_t key[40];
};

static struct rss rss_make(void)
{
	return (struct rss){
		.params = {
			.header = {NDIS_OBJECT_RSS_PARAMS, 2, sizeof(struct ndis_rss_params)},
			.hash_information = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4,
			.table_size = sizeof(((struct rss *)0)->table),
			.table_offset = offsetof(struct rss, table),
			.key_size = 40,
			.key_offset = offsetof(struct rss, key),
		}};
}

static void receive_side_scaling_has_one_queue(void **state)
{
	struct rss good = rss_make(), bad;
	struct ndis_rss_caps caps;

	(void)state;
	assert_int_equal(query(OID_GEN_RECEIVE_SCALE_CAPABILITIES, NULL, 0), 0);
	memcpy(&caps, value(18), sizeof(caps));
	assert_int_equal(caps.header.type, NDIS_OBJECT_RSS_CAPS);
	assert_int_equal(caps.header.size, 18);
	assert_int_equal(caps.n_receive_queues, 1);

	assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &good, sizeof(good)), 0);
	bad = good;
	bad.table[127] = 1; /* no such queue */
	assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &bad, sizeof(bad)),
		RNDIS_STATUS_INVALID_DATA);
	bad.params.flags = NDIS_RSS_FLAG_DISABLE;
	assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &bad, sizeof(bad)), 0);
}

static void contradictory_scaling_parameters(void **state)
{
	const struct rss good = rss_make();
	struct rss bad[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = good;
	bad[0].params.header.type = NDIS_OBJECT_DEFAULT;
	bad[1].params.table_size = 516; /* beyond 128 entries */
	bad[2].params.table_size = 6;   /* not whole entries */
	bad[3].params.table_offset = 0; /* in the fixed part */
	bad[4].params.table_offset = 0xfffffff0;
	bad[5].params.key_size = 41;
	bad[6].params.key_offset = sizeof(struct rss) - 39; /* one byte beyond */
	bad[7].params.header.size = 39;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &bad[i], sizeof(bad[i])),
			RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(
		set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &good, 39), RNDIS_STATUS_INVALID_LENGTH);
}

static size_t mac_parameter(uint8_t *out, const char *name, const char *text)
{
	const struct rndis_config_parameter fixed = {
		.name_offset = sizeof(fixed),
		.name_length = (uint32_t)strlen(name) * 2,
		.type = RNDIS_CONFIG_STRING,
		.value_offset = (uint32_t)(sizeof(fixed) + strlen(name) * 2),
		.value_length = (uint32_t)strlen(text) * 2,
	};
	size_t at = sizeof(fixed);

	memcpy(out, &fixed, sizeof(fixed));
	for (; *name; at += 2)
		store_le16(out + at, (uint8_t)*name++);
	for (; *text; at += 2)
		store_le16(out + at, (uint8_t)*text++);
	return at;
}

static uint32_t set_mac(const char *name, const char *text)
{
	uint8_t parameter[256];

	return set(OID_GEN_RNDIS_CONFIG_PARAMETER, parameter, mac_parameter(parameter, name, text));
}

static void the_guest_changes_its_address(void **state)
{
	static const uint8_t changed[] = {0x02, 0xab, 0xcd, 0xef, 0x01, 0x99};

	(void)state;
	assert_int_equal(set_mac("NetworkAddress", "02abCDef0199"), 0);
	assert_int_equal(query(OID_802_3_CURRENT_ADDRESS, NULL, 0), 0);
	assert_memory_equal(value(6), changed, 6);
	assert_int_equal(query(OID_802_3_PERMANENT_ADDRESS, NULL, 0), 0);
	assert_memory_equal(value(6), mac, 6);

	assert_int_equal(set_mac("NetworkAddress", "010000000001"), RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", "000000000000"), RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", "02abcdef019"), RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", "02abcdef019g"), RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", ""), RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("Speed", "02abcdef0199"), RNDIS_STATUS_NOT_SUPPORTED);
	assert_memory_equal(rndis.mac, changed, 6);
}

static void contradictory_config_parameters(void **state)
{
	uint8_t parameter[256];
	size_t size_bytes = mac_parameter(parameter, "NetworkAddress", "02abcdef0199");
	struct rndis_config_parameter bad;

	(void)state;
	for (size_t bytes = 0; bytes < size_bytes; bytes++)
		assert_int_not_equal(set(OID_GEN_RNDIS_CONFIG_PARAMETER, parameter, bytes),
			RNDIS_STATUS_SUCCESS);
	memcpy(&bad, parameter, sizeof(bad));
	bad.value_offset = 0xffffffff;
	memcpy(parameter, &bad, sizeof(bad));
	assert_int_equal(set(OID_GEN_RNDIS_CONFIG_PARAMETER, parameter, size_bytes),
		RNDIS_STATUS_INVALID_DATA);
	bad.value_offset = 4; /* in the fixed part */
	memcpy(parameter, &bad, sizeof(bad));
	assert_int_equal(set(OID_GEN_RNDIS_CONFIG_PARAMETER, parameter, size_bytes),
		RNDIS_STATUS_INVALID_DATA);
	assert_memory_equal(rndis.mac, mac, 6);
}

static void multicast_lists(void **state)
{
	uint8_t list[33 * 6] = {0};

	(void)state;
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, list, 0), 0);
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, list, 32 * 6), 0);
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, list, 7), RNDIS_STATUS_INVALID_LENGTH);
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, list, 33 * 6), RNDIS_STATUS_INVALID_LENGTH);
}

static void the_filter_decides_by_destination(void **state)
{
	static const uint8_t broadcast[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t group[] = {0x33, 0x33, 0, 0, 0, 1};
	static const uint8_t stranger[] = {0x02, 9, 9, 9, 9, 9};
	static const struct {
		uint32_t filter;
		bool own, all, group, stranger;
	} cases[] = {
		{0, false, false, false, false},
		{NDIS_PACKET_TYPE_DIRECTED, true, false, false, false},
		{NDIS_PACKET_TYPE_BROADCAST, false, true, false, false},
		{NDIS_PACKET_TYPE_MULTICAST, false, false, true, false},
		{NDIS_PACKET_TYPE_ALL_MULTICAST, false, false, true, false},
		{NDIS_PACKET_TYPE_PROMISCUOUS, true, true, true, true},
		{0xffffffd0, false, false, false, false}, /* nothing we know */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(set_u32(OID_GEN_CURRENT_PACKET_FILTER, cases[i].filter), 0);
		assert_int_equal(query_u32(OID_GEN_CURRENT_PACKET_FILTER), cases[i].filter & 0x2f);
		assert_int_equal(net_rndis_accepts(&rndis, mac), cases[i].own);
		assert_int_equal(net_rndis_accepts(&rndis, broadcast), cases[i].all);
		assert_int_equal(net_rndis_accepts(&rndis, group), cases[i].group);
		assert_int_equal(net_rndis_accepts(&rndis, stranger), cases[i].stranger);
	}
	assert_int_equal(set(OID_GEN_CURRENT_PACKET_FILTER, "abc", 3), RNDIS_STATUS_INVALID_LENGTH);
}

static void keepalive_reset_halt(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 77};
	const struct rndis_reset reset = {RNDIS_RESET, sizeof(reset), 0};
	const struct rndis_halt halt = {RNDIS_HALT, sizeof(halt), 78};
	struct rndis_reset_complete complete;

	(void)state;
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_DIRECTED);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
	assert_true(take());
	assert_int_equal(load_le32(answer), RNDIS_KEEPALIVE_COMPLETE);
	assert_int_equal(load_le32(answer + 8), 77);
	assert_int_equal(load_le32(answer + 12), RNDIS_STATUS_SUCCESS);

	assert_int_equal(handle(&reset, sizeof(reset)), 0);
	assert_true(take());
	memcpy(&complete, answer, sizeof(complete));
	assert_int_equal(complete.type, RNDIS_RESET_COMPLETE);
	assert_int_equal(complete.status, RNDIS_STATUS_SUCCESS);
	assert_int_equal(complete.addressing_reset, 1);
	assert_int_equal(rndis.packet_filter, 0);

	assert_int_equal(handle(&halt, sizeof(halt)), 0);
	assert_false(take());
	assert_false(rndis.ready);
	assert_false(net_rndis_accepts(&rndis, mac));
	assert_int_equal(initialize(1), RNDIS_STATUS_SUCCESS);
}

static void before_initialize_all_is_refused_but_answered(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 5};
	const struct rndis_reset reset = {RNDIS_RESET, sizeof(reset), 0};

	(void)state;
	assert_int_equal(query(OID_GEN_LINK_SPEED, NULL, 0), RNDIS_STATUS_FAILURE);
	assert_int_equal(set_u32(OID_GEN_CURRENT_PACKET_FILTER, 1), RNDIS_STATUS_FAILURE);
	assert_int_equal(rndis.packet_filter, 0);
	assert_int_equal(handle(&reset, sizeof(reset)), 0);
	assert_true(take());
	assert_int_equal(answer_bytes, sizeof(struct rndis_reset_complete));
	assert_int_equal(load_le32(answer + 8), RNDIS_STATUS_FAILURE);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
	assert_true(take());
	assert_int_equal(load_le32(answer + 12), RNDIS_STATUS_SUCCESS);
	assert_int_equal(initialize(2), RNDIS_STATUS_NOT_SUPPORTED);
	assert_false(rndis.ready);
}

static void malformed_messages_are_refused_whole(void **state)
{
	const struct rndis_oid_request good = {
		RNDIS_QUERY, sizeof(good), 1, OID_GEN_LINK_SPEED, 0, 20, 0};
	struct rndis_oid_request bad = good;

	(void)state;
	for (size_t bytes = 0; bytes < sizeof(good); bytes++)
		assert_int_equal(handle(&good, bytes), -EBADMSG);
	bad.length = sizeof(bad) - 1; /* too short for a query */
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.length = sizeof(bad) + 1; /* longer than there are bytes */
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.length = 0xffffffff;
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad = good;
	bad.type = RNDIS_PACKET; /* not control */
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.type = RNDIS_QUERY_COMPLETE;
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	bad.type = RNDIS_INDICATE_STATUS;
	assert_int_equal(handle(&bad, sizeof(bad)), -EBADMSG);
	assert_false(take());
}

static void a_value_outside_the_message_is_answered_with_an_error(void **state)
{
	static const struct {
		uint32_t length, offset;
	} bad[] = {
		{5, 20},                 /* beyond the message */
		{4, 21},                 /* the same */
		{4, 12},                 /* in the fixed part */
		{4, 0},                  /* the same */
		{0xffffffff, 20},        /* far */
		{4, 0xffffffff},         /* far */
		{0xffffffff, 0xffffffff} /* overflows */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (uint32_t type = RNDIS_QUERY; type <= RNDIS_SET; type++) {
			uint8_t message[32] = {0};
			const struct rndis_oid_request fixed = {type, sizeof(message), 1,
				OID_GEN_CURRENT_PACKET_FILTER, bad[i].length, bad[i].offset, 0};

			memcpy(message, &fixed, sizeof(fixed));
			assert_int_equal(handle(message, sizeof(message)), 0);
			assert_true(take());
			assert_int_equal(load_le32(answer + 12), RNDIS_STATUS_INVALID_DATA);
			if (type == RNDIS_QUERY)
				assert_int_equal(load_le32(answer + 20), RNDIS_QUERY_BUFFER_OFFSET);
		}
	}
	assert_int_equal(rndis.packet_filter, 0);
}

static void unread_answers_push_back(void **state)
{
	const struct rndis_keepalive keepalive = {RNDIS_KEEPALIVE, sizeof(keepalive), 5};
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < NET_RNDIS_MAX_ANSWERS - 1; i++)
		assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), -EBUSY);
	rndis.link_up = false; /* still has its place */
	while (take())
		n++;
	assert_int_equal(n, NET_RNDIS_MAX_ANSWERS);
	assert_int_equal(load_le32(answer), RNDIS_INDICATE_STATUS);
	assert_int_equal(handle(&keepalive, sizeof(keepalive)), 0);
}

static void assert_indication(uint32_t status)
{
	struct rndis_indicate_status indication;

	assert_true(take());
	assert_int_equal(answer_bytes, sizeof(indication));
	memcpy(&indication, answer, sizeof(indication));
	assert_int_equal(indication.type, RNDIS_INDICATE_STATUS);
	assert_int_equal(indication.status, status);
	assert_int_equal(indication.buffer_length, 0);
}

static void the_link_is_told_once(void **state)
{
	(void)state;
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_DIRECTED);
	assert_false(take());
	rndis.link_up = false;
	assert_indication(RNDIS_STATUS_MEDIA_DISCONNECT);
	assert_false(take());
	assert_int_equal(query_u32(OID_GEN_MEDIA_CONNECT_STATUS), 1);
	rndis.link_up = true;
	rndis.link_up = false; /* flaps between two looks: nothing to tell */
	assert_false(take());
	rndis.link_up = true;
	assert_indication(RNDIS_STATUS_MEDIA_CONNECT);
	assert_false(take());
}

static void the_link_waits_for_initialize(void **state)
{
	(void)state;
	rndis.link_up = false;
	assert_false(take());
	assert_int_equal(initialize(1), RNDIS_STATUS_SUCCESS);
	assert_false(take()); /* it will ask */
	assert_int_equal(query_u32(OID_GEN_MEDIA_CONNECT_STATUS), 1);
	rndis.link_up = true;
	assert_indication(RNDIS_STATUS_MEDIA_CONNECT);
}

/* Between INITIALIZE and its interface a guest does not listen. */
static void a_change_before_the_filter_is_told_again(void **state)
{
	(void)state;
	rndis.link_up = false;
	assert_indication(RNDIS_STATUS_MEDIA_DISCONNECT);
	assert_int_equal(set_u32(OID_GEN_CURRENT_PACKET_FILTER, 1), 0);
	assert_indication(RNDIS_STATUS_MEDIA_DISCONNECT);
	assert_false(take());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(numbers, setup_ready),
		cmocka_unit_test_setup(addresses_and_texts, setup_ready),
		cmocka_unit_test_setup(the_supported_list_is_true, setup_ready),
		cmocka_unit_test_setup(unknown_objects, setup_ready),
		cmocka_unit_test_setup(offload_objects, setup_ready),
		cmocka_unit_test_setup(receive_side_scaling_has_one_queue, setup_ready),
		cmocka_unit_test_setup(contradictory_scaling_parameters, setup_ready),
		cmocka_unit_test_setup(the_guest_changes_its_address, setup_ready),
		cmocka_unit_test_setup(contradictory_config_parameters, setup_ready),
		cmocka_unit_test_setup(multicast_lists, setup_ready),
		cmocka_unit_test_setup(the_filter_decides_by_destination, setup_ready),
		cmocka_unit_test_setup(keepalive_reset_halt, setup_ready),
		cmocka_unit_test_setup(before_initialize_all_is_refused_but_answered, setup),
		cmocka_unit_test_setup(malformed_messages_are_refused_whole, setup_ready),
		cmocka_unit_test_setup(
			a_value_outside_the_message_is_answered_with_an_error, setup_ready),
		cmocka_unit_test_setup(unread_answers_push_back, setup_ready),
		cmocka_unit_test_setup(the_link_is_told_once, setup_ready),
		cmocka_unit_test_setup(the_link_waits_for_initialize, setup),
		cmocka_unit_test_setup(a_change_before_the_filter_is_told_again, setup_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
