/* SPDX-License-Identifier: MIT */
#include "vmbus/net_bufs.h"

#include "base/bitmap.h"
#include "vmbus/proto/nvsp.h"

#define MIN_SECTIONS 2

/* Marks in net_recv_buf.state, above every section number. */
#define SECTION_FREE   0xFFFFFFFFU
#define SECTION_FILLED 0xFFFFFFFEU
#define SECTION_LAST   0xFFFFFFFDU /* the guest's, and the last of its packet */

int net_recv_buf_set(struct net_recv_buf *buf, const struct vmbus_gpadl *gpadl, uint32_t gpadl_id,
	uint16_t id, uint32_t section_bytes)
{
	uint32_t n_sections =
		MIN(vmbus_gpadl_size_bytes(gpadl) / section_bytes, (uint32_t)NET_RECV_MAX_SECTIONS);
	_cleanup_free_ uint32_t *free_stack = NULL;
	_cleanup_free_ uint32_t *state = NULL;
	_cleanup_free_ uint64_t *heads = NULL;

	if (buf->gpadl)
		return -EBUSY;
	if (n_sections < MIN_SECTIONS)
		return -EINVAL;
	free_stack = calloc(n_sections, sizeof(*free_stack));
	state = calloc(n_sections, sizeof(*state));
	heads = calloc(BITMAP_WORDS(n_sections), sizeof(*heads));
	if (!free_stack || !state || !heads)
		return -ENOMEM;

	for (uint32_t i = 0; i < n_sections; i++) {
		free_stack[i] = n_sections - 1 - i;
		state[i] = SECTION_FREE;
	}
	*buf = (struct net_recv_buf){
		.gpadl = gpadl,
		.gpadl_id = gpadl_id,
		.id = id,
		.section_bytes = section_bytes,
		.n_sections = n_sections,
		.n_reserved = MIN((uint32_t)NET_CONTROL_RESERVE, n_sections / 2),
		.generation = buf->generation + 1,
		.free = take_ptr(free_stack),
		.n_free = n_sections,
		.state = take_ptr(state),
		.heads = take_ptr(heads),
	};
	return 0;
}

void net_recv_buf_clear(struct net_recv_buf *buf)
{
	free(buf->free);
	free(buf->state);
	free(buf->heads);
	*buf = (struct net_recv_buf){.generation = buf->generation};
}

uint32_t net_recv_buf_room(const struct net_recv_buf *buf)
{
	return buf->n_free > buf->n_reserved ? buf->n_free - buf->n_reserved : 0;
}

int net_recv_buf_take(struct net_recv_buf *buf, bool control, uint32_t *ret_section)
{
	uint32_t section;

	if (control ? buf->n_free == 0 : net_recv_buf_room(buf) == 0)
		return -ENOBUFS;
	section = buf->free[--buf->n_free];
	buf->state[section] = SECTION_FILLED;
	*ret_section = section;
	return 0;
}

void net_recv_buf_put_back(struct net_recv_buf *buf, uint32_t section)
{
	buf->state[section] = SECTION_FREE;
	buf->free[buf->n_free++] = section;
}

uint64_t net_recv_buf_transaction(const struct net_recv_buf *buf, uint32_t first_section)
{
	/* 0 would be taken for an unsolicited packet. */
	return (uint64_t)buf->generation << 32 | (first_section + 1);
}

void net_recv_buf_give(struct net_recv_buf *buf, const uint32_t *sections, unsigned n_sections)
{
	for (unsigned i = 0; i < n_sections; i++)
		buf->state[sections[i]] = i + 1 < n_sections ? sections[i + 1] : SECTION_LAST;
	bitmap_set(buf->heads, sections[0]);
	buf->n_outstanding++;
}

int net_recv_buf_complete(struct net_recv_buf *buf, uint64_t transaction_id)
{
	uint32_t section = (uint32_t)transaction_id - 1;

	if (transaction_id >> 32 != buf->generation || section >= buf->n_sections ||
		!bitmap_test(buf->heads, section))
		return -ENOENT;
	bitmap_clear(buf->heads, section);
	buf->n_outstanding--;
	while (section != SECTION_LAST) {
		uint32_t next = buf->state[section];

		net_recv_buf_put_back(buf, section);
		section = next;
	}
	return 0;
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
