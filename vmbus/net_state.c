/* SPDX-License-Identifier: MIT
 *
 * The saved NIC, in this order: what must be the same on the other side (MAC, MTU), counters, link,
 * phase; then, unless closed, NVSP, RNDIS, the two buffers with everything outstanding, the frame
 * and the sections on their way to the guest, the packet on its way to the port, waiting
 * completions.
 */
#include "vmbus/net_vsp.h"

#include "base/bytes.h"

#define TX_MAX_SEGMENTS (ETH_FRAME_MAX_BYTES / NET_SEGMENT_MIN_BYTES + 1)
#define RXCSUM_KNOWN    (RNDIS_RXCSUM_TCP_OK | RNDIS_RXCSUM_UDP_OK | RNDIS_RXCSUM_IP_OK)

static void save_stats(const struct net_stats *stats, struct buf *out)
{
	buf_le64(out, stats->tx_frames);
	buf_le64(out, stats->tx_bytes);
	buf_le64(out, stats->tx_dropped);
	buf_le64(out, stats->rx_frames);
	buf_le64(out, stats->rx_bytes);
	buf_le64(out, stats->rx_dropped);
	buf_le64(out, stats->n_protocol_errors);
}

static void restore_stats(struct net_stats *stats, struct reader *in)
{
	stats->tx_frames = reader_le64(in);
	stats->tx_bytes = reader_le64(in);
	stats->tx_dropped = reader_le64(in);
	stats->rx_frames = reader_le64(in);
	stats->rx_bytes = reader_le64(in);
	stats->rx_dropped = reader_le64(in);
	stats->n_protocol_errors = reader_le64(in);
}

/* Anything but 0 and 1 spoils the reader. */
static bool read_bool(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > 1;
	return v == 1;
}

/* So does a number above `max`. */
static uint32_t read_up_to(struct reader *in, uint32_t max)
{
	uint32_t v = reader_le32(in);

	if (v <= max)
		return v;
	in->failed = true;
	return 0;
}

static int reader_result(const struct reader *in)
{
	return reader_ok(in) ? 0 : -EBADMSG;
}

static void save_nvsp(const struct net_vsp *vsp, struct buf *out)
{
	buf_u8(out, vsp->broken);
	buf_le32(out, vsp->version);
	buf_le32(out, vsp->guest_frame_bytes);
	buf_le64(out, vsp->guest_caps);
}

static int restore_nvsp(struct net_vsp *vsp, struct reader *in)
{
	vsp->broken = read_bool(in);
	vsp->version = reader_le32(in);
	vsp->guest_frame_bytes = reader_le32(in);
	vsp->guest_caps = reader_le64(in);
	if ((vsp->phase == NET_OPEN) != (vsp->version == 0))
		return -EBADMSG;
	if (vsp->version && !net_vsp_has_version(vsp->version))
		return -EBADMSG;
	return reader_result(in);
}

static void save_offload(const struct net_offload *offload, struct buf *out)
{
	buf_u8(out, offload->ip4);
	buf_u8(out, offload->tcp4);
	buf_u8(out, offload->udp4);
	buf_u8(out, offload->tcp6);
	buf_u8(out, offload->udp6);
	buf_u8(out, offload->lso4);
	buf_u8(out, offload->lso6);
}

static uint8_t read_csum(struct reader *in)
{
	uint8_t v = reader_u8(in);

	in->failed |= v > NET_OFFLOAD_BOTH;
	return v;
}

static void restore_offload(struct net_offload *offload, struct reader *in)
{
	offload->ip4 = read_csum(in);
	offload->tcp4 = read_csum(in);
	offload->udp4 = read_csum(in);
	offload->tcp6 = read_csum(in);
	offload->udp6 = read_csum(in);
	offload->lso4 = read_bool(in);
	offload->lso6 = read_bool(in);
}

static void save_rndis(const struct net_rndis *rndis, struct buf *out)
{
	buf_le32(out, rndis->ndis_version);
	buf_u8(out, rndis->ready);
	buf_u8(out, rndis->link_told);
	buf_u8(out, rndis->link_repeat);
	buf_le32(out, rndis->packet_filter);
	buf_bytes(out, rndis->mac, sizeof(rndis->mac));
	save_offload(&rndis->offload, out);
	buf_le32(out, rndis->n_answers);
	for (unsigned i = 0; i < rndis->n_answers; i++) {
		unsigned slot = (rndis->first_answer + i) % NET_RNDIS_MAX_ANSWERS;

		buf_le32(out, rndis->answers[slot].size_bytes);
		buf_bytes(out, rndis->answers[slot].bytes, rndis->answers[slot].size_bytes);
	}
}

static int restore_rndis(struct net_rndis *rndis, struct reader *in)
{
	rndis->ndis_version = reader_le32(in);
	rndis->ready = read_bool(in);
	rndis->link_told = read_bool(in);
	rndis->link_repeat = read_bool(in);
	rndis->packet_filter = reader_le32(in);
	reader_bytes(in, rndis->mac, sizeof(rndis->mac));
	restore_offload(&rndis->offload, in);
	rndis->first_answer = 0;
	rndis->n_answers = read_up_to(in, NET_RNDIS_MAX_ANSWERS);
	for (unsigned i = 0; i < rndis->n_answers; i++) {
		struct net_rndis_answer *answer = &rndis->answers[i];

		answer->size_bytes = read_up_to(in, sizeof(answer->bytes));
		reader_bytes(in, answer->bytes, answer->size_bytes);
	}
	if (rndis->packet_filter && !rndis->ready)
		return -EBADMSG;
	return reader_result(in);
}

static void save_recv_buf(const struct net_recv_buf *recv, struct buf *out)
{
	uint32_t sections[NET_PACKET_MAX_SECTIONS];

	buf_le32(out, recv->generation);
	buf_u8(out, net_recv_buf_ready(recv));
	if (!net_recv_buf_ready(recv))
		return;
	buf_le32(out, recv->gpadl_id);
	buf_le16(out, recv->id);
	buf_le32(out, recv->section_bytes);
	buf_le32(out, recv->n_sections);
	buf_le32(out, recv->n_outstanding);
	for (uint32_t i = 0; i < recv->n_sections; i++) {
		unsigned n = net_recv_buf_packet(recv, i, sections);

		if (n == 0)
			continue;
		buf_le32(out, n);
		for (unsigned k = 0; k < n; k++)
			buf_le32(out, sections[k]);
	}
}

/* One packet that the guest has not completed. */
static int restore_outstanding(struct net_recv_buf *recv, struct reader *in)
{
	uint32_t sections[NET_PACKET_MAX_SECTIONS];
	uint32_t n = read_up_to(in, NET_PACKET_MAX_SECTIONS);

	if (n == 0)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		sections[i] = reader_le32(in);
		if (!reader_ok(in) || net_recv_buf_take_exact(recv, sections[i]))
			return -EBADMSG;
	}
	net_recv_buf_give(recv, sections, n);
	return 0;
}

static int restore_recv_buf(struct net_vsp *vsp, struct reader *in)
{
	uint32_t generation = reader_le32(in);
	const struct vmbus_gpadl *gpadl;
	uint32_t gpadl_id, section_bytes, n_sections, n_outstanding;
	uint16_t id;
	int r;

	vsp->recv.generation = generation;
	if (!read_bool(in))
		return reader_result(in);
	gpadl_id = reader_le32(in);
	id = reader_le16(in);
	section_bytes = reader_le32(in);
	n_sections = read_up_to(in, NET_RECV_MAX_SECTIONS);
	n_outstanding = read_up_to(in, n_sections);
	if (!reader_ok(in) || section_bytes < NET_RECV_SECTION_MIN_BYTES ||
		vmbus_channel_gpadl(vsp->channel, gpadl_id, &gpadl))
		return -EBADMSG;
	r = net_recv_buf_set(&vsp->recv, gpadl, gpadl_id, id, section_bytes);
	if (r)
		return r == -ENOMEM ? r : -EBADMSG;
	vsp->recv.generation = generation;
	if (vsp->recv.n_sections != n_sections)
		return -EBADMSG;
	for (; n_outstanding; n_outstanding--) {
		r = restore_outstanding(&vsp->recv, in);
		if (r)
			return r;
	}
	return 0;
}

static void save_send_buf(const struct net_send_buf *send, struct buf *out)
{
	buf_u8(out, send->gpadl != NULL);
	if (!send->gpadl)
		return;
	buf_le32(out, send->gpadl_id);
	buf_le16(out, send->id);
	buf_le32(out, send->section_bytes);
	buf_le32(out, send->n_sections);
}

static int restore_send_buf(struct net_vsp *vsp, struct reader *in)
{
	const struct vmbus_gpadl *gpadl;
	uint32_t gpadl_id, section_bytes, n_sections;
	uint16_t id;

	if (!read_bool(in))
		return reader_result(in);
	gpadl_id = reader_le32(in);
	id = reader_le16(in);
	section_bytes = reader_le32(in);
	n_sections = reader_le32(in);
	if (!reader_ok(in) || vmbus_channel_gpadl(vsp->channel, gpadl_id, &gpadl) ||
		net_send_buf_set(&vsp->send, gpadl, gpadl_id, id, section_bytes) ||
		vsp->send.section_bytes != section_bytes || vsp->send.n_sections != n_sections)
		return -EBADMSG;
	return 0;
}

static void save_rx(const struct net_rx *rx, struct buf *out)
{
	buf_u8(out, rx->holding);
	if (rx->holding) {
		buf_u8(out, rx->tagged);
		buf_le16(out, rx->tci);
		buf_le32(out, rx->checksum);
		buf_le16(out, rx->gso_bytes);
		buf_le32(out, rx->n_done);
		buf_le32(out, rx->frame_bytes);
		buf_bytes(out, rx->frame + rx->frame_at, rx->frame_bytes);
	}
	buf_le32(out, rx->n_filled);
	for (unsigned i = 0; i < rx->n_filled; i++) {
		buf_le32(out, rx->filled[i]);
		buf_le32(out, rx->filled_bytes[i]);
	}
}

static int restore_held_frame(struct net_rx *rx, struct reader *in)
{
	rx->tagged = read_bool(in);
	rx->tci = reader_le16(in);
	rx->checksum = reader_le32(in);
	rx->gso_bytes = reader_le16(in);
	rx->n_done = reader_le32(in);
	rx->frame_at = 0;
	rx->frame_bytes = read_up_to(in, sizeof(rx->frame));
	reader_bytes(in, rx->frame, rx->frame_bytes);
	if (!reader_ok(in) || rx->frame_bytes < ETH_HEADER_BYTES || rx->checksum & ~RXCSUM_KNOWN)
		return -EBADMSG;
	return net_rx_resume(rx);
}

static int restore_rx(struct net_vsp *vsp, struct reader *in)
{
	struct net_rx *rx = &vsp->rx;
	int r;

	rx->holding = read_bool(in);
	r = rx->holding ? restore_held_frame(rx, in) : 0;
	if (r)
		return r;
	rx->n_filled = read_up_to(in, NET_PACKET_MAX_SECTIONS);
	if ((rx->holding || rx->n_filled) && !net_recv_buf_ready(&vsp->recv))
		return -EBADMSG;
	for (unsigned i = 0; i < rx->n_filled; i++) {
		rx->filled[i] = reader_le32(in);
		rx->filled_bytes[i] = read_up_to(in, vsp->recv.section_bytes);
		if (!reader_ok(in) || net_recv_buf_take_exact(&vsp->recv, rx->filled[i]))
			return -EBADMSG;
	}
	if (net_recv_buf_ready(&vsp->recv))
		net_recv_buf_collect_free(&vsp->recv);
	return reader_result(in);
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
	range->n_pfns = read_up_to(in, (uint32_t)(max_pfns - *used));
	range->pfns = tx->own_pfns + *used * sizeof(uint64_t);
	reader_bytes(in, tx->own_pfns + *used * sizeof(uint64_t), range->n_pfns * sizeof(uint64_t));
	*used += range->n_pfns;
	need = ((uint64_t)range->byte_offset + range->byte_count + GPA_PAGE_SIZE - 1) /
	       GPA_PAGE_SIZE;
	if (!reader_ok(in) || range->n_pfns != need)
		return -EBADMSG;
	return 0;
}

static int restore_tx(struct net_vsp *vsp, struct reader *in)
{
	const struct net_tx_source source = {.channel = vsp->channel, .send = &vsp->send};
	struct nvsp_send_rndis_pkt message = {.type = NVSP_SEND_RNDIS_PKT};
	struct vmbus_packet *packet = &vsp->tx.packet;
	struct net_tx *tx = &vsp->tx;
	size_t used = 0;
	int r;

	if (!read_bool(in))
		return reader_result(in);
	*packet = (struct vmbus_packet){.type = VMBUS_PACKET_GPA_DIRECT};
	packet->completion_requested = read_bool(in);
	packet->transaction_id = reader_le64(in);
	message.send_section_index = reader_le32(in);
	message.send_section_size = reader_le32(in);
	packet->n_ranges = read_up_to(in, VMBUS_MAX_RANGES);
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
	tx->n_messages = read_up_to(in, NET_RNDIS_PACKETS_PER_MESSAGE);
	tx->message_at = read_up_to(in, tx->total_bytes);
	tx->n_sent = read_up_to(in, TX_MAX_SEGMENTS);
	return reader_result(in);
}

static void save_completions(const struct net_vsp *vsp, struct buf *out)
{
	buf_le32(out, vsp->n_completions);
	for (unsigned i = 0; i < vsp->n_completions; i++) {
		const struct net_completion *completion = &vsp->completions[i];

		buf_le64(out, completion->transaction_id);
		buf_le32(out, completion->size_bytes);
		buf_bytes(out, completion->bytes, completion->size_bytes);
	}
}

static int restore_completions(struct net_vsp *vsp, struct reader *in)
{
	vsp->n_completions = read_up_to(in, NET_MAX_COMPLETIONS);
	for (unsigned i = 0; i < vsp->n_completions; i++) {
		struct net_completion *completion = &vsp->completions[i];

		completion->transaction_id = reader_le64(in);
		completion->size_bytes = read_up_to(in, sizeof(completion->bytes));
		reader_bytes(in, completion->bytes, completion->size_bytes);
	}
	return reader_result(in);
}

void net_vsp_save(const struct net_vsp *vsp, struct buf *out)
{
	buf_bytes(out, vsp->config.mac, sizeof(vsp->config.mac));
	buf_le32(out, vsp->config.mtu_bytes);
	save_stats(&vsp->stats, out);
	buf_u8(out, vsp->rndis.link_up);
	buf_u8(out, (uint8_t)vsp->phase);
	if (vsp->phase == NET_CLOSED)
		return;
	save_nvsp(vsp, out);
	save_rndis(&vsp->rndis, out);
	save_recv_buf(&vsp->recv, out);
	save_send_buf(&vsp->send, out);
	save_rx(&vsp->rx, out);
	save_tx(&vsp->tx, out);
	save_completions(vsp, out);
}

static int restore_open(struct net_vsp *vsp, struct reader *in)
{
	int r;

	r = restore_nvsp(vsp, in);
	if (r == 0)
		r = restore_rndis(&vsp->rndis, in);
	if (r == 0)
		r = restore_recv_buf(vsp, in);
	if (r == 0)
		r = restore_send_buf(vsp, in);
	if (r == 0)
		r = restore_rx(vsp, in);
	if (r == 0)
		r = restore_tx(vsp, in);
	if (r == 0)
		r = restore_completions(vsp, in);
	return r;
}

int net_vsp_restore(struct net_vsp *vsp, struct reader *in, struct vmbus_channel *channel)
{
	uint8_t mac[ETH_ADDR_LEN];
	uint32_t mtu_bytes;
	struct net_stats stats;
	uint8_t phase;
	bool link_up;
	int r = 0;

	reader_bytes(in, mac, sizeof(mac));
	mtu_bytes = reader_le32(in);
	restore_stats(&stats, in);
	link_up = read_bool(in);
	phase = reader_u8(in);
	if (!reader_ok(in) || phase > NET_NEGOTIATED || (phase == NET_CLOSED) != !channel ||
		memcmp(mac, vsp->config.mac, sizeof(mac)) || mtu_bytes != vsp->config.mtu_bytes)
		return -EBADMSG;

	vsp->rndis.link_up = link_up;
	if (phase != NET_CLOSED) {
		net_vsp_open(vsp, channel);
		vsp->phase = phase;
		r = restore_open(vsp, in);
	}
	if (r)
		net_vsp_close(vsp);
	else
		vsp->stats = stats;
	return r;
}
