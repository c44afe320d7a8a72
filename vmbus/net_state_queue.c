/* SPDX-License-Identifier: MIT
 *
 * One queue of a saved NIC: what it has counted, the sections on their way to the guest, the packet
 * on its way to the port, waiting completions.
 */
#include "vmbus/net_state.h"

#define TX_MAX_SEGMENTS (ETH_FRAME_MAX_BYTES / NET_SEGMENT_MIN_BYTES + 1)

static void save_traffic(const struct net_traffic *traffic, struct buf *out)
{
	buf_le64(out, traffic->frames);
	buf_le64(out, traffic->bytes);
	buf_le64(out, traffic->multicast_frames);
	buf_le64(out, traffic->multicast_bytes);
	buf_le64(out, traffic->broadcast_frames);
	buf_le64(out, traffic->broadcast_bytes);
	buf_le64(out, traffic->dropped);
}

static void restore_traffic(struct net_traffic *traffic, struct reader *in)
{
	traffic->frames = reader_le64(in);
	traffic->bytes = reader_le64(in);
	traffic->multicast_frames = reader_le64(in);
	traffic->multicast_bytes = reader_le64(in);
	traffic->broadcast_frames = reader_le64(in);
	traffic->broadcast_bytes = reader_le64(in);
	traffic->dropped = reader_le64(in);
}

void net_state_save_stats(const struct net_stats *stats, struct buf *out)
{
	save_traffic(&stats->tx, out);
	save_traffic(&stats->rx, out);
	buf_le64(out, stats->n_protocol_errors);
}

void net_state_restore_stats(struct net_stats *stats, struct reader *in)
{
	restore_traffic(&stats->tx, in);
	restore_traffic(&stats->rx, in);
	stats->n_protocol_errors = reader_le64(in);
}

static void save_filled(const struct net_rx_queue *queue, struct buf *out)
{
	buf_le32(out, queue->n_entries);
	for (unsigned i = 0; i < queue->n_entries; i++) {
		const struct net_rx_entry *entry =
			&queue->entries[(queue->first + i) % NET_RX_QUEUE_MAX];

		buf_le32(out, entry->section);
		buf_le32(out, entry->size_bytes);
		buf_u8(out, (uint8_t)entry->n_parts);
	}
}

static int restore_filled(struct net_rx_queue *queue, struct net_recv_buf *recv, struct reader *in)
{
	uint32_t n_entries = net_state_up_to(in, NET_RX_QUEUE_MAX);
	uint32_t n_parts_left = 0;

	if (n_entries && !net_recv_buf_ready(recv))
		return -EBADMSG;
	for (uint32_t i = 0; i < n_entries; i++) {
		struct net_rx_entry *entry = &queue->entries[i];

		entry->section = reader_le32(in);
		entry->size_bytes = net_state_up_to(in, recv->section_bytes);
		entry->n_parts = reader_u8(in);
		/* The parts of a frame follow its first, and all are there. */
		if (n_parts_left == 0)
			n_parts_left = entry->n_parts;
		else if (entry->n_parts)
			return -EBADMSG;
		if (!reader_ok(in) || n_parts_left == 0 || n_parts_left > n_entries - i ||
			n_parts_left > NET_PACKET_MAX_SECTIONS ||
			net_recv_buf_take_exact(recv, entry->section))
			return -EBADMSG;
		n_parts_left--;
	}
	queue->n_entries = n_entries;
	return net_state_result(in);
}

static void save_tx(const struct net_tx *tx, struct buf *out)
{
	buf_u8(out, tx->busy);
	if (!tx->busy)
		return;
	buf_u8(out, tx->packet.completion_requested);
	buf_le64(out, tx->packet.transaction_id);
	buf_le32(out, tx->section);
	buf_le32(out, tx->section_bytes);
	buf_le32(out, tx->packet.n_ranges);
	for (unsigned i = 0; i < tx->packet.n_ranges; i++) {
		const struct vmbus_range *range = &tx->packet.ranges[i];

		buf_le32(out, range->byte_count);
		buf_le32(out, range->byte_offset);
		buf_le32(out, range->n_pfns);
		buf_bytes(out, range->pfns, range->n_pfns * sizeof(uint64_t));
	}
	buf_le32(out, tx->n_messages);
	buf_le32(out, tx->message_at);
	buf_le32(out, tx->n_sent);
}

/* Its PFNs go into own_pfns, of which `used` are taken. */
static int restore_range(
	struct net_tx *tx, struct vmbus_range *range, size_t *used, struct reader *in)
{
	const size_t max_pfns = VMBUS_MAX_PACKET_BYTES / sizeof(uint64_t);
	uint64_t need;

	range->byte_count = reader_le32(in);
	range->byte_offset = reader_le32(in);
	range->n_pfns = net_state_up_to(in, (uint32_t)(max_pfns - *used));
	range->pfns = tx->own_pfns + *used * sizeof(uint64_t);
	reader_bytes(in, tx->own_pfns + *used * sizeof(uint64_t), range->n_pfns * sizeof(uint64_t));
	*used += range->n_pfns;
	need = ((uint64_t)range->byte_offset + range->byte_count + GPA_PAGE_SIZE - 1) /
	       GPA_PAGE_SIZE;
	if (!reader_ok(in) || range->n_pfns != need)
		return -EBADMSG;
	return 0;
}

static int restore_tx(struct net_queue *queue, struct reader *in)
{
	const struct net_tx_source source = {queue->channel, &queue->vsp->send};
	struct nvsp_send_rndis_pkt message = {.type = NVSP_SEND_RNDIS_PKT};
	struct vmbus_packet *packet = &queue->tx.packet;
	struct net_tx *tx = &queue->tx;
	size_t used = 0;
	int r;

	if (!net_state_bool(in))
		return net_state_result(in);
	*packet = (struct vmbus_packet){.type = VMBUS_PACKET_GPA_DIRECT};
	packet->completion_requested = net_state_bool(in);
	packet->transaction_id = reader_le64(in);
	message.send_section_index = reader_le32(in);
	message.send_section_size = reader_le32(in);
	packet->n_ranges = net_state_up_to(in, VMBUS_MAX_RANGES);
	tx->own_pfns = malloc(VMBUS_MAX_PACKET_BYTES);
	if (!tx->own_pfns)
		return -ENOMEM;
	for (unsigned i = 0; i < packet->n_ranges; i++) {
		r = restore_range(tx, &packet->ranges[i], &used, in);
		if (r)
			return r;
	}
	r = net_tx_begin(tx, &source, &message);
	if (r)
		return r;
	tx->n_messages = net_state_up_to(in, NET_RNDIS_PACKETS_PER_MESSAGE);
	tx->message_at = net_state_up_to(in, tx->total_bytes);
	tx->n_sent = net_state_up_to(in, TX_MAX_SEGMENTS);
	return net_state_result(in);
}

static void save_completions(const struct net_queue *queue, struct buf *out)
{
	buf_le32(out, queue->n_completions);
	for (unsigned i = 0; i < queue->n_completions; i++) {
		const struct net_completion *completion = &queue->completions[i];

		buf_le64(out, completion->transaction_id);
		buf_le32(out, completion->size_bytes);
		buf_bytes(out, completion->bytes, completion->size_bytes);
	}
}

static int restore_completions(struct net_queue *queue, struct reader *in)
{
	queue->n_completions = net_state_up_to(in, NET_MAX_COMPLETIONS);
	for (unsigned i = 0; i < queue->n_completions; i++) {
		struct net_completion *completion = &queue->completions[i];

		completion->transaction_id = reader_le64(in);
		completion->size_bytes = net_state_up_to(in, sizeof(completion->bytes));
		reader_bytes(in, completion->bytes, completion->size_bytes);
	}
	return net_state_result(in);
}

void net_state_save_queue(const struct net_queue *queue, struct buf *out)
{
	buf_u8(out, queue->broken);
	save_filled(&queue->rx, out);
	save_tx(&queue->tx, out);
	save_completions(queue, out);
}

int net_state_restore_queue(struct net_queue *queue, struct reader *in)
{
	int r;

	queue->broken = net_state_bool(in);
	queue->rx.broken = queue->broken;
	r = restore_filled(&queue->rx, &queue->vsp->recv, in);
	if (r == 0)
		r = restore_tx(queue, in);
	if (r == 0)
		r = restore_completions(queue, in);
	return r;
}
