/* SPDX-License-Identifier: MIT
 *
 * rs_proto.h - the replicated store on the wire: what the members of the CPG group send each other.
 *
 * Integers are little-endian, every struct is packed by natural alignment, reserved fields are
 * zero. Every message begins with struct rs_wire_header. Messages of the write family (WRITE, ACK)
 * and of the sync family carry the epoch they belong to; what each of them means is in rs.h.
 *
 * Versions. SYNC_REQUEST, SYNC_START, HELLO and STATE are what members settle the version with, so
 * they are of version 1 for ever. UPDATE, UPDATE_COMPLETE, WRITE, ACK and CHECK are of the version
 * that the epoch has settled on (rs.h). Whoever gets a message of a version it does not speak knows
 * that it has to be updated.
 *
 *   1  32 members, 65536 keys; no HELLO, which its speakers drop as a message of unknown type
 *   2  64 members; 8 instead of 5 bits for the writer in a key's version; a quorum device does not
 *      count; 262144 keys, once the floor (rs.h) is 2
 *   3  CHECK, and with it copies that are worth nothing (RS_STATE_WORTHLESS)
 */
#ifndef VIADUCT_CLUSTER_RS_PROTO_H
#define VIADUCT_CLUSTER_RS_PROTO_H

#include "base/err.h"

#define RS_WIRE_MAGIC 0x53525456U /* "VTRS" */
/* What this program speaks. */
#define RS_WIRE_OLDEST 1
#define RS_WIRE_NEWEST 3

#define RS_MAX_MEMBERS     64
#define RS_MAX_MEMBERS_V1  32
#define RS_MAX_KEYS_V1     65536
#define RS_KEY_MAX_LEN     255
#define RS_VALUE_MAX_BYTES 65536
#define RS_CHUNK_MAX_BYTES 32768
#define RS_DIGEST_BYTES    32

/* The snapshot that UPDATE messages carry, and with it the store, is never larger. */
#define RS_STORE_MAX_BYTES (64U << 20)
/* Generations stay below this, so that they fit in a key's version beside the position (rs.h). */
#define RS_MAX_GENERATION 0x7fffffffULL

enum rs_wire_type {
	RS_WIRE_SYNC_REQUEST = 1,
	RS_WIRE_SYNC_START = 2,
	RS_WIRE_STATE = 3,
	RS_WIRE_UPDATE = 4,
	RS_WIRE_UPDATE_COMPLETE = 5,
	RS_WIRE_WRITE = 6,
	RS_WIRE_ACK = 7,
	RS_WIRE_HELLO = 8,
	RS_WIRE_CHECK = 9,
};

/* Names one sync and what follows from it: two of them never have the same three numbers. */
struct rs_wire_epoch {
	uint64_t generation;
	uint32_t initiator; /* node id of the sender of SYNC_START */
	uint32_t nonce;     /* tells apart what one initiator began with the same generation */
};
static_assert_size(struct rs_wire_epoch, 16);

struct rs_wire_header {
	uint32_t magic;
	uint16_t version; /* of the protocol */
	uint16_t type;
	struct rs_wire_epoch epoch;
};
static_assert_size(struct rs_wire_header, 24);
static_assert_offset(struct rs_wire_header, epoch, 8);

/* SYNC_START and SYNC_REQUEST. Followed by n_participants node ids (uint32_t), ascending. A request
 * is addressed to the first of them and names the epoch that the sender wants to see replaced. */
struct rs_wire_sync {
	struct rs_wire_header header;
	uint32_t n_participants;
	uint32_t reserved;
};
static_assert_size(struct rs_wire_sync, 32);

/* Before the sender's STATE in the same epoch. Whoever sends none speaks version 1 only. */
struct rs_wire_hello {
	struct rs_wire_header header;
	uint16_t oldest; /* what the sender speaks */
	uint16_t newest;
	uint16_t floor; /* that its store asks for; 0: none */
	uint16_t reserved;
	uint32_t nodes_needed; /* votes of nodes, without a quorum device's */
	uint32_t reserved2;
};
static_assert_size(struct rs_wire_hello, 40);

enum {
	RS_STATE_ACCEPTED = 1, /* the generation was news to the sender, who now promises it */
	RS_STATE_QUORATE = 2,  /* corosync tells the sender that there is quorum */
	/* The sender's store is not what it should be; only after an epoch of version 3. */
	RS_STATE_WORTHLESS = 4,
};

struct rs_wire_state {
	struct rs_wire_header header;
	uint64_t promised;   /* highest generation the sender ever accepted */
	uint64_t generation; /* the quorate epoch whose content the sender has */
	uint64_t version;    /* of the last write in it */
	uint32_t flags;
	uint32_t votes;        /* the sender's own */
	uint32_t quorum_votes; /* how many are needed */
	uint32_t device_votes; /* what a quorum device adds; counted by version 1 only */
	uint8_t digest[RS_DIGEST_BYTES];
};
static_assert_size(struct rs_wire_state, 96);
static_assert_offset(struct rs_wire_state, promised, 24);
static_assert_offset(struct rs_wire_state, flags, 48);
static_assert_offset(struct rs_wire_state, digest, 64);

/* Followed by size_bytes bytes of the leader's snapshot, from offset on. */
struct rs_wire_update {
	struct rs_wire_header header;
	uint32_t offset_bytes;
	uint32_t size_bytes;
	uint32_t total_bytes;
	uint32_t reserved;
};
static_assert_size(struct rs_wire_update, 40);

struct rs_wire_update_complete {
	struct rs_wire_header header;
	uint32_t total_bytes;
	uint32_t n_keys;
	uint8_t digest[RS_DIGEST_BYTES];
};
static_assert_size(struct rs_wire_update_complete, 64);
static_assert_offset(struct rs_wire_update_complete, digest, 32);

enum {
	RS_WRITE_DELETE = 1,
};

/* Followed by the key (key_len bytes) and the value (value_bytes bytes of JSON, none for a delete).
 */
struct rs_wire_write {
	struct rs_wire_header header;
	uint64_t ticket;   /* the sender's counter */
	uint64_t expected; /* version of the key; 0 absent, all ones any */
	uint16_t key_len;
	uint16_t flags;
	uint32_t value_bytes;
};
static_assert_size(struct rs_wire_write, 48);
static_assert_offset(struct rs_wire_write, ticket, 24);
static_assert_offset(struct rs_wire_write, key_len, 40);

struct rs_wire_ack {
	struct rs_wire_header header;
	uint64_t position; /* the sender has applied that many writes of the epoch */
	uint64_t chain;    /* what these were: a hash over their senders and tickets, in order */
};
static_assert_size(struct rs_wire_ack, 40);

enum {
	RS_CHECK_ANSWER = 1, /* else: everybody, hash what you have here */
};

struct rs_wire_check {
	struct rs_wire_header header;
	uint64_t position; /* in the epoch, where the store was looked at */
	uint32_t flags;
	uint32_t reserved;
	uint8_t digest[RS_DIGEST_BYTES]; /* zero in a question */
};
static_assert_size(struct rs_wire_check, 72);
static_assert_offset(struct rs_wire_check, digest, 40);

#define RS_WIRE_MAX_BYTES (sizeof(struct rs_wire_write) + RS_KEY_MAX_LEN + RS_VALUE_MAX_BYTES)

/* The snapshot: entries in order of keys, each this followed by key and value. */
struct rs_wire_entry {
	uint64_t version;
	uint32_t value_bytes;
	uint16_t key_len;
	uint16_t reserved;
};
static_assert_size(struct rs_wire_entry, 16);

#endif
