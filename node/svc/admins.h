/* SPDX-License-Identifier: MIT
 *
 * admins.h - the keys with which people administer the cluster over the network. In the store:
 *
 *   admin/NAME   {key, role, since, enrolled_by, expires, revoked, revoked_by}
 *
 * `key` is a CURVE public key (Z85); times are seconds of the wall clock, `expires` 0: never,
 * `revoked` 0: not. A revoked record stays until its name is enrolled again, so that its holder is
 * told what happened. Expiry is by the wall clock of the node that is asked: one whose clock is
 * wrong is wrong about that, too.
 */
#ifndef VIADUCT_NODE_SVC_ADMINS_H
#define VIADUCT_NODE_SVC_ADMINS_H

#include "cluster/cluster.h"
#include "node/svc/identity.h"

struct admin {
	char name[64];
	char key[41];
	enum api_role role; /* ROLE_NONE: the record makes no sense */
	int64_t since_s, expires_s, revoked_s;
	char enrolled_by[96], revoked_by[96];
};

void admin_from_json(const char *name, const struct json *record, struct admin *ret_admin);
struct json *admin_to_json(const struct admin *admin);
/* Whose key that is; -ENOENT. */
int admin_of_key(const struct cluster *cluster, const char *key, struct admin *ret_admin);
enum admin_state { ADMIN_VALID, ADMIN_EXPIRED, ADMIN_REVOKED };
enum admin_state admin_state(const struct admin *admin, int64_t now_s);
/* One sentence why the key is refused; false: it is not. */
bool admin_refusal(const struct admin *admin, int64_t now_s, char *text, size_t size_bytes);

#endif
