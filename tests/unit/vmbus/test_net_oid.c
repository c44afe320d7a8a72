/* SPDX-License-Identifier: MIT */
#include "vmbus/net_oid.h"

#include "net_rndis_rig.h"

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
		{OID_GEN_DIRECTED_BYTES_XMIT, 600},
		{OID_GEN_DIRECTED_FRAMES_XMIT, 6},
		{OID_GEN_MULTICAST_BYTES_XMIT, 200},
		{OID_GEN_MULTICAST_FRAMES_XMIT, 2},
		{OID_GEN_BROADCAST_BYTES_XMIT, 300},
		{OID_GEN_BROADCAST_FRAMES_XMIT, 3},
		{OID_GEN_DIRECTED_BYTES_RCV, 0x2200 - 1100},
		{OID_GEN_DIRECTED_FRAMES_RCV, 11},
		{OID_GEN_MULTICAST_BYTES_RCV, 500},
		{OID_GEN_MULTICAST_FRAMES_RCV, 5},
		{OID_GEN_BROADCAST_BYTES_RCV, 600},
		{OID_GEN_BROADCAST_FRAMES_RCV, 6},
		{OID_802_3_MAXIMUM_LIST_SIZE, 32},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(query_u32(expected[i].oid), expected[i].value);
}

static void statistics_in_one(void **state)
{
	struct ndis_statistics statistics;

	(void)state;
	assert_int_equal(query(OID_GEN_STATISTICS, NULL, 0), 0);
	memcpy(&statistics, value(152), sizeof(statistics));
	assert_int_equal(statistics.header.type, NDIS_OBJECT_DEFAULT);
	assert_int_equal(statistics.header.size, 152);
	assert_int_equal(statistics.rx_bytes, 0x100002200);
	assert_int_equal(statistics.rx_unicast_bytes, 0x100002200 - 1100);
	assert_int_equal(statistics.rx_unicast_frames, 11);
	assert_int_equal(statistics.rx_discards, 4);
	assert_int_equal(statistics.tx_bytes, 1100);
	assert_int_equal(statistics.tx_multicast_frames, 2);
	assert_int_equal(statistics.tx_broadcast_bytes, 300);
	assert_int_equal(statistics.tx_discards, 3);
	assert_int_equal(statistics.tx_errors, 0);
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

/* A guest that knows coalesced packets is offered them, and has them when it says so. */
static void coalescing_is_negotiated(void **state)
{
	const struct ndis_offload_params on = {
		.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(on)},
		.rsc4 = NDIS_SEGMENT_ON,
		.rsc6 = NDIS_SEGMENT_ON,
	};
	struct ndis_offload object;

	(void)state;
	assert_int_equal(set(OID_TCP_OFFLOAD_PARAMETERS, &on, sizeof(on)), 0);
	assert_false(rndis.offload.rsc4 || rndis.offload.rsc6);
	query(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0);
	memcpy(&object, value(NDIS_OFFLOAD_BYTES_6_30), sizeof(object));
	assert_int_equal(object.rsc4 | object.rsc6, 0);

	rndis.rsc = true;
	query(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0);
	memcpy(&object, value(NDIS_OFFLOAD_BYTES_6_30), sizeof(object));
	assert_int_equal(object.rsc4, 1);
	assert_int_equal(object.rsc6, 1);
	assert_false(rndis.offload.rsc4 || rndis.offload.rsc6);
	/* The short form of old guests says nothing of it. */
	assert_int_equal(
		set(OID_TCP_OFFLOAD_PARAMETERS,
			&(struct ndis_offload_params){.header = {NDIS_OBJECT_DEFAULT, 3, 22}}, 22),
		0);
	assert_false(rndis.offload.rsc4 || rndis.offload.rsc6);
	assert_int_equal(set(OID_TCP_OFFLOAD_PARAMETERS, &on, sizeof(on)), 0);
	assert_true(rndis.offload.rsc4 && rndis.offload.rsc6);
	query(OID_TCP_OFFLOAD_CURRENT_CONFIG, NULL, 0);
	memcpy(&object, value(NDIS_OFFLOAD_BYTES_6_30), sizeof(object));
	assert_int_equal(object.rsc4, 1);
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

static void receive_side_scaling_has_many_queues(void **state)
{
	struct rss wish = rss_make();
	struct ndis_rss_caps caps;

	(void)state;
	rndis.n_queues = 8;
	assert_int_equal(query(OID_GEN_RECEIVE_SCALE_CAPABILITIES, NULL, 0), 0);
	memcpy(&caps, value(18), sizeof(caps));
	assert_int_equal(caps.n_receive_queues, 8);
	assert_int_equal(caps.n_table_entries, 128);
	assert_true(caps.capabilities & NDIS_RSS_CAPS_TOEPLITZ);
	assert_true(caps.capabilities & NDIS_RSS_CAPS_TCP_IPV4);

	for (unsigned i = 0; i < 128; i++)
		wish.table[i] = i % 8;
	/* Linux sends all of it twice, the first time with scaling off. */
	wish.params.flags = NDIS_RSS_FLAG_DISABLE;
	assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &wish, sizeof(wish)), 0);
	assert_false(rndis.rss.enabled);
	wish.params.flags = 0;
	assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &wish, sizeof(wish)), 0);
	assert_true(rndis.rss.enabled);
	assert_int_equal(net_rss_queue(&rndis.rss, 13), 5);
	wish.table[3] = 8;
	assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &wish, sizeof(wish)),
		RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(net_rss_queue(&rndis.rss, 3), 3);
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
	bad[7].params.header.size = 27;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &bad[i], sizeof(bad[i])),
			RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(
		set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &good, 27), RNDIS_STATUS_INVALID_LENGTH);
	assert_int_equal(
		set(OID_GEN_RECEIVE_SCALE_PARAMETERS, &good, 39), RNDIS_STATUS_INVALID_DATA);
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

/* What the owner does not allow fails, and changes nothing; the address it has is no change. */
static void the_guest_keeps_its_address(void **state)
{
	(void)state;
	rndis.allow_mac_change = false;
	assert_int_equal(set_mac("NetworkAddress", "02abCDef0199"), RNDIS_STATUS_FAILURE);
	assert_memory_equal(rndis.mac, mac, 6);
	assert_int_equal(set_mac("NetworkAddress", "02155d010203"), RNDIS_STATUS_SUCCESS);
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

/* Without a list NDIS_PACKET_TYPE_MULTICAST lets all groups through, with one those of it. */
static void the_list_decides_about_groups(void **state)
{
	static const uint8_t groups[][6] = {{0x33, 0x33, 0, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 2}};

	(void)state;
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_MULTICAST);
	assert_true(net_rndis_accepts(&rndis, groups[1]));
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, groups[0], 6), 0);
	assert_true(net_rndis_accepts(&rndis, groups[0]));
	assert_false(net_rndis_accepts(&rndis, groups[1]));
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, groups, 12), 0);
	assert_true(net_rndis_accepts(&rndis, groups[1]));
	assert_int_equal(set(OID_802_3_MULTICAST_LIST, groups, 0), 0);
	assert_false(net_rndis_accepts(&rndis, groups[1]));
	set_u32(OID_GEN_CURRENT_PACKET_FILTER, NDIS_PACKET_TYPE_ALL_MULTICAST);
	assert_true(net_rndis_accepts(&rndis, groups[1]));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(numbers, setup_ready),
		cmocka_unit_test_setup(statistics_in_one, setup_ready),
		cmocka_unit_test_setup(addresses_and_texts, setup_ready),
		cmocka_unit_test_setup(the_supported_list_is_true, setup_ready),
		cmocka_unit_test_setup(unknown_objects, setup_ready),
		cmocka_unit_test_setup(offload_objects, setup_ready),
		cmocka_unit_test_setup(coalescing_is_negotiated, setup_ready),
		cmocka_unit_test_setup(receive_side_scaling_has_one_queue, setup_ready),
		cmocka_unit_test_setup(receive_side_scaling_has_many_queues, setup_ready),
		cmocka_unit_test_setup(contradictory_scaling_parameters, setup_ready),
		cmocka_unit_test_setup(the_guest_changes_its_address, setup_ready),
		cmocka_unit_test_setup(the_guest_keeps_its_address, setup_ready),
		cmocka_unit_test_setup(contradictory_config_parameters, setup_ready),
		cmocka_unit_test_setup(multicast_lists, setup_ready),
		cmocka_unit_test_setup(the_list_decides_about_groups, setup_ready),
		cmocka_unit_test_setup(the_filter_decides_by_destination, setup_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
