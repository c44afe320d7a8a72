/* SPDX-License-Identifier: MIT
 *
 * quorum_link.h - what votequorum says (quorum_link.c is its only user): quorum, votes, and which
 * nodes are in the membership.
 *
 * `lost` is called once, as the last thing; free the link then. It may be freed within both
 * callbacks. Threads: the loop's thread.
 */
#ifndef VIADUCT_CLUSTER_QUORUM_LINK_H
#define VIADUCT_CLUSTER_QUORUM_LINK_H

#include "base/worker.h"

#define QUORUM_MAX_NODES 128

struct quorum_link;

struct quorum_info {
	bool quorate;
	uint32_t expected_votes;
	uint32_t total_votes;
	uint32_t quorum_votes; /* needed */
	uint32_t local_votes;
	uint32_t device_votes; /* cast by the quorum device, 0 without one */
	uint32_t nodes_needed; /* a majority of the nodes' votes, if there is a device; else 0 */
	uint32_t members[QUORUM_MAX_NODES];
	size_t n_members;
	/* After a change of members, until corosync's services agree. Except for votequorum they
	 * answer nothing meanwhile. */
	bool is_settling;
};

struct quorum_link_ops {
	void (*changed)(void *data);
	void (*lost)(int error, void *data);
};

/* Blocks: the worker's thread. On success the link knows the state of now. */
int quorum_link_open(struct worker *worker, struct quorum_link **ret_link);
void quorum_link_close(struct quorum_link *link); /* one that was not started; also blocks */
/* From here on the loop's: `changed` tells of later states. */
int quorum_link_start(
	struct quorum_link *link, struct loop *loop, const struct quorum_link_ops *ops, void *data);
/* Started or not; the worker does what blocks. */
void quorum_link_free(struct quorum_link *link);

const struct quorum_info *quorum_link_info(const struct quorum_link *link);

#endif
