/* SPDX-License-Identifier: MIT */
#include "csv/disk_int.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdalign.h>
#include <string.h>

/* A kernel that says "again" this often without any progress does not mean it. */
#define MAX_RETRIES  100
#define ZEROES_BYTES (64U << 10)
#define N_ZEROES     64

/* Written from, never to. */
static alignas(DISK_BOUNCE_ALIGN) uint8_t zeroes[ZEROES_BYTES];
static const struct iovec many_zeroes[N_ZEROES] = {
	[0 ... N_ZEROES - 1] = {zeroes, ZEROES_BYTES},
};

static bool is_transfer(const struct disk_request *request)
{
	return request->op == DISK_READ || request->op == DISK_WRITE;
}

static bool pieces_fit(const struct disk_request *request)
{
	uint32_t left_bytes = request->size_bytes;

	if (request->size_bytes > DISK_MAX_REQUEST_BYTES || request->n_iov > DISK_MAX_IOV)
		return false;
	for (unsigned i = 0; i < request->n_iov; i++) {
		if (request->iov[i].iov_len > left_bytes)
			return false;
		left_bytes -= (uint32_t)request->iov[i].iov_len;
	}
	return left_bytes == 0;
}

static int check(struct disk *disk, const struct disk_request *request)
{
	uint64_t disk_bytes = atomic_load_explicit(&disk->size_bytes, memory_order_relaxed);

	if ((unsigned)request->op > DISK_WRITE_ZEROES)
		return -EINVAL;
	if (request->op == DISK_FLUSH)
		return 0;
	if (request->op != DISK_READ && disk->read_only)
		return -EROFS;
	if ((request->offset_bytes | request->size_bytes) & (disk->block_bytes - 1))
		return -EINVAL;
	if (request->offset_bytes > disk_bytes ||
		request->size_bytes > disk_bytes - request->offset_bytes)
		return -EINVAL;
	return is_transfer(request) && !pieces_fit(request) ? -EINVAL : 0;
}

static bool is_aligned(const struct disk *disk, const struct disk_request *request)
{
	for (unsigned i = 0; i < request->n_iov; i++)
		if (((uintptr_t)request->iov[i].iov_base & (disk->memory_align - 1)) ||
			(request->iov[i].iov_len & (disk->length_align - 1)))
			return false;
	return true;
}

/* The best way that is not known to be unsupported. False when nothing need be done. */
static bool choose_step(struct disk_task *task)
{
	struct disk *disk = task->disk;
	bool no_punch = atomic_load_explicit(&disk->no_punch, memory_order_relaxed);

	switch (task->request->op) {
	case DISK_READ:
	case DISK_WRITE:
		task->step =
			is_aligned(disk, task->request) ? DISK_STEP_TRANSFER : DISK_STEP_BOUNCE;
		return true;
	case DISK_FLUSH:
		task->step = DISK_STEP_SYNC;
		return !disk->read_only;
	case DISK_DISCARD:
		/* Holes in files read as zeroes, and guests were told so. */
		task->step = no_punch ? DISK_STEP_ZERO_WRITES : DISK_STEP_PUNCH;
		return disk->can_discard && !(no_punch && disk->is_device);
	case DISK_WRITE_ZEROES:
		if (!atomic_load_explicit(&disk->no_zero_range, memory_order_relaxed))
			task->step = DISK_STEP_ZERO_RANGE;
		else if (!no_punch && !disk->is_device)
			task->step = DISK_STEP_PUNCH;
		else
			task->step = DISK_STEP_ZERO_WRITES;
		return true;
	}
	return false;
}

static bool finish(struct disk_task *task, int result)
{
	task->request->result = result;
	return false;
}

bool disk_task_begin(struct disk_task *task, struct disk *disk, struct disk_request *request)
{
	int r = check(disk, request);

	*task = (struct disk_task){.disk = disk, .request = request};
	if (r < 0)
		return finish(task, r);
	if (!choose_step(task) || (request->size_bytes == 0 && request->op != DISK_FLUSH))
		return finish(task, 0);
	task->sync_after = request->fua && request->op != DISK_READ && request->op != DISK_FLUSH;
	return true;
}

bool disk_task_needs_bounce(const struct disk_task *task)
{
	return task->step == DISK_STEP_BOUNCE;
}

/* ---- position in the request's pieces ---- */

static void skip_pieces(struct disk_task *task, size_t size_bytes)
{
	const struct iovec *iov = task->request->iov;

	while (size_bytes > 0) {
		size_t n = MIN(size_bytes, iov[task->first].iov_len - task->skip_bytes);

		size_bytes -= n;
		task->skip_bytes += n;
		if (task->skip_bytes == iov[task->first].iov_len) {
			task->first++;
			task->skip_bytes = 0;
		}
	}
}

/* Between the bounce buffer and the pieces, from the present position on. */
static void copy_pieces(const struct disk_task *task, size_t size_bytes, bool to_pieces)
{
	uint8_t *buffer = task->bounce;
	size_t skip_bytes = task->skip_bytes;

	for (unsigned i = task->first; size_bytes > 0; i++) {
		const struct iovec *iov = &task->request->iov[i];
		uint8_t *piece = (uint8_t *)iov->iov_base + skip_bytes;
		size_t n = MIN(size_bytes, iov->iov_len - skip_bytes);

		if (n > 0)
			memcpy(to_pieces ? piece : buffer, to_pieces ? buffer : piece, n);
		buffer += n;
		size_bytes -= n;
		skip_bytes = 0;
	}
}

/* ---- the next I/O ---- */

static bool use_dsync(const struct disk_task *task)
{
	return task->request->op == DISK_WRITE && task->sync_after &&
	       !atomic_load_explicit(&task->disk->no_dsync, memory_order_relaxed);
}

static void next_transfer(struct disk_task *task, struct disk_io *ret_io)
{
	struct disk_request *request = task->request;

	ret_io->kind = request->op == DISK_READ ? DISK_IO_READ : DISK_IO_WRITE;
	ret_io->dsync = use_dsync(task);
	if (task->step == DISK_STEP_BOUNCE) {
		task->piece_bytes = MIN(task->piece_bytes, DISK_BOUNCE_BYTES);
		if (request->op == DISK_WRITE)
			copy_pieces(task, task->piece_bytes, false);
		task->buffer = (struct iovec){task->bounce, task->piece_bytes};
		ret_io->iov = &task->buffer;
		ret_io->n_iov = 1;
		return;
	}
	task->whole = request->iov[task->first];
	request->iov[task->first].iov_base = (uint8_t *)task->whole.iov_base + task->skip_bytes;
	request->iov[task->first].iov_len -= task->skip_bytes;
	ret_io->iov = request->iov + task->first;
	ret_io->n_iov = request->n_iov - task->first;
}

static void next_zeroes(struct disk_task *task, struct disk_io *ret_io)
{
	ret_io->kind = DISK_IO_WRITE;
	if (task->piece_bytes >= ZEROES_BYTES) {
		ret_io->n_iov = MIN(task->piece_bytes / ZEROES_BYTES, (unsigned)N_ZEROES);
		ret_io->iov = many_zeroes;
		task->piece_bytes = ret_io->n_iov * ZEROES_BYTES;
	} else {
		task->buffer = (struct iovec){zeroes, task->piece_bytes};
		ret_io->iov = &task->buffer;
		ret_io->n_iov = 1;
	}
}

void disk_task_next(struct disk_task *task, struct disk_io *ret_io)
{
	task->piece_bytes = task->request->size_bytes - task->done_bytes;
	*ret_io = (struct disk_io){.offset_bytes = task->request->offset_bytes + task->done_bytes};
	switch (task->step) {
	case DISK_STEP_TRANSFER:
	case DISK_STEP_BOUNCE:
		next_transfer(task, ret_io);
		break;
	case DISK_STEP_ZERO_WRITES:
		next_zeroes(task, ret_io);
		break;
	case DISK_STEP_PUNCH:
		ret_io->kind = DISK_IO_FALLOCATE;
		ret_io->fallocate_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case DISK_STEP_ZERO_RANGE:
		ret_io->kind = DISK_IO_FALLOCATE;
		ret_io->fallocate_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		break;
	case DISK_STEP_SYNC:
		ret_io->kind = DISK_IO_SYNC;
		ret_io->offset_bytes = 0;
		task->piece_bytes = 0;
		break;
	}
	ret_io->size_bytes = task->piece_bytes;
}

/* ---- what came of it ---- */

static bool data_is_done(struct disk_task *task)
{
	if (!task->sync_after || use_dsync(task))
		return finish(task, 0);
	task->sync_after = false;
	task->step = DISK_STEP_SYNC;
	return true;
}

static bool on_error(struct disk_task *task, int error)
{
	atomic_bool *unsupported = NULL;

	/* -ECANCELED: the thread that submitted has ended. */
	if (error == -EAGAIN || error == -EINTR || error == -ECANCELED)
		return ++task->n_retries > MAX_RETRIES ? finish(task, -EIO) : true;
	if (error != -EOPNOTSUPP && error != -ENOSYS)
		return finish(task, error);
	if (task->step == DISK_STEP_PUNCH)
		unsupported = &task->disk->no_punch;
	else if (task->step == DISK_STEP_ZERO_RANGE)
		unsupported = &task->disk->no_zero_range;
	else if (use_dsync(task))
		unsupported = &task->disk->no_dsync;
	/* Another queue may have found out meanwhile; a step that needs nothing special has no
	 * other way. */
	if (!unsupported)
		return ++task->n_retries > 1 ? finish(task, -EIO) : true;
	atomic_store_explicit(unsupported, true, memory_order_relaxed);
	if (is_transfer(task->request))
		return true;
	return choose_step(task) ? true : finish(task, 0);
}

static bool on_transferred(struct disk_task *task, uint32_t size_bytes)
{
	/* The rest of a short direct transfer must begin where a direct transfer may. */
	if (size_bytes < task->piece_bytes)
		size_bytes &= ~(task->disk->length_align - 1);
	if (size_bytes == 0 || size_bytes > task->piece_bytes)
		return finish(task, -EIO); /* the file ends before the disk does */
	if (task->step == DISK_STEP_BOUNCE && task->request->op == DISK_READ)
		copy_pieces(task, size_bytes, true);
	if (task->step != DISK_STEP_ZERO_WRITES)
		skip_pieces(task, size_bytes);
	task->n_retries = 0;
	task->done_bytes += size_bytes;
	return task->done_bytes < task->request->size_bytes ? true : data_is_done(task);
}

bool disk_task_result(struct disk_task *task, int result)
{
	if (task->step == DISK_STEP_TRANSFER)
		task->request->iov[task->first] = task->whole;
	if (result < 0)
		return on_error(task, result);
	switch (task->step) {
	case DISK_STEP_TRANSFER:
	case DISK_STEP_BOUNCE:
	case DISK_STEP_ZERO_WRITES:
		return on_transferred(task, (uint32_t)result);
	case DISK_STEP_PUNCH:
	case DISK_STEP_ZERO_RANGE:
		return data_is_done(task);
	case DISK_STEP_SYNC:
		break;
	}
	return finish(task, 0);
}
