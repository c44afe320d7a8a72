/* SPDX-License-Identifier: MIT */
#include "vmbus/ic_heartbeat.h"

#include "base/clock.h"

#define PERIOD_NS  (2 * NS_PER_SEC)
#define SILENCE_NS (15 * NS_PER_SEC)

static struct ic_heartbeat_core *heartbeat_of(struct ic_core *core)
{
	return container_of(core, struct ic_heartbeat_core, core);
}

static void heard(struct ic_heartbeat_core *heartbeat, const struct ic_time *time)
{
	heartbeat->heard_ns = time->now_ns;
	heartbeat->state = IC_HEARTBEAT_OK;
}

static void on_ready(struct ic_core *core, const struct ic_time *time)
{
	heartbeat_of(core)->due_ns = time->now_ns;
	heard(heartbeat_of(core), time);
}

static size_t on_request(struct ic_core *core, const struct ic_time *time, uint8_t *ret_body)
{
	struct ic_heartbeat_core *heartbeat = heartbeat_of(core);
	struct ic_heartbeat_body body = {0};

	if (time->now_ns < heartbeat->due_ns)
		return 0;
	body.sequence = ++heartbeat->sequence;
	memcpy(ret_body, &body, sizeof(body));
	heartbeat->due_ns = time->now_ns + PERIOD_NS;
	return sizeof(body);
}

/* Guests answer with the next number, but what counts is that they do. */
static int on_answer(struct ic_core *core, const struct ic_time *time, _unused_ uint32_t status,
	_unused_ const uint8_t *body, size_t size_bytes)
{
	if (size_bytes < sizeof(uint64_t))
		return -EBADMSG;
	heard(heartbeat_of(core), time);
	return 0;
}

static void on_closed(struct ic_core *core)
{
	heartbeat_of(core)->state = IC_HEARTBEAT_NO_CONTACT;
}

static uint64_t request_due_ns(const struct ic_core *core)
{
	return container_of(core, struct ic_heartbeat_core, core)->due_ns;
}

static uint64_t tick_due_ns(const struct ic_core *core)
{
	const struct ic_heartbeat_core *heartbeat =
		container_of(core, struct ic_heartbeat_core, core);

	return heartbeat->state == IC_HEARTBEAT_OK ? heartbeat->heard_ns + SILENCE_NS : IC_NEVER;
}

static void on_tick(struct ic_core *core, const struct ic_time *time)
{
	if (time->now_ns >= tick_due_ns(core))
		heartbeat_of(core)->state = IC_HEARTBEAT_LOST;
}

static const struct ic_service service = {
	.name = "heartbeat",
	.class_guid = VMBUS_GUID_HEARTBEAT,
	.instance_guid = VMBUS_INSTANCE_HEARTBEAT,
	.message_type = IC_MESSAGE_HEARTBEAT,
	.max_body_bytes = sizeof(struct ic_heartbeat_body),
	.patience_ns = IC_NEVER,
	.versions = {{3, 0}, {1, 0}},
	.n_versions = 2,
	.ready = on_ready,
	.request = on_request,
	.answer = on_answer,
	.closed = on_closed,
	.request_due_ns = request_due_ns,
	.tick = on_tick,
	.tick_due_ns = tick_due_ns,
};

void ic_heartbeat_init(struct ic_heartbeat_core *heartbeat)
{
	*heartbeat = (struct ic_heartbeat_core){0};
	ic_core_init(&heartbeat->core, &service);
}

void ic_heartbeat_resume(struct ic_heartbeat_core *heartbeat, uint64_t now_ns)
{
	heartbeat->heard_ns = heartbeat->due_ns = now_ns;
}

void ic_heartbeat_save(const struct ic_heartbeat_core *heartbeat, struct buf *out)
{
	ic_core_save(&heartbeat->core, out);
	buf_u8(out, (uint8_t)heartbeat->state);
	buf_le64(out, heartbeat->sequence);
}

int ic_heartbeat_restore(struct ic_heartbeat_core *heartbeat, struct reader *in, bool open)
{
	int r = ic_core_restore(&heartbeat->core, in, open);
	uint8_t state = reader_u8(in);
	bool is_ready = heartbeat->core.phase == IC_READY;

	heartbeat->sequence = reader_le64(in);
	if (r || !reader_ok(in) || state > IC_HEARTBEAT_LOST ||
		(state != IC_HEARTBEAT_NO_CONTACT) != is_ready)
		return -EBADMSG;
	heartbeat->state = state;
	return 0;
}
