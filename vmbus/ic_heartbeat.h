/* SPDX-License-Identifier: MIT
 *
 * ic_heartbeat.h - the heartbeat: a question every two seconds. One that is not answered stays the
 * only one, so a guest that hangs finds one of them, not hundreds, when it goes on. Internal to
 * vmbus/.
 */
#ifndef VIADUCT_VMBUS_IC_HEARTBEAT_H
#define VIADUCT_VMBUS_IC_HEARTBEAT_H

#include "vmbus/ic_core.h"

struct ic_heartbeat_core {
	struct ic_core core;
	enum ic_heartbeat state;
	uint64_t sequence; /* of the last question */
	uint64_t due_ns, heard_ns;
};

void ic_heartbeat_init(struct ic_heartbeat_core *heartbeat);
/* Of a restored one: the silence of the way here does not count. */
void ic_heartbeat_resume(struct ic_heartbeat_core *heartbeat, uint64_t now_ns);

void ic_heartbeat_save(const struct ic_heartbeat_core *heartbeat, struct buf *out);
int ic_heartbeat_restore(struct ic_heartbeat_core *heartbeat, struct reader *in, bool open);

#endif
