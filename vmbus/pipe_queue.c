/* SPDX-License-Identifier: MIT */
#include "vmbus/pipe_queue.h"

#include "vmbus/proto/pipe.h"

void pipe_queue_clear(struct pipe_queue *queue)
{
	queue->first = 0;
	queue->n_entries = 0;
}

bool pipe_queue_has_room(const struct pipe_queue *queue, unsigned n_entries)
{
	return n_entries <= PIPE_QUEUE_MAX - queue->n_entries;
}

static struct pipe_entry *append(struct pipe_queue *queue)
{
	struct pipe_entry *entry =
		&queue->entries[(queue->first + queue->n_entries) % PIPE_QUEUE_MAX];

	queue->n_entries++;
	entry->is_completion = false;
	entry->transaction_id = 0;
	entry->size_bytes = 0;
	return entry;
}

void pipe_queue_completion(struct pipe_queue *queue, uint64_t transaction_id)
{
	struct pipe_entry *entry = append(queue);

	entry->is_completion = true;
	entry->transaction_id = transaction_id;
}

void pipe_queue_raw(struct pipe_queue *queue, const void *message, size_t size_bytes)
{
	struct pipe_entry *entry = append(queue);

	entry->size_bytes = (uint32_t)size_bytes;
	memcpy(entry->bytes, message, size_bytes);
}

void pipe_queue_message(struct pipe_queue *queue, const void *message, size_t size_bytes)
{
	const struct pipe_header header = {.type = PIPE_DATA, .size_bytes = (uint32_t)size_bytes};
	struct pipe_entry *entry = append(queue);

	entry->size_bytes = (uint32_t)(sizeof(header) + size_bytes);
	memcpy(entry->bytes, &header, sizeof(header));
	memcpy(entry->bytes + sizeof(header), message, size_bytes);
}

const struct pipe_entry *pipe_queue_head(const struct pipe_queue *queue)
{
	return queue->n_entries ? &queue->entries[queue->first] : NULL;
}

void pipe_queue_pop(struct pipe_queue *queue)
{
	queue->first = (queue->first + 1) % PIPE_QUEUE_MAX;
	queue->n_entries--;
}

void pipe_queue_save(const struct pipe_queue *queue, struct buf *out)
{
	buf_le32(out, queue->n_entries);
	for (unsigned i = 0; i < queue->n_entries; i++) {
		const struct pipe_entry *entry =
			&queue->entries[(queue->first + i) % PIPE_QUEUE_MAX];

		buf_u8(out, entry->is_completion);
		buf_le64(out, entry->transaction_id);
		buf_le32(out, entry->size_bytes);
		buf_bytes(out, entry->bytes, entry->size_bytes);
	}
}

void pipe_queue_restore(struct pipe_queue *queue, struct reader *in)
{
	uint32_t n_entries = pipe_read_up_to(in, PIPE_QUEUE_MAX);

	pipe_queue_clear(queue);
	for (uint32_t i = 0; i < n_entries; i++) {
		struct pipe_entry *entry = append(queue);

		entry->is_completion = pipe_read_bool(in);
		entry->transaction_id = reader_le64(in);
		entry->size_bytes = pipe_read_up_to(in, PIPE_QUEUE_MAX_BYTES);
		reader_bytes(in, entry->bytes, entry->size_bytes);
	}
}

bool pipe_read_bool(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > 1;
	return v == 1;
}

uint32_t pipe_read_up_to(struct reader *in, uint32_t max)
{
	uint32_t v = reader_le32(in);

	if (v <= max)
		return v;
	in->failed = true;
	return 0;
}
