/* SPDX-License-Identifier: MIT
 *
 * identity.h - who asks for something, and what he may ask for.
 *
 * Roles are steps: who may operate may also read, who may administer may everything. On a node's
 * own socket root administers, and the members of three groups have their role, if there are such
 * groups; over the network a key has the role that it was enrolled with (remote.h).
 */
#ifndef VIADUCT_NODE_SVC_IDENTITY_H
#define VIADUCT_NODE_SVC_IDENTITY_H

#include "base/json.h"

#include <sys/types.h>

enum api_role {
	ROLE_NONE,
	ROLE_READ,       /* lists and shows */
	ROLE_OPERATE,    /* start, stop, move, pause what there is */
	ROLE_ADMINISTER, /* make, delete, change */
};
const char *api_role_name(enum api_role role);
int api_role_from_name(const char *name, enum api_role *ret_role); /* -EINVAL */
/* Who has at least that role, for a sentence. */
const char *api_role_holders(enum api_role role);

struct identity {
	enum api_role role;
	char who[96];   /* "root", "alice", "key anna" */
	char from[128]; /* "host1", "10.1.2.3 by host1" */
};

/* From the groups that the user of a node is in. */
enum api_role identity_role_of_user(uid_t uid, gid_t gid);
/* The user's name, or its number. */
void identity_user_name(uid_t uid, char *text, size_t size_bytes);

/* Between nodes. What makes no sense is a node that does not know of identities: it lets none but
 * root ask. */
struct json *identity_to_json(const struct identity *identity);
void identity_from_json(
	const struct json *json, const char *from_node, struct identity *ret_identity);

#endif
