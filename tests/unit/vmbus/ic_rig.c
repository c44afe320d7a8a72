/* SPDX-License-Identifier: MIT */
#include "ic_rig.h"

void ic_rig_init(struct ic_rig *rig, struct ic_core *core)
{
	*rig = (struct ic_rig){
		.core = core,
		.time = {.now_ns = 1000 * NS_PER_SEC, .wall_clock = 0x1234567, .reference = 0x89},
	};
}

void ic_rig_pass(struct ic_rig *rig, uint64_t ns)
{
	rig->time.now_ns += ns;
	rig->time.wall_clock += ns / 100;
	rig->time.reference += ns / 100;
	ic_core_tick(rig->core, &rig->time);
}

bool ic_rig_fetch(struct ic_rig *rig)
{
	struct pipe_header pipe;

	ic_core_tick(rig->core, &rig->time);
	rig->size_bytes = ic_core_send(rig->core, &rig->time, rig->message);
	if (rig->size_bytes == 0)
		return false;
	assert_true(rig->size_bytes >= IC_FRAME_BYTES);
	assert_true(rig->size_bytes <= ic_core_max_message_bytes(rig->core));
	memcpy(&pipe, rig->message, sizeof(pipe));
	memcpy(&rig->header, rig->message + sizeof(pipe), sizeof(rig->header));
	rig->body = rig->message + IC_FRAME_BYTES;
	assert_int_equal(pipe.type, PIPE_DATA);
	assert_int_equal(pipe.size_bytes, rig->size_bytes - sizeof(pipe));
	assert_int_equal(rig->header.body_bytes, rig->size_bytes - IC_FRAME_BYTES);
	assert_int_equal(rig->header.flags, IC_FLAG_TRANSACTION | IC_FLAG_REQUEST);
	assert_int_equal(rig->header.status, 0);
	/* One at a time. */
	assert_int_equal(
		ic_core_send(rig->core, &rig->time, (uint8_t[IC_MAX_MESSAGE_BYTES]){0}), 0);
	return true;
}

void ic_rig_expect(struct ic_rig *rig)
{
	assert_true(ic_core_deadline_ns(rig->core, true) <= rig->time.now_ns);
	assert_true(ic_rig_fetch(rig));
	assert_int_equal(rig->header.type, rig->core->service->message_type);
	assert_int_equal(rig->header.message_version.major, rig->core->message_version.major);
	assert_true(ic_core_deadline_ns(rig->core, true) > rig->time.now_ns);
}

void ic_rig_push(struct ic_rig *rig, const void *payload, size_t size_bytes)
{
	uint8_t *exact = malloc(size_bytes ? size_bytes : 1);

	assert_non_null(exact);
	memcpy(exact, payload, size_bytes);
	ic_core_receive(rig->core, &rig->time, exact, size_bytes);
	free(exact);
}

void ic_rig_answer(struct ic_rig *rig, uint32_t status, const void *body, size_t size_bytes)
{
	const struct pipe_header pipe = {
		PIPE_DATA, (uint32_t)(sizeof(struct ic_header) +
				      (body ? size_bytes : rig->header.body_bytes))};
	struct ic_header header = rig->header;

	header.flags = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	header.status = status;
	if (body) {
		header.body_bytes = (uint16_t)size_bytes;
		memcpy(rig->message + IC_FRAME_BYTES, body, size_bytes);
	}
	memcpy(rig->message, &pipe, sizeof(pipe));
	memcpy(rig->message + sizeof(pipe), &header, sizeof(header));
	ic_rig_push(rig, rig->message, sizeof(pipe) + pipe.size_bytes);
}

void ic_rig_choose(struct ic_rig *rig, struct ic_version frame, struct ic_version message)
{
	struct {
		struct ic_negotiate negotiate;
		struct ic_version versions[2];
	} chosen = {{.n_frame_versions = 1, .n_message_versions = 1}, {frame, message}};

	assert_int_equal(rig->header.type, IC_MESSAGE_NEGOTIATE);
	ic_rig_answer(rig, IC_STATUS_OK, &chosen, sizeof(chosen));
}

void ic_rig_up(struct ic_rig *rig)
{
	struct ic_version message;

	ic_core_open(rig->core);
	assert_true(ic_rig_fetch(rig));
	memcpy(&message, rig->body + sizeof(struct ic_negotiate) + 2 * sizeof(message),
		sizeof(message));
	ic_rig_choose(rig, (struct ic_version){3, 0}, message);
	assert_int_equal(rig->core->phase, IC_READY);
	assert_int_equal(rig->core->n_protocol_errors, 0);
}

void ic_rig_done(int error, void *data)
{
	struct ic_rig *rig = data;

	rig->n_done++;
	rig->error = error;
}

void ic_rig_tell(struct ic_ask *finished)
{
	struct ic_ask ask = *finished;

	*finished = (struct ic_ask){0};
	if (ask.done)
		ask.done(ask.error, ask.data);
}
