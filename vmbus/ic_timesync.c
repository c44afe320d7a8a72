/* SPDX-License-Identifier: MIT */
#include "vmbus/ic_timesync.h"

#include "base/clock.h"

#define PERIOD_NS (5 * NS_PER_SEC)
#define N_SYNCS   2

static struct ic_timesync_core *timesync_of(struct ic_core *core)
{
	return container_of(core, struct ic_timesync_core, core);
}

void ic_timesync_resync(struct ic_timesync_core *timesync, uint64_t now_ns)
{
	timesync->n_syncs = N_SYNCS;
	timesync->due_ns = now_ns;
}

static void on_ready(struct ic_core *core, const struct ic_time *time)
{
	ic_timesync_resync(timesync_of(core), time->now_ns);
}

static size_t write_body(
	const struct ic_core *core, const struct ic_time *time, uint8_t flags, uint8_t *ret_body)
{
	const struct ic_timesync_reference_body with_reference = {
		.wall_clock = time->wall_clock,
		.reference = time->reference,
		.flags = flags,
	};
	const struct ic_timesync_body plain = {.wall_clock = time->wall_clock, .flags = flags};

	if (core->message_version.major >= 4) {
		memcpy(ret_body, &with_reference, sizeof(with_reference));
		return sizeof(with_reference);
	}
	memcpy(ret_body, &plain, sizeof(plain));
	return sizeof(plain);
}

static size_t on_request(struct ic_core *core, const struct ic_time *time, uint8_t *ret_body)
{
	struct ic_timesync_core *timesync = timesync_of(core);
	uint8_t flags = IC_TIMESYNC_SAMPLE;

	if (time->now_ns < timesync->due_ns)
		return 0;
	if (timesync->n_syncs) {
		timesync->n_syncs--;
		flags = IC_TIMESYNC_SYNC;
	}
	timesync->due_ns = time->now_ns + PERIOD_NS;
	return write_body(core, time, flags, ret_body);
}

static int on_answer(_unused_ struct ic_core *core, _unused_ const struct ic_time *time,
	_unused_ uint32_t status, _unused_ const uint8_t *body, _unused_ size_t size_bytes)
{
	return 0;
}

static uint64_t request_due_ns(const struct ic_core *core)
{
	return container_of(core, struct ic_timesync_core, core)->due_ns;
}

static const struct ic_service service = {
	.name = "timesync",
	.class_guid = VMBUS_GUID_TIMESYNC,
	.instance_guid = VMBUS_INSTANCE_TIMESYNC,
	.message_type = IC_MESSAGE_TIMESYNC,
	.max_body_bytes = sizeof(struct ic_timesync_body),
	.patience_ns = IC_NEVER,
	.versions = {{4, 0}, {3, 0}, {1, 0}},
	.n_versions = 3,
	.ready = on_ready,
	.request = on_request,
	.answer = on_answer,
	.request_due_ns = request_due_ns,
};

void ic_timesync_init(struct ic_timesync_core *timesync, bool has_reference)
{
	*timesync = (struct ic_timesync_core){0};
	ic_core_init(&timesync->core, &service);
	timesync->core.first_version = has_reference ? 0 : 1;
}

void ic_timesync_save(const struct ic_timesync_core *timesync, struct buf *out)
{
	ic_core_save(&timesync->core, out);
}

int ic_timesync_restore(struct ic_timesync_core *timesync, struct reader *in, bool open)
{
	return ic_core_restore(&timesync->core, in, open);
}
