/* SPDX-License-Identifier: MIT */
#include "vmbus/net_ppi.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint8_t list[256];
static size_t size_bytes;
static struct net_ppi ppi;

static void entry(uint32_t size, uint32_t type, uint32_t offset, uint32_t value)
{
	const struct rndis_ppi_u32 raw = {{size, type, offset}, value};

	memcpy(list + size_bytes, &raw, sizeof(raw));
	size_bytes += sizeof(raw);
}

static int parse(size_t bytes)
{
	uint8_t *exact = calloc(1, bytes ? bytes : 1);
	int r;

	memcpy(exact, list, bytes);
	r = net_ppi_parse(exact, bytes, &ppi);
	free(exact);
	return r;
}

static int setup(void **state)
{
	(void)state;
	memset(list, 0, sizeof(list));
	size_bytes = 0;
	return 0;
}

static void takes_what_it_knows(void **state)
{
	(void)state;
	entry(16, RNDIS_PPI_8021Q, 12, 0x57);
	entry(16, RNDIS_PPI_HASH_VALUE, 12, 0xdead);
	entry(16, RNDIS_PPI_CHECKSUM, 12, 0x25);
	entry(16, RNDIS_PPI_INTERNAL | RNDIS_PPI_LSO, 12, 1); /* not the LSO of that number */
	assert_int_equal(parse(size_bytes), 0);
	assert_true(ppi.has_vlan);
	assert_int_equal(ppi.vlan, 0x57);
	assert_true(ppi.has_checksum);
	assert_int_equal(ppi.checksum, 0x25);
	assert_false(ppi.has_lso);
}

static void an_empty_list_says_nothing(void **state)
{
	(void)state;
	assert_int_equal(parse(0), 0);
	assert_false(ppi.has_vlan || ppi.has_checksum || ppi.has_lso);
}

static void data_may_lie_behind_a_gap(void **state)
{
	(void)state;
	entry(20, RNDIS_PPI_LSO, 16, 0);
	store_le32(list + 16, 0x400005b4);
	assert_int_equal(parse(20), 0);
	assert_int_equal(ppi.lso, 0x400005b4);
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	entry(16, RNDIS_PPI_8021Q, 12, 1);
	entry(16, RNDIS_PPI_CHECKSUM, 12, 1);
	for (size_t bytes = 1; bytes < size_bytes; bytes++)
		assert_int_equal(parse(bytes), bytes == 16 ? 0 : -EBADMSG);
}

static void bad_entries_are_refused(void **state)
{
	static const struct {
		uint32_t size, offset;
	} bad[] = {
		{0, 12},          /* walks in place */
		{4, 12},          /* smaller than its header */
		{17, 12},         /* misaligned and too long */
		{14, 12},         /* misaligned */
		{20, 12},         /* leaves the list */
		{0xfffffff0, 12}, /* far */
		{16, 8},          /* value inside the header */
		{16, 13},         /* no room for the value */
		{16, 16},         /* no value */
		{16, 20},         /* value outside */
		{16, 0xfffffffc}, /* far */
		{12, 12},         /* header only */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		setup(state);
		entry(bad[i].size, RNDIS_PPI_CHECKSUM, bad[i].offset, 1);
		assert_int_equal(parse(16), -EBADMSG);
	}
}

static void a_kind_comes_once(void **state)
{
	(void)state;
	entry(16, RNDIS_PPI_LSO, 12, 1);
	entry(16, RNDIS_PPI_LSO, 12, 2);
	assert_int_equal(parse(size_bytes), -EBADMSG);
}

static void vlan_values_translate(void **state)
{
	(void)state;
	assert_int_equal(net_ppi_vlan_to_tci(5 << 4 | 3), 3 << 13 | 5);
	assert_int_equal(net_ppi_vlan_to_tci(0xfff << 4 | 8 | 7), 0xffff);
	assert_int_equal(net_ppi_vlan_to_tci(0xffff0000), 0);
	for (uint32_t tci = 0; tci <= 0xffff; tci++)
		assert_int_equal(net_ppi_vlan_to_tci(net_ppi_vlan_from_tci((uint16_t)tci)), tci);
}

static void appended_entries_parse(void **state)
{
	(void)state;
	net_ppi_append(list, &size_bytes, RNDIS_PPI_8021Q, 0x51);
	net_ppi_append(list, &size_bytes, RNDIS_PPI_CHECKSUM, RNDIS_RXCSUM_TCP_OK);
	assert_int_equal(size_bytes, 32);
	assert_int_equal(parse(size_bytes), 0);
	assert_int_equal(ppi.vlan, 0x51);
	assert_int_equal(ppi.checksum, RNDIS_RXCSUM_TCP_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(takes_what_it_knows, setup),
		cmocka_unit_test_setup(an_empty_list_says_nothing, setup),
		cmocka_unit_test_setup(data_may_lie_behind_a_gap, setup),
		cmocka_unit_test_setup(every_truncation_is_refused, setup),
		cmocka_unit_test_setup(bad_entries_are_refused, setup),
		cmocka_unit_test_setup(a_kind_comes_once, setup),
		cmocka_unit_test_setup(vlan_values_translate, setup),
		cmocka_unit_test_setup(appended_entries_parse, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
