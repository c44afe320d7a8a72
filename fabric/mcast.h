/* SPDX-License-Identifier: MIT
 *
 * mcast.h - multicast snooping: which ports of a switch want which IP multicast groups, learned
 * from their IGMP (v1-v3: RFC 1112, 2236, 3376) and MLD (v1, v2: RFC 2710, 3810) reports, by the
 * rules of RFC 4541. What a frame says is read by fabric/mcast_parse.h.
 *
 * Groups are kept as destination MAC addresses, for that is all a switch forwards by. Never pruned
 * are the addresses of 224.0.0.0/24 and ff02::1, for which hosts need not report. A group that
 * nobody is known to want is flooded. So is everything of a VLAN and IP version whose general
 * queries were not heard in MCAST_QUERIER_NS, or that was asked for the first time so short ago
 * that not all have answered. Ports behind which a querier or router was heard get all groups;
 * even a querier without an address, for it is a switch that wants to know (unlike RFC 4541,
 * 2.1.1).
 *
 * Reports go to ports with queriers only: of hosts that hear each other's reports, only one
 * answers, and the ports of the others would be forgotten.
 *
 * Bounded: MCAST_MAX_GROUPS memberships a switch, at most MCAST_PORT_GROUPS of them a port's; in a
 * full table who has most makes room. A port whose memberships did not all fit is sent all groups,
 * until MCAST_MEMBER_NS after the last time: nothing is lost. Being a router is a membership too.
 *
 * Time is a parameter. Threads: what takes a const table may be called by several at once.
 */
#ifndef VIADUCT_FABRIC_MCAST_H
#define VIADUCT_FABRIC_MCAST_H

#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "fabric/fdb.h"
#include "fabric/mcast_parse.h"

#define MCAST_MAX_GROUPS  1024
#define MCAST_PORT_GROUPS 128
#define MCAST_MEMBER_NS   (260 * NS_PER_SEC) /* RFC 3376, 8.4 */
#define MCAST_QUERIER_NS  (255 * NS_PER_SEC) /* RFC 3376, 8.5 */
#define MCAST_LAST_NS     (2 * NS_PER_SEC)   /* after a leave, if nobody reports again */
#define MCAST_SETTLE_NS   (10 * NS_PER_SEC)  /* after a first query, or as long as it gives */

struct mcast;

int mcast_new(uint64_t seed, struct mcast **ret_mcast);
void mcast_free(struct mcast *mcast); /* NULL is fine */

/* A frame came in by `port` in `vid` that says this: learn from it. True: it is a report, and to go
 * to mcast_report_ports() only; all others are forwarded by their address. */
bool mcast_snoop(struct mcast *mcast, unsigned vid, unsigned port,
	const struct mcast_message *message, uint64_t now_ns);

/* The ports that a multicast frame to `mac` in `vid` is to go to, of FDB_MAX_PORTS; among them may
 * be the one it came from, and ports that do not carry `vid`. False: to all of them; `ret_ports`
 * is then not written. */
bool mcast_ports(const struct mcast *mcast, unsigned vid, const uint8_t mac[ETH_ADDR_LEN],
	uint64_t now_ns, uint64_t ret_ports[BITMAP_WORDS(FDB_MAX_PORTS)]);
/* The same for a report. */
bool mcast_report_ports(const struct mcast *mcast, unsigned vid, bool ipv6, uint64_t now_ns,
	uint64_t ret_ports[BITMAP_WORDS(FDB_MAX_PORTS)]);

void mcast_forget_port(struct mcast *mcast, unsigned port);

/* For listings: the groups of ports, routers left out; `fn` returns false to end it. */
struct mcast_entry {
	uint16_t vid, port;
	uint8_t mac[ETH_ADDR_LEN];
	uint64_t age_ns;
};
typedef bool (*mcast_visit_fn)(const struct mcast_entry *entry, void *data);
void mcast_for_each(const struct mcast *mcast, uint64_t now_ns, mcast_visit_fn fn, void *data);
/* Was a general query of either IP version heard in `vid`? */
bool mcast_has_querier(const struct mcast *mcast, unsigned vid, uint64_t now_ns);

/* The memberships of one port, for when it moves. Restored ones are as if just reported: 0 or
 * -EBADMSG (those before the bad one stay). */
void mcast_save_port(const struct mcast *mcast, unsigned port, uint64_t now_ns, struct buf *out);
int mcast_restore_port(struct mcast *mcast, unsigned port, struct reader *in, uint64_t now_ns);

#endif
