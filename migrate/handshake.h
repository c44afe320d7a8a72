/* SPDX-License-Identifier: MIT
 *
 * handshake.h - the first bytes on every connection of a job: who is who, and the proof that the
 * other end knows the job's key. See mig_proto.h for the messages.
 */
#ifndef VIADUCT_MIGRATE_HANDSHAKE_H
#define VIADUCT_MIGRATE_HANDSHAKE_H

#include "migrate/link.h"
#include "migrate/mig_proto.h"

#define HANDSHAKE_MAX_LINKS 9

/* Shake hands on all `n_links` connections. The source's are numbered by their place in `links`;
 * the target's may come in any order and are put into the source's. -EACCES: wrong key;
 * -EPROTONOSUPPORT: other version; -EBADMSG; or what the links returned. *ret_why is static text on
 * errors. */
int handshake(enum mig_role role, const uint8_t *key, size_t key_bytes, struct link *links,
	unsigned n_links, const char **ret_why);

#endif
