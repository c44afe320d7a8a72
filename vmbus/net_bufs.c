/* SPDX-License-Identifier: MIT */
#include "vmbus/net_bufs.h"

#include "base/bitmap.h"
#include "vmbus/proto/nvsp.h"

#define MIN_SECTIONS 2

/* Marks in net_recv_buf.state, above every section number. */
#define SECTION_FREE   0xFFFFFFFFU
#define SECTION_FILLED 0xFFFFFFFEU
#define SECTION_LAST   0xFFFFFFFDU /* the guest's, and the last of its packet */

void net_recv_buf_init(struct net_recv_buf *buf)
{
	*buf = (struct net_recv_buf){0};
	pthread_mutex_init(&buf->lock, NULL);
}

void net_recv_buf_fini(struct net_recv_buf *buf)
{
	net_recv_buf_clear(buf);
	pthread_mutex_destroy(&buf->lock);
}

int net_recv_buf_set(struct net_recv_buf *buf, const struct vmbus_gpadl *gpadl, uint32_t gpadl_id,
	uint16_t id, uint32_t section_bytes)
{
	uint32_t n_sections =
		MIN(vmbus_gpadl_size_bytes(gpadl) / section_bytes, (uint32_t)NET_RECV_MAX_SECTIONS);
	_cleanup_free_ uint32_t *free_stack = NULL;
	_cleanup_free_ uint32_t *state = NULL;
	_cleanup_free_ uint8_t *owner = NULL;
	_cleanup_free_ uint64_t *heads = NULL;

	if (buf->gpadl)
		return -EBUSY;
	if (n_sections < MIN_SECTIONS)
		return -EINVAL;
	free_stack = calloc(n_sections, sizeof(*free_stack));
	state = calloc(n_sections, sizeof(*state));
	owner = calloc(n_sections, sizeof(*owner));
	heads = calloc(BITMAP_WORDS(n_sections), sizeof(*heads));
	if (!free_stack || !state || !owner || !heads)
		return -ENOMEM;

	for (uint32_t i = 0; i < n_sections; i++) {
		free_stack[i] = n_sections - 1 - i;
		state[i] = SECTION_FREE;
	}
	buf->gpadl = gpadl;
	buf->gpadl_id = gpadl_id;
	buf->id = id;
	buf->section_bytes = section_bytes;
	buf->n_sections = n_sections;
	buf->n_reserved = MIN((uint32_t)NET_CONTROL_RESERVE, n_sections / 2);
	buf->generation++;
	buf->free = take_ptr(free_stack);
	buf->n_free = n_sections;
	buf->state = take_ptr(state);
	buf->owner = take_ptr(owner);
	buf->heads = take_ptr(heads);
	buf->n_outstanding = 0;
	buf->starved = false;
	return 0;
}

void net_recv_buf_clear(struct net_recv_buf *buf)
{
	free(take_ptr(buf->free));
	free(take_ptr(buf->state));
	free(take_ptr(buf->owner));
	free(take_ptr(buf->heads));
	buf->gpadl = NULL;
	buf->n_sections = 0;
	buf->n_reserved = 0;
	buf->n_free = 0;
	buf->n_outstanding = 0;
	buf->starved = false;
}

bool net_recv_buf_has_room(struct net_recv_buf *buf)
{
	bool has_room;

	pthread_mutex_lock(&buf->lock);
	has_room = buf->n_free > buf->n_reserved;
	buf->starved |= !has_room;
	pthread_mutex_unlock(&buf->lock);
	return has_room;
}

int net_recv_buf_take(
	struct net_recv_buf *buf, bool control, unsigned n_sections, uint32_t *ret_sections)
{
	uint32_t n_kept = control ? 0 : buf->n_reserved;
	int r = 0;

	pthread_mutex_lock(&buf->lock);
	if (buf->n_free < n_kept + n_sections) {
		buf->starved = true;
		r = -ENOBUFS;
	}
	for (unsigned i = 0; r == 0 && i < n_sections; i++) {
		ret_sections[i] = buf->free[--buf->n_free];
		buf->state[ret_sections[i]] = SECTION_FILLED;
	}
	pthread_mutex_unlock(&buf->lock);
	return r;
}

static void free_section(struct net_recv_buf *buf, uint32_t section)
{
	buf->state[section] = SECTION_FREE;
	buf->free[buf->n_free++] = section;
}

void net_recv_buf_put_back(struct net_recv_buf *buf, const uint32_t *sections, unsigned n_sections)
{
	pthread_mutex_lock(&buf->lock);
	while (n_sections--)
		free_section(buf, sections[n_sections]);
	pthread_mutex_unlock(&buf->lock);
}

uint64_t net_recv_buf_transaction(const struct net_recv_buf *buf, uint32_t first_section)
{
	/* 0 would be taken for an unsolicited packet. */
	return (uint64_t)buf->generation << 32 | (first_section + 1);
}

void net_recv_buf_give(
	struct net_recv_buf *buf, unsigned queue, const uint32_t *sections, unsigned n_sections)
{
	pthread_mutex_lock(&buf->lock);
	for (unsigned i = 0; i < n_sections; i++)
		buf->state[sections[i]] = i + 1 < n_sections ? sections[i + 1] : SECTION_LAST;
	buf->owner[sections[0]] = (uint8_t)queue;
	bitmap_set(buf->heads, sections[0]);
	buf->n_outstanding++;
	pthread_mutex_unlock(&buf->lock);
}

static void free_packet(struct net_recv_buf *buf, uint32_t first_section)
{
	uint32_t section = first_section;

	bitmap_clear(buf->heads, first_section);
	buf->n_outstanding--;
	while (section != SECTION_LAST) {
		uint32_t next = buf->state[section];

		free_section(buf, section);
		section = next;
	}
}

int net_recv_buf_complete(struct net_recv_buf *buf, unsigned queue, uint64_t transaction_id)
{
	uint32_t section = (uint32_t)transaction_id - 1;
	int r = -ENOENT;

	pthread_mutex_lock(&buf->lock);
	if (transaction_id >> 32 == buf->generation && section < buf->n_sections &&
		bitmap_test(buf->heads, section) && buf->owner[section] == queue) {
		free_packet(buf, section);
		r = buf->starved;
		buf->starved = false;
	}
	pthread_mutex_unlock(&buf->lock);
	return r;
}

int net_recv_buf_reclaim(struct net_recv_buf *buf, unsigned queue)
{
	int r;

	pthread_mutex_lock(&buf->lock);
	for (uint32_t section = 0; section < buf->n_sections; section++) {
		if (bitmap_test(buf->heads, section) && buf->owner[section] == queue)
			free_packet(buf, section);
	}
	r = buf->starved;
	buf->starved = false;
	pthread_mutex_unlock(&buf->lock);
	return r;
}

unsigned net_recv_buf_packet(const struct net_recv_buf *buf, uint32_t first_section,
	uint32_t ret_sections[static NET_PACKET_MAX_SECTIONS])
{
	uint32_t section = first_section;
	unsigned n = 0;

	if (!bitmap_test(buf->heads, first_section))
		return 0;
	for (; section != SECTION_LAST; section = buf->state[section])
		ret_sections[n++] = section;
	return n;
}

int net_recv_buf_take_exact(struct net_recv_buf *buf, uint32_t section)
{
	if (section >= buf->n_sections || buf->state[section] != SECTION_FREE)
		return -EBADMSG;
	buf->state[section] = SECTION_FILLED;
	return 0;
}

void net_recv_buf_collect_free(struct net_recv_buf *buf)
{
	buf->n_free = 0;
	for (uint32_t i = buf->n_sections; i-- > 0;) {
		if (buf->state[i] == SECTION_FREE)
			buf->free[buf->n_free++] = i;
	}
}

int net_send_buf_set(struct net_send_buf *buf, const struct vmbus_gpadl *gpadl, uint32_t gpadl_id,
	uint16_t id, uint32_t section_bytes)
{
	if (buf->gpadl)
		return -EBUSY;
	section_bytes = MIN(section_bytes, vmbus_gpadl_size_bytes(gpadl));
	if (section_bytes < NVSP_MIN_SECTION_BYTES)
		return -EINVAL;
	*buf = (struct net_send_buf){
		.gpadl = gpadl,
		.gpadl_id = gpadl_id,
		.id = id,
		.section_bytes = section_bytes,
		.n_sections = vmbus_gpadl_size_bytes(gpadl) / section_bytes,
	};
	return 0;
}

void net_send_buf_clear(struct net_send_buf *buf)
{
	*buf = (struct net_send_buf){0};
}

int net_send_buf_at(
	const struct net_send_buf *buf, uint32_t section, uint32_t size_bytes, uint32_t *ret_at)
{
	if (!buf->gpadl || section >= buf->n_sections || size_bytes > buf->section_bytes)
		return -EBADMSG;
	*ret_at = section * buf->section_bytes;
	return 0;
}
