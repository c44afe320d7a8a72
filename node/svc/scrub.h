/* SPDX-License-Identifier: MIT
 *
 * scrub.h - what planning a scrub and doing its steps share.
 */
#ifndef VIADUCT_NODE_SVC_SCRUB_H
#define VIADUCT_NODE_SVC_SCRUB_H

#include "node/svc/svc.h"

/* The name of a VM on this node that is attached to its switch `name`, lent; NULL: none is. */
const char *scrub_user_of(struct svc *svc, const char *name);
/* A switch's record, from a file or a request: what a switch needs is there and makes sense.
 * Members that are not known here are kept. */
bool scrub_record_is_valid(const struct json *record);

#endif
