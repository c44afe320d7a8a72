/* SPDX-License-Identifier: MIT
 *
 * Hashes are checked against the vectors published with the definition of receive-side scaling.
 */
#include "vmbus/net_rss.h"

#include "base/bytes.h"
#include "base/eth_ops.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ALL_TYPES                                                                                  \
	(NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6 |               \
		NDIS_HASH_TCP_IPV6 | NDIS_HASH_UDP_IPV4 | NDIS_HASH_UDP_IPV6)

static const uint8_t published_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41,
	0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
	0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
	0xfa};

struct params {
	struct ndis_rss_params fixed;
	uint32_t table[128];
	uint8_t key[40];
};

static struct net_rss rss;
static struct params good;
static uint8_t frame[100];
static struct net_layers layers;

static int set(const void *params, size_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);
	int r;

	memcpy(exact, params, size_bytes);
	r = net_rss_set(&rss, 4, exact, size_bytes);
	free(exact);
	return r;
}

static int setup(void **state)
{
	(void)state;
	memset(&rss, 0, sizeof(rss));
	good = (struct params){.fixed = {
				       .header = {NDIS_OBJECT_RSS_PARAMS, 2, sizeof(good.fixed)},
				       .hash_information = ALL_TYPES,
				       .table_size = sizeof(good.table),
				       .table_offset = offsetof(struct params, table),
				       .key_size = sizeof(good.key),
				       .key_offset = offsetof(struct params, key),
			       }};
	for (unsigned i = 0; i < 128; i++)
		good.table[i] = i % 4;
	memcpy(good.key, published_key, sizeof(good.key));
	return 0;
}

static int setup_on(void **state)
{
	setup(state);
	return set(&good, sizeof(good));
}

/* A packet of nothing but headers. */
static void make_packet(
	uint8_t protocol, const char *from, uint16_t from_port, const char *to, uint16_t to_port)
{
	bool ipv6 = strchr(from, ':');
	uint8_t *ip = frame + ETH_HEADER_BYTES;
	uint8_t *l4 = ip + (ipv6 ? 40 : 20);

	memset(frame, 0, sizeof(frame));
	store_be16(frame + 12, ipv6 ? 0x86dd : 0x0800);
	if (ipv6) {
		ip[0] = 0x60;
		ip[6] = protocol;
		store_be16(ip + 4, 20);
		assert_int_equal(inet_pton(AF_INET6, from, ip + 8), 1);
		assert_int_equal(inet_pton(AF_INET6, to, ip + 24), 1);
	} else {
		ip[0] = 0x45;
		ip[9] = protocol;
		store_be16(ip + 2, 40);
		assert_int_equal(inet_pton(AF_INET, from, ip + 12), 1);
		assert_int_equal(inet_pton(AF_INET, to, ip + 16), 1);
	}
	store_be16(l4, from_port);
	store_be16(l4 + 2, to_port);
	l4[12] = 5 << 4;
	assert_int_equal(net_layers_find(frame, sizeof(frame), NET_LENGTH_OF_IP, &layers), 0);
}

static uint32_t hash(void)
{
	uint32_t found;

	assert_true(net_rss_hash(&rss, frame, &layers, &found));
	return found;
}

static void the_published_vectors(void **state)
{
	static const struct {
		const char *from, *to;
		uint16_t from_port, to_port;
		uint32_t with_ports, without;
	} vectors[] = {
		{"66.9.149.187", "161.142.100.80", 2794, 1766, 0x51ccc178, 0x323e8fc2},
		{"199.92.111.2", "65.69.140.83", 14230, 4739, 0xc626b0ea, 0xd718262a},
		{"24.19.198.95", "12.22.207.184", 12898, 38024, 0x5c2b394a, 0xd2d0a5de},
		{"38.27.205.30", "209.142.163.6", 48228, 2217, 0xafc7327f, 0x82989176},
		{"153.39.163.191", "202.188.127.2", 44251, 1303, 0x10e828a2, 0x5d1809c5},
		{"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x40207d3d, 0x2cc18cd5},
		{"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0xdde51bbf, 0x0f0c461c},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		make_packet(NET_IP_TCP, vectors[i].from, vectors[i].from_port, vectors[i].to,
			vectors[i].to_port);
		rss.hash_information = ALL_TYPES;
		assert_int_equal(hash(), vectors[i].with_ports);
		rss.hash_information = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 | NDIS_HASH_IPV6;
		assert_int_equal(hash(), vectors[i].without);
	}
}

/* Each type counts for what it says: as Linux asks for it, UDP goes by its addresses. */
static void types_decide_what_counts(void **state)
{
	static const uint32_t linux_types = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 |
					    NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6 |
					    NDIS_HASH_TCP_IPV6;
	uint32_t found;

	(void)state;
	make_packet(NET_IP_UDP, "66.9.149.187", 2794, "161.142.100.80", 1766);
	rss.hash_information = linux_types;
	assert_int_equal(hash(), 0x323e8fc2);
	rss.hash_information = ALL_TYPES;
	assert_int_equal(hash(), 0x51ccc178);
	rss.hash_information = NDIS_HASH_TOEPLITZ | NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6;
	assert_false(net_rss_hash(&rss, frame, &layers, &found));

	/* A fragment has no ports. */
	rss.hash_information = linux_types;
	make_packet(NET_IP_TCP, "66.9.149.187", 2794, "161.142.100.80", 1766);
	store_be16(frame + ETH_HEADER_BYTES + 6, 0x2000);
	assert_int_equal(net_layers_find(frame, sizeof(frame), NET_LENGTH_OF_IP, &layers), 0);
	assert_int_equal(hash(), 0x323e8fc2);
	rss.enabled = false;
	assert_false(net_rss_hash(&rss, frame, &layers, &found));
}

static void the_table_names_the_queue(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(net_rss_queue(&rss, i * 128 + i % 7), i % 7 % 4);
	good.fixed.table_size = 2 * sizeof(uint32_t);
	good.table[1] = 3;
	assert_int_equal(set(&good, sizeof(good)), 0);
	assert_int_equal(net_rss_queue(&rss, 0xfffffffe), 0);
	assert_int_equal(net_rss_queue(&rss, 0xffffffff), 3);
}

static void what_is_unchanged_stays(void **state)
{
	const struct net_rss before = rss;

	(void)state;
	good.fixed.flags = NDIS_RSS_FLAG_KEY_UNCHANGED | NDIS_RSS_FLAG_HASH_INFO_UNCHANGED;
	good.fixed.hash_information = 0;
	memset(good.key, 0, sizeof(good.key));
	good.table[5] = 0;
	assert_int_equal(set(&good, sizeof(good)), 0);
	assert_memory_equal(rss.key, before.key, sizeof(rss.key));
	assert_int_equal(rss.hash_information, before.hash_information);
	assert_int_equal(net_rss_queue(&rss, 5), 0);
	good.fixed.flags |= NDIS_RSS_FLAG_TABLE_UNCHANGED;
	good.fixed.table_size = 0;
	good.fixed.key_size = 0;
	assert_int_equal(set(&good, sizeof(good.fixed)), 0);
	assert_int_equal(net_rss_queue(&rss, 6), 2);
	good.fixed.flags = NDIS_RSS_FLAG_DISABLE;
	assert_int_equal(set(&good, sizeof(good.fixed)), 0);
	assert_false(rss.enabled);
	/* No types at all are the same. */
	good.fixed.flags = NDIS_RSS_FLAG_TABLE_UNCHANGED | NDIS_RSS_FLAG_KEY_UNCHANGED;
	good.fixed.hash_information = ALL_TYPES;
	assert_int_equal(set(&good, sizeof(good.fixed)), 0);
	assert_true(rss.enabled);
	good.fixed.hash_information = 0;
	assert_int_equal(set(&good, sizeof(good.fixed)), 0);
	assert_false(rss.enabled);
}

/* The parameters of revision 1 end before the processor masks. */
static void the_oldest_form(void **state)
{
	uint8_t params[NDIS_RSS_PARAMS_MIN_BYTES + 4 + 40];

	(void)state;
	good.fixed.header =
		(struct ndis_object_header){NDIS_OBJECT_RSS_PARAMS, 1, NDIS_RSS_PARAMS_MIN_BYTES};
	good.fixed.table_size = 4;
	good.fixed.table_offset = NDIS_RSS_PARAMS_MIN_BYTES;
	good.fixed.key_offset = NDIS_RSS_PARAMS_MIN_BYTES + 4;
	memcpy(params, &good.fixed, NDIS_RSS_PARAMS_MIN_BYTES);
	store_le32(params + NDIS_RSS_PARAMS_MIN_BYTES, 2);
	memcpy(params + NDIS_RSS_PARAMS_MIN_BYTES + 4, published_key, 40);
	assert_int_equal(set(params, sizeof(params)), 0);
	assert_int_equal(net_rss_queue(&rss, 0x12345678), 2);
}

static void contradictory_parameters_change_nothing(void **state)
{
	const struct net_rss before = rss;
	struct params bad[12];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = good;
	bad[0].table[127] = 4;
	bad[1].table[0] = 0xffffffff;
	bad[2].fixed.table_size = 12; /* not a power of two */
	bad[3].fixed.table_size = 0;
	bad[4].fixed.key_size = 0;
	bad[5].fixed.hash_information = NDIS_HASH_IPV4;     /* no function */
	bad[6].fixed.hash_information = 2 | NDIS_HASH_IPV4; /* another */
	bad[7].fixed.hash_information = NDIS_HASH_TOEPLITZ; /* of nothing */
	bad[8].fixed.table_offset = sizeof(bad[8]) - 511;
	bad[9].fixed.key_offset = 27;
	bad[10].fixed.table_size = 1024;
	bad[11].fixed.header.size = sizeof(bad[11]) + 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(set(&bad[i], sizeof(bad[i])), -EINVAL);
		assert_memory_equal(&rss, &before, sizeof(rss));
	}
	for (size_t bytes = 0; bytes < sizeof(good); bytes++)
		assert_int_equal(set(&good, bytes), -EINVAL);
}

static void a_table_must_come_before_it_stays(void **state)
{
	(void)state;
	good.fixed.flags = NDIS_RSS_FLAG_TABLE_UNCHANGED;
	assert_int_equal(set(&good, sizeof(good)), -EINVAL);
	assert_false(rss.enabled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_published_vectors, setup_on),
		cmocka_unit_test_setup(types_decide_what_counts, setup_on),
		cmocka_unit_test_setup(the_table_names_the_queue, setup_on),
		cmocka_unit_test_setup(what_is_unchanged_stays, setup_on),
		cmocka_unit_test_setup(the_oldest_form, setup),
		cmocka_unit_test_setup(contradictory_parameters_change_nothing, setup_on),
		cmocka_unit_test_setup(a_table_must_come_before_it_stays, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
