/* SPDX-License-Identifier: MIT */
#include "vmbus/stor_request.h"

#include <string.h>

static int need_buffer(struct stor_request *request)
{
	if (!request->buffer)
		request->buffer = malloc(STOR_BUFFER_BYTES);
	return request->buffer ? 0 : -ENOMEM;
}

struct iovec *stor_request_room(struct stor_request *request, unsigned n, uint64_t size_bytes)
{
	request->pieces = request->io.iov;
	if (n > DISK_MAX_IOV || size_bytes > DISK_MAX_REQUEST_BYTES)
		request->pieces = malloc(n * sizeof(request->pieces[0]));
	return request->pieces;
}

/* All of it in one part, which stands in `io` already. */
static bool is_whole(const struct stor_request *request)
{
	return request->pieces == request->io.iov;
}

static int begin_repeat(struct stor_request *request, const uint8_t *block)
{
	int r = need_buffer(request);

	if (r)
		return r;
	for (uint32_t at = 0; at < STOR_BUFFER_BYTES; at += request->block_bytes) {
		if (block)
			memcpy(request->buffer + at, block, request->block_bytes);
		else
			memset(request->buffer + at, 0, request->block_bytes);
	}
	return 0;
}

int stor_request_begin(
	struct stor_request *request, const struct scsi_result *result, const uint8_t *parameters)
{
	bool moves_data = result->op == DISK_READ || result->op == DISK_WRITE;

	request->io.op = result->op;
	request->io.fua = result->fua;
	request->io.n_iov = is_whole(request) ? request->n_pieces : 0;
	request->repeats_block = result->repeats_block;
	request->n_extents = result->n_extents;
	request->extent = 0;
	request->done_bytes = 0;
	request->moved_bytes = 0;
	request->piece = 0;
	request->piece_done_bytes = 0;
	request->in_buffer = false;
	memcpy(request->extents, result->extents, result->n_extents * sizeof(request->extents[0]));
	if (result->repeats_block)
		return begin_repeat(request, parameters);
	return moves_data && !is_whole(request) ? need_buffer(request) : 0;
}

static void fill_repeat(struct stor_request *request, uint64_t left_bytes)
{
	struct disk_request *io = &request->io;

	io->size_bytes = (uint32_t)MIN(left_bytes, (uint64_t)DISK_MAX_REQUEST_BYTES);
	io->n_iov = 0;
	for (uint32_t at = 0; at < io->size_bytes; at += STOR_BUFFER_BYTES)
		io->iov[io->n_iov++] = (struct iovec){
			request->buffer, MIN(io->size_bytes - at, STOR_BUFFER_BYTES)};
}

/* Pieces from the present place on, not further than size_bytes. Returns how much they hold. */
static uint32_t gather(struct stor_request *request, uint32_t size_bytes)
{
	struct disk_request *io = &request->io;
	size_t skip_bytes = request->piece_done_bytes;
	uint32_t got_bytes = 0;

	io->n_iov = 0;
	for (unsigned i = request->piece; got_bytes < size_bytes && io->n_iov < DISK_MAX_IOV; i++) {
		const struct iovec *piece = &request->pieces[i];
		size_t n = MIN(piece->iov_len - skip_bytes, (size_t)(size_bytes - got_bytes));

		io->iov[io->n_iov++] = (struct iovec){(uint8_t *)piece->iov_base + skip_bytes, n};
		got_bytes += (uint32_t)n;
		skip_bytes = 0;
	}
	return got_bytes;
}

/* Let go of the last bytes of io->iov. */
static void trim(struct disk_request *io, size_t size_bytes)
{
	while (size_bytes) {
		struct iovec *last = &io->iov[io->n_iov - 1];
		size_t n = MIN(size_bytes, last->iov_len);

		last->iov_len -= n;
		size_bytes -= n;
		if (last->iov_len == 0)
			io->n_iov--;
	}
}

/* Between the buffer and the pieces from the present place on. */
static void copy_pieces(struct stor_request *request, size_t size_bytes, bool to_pieces)
{
	size_t skip_bytes = request->piece_done_bytes;
	uint8_t *at = request->buffer;

	for (unsigned i = request->piece; size_bytes; i++) {
		const struct iovec *piece = &request->pieces[i];
		uint8_t *bytes = (uint8_t *)piece->iov_base + skip_bytes;
		size_t n = MIN(piece->iov_len - skip_bytes, size_bytes);

		memcpy(to_pieces ? bytes : at, to_pieces ? at : bytes, n);
		at += n;
		size_bytes -= n;
		skip_bytes = 0;
	}
}

static void skip_pieces(struct stor_request *request, size_t size_bytes)
{
	while (size_bytes) {
		size_t left_bytes =
			request->pieces[request->piece].iov_len - request->piece_done_bytes;
		size_t n = MIN(left_bytes, size_bytes);

		size_bytes -= n;
		request->piece_done_bytes += n;
		if (n == left_bytes) {
			request->piece++;
			request->piece_done_bytes = 0;
		}
	}
}

static void fill_from_pieces(struct stor_request *request, uint64_t left_bytes)
{
	struct disk_request *io = &request->io;
	uint32_t max_bytes = (uint32_t)MIN(left_bytes, (uint64_t)DISK_MAX_REQUEST_BYTES);
	uint32_t got_bytes = gather(request, max_bytes);
	uint32_t odd_bytes = got_bytes % request->block_bytes;

	request->in_buffer = got_bytes < request->block_bytes;
	io->size_bytes = got_bytes - odd_bytes;
	if (!request->in_buffer) {
		trim(io, odd_bytes);
		return;
	}
	io->size_bytes = MIN(max_bytes, STOR_BUFFER_BYTES);
	io->iov[0] = (struct iovec){request->buffer, io->size_bytes};
	io->n_iov = 1;
	if (io->op == DISK_WRITE)
		copy_pieces(request, io->size_bytes, false);
}

bool stor_request_next(struct stor_request *request)
{
	struct disk_request *io = &request->io;
	const struct scsi_extent *extent = &request->extents[request->extent];
	uint64_t left_bytes;

	if (request->extent == request->n_extents)
		return false;
	left_bytes = extent->size_bytes - request->done_bytes;
	io->offset_bytes = extent->offset_bytes + request->done_bytes;
	if (request->repeats_block)
		fill_repeat(request, left_bytes);
	else if (io->op != DISK_READ && io->op != DISK_WRITE)
		io->size_bytes = (uint32_t)MIN(left_bytes, (uint64_t)STOR_MAX_QUIET_BYTES);
	else if (is_whole(request))
		io->size_bytes = (uint32_t)left_bytes;
	else
		fill_from_pieces(request, left_bytes);
	return true;
}

void stor_request_advance(struct stor_request *request)
{
	const struct disk_request *io = &request->io;

	if (request->in_buffer && io->op == DISK_READ)
		copy_pieces(request, io->size_bytes, true);
	if (request->pieces && !is_whole(request))
		skip_pieces(request, io->size_bytes);
	request->done_bytes += io->size_bytes;
	request->moved_bytes += io->size_bytes;
	if (request->done_bytes == request->extents[request->extent].size_bytes) {
		request->extent++;
		request->done_bytes = 0;
	}
}

void stor_request_end(struct stor_request *request)
{
	if (request->pieces && !is_whole(request))
		free(request->pieces);
	request->pieces = NULL;
	request->n_pieces = 0;
	free(request->buffer);
	request->buffer = NULL;
}
