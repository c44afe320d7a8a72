/* SPDX-License-Identifier: MIT
 *
 * cfg_link.h - which of corosync's links reach which nodes, asked of its cfg service (cfg_link.c is
 * its only user). There is no event for it; asking takes some 50 us a node - or as long as
 * corosync's services need to agree after a change of members, for so long it answers nothing. So
 * the worker asks. And it should not be asked then: a question that waits keeps corosync's main
 * thread busy, which has real-time priority (libqb looks at it again and again).
 *
 * `lost` is called once, as the last thing; free the link then. It may be freed within both
 * callbacks. Threads: the loop's thread, which is also where callbacks come.
 */
#ifndef VIADUCT_CLUSTER_CFG_LINK_H
#define VIADUCT_CLUSTER_CFG_LINK_H

#include "base/worker.h"
#include "cluster/net_records.h"

struct cfg_link;

struct cfg_link_ops {
	/* This node's row, for the peers of the question. Those that corosync knows nothing about
	 * are left out. */
	void (*answered)(const struct net_row *row, void *data);
	void (*lost)(int error, void *data);
};

/* Blocks: the worker's thread. */
int cfg_link_open(struct worker *worker, struct cfg_link **ret_link);
void cfg_link_close(struct cfg_link *link); /* one that was not started; also blocks */
/* From here on the loop's. */
void cfg_link_start(struct cfg_link *link, const struct cfg_link_ops *ops, void *data);
/* Started or not. Does not wait: a question that is under way ends by itself, unheard. */
void cfg_link_free(struct cfg_link *link);

/* About configured nodes only: corosync may not be asked about others. Nothing is asked while
 * there is no answer to the last one. */
void cfg_link_ask(struct cfg_link *link, const uint32_t *peers, size_t n_peers);

/* Have all members read corosync.conf again; and stop this node's corosync. Both block, some 10 ms:
 * a worker's thread. 0, or -errno of corosync. */
int cfg_reload(void);
int cfg_shutdown(void);

#endif
