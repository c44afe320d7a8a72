/* SPDX-License-Identifier: MIT */
#include "fabric/policy.h"

#include <string.h>

static const char *const role_names[] = {
	[MIRROR_NONE] = "none",
	[MIRROR_SOURCE] = "source",
	[MIRROR_DESTINATION] = "destination",
};

const char *mirror_role_name(enum mirror_role role)
{
	return role_names[role];
}

int mirror_role_parse(const char *name, enum mirror_role *ret_role)
{
	for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
		if (strcmp(name, role_names[i]) == 0) {
			*ret_role = (enum mirror_role)i;
			return 0;
		}
	}
	return -EINVAL;
}

void policy_fini(struct policy *policy)
{
	acl_free(policy->acl);
	*policy = (struct policy){0};
}

enum drop policy_check_sent(struct policy *policy, const struct headers *headers,
	const struct frame *frame, uint64_t now_ns)
{
	enum drop drop = DROP_NONE;

	if (policy->guard.flags)
		drop = guard_check(&policy->guard, headers, frame->data, frame->size_bytes);
	if (!drop && policy->acl)
		drop = acl_check(policy->acl, headers, frame_bytes(frame), true, now_ns);
	return drop;
}

enum drop policy_check_received(
	struct policy *policy, const struct headers *headers, size_t size_bytes, uint64_t now_ns)
{
	return policy->acl ? acl_check(policy->acl, headers, size_bytes, false, now_ns) : DROP_NONE;
}
