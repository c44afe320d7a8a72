/* SPDX-License-Identifier: MIT
 *
 * mcast_support.h - makes IGMP, MLD and PIM messages in frames, with what headers.h says of them.
 */
#ifndef VIADUCT_TESTS_FABRIC_MCAST_SUPPORT_H
#define VIADUCT_TESTS_FABRIC_MCAST_SUPPORT_H

#include "base/bytes.h"
#include "fabric/headers.h"
#include "fabric/igmp.h"
#include "fabric/inet.h"
#include "fabric/offload.h"

#define MESSAGE_MAX_BYTES 4096
#define MESSAGE_AT_IPV4   (ETH_HEADER_BYTES + 24) /* with the router alert option */
#define MESSAGE_AT_IPV6   (ETH_HEADER_BYTES + 48)

/* A message in its frame; what is in front of it is left zero, for nobody reads it there. */
struct message {
	struct headers headers;
	size_t size_bytes; /* of the frame */
	uint8_t frame[MESSAGE_AT_IPV6 + MESSAGE_MAX_BYTES];
};

/* The groups 239.1.N.N and ff0e::1:N, numbers below 65536. */
static inline void make_group(uint8_t group[HEADERS_IP_BYTES], bool ipv6, unsigned number)
{
	memset(group, 0, HEADERS_IP_BYTES);
	if (ipv6) {
		group[0] = 0xff;
		group[1] = 0x0e;
		group[13] = 1;
		store_be16(group + 14, (uint16_t)number);
	} else {
		group[0] = 239;
		group[1] = 1;
		store_be16(group + 2, (uint16_t)number);
	}
}

static inline uint8_t *message_at(struct message *m)
{
	return m->frame + m->headers.l4_at;
}

/* The checksum is the message's last change. */
static inline void message_seal(struct message *m)
{
	struct headers *headers = &m->headers;
	uint8_t tail[8] = {0};
	uint16_t sum = 0;

	if (headers->l4_bytes < 4)
		return;
	if (headers->l3 == HEADERS_L3_IPV6) {
		store_be32(tail, headers->l4_bytes);
		tail[7] = headers->protocol;
		sum = csum_add(csum_add(0, headers->ip_src, HEADERS_IP_BYTES), headers->ip_dst,
			HEADERS_IP_BYTES);
		sum = csum_add(sum, tail, sizeof(tail));
	}
	store_le16(message_at(m) + IGMP_CSUM, 0);
	sum = (uint16_t)~csum_add(sum, message_at(m), headers->l4_bytes);
	memcpy(message_at(m) + IGMP_CSUM, &sum, sizeof(sum));
}

/* `bytes` of a message to the group of all hosts, sealed. */
static inline void message_make(
	struct message *m, bool ipv6, uint8_t protocol, const void *bytes, size_t n)
{
	struct headers *headers = &m->headers;

	memset(m, 0, sizeof(*m));
	*headers = (struct headers){
		.l3 = ipv6 ? HEADERS_L3_IPV6 : HEADERS_L3_IPV4,
		.ethertype = ipv6 ? 0x86dd : 0x0800,
		.first = true,
		.ttl = 1,
		.protocol = protocol,
		.l4_at = ipv6 ? MESSAGE_AT_IPV6 : MESSAGE_AT_IPV4,
		.l4_bytes = (uint16_t)n,
		.dst = {1, 0, 0x5e, 0, 0, 1},
		.ip_dst = {224, 0, 0, 1},
		.ip_src = {10, 0, 0, 1},
	};
	if (ipv6) {
		memcpy(headers->dst, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, ETH_ADDR_LEN);
		memcpy(headers->ip_dst, (const uint8_t[16]){0xff, 2, [15] = 1}, 16);
		memcpy(headers->ip_src, (const uint8_t[16]){0xfe, 0x80, [15] = 7}, 16);
		headers->has_icmp = protocol == PROTOCOL_ICMPV6;
		headers->icmp_type = headers->has_icmp && n ? *(const uint8_t *)bytes : 0;
	}
	m->size_bytes = headers->l4_at + n;
	if (n)
		memcpy(message_at(m), bytes, n);
	message_seal(m);
}

static inline uint8_t message_protocol(bool ipv6)
{
	return ipv6 ? PROTOCOL_ICMPV6 : PROTOCOL_IGMP;
}

/* Of IGMPv1, IGMPv2 and MLDv1: type, code (IGMP), group (NULL: none). */
static inline void message_single(
	struct message *m, bool ipv6, uint8_t type, uint8_t code, const uint8_t *group)
{
	uint8_t bytes[MLD_V1_BYTES] = {type, code};

	if (group)
		memcpy(bytes + (ipv6 ? MLD_GROUP : IGMP_GROUP), group, ipv6 ? 16 : 4);
	message_make(m, ipv6, message_protocol(ipv6), bytes, ipv6 ? MLD_V1_BYTES : IGMP_MIN_BYTES);
}

/* A general query: IGMPv2's or MLDv1's, to be answered in 10 s. */
static inline void message_query(struct message *m, bool ipv6)
{
	message_single(m, ipv6, ipv6 ? MLD_QUERY : IGMP_QUERY, ipv6 ? 0 : 100, NULL);
	if (ipv6) {
		store_be16(message_at(m) + MLD_RESPONSE, 10000);
		message_seal(m);
	}
}

static inline void message_join(struct message *m, bool ipv6, const uint8_t *group)
{
	message_single(m, ipv6, ipv6 ? MLD_V1_REPORT : IGMP_V2_REPORT, 0, group);
}

static inline void message_leave(struct message *m, bool ipv6, const uint8_t *group)
{
	message_single(m, ipv6, ipv6 ? MLD_V1_DONE : IGMP_V2_LEAVE, 0, group);
}

/* A report of IGMPv3 or MLDv2 without records. */
static inline void message_report(struct message *m, bool ipv6)
{
	uint8_t bytes[REPORT_BYTES] = {ipv6 ? MLD_V2_REPORT : IGMP_V3_REPORT};

	message_make(m, ipv6, message_protocol(ipv6), bytes, sizeof(bytes));
}

static inline void message_resize(struct message *m, size_t message_bytes)
{
	m->headers.l4_bytes = (uint16_t)message_bytes;
	m->size_bytes = m->headers.l4_at + message_bytes;
}

/* One more record, with sources and words of auxiliary data of zeros. */
static inline void message_add_record(
	struct message *m, uint8_t type, const uint8_t *group, unsigned n_sources, uint8_t n_aux)
{
	bool ipv6 = m->headers.l3 == HEADERS_L3_IPV6;
	size_t address_bytes = ipv6 ? 16 : 4;
	uint8_t *head = message_at(m), *record = head + m->headers.l4_bytes;

	store_be16(head + REPORT_N_RECORDS, (uint16_t)(load_be16(head + REPORT_N_RECORDS) + 1));
	record[RECORD_TYPE] = type;
	record[RECORD_AUX_WORDS] = n_aux;
	store_be16(record + RECORD_N_SOURCES, (uint16_t)n_sources);
	memcpy(record + RECORD_GROUP, group, address_bytes);
	message_resize(m,
		m->headers.l4_bytes + RECORD_GROUP + address_bytes * (1 + n_sources) + n_aux * 4U);
	message_seal(m);
}

#endif
