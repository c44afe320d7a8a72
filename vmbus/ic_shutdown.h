/* SPDX-License-Identifier: MIT
 *
 * ic_shutdown.h - asking the guest's system to end, restart or hibernate. Internal to vmbus/.
 */
#ifndef VIADUCT_VMBUS_IC_SHUTDOWN_H
#define VIADUCT_VMBUS_IC_SHUTDOWN_H

#include "vmbus/ic_core.h"

struct ic_shutdown_core {
	struct ic_core core;
	bool wanted; /* from the call to the answer */
	struct ic_shutdown_body body;
	struct ic_ask ask;      /* who waits */
	struct ic_ask finished; /* who is to be told */
};

void ic_shutdown_init(struct ic_shutdown_core *shutdown);
/* -ENOTCONN, -EBUSY; then `ask` is not called. */
int ic_shutdown_ask(struct ic_shutdown_core *shutdown, enum ic_power power, bool force,
	const char *reason, const struct ic_ask *ask);
/* Tell whoever waits that nothing comes of it. */
void ic_shutdown_cancel(struct ic_shutdown_core *shutdown);

void ic_shutdown_save(const struct ic_shutdown_core *shutdown, struct buf *out);
int ic_shutdown_restore(struct ic_shutdown_core *shutdown, struct reader *in, bool open);

#endif
