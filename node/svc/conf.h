/* SPDX-License-Identifier: MIT
 *
 * conf.h - corosync.conf of all nodes, changed together when a node joins or is evicted.
 *
 * The text goes to all nodes as the record corosync/conf {version, text} of the store, so it is
 * ordered, needs quorum and reaches also those who come back later. Each node writes it into its
 * own file: checked, atomically, with a copy of what was there. When every node that is up has said
 * so, corosync is told to read it. A file that could not be written somewhere means that nothing is
 * read anywhere.
 *
 * A node that is up and not in the text has been evicted: it keeps a note of that (evicted.json in
 * the state folder), moves its corosync.conf aside and stops its corosync.
 */
#ifndef VIADUCT_NODE_SVC_CONF_H
#define VIADUCT_NODE_SVC_CONF_H

#include "cluster/corosync_conf.h"
#include "node/svc/svc.h"

#define CONF_KEY "corosync/conf"

/* This node's, to free; the one of the store if that is newer. 0, or -errno with a sentence. */
int conf_load(
	struct svc *svc, struct corosync_conf **ret_conf, char *error, size_t error_size_bytes);

/* Add a node or remove one, on all of them. 0, then `fn` exactly once, with NULL or a sentence that
 * says what was not done; or -errno at once with a sentence. */
typedef void (*conf_fn)(const char *error, void *data);
int conf_change(struct svc *svc, const struct corosync_node *add, const char *remove, conf_fn fn,
	void *data, char *error, size_t error_size_bytes);

/* The store has another text, or may have: write it if it is newer than the file. 0, or -errno with
 * a sentence. */
int conf_follow(struct svc *svc, char *error, size_t error_size_bytes);
/* From time to time: catch up with what was changed while this node was away. */
void conf_housekeeping(struct svc *svc);
/* conf.take of a peer that changes it. */
void conf_on_peer(struct svc *svc, struct peer_request *request, const struct json *message);

/* Without quorum a node asks the others whether corosync.conf is another one meanwhile, over CURVE:
 * what it asks with, what they answer, what it makes of that. */
struct json *conf_hello(struct svc *svc);
struct json *conf_hello_reply(struct svc *svc, const struct json *message);
void conf_on_hello_reply(struct svc *svc, const struct json *reply);

/* This node has been evicted: keep a note, and leave in a moment. */
void conf_evicted(struct svc *svc, const char *by);
/* At the start: was it? */
void conf_load_evicted(struct svc *svc);
/* It is a node again. */
void conf_forget_evicted(struct svc *svc);

/* Write both files of a node that joins. 0, or -errno with a sentence. */
int conf_install(struct svc *svc, const char *text, const void *key, size_t key_bytes, char *error,
	size_t error_size_bytes);
/* The key, for a node that joins: into `out`, at most COROSYNC_KEY_MAX_BYTES. */
int conf_read_key(struct svc *svc, struct buf *out, char *error, size_t error_size_bytes);

#endif
