/* SPDX-License-Identifier: MIT
 *
 * team.h - several network adapters of the host as one uplink: which of them a frame leaves by, and
 * which copy of a frame that comes in by several of them is taken. The physical switch does not
 * know of the team (Hyper-V: "switch independent"): to it the members are unrelated ports.
 *
 *   TEAM_STANDBY  the first usable member, in the order given, carries everything
 *   TEAM_HASH     every usable member carries; which one a frame leaves by depends on its source
 *                 address (Hyper-V: "Hyper-V port")
 *
 * Usable is a member that has had its link for TEAM_HOLD_NS - a link that flaps is not used - or,
 * where there is no such member, any that has a link. One that loses its link is given up at once.
 *
 * An address leaves by one member only, in all VLANs: one behind several ports of the physical
 * switch would flap between them there. (For that reason there is no hash of IP addresses and
 * ports; and VLANs are left out of the hash because some switches learn an address once for all of
 * them.) When a member is lost, only its own addresses move.
 *
 * What comes in:
 *   - Broadcast and multicast arrive by every member; one member's are taken.
 *   - Unicast is taken from the member by which its destination would send: that is where the
 *     physical switch has learned it, and of a frame flooded to all ports that is one copy.
 *   - A frame from an address of our own side is a copy of what we sent by another member, a
 *     reflection, and is dropped - unless its destination is on our side as well, which we would
 *     not have sent out: then the sender has moved to another host.
 *   - After a change, for TEAM_GRACE_NS, the members that used to be the right ones are listened to
 *     as well, since the physical switch learns of the change by what is sent. Copies of multicast
 *     frames that come by both are recognised.
 *
 * "Our own side" are the addresses that sent something in the last TEAM_SENT_NS. An address that
 * moves away to another host is not heard for that long, except in unicast, unless team_forget() is
 * told.
 *
 * Pure: no descriptors, time is a parameter and does not go backwards. Threads: one owner.
 */
#ifndef VIADUCT_FABRIC_TEAM_H
#define VIADUCT_FABRIC_TEAM_H

#include "base/clock.h"
#include "base/err.h"
#include "base/eth_ops.h"
#include "fabric/drop.h"

#define TEAM_MAX_MEMBERS 8
#define TEAM_HOLD_NS     NS_PER_SEC
#define TEAM_GRACE_NS    (500 * NS_PER_MS)
#define TEAM_SENT_NS     NS_PER_SEC
/* Multicast frames of the same content, one by each member, are one frame if they are not further
 * apart: a busy worker gets to the members one after the other. */
#define TEAM_COPY_NS TEAM_GRACE_NS

#define TEAM_SENT_SETS 256
#define TEAM_SENT_WAYS 4
#define TEAM_COPY_SETS 256
#define TEAM_COPY_WAYS 4

enum team_mode {
	TEAM_STANDBY,
	TEAM_HASH,
};

/* An address that sent something. Of a full set the one that has been silent longest goes. */
struct team_sent {
	uint64_t key; /* address and VLAN; 0: free */
	uint64_t at_ns;
};

/* A multicast frame. Of a full set the oldest one goes. */
struct team_copy {
	uint64_t hash;
	uint64_t at_ns; /* of the first copy */
	uint32_t seen;  /* members whose copy has come; 0: free */
	bool taken;     /* one of them */
};

/* In place; the fields are team.c's. Sets of members are bit masks. */
struct team {
	enum team_mode mode;
	unsigned n_members;
	uint64_t seed;
	uint32_t up;                            /* have a link */
	uint32_t usable;                        /* of those */
	uint32_t carrying;                      /* of those; empty if none is up */
	uint32_t carried;                       /* before the last change */
	uint64_t changed_ns;                    /* of carrying */
	uint64_t up_since_ns[TEAM_MAX_MEMBERS]; /* of members that are up */
	struct team_sent sent[TEAM_SENT_SETS][TEAM_SENT_WAYS];
	struct team_copy copies[TEAM_COPY_SETS][TEAM_COPY_WAYS];
};

/* A frame that came in, in normal form or not: vid is that of its outer tag, 0 without one; data is
 * all of it, ETH_HEADER_BYTES or more. */
struct team_frame {
	const uint8_t *data;
	size_t size_bytes;
	uint16_t vid;
};

const char *team_mode_name(enum team_mode mode);
/* -EINVAL. */
int team_mode_parse(const char *name, enum team_mode *ret_mode);

/* Members in `up` have a link from the start and are usable. `seed` is random: strangers choose
 * addresses. 1 to TEAM_MAX_MEMBERS members. */
void team_init(
	struct team *team, enum team_mode mode, unsigned n_members, uint32_t up, uint64_t seed);

/* What is known of a member's link; saying it again changes nothing. Returns whether other members
 * carry now: then all addresses of our own side are to be announced. */
bool team_set_link(struct team *team, unsigned member, bool up, uint64_t now_ns);
/* Let members join whose hold time has ended. Returns the same. */
bool team_tick(struct team *team, uint64_t now_ns);
/* When to call team_tick() again; 0: not before a link changes. */
uint64_t team_due_ns(const struct team *team);

static inline bool team_is_up(const struct team *team, unsigned member)
{
	return team->up >> member & 1;
}

static inline bool team_is_carrying(const struct team *team, unsigned member)
{
	return team->carrying >> member & 1;
}

/* The member by which a frame from `src` leaves; -ENETDOWN: none has a link. Remembers that it was
 * sent. */
int team_send(struct team *team, const uint8_t src[ETH_ADDR_LEN], uint16_t vid, uint64_t now_ns);
/* DROP_NONE, DROP_REFLECTED or DROP_DUPLICATE. */
enum drop team_receive(
	struct team *team, unsigned member, const struct team_frame *frame, uint64_t now_ns);
/* The address is about to be on another host: frames from it are no reflections. */
void team_forget(struct team *team, const uint8_t mac[ETH_ADDR_LEN]);

#endif
