/* SPDX-License-Identifier: MIT */
#include "vmbus/ic_vss.h"

#include "base/clock.h"
#include "vmbus/proto/vss.h"

/* A guest with much to write back takes its time to freeze. */
#define PATIENCE_NS      (60 * NS_PER_SEC)
#define DEFAULT_LIMIT_NS (10 * NS_PER_SEC)

/* What is asked in a step, and where it leads. */
static const struct step {
	bool asks;
	uint8_t operation;
	enum ic_vss_step good, bad;
} steps[] = {
	[IC_VSS_DM_INFO] = {true, VSS_GET_DM_INFO, IC_VSS_HOT_BACKUP, IC_VSS_IDLE},
	[IC_VSS_HOT_BACKUP] = {true, VSS_HOT_BACKUP, IC_VSS_FREEZE, IC_VSS_IDLE},
	[IC_VSS_FREEZE] = {true, VSS_FREEZE, IC_VSS_FROZEN, IC_VSS_THAW},
	[IC_VSS_THAW] = {true, VSS_THAW, IC_VSS_IDLE, IC_VSS_IDLE},
};

static struct ic_vss_core *vss_of(struct ic_core *core)
{
	return container_of(core, struct ic_vss_core, core);
}

static void finish_freeze(struct ic_vss_core *vss, int error)
{
	if (vss->freeze.done)
		vss->freeze_finished = ic_ask_take(&vss->freeze, error);
}

static void finish_thaw(struct ic_vss_core *vss, int error)
{
	if (vss->thaw.done)
		vss->thaw_finished = ic_ask_take(&vss->thaw, error);
}

static void move_on(struct ic_vss_core *vss, const struct ic_time *time, int error)
{
	const struct step *step = &steps[vss->step];

	if (vss->step == IC_VSS_THAW)
		finish_thaw(vss, error);
	else if (error || step->good == IC_VSS_FROZEN)
		finish_freeze(vss, error);
	vss->step = error ? step->bad : step->good;
	if (vss->step == IC_VSS_FROZEN)
		vss->thaw_due_ns = time->now_ns + vss->limit_ns;
}

static size_t on_request(struct ic_core *core, const struct ic_time *time, uint8_t *ret_body)
{
	struct ic_vss_core *vss = vss_of(core);
	struct vss_body body = {0};

	if (vss->step == IC_VSS_FROZEN && time->now_ns >= vss->thaw_due_ns)
		vss->step = IC_VSS_THAW;
	if (vss->step == IC_VSS_IDLE || !steps[vss->step].asks)
		return 0;
	body.operation = steps[vss->step].operation;
	memcpy(ret_body, &body, sizeof(body));
	return sizeof(body);
}

static int on_answer(struct ic_core *core, const struct ic_time *time, uint32_t status,
	_unused_ const uint8_t *body, _unused_ size_t size_bytes)
{
	move_on(vss_of(core), time, status == IC_STATUS_OK ? 0 : -EREMOTEIO);
	return 0;
}

static void on_given_up(struct ic_core *core, const struct ic_time *time, int error)
{
	move_on(vss_of(core), time, error);
}

static void on_closed(struct ic_core *core)
{
	struct ic_vss_core *vss = vss_of(core);

	finish_freeze(vss, -ECANCELED);
	finish_thaw(vss, -ECANCELED);
	vss->step = IC_VSS_IDLE;
}

static uint64_t request_due_ns(const struct ic_core *core)
{
	const struct ic_vss_core *vss = container_of(core, struct ic_vss_core, core);

	if (vss->step == IC_VSS_FROZEN)
		return vss->thaw_due_ns;
	return vss->step == IC_VSS_IDLE ? IC_NEVER : 0;
}

static const struct ic_service service = {
	.name = "vss",
	.class_guid = VMBUS_GUID_VSS,
	.instance_guid = VMBUS_INSTANCE_VSS,
	.message_type = IC_MESSAGE_VSS,
	.max_body_bytes = sizeof(struct vss_body),
	.patience_ns = PATIENCE_NS,
	.versions = {{5, 0}},
	.n_versions = 1,
	.request = on_request,
	.answer = on_answer,
	.given_up = on_given_up,
	.closed = on_closed,
	.request_due_ns = request_due_ns,
};

void ic_vss_init(struct ic_vss_core *vss)
{
	*vss = (struct ic_vss_core){0};
	ic_core_init(&vss->core, &service);
}

int ic_vss_ask_freeze(struct ic_vss_core *vss, uint64_t limit_ns, const struct ic_ask *ask)
{
	if (vss->core.phase != IC_READY)
		return -ENOTCONN;
	if (vss->step != IC_VSS_IDLE)
		return -EBUSY;
	vss->freeze = *ask;
	vss->limit_ns = limit_ns ? limit_ns : DEFAULT_LIMIT_NS;
	vss->step = IC_VSS_DM_INFO;
	return 0;
}

int ic_vss_ask_thaw(struct ic_vss_core *vss, const struct ic_ask *ask)
{
	if (vss->core.phase != IC_READY)
		return -ENOTCONN;
	if (vss->step == IC_VSS_IDLE || vss->step == IC_VSS_THAW)
		return -EALREADY;
	if (vss->step != IC_VSS_FROZEN)
		return -EBUSY;
	vss->thaw = *ask;
	vss->step = IC_VSS_THAW;
	return 0;
}

void ic_vss_cancel(struct ic_vss_core *vss)
{
	finish_freeze(vss, -ECANCELED);
	finish_thaw(vss, -ECANCELED);
	vss->step = vss->step >= IC_VSS_FREEZE ? IC_VSS_THAW : IC_VSS_IDLE;
}

void ic_vss_save(const struct ic_vss_core *vss, struct buf *out)
{
	ic_core_save(&vss->core, out);
	buf_u8(out, vss->step == IC_VSS_THAW);
}

int ic_vss_restore(struct ic_vss_core *vss, struct reader *in, bool open)
{
	int r = ic_core_restore(&vss->core, in, open);
	uint8_t to_thaw = reader_u8(in);

	if (r || !reader_ok(in) || to_thaw > 1 || (to_thaw && vss->core.phase != IC_READY))
		return -EBADMSG;
	vss->step = to_thaw ? IC_VSS_THAW : IC_VSS_IDLE;
	return 0;
}
