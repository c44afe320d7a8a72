/* SPDX-License-Identifier: MIT
 *
 * shm_ring.h - the two ends of a ring in a shared-memory port (fabric/shm_port.h has the layout).
 * The switch and the VM process use the same code, each as producer of one ring and consumer of the
 * other.
 *
 * Hostile: whatever the other side writes, an end stays within its ring. Indices and record headers
 * are copied once and the copy is checked. An index or a record that does not hold together breaks
 * the ring: -EBADMSG now and for ever, `why` says what was wrong. The content of frames is not
 * looked at.
 *
 * Threads: one thread per end.
 */
#ifndef VIADUCT_FABRIC_SHM_RING_H
#define VIADUCT_FABRIC_SHM_RING_H

#include "base/eth_ops.h"
#include "fabric/shm_port.h"

struct shm_producer {
	struct shm_ring_ctl *ctl;
	uint8_t *data;
	uint32_t ring_bytes;
	uint32_t head;   /* private; ctl->head follows at shm_producer_publish() */
	uint32_t tail;   /* the consumer's, as last seen */
	const char *why; /* why the ring is broken, or NULL */
};

struct shm_consumer {
	struct shm_ring_ctl *ctl;
	const uint8_t *data;
	uint32_t ring_bytes;
	uint32_t tail;            /* private; ctl->tail follows at shm_consumer_publish() */
	uint32_t published;       /* what ctl->tail holds */
	uint32_t head;            /* the producer's, as last seen */
	struct shm_record record; /* the copy that shm_consumer_peek() made */
	const char *why;
};

/* Both start from the indices 0 of fresh memory. */
void shm_producer_init(
	struct shm_producer *p, struct shm_ring_ctl *ctl, uint8_t *data, uint32_t ring_bytes);
void shm_consumer_init(
	struct shm_consumer *c, struct shm_ring_ctl *ctl, const uint8_t *data, uint32_t ring_bytes);

/* Append one frame, unpublished. 0; -EAGAIN: no room; -EMSGSIZE: over ETH_FRAME_MAX_BYTES;
 * -EBADMSG. */
int shm_producer_put(
	struct shm_producer *p, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov);
/* Let the consumer see what was put. */
void shm_producer_publish(struct shm_producer *p);
/* After that, once for any number of them: true if it sleeps and is to be kicked. Any thread. */
bool shm_producer_must_kick(struct shm_producer *p);
/* Ask to be kicked when there is room. True: there is room already (or the ring is broken). Publish
 * first. */
bool shm_producer_arm(struct shm_producer *p);

/* Look at the next record: its frame size, not yet judged, but surely in the ring. 0, -EAGAIN when
 * there is none, -EBADMSG. */
int shm_consumer_peek(struct shm_consumer *c, uint32_t *ret_frame_bytes);
/* Take the record of the last successful peek; `data` has room for it, or is NULL to skip it. */
void shm_consumer_take(struct shm_consumer *c, struct eth_hdr *ret_hdr, void *data);
/* The same, but only the first `head_bytes` are copied. The rest is left where the producer can
 * change it: `ret_rest` says where, until the next publish. Returns how many pieces it is in. */
unsigned shm_consumer_take_head(struct shm_consumer *c, struct eth_hdr *ret_hdr, void *data,
	uint32_t head_bytes, struct iovec ret_rest[2]);
/* Of the record of the last successful peek. */
static inline bool shm_consumer_is_super(const struct shm_consumer *c)
{
	return c->record.eth_hdr[offsetof(struct eth_hdr, gso_type)] != ETH_GSO_NONE;
}
/* Bytes taken and not yet given back to the producer. */
static inline uint32_t shm_consumer_unpublished(const struct shm_consumer *c)
{
	return c->tail - c->published;
}
/* Give the room of what was taken back. True: kick the producer. */
bool shm_consumer_publish(struct shm_consumer *c);
/* Ask to be kicked when there are records. True: there are some already. */
bool shm_consumer_arm(struct shm_consumer *c);

/* Size of the memory of a port. */
static inline size_t shm_port_size_bytes(uint32_t ring_bytes)
{
	return SHM_PORT_DATA_AT + 2 * (size_t)ring_bytes;
}

static inline uint8_t *shm_port_ring(struct shm_port *port, uint32_t ring_bytes, unsigned index)
{
	return (uint8_t *)port + SHM_PORT_DATA_AT + index * (size_t)ring_bytes;
}

bool shm_ring_size_is_valid(uint32_t ring_bytes);

#endif
