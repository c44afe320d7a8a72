/* SPDX-License-Identifier: MIT
 *
 * chunk.h - runs of pages under one header: how they are gathered, written and checked. Pure.
 */
#ifndef VIADUCT_MIGRATE_CHUNK_H
#define VIADUCT_MIGRATE_CHUNK_H

#include "base/gpa.h"
#include "migrate/mig_proto.h"

struct chunk_run {
	uint32_t first_pfn;
	uint32_t n_pages;
};

struct chunk {
	uint8_t kind; /* enum mig_chunk_kind */
	uint32_t round;
	uint32_t n_pages;
	uint32_t payload_bytes;
	uint32_t payload_crc;
	unsigned n_runs;
	struct chunk_run runs[MIG_CHUNK_MAX_RUNS];
};

/* Empty, for chunk_append(). */
void chunk_start(struct chunk *chunk, uint8_t kind, uint32_t round);
/* Add a run; false when it does not fit (in number, in size, in order): send the chunk first. A run
 * that an empty chunk does not take is a bug of the caller. */
bool chunk_append(struct chunk *chunk, uint32_t first_pfn, uint32_t n_pages);

/* The header and the runs as they travel, at most MIG_CHUNK_MAX_HEAD_BYTES; returns how many. */
size_t chunk_head_encode(const struct chunk *chunk, uint8_t *ret_head);

/* The header: kinds, counts and sizes that hold together. -EBADMSG with static text. */
int chunk_header_parse(
	const struct mig_chunk_header *header, struct chunk *ret_chunk, const char **ret_why);
/* The runs that follow it, chunk->n_runs of them: checksum, order, sum. */
int chunk_runs_parse(const struct mig_chunk_header *header, const struct mig_run *runs,
	struct chunk *chunk, const char **ret_why);
/* Every run inside one region of `memory`? */
int chunk_check_memory(const struct chunk *chunk, struct gpa_space *memory, const char **ret_why);

#endif
