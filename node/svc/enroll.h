/* SPDX-License-Identifier: MIT
 *
 * enroll.h - how a machine becomes a node (docs/security.md).
 *
 * `node invite` on a member makes a pair of CURVE keys that may ask that member one thing for 15
 * minutes: to be taken in under the name and the addresses of the invitation. The token has both
 * keys of the pair, the member's address and its public key; it is a secret. `node join` on the new
 * machine asks with them, gets corosync.conf and corosync's key over that connection, and writes
 * them. Nothing else listens, and who has no such key is refused before a byte is read.
 *
 * An invitation lives in the memory of the member that made it, and ends with its time, with that
 * member's viaductd, or when the node is up. Until then the same machine may ask again: an answer
 * can be lost.
 */
#ifndef VIADUCT_NODE_SVC_ENROLL_H
#define VIADUCT_NODE_SVC_ENROLL_H

#include "cluster/corosync_conf.h"
#include "node/svc/svc.h"

#define ENROLL_VALID_NS  (900 * NS_PER_SEC)
#define ENROLL_MAX       16
#define ENROLL_TOKEN_MAX 1024
#define ENROLL_GUEST     '+' /* before the name of who asks with an invitation */
#define ENROLL_EVICTED   '-' /* before the name of a node that was evicted */

/* What a token says. */
struct enroll_token {
	char address[64], server_key[PEER_KEY_TEXT_BYTES];
	char public_key[PEER_KEY_TEXT_BYTES], secret_key[PEER_KEY_TEXT_BYTES];
	char name[SVC_NAME_MAX_LEN + 1];
};

/* Pure; to free(). */
char *enroll_token_print(const struct enroll_token *token);
/* 0, -EBADMSG. */
int enroll_token_parse(const char *text, struct enroll_token *ret_token);

/* A request of somebody with the key of an invitation, or of an evicted node. */
void enroll_on_guest(struct svc *svc, struct peer_request *request, const char *from,
	const struct json *message);
/* Evicted nodes may ask whether they were: their keys, from the store. */
void enroll_admit_evicted(struct svc *svc);
/* Without quorum: ask those we know whether they know us still. */
void enroll_ask_peers(struct svc *svc);

#endif
