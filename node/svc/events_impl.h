/* SPDX-License-Identifier: MIT
 *
 * events_impl.h - a node's events, as events.c and api_events.c see them.
 */
#ifndef VIADUCT_NODE_SVC_EVENTS_IMPL_H
#define VIADUCT_NODE_SVC_EVENTS_IMPL_H

#include "node/svc/events_db.h"
#include "node/svc/svc.h"

struct events {
	struct events_db *db;
	struct list watches;
};

#endif
