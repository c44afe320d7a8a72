/* SPDX-License-Identifier: MIT */
#include "vmbus/packet.h"
#include "base/bytes.h"

#define MAX_PACKET_OUT_BYTES (UINT16_MAX * 8)

/* Ranges end where the payload begins. */
static int parse_ranges(struct reader in, struct vmbus_packet *packet)
{
	struct vmbus_gpa_direct_header header;

	reader_bytes(&in, &header, sizeof(header));
	if (!reader_ok(&in) || header.range_count > VMBUS_MAX_RANGES)
		return -EBADMSG;
	for (unsigned i = 0; i < header.range_count; i++) {
		struct vmbus_range *range = &packet->ranges[i];
		uint64_t n_pfns;

		range->byte_count = reader_le32(&in);
		range->byte_offset = reader_le32(&in);
		n_pfns = ((uint64_t)range->byte_offset + range->byte_count + VMBUS_PAGE_BYTES - 1) /
			 VMBUS_PAGE_BYTES;
		range->n_pfns = (uint32_t)n_pfns;
		range->pfns = reader_take(&in, n_pfns * sizeof(uint64_t));
	}
	if (!reader_ok(&in))
		return -EBADMSG;
	packet->n_ranges = header.range_count;
	return 0;
}

static int parse_packet(const uint8_t *bytes, const struct vmbus_packet_descriptor *descriptor,
	struct vmbus_packet *packet)
{
	const size_t at = sizeof(*descriptor);
	size_t offset = descriptor->offset8 * 8UL;

	packet->type = descriptor->type;
	packet->completion_requested = descriptor->flags & VMBUS_PACKET_FLAG_COMPLETION_REQUESTED;
	packet->transaction_id = descriptor->transaction_id;
	packet->payload = bytes + offset;
	packet->payload_bytes = descriptor->length8 * 8UL - offset;
	packet->n_ranges = 0;
	if (descriptor->type != VMBUS_PACKET_GPA_DIRECT)
		return 0;
	return parse_ranges(reader_make(bytes + at, offset - at), packet);
}

int packet_take(struct ring *ring, uint8_t *buffer, struct vmbus_packet *ret_packet)
{
	struct vmbus_packet_descriptor descriptor;
	uint32_t available, length;
	int err = ring_in_available(ring, &available);

	if (err)
		return err;
	if (available == 0)
		return -EAGAIN;
	if (available < sizeof(descriptor) + sizeof(struct vmbus_packet_trailer))
		return -EBADMSG;
	ring_in_copy(ring, 0, buffer, sizeof(descriptor));
	memcpy(&descriptor, buffer, sizeof(descriptor));
	length = descriptor.length8 * 8U;
	if (length > VMBUS_MAX_PACKET_BYTES ||
		length > available - sizeof(struct vmbus_packet_trailer) ||
		descriptor.offset8 * 8UL < sizeof(descriptor) ||
		descriptor.offset8 > descriptor.length8)
		return -EBADMSG;
	/* Only the rest: the descriptor was read once and stays as it was read. */
	ring_in_copy(
		ring, sizeof(descriptor), buffer + sizeof(descriptor), length - sizeof(descriptor));
	err = parse_packet(buffer, &descriptor, ret_packet);
	if (err)
		return err;
	ring_in_consume(ring, length + (uint32_t)sizeof(struct vmbus_packet_trailer));
	return 0;
}

size_t packet_ring_bytes(size_t headers_bytes, size_t payload_bytes)
{
	const size_t fixed = sizeof(struct vmbus_packet_descriptor);
	size_t length;

	if (headers_bytes > MAX_PACKET_OUT_BYTES || payload_bytes > MAX_PACKET_OUT_BYTES)
		return SIZE_MAX;
	length = ALIGN_UP(fixed + headers_bytes + payload_bytes, 8);
	if (length > MAX_PACKET_OUT_BYTES)
		return SIZE_MAX;
	return length + sizeof(struct vmbus_packet_trailer);
}

int packet_put(struct ring *ring, struct vmbus_packet_descriptor descriptor,
	const struct packet_header *headers, unsigned n_headers, const void *payload,
	size_t payload_bytes)
{
	struct vmbus_packet_trailer trailer = {.start_index = ring->own_index};
	uint8_t tail[7 + sizeof(trailer)] = {0};
	size_t headers_bytes = 0, ring_bytes, padding;
	int err;

	for (unsigned i = 0; i < n_headers; i++)
		headers_bytes += headers[i].size_bytes;
	ring_bytes = packet_ring_bytes(headers_bytes, payload_bytes);
	if (ring_bytes > UINT32_MAX)
		return -EMSGSIZE;
	err = ring_out_room(ring, (uint32_t)ring_bytes);
	if (err)
		return err;

	descriptor.offset8 = (uint16_t)((sizeof(descriptor) + headers_bytes) / 8);
	descriptor.length8 = (uint16_t)((ring_bytes - sizeof(trailer)) / 8);
	padding = -payload_bytes % 8;
	memcpy(tail + padding, &trailer, sizeof(trailer));
	ring_out_append(ring, &descriptor, sizeof(descriptor));
	for (unsigned i = 0; i < n_headers; i++)
		ring_out_append(ring, headers[i].data, headers[i].size_bytes);
	if (payload_bytes)
		ring_out_append(ring, payload, payload_bytes);
	ring_out_append(ring, tail, padding + sizeof(trailer));
	return 0;
}
