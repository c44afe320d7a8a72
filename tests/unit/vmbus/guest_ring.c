/* SPDX-License-Identifier: MIT */
#include "guest_ring.h"
#include "base/bitmap.h"
#include "base/bytes.h"

void guest_memory_init(struct guest_memory *memory, uint32_t n_pages)
{
	memory->n_pages = n_pages;
	memory->host = aligned_alloc(GPA_PAGE_SIZE, n_pages * GPA_PAGE_SIZE);
	if (!memory->host || gpa_space_new(&memory->space) ||
		gpa_space_add(memory->space, gpa(GUEST_MEMORY_BASE), n_pages * GPA_PAGE_SIZE,
			memory->host))
		abort();
	memset(memory->host, 0, n_pages * GPA_PAGE_SIZE);
}

void guest_memory_fini(struct guest_memory *memory)
{
	gpa_space_free(memory->space);
	free(memory->host);
}

uint64_t guest_pfn(uint32_t page)
{
	return GUEST_MEMORY_BASE / GPA_PAGE_SIZE + page;
}

uint8_t *guest_page(const struct guest_memory *memory, uint32_t page)
{
	return memory->host + page * GPA_PAGE_SIZE;
}

bool guest_page_is_dirty(const struct guest_memory *memory, uint32_t page)
{
	const uint64_t *word = &gpa_space_region(memory->space, 0)->dirty[page / 64];

	return __atomic_load_n(word, __ATOMIC_ACQUIRE) >> page % 64 & 1;
}

void guest_clean_pages(const struct guest_memory *memory)
{
	memset(gpa_space_region(memory->space, 0)->dirty, 0, BITMAP_WORDS(memory->n_pages) * 8);
}

uint32_t guest_ring_load(const struct guest_ring *ring, size_t field_offset)
{
	return __atomic_load_n((uint32_t *)(ring->pages[0] + field_offset), __ATOMIC_SEQ_CST);
}

void guest_ring_store(const struct guest_ring *ring, size_t field_offset, uint32_t value)
{
	__atomic_store_n((uint32_t *)(ring->pages[0] + field_offset), value, __ATOMIC_SEQ_CST);
}

uint32_t guest_ring_data_bytes(const struct guest_ring *ring)
{
	return (ring->n_pages - 1) * VMBUS_PAGE_BYTES;
}

void guest_ring_reset(const struct guest_ring *ring)
{
	ring_set(ring, write_index, 0);
	ring_set(ring, read_index, 0);
	ring_set(ring, interrupt_mask, 0);
	ring_set(ring, pending_send_bytes, 0);
	ring_set(ring, feature_bits, VMBUS_RING_FEATURE_PENDING_SEND_SIZE);
}

static uint8_t *at(const struct guest_ring *ring, uint32_t index)
{
	index %= guest_ring_data_bytes(ring);
	return ring->pages[1 + index / VMBUS_PAGE_BYTES] + index % VMBUS_PAGE_BYTES;
}

void guest_ring_poke(const struct guest_ring *ring, uint32_t index, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*at(ring, index + (uint32_t)i) = ((const uint8_t *)data)[i];
}

void guest_ring_peek(const struct guest_ring *ring, uint32_t index, void *ret_data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)ret_data)[i] = *at(ring, index + (uint32_t)i);
}

static uint32_t free_bytes(const struct guest_ring *ring, uint32_t read, uint32_t write)
{
	return read > write ? read - write : guest_ring_data_bytes(ring) - (write - read);
}

bool guest_ring_send(const struct guest_ring *ring, struct vmbus_packet_descriptor descriptor,
	const void *header, size_t header_bytes, const void *payload, size_t payload_bytes,
	bool *ret_signal)
{
	size_t length = ALIGN_UP(sizeof(descriptor) + header_bytes + payload_bytes, 8);
	uint32_t write = ring_get(ring, write_index);
	uint32_t read = ring_get(ring, read_index);
	uint32_t at_index = write, trailer[] = {0, write};

	if (free_bytes(ring, read, write) <= length + sizeof(trailer))
		return false;
	descriptor.offset8 = (uint16_t)((sizeof(descriptor) + header_bytes) / 8);
	descriptor.length8 = (uint16_t)(length / 8);
	guest_ring_poke(ring, at_index, &descriptor, sizeof(descriptor));
	at_index += (uint32_t)sizeof(descriptor);
	guest_ring_poke(ring, at_index, header, header_bytes);
	guest_ring_poke(ring, at_index + (uint32_t)header_bytes, payload, payload_bytes);
	guest_ring_poke(ring, write + (uint32_t)length, trailer, sizeof(trailer));
	ring_set(ring, write_index,
		(write + (uint32_t)(length + sizeof(trailer))) % guest_ring_data_bytes(ring));
	*ret_signal = !ring_get(ring, interrupt_mask) && ring_get(ring, read_index) == write;
	return true;
}

int guest_ring_recv(
	const struct guest_ring *ring, uint8_t *ret_packet, size_t capacity, bool *ret_signal)
{
	uint32_t write = ring_get(ring, write_index);
	uint32_t read = ring_get(ring, read_index);
	struct vmbus_packet_descriptor descriptor;
	uint32_t length, taken, after, pending, trailer[2];

	if (read == write)
		return 0;
	guest_ring_peek(ring, read, &descriptor, sizeof(descriptor));
	length = descriptor.length8 * 8U;
	if (length > capacity || length < sizeof(descriptor))
		return -1;
	guest_ring_peek(ring, read, ret_packet, length);
	guest_ring_peek(ring, read + length, trailer, sizeof(trailer));
	if (trailer[0] != 0 || trailer[1] != read)
		return -1;
	taken = length + (uint32_t)sizeof(trailer);
	read = (read + taken) % guest_ring_data_bytes(ring);
	ring_set(ring, read_index, read);
	pending = ring_get(ring, pending_send_bytes);
	/* Before and after by one look at the write index: with two, the line could be crossed in
	 * between, by the host, and nobody would be woken. */
	after = free_bytes(ring, read, ring_get(ring, write_index));
	*ret_signal = pending && after - taken <= pending && after > pending;
	return (int)length;
}
