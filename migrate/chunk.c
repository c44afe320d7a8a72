/* SPDX-License-Identifier: MIT */
#include "migrate/chunk.h"
#include "base/bytes.h"
#include "migrate/crc32c.h"

#define HEAD_CRC_AT offsetof(struct mig_chunk_header, head_crc)

static uint32_t max_pages(uint8_t kind)
{
	return kind == MIG_CHUNK_ZERO ? UINT32_MAX : MIG_CHUNK_MAX_PAGES;
}

void chunk_start(struct chunk *chunk, uint8_t kind, uint32_t round)
{
	chunk->kind = kind;
	chunk->round = round;
	chunk->n_pages = 0;
	chunk->payload_bytes = 0;
	chunk->payload_crc = 0;
	chunk->n_runs = 0;
}

bool chunk_append(struct chunk *chunk, uint32_t first_pfn, uint32_t n_pages)
{
	struct chunk_run *last = chunk->n_runs ? &chunk->runs[chunk->n_runs - 1] : NULL;
	uint64_t end_pfn = last ? (uint64_t)last->first_pfn + last->n_pages : 0;

	if (n_pages > max_pages(chunk->kind) - chunk->n_pages || first_pfn < end_pfn)
		return false;
	if (last && first_pfn == end_pfn) {
		last->n_pages += n_pages;
	} else if (chunk->n_runs < MIG_CHUNK_MAX_RUNS) {
		chunk->runs[chunk->n_runs++] = (struct chunk_run){first_pfn, n_pages};
	} else {
		return false;
	}
	chunk->n_pages += n_pages;
	return true;
}

size_t chunk_head_encode(const struct chunk *chunk, uint8_t *ret_head)
{
	struct mig_chunk_header header = {
		.round = htole32(chunk->round),
		.kind = chunk->kind,
		.n_runs = htole16((uint16_t)chunk->n_runs),
		.n_pages = htole32(chunk->n_pages),
		.payload_bytes = htole32(chunk->payload_bytes),
		.payload_crc = htole32(chunk->payload_crc),
	};
	uint8_t *runs = ret_head + sizeof(header);
	size_t runs_bytes = chunk->n_runs * sizeof(struct mig_run);

	for (unsigned i = 0; i < chunk->n_runs; i++) {
		struct mig_run run = {
			.first_pfn = htole32(chunk->runs[i].first_pfn),
			.n_pages = htole32(chunk->runs[i].n_pages),
		};

		memcpy(runs + i * sizeof(run), &run, sizeof(run));
	}
	header.head_crc = htole32(crc32c(crc32c(0, &header, HEAD_CRC_AT), runs, runs_bytes));
	memcpy(ret_head, &header, sizeof(header));
	return sizeof(header) + runs_bytes;
}

/* What each kind may look like. */
static const char *header_fault(const struct chunk *c)
{
	uint64_t raw_bytes = (uint64_t)c->n_pages * MIG_PAGE_BYTES;

	if (c->kind == MIG_CHUNK_BARRIER)
		return c->n_runs || c->n_pages || c->payload_bytes ? "a barrier with content"
								   : NULL;
	if (c->kind < MIG_CHUNK_RAW || c->kind > MIG_CHUNK_LZ4)
		return "a chunk of unknown kind";
	if (c->n_runs < 1 || c->n_runs > MIG_CHUNK_MAX_RUNS)
		return "a chunk with an impossible number of runs";
	if (c->n_pages < c->n_runs || c->n_pages > max_pages(c->kind))
		return "a chunk with an impossible number of pages";
	if (c->kind == MIG_CHUNK_ZERO && c->payload_bytes)
		return "a chunk of zeros with a payload";
	if (c->kind == MIG_CHUNK_RAW && c->payload_bytes != raw_bytes)
		return "a raw chunk of a size that is not its pages'";
	if (c->kind == MIG_CHUNK_LZ4 && (!c->payload_bytes || c->payload_bytes >= raw_bytes))
		return "a packed chunk that is not smaller than its pages";
	return NULL;
}

int chunk_header_parse(
	const struct mig_chunk_header *header, struct chunk *ret_chunk, const char **ret_why)
{
	struct chunk chunk = {
		.kind = header->kind,
		.round = le32toh(header->round),
		.n_pages = le32toh(header->n_pages),
		.payload_bytes = le32toh(header->payload_bytes),
		.payload_crc = le32toh(header->payload_crc),
		.n_runs = le16toh(header->n_runs),
	};

	*ret_why = header->reserved ? "not a chunk" : header_fault(&chunk);
	if (*ret_why)
		return -EBADMSG;
	*ret_chunk = chunk;
	return 0;
}

int chunk_runs_parse(const struct mig_chunk_header *header, const struct mig_run *runs,
	struct chunk *chunk, const char **ret_why)
{
	uint32_t crc = crc32c(crc32c(0, header, HEAD_CRC_AT), runs, chunk->n_runs * sizeof(*runs));
	uint64_t end_pfn = 0, sum = 0;

	*ret_why = NULL;
	if (crc != le32toh(header->head_crc))
		*ret_why = "a chunk with a wrong checksum over its runs";
	for (unsigned i = 0; i < chunk->n_runs && !*ret_why; i++) {
		struct chunk_run run = {le32toh(runs[i].first_pfn), le32toh(runs[i].n_pages)};

		if (!run.n_pages || run.first_pfn < end_pfn)
			*ret_why = "a chunk with runs that are empty or out of order";
		end_pfn = (uint64_t)run.first_pfn + run.n_pages;
		sum += run.n_pages;
		chunk->runs[i] = run;
	}
	if (!*ret_why && sum != chunk->n_pages)
		*ret_why = "a chunk whose runs do not add up";
	return *ret_why ? -EBADMSG : 0;
}

int chunk_check_memory(const struct chunk *chunk, struct gpa_space *memory, const char **ret_why)
{
	for (unsigned i = 0; i < chunk->n_runs; i++) {
		const struct chunk_run *run = &chunk->runs[i];

		if (!gpa_window(memory, gpa_from_pfn(run->first_pfn),
			    (size_t)run->n_pages * MIG_PAGE_BYTES)) {
			*ret_why = "a chunk of pages that are not RAM";
			return -EBADMSG;
		}
	}
	return 0;
}
