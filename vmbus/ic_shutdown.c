/* SPDX-License-Identifier: MIT */
#include "vmbus/ic_shutdown.h"

#include "base/clock.h"
#include "vmbus/ic_text.h"

/* Drivers answer before they begin. */
#define PATIENCE_NS (30 * NS_PER_SEC)

static struct ic_shutdown_core *shutdown_of(struct ic_core *core)
{
	return container_of(core, struct ic_shutdown_core, core);
}

static void finish(struct ic_shutdown_core *shutdown, int error)
{
	if (!shutdown->wanted)
		return;
	shutdown->wanted = false;
	shutdown->finished = ic_ask_take(&shutdown->ask, error);
}

static size_t on_request(
	struct ic_core *core, _unused_ const struct ic_time *time, uint8_t *ret_body)
{
	const struct ic_shutdown_core *shutdown = shutdown_of(core);

	if (!shutdown->wanted)
		return 0;
	memcpy(ret_body, &shutdown->body, sizeof(shutdown->body));
	return sizeof(shutdown->body);
}

static int on_answer(struct ic_core *core, _unused_ const struct ic_time *time, uint32_t status,
	_unused_ const uint8_t *body, _unused_ size_t size_bytes)
{
	finish(shutdown_of(core), status == IC_STATUS_OK ? 0 : -EREMOTEIO);
	return 0;
}

static void on_given_up(struct ic_core *core, _unused_ const struct ic_time *time, int error)
{
	finish(shutdown_of(core), error);
}

static void on_closed(struct ic_core *core)
{
	finish(shutdown_of(core), -ECANCELED);
}

static uint64_t request_due_ns(const struct ic_core *core)
{
	return container_of(core, struct ic_shutdown_core, core)->wanted ? 0 : IC_NEVER;
}

static const struct ic_service service = {
	.name = "shutdown",
	.class_guid = VMBUS_GUID_SHUTDOWN,
	.instance_guid = VMBUS_INSTANCE_SHUTDOWN,
	.message_type = IC_MESSAGE_SHUTDOWN,
	.max_body_bytes = sizeof(struct ic_shutdown_body),
	.patience_ns = PATIENCE_NS,
	.versions = {{3, 2}, {3, 1}, {3, 0}, {1, 0}},
	.n_versions = 4,
	.request = on_request,
	.answer = on_answer,
	.given_up = on_given_up,
	.closed = on_closed,
	.request_due_ns = request_due_ns,
};

void ic_shutdown_init(struct ic_shutdown_core *shutdown)
{
	*shutdown = (struct ic_shutdown_core){0};
	ic_core_init(&shutdown->core, &service);
}

static uint32_t power_flags(enum ic_power power, bool force)
{
	static const uint32_t flags[] = {
		[IC_POWER_OFF] = 0,
		[IC_POWER_REBOOT] = IC_SHUTDOWN_RESTART,
		[IC_POWER_HIBERNATE] = IC_SHUTDOWN_HIBERNATE,
	};

	return flags[power] | (force ? IC_SHUTDOWN_FORCE : 0);
}

int ic_shutdown_ask(struct ic_shutdown_core *shutdown, enum ic_power power, bool force,
	const char *reason, const struct ic_ask *ask)
{
	uint16_t text[IC_SHUTDOWN_TEXT_UNITS] = {0};

	if (shutdown->core.phase != IC_READY)
		return -ENOTCONN;
	if (shutdown->wanted)
		return -EBUSY;
	ic_text_to_utf16(reason, text, ARRAY_LEN(text));
	shutdown->body = (struct ic_shutdown_body){
		.reason = IC_SHUTDOWN_REASON_PLANNED,
		.flags = power_flags(power, force),
	};
	memcpy(shutdown->body.text, text, sizeof(text));
	shutdown->ask = *ask;
	shutdown->wanted = true;
	return 0;
}

void ic_shutdown_cancel(struct ic_shutdown_core *shutdown)
{
	finish(shutdown, -ECANCELED);
}

void ic_shutdown_save(const struct ic_shutdown_core *shutdown, struct buf *out)
{
	ic_core_save(&shutdown->core, out);
}

int ic_shutdown_restore(struct ic_shutdown_core *shutdown, struct reader *in, bool open)
{
	return ic_core_restore(&shutdown->core, in, open);
}
