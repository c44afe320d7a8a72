/* SPDX-License-Identifier: MIT
 *
 * mig_proto.h - what travels between the two ends of a live migration, and what stands in a
 * saved-state file. Freestanding; all integers little-endian; reserved fields are zero and checked.
 *
 * A connection starts with the handshake, which proves both ways that the other end knows the key
 * of the job:
 *
 *	source -> target   hello
 *	target -> source   hello, proof
 *	source -> target   proof
 *
 * where proof = HMAC-SHA256(job key, MIG_PROOF_LABEL, role of the prover (1 byte), the source's
 * hello, the target's hello). The role keeps a proof from being sent back to where it came from.
 *
 * Connection 0 (control) then carries frames:
 *
 *	source -> target                              target -> source
 *	MANIFEST                                      ACCEPT
 *	{ROUND_BEGIN, ROUND_END} for each round       ROUND_DONE
 *	ROUND_BEGIN with FINAL, STATE..., FINAL       READY
 *	COMMIT
 *	ABORT at any time                             ABORT at any time
 *
 * The others carry chunks. Each connection closes a round with a BARRIER chunk, and the target
 * takes no chunk of the next round before all of them have done so: an old copy of a page can never
 * overwrite a newer one that came by another way.
 *
 * A saved-state file is struct mig_file_header, MANIFEST, the chunks of round 0 with its BARRIER,
 * STATE..., FINAL, END; the same frames, the same chunks, the same parsers.
 */
#ifndef VIADUCT_MIGRATE_MIG_PROTO_H
#define VIADUCT_MIGRATE_MIG_PROTO_H

#include <stddef.h>
#include <stdint.h>

#define MIG_WIRE_SIZE(type, size_bytes)                                                            \
	_Static_assert(sizeof(struct type) == (size_bytes), #type " must be " #size_bytes)
#define MIG_WIRE_AT(type, member, at)                                                              \
	_Static_assert(offsetof(struct type, member) == (at), #type "." #member " must be "        \
								    "at " #at)

#define MIG_PROTO_VERSION 1
#define MIG_HELLO_MAGIC   "VDmigra\n"
#define MIG_FILE_MAGIC    "VDsaved\n"
#define MIG_MAGIC_BYTES   8
#define MIG_PROOF_LABEL   "viaduct live migration 1"
#define MIG_NONCE_BYTES   32
#define MIG_MAC_BYTES     32
#define MIG_DIGEST_BYTES  32

/* Limits. What exceeds one is refused before anything is allocated or read for it. */
enum {
	MIG_PAGE_BYTES = 4096,
	MIG_MAX_REGIONS = 8,
	MIG_MAX_NAME_LEN = 255,
	MIG_MAX_ERROR_LEN = 159,
	MIG_STATE_PART_BYTES = 1 << 20,  /* state bytes in one STATE frame */
	MIG_MAX_STATE_BYTES = 256 << 20, /* all units together */
	MIG_MAX_FRAME_BYTES = MIG_STATE_PART_BYTES + 8,
	MIG_CHUNK_MAX_RUNS = 64,
	MIG_CHUNK_MAX_PAGES = 64, /* of kinds that carry page contents */
	MIG_CHUNK_MAX_PAYLOAD = MIG_CHUNK_MAX_PAGES * MIG_PAGE_BYTES,
};

enum mig_role {
	MIG_ROLE_SOURCE = 1,
	MIG_ROLE_TARGET = 2,
};

struct mig_hello {
	uint8_t magic[MIG_MAGIC_BYTES];
	uint16_t version;
	uint8_t role;       /* enum mig_role of the sender */
	uint8_t channel;    /* 0 control, 1..n_channels pages; the target repeats the source's */
	uint8_t n_channels; /* page connections of the job */
	uint8_t reserved[3];
	uint8_t nonce[MIG_NONCE_BYTES]; /* fresh for every connection */
};
MIG_WIRE_SIZE(mig_hello, 48);
MIG_WIRE_AT(mig_hello, version, 8);
MIG_WIRE_AT(mig_hello, nonce, 16);

struct mig_proof {
	uint8_t mac[MIG_MAC_BYTES];
};
MIG_WIRE_SIZE(mig_proof, 32);

enum mig_frame_type {
	MIG_FRAME_MANIFEST = 1,    /* struct mig_manifest */
	MIG_FRAME_ACCEPT = 2,      /* nothing */
	MIG_FRAME_ROUND_BEGIN = 3, /* struct mig_round_mark */
	MIG_FRAME_ROUND_END = 4,   /* struct mig_round_mark */
	MIG_FRAME_ROUND_DONE = 5,  /* struct mig_round_mark: all pages of the round are in place */
	MIG_FRAME_STATE = 6,       /* struct mig_state_part, then bytes */
	MIG_FRAME_FINAL = 7,       /* struct mig_final: nothing more comes before the verdict */
	MIG_FRAME_READY = 8,       /* struct mig_ready */
	MIG_FRAME_COMMIT = 9,      /* nothing */
	MIG_FRAME_ABORT = 10,      /* struct mig_abort, then text */
	MIG_FRAME_END = 11,        /* struct mig_file_end; files only */
};

struct mig_frame_header {
	uint16_t type;
	uint16_t reserved;
	uint32_t size_bytes; /* of the payload that follows */
	uint32_t crc;        /* CRC-32C of type, reserved, size_bytes and the payload */
};
MIG_WIRE_SIZE(mig_frame_header, 12);
MIG_WIRE_AT(mig_frame_header, crc, 8);

/* Followed by n_regions struct mig_region, then vm_name_len bytes of name. */
struct mig_manifest {
	uint64_t cpuid_digest;
	uint32_t page_bytes;
	uint16_t vm_name_len;
	uint8_t n_regions;
	uint8_t reserved;
};
MIG_WIRE_SIZE(mig_manifest, 16);
MIG_WIRE_AT(mig_manifest, vm_name_len, 12);

struct mig_region {
	uint64_t base;
	uint64_t size_bytes;
};
MIG_WIRE_SIZE(mig_region, 16);

enum {
	MIG_ROUND_FINAL = 1, /* flags: the source is paused, state follows */
};

struct mig_round_mark {
	uint32_t round; /* from 0, without gaps */
	uint32_t flags;
	uint32_t n_pages; /* of all kinds, over all channels */
	uint32_t reserved;
};
MIG_WIRE_SIZE(mig_round_mark, 16);

struct mig_state_part {
	uint64_t offset; /* where these bytes belong: parts come in order, without gaps */
};
MIG_WIRE_SIZE(mig_state_part, 8);

struct mig_final {
	uint32_t round;
	uint32_t n_pages;
	uint64_t state_bytes;
};
MIG_WIRE_SIZE(mig_final, 16);

struct mig_ready {
	uint64_t restore_ns; /* how long the units took */
};
MIG_WIRE_SIZE(mig_ready, 8);

struct mig_abort {
	uint32_t error; /* a positive errno of Linux */
	uint32_t reserved;
};
MIG_WIRE_SIZE(mig_abort, 8);

enum mig_chunk_kind {
	MIG_CHUNK_RAW = 1,     /* payload: the pages, one after the other */
	MIG_CHUNK_ZERO = 2,    /* no payload */
	MIG_CHUNK_LZ4 = 3,     /* payload: one LZ4 block that unpacks to the pages */
	MIG_CHUNK_BARRIER = 4, /* no pages: the sender has no more chunks of this round */
};

/* Followed by n_runs struct mig_run in ascending order without overlap, then the payload. The runs
 * have a checksum of their own because contents may go straight to where the runs say. */
struct mig_chunk_header {
	uint32_t round;
	uint8_t kind;
	uint8_t reserved;
	uint16_t n_runs;
	uint32_t n_pages; /* sum over the runs */
	uint32_t payload_bytes;
	uint32_t payload_crc; /* see crc32c.h, the striped form */
	uint32_t head_crc;    /* CRC-32C of the fields above and the runs */
};
MIG_WIRE_SIZE(mig_chunk_header, 24);
MIG_WIRE_AT(mig_chunk_header, n_runs, 6);
MIG_WIRE_AT(mig_chunk_header, payload_crc, 16);
MIG_WIRE_AT(mig_chunk_header, head_crc, 20);

struct mig_run {
	uint32_t first_pfn; /* guest-physical address / 4096 */
	uint32_t n_pages;
};
MIG_WIRE_SIZE(mig_run, 8);

#define MIG_CHUNK_MAX_HEAD_BYTES                                                                   \
	(sizeof(struct mig_chunk_header) + MIG_CHUNK_MAX_RUNS * sizeof(struct mig_run))

struct mig_file_header {
	uint8_t magic[MIG_MAGIC_BYTES];
	uint16_t version;
	uint8_t reserved[6];
};
MIG_WIRE_SIZE(mig_file_header, 16);

/* The last thing in a file: where the sections stand, SHA-256 of every byte before it. */
struct mig_file_end {
	uint64_t pages_at; /* offsets from the start of the file */
	uint64_t state_at;
	uint64_t end_at; /* of this frame's header */
	uint8_t sha256[MIG_DIGEST_BYTES];
};
MIG_WIRE_SIZE(mig_file_end, 56);
MIG_WIRE_AT(mig_file_end, sha256, 24);

#endif
