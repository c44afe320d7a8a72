/* SPDX-License-Identifier: MIT
 *
 * corosync_conf.h - corosync.conf as text: made for a new cluster, and changed when a node comes or
 * goes. What people wrote into it besides - logging, comments, timeouts - stays as it is.
 *
 * Texts come from files and from other nodes: they are bounded and checked (sections that end, a
 * nodelist that makes sense) before anything is done with them. Pure. Threads: any.
 */
#ifndef VIADUCT_CLUSTER_COROSYNC_CONF_H
#define VIADUCT_CLUSTER_COROSYNC_CONF_H

#include "base/err.h"

#define COROSYNC_CONF_MAX_BYTES 49152 /* fits a value of the store */
#define COROSYNC_CONF_MAX_NODES 64
#define COROSYNC_CONF_MAX_LINKS 8
#define COROSYNC_KEY_MIN_BYTES  128 /* of an authkey, as corosync has it */
#define COROSYNC_KEY_MAX_BYTES  4096
#define COROSYNC_KEY_NEW_BYTES  256

struct corosync_node {
	uint32_t id;
	char name[64];
	char address[COROSYNC_CONF_MAX_LINKS][64]; /* by link; "": none */
};

/* A new cluster's. */
struct corosync_spec {
	char name[64];
	bool fast; /* failures are seen in 0.65 s, not in 2 s */
	struct corosync_node nodes[COROSYNC_CONF_MAX_NODES];
	size_t n_nodes;
	size_t n_links; /* from 0 */
};

/* Text to free(), NULL on a failed allocation. */
char *corosync_conf_make(const struct corosync_spec *spec, uint64_t version);

struct corosync_conf; /* one that is there */

/* 0; -EBADMSG with what is wrong in `error`; -ENOMEM. */
int corosync_conf_parse(const char *text, size_t len, struct corosync_conf **ret_conf, char *error,
	size_t error_size_bytes);
void corosync_conf_free(struct corosync_conf *conf);
char *corosync_conf_print(const struct corosync_conf *conf); /* to free(); NULL: no memory */

const char *corosync_conf_name(const struct corosync_conf *conf); /* of the cluster; "" */
uint64_t corosync_conf_version(const struct corosync_conf *conf); /* config_version; 0: none */
size_t corosync_conf_n_nodes(const struct corosync_conf *conf);
const struct corosync_node *corosync_conf_node(const struct corosync_conf *conf, size_t at);
const struct corosync_node *corosync_conf_find(const struct corosync_conf *conf, const char *name);
size_t corosync_conf_n_links(const struct corosync_conf *conf); /* that all nodes have */
/* Is it the example that Debian's package installs: one node, on a loopback address? Nobody can
 * ever join that one. */
bool corosync_conf_is_example(const struct corosync_conf *conf);
bool corosync_is_alone(const char *address); /* that of a cluster's only node */

/* Add or remove a node: the version grows by one, expected votes follow if they are named. 0;
 * -EEXIST: its name, id or an address is there; -ENOENT; -ENOSPC; -EINVAL; -ENOMEM. */
int corosync_conf_add(struct corosync_conf *conf, const struct corosync_node *node);
int corosync_conf_remove(struct corosync_conf *conf, const char *name);

#endif
