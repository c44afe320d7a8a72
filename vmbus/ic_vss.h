/* SPDX-License-Identifier: MIT
 *
 * ic_vss.h - volume snapshots: the guest's file systems frozen and thawed. Internal to vmbus/.
 *
 * IDLE -> DM_INFO -> HOT_BACKUP -> FREEZE -> FROZEN -> THAW -> IDLE, each but the first and FROZEN
 * one request. A freeze that was sent is always followed by a thaw, whatever became of it: the
 * guest may get to it late.
 */
#ifndef VIADUCT_VMBUS_IC_VSS_H
#define VIADUCT_VMBUS_IC_VSS_H

#include "vmbus/ic_core.h"

enum ic_vss_step {
	IC_VSS_IDLE,
	IC_VSS_DM_INFO,
	IC_VSS_HOT_BACKUP,
	IC_VSS_FREEZE,
	IC_VSS_FROZEN,
	IC_VSS_THAW,
};

struct ic_vss_core {
	struct ic_core core;
	enum ic_vss_step step;
	uint64_t limit_ns;    /* how long it may stay frozen */
	uint64_t thaw_due_ns; /* while FROZEN */
	struct ic_ask freeze, thaw;
	struct ic_ask freeze_finished, thaw_finished; /* who is to be told */
};

void ic_vss_init(struct ic_vss_core *vss);
/* -ENOTCONN, -EBUSY; then `ask` is not called. */
int ic_vss_ask_freeze(struct ic_vss_core *vss, uint64_t limit_ns, const struct ic_ask *ask);
/* -ENOTCONN; -EBUSY: it is still freezing; -EALREADY: it is not frozen (any more). */
int ic_vss_ask_thaw(struct ic_vss_core *vss, const struct ic_ask *ask);
/* Tell whoever waits that nothing comes of it; what may be frozen is to be thawed. */
void ic_vss_cancel(struct ic_vss_core *vss);

/* After ic_vss_cancel(). */
void ic_vss_save(const struct ic_vss_core *vss, struct buf *out);
int ic_vss_restore(struct ic_vss_core *vss, struct reader *in, bool open);

#endif
