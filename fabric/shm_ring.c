/* SPDX-License-Identifier: MIT */
#include "fabric/shm_ring.h"

#include <string.h>

_Static_assert(sizeof(struct eth_hdr) == sizeof(((struct shm_record *)0)->eth_hdr),
	"a record carries a struct eth_hdr");
_Static_assert(ETH_FRAME_MAX_BYTES + sizeof(struct shm_record) + SHM_RECORD_ALIGN <
		       SHM_PORT_RING_MIN_BYTES / 2,
	"half a ring has room for any record");

static uint32_t record_bytes(uint32_t frame_bytes)
{
	return ALIGN_UP((uint32_t)sizeof(struct shm_record) + frame_bytes, SHM_RECORD_ALIGN);
}

bool shm_ring_size_is_valid(uint32_t ring_bytes)
{
	return ring_bytes >= SHM_PORT_RING_MIN_BYTES && ring_bytes <= SHM_PORT_RING_MAX_BYTES &&
	       (ring_bytes & (ring_bytes - 1)) == 0;
}

/* Each side stores its own (an index, or the wish to be woken) and then looks at the other's. One
 * of the two must see what the other stored, and only sequential consistency promises that. */
static void store_own(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}

static uint32_t look_at_other(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

/* The flag's owner set it and went to sleep; whoever takes it owes it a kick. */
static bool take_flag(uint32_t *flag)
{
	return look_at_other(flag) && __atomic_exchange_n(flag, 0, __ATOMIC_ACQ_REL);
}

void shm_producer_init(
	struct shm_producer *p, struct shm_ring_ctl *ctl, uint8_t *data, uint32_t ring_bytes)
{
	*p = (struct shm_producer){.ctl = ctl, .data = data, .ring_bytes = ring_bytes};
}

/* Bytes between the consumer's index and ours, from a fresh look at the consumer's. */
static int producer_look(struct shm_producer *p, uint32_t *ret_used_bytes)
{
	uint32_t used_bytes;

	if (p->why)
		return -EBADMSG;
	p->tail = look_at_other(&p->ctl->tail);
	used_bytes = p->head - p->tail;
	if (used_bytes > p->ring_bytes) {
		p->why = "the consumer's index left the ring";
		return -EBADMSG;
	}
	if (used_bytes % SHM_RECORD_ALIGN) {
		p->why = "the consumer's index is not aligned";
		return -EBADMSG;
	}
	*ret_used_bytes = used_bytes;
	return 0;
}

static uint32_t copy_in(const struct shm_producer *p, uint32_t at, const void *from, size_t bytes)
{
	uint32_t offset = at & (p->ring_bytes - 1);
	size_t first_bytes = MIN(bytes, (size_t)(p->ring_bytes - offset));

	memcpy(p->data + offset, from, first_bytes);
	if (first_bytes < bytes)
		memcpy(p->data, (const uint8_t *)from + first_bytes, bytes - first_bytes);
	return at + (uint32_t)bytes;
}

int shm_producer_put(
	struct shm_producer *p, const struct eth_hdr *hdr, const struct iovec *iov, unsigned n_iov)
{
	struct shm_record record = {0};
	size_t frame_bytes = 0;
	uint32_t used_bytes = p->head - p->tail;
	uint32_t at = p->head;
	int r;

	if (p->why)
		return -EBADMSG;
	for (unsigned i = 0; i < n_iov; i++) {
		if (iov[i].iov_len > ETH_FRAME_MAX_BYTES - frame_bytes)
			return -EMSGSIZE;
		frame_bytes += iov[i].iov_len;
	}
	record.frame_bytes = (uint32_t)frame_bytes;
	memcpy(record.eth_hdr, hdr, sizeof(record.eth_hdr));
	if (p->ring_bytes - used_bytes < record_bytes(record.frame_bytes)) {
		r = producer_look(p, &used_bytes);
		if (r < 0)
			return r;
		if (p->ring_bytes - used_bytes < record_bytes(record.frame_bytes))
			return -EAGAIN;
	}
	at = copy_in(p, at, &record, sizeof(record));
	for (unsigned i = 0; i < n_iov; i++)
		at = copy_in(p, at, iov[i].iov_base, iov[i].iov_len);
	p->head += record_bytes(record.frame_bytes);
	return 0;
}

void shm_producer_publish(struct shm_producer *p)
{
	store_own(&p->ctl->head, p->head);
}

bool shm_producer_must_kick(struct shm_producer *p)
{
	return take_flag(&p->ctl->want_data);
}

bool shm_producer_arm(struct shm_producer *p)
{
	uint32_t used_bytes;

	store_own(&p->ctl->want_space, 1);
	return producer_look(p, &used_bytes) < 0 || used_bytes <= p->ring_bytes / 2;
}

void shm_consumer_init(
	struct shm_consumer *c, struct shm_ring_ctl *ctl, const uint8_t *data, uint32_t ring_bytes)
{
	*c = (struct shm_consumer){.ctl = ctl, .data = data, .ring_bytes = ring_bytes};
}

static int consumer_broken(struct shm_consumer *c, const char *why)
{
	c->why = why;
	return -EBADMSG;
}

static int consumer_look(struct shm_consumer *c)
{
	uint32_t used_bytes;

	if (c->why)
		return -EBADMSG;
	c->head = look_at_other(&c->ctl->head);
	used_bytes = c->head - c->tail;
	if (used_bytes > c->ring_bytes)
		return consumer_broken(c, "the producer's index left the ring");
	if (used_bytes % SHM_RECORD_ALIGN)
		return consumer_broken(c, "the producer's index is not aligned");
	return 0;
}

static uint32_t copy_out(const struct shm_consumer *c, uint32_t at, void *to, size_t bytes)
{
	uint32_t offset = at & (c->ring_bytes - 1);
	size_t first_bytes = MIN(bytes, (size_t)(c->ring_bytes - offset));

	memcpy(to, c->data + offset, first_bytes);
	if (first_bytes < bytes)
		memcpy((uint8_t *)to + first_bytes, c->data, bytes - first_bytes);
	return at + (uint32_t)bytes;
}

int shm_consumer_peek(struct shm_consumer *c, uint32_t *ret_frame_bytes)
{
	uint32_t used_bytes;
	int r;

	if (c->head == c->tail) {
		r = consumer_look(c);
		if (r < 0)
			return r;
		if (c->head == c->tail)
			return -EAGAIN;
	}
	if (c->why)
		return -EBADMSG;
	used_bytes = c->head - c->tail;
	if (used_bytes < sizeof(c->record))
		return consumer_broken(c, "a record is cut off");
	copy_out(c, c->tail, &c->record, sizeof(c->record));
	if (c->record.reserved)
		return consumer_broken(c, "a record has reserved bits set");
	/* First alone, so that the sum below cannot wrap. */
	if (c->record.frame_bytes > used_bytes || record_bytes(c->record.frame_bytes) > used_bytes)
		return consumer_broken(c, "a record is longer than what was written");
	*ret_frame_bytes = c->record.frame_bytes;
	return 0;
}

unsigned shm_consumer_take_head(struct shm_consumer *c, struct eth_hdr *ret_hdr, void *data,
	uint32_t head_bytes, struct iovec ret_rest[2])
{
	uint32_t at = c->tail + (uint32_t)sizeof(c->record), rest_bytes, offset, first_bytes;

	head_bytes = MIN(head_bytes, c->record.frame_bytes);
	rest_bytes = c->record.frame_bytes - head_bytes;
	memcpy(ret_hdr, c->record.eth_hdr, sizeof(*ret_hdr));
	offset = copy_out(c, at, data, head_bytes) & (c->ring_bytes - 1);
	first_bytes = MIN(rest_bytes, c->ring_bytes - offset);
	c->tail += record_bytes(c->record.frame_bytes);
	ret_rest[0] = (struct iovec){(uint8_t *)c->data + offset, first_bytes};
	ret_rest[1] = (struct iovec){(uint8_t *)c->data, rest_bytes - first_bytes};
	return (rest_bytes > 0) + (rest_bytes > first_bytes);
}

void shm_consumer_take(struct shm_consumer *c, struct eth_hdr *ret_hdr, void *data)
{
	struct iovec none[2];

	if (data)
		(void)shm_consumer_take_head(c, ret_hdr, data, UINT32_MAX, none);
	else
		c->tail += record_bytes(c->record.frame_bytes);
}

bool shm_consumer_publish(struct shm_consumer *c)
{
	uint32_t head;

	if (c->tail == c->published)
		return false;
	c->published = c->tail;
	store_own(&c->ctl->tail, c->tail);
	if (!look_at_other(&c->ctl->want_space))
		return false;
	head = look_at_other(&c->ctl->head);
	return head - c->tail <= c->ring_bytes / 2 && take_flag(&c->ctl->want_space);
}

bool shm_consumer_arm(struct shm_consumer *c)
{
	store_own(&c->ctl->want_data, 1);
	return c->why || c->head != c->tail || consumer_look(c) < 0 || c->head != c->tail;
}
