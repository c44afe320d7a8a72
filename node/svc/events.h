/* SPDX-License-Identifier: MIT
 *
 * events.h - what happened on this node that an administrator wants to read later: VMs that were
 * started elsewhere, networks that were lost, a move that took another network than it should.
 *
 * An event has an id that never changes its meaning ("vm.failed-over"), an object ("vm/VM1",
 * "network/Cluster", "node/host2") and a sentence. It goes to the log as well.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_EVENTS_H
#define VIADUCT_NODE_SVC_EVENTS_H

#include "base/err.h"

struct svc;

enum event_level {
	EVENT_INFO,
	EVENT_WARNING,
	EVENT_ERROR,
};

void events_add(struct svc *svc, enum event_level level, const char *id, const char *object,
	const char *format, ...) _printf_(5, 6);

#endif
