/* SPDX-License-Identifier: MIT
 *
 * events.h - what happened on this node that an administrator wants to read later: VMs that were
 * started elsewhere, networks that were lost, a move that took another network than it should; and
 * who asked for a change (audit).
 *
 * An event has an id that never changes its meaning ("vm.failed-over"), an object ("vm/VM1",
 * "network/Cluster", "node/host2") and a sentence. It goes to the log as well, and into a file of
 * this node (events_db.h). docs/events.md lists the ids.
 *
 * Threads: the loop's.
 */
#ifndef VIADUCT_NODE_SVC_EVENTS_H
#define VIADUCT_NODE_SVC_EVENTS_H

#include "base/err.h"

struct api_call;
struct events;
struct events_query;
struct identity;
struct json;
struct svc;

enum event_level {
	EVENT_INFO,
	EVENT_WARNING,
	EVENT_ERROR,
};

void events_add(struct svc *svc, enum event_level level, const char *id, const char *object,
	const char *format, ...) _printf_(5, 6);
/* A request that changes something, and its outcome (audit.h makes the texts). */
void events_add_audit(struct svc *svc, const struct identity *identity, const char *object,
	const char *request, const char *outcome, bool done);

/* From now on events are kept in the state folder. Without it they only go to the log. */
int events_start(struct svc *svc);
void events_stop(struct svc *svc);
/* Have `fn` called once, when there is something new; events_unwatch() forgets that. */
struct events_watch;
int events_watch(
	struct svc *svc, void (*fn)(void *data), void *data, struct events_watch **ret_watch);
void events_unwatch(struct events_watch *watch);

#endif
