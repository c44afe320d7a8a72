/* SPDX-License-Identifier: MIT
 *
 * fake_cluster.h - the store's part of cluster.h over one map in memory, for what is built on it. A
 * write takes effect when fake_run() comes to it, so that a test can have something else happen
 * before.
 */
#ifndef VIADUCT_TESTS_CLUSTER_FAKE_CLUSTER_H
#define VIADUCT_TESTS_CLUSTER_FAKE_CLUSTER_H

#include "cluster/cluster.h"

struct cluster *fake_new(void);
void fake_free(struct cluster *cluster);

/* Do the oldest write; false when there is none. */
bool fake_run_one(struct cluster *cluster);
void fake_run(struct cluster *cluster);
/* Writes from now on end with that error, without effect; 0 for no error. */
void fake_fail(struct cluster *cluster, int error);
/* At once, by somebody else. */
void fake_put(struct cluster *cluster, const char *key, const char *value);
/* Of node1, node2 and node3 (192.168.7.47, .48, .49) another one than node1. */
void fake_be(struct cluster *cluster, const char *node);
size_t fake_n_keys(const struct cluster *cluster);

#endif
