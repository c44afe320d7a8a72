/* SPDX-License-Identifier: MIT
 *
 * ic_timesync.h - time synchronisation: the guest's clock is set when its driver comes and after
 * each time the VM stood still, twice, because a driver that loads late misses the first; from then
 * on samples every few seconds keep the guest's own time service fed. Internal to vmbus/.
 *
 * A question that is not answered stays the only one: its time would be stale when the guest gets
 * to it, and the next one follows it with the right one.
 */
#ifndef VIADUCT_VMBUS_IC_TIMESYNC_H
#define VIADUCT_VMBUS_IC_TIMESYNC_H

#include "vmbus/ic_core.h"

struct ic_timesync_core {
	struct ic_core core;
	unsigned n_syncs; /* still to be sent */
	uint64_t due_ns;
};

/* Without the partition's reference time version 4.0 is not offered. */
void ic_timesync_init(struct ic_timesync_core *timesync, bool has_reference);
/* The guest's clock is wrong. */
void ic_timesync_resync(struct ic_timesync_core *timesync, uint64_t now_ns);

void ic_timesync_save(const struct ic_timesync_core *timesync, struct buf *out);
int ic_timesync_restore(struct ic_timesync_core *timesync, struct reader *in, bool open);

#endif
