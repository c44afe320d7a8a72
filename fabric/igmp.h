/* SPDX-License-Identifier: MIT
 *
 * igmp.h - layouts of the messages that multicast snooping reads, as offsets from the start of the
 * message: IGMP (v1-v3: RFC 1112, 2236, 3376), MLD (v1, v2: RFC 2710, 3810), the advertisements of
 * multicast router discovery (RFC 4286), PIM's Hello (RFC 7761, 4.9). All numbers are big-endian.
 * Freestanding.
 */
#ifndef VIADUCT_FABRIC_IGMP_H
#define VIADUCT_FABRIC_IGMP_H

enum {
	PROTOCOL_IGMP = 2,
	PROTOCOL_PIM = 103, /* ICMPv6, which carries MLD, is in inet.h */
};

enum {
	IGMP_TYPE = 0,
	IGMP_CODE = 1, /* of a query: time to answer in, 0.1 s; 0 in v1 */
	IGMP_CSUM = 2,
	IGMP_GROUP = 4, /* 4 bytes; of a query: 0 asks for all groups */
	IGMP_MIN_BYTES = 8,

	IGMP_QUERY = 0x11,
	IGMP_V1_REPORT = 0x12,
	IGMP_V2_REPORT = 0x16,
	IGMP_V2_LEAVE = 0x17,
	IGMP_V3_REPORT = 0x22,
	IGMP_ROUTER_ADVERTISEMENT = 0x30,
};

/* A query of v3 goes on behind the group. */
enum {
	IGMP_V3_QUERY_N_SOURCES = 10, /* u16 */
	IGMP_V3_QUERY_BYTES = 12,     /* then 4 a source */
};

enum {
	MLD_TYPE = 0,
	MLD_CSUM = 2,
	MLD_RESPONSE = 4, /* u16: of a query, time to answer in, ms */
	MLD_GROUP = 8,    /* 16 bytes; of a query: 0 asks for all groups */
	MLD_V1_BYTES = 24,
	MLD_V2_QUERY_N_SOURCES = 26, /* u16 */
	MLD_V2_QUERY_BYTES = 28,     /* then 16 a source */

	MLD_QUERY = 130,
	MLD_V1_REPORT = 131,
	MLD_V1_DONE = 132,
	MLD_V2_REPORT = 143,
	MLD_ROUTER_ADVERTISEMENT = 151,
	MLD_ROUTER_ADVERTISEMENT_BYTES = 8,
};

/* Reports of IGMPv3 and MLDv2: a header, then records. */
enum {
	REPORT_N_RECORDS = 6, /* u16 */
	REPORT_BYTES = 8,

	RECORD_TYPE = 0,
	RECORD_AUX_WORDS = 1, /* of 4 bytes, behind the sources */
	RECORD_N_SOURCES = 2, /* u16 */
	RECORD_GROUP = 4,     /* 4 or 16 bytes, then as many a source */

	RECORD_IS_INCLUDE = 1,
	RECORD_IS_EXCLUDE = 2,
	RECORD_TO_INCLUDE = 3,
	RECORD_TO_EXCLUDE = 4,
	RECORD_ALLOW = 5,
	RECORD_BLOCK = 6,
};

enum {
	PIM_TYPE = 0, /* version in the upper half */
	PIM_V2_HELLO = 0x20,
	PIM_MIN_BYTES = 4,
};

#endif
