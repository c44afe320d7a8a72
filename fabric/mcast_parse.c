/* SPDX-License-Identifier: MIT */
#include "fabric/mcast_parse.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "fabric/igmp.h"
#include "fabric/inet.h"
#include "fabric/offload.h"

#define IPV4_BYTES              4
#define IPV6_SCOPE_LINK         2
#define V1_RESPONSE_NS          (10 * NS_PER_SEC) /* RFC 2236, 4: what a v1 query means */
#define IGMP_RESPONSE_UNIT_NS   (100 * NS_PER_MS)
#define HOP_LIMIT_OF_LOCAL_ONLY 1

static const uint8_t all_systems[HEADERS_IP_BYTES] = {224, 0, 0, 1};
static const uint8_t all_nodes[HEADERS_IP_BYTES] = {0xff, 2, [15] = 1};
static const uint8_t no_group[HEADERS_IP_BYTES];

bool mcast_mac_is_group(const uint8_t mac[ETH_ADDR_LEN], bool *ret_ipv6)
{
	static const uint8_t all_nodes_mac[ETH_ADDR_LEN] = {0x33, 0x33, 0, 0, 0, 1};

	if (mac[0] == 0x33 && mac[1] == 0x33) {
		*ret_ipv6 = true;
		return memcmp(mac, all_nodes_mac, ETH_ADDR_LEN) != 0;
	}
	*ret_ipv6 = false;
	/* 32 groups share an address. Those that share one with 224.0.0.0/24 are not pruned. */
	return mac[0] == 1 && mac[1] == 0 && mac[2] == 0x5e && mac[3] < 0x80 && (mac[3] || mac[4]);
}

bool mcast_group_mac(
	bool ipv6, const uint8_t group[HEADERS_IP_BYTES], uint8_t ret_mac[ETH_ADDR_LEN])
{
	uint8_t mac[ETH_ADDR_LEN] = {1, 0, 0x5e};
	bool same;

	if (ipv6) {
		if (group[0] != 0xff || (group[1] & 0xf) < IPV6_SCOPE_LINK)
			return false;
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, group + 12, 4);
	} else {
		if (group[0] >> 4 != 0xe)
			return false;
		memcpy(mac + 3, group + 1, 3);
		mac[3] &= 0x7f;
	}
	if (!mcast_mac_is_group(mac, &same))
		return false;
	memcpy(ret_mac, mac, ETH_ADDR_LEN);
	return true;
}

static void add_change(struct mcast_message *ret, const uint8_t *group, bool join)
{
	struct mcast_change change = {.join = join};
	uint8_t mac[ETH_ADDR_LEN];

	memcpy(change.group, group, ret->ipv6 ? HEADERS_IP_BYTES : IPV4_BYTES);
	if (mcast_group_mac(ret->ipv6, change.group, mac))
		ret->changes[ret->n_changes++] = change;
}

/* RFC 3376, 4.2.12; RFC 3810, 5.2.12. */
static void add_record(
	struct mcast_message *ret, uint8_t type, unsigned n_sources, const uint8_t *group)
{
	switch (type) {
	case RECORD_IS_INCLUDE:
	case RECORD_TO_INCLUDE:
		/* From no source: it is not wanted any more. */
		add_change(ret, group, n_sources > 0);
		break;
	case RECORD_IS_EXCLUDE:
	case RECORD_TO_EXCLUDE:
		add_change(ret, group, true);
		break;
	case RECORD_ALLOW:
		if (n_sources > 0)
			add_change(ret, group, true);
		break;
	case RECORD_BLOCK: /* other sources may be wanted still */
	default:
		break;
	}
}

static bool parse_record(struct reader *in, struct mcast_message *ret)
{
	size_t address_bytes = ret->ipv6 ? HEADERS_IP_BYTES : IPV4_BYTES;
	const uint8_t *record = reader_take(in, RECORD_GROUP + address_bytes);
	unsigned n_sources;

	if (!record)
		return false;
	n_sources = load_be16(record + RECORD_N_SOURCES);
	if (!reader_take(in, n_sources * address_bytes + record[RECORD_AUX_WORDS] * 4U))
		return false;
	add_record(ret, record[RECORD_TYPE], n_sources, record + RECORD_GROUP);
	return true;
}

static void parse_records(struct reader in, struct mcast_message *ret)
{
	const uint8_t *head = reader_take(&in, REPORT_BYTES);
	unsigned n_records;

	if (!head)
		return;
	n_records = load_be16(head + REPORT_N_RECORDS);
	for (unsigned i = 0; i < MIN(n_records, (unsigned)MCAST_MAX_RECORDS); i++) {
		if (!parse_record(&in, ret)) {
			ret->n_changes = 0;
			return;
		}
	}
	ret->more = n_records > MCAST_MAX_RECORDS;
	ret->kind = MCAST_REPORT;
}

static void parse_single(struct reader in, size_t message_bytes, size_t group_at, bool join,
	struct mcast_message *ret)
{
	const uint8_t *message = reader_take(&in, message_bytes);

	if (!message)
		return;
	add_change(ret, message + group_at, join);
	ret->kind = MCAST_REPORT;
}

/* A number below `1 << bits`, or one with a mantissa of bits - 4 bits and an exponent of 3 (RFC
 * 3376, 4.1.1; RFC 3810, 5.1.3). */
static uint64_t expand(unsigned code, unsigned bits)
{
	unsigned mantissa_bits = bits - 4;

	if (code < 1U << (bits - 1))
		return code;
	return (uint64_t)((code & ((1U << mantissa_bits) - 1)) | 1U << mantissa_bits)
	       << ((code >> mantissa_bits & 7) + 3);
}

/* Questions about one group are for its members; only one for all of them, which reaches all,
 * makes known who wants what. */
static void parse_igmp_query(
	const struct headers *headers, struct reader in, struct mcast_message *ret)
{
	size_t size_bytes = in.left_bytes;
	const uint8_t *message = in.at;
	bool is_v3 = size_bytes >= IGMP_V3_QUERY_BYTES;

	/* RFC 3376, 7.1: the length tells the versions apart, others are nothing. */
	if (size_bytes != IGMP_MIN_BYTES && !is_v3)
		return;
	if (is_v3 && load_be16(message + IGMP_V3_QUERY_N_SOURCES) != 0)
		return;
	if (memcmp(message + IGMP_GROUP, no_group, IPV4_BYTES) != 0 ||
		memcmp(headers->ip_dst, all_systems, HEADERS_IP_BYTES) != 0)
		return;
	ret->response_ns = message[IGMP_CODE] == 0 ? V1_RESPONSE_NS
			   : is_v3 ? expand(message[IGMP_CODE], 8) * IGMP_RESPONSE_UNIT_NS
				   : message[IGMP_CODE] * IGMP_RESPONSE_UNIT_NS;
	ret->kind = MCAST_QUERY;
}

static void parse_mld_query(
	const struct headers *headers, struct reader in, struct mcast_message *ret)
{
	size_t size_bytes = in.left_bytes;
	const uint8_t *message = in.at;
	bool is_v2 = size_bytes >= MLD_V2_QUERY_BYTES;
	unsigned code;

	/* RFC 3810, 8.1 */
	if (size_bytes != MLD_V1_BYTES && !is_v2)
		return;
	if (is_v2 && load_be16(message + MLD_V2_QUERY_N_SOURCES) != 0)
		return;
	if (memcmp(message + MLD_GROUP, no_group, HEADERS_IP_BYTES) != 0 ||
		memcmp(headers->ip_dst, all_nodes, HEADERS_IP_BYTES) != 0)
		return;
	code = load_be16(message + MLD_RESPONSE);
	ret->response_ns = (is_v2 ? expand(code, 16) : code) * NS_PER_MS;
	ret->kind = MCAST_QUERY;
}

static bool csum_holds(const struct headers *headers, struct reader in, bool with_pseudo_header)
{
	uint16_t sum = 0;

	if (with_pseudo_header) {
		uint8_t tail[8] = {0};

		store_be32(tail, (uint32_t)in.left_bytes);
		tail[7] = headers->protocol;
		sum = csum_add(sum, headers->ip_src, HEADERS_IP_BYTES);
		sum = csum_add(sum, headers->ip_dst, HEADERS_IP_BYTES);
		sum = csum_add(sum, tail, sizeof(tail));
	}
	return csum_add(sum, in.at, in.left_bytes) == 0xffff;
}

static void parse_igmp(const struct headers *headers, struct reader in, struct mcast_message *ret)
{
	if (in.left_bytes < IGMP_MIN_BYTES || !csum_holds(headers, in, false))
		return;
	switch (in.at[IGMP_TYPE]) {
	case IGMP_QUERY:
		parse_igmp_query(headers, in, ret);
		break;
	case IGMP_V1_REPORT:
	case IGMP_V2_REPORT:
		parse_single(in, IGMP_MIN_BYTES, IGMP_GROUP, true, ret);
		break;
	case IGMP_V2_LEAVE:
		parse_single(in, IGMP_MIN_BYTES, IGMP_GROUP, false, ret);
		break;
	case IGMP_V3_REPORT:
		parse_records(in, ret);
		break;
	case IGMP_ROUTER_ADVERTISEMENT:
		ret->kind = MCAST_ROUTER;
		break;
	}
}

/* RFC 3590, 4: reports may come from the unspecified address, and are for switches then. */
static bool mld_source_is_sound(const struct headers *headers, bool is_report)
{
	if (is_report && memcmp(headers->ip_src, no_group, HEADERS_IP_BYTES) == 0)
		return true;
	return headers->ip_src[0] == 0xfe && (headers->ip_src[1] & 0xc0) == 0x80;
}

static void parse_mld(const struct headers *headers, struct reader in, struct mcast_message *ret)
{
	uint8_t type = in.left_bytes ? in.at[MLD_TYPE] : 0;
	bool is_report = type == MLD_V1_REPORT || type == MLD_V1_DONE || type == MLD_V2_REPORT;

	if (!mld_source_is_sound(headers, is_report) || !csum_holds(headers, in, true))
		return;
	switch (type) {
	case MLD_QUERY:
		parse_mld_query(headers, in, ret);
		break;
	case MLD_V1_REPORT:
		parse_single(in, MLD_V1_BYTES, MLD_GROUP, true, ret);
		break;
	case MLD_V1_DONE:
		parse_single(in, MLD_V1_BYTES, MLD_GROUP, false, ret);
		break;
	case MLD_V2_REPORT:
		parse_records(in, ret);
		break;
	case MLD_ROUTER_ADVERTISEMENT:
		if (in.left_bytes >= MLD_ROUTER_ADVERTISEMENT_BYTES)
			ret->kind = MCAST_ROUTER;
		break;
	}
}

static void parse_pim(const struct headers *headers, struct reader in, struct mcast_message *ret)
{
	if (in.left_bytes >= PIM_MIN_BYTES && in.at[PIM_TYPE] == PIM_V2_HELLO &&
		csum_holds(headers, in, ret->ipv6))
		ret->kind = MCAST_ROUTER;
}

void mcast_parse(const struct headers *headers, const uint8_t *frame, size_t size_bytes,
	struct mcast_message *ret)
{
	struct reader in = reader_make(frame, size_bytes);
	const void *message;

	ret->kind = MCAST_NOTHING;
	ret->ipv6 = headers->l3 == HEADERS_L3_IPV6;
	ret->response_ns = 0;
	ret->n_changes = 0;
	ret->more = false;
	if ((!ret->ipv6 && headers->l3 != HEADERS_L3_IPV4) || headers->malformed ||
		headers->hidden || headers->fragment)
		return;
	/* To one host only: the others were not asked, and did not hear. Through a router: it is
	 * not of this link. */
	if (!(headers->dst[0] & 1) || headers->ttl != HOP_LIMIT_OF_LOCAL_ONLY)
		return;
	(void)reader_take(&in, headers->l4_at);
	message = reader_take(&in, headers->l4_bytes);
	if (!message)
		return;
	in = reader_make(message, headers->l4_bytes);
	if (headers->protocol == PROTOCOL_PIM)
		parse_pim(headers, in, ret);
	else if (headers->protocol == PROTOCOL_IGMP && !ret->ipv6)
		parse_igmp(headers, in, ret);
	else if (headers->protocol == PROTOCOL_ICMPV6 && ret->ipv6)
		parse_mld(headers, in, ret);
}
