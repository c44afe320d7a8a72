/* SPDX-License-Identifier: MIT
 *
 * lease.h - leases: how long a node may count on the others to keep their hands off what it runs,
 * and when they may take it over. A state machine over messages in CPG's order, without
 * descriptor, clock and thread, like rs.h.
 *
 * WHAT HAS TO HOLD
 *
 * If is_gone(N) is said at any node, whatever N ran under a lease of before has ended - also when N
 * is alive, cut off, slow or stopped.
 *
 * HOW
 *
 * Each member multicasts ticks, numbered, and says in them which ticks of the others it has got. A
 * tick that members with a quorum of votes have got is confirmed. A lease lasts for its duration
 * from the moment its tick was *sent*: whoever holds it measures by a clock of its own from before
 * anybody else could know. A VM's process ends itself by a timer of the kernel when it is not
 * renewed in time (node/vm), so nothing of this needs a node that is well.
 *
 * Members acknowledge the ticks of those only who are in the group with them. So when a membership
 * change parts node T and a quorum from N, at T's time m, then no tick of N that was sent after m
 * is ever confirmed; what N holds ends before m + duration, and a little for clocks that do not run
 * alike. T takes m anew whenever somebody joins its side, because the newcomer may have been with N
 * until then.
 *
 * That T still knows everything that was decided, it makes sure of with a tick of its own: N is
 * gone when a tick that T has *sent* after m + duration is confirmed. (A slow T that has not heard
 * that N is back would have its tick confirmed only after it has heard of it.)
 *
 * A process that hangs stays in the group. If a member's ticks stay away for its duration, somebody
 * multicasts a REVOKE: from there in the order nobody acknowledges its ticks, until one of them
 * answers that REVOKE; for everybody that is as good as a membership change. Whoever is revoked
 * counts none of the ticks that it had sent before. A newcomer, who has not seen the REVOKE, may
 * acknowledge such ticks: that comes after the REVOKE in the order, and so the sender has voided
 * them by then.
 *
 * Only votes of members count: a quorum device, which acknowledges nothing, makes no lease. With a
 * device a node keeps its lease while the other members have a quorum together with the device's
 * votes, as far as corosync tells it.
 *
 * Threads: one owner. Callbacks may call the getters.
 */
#ifndef VIADUCT_CLUSTER_LEASE_H
#define VIADUCT_CLUSTER_LEASE_H

#include "cluster/lease_proto.h"

#define LEASE_DURATION_NS     3000000000ULL
#define LEASE_DURATION_MIN_NS 500000000ULL
#define LEASE_DURATION_MAX_NS 60000000000ULL

struct lease;

struct lease_ops {
	/* As rs_ops says it. */
	void (*multicast)(const void *bytes, size_t size_bytes, void *data);
	/* The lease of this node lasts until then. */
	void (*renewed)(uint64_t until_ns, void *data);
	/* Somebody has parted or is gone, or is not any more. */
	void (*changed)(void *data);
};

/* What votequorum says at this node. */
struct lease_votes {
	bool quorate;
	uint32_t votes, quorum_votes, device_votes;
};

/* `duration_ns` of this node; `life` is random at each start of the process, not 0. */
int lease_new(uint64_t duration_ns, uint32_t life, const struct lease_ops *ops, void *data,
	struct lease **ret_lease);
void lease_free(struct lease *lease);

/* Inputs; `now_ns` is a clock that goes on while the machine sleeps, and never goes back. */
void lease_connect(struct lease *lease, uint32_t local_id);
void lease_disconnect(struct lease *lease);
void lease_confchg(struct lease *lease, const uint32_t *members, size_t n_members, uint64_t now_ns);
void lease_deliver(struct lease *lease, uint32_t sender, const void *bytes, size_t size_bytes,
	uint64_t now_ns);
void lease_set_votes(struct lease *lease, const struct lease_votes *votes, uint64_t now_ns);
/* How long that node's lease lasts, by its own word. Not longer than it was before it knows that
 * all others know; the longest that anybody may still hold counts. */
void lease_set_duration(struct lease *lease, uint32_t node, uint64_t duration_ns);
/* When lease_deadline() has come; 0: nothing to wait for. */
void lease_tick(struct lease *lease, uint64_t now_ns);
uint64_t lease_deadline(const struct lease *lease);

/* 0: there is none yet. It may have run out. */
uint64_t lease_until_ns(const struct lease *lease);
/* Never of this node itself. */
bool lease_is_gone(const struct lease *lease, uint32_t node);
/* Since when its ticks are not acknowledged; 0: they are. */
uint64_t lease_parted_ns(const struct lease *lease, uint32_t node);

#endif
