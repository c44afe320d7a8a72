/* SPDX-License-Identifier: MIT */
#include "ui_rig.h"

#include "vmbus/proto/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

bool ui_send_raw(ui_receive_fn receive, void *core, const void *message, size_t size_bytes)
{
	_cleanup_free_ uint8_t *exact = malloc(size_bytes ? size_bytes : 1);

	assert_non_null(exact);
	if (size_bytes)
		memcpy(exact, message, size_bytes);
	return receive(core, exact, size_bytes);
}

bool ui_send_saying(ui_receive_fn receive, void *core, const void *message, size_t size_bytes,
	uint32_t said_bytes)
{
	const struct pipe_header header = {.type = PIPE_DATA, .size_bytes = said_bytes};
	size_t padded = ALIGN_UP(sizeof(header) + size_bytes, 8);
	_cleanup_free_ uint8_t *payload = calloc(1, padded);

	assert_non_null(payload);
	memcpy(payload, &header, sizeof(header));
	if (size_bytes)
		memcpy(payload + sizeof(header), message, size_bytes);
	return receive(core, payload, padded);
}

bool ui_send(ui_receive_fn receive, void *core, const void *message, size_t size_bytes)
{
	return ui_send_saying(receive, core, message, size_bytes, (uint32_t)size_bytes);
}

void ui_take_raw(struct pipe_queue *queue, void *ret_message, size_t size_bytes)
{
	const struct pipe_entry *entry = pipe_queue_head(queue);

	assert_non_null(entry);
	assert_false(entry->is_completion);
	assert_int_equal(entry->size_bytes, size_bytes);
	memcpy(ret_message, entry->bytes, size_bytes);
	pipe_queue_pop(queue);
}

void ui_take(struct pipe_queue *queue, void *ret_message, size_t size_bytes)
{
	uint8_t whole[PIPE_QUEUE_MAX_BYTES];
	size_t message_bytes;
	const void *message;

	ui_take_raw(queue, whole, sizeof(struct pipe_header) + size_bytes);
	message = pipe_message(whole, sizeof(struct pipe_header) + size_bytes, &message_bytes);
	assert_non_null(message);
	assert_int_equal(message_bytes, size_bytes);
	memcpy(ret_message, message, size_bytes);
}

static int restore_copy(ui_restore_fn restore, size_t core_bytes, const void *fresh_core,
	const uint8_t *state, size_t size_bytes)
{
	_cleanup_free_ uint8_t *exact = malloc(size_bytes ? size_bytes : 1);
	_cleanup_free_ void *core = malloc(core_bytes);
	struct reader in = reader_make(exact, size_bytes);

	assert_non_null(exact);
	assert_non_null(core);
	memcpy(core, fresh_core, core_bytes);
	memcpy(exact, state, size_bytes);
	return restore(core, &in, true);
}

void ui_spoil_state(
	ui_restore_fn restore, size_t core_bytes, const void *fresh_core, const struct buf *state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x02, 0x7f, 0xff};

	for (size_t n = 0; n < state->size_bytes; n++)
		assert_int_equal(
			restore_copy(restore, core_bytes, fresh_core, state->data, n), -EBADMSG);
	for (size_t at = 0; at < state->size_bytes; at++) {
		uint8_t was = state->data[at];

		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			int r;

			state->data[at] = values[i];
			r = restore_copy(
				restore, core_bytes, fresh_core, state->data, state->size_bytes);
			assert_true(r == 0 || r == -EBADMSG);
		}
		state->data[at] = was;
	}
}
