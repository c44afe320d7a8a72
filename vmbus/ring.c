/* SPDX-License-Identifier: MIT */
#include "vmbus/ring.h"

enum control_word {
	WRITE_INDEX = offsetof(struct vmbus_ring_control, write_index) / 4,
	READ_INDEX = offsetof(struct vmbus_ring_control, read_index) / 4,
	INTERRUPT_MASK = offsetof(struct vmbus_ring_control, interrupt_mask) / 4,
	PENDING_SEND_BYTES = offsetof(struct vmbus_ring_control, pending_send_bytes) / 4,
	FEATURE_BITS = offsetof(struct vmbus_ring_control, feature_bits) / 4,
};

static uint32_t control_load(const struct ring *ring, enum control_word word)
{
	return __atomic_load_n(&ring->control[word], __ATOMIC_SEQ_CST);
}

static void control_store(const struct ring *ring, enum control_word word, uint32_t value)
{
	__atomic_store_n(&ring->control[word], value, __ATOMIC_SEQ_CST);
	gpadl_mark_dirty(ring->gpadl, ring->control_offset + (uint32_t)word * 4, 4);
}

static bool index_is_valid(const struct ring *ring, uint32_t index)
{
	return index < ring->data_bytes && index % 8 == 0;
}

/* From one index forward to another. */
static uint32_t distance(const struct ring *ring, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : ring->data_bytes - (from - to);
}

static uint32_t forward(const struct ring *ring, uint32_t index, uint32_t by)
{
	index += by;
	return index >= ring->data_bytes ? index - ring->data_bytes : index;
}

static int ring_open(struct ring *ring, const struct vmbus_gpadl *gpadl, uint32_t first_page,
	uint32_t n_pages, enum control_word own, enum control_word peer)
{
	struct ring r = {
		.gpadl = gpadl,
		.control = (uint32_t *)gpadl_page(gpadl, first_page),
		.control_offset = first_page * VMBUS_PAGE_BYTES,
		.data_bytes = (n_pages - 1) * VMBUS_PAGE_BYTES,
	};

	r.own_index = control_load(&r, own);
	r.peer_index = control_load(&r, peer);
	if (!index_is_valid(&r, r.own_index) || !index_is_valid(&r, r.peer_index))
		return -EBADMSG;
	r.published_index = r.own_index;
	*ring = r;
	return 0;
}

int ring_in_open(
	struct ring *ring, const struct vmbus_gpadl *gpadl, uint32_t first_page, uint32_t n_pages)
{
	return ring_open(ring, gpadl, first_page, n_pages, READ_INDEX, WRITE_INDEX);
}

int ring_out_open(
	struct ring *ring, const struct vmbus_gpadl *gpadl, uint32_t first_page, uint32_t n_pages)
{
	return ring_open(ring, gpadl, first_page, n_pages, WRITE_INDEX, READ_INDEX);
}

static int look_at_peer(struct ring *ring, enum control_word word)
{
	uint32_t index = control_load(ring, word);

	if (!index_is_valid(ring, index))
		return -EBADMSG;
	ring->peer_index = index;
	return 0;
}

uint32_t ring_unpublished_bytes(const struct ring *ring)
{
	return distance(ring, ring->published_index, ring->own_index);
}

static uint32_t data_offset(const struct ring *ring, uint32_t index)
{
	return ring->control_offset + VMBUS_PAGE_BYTES + index;
}

int ring_in_available(struct ring *ring, uint32_t *ret_bytes)
{
	if (ring->own_index == ring->peer_index) {
		int err = look_at_peer(ring, WRITE_INDEX);

		if (err)
			return err;
	}
	*ret_bytes = distance(ring, ring->own_index, ring->peer_index);
	return 0;
}

void ring_in_copy(const struct ring *ring, uint32_t offset, void *ret_data, size_t size_bytes)
{
	uint32_t from = forward(ring, ring->own_index, offset);
	size_t n = MIN(size_bytes, (size_t)(ring->data_bytes - from));

	gpadl_copy_from(ring->gpadl, data_offset(ring, from), ret_data, n);
	gpadl_copy_from(ring->gpadl, data_offset(ring, 0), (uint8_t *)ret_data + n, size_bytes - n);
}

void ring_in_consume(struct ring *ring, uint32_t size_bytes)
{
	ring->own_index = forward(ring, ring->own_index, size_bytes);
}

/* The guest sleeps until more than `pending` bytes are free. It is woken once, by the publish that
 * takes the free space over that line. */
bool ring_in_publish(struct ring *ring)
{
	uint32_t old_index = ring->published_index;
	uint32_t pending, write_index, free_before, free_after;

	if (ring->own_index == old_index)
		return false;
	control_store(ring, READ_INDEX, ring->own_index);
	ring->published_index = ring->own_index;
	if (!(control_load(ring, FEATURE_BITS) & VMBUS_RING_FEATURE_PENDING_SEND_SIZE))
		return false;
	/* Some ask for the size of the ring less one; free space comes in eights. */
	pending = control_load(ring, PENDING_SEND_BYTES) & ~7U;
	if (!pending)
		return false;
	write_index = control_load(ring, WRITE_INDEX);
	if (!index_is_valid(ring, write_index))
		return false; /* the next look breaks the channel */
	free_before = ring->data_bytes - distance(ring, old_index, write_index);
	free_after = ring->data_bytes - distance(ring, ring->own_index, write_index);
	return free_before <= pending && free_after > pending;
}

void ring_in_mask(struct ring *ring, bool masked)
{
	control_store(ring, INTERRUPT_MASK, masked);
}

static bool has_room(const struct ring *ring, uint32_t size_bytes)
{
	uint32_t used = distance(ring, ring->peer_index, ring->own_index);

	/* Never full: equal indices mean empty. */
	return ring->data_bytes - used > size_bytes;
}

int ring_out_room(struct ring *ring, uint32_t size_bytes)
{
	int err;

	if (size_bytes >= ring->data_bytes)
		return -EMSGSIZE;
	if (has_room(ring, size_bytes))
		return 0;
	err = look_at_peer(ring, READ_INDEX);
	if (err)
		return err;
	return has_room(ring, size_bytes) ? 0 : -EAGAIN;
}

void ring_out_append(struct ring *ring, const void *data, size_t size_bytes)
{
	size_t n = MIN(size_bytes, (size_t)(ring->data_bytes - ring->own_index));

	gpadl_copy_to(ring->gpadl, data_offset(ring, ring->own_index), data, n);
	gpadl_copy_to(ring->gpadl, data_offset(ring, 0), (const uint8_t *)data + n, size_bytes - n);
	ring->own_index = forward(ring, ring->own_index, (uint32_t)size_bytes);
}

static void mark_data_dirty(const struct ring *ring, uint32_t from, uint32_t to)
{
	if (from <= to) {
		gpadl_mark_dirty(ring->gpadl, data_offset(ring, from), to - from);
		return;
	}
	gpadl_mark_dirty(ring->gpadl, data_offset(ring, from), ring->data_bytes - from);
	gpadl_mark_dirty(ring->gpadl, data_offset(ring, 0), to);
}

/* The guest sleeps only when it has seen the ring empty; so only a burst that began where its read
 * index stands can find it asleep. */
bool ring_out_publish(struct ring *ring)
{
	uint32_t old_index = ring->published_index;

	if (ring->own_index == old_index)
		return false;
	mark_data_dirty(ring, old_index, ring->own_index);
	control_store(ring, WRITE_INDEX, ring->own_index);
	ring->published_index = ring->own_index;
	return !(control_load(ring, INTERRUPT_MASK) & 1) &&
	       control_load(ring, READ_INDEX) == old_index;
}

void ring_out_want_room(struct ring *ring, uint32_t size_bytes)
{
	control_store(ring, PENDING_SEND_BYTES, size_bytes);
}

bool ring_out_room_is_signalled(const struct ring *ring)
{
	return control_load(ring, FEATURE_BITS) & VMBUS_RING_FEATURE_PENDING_SEND_SIZE;
}
