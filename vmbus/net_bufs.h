/* SPDX-License-Identifier: MIT
 *
 * net_bufs.h - the two buffers a guest lends its NIC, and who owns which part of them.
 *
 * Receive buffer: cut into sections of equal size, which all queues share. A section is free (the
 * host's), filled (taken, its packet not yet sent) or the guest's, from the transfer-page packet
 * that names it until the guest completes that packet, on the queue it was sent on. One packet
 * gives up to NET_PACKET_MAX_SECTIONS of them; its transaction id is made from its first section
 * and the buffer's generation, so a late completion for a revoked buffer finds nothing. There are
 * never more packets outstanding than sections.
 *
 * The last few free sections are kept for control messages: data must not starve the answers that a
 * guest waits for.
 *
 * Send buffer: sections belong to the guest all the time; the host reads the ones a packet names
 * and forgets them with its completion.
 *
 * Hostile: every index and transaction id of the guest's is checked here.
 *
 * Threads: functions marked [any] may run beside each other, under the buffer's own lock; the rest
 * finds nobody else at the buffer.
 */
#ifndef VIADUCT_VMBUS_NET_BUFS_H
#define VIADUCT_VMBUS_NET_BUFS_H

#include "vmbus/channel.h"

#include <pthread.h>

#define NET_RECV_SECTION_MIN_BYTES 1728
#define NET_RECV_MAX_SECTIONS      32768
#define NET_SEND_SECTION_BYTES     6144
#define NET_PACKET_MAX_SECTIONS    64 /* the largest frame coalesced; guests take 375 and more */
#define NET_CONTROL_RESERVE        16

struct net_recv_buf {
	const struct vmbus_gpadl *gpadl; /* NULL: none lent */
	uint32_t gpadl_id;
	uint16_t id; /* the guest's name for it in transfer-page packets */
	uint32_t section_bytes;
	uint32_t n_sections;
	uint32_t n_reserved;
	uint32_t generation;

	pthread_mutex_t lock; /* the rest */
	uint32_t *free;       /* stack of n_free section numbers */
	uint32_t n_free;
	uint32_t *state; /* per section: the next of its packet, or one of net_bufs.c's marks */
	uint8_t *owner;  /* per first section of an outstanding packet: the queue it went to */
	uint64_t *heads; /* bitmap: first section of an outstanding packet */
	uint32_t n_outstanding; /* packets */
	bool starved;           /* somebody waits for free sections */
};

void net_recv_buf_init(struct net_recv_buf *buf);
void net_recv_buf_fini(struct net_recv_buf *buf);
/* Lend. -EBUSY: there is one already; -EINVAL: too small for two sections; -ENOMEM. */
int net_recv_buf_set(struct net_recv_buf *buf, const struct vmbus_gpadl *gpadl, uint32_t gpadl_id,
	uint16_t id, uint32_t section_bytes);
/* Take back, with everything outstanding. The generation goes on. */
void net_recv_buf_clear(struct net_recv_buf *buf);

static inline bool net_recv_buf_ready(const struct net_recv_buf *buf)
{
	return buf->gpadl;
}

/* As many as data may ever hold at once. */
static inline uint32_t net_recv_buf_capacity(const struct net_recv_buf *buf)
{
	return buf->n_sections - buf->n_reserved;
}

/* [any] Is there a section that data may take? False: the caller waits for one. */
bool net_recv_buf_has_room(struct net_recv_buf *buf);
/* [any] Free sections, now filled, all or none; the reserve counts only for control. -ENOBUFS: the
 * caller waits for them. */
int net_recv_buf_take(
	struct net_recv_buf *buf, bool control, unsigned n_sections, uint32_t *ret_sections);
/* [any] Filled sections that will not be sent. */
void net_recv_buf_put_back(struct net_recv_buf *buf, const uint32_t *sections, unsigned n_sections);
/* [any] The transaction id for a packet of these filled sections. */
uint64_t net_recv_buf_transaction(const struct net_recv_buf *buf, uint32_t first_section);
/* [any] That packet is sent on a queue: they are the guest's. */
void net_recv_buf_give(
	struct net_recv_buf *buf, unsigned queue, const uint32_t *sections, unsigned n_sections);
/* [any] The guest completed a packet on a queue. 0; 1: and somebody waits for its sections;
 * -ENOENT: no such packet. */
int net_recv_buf_complete(struct net_recv_buf *buf, unsigned queue, uint64_t transaction_id);
/* [any] The queue is gone, and nobody will complete its packets. The same 0 or 1. */
int net_recv_buf_reclaim(struct net_recv_buf *buf, unsigned queue);

/* The sections of the outstanding packet that starts with `first_section`; 0: none does. For
 * saving. */
unsigned net_recv_buf_packet(const struct net_recv_buf *buf, uint32_t first_section,
	uint32_t ret_sections[static NET_PACKET_MAX_SECTIONS]);
/* Restoring: take this very section (-EBADMSG: no such section, or taken); when all are taken,
 * collect the free ones. */
int net_recv_buf_take_exact(struct net_recv_buf *buf, uint32_t section);
void net_recv_buf_collect_free(struct net_recv_buf *buf);

struct net_send_buf {
	const struct vmbus_gpadl *gpadl; /* NULL: none lent */
	uint32_t gpadl_id;
	uint16_t id;
	uint32_t section_bytes;
	uint32_t n_sections;
};

/* As above. */
int net_send_buf_set(struct net_send_buf *buf, const struct vmbus_gpadl *gpadl, uint32_t gpadl_id,
	uint16_t id, uint32_t section_bytes);
void net_send_buf_clear(struct net_send_buf *buf);
/* Where the first `size_bytes` of a section lie in the GPADL. -EBADMSG. */
int net_send_buf_at(
	const struct net_send_buf *buf, uint32_t section, uint32_t size_bytes, uint32_t *ret_at);

#endif
