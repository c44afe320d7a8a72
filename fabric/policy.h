/* SPDX-License-Identifier: MIT
 *
 * policy.h - what a port's owner may send and be sent, beyond VLANs and addresses: guards
 * (guard.h), an access list (acl.h), and whether his traffic is mirrored. The forwarding decision
 * comes first; only frames that it lets pass are looked at here.
 *
 * Threads: one at a time, under the lock of the port.
 */
#ifndef VIADUCT_FABRIC_POLICY_H
#define VIADUCT_FABRIC_POLICY_H

#include "fabric/acl.h"
#include "fabric/frame.h"
#include "fabric/guard.h"

enum mirror_role {
	MIRROR_NONE,
	MIRROR_SOURCE,      /* what it sends and is sent goes to the destinations, too */
	MIRROR_DESTINATION, /* of the same switch */
};

struct policy {
	struct guard guard;
	struct acl *acl; /* owned; NULL: everything is allowed */
	enum mirror_role mirror;
};

void policy_fini(struct policy *policy);

const char *mirror_role_name(enum mirror_role role);
int mirror_role_parse(const char *name, enum mirror_role *ret_role); /* -EINVAL */

static inline bool policy_inspects(const struct policy *policy)
{
	return policy->guard.flags || policy->acl;
}

/* A frame that the port's owner sends. DROP_NONE or why not. */
enum drop policy_check_sent(struct policy *policy, const struct headers *headers,
	const struct frame *frame, uint64_t now_ns);
/* A frame that he is to be sent. */
enum drop policy_check_received(
	struct policy *policy, const struct headers *headers, size_t size_bytes, uint64_t now_ns);

#endif
