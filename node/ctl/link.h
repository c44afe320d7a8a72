/* SPDX-License-Identifier: MIT
 *
 * link.h - the way to a node service: its local socket, or, with VIADUCT_REMOTE (--remote), the
 * network, by the file of an enrolled key.
 *
 * A link is one thread's; a process may have several.
 */
#ifndef VIADUCT_NODE_CTL_LINK_H
#define VIADUCT_NODE_CTL_LINK_H

#include "node/ctl/ctl.h"
#include "node/ctl/remote_file.h"

struct ctl_link;

/* EXIT_OK, or an exit code with one sentence in `error`. */
int ctl_link_open(
	const struct ctl_args *args, struct ctl_link **ret_link, char *error, size_t size_bytes);
void ctl_link_close(struct ctl_link *link); /* NULL is fine */
/* It has been used: is it worth keeping, and still there? A local one is made anew, which costs
 * nothing and survives a restart of the service in between. */
bool ctl_link_is_kept(struct ctl_link *link);
/* 0; -ETIMEDOUT; -ECONNRESET: the service, or the way to it, went away; -EMSGSIZE, -EBADMSG,
 * -ENOMEM. A refusal of the service is a reply like any other. */
int ctl_link_call(struct ctl_link *link, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply);

/* ---- link_zmq.c: over the network; the only user of ZeroMQ here ---- */

struct zlink;
int zlink_open(
	const struct remote_file *file, struct zlink **ret_link, char *error, size_t size_bytes);
void zlink_close(struct zlink *link);
int zlink_call(struct zlink *link, const struct json *request, unsigned timeout_ms,
	struct json **ret_reply);
bool zlink_is_alive(struct zlink *link);
/* A new key pair. 0 or -EIO. */
int zlink_keys(char ret_public[REMOTE_KEY_BYTES], char ret_secret[REMOTE_KEY_BYTES]);

#endif
