/* SPDX-License-Identifier: MIT */
#include "vmbus/ic_core.h"

/* Frames that are offered, and accepted; the best first. */
static const struct ic_version frame_versions[] = {{3, 0}, {1, 0}};

void ic_core_init(struct ic_core *core, const struct ic_service *service)
{
	*core = (struct ic_core){.service = service};
}

void ic_core_open(struct ic_core *core)
{
	core->phase = IC_NEGOTIATING;
	core->frame_version = core->message_version = (struct ic_version){0};
	core->asked = false;
}

void ic_core_close(struct ic_core *core)
{
	core->phase = IC_CLOSED;
	core->frame_version = core->message_version = (struct ic_version){0};
	core->asked = false;
	if (core->service->closed)
		core->service->closed(core);
}

static void give_up(struct ic_core *core, const struct ic_time *time, int error)
{
	core->asked = false;
	if (core->service->given_up)
		core->service->given_up(core, time, error);
}

void ic_core_cancel(struct ic_core *core, const struct ic_time *time)
{
	if (core->phase == IC_READY && core->asked)
		give_up(core, time, -ECANCELED);
}

static bool same_version(struct ic_version a, struct ic_version b)
{
	return a.major == b.major && a.minor == b.minor;
}

static bool has_version(
	const struct ic_version *versions, unsigned n_versions, struct ic_version version)
{
	for (unsigned i = 0; i < n_versions; i++) {
		if (same_version(versions[i], version))
			return true;
	}
	return false;
}

static bool is_offered(
	const struct ic_core *core, struct ic_version frame, struct ic_version message)
{
	const struct ic_service *service = core->service;

	return has_version(frame_versions, ARRAY_LEN(frame_versions), frame) &&
	       has_version(service->versions + core->first_version,
		       service->n_versions - core->first_version, message);
}

static int negotiated(
	struct ic_core *core, const struct ic_time *time, const uint8_t *body, size_t size_bytes)
{
	struct reader in = reader_make(body, size_bytes);
	struct ic_version frame, message;
	struct ic_negotiate negotiate;

	reader_bytes(&in, &negotiate, sizeof(negotiate));
	if (!reader_ok(&in))
		return -EBADMSG;
	core->asked = false;
	core->n_answers++;
	if (negotiate.n_frame_versions == 0 || negotiate.n_message_versions == 0) {
		core->phase = IC_REFUSED;
		return 0;
	}
	reader_bytes(&in, &frame, sizeof(frame));
	reader_bytes(&in, &message, sizeof(message));
	if (!reader_ok(&in) || negotiate.n_frame_versions != 1 ||
		negotiate.n_message_versions != 1 || !is_offered(core, frame, message)) {
		core->phase = IC_REFUSED;
		return -EBADMSG;
	}
	core->frame_version = frame;
	core->message_version = message;
	core->phase = IC_READY;
	if (core->service->ready)
		core->service->ready(core, time);
	return 0;
}

/* `message` is what stands behind the pipe header. */
static int receive(
	struct ic_core *core, const struct ic_time *time, const uint8_t *message, size_t size_bytes)
{
	const struct ic_service *service = core->service;
	const uint8_t *body = message + sizeof(struct ic_header);
	struct ic_header header;
	uint16_t type;

	if (size_bytes < sizeof(header))
		return -EBADMSG;
	memcpy(&header, message, sizeof(header));
	size_bytes -= sizeof(header);
	if (header.body_bytes > size_bytes || !(header.flags & IC_FLAG_RESPONSE) ||
		header.flags & IC_FLAG_REQUEST)
		return -EBADMSG;
	/* Of a request that was given up. */
	if (!core->asked || header.transaction_id != core->transaction_id)
		return 0;
	type = core->phase == IC_NEGOTIATING ? IC_MESSAGE_NEGOTIATE : service->message_type;
	if (header.type != type)
		return -EBADMSG;
	if (core->phase == IC_NEGOTIATING)
		return negotiated(core, time, body, header.body_bytes);
	core->asked = false;
	core->n_answers++;
	if (service->answer(core, time, header.status, body, header.body_bytes) == 0)
		return 0;
	give_up(core, time, -EREMOTEIO);
	return -EBADMSG;
}

void ic_core_receive(
	struct ic_core *core, const struct ic_time *time, const void *payload, size_t size_bytes)
{
	const uint8_t *message = pipe_message(payload, size_bytes, &size_bytes);
	int r;

	if (core->phase == IC_CLOSED)
		return;
	r = message ? receive(core, time, message, size_bytes) : -EBADMSG;
	if (r)
		core->n_protocol_errors++;
}

static size_t write_negotiate(const struct ic_core *core, uint8_t *body)
{
	const struct ic_service *service = core->service;
	unsigned n_versions = service->n_versions - core->first_version;
	const struct ic_negotiate negotiate = {
		.n_frame_versions = ARRAY_LEN(frame_versions),
		.n_message_versions = (uint16_t)n_versions,
	};
	uint8_t *at = body;

	memcpy(at, &negotiate, sizeof(negotiate));
	at += sizeof(negotiate);
	memcpy(at, frame_versions, sizeof(frame_versions));
	at += sizeof(frame_versions);
	memcpy(at, service->versions + core->first_version, n_versions * sizeof(struct ic_version));
	at += n_versions * sizeof(struct ic_version);
	return (size_t)(at - body);
}

/* Puts the frame around a body that is in place. */
static size_t frame(struct ic_core *core, uint8_t *message, uint16_t type, size_t body_bytes)
{
	const struct pipe_header pipe = {
		.type = PIPE_DATA,
		.size_bytes = (uint32_t)(sizeof(struct ic_header) + body_bytes),
	};
	const struct ic_header header = {
		.frame_version = core->frame_version,
		.type = type,
		.message_version = core->message_version,
		.body_bytes = (uint16_t)body_bytes,
		.transaction_id = ++core->transaction_id,
		.flags = IC_FLAG_TRANSACTION | IC_FLAG_REQUEST,
	};

	memcpy(message, &pipe, sizeof(pipe));
	memcpy(message + sizeof(pipe), &header, sizeof(header));
	core->asked = true;
	core->n_requests++;
	return IC_FRAME_BYTES + body_bytes;
}

void ic_core_tick(struct ic_core *core, const struct ic_time *time)
{
	if (core->service->tick)
		core->service->tick(core, time);
	if (core->phase == IC_READY && core->asked && time->now_ns >= core->patience_end_ns)
		give_up(core, time, -ETIMEDOUT);
}

size_t ic_core_send(struct ic_core *core, const struct ic_time *time, uint8_t *ret_message)
{
	const struct ic_service *service = core->service;
	uint8_t *body = ret_message + IC_FRAME_BYTES;
	size_t body_bytes;

	if (core->asked)
		return 0;
	if (core->phase == IC_NEGOTIATING) {
		core->patience_end_ns = IC_NEVER;
		return frame(core, ret_message, IC_MESSAGE_NEGOTIATE, write_negotiate(core, body));
	}
	if (core->phase != IC_READY)
		return 0;
	body_bytes = service->request(core, time, body);
	if (body_bytes == 0)
		return 0;
	core->patience_end_ns =
		service->patience_ns == IC_NEVER ? IC_NEVER : time->now_ns + service->patience_ns;
	return frame(core, ret_message, service->message_type, body_bytes);
}

size_t ic_core_max_message_bytes(const struct ic_core *core)
{
	const size_t negotiate_bytes = sizeof(struct ic_negotiate) + sizeof(frame_versions) +
				       core->service->n_versions * sizeof(struct ic_version);

	return IC_FRAME_BYTES + MAX((size_t)core->service->max_body_bytes, negotiate_bytes);
}

static uint64_t message_due_ns(const struct ic_core *core, bool can_send)
{
	if (core->asked)
		return core->patience_end_ns;
	if (!can_send)
		return IC_NEVER;
	if (core->phase == IC_NEGOTIATING)
		return 0;
	if (core->phase != IC_READY)
		return IC_NEVER;
	return core->service->request_due_ns ? core->service->request_due_ns(core) : 0;
}

uint64_t ic_core_deadline_ns(const struct ic_core *core, bool can_send)
{
	uint64_t tick_due_ns =
		core->service->tick_due_ns ? core->service->tick_due_ns(core) : IC_NEVER;

	return MIN(tick_due_ns, message_due_ns(core, can_send));
}

void ic_core_save(const struct ic_core *core, struct buf *out)
{
	buf_u8(out, (uint8_t)core->phase);
	buf_le16(out, core->frame_version.major);
	buf_le16(out, core->frame_version.minor);
	buf_le16(out, core->message_version.major);
	buf_le16(out, core->message_version.minor);
	buf_u8(out, core->transaction_id);
	buf_u8(out, core->asked);
	buf_le64(out, core->n_requests);
	buf_le64(out, core->n_answers);
	buf_le64(out, core->n_protocol_errors);
}

static bool is_sound(const struct ic_core *core, bool open)
{
	static const struct ic_version none;

	if ((core->phase == IC_CLOSED) == open)
		return false;
	if (core->asked && core->phase != IC_NEGOTIATING)
		return false;
	if (core->phase == IC_READY)
		return is_offered(core, core->frame_version, core->message_version);
	return same_version(core->frame_version, none) && same_version(core->message_version, none);
}

int ic_core_restore(struct ic_core *core, struct reader *in, bool open)
{
	struct ic_core restored = *core;
	uint8_t phase, asked;

	phase = reader_u8(in);
	restored.frame_version.major = reader_le16(in);
	restored.frame_version.minor = reader_le16(in);
	restored.message_version.major = reader_le16(in);
	restored.message_version.minor = reader_le16(in);
	restored.transaction_id = reader_u8(in);
	asked = reader_u8(in);
	restored.n_requests = reader_le64(in);
	restored.n_answers = reader_le64(in);
	restored.n_protocol_errors = reader_le64(in);
	if (!reader_ok(in) || phase > IC_REFUSED || asked > 1)
		return -EBADMSG;
	restored.phase = phase;
	restored.asked = asked;
	restored.patience_end_ns = IC_NEVER;
	if (!is_sound(&restored, open))
		return -EBADMSG;
	*core = restored;
	return 0;
}
