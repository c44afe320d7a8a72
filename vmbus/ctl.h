/* SPDX-License-Identifier: MIT
 *
 * ctl.h - the control plane of the bus as a pure state machine: a message of the guest goes in,
 * calls of struct ctl_ops and queued messages come out. No descriptor, clock, thread or guest
 * memory here; server.c gives it those, the fuzz targets and tests give it others. Internal to
 * vmbus/.
 *
 * Connection: DISCONNECTED -INITIATE_CONTACT-> CONNECTED -UNLOAD-> DISCONNECTED; contact while
 * connected unloads first. Channel: UNOFFERED -> CLOSED <-> OPEN, and from CLOSED or OPEN to
 * REVOKED, which ends with RELID_RELEASED: a channel that was removed is freed then, a sub-channel
 * UNOFFERED again. GPADL: under assembly -> created -> gone.
 *
 * Messages of the guest go through one table (ctl_table.c) that says how short they may be, from
 * which version and in which connection state they are legal. What the tables or a handler refuse
 * counts as a protocol error and changes nothing; whatever the guest may wait for is answered also
 * when refused.
 *
 * Messages to the guest wait in one queue in the order they were made. Room in it is reserved
 * before a message of the guest is handled, so an answer is never lost to a failed allocation; a
 * guest that does not read its answers is pushed back.
 *
 * Channels keep their order by class, instance and sub-channel index; relids are given out in that
 * order when the guest asks for offers, so they are the same on every boot and every host.
 *
 * Threads: none of its own; the caller's lock.
 */
#ifndef VIADUCT_VMBUS_CTL_H
#define VIADUCT_VMBUS_CTL_H

#include "base/list.h"
#include "vmbus/channel.h"
#include "vmbus/proto/vmbus_msg.h"

/* What one guest may make the host remember. */
#define CTL_MAX_CHANNELS   VMBUS_MAX_RELID /* revoked ones included */
#define CTL_MAX_GPADLS     1024
#define CTL_MAX_ASSEMBLING 64
#define CTL_MAX_GPADL_PFNS 65536  /* 256 MiB in one GPADL */
#define CTL_MAX_PFNS       524288 /* in all GPADLs together */
#define CTL_QUEUE_PUSHBACK 256    /* queued messages from which on the guest has to wait */

/* Connection ids of HvSignalEvent; below 2^24, clear of those for messages. */
#define CTL_EVENT_CONNECTION_BASE 0x1000U

/* Status in refusals: STATUS_UNSUCCESSFUL. */
#define CTL_STATUS_REFUSED 0xc0000001U

struct ctl;

enum ctl_channel_state {
	CTL_CHANNEL_UNOFFERED, /* the guest does not know it */
	CTL_CHANNEL_CLOSED,
	CTL_CHANNEL_OPEN,
	CTL_CHANNEL_REVOKED, /* rescinded; the relid is the guest's until it releases it */
};

/* What OPENCHANNEL said. */
struct ctl_open {
	uint32_t open_id;
	uint32_t ring_gpadl_id;
	uint32_t target_vp;
	uint32_t downstream_page_offset;
	uint8_t user_data[VMBUS_USER_DEFINED_BYTES];
};

struct ctl_channel {
	struct list link; /* of the connection's channels, in their order */
	struct vmbus_offer offer;
	uint16_t sub_channel_index;  /* 0: a primary channel */
	void *owner;                 /* whoever added it; NULL when removed, and then REVOKED */
	struct ctl_channel *primary; /* of an owner's sub-channel */
	bool wanted;                 /* to be offered as soon as the guest may get it */
	enum ctl_channel_state state;
	uint32_t relid;       /* 0 when unoffered */
	struct ctl_open open; /* when OPEN */
	struct list gpadls;
};

/* The range list as it came: a word {byte_count, byte_offset}, the PFNs of the range, the next
 * range. Complete and unchanging once created. */
struct ctl_gpadl {
	struct list link; /* of the channel's */
	struct list assembling_link;
	struct ctl_channel *channel;
	uint32_t id;
	uint16_t n_ranges;
	bool created;
	struct buf words; /* little-endian u64 */
	uint16_t n_ranges_complete;
	uint32_t n_pfns;      /* of the ranges begun so far */
	uint32_t n_pfns_left; /* still missing in the last range begun */
	void *mapping;        /* the host's, set by gpadl_created() */
};

/* One range of whole pages: can hold rings. */
bool ctl_gpadl_is_pages(const struct ctl_gpadl *gpadl);
struct ctl_gpadl *ctl_gpadl_find(const struct ctl_channel *channel, uint32_t gpadl_id);

struct ctl_ops {
	/* `channel->open` is filled and its ring GPADL is one of whole pages, both rings at least
	 * two pages. Non-zero refuses. `restoring`: the device gets its state by itself. */
	int (*channel_open)(void *host, struct ctl_channel *channel, bool restoring);
	/* On return nothing touches the rings any more, and the device has forgotten its GPADLs. */
	void (*channel_close)(void *host, struct ctl_channel *channel);
	/* `channel->open.target_vp` changed; on return nothing interrupts the old one. */
	void (*channel_retarget)(void *host, struct ctl_channel *channel);
	/* Assembly is complete. Non-zero refuses (not the guest's memory). */
	int (*gpadl_created)(void *host, struct ctl_gpadl *gpadl);
	/* Only for GPADLs that were created. On return nothing touches the memory any more. */
	void (*gpadl_gone)(void *host, struct ctl_gpadl *gpadl);
};

int ctl_new(const struct ctl_ops *ops, void *host, struct ctl **ret_ctl);
/* Resets first; then drops what was not removed. */
void ctl_free(struct ctl *ctl);

/* The guest posted a message. Returns an enum hv_status. */
uint16_t ctl_receive(struct ctl *ctl, uint32_t connection_id, uint32_t message_type,
	const void *payload, size_t size_bytes);
/* Forget the guest: what UNLOAD does, without an answer. */
void ctl_reset(struct ctl *ctl);

/* Offer a channel, at once if the guest has asked for offers and holds no rescinded one of this
 * class and instance. -EEXIST: same class and instance; -ENOSPC; -ENOMEM. */
int ctl_channel_add(struct ctl *ctl, const struct vmbus_offer *offer, void *owner,
	struct ctl_channel **ret_channel);
/* Closes, rescinds, first its sub-channels; all of them are no longer the caller's. */
void ctl_channel_revoke(struct ctl *ctl, struct ctl_channel *channel);

/* One more sub-channel, dormant. -ENOSPC, -ENOMEM. */
int ctl_subchannel_add(struct ctl *ctl, struct ctl_channel *primary, void *owner,
	struct ctl_channel **ret_channel);
/* Have sub-channels 1..n_channels offered, now or when the guest releases what they were before.
 * Nothing when the primary is not open: whoever asked for them is gone. */
void ctl_subchannels_offer(struct ctl *ctl, struct ctl_channel *primary, unsigned n_channels);

static inline uint32_t ctl_event_connection(const struct ctl_channel *channel)
{
	return CTL_EVENT_CONNECTION_BASE + channel->relid;
}

/* Messages to the guest. */
struct ctl_message {
	uint32_t vp_index;
	uint8_t size_bytes;
	uint8_t payload[VMBUS_MSG_MAX_BYTES];
};

/* The oldest, or NULL. Valid until the next call of anything here. */
const struct ctl_message *ctl_message_first(const struct ctl *ctl);
/* Take the oldest away; `delivered` is for the counters. */
void ctl_message_pop(struct ctl *ctl, bool delivered);

void ctl_get_info(const struct ctl *ctl, struct vmbus_info *ret_info);
/* Channels in their order; start with NULL. Those without an owner are left out. */
struct ctl_channel *ctl_channel_next(const struct ctl *ctl, const struct ctl_channel *after);

/* State units. Restore wants a fresh ctl with the same offers as the saved one had; it calls
 * gpadl_created() and channel_open() for what was there. -EBADMSG, -ENOMEM: the ctl is reset. */
#define CTL_STATE_VERSION 2
void ctl_save(const struct ctl *ctl, struct buf *out);
int ctl_restore(struct ctl *ctl, struct reader *in, uint32_t version);

#endif
