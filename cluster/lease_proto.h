/* SPDX-License-Identifier: MIT
 *
 * lease_proto.h - leases on the wire: what the members of their process group send each other
 * (lease.h says what for).
 *
 * Integers are little-endian, every struct is packed by natural alignment, reserved fields are
 * zero. Every message begins with struct lease_wire_header.
 */
#ifndef VIADUCT_CLUSTER_LEASE_PROTO_H
#define VIADUCT_CLUSTER_LEASE_PROTO_H

#include "base/err.h"

#define LEASE_WIRE_MAGIC   0x534c5456U /* "VTLS" */
#define LEASE_WIRE_VERSION 1

#define LEASE_MAX_NODES 64

enum lease_wire_type {
	LEASE_WIRE_TICK = 1,
	LEASE_WIRE_REVOKE = 2,
};

struct lease_wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
};
static_assert_size(struct lease_wire_header, 8);

enum {
	LEASE_TICK_URGENT = 1, /* the sender wants to know soon who has it */
};

/* Followed by n_acks of struct lease_wire_ack. */
struct lease_wire_tick {
	struct lease_wire_header header;
	uint32_t life;  /* random at each start of the process */
	uint32_t votes; /* the sender's, as corosync counts them */
	uint64_t number;
	uint64_t answer; /* the last revocation that the sender knows of; 0 for none */
	uint32_t flags;
	uint32_t n_acks;
};
static_assert_size(struct lease_wire_tick, 40);
static_assert_offset(struct lease_wire_tick, number, 16);
static_assert_offset(struct lease_wire_tick, n_acks, 36);

/* The newest tick of `node` that the sender has got, in this membership of the group. */
struct lease_wire_ack {
	uint32_t node;
	uint32_t life;
	uint64_t number;
};
static_assert_size(struct lease_wire_ack, 16);

/* From here in the order of messages nobody acknowledges ticks of `node`, until one answers this.
 */
struct lease_wire_revoke {
	struct lease_wire_header header;
	uint32_t node;
	uint32_t reserved;
	uint64_t token; /* random, not 0 */
};
static_assert_size(struct lease_wire_revoke, 24);

#endif
