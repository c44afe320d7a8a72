/* SPDX-License-Identifier: MIT
 *
 * rs_wire.h - messages of the replicated store between bytes and structs.
 *
 * rs_wire_parse() is the only reader of bytes that came from CPG. Whatever it lets through holds
 * together: sizes agree with the bytes, counts are within their limits, participants ascend, keys
 * are well-formed, reserved fields and unknown flags are zero. Whether a message makes sense now
 * (epoch, sender, mode) is the core's to say. Pure; no allocation; parsed pointers lead into the
 * given bytes.
 */
#ifndef VIADUCT_CLUSTER_RS_WIRE_H
#define VIADUCT_CLUSTER_RS_WIRE_H

#include "base/bytes.h"
#include "cluster/rs_proto.h"

struct rs_epoch {
	uint64_t generation; /* 0: none */
	uint32_t initiator;
	uint32_t nonce;
};

static inline bool rs_epoch_equal(const struct rs_epoch *a, const struct rs_epoch *b)
{
	return a->generation == b->generation && a->initiator == b->initiator &&
	       a->nonce == b->nonce;
}

struct rs_sync {
	uint32_t n_participants;
	uint32_t participants[RS_MAX_MEMBERS];
};

struct rs_hello {
	uint16_t oldest;
	uint16_t newest;
	uint16_t floor;
	uint32_t nodes_needed;
};

struct rs_state {
	uint64_t promised;
	uint64_t generation;
	uint64_t version;
	bool accepted;
	bool quorate;
	bool is_worthless;
	uint32_t votes;
	uint32_t quorum_votes;
	uint32_t device_votes;
	uint8_t digest[RS_DIGEST_BYTES];
};

struct rs_update {
	uint32_t offset_bytes;
	uint32_t size_bytes;
	uint32_t total_bytes;
	const void *bytes;
};

struct rs_update_complete {
	uint32_t total_bytes;
	uint32_t n_keys;
	uint8_t digest[RS_DIGEST_BYTES];
};

struct rs_write {
	uint64_t ticket;
	uint64_t expected;
	bool is_delete;
	uint16_t key_len;
	uint32_t value_bytes;
	const char *key;   /* not terminated */
	const char *value; /* not terminated */
};

struct rs_ack {
	uint64_t position;
	uint64_t chain;
};

struct rs_check {
	bool is_answer;
	uint64_t position;
	uint8_t digest[RS_DIGEST_BYTES];
};

struct rs_msg {
	enum rs_wire_type type;
	uint16_t version; /* of the protocol */
	struct rs_epoch epoch;
	union {
		struct rs_sync sync; /* SYNC_START, SYNC_REQUEST */
		struct rs_hello hello;
		struct rs_state state;
		struct rs_update update;
		struct rs_update_complete update_complete;
		struct rs_write write;
		struct rs_ack ack;
		struct rs_check check;
	};
};

#define RS_WIRE_ANY_VERSION UINT16_MAX
/* For a reader that speaks versions up to `newest`. 0; -EBADMSG; -EPROTONOSUPPORT: well-formed as
 * far as the header goes, but of a later version, which is then in *ret_version. */
int rs_wire_parse(const void *bytes, size_t size_bytes, uint16_t newest, struct rs_msg *ret_msg,
	uint16_t *ret_version);
/* Whether messages of that type are of the version that the epoch has settled on; else of 1. */
bool rs_wire_is_settled(enum rs_wire_type type);
/* Append `msg`, which must hold together (version 0 is 1), to `out` (out->failed tells of lack of
 * memory). */
void rs_wire_put(struct buf *out, const struct rs_msg *msg);

/* Printable ASCII, 1 to RS_KEY_MAX_LEN characters. */
bool rs_key_is_valid(const char *key, size_t len);

#endif
