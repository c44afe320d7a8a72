/* SPDX-License-Identifier: MIT
 *
 * stor_request.h - one packet of the guest on its way through the controller, from the ring back to
 * it; and, when it moves blocks, its way through the backend in as many parts as that needs.
 * Internal to vmbus/.
 *
 * Guest memory is handed to the backend as it is. A part ends where the backend's limits are
 * (DISK_MAX_IOV, DISK_MAX_REQUEST_BYTES), at a whole block; a block in more pieces than that goes
 * through a buffer. Parts follow one another, so a request never has more than one under way.
 *
 * Threads: none; the channel's lock.
 */
#ifndef VIADUCT_VMBUS_STOR_REQUEST_H
#define VIADUCT_VMBUS_STOR_REQUEST_H

#include "base/list.h"
#include "vmbus/proto/vstor.h"
#include "vmbus/stor_lun.h"

/* For blocks in too many pieces, and for a block that is written over and over. */
#define STOR_BUFFER_BYTES (DISK_MAX_REQUEST_BYTES / DISK_MAX_IOV)
/* Of an operation without data. */
#define STOR_MAX_QUIET_BYTES (1U << 30)

struct stor_request {
	struct list link; /* of the channel's lists */

	/* The answer, and who gets it. */
	uint64_t transaction_id;
	bool wants_answer;
	bool is_orphan;     /* its channel was closed meanwhile */
	uint16_t n_offered; /* sub-channels to offer once it is sent */
	uint32_t answer_bytes;
	struct vstor_packet packet;

	/* Blocks. */
	struct stor_lun *lun;
	void *disk;
	uint32_t block_bytes;
	bool in_buffer;             /* the part under way */
	bool repeats_block;         /* `buffer` is full of it */
	unsigned n_extents, extent; /* the one that is under way, */
	uint64_t done_bytes;        /* of it */
	uint64_t moved_bytes;       /* of all */
	struct scsi_extent extents[SCSI_MAX_EXTENTS];
	struct iovec *pieces; /* of guest memory: io.iov, or an array of its own */
	unsigned n_pieces;
	unsigned piece; /* where the next part starts */
	size_t piece_done_bytes;
	uint8_t *buffer;
	struct disk_request io;
};

/* Where up to `n` pieces go that hold so many bytes; NULL: no memory. */
struct iovec *stor_request_room(struct stor_request *request, unsigned n, uint64_t size_bytes);
/* What the result asks for. block_bytes is set, and the guest's pieces, exactly as long as the
 * extent, when its data moves; `parameters` is the block to repeat, NULL for zeroes. 0, -ENOMEM. */
int stor_request_begin(
	struct stor_request *request, const struct scsi_result *result, const uint8_t *parameters);
/* Make `io` the next part. False: there is none. */
bool stor_request_next(struct stor_request *request);
/* The part is done and succeeded. */
void stor_request_advance(struct stor_request *request);
/* Nothing is under way: give memory back. */
void stor_request_end(struct stor_request *request);

#endif
