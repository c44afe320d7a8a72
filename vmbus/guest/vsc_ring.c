/* SPDX-License-Identifier: MIT */
#include "vmbus/guest/vsc_ring.h"

#define WORD(member) (offsetof(struct vmbus_ring_control, member) / sizeof(uint32_t))

#define DESCRIPTOR_BYTES ((uint32_t)sizeof(struct vmbus_packet_descriptor))
#define TRAILER_BYTES    ((uint32_t)sizeof(struct vmbus_packet_trailer))

static uint32_t align8(uint32_t size_bytes)
{
	return (size_bytes + 7) & ~7U;
}

/* Sequentially consistent: between publishing an index and looking at what the other side says
 * about signals there must be a full barrier. */
static uint32_t load(const struct vsc_ring *ring, size_t word)
{
	return __atomic_load_n(&ring->control[word], __ATOMIC_SEQ_CST);
}

static void store(struct vsc_ring *ring, size_t word, uint32_t value)
{
	__atomic_store_n(&ring->control[word], value, __ATOMIC_SEQ_CST);
}

void vsc_ring_init(struct vsc_ring *ring, void *pages, uint32_t n_pages)
{
	ring->control = pages;
	ring->data = (uint8_t *)pages + VMBUS_PAGE_BYTES;
	ring->data_bytes = (n_pages - 1) * VMBUS_PAGE_BYTES;
	store(ring, WORD(feature_bits), VMBUS_RING_FEATURE_PENDING_SEND_SIZE);
}

static bool index_is_sound(const struct vsc_ring *ring, uint32_t index)
{
	return index < ring->data_bytes && index % 8 == 0;
}

static uint32_t used_bytes(const struct vsc_ring *ring, uint32_t write_index, uint32_t read_index)
{
	return write_index >= read_index ? write_index - read_index
					 : ring->data_bytes - read_index + write_index;
}

static uint32_t advance(const struct vsc_ring *ring, uint32_t index, uint32_t size_bytes)
{
	index += size_bytes;
	return index >= ring->data_bytes ? index - ring->data_bytes : index;
}

static uint32_t copy_in(struct vsc_ring *ring, uint32_t at, const void *data, uint32_t size_bytes)
{
	uint32_t first = MIN_OF(size_bytes, ring->data_bytes - at);

	if (size_bytes == 0)
		return at;
	memcpy(ring->data + at, data, first);
	memcpy(ring->data, (const uint8_t *)data + first, size_bytes - first);
	return advance(ring, at, size_bytes);
}

static void copy_out(const struct vsc_ring *ring, uint32_t at, void *ret_data, uint32_t size_bytes)
{
	uint32_t first = MIN_OF(size_bytes, ring->data_bytes - at);

	memcpy(ret_data, ring->data + at, first);
	memcpy((uint8_t *)ret_data + first, ring->data, size_bytes - first);
}

uint32_t vsc_ring_packet_bytes(uint32_t header_bytes, uint32_t payload_bytes)
{
	return align8(DESCRIPTOR_BYTES + header_bytes + payload_bytes) + TRAILER_BYTES;
}

bool vsc_ring_has_room(const struct vsc_ring *ring, uint32_t packet_bytes)
{
	uint32_t write_index = load(ring, WORD(write_index));
	uint32_t read_index = load(ring, WORD(read_index));

	return index_is_sound(ring, read_index) &&
	       ring->data_bytes - used_bytes(ring, write_index, read_index) > packet_bytes;
}

bool vsc_ring_want_room(struct vsc_ring *ring, uint32_t packet_bytes)
{
	store(ring, WORD(pending_send_bytes), packet_bytes);
	return vsc_ring_has_room(ring, packet_bytes);
}

int vsc_ring_send(struct vsc_ring *ring, const struct vsc_packet_out *packet, bool *ret_signal)
{
	static const uint8_t zeros[8];
	uint32_t body_bytes = DESCRIPTOR_BYTES + packet->header_bytes + packet->payload_bytes;
	uint32_t start = load(ring, WORD(write_index)), at;
	struct vmbus_packet_descriptor descriptor = {
		.type = packet->type,
		.offset8 = (uint16_t)((DESCRIPTOR_BYTES + packet->header_bytes) / 8),
		.length8 = (uint16_t)(align8(body_bytes) / 8),
		.flags = packet->request_completion ? VMBUS_PACKET_FLAG_COMPLETION_REQUESTED : 0,
		.transaction_id = packet->transaction_id,
	};
	struct vmbus_packet_trailer trailer = {.start_index = start};

	if (!vsc_ring_has_room(ring, align8(body_bytes) + TRAILER_BYTES))
		return -EAGAIN;
	at = copy_in(ring, start, &descriptor, DESCRIPTOR_BYTES);
	at = copy_in(ring, at, packet->header, packet->header_bytes);
	at = copy_in(ring, at, packet->payload, packet->payload_bytes);
	at = copy_in(ring, at, zeros, align8(body_bytes) - body_bytes);
	at = copy_in(ring, at, &trailer, TRAILER_BYTES);
	store(ring, WORD(write_index), at);
	*ret_signal =
		load(ring, WORD(interrupt_mask)) == 0 && load(ring, WORD(read_index)) == start;
	return 0;
}

/* Moves the read index on. True: the room crossed what the host said it waits for. */
static bool consume(struct vsc_ring *ring, uint32_t read_index, uint32_t size_bytes)
{
	uint32_t write_index, pending, used_before, used_after;

	store(ring, WORD(read_index), advance(ring, read_index, size_bytes));
	pending = load(ring, WORD(pending_send_bytes));
	if (!pending)
		return false;
	write_index = load(ring, WORD(write_index));
	if (!index_is_sound(ring, write_index))
		return false;
	used_after = used_bytes(ring, write_index, advance(ring, read_index, size_bytes));
	used_before = used_after + size_bytes;
	return ring->data_bytes - used_after > pending &&
	       (used_before >= ring->data_bytes || ring->data_bytes - used_before <= pending);
}

int vsc_ring_receive(struct vsc_ring *ring, void *buffer, size_t buffer_bytes,
	struct vsc_packet *ret_packet, bool *ret_signal)
{
	uint32_t write_index = load(ring, WORD(write_index));
	uint32_t read_index = load(ring, WORD(read_index));
	uint32_t available, packet_bytes, offset_bytes;
	struct vmbus_packet_descriptor descriptor;

	if (!index_is_sound(ring, write_index) || !index_is_sound(ring, read_index))
		return -EBADMSG;
	available = used_bytes(ring, write_index, read_index);
	if (available == 0)
		return -EAGAIN;
	if (available < DESCRIPTOR_BYTES + TRAILER_BYTES)
		return -EBADMSG;
	copy_out(ring, read_index, &descriptor, DESCRIPTOR_BYTES);
	packet_bytes = descriptor.length8 * 8U;
	offset_bytes = descriptor.offset8 * 8U;
	if (offset_bytes < DESCRIPTOR_BYTES || packet_bytes < offset_bytes ||
		packet_bytes + TRAILER_BYTES > available)
		return -EBADMSG;
	if (packet_bytes > buffer_bytes) {
		*ret_signal = consume(ring, read_index, packet_bytes + TRAILER_BYTES);
		return -EMSGSIZE;
	}
	copy_out(ring, read_index, buffer, packet_bytes);
	*ret_signal = consume(ring, read_index, packet_bytes + TRAILER_BYTES);
	*ret_packet = (struct vsc_packet){
		.type = descriptor.type,
		.completion_requested = descriptor.flags & VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
		.transaction_id = descriptor.transaction_id,
		.header = (uint8_t *)buffer + DESCRIPTOR_BYTES,
		.header_bytes = offset_bytes - DESCRIPTOR_BYTES,
		.payload = (uint8_t *)buffer + offset_bytes,
		.payload_bytes = packet_bytes - offset_bytes,
	};
	return 0;
}

void vsc_ring_mask(struct vsc_ring *ring, bool masked)
{
	store(ring, WORD(interrupt_mask), masked);
}

bool vsc_ring_is_empty(const struct vsc_ring *ring)
{
	return load(ring, WORD(write_index)) == load(ring, WORD(read_index));
}
