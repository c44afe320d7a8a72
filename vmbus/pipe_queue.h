/* SPDX-License-Identifier: MIT
 *
 * pipe_queue.h - small packets that wait for room in the guest's ring, in order: messages, and
 * completions of the guest's packets that asked for one. Internal to vmbus/.
 *
 * Whoever fills it asks for room first; nothing is ever dropped.
 */
#ifndef VIADUCT_VMBUS_PIPE_QUEUE_H
#define VIADUCT_VMBUS_PIPE_QUEUE_H

#include "base/bytes.h"

#define PIPE_QUEUE_MAX       8
#define PIPE_QUEUE_MAX_BYTES 416

struct pipe_entry {
	bool is_completion;
	uint64_t transaction_id; /* of a completion */
	uint32_t size_bytes;
	uint8_t bytes[PIPE_QUEUE_MAX_BYTES];
};

struct pipe_queue {
	struct pipe_entry entries[PIPE_QUEUE_MAX];
	unsigned first, n_entries;
};

void pipe_queue_clear(struct pipe_queue *queue);
bool pipe_queue_has_room(const struct pipe_queue *queue, unsigned n_entries);

/* There is room. */
void pipe_queue_completion(struct pipe_queue *queue, uint64_t transaction_id);
/* A message as it is, and one behind a pipe header: at most PIPE_QUEUE_MAX_BYTES in all. */
void pipe_queue_raw(struct pipe_queue *queue, const void *message, size_t size_bytes);
void pipe_queue_message(struct pipe_queue *queue, const void *message, size_t size_bytes);

/* The oldest; NULL: none. */
const struct pipe_entry *pipe_queue_head(const struct pipe_queue *queue);
void pipe_queue_pop(struct pipe_queue *queue);

void pipe_queue_save(const struct pipe_queue *queue, struct buf *out);
/* Spoils the reader when it does not hold together. */
void pipe_queue_restore(struct pipe_queue *queue, struct reader *in);

/* For the states of the devices on such channels: bytes that are neither 0 nor 1, and numbers above
 * `max`, spoil the reader. */
bool pipe_read_bool(struct reader *in);
uint32_t pipe_read_up_to(struct reader *in, uint32_t max);

#endif
