/* SPDX-License-Identifier: MIT
 *
 * channel.h - what a VSP sees of its channel: an offer, and while the guest has it open two rings
 * and a worker thread. Internal to vmbus/ (VSPs live in the same folder).
 *
 * The worker calls work() whenever the guest signalled, the device's own event_fd fired, the ring
 * got room, or after vmbus_channel_kick(); it sleeps when work() returns false and arm() returns
 * false. Interrupt masks, barriers and signals follow the reference (vmbus ring rules): a VSP never
 * touches them. What work() consumed and sent becomes visible to the guest, with at most one
 * signal, when it returns (earlier when it is much).
 *
 * The one rule for work(): before it returns false it either receives until -EAGAIN, or it is
 * waiting for something else - room (a send said -EAGAIN, or has_room said no), its event_fd, a
 * kick. A work() that did not see -EAGAIN from recv is not called for packets of the guest until
 * that something comes.
 *
 * Hostile: packets are copied out of the ring before anything looks at them; a ring whose indices
 * or packet framing do not hold together breaks the channel: recv returns -EBADMSG for good, the
 * VSP reports it once and the guest sees a dead device, nobody else notices.
 *
 * Threads: functions marked [worker] only on the channel's worker. open(), close() and gpadl_gone()
 * come from the control plane with the bus locked and the worker not running or standing still;
 * they must not call vmbus.h, vmbus_offer_add() or vmbus_offer_remove(), nor wait for somebody who
 * does.
 */
#ifndef VIADUCT_VMBUS_CHANNEL_H
#define VIADUCT_VMBUS_CHANNEL_H

#include "vmbus/proto/ring.h"
#include "vmbus/vmbus.h"

#include <sys/uio.h>

struct vmbus_channel;

struct vmbus_device_ops {
	const char *name;
	/* The guest opened the channel; rings are mapped. Non-zero refuses. */
	int (*open)(void *device, struct vmbus_channel *channel);
	/* Closed by the guest, unload, reset or vmbus_offer_remove(): forget everything of the
	 * guest's, GPADLs included. Also comes without open(), for a channel that was restored. */
	void (*close)(void *device, struct vmbus_channel *channel);
	/* The guest tears down one of its GPADLs on this channel: stop using it before returning,
	 * also on the sub-channels, whose workers stand still too. */
	void (*gpadl_gone)(void *device, struct vmbus_channel *channel, uint32_t gpadl_id);
	/* [worker] Do what there is to do, a bounded share of it; true: call again at once. */
	bool (*work)(void *device, struct vmbus_channel *channel);
	/* [worker] About to sleep: arm own event sources; true: there is work after all. May be
	 * NULL. */
	bool (*arm)(void *device, struct vmbus_channel *channel);
	/* An extra descriptor to wait on (drained by the worker as an eventfd), or -1. May be NULL.
	 */
	int (*event_fd)(void *device);
};

struct vmbus_offer {
	uint8_t class_guid[16]; /* as it travels: mixed-endian layout */
	uint8_t instance_guid[16];
	uint16_t flags; /* chn_flags */
	uint16_t mmio_mb;
	uint8_t user_defined[120];
};

/* *ret_channel is there before the first callback. -EEXIST: class and instance are taken; -ENOSPC.
 */
int vmbus_offer_add(struct vmbus *bus, const struct vmbus_offer *offer,
	const struct vmbus_device_ops *ops, void *device, struct vmbus_channel **ret_channel);
/* Closes, and rescinds when the guest knows of it; after return no callback is under way. Frees
 * `channel`. */
void vmbus_offer_remove(struct vmbus_channel *channel);

/* One range of guest memory named by a GPA-direct packet: bytes [byte_offset, byte_offset +
 * byte_count) of the pages `pfns`. */
struct vmbus_range {
	uint32_t byte_count;
	uint32_t byte_offset;
	const uint8_t *pfns; /* n_pfns little-endian u64, unaligned, inside the packet copy */
	uint32_t n_pfns;     /* exactly those the range needs */
};

#define VMBUS_MAX_PACKET_BYTES 16384 /* larger ones break the channel */
#define VMBUS_MAX_RANGES       576

struct vmbus_packet {
	uint16_t type;
	bool completion_requested;
	uint64_t transaction_id;
	const uint8_t *payload; /* inside the packet copy, valid until the next recv */
	size_t payload_bytes;
	/* GPA direct only. */
	struct vmbus_range ranges[VMBUS_MAX_RANGES];
	unsigned n_ranges;
};

/* [worker] Take the next packet. 0; -EAGAIN: none; -EBADMSG: the channel is broken. On an error the
 * content of *ret_packet is undefined. */
int vmbus_channel_recv(struct vmbus_channel *channel, struct vmbus_packet *ret_packet);
/* [worker] 0; -EAGAIN: no room now - work() is called again when there is; -EMSGSIZE: the ring is
 * smaller than the packet; -EBADMSG. */
int vmbus_channel_send_inband(struct vmbus_channel *channel, uint64_t transaction_id,
	bool request_completion, const void *payload, size_t size_bytes);
int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction_id,
	const void *payload, size_t size_bytes);
/* One transfer-page packet, completion requested: ranges are {byte_count, byte_offset} pairs into
 * the buffer `pageset_id`. */
int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint64_t transaction_id,
	uint16_t pageset_id, const struct vmbus_transfer_range *ranges, unsigned n_ranges,
	const void *payload, size_t size_bytes);
/* [worker] Would a packet of this many payload bytes and transfer ranges fit now? If not, work() is
 * called again when it does. */
bool vmbus_channel_has_room(struct vmbus_channel *channel, size_t payload_bytes, unsigned n_ranges);

/* Any thread: have work() called. */
void vmbus_channel_kick(struct vmbus_channel *channel);

/* The partition's memory, for devices that the guest tells addresses. Any thread. */
struct gpa_space *vmbus_memory(const struct vmbus *bus);

/* A GPADL the guest made on this channel, as one run of bytes. Valid until gpadl_gone() or close().
 * -ENOENT: none of this id that is one range. Any thread that keeps those callbacks
 * away; the worker does. */
struct vmbus_gpadl;
int vmbus_channel_gpadl(
	struct vmbus_channel *channel, uint32_t gpadl_id, const struct vmbus_gpadl **ret_gpadl);
uint32_t vmbus_gpadl_size_bytes(const struct vmbus_gpadl *gpadl);
/* Copy in or out with the memory door's checks and dirty marks. 0 or -EFAULT. */
int vmbus_gpadl_read(
	const struct vmbus_gpadl *gpadl, uint32_t offset, void *ret_data, size_t size_bytes);
int vmbus_gpadl_write(
	const struct vmbus_gpadl *gpadl, uint32_t offset, const void *data, size_t size_bytes);
/* Copy from the memory of a packet's ranges, `offset` bytes into their concatenation. 0 or -EFAULT.
 */
int vmbus_ranges_read(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, void *ret_data, size_t size_bytes);
/* The other way, marked dirty. After -EFAULT part of it may have been written. */
int vmbus_ranges_write(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, const void *data, size_t size_bytes);
/* Host windows on [offset, offset + size_bytes) of the ranges, neighbouring pages merged, for bulk
 * data that is not interpreted (base/gpa.h). Returns the number of pieces; -EFAULT; -E2BIG. They
 * stay valid as long as the partition's memory, whatever becomes of packet and channel. Whoever
 * wrote through them calls vmbus_iov_mark_dirty() when the bytes are in place. */
int vmbus_ranges_iov(struct vmbus_channel *channel, const struct vmbus_range *ranges,
	unsigned n_ranges, uint32_t offset, size_t size_bytes, struct iovec *ret_iov,
	unsigned max_iov);
void vmbus_iov_mark_dirty(struct vmbus_channel *channel, const struct iovec *iov, unsigned n_iov);

/* Sub-channels: more pairs of rings for one device, each with a worker of its own. They are added
 * right after the offer, before the bus first starts, and stay dormant - no relid, unknown to the
 * guest - until its driver asked for them in the device's own protocol and the device calls
 * vmbus_subchannels_offer(). `device` and `ops` are the sub-channel's own. sub_channel_index is 1,
 * 2, ... in the order of the calls.
 *
 * When the primary is closed (by the guest, unload, reset, vmbus_offer_remove()) the bus closes and
 * rescinds those that were offered first - close() comes for the open ones, before the primary's -
 * and they are dormant again; a relid is used again once the guest released it, and only then is
 * the sub-channel offered again that has it. Freed with the primary. -EBUSY: the bus runs; -ENOSPC;
 * -ENOMEM. */
int vmbus_subchannel_add(struct vmbus_channel *primary, const struct vmbus_device_ops *ops,
	void *device, struct vmbus_channel **ret_channel);
/* [worker of the primary] Offer sub-channels 1..n_channels, those that are not yet. The offers go
 * out after everything that this call of work() sent is visible to the guest, in order. -EINVAL:
 * there are not so many. */
int vmbus_subchannels_offer(struct vmbus_channel *primary, unsigned n_channels);
/* The VP that the guest wants this channel's interrupts on; of an open channel. Any thread. */
uint32_t vmbus_channel_target_vp(const struct vmbus_channel *channel);

/* Restore: the bus unit comes first and re-creates open channels and GPADLs without calling open();
 * the device's own unit then finds its channel open and fetches its GPADLs by id. The bus also
 * starts first: work() may be called before the device's unit starts. */
bool vmbus_channel_is_open(const struct vmbus_channel *channel);
/* 0 when not open. */
uint32_t vmbus_channel_relid(const struct vmbus_channel *channel);

#endif
