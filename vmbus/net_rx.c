/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rx.h"

#include "base/bytes.h"
#include "vmbus/net_ppi.h"

/* A tag, a checksum, a hash, and which part of a coalesced packet. */
#define HEAD_BYTES      (sizeof(struct rndis_packet) + 4 * sizeof(struct rndis_ppi_u32))
#define PART_HEAD_BYTES (sizeof(struct rndis_packet) + sizeof(struct rndis_ppi_u32))

/* One frame for the guest, or a part of one, in pieces. */
struct piece {
	const uint8_t *header; /* may be NULL */
	size_t header_bytes;
	const uint8_t *payload;
	size_t payload_bytes;
};

/* Which part; neither: the whole. */
struct part {
	bool first, last;
};

uint32_t net_rx_section_bytes(uint32_t mtu_bytes)
{
	uint32_t bytes = (uint32_t)HEAD_BYTES + ETH_HEADER_BYTES + ETH_TAG_BYTES + mtu_bytes;

	return ALIGN_UP(MAX(bytes, (uint32_t)NET_RECV_SECTION_MIN_BYTES), 8U);
}

void net_rx_drop(struct net_rx *rx)
{
	rx->holding = false;
	rx->touched = 0;
	for (unsigned i = 0; i < NET_MAX_QUEUES && rx->sink.queues[i]; i++)
		net_rx_queue_drop(rx->sink.queues[i], rx->sink.recv);
}

/* RNDIS header and per-packet information for `data_bytes` of frame. Only the first part of a
 * coalesced packet has what is said of the whole. Returns their size. */
static size_t make_head(
	const struct net_rx *rx, const struct part *part, size_t data_bytes, uint8_t *head)
{
	struct rndis_packet packet = {.type = RNDIS_PACKET};
	size_t head_bytes = sizeof(packet);

	if (!part || part->first) {
		if (rx->tagged)
			net_ppi_append(
				head, &head_bytes, RNDIS_PPI_8021Q, net_ppi_vlan_from_tci(rx->tci));
		if (rx->checksum)
			net_ppi_append(head, &head_bytes, RNDIS_PPI_CHECKSUM, rx->checksum);
		if (rx->hashed)
			net_ppi_append(head, &head_bytes, RNDIS_PPI_HASH_VALUE, rx->hash);
	}
	if (part)
		net_ppi_append(head, &head_bytes, RNDIS_PPI_PACKET_ID,
			net_ppi_packet_id(rx->next_packet_id, part->first, part->last));

	packet.length = (uint32_t)(head_bytes + data_bytes);
	packet.data_offset = (uint32_t)head_bytes - RNDIS_BODY_AT;
	packet.data_length = (uint32_t)data_bytes;
	packet.ppi_length = (uint32_t)(head_bytes - sizeof(packet));
	packet.ppi_offset = packet.ppi_length ? sizeof(packet) - RNDIS_BODY_AT : 0;
	memcpy(head, &packet, sizeof(packet));
	return head_bytes;
}

/* Head, header, payload and zeros up to the smallest frame, one behind the other. */
static int write_section(struct net_recv_buf *recv, uint32_t section, const uint8_t *head,
	size_t head_bytes, const struct piece *piece, size_t padding_bytes)
{
	static const uint8_t zeros[ETH_MIN_FRAME_BYTES];
	const struct iovec pieces[] = {
		{(void *)(uintptr_t)head, head_bytes},
		{(void *)(uintptr_t)piece->header, piece->header_bytes},
		{(void *)(uintptr_t)piece->payload, piece->payload_bytes},
		{(void *)(uintptr_t)zeros, padding_bytes},
	};
	uint32_t at = section * recv->section_bytes;

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		int r;

		if (pieces[i].iov_len == 0)
			continue;
		r = vmbus_gpadl_write(recv->gpadl, at, pieces[i].iov_base, pieces[i].iov_len);
		if (r)
			return r;
		at += (uint32_t)pieces[i].iov_len;
	}
	return 0;
}

/* The queue of the frame under way, with room for so many sections. NULL: wait. */
static struct net_rx_queue *find_queue(struct net_rx *rx, unsigned n_sections)
{
	struct net_rx_queue *queue = rx->sink.queues[rx->queue];

	if (!queue || !net_rx_queue_is_open(queue))
		queue = rx->sink.queues[0];
	return net_rx_queue_has_room(queue, n_sections) ? queue : NULL;
}

static void hand_over(struct net_rx *rx, struct net_rx_queue *queue,
	const struct net_rx_entry *entries, unsigned n_entries, size_t frame_bytes)
{
	net_traffic_count(queue->traffic, rx->frame + rx->frame_at, frame_bytes);
	net_rx_queue_put(queue, entries, n_entries);
	if (queue->index)
		rx->touched |= 1U << queue->index;
}

static void drop_frame(struct net_rx *rx)
{
	rx->sink.queues[0]->traffic->dropped++;
}

/* 0: in a section, or dropped because it cannot be; -EAGAIN. */
static int deliver(struct net_rx *rx, const struct piece *piece)
{
	struct net_recv_buf *recv = rx->sink.recv;
	size_t size_bytes = piece->header_bytes + piece->payload_bytes;
	size_t data_bytes = MAX(size_bytes, (size_t)ETH_MIN_FRAME_BYTES);
	struct net_rx_queue *queue = find_queue(rx, 1);
	struct net_rx_entry entry = {.n_parts = 1};
	uint8_t head[HEAD_BYTES];
	size_t head_bytes = make_head(rx, NULL, data_bytes, head);

	if (!queue)
		return -EAGAIN;
	if (head_bytes + data_bytes > recv->section_bytes) {
		drop_frame(rx);
		return 0;
	}
	if (net_recv_buf_take(recv, false, 1, &entry.section))
		return -EAGAIN;
	if (write_section(recv, entry.section, head, head_bytes, piece, data_bytes - size_bytes)) {
		net_recv_buf_put_back(recv, &entry.section, 1);
		drop_frame(rx);
		return 0;
	}
	entry.size_bytes = (uint32_t)(head_bytes + data_bytes);
	hand_over(rx, queue, &entry, 1, size_bytes);
	return 0;
}

/* How much of a frame the first section of a coalesced packet takes. */
static size_t first_part_bytes(const struct net_rx *rx)
{
	static const struct part first = {.first = true};
	uint8_t head[HEAD_BYTES];

	return rx->sink.recv->section_bytes - make_head(rx, &first, 0, head);
}

static unsigned count_parts(const struct net_rx *rx)
{
	size_t frame_bytes = rx->segmenter.layers.end_at;
	size_t first_bytes = first_part_bytes(rx);
	size_t other_bytes = rx->sink.recv->section_bytes - PART_HEAD_BYTES;

	if (frame_bytes <= first_bytes)
		return 1;
	return (unsigned)(1 + (frame_bytes - first_bytes + other_bytes - 1) / other_bytes);
}

/* Not one that was begun in segments, nor one whose checksum only its sender could make. */
static bool can_coalesce(const struct net_rx *rx)
{
	const struct net_layers *layers = &rx->segmenter.layers;
	const struct net_offload *offload = &rx->sink.rndis->offload;
	unsigned n_parts;

	if (!(layers->ipv6 ? offload->rsc6 : offload->rsc4) || rx->n_done || layers->routed ||
		rx->segmenter.n_segments < 2)
		return false;
	n_parts = count_parts(rx);
	return n_parts <= NET_PACKET_MAX_SECTIONS &&
	       n_parts <= net_recv_buf_capacity(rx->sink.recv);
}

/* A super-frame comes with lengths that are right, but without checksums. */
static void complete_checksums(struct net_rx *rx)
{
	const struct net_layers *layers = &rx->segmenter.layers;
	uint8_t *frame = rx->frame + rx->frame_at;
	uint8_t *field = frame + layers->l4_at + NET_TCP_CHECKSUM_AT;
	size_t l4_bytes = layers->end_at - layers->l4_at;
	uint16_t checksum;

	if (!layers->ipv6)
		net_ip4_checksum_write(frame + layers->ip_at);
	memset(field, 0, sizeof(checksum));
	checksum = net_sum_finish(
		net_sum(net_sum_pseudo(frame, layers, l4_bytes), frame + layers->l4_at, l4_bytes));
	memcpy(field, &checksum, sizeof(checksum));
}

static int write_parts(struct net_rx *rx, struct net_rx_entry *entries, unsigned n_parts)
{
	struct net_recv_buf *recv = rx->sink.recv;
	const uint8_t *frame = rx->frame + rx->frame_at;
	size_t left_bytes = rx->segmenter.layers.end_at;
	size_t room_bytes = first_part_bytes(rx);

	for (unsigned i = 0; i < n_parts; i++) {
		const struct part part = {.first = i == 0, .last = i + 1 == n_parts};
		const struct piece piece = {
			.payload = frame, .payload_bytes = MIN(left_bytes, room_bytes)};
		uint8_t head[HEAD_BYTES];
		size_t head_bytes = make_head(rx, &part, piece.payload_bytes, head);
		int r = write_section(recv, entries[i].section, head, head_bytes, &piece, 0);

		if (r)
			return r;
		entries[i].size_bytes = (uint32_t)(head_bytes + piece.payload_bytes);
		entries[i].n_parts = i == 0 ? n_parts : 0;
		frame += piece.payload_bytes;
		left_bytes -= piece.payload_bytes;
		room_bytes = recv->section_bytes - PART_HEAD_BYTES;
	}
	return 0;
}

/* The super-frame under way as one packet. 0, -EAGAIN. */
static int deliver_coalesced(struct net_rx *rx)
{
	struct net_recv_buf *recv = rx->sink.recv;
	unsigned n_parts = count_parts(rx);
	struct net_rx_queue *queue = find_queue(rx, n_parts);
	struct net_rx_entry entries[NET_PACKET_MAX_SECTIONS];
	uint32_t sections[NET_PACKET_MAX_SECTIONS];

	if (!queue || net_recv_buf_take(recv, false, n_parts, sections))
		return -EAGAIN;
	for (unsigned i = 0; i < n_parts; i++)
		entries[i].section = sections[i];
	complete_checksums(rx);
	if (write_parts(rx, entries, n_parts)) {
		net_recv_buf_put_back(recv, sections, n_parts);
		drop_frame(rx);
		return 0;
	}
	rx->next_packet_id++;
	hand_over(rx, queue, entries, n_parts, rx->segmenter.layers.end_at);
	return 0;
}

static int deliver_segments(struct net_rx *rx)
{
	for (; rx->n_done < rx->segmenter.n_segments; rx->n_done++) {
		struct net_segment segment;
		struct piece piece;
		int r;

		net_segment_make(&rx->segmenter, rx->n_done, &segment);
		piece = (struct piece){segment.header, segment.header_bytes, segment.payload,
			segment.payload_bytes};
		r = deliver(rx, &piece);
		if (r)
			return r;
	}
	return 0;
}

static int deliver_held(struct net_rx *rx)
{
	const struct piece whole = {
		.payload = rx->frame + rx->frame_at,
		.payload_bytes = rx->frame_bytes,
	};
	int r;

	if (rx->gso_bytes == 0)
		r = deliver(rx, &whole);
	else if (can_coalesce(rx))
		r = deliver_coalesced(rx);
	else
		r = deliver_segments(rx);
	rx->holding = r != 0;
	return r;
}

/* Again and again, as long as sending what fills queue 0 - whose worker this is - helps. */
static int deliver_and_send(struct net_rx *rx)
{
	struct net_rx_queue *own = rx->sink.queues[0];
	int r;

	while ((r = deliver_held(rx)) == -EAGAIN) {
		bool sent = false;
		int sent_r;

		if (own->n_entries == 0)
			break;
		sent_r = net_rx_queue_send(own, rx->sink.recv, &sent);
		if (sent_r && sent_r != -EAGAIN)
			return sent_r;
		if (!sent)
			break;
	}
	return r;
}

/* The tag of the switch travels beside the frame; a second one is the guest's own. */
static void strip_tag(struct net_rx *rx, struct eth_hdr *hdr)
{
	rx->frame_at = 0;
	rx->tagged = rx->frame_bytes >= ETH_HEADER_BYTES + ETH_TAG_BYTES &&
		     load_be16(rx->frame + NET_ADDRESSES_BYTES) == NET_ETHERTYPE_8021Q;
	if (!rx->tagged)
		return;
	rx->tci = load_be16(rx->frame + NET_ADDRESSES_BYTES + 2);
	memmove(rx->frame + ETH_TAG_BYTES, rx->frame, NET_ADDRESSES_BYTES);
	rx->frame_at = ETH_TAG_BYTES;
	rx->frame_bytes -= ETH_TAG_BYTES;
	hdr->csum_start = hdr->csum_start > ETH_TAG_BYTES ? hdr->csum_start - ETH_TAG_BYTES : 0;
}

/* What the guest may be told about the checksums of a frame whose TCP or UDP sum is known good. */
static uint32_t checksum_verdict(const struct net_rx *rx, const struct net_layers *layers)
{
	const struct net_offload *offload = &rx->sink.rndis->offload;
	uint8_t tcp = layers->ipv6 ? offload->tcp6 : offload->tcp4;
	uint8_t udp = layers->ipv6 ? offload->udp6 : offload->udp4;
	uint32_t verdict = 0;

	if (layers->protocol == NET_IP_TCP && tcp & NET_OFFLOAD_RX)
		verdict |= RNDIS_RXCSUM_TCP_OK;
	if (layers->protocol == NET_IP_UDP && udp & NET_OFFLOAD_RX)
		verdict |= RNDIS_RXCSUM_UDP_OK;
	if (verdict && !layers->ipv6 && offload->ip4 & NET_OFFLOAD_RX &&
		net_ip4_checksum_ok(rx->frame + rx->frame_at + layers->ip_at))
		verdict |= RNDIS_RXCSUM_IP_OK;
	return verdict;
}

static void choose_queue(struct net_rx *rx, const struct net_layers *layers)
{
	const struct net_rss *rss = &rx->sink.rndis->rss;

	rx->hashed = net_rss_hash(rss, rx->frame + rx->frame_at, layers, &rx->hash);
	rx->queue = rx->hashed ? net_rss_queue(rss, rx->hash) : 0;
}

static int prepare_plain(struct net_rx *rx, const struct eth_hdr *hdr)
{
	uint8_t *frame = rx->frame + rx->frame_at;
	uint32_t limit_bytes = rx->mtu_bytes + ETH_HEADER_BYTES;
	struct net_layers layers;

	if (rx->frame_bytes >= ETH_HEADER_BYTES && net_is_tagged(frame))
		limit_bytes += ETH_TAG_BYTES;
	if (rx->frame_bytes < ETH_HEADER_BYTES || rx->frame_bytes > limit_bytes)
		return -EINVAL;
	if (hdr->flags & ETH_HDR_NEEDS_CSUM &&
		(hdr->csum_start < ETH_HEADER_BYTES || net_checksum_complete(frame, rx->frame_bytes,
							       hdr->csum_start, hdr->csum_offset)))
		return -EINVAL;
	rx->gso_bytes = 0;
	rx->checksum = 0;
	rx->hashed = false;
	rx->queue = 0;
	if (!(rx->sink.rndis->rss.enabled || hdr->flags) ||
		net_layers_find(frame, rx->frame_bytes, NET_LENGTH_OF_IP, &layers))
		return 0;
	choose_queue(rx, &layers);
	if (hdr->flags & (ETH_HDR_NEEDS_CSUM | ETH_HDR_DATA_VALID))
		rx->checksum = checksum_verdict(rx, &layers);
	return 0;
}

int net_rx_resume(struct net_rx *rx)
{
	const uint8_t *frame = rx->frame + rx->frame_at;
	struct net_layers layers;

	if (rx->gso_bytes == 0)
		return 0;
	if (net_layers_find(frame, rx->frame_bytes, NET_LENGTH_OF_IP, &layers) ||
		net_segmenter_init(&rx->segmenter, frame, &layers, rx->gso_bytes, rx->mtu_bytes) ||
		rx->n_done >= rx->segmenter.n_segments)
		return -EBADMSG;
	return 0;
}

static int prepare_super(struct net_rx *rx, const struct eth_hdr *hdr)
{
	uint8_t type = hdr->gso_type & (uint8_t)~ETH_GSO_ECN;

	if ((type != ETH_GSO_TCPV4 && type != ETH_GSO_TCPV6) || hdr->gso_size == 0)
		return -EINVAL;
	rx->gso_bytes = hdr->gso_size;
	rx->n_done = 0;
	if (net_rx_resume(rx) || rx->segmenter.layers.ipv6 != (type == ETH_GSO_TCPV6))
		return -EINVAL;
	/* The headers of the super-frame stand for those of its segments. */
	rx->checksum = checksum_verdict(rx, &rx->segmenter.layers);
	choose_queue(rx, &rx->segmenter.layers);
	return 0;
}

/* 0: holding a frame, or one was dropped; -EAGAIN: the port has none. */
static int take_frame(struct net_rx *rx)
{
	const struct net_rx_sink *sink = &rx->sink;
	struct eth_hdr hdr;
	size_t size_bytes;
	int r;

	r = rx->port->ops->recv(rx->port->port, &hdr, rx->frame, sizeof(rx->frame), &size_bytes);
	if (r == -EAGAIN)
		return r;
	if (r || size_bytes < ETH_HEADER_BYTES) {
		drop_frame(rx);
		return 0;
	}
	/* Not the guest's: nobody misses it. */
	if (!sink->rndis->link_up || !net_recv_buf_ready(sink->recv) ||
		!net_rndis_accepts(sink->rndis, rx->frame))
		return 0;

	rx->frame_bytes = (uint32_t)size_bytes;
	strip_tag(rx, &hdr);
	r = hdr.gso_type == ETH_GSO_NONE ? prepare_plain(rx, &hdr) : prepare_super(rx, &hdr);
	if (r)
		drop_frame(rx);
	else
		rx->holding = true;
	return 0;
}

int net_rx_run(struct net_rx *rx, unsigned budget)
{
	struct net_recv_buf *recv = rx->sink.recv;
	int result = -EINPROGRESS;
	bool sent = false;
	int r;

	for (; budget; budget--) {
		r = 0;
		if (net_recv_buf_ready(recv) && !net_recv_buf_has_room(recv))
			r = -EAGAIN;
		else if (!rx->holding && take_frame(rx))
			break;
		if (r == 0 && rx->holding)
			r = deliver_and_send(rx);
		if (r) {
			result = r;
			break;
		}
	}
	if (budget && result == -EINPROGRESS)
		result = 0;
	r = net_rx_queue_send(rx->sink.queues[0], recv, &sent);
	return r ? r : result;
}

int net_rx_send_answer(
	struct net_rx *rx, const struct net_rndis_answer *answer, uint64_t *ret_transaction_id)
{
	struct net_recv_buf *recv = rx->sink.recv;
	struct net_rx_entry entry = {.size_bytes = answer->size_bytes, .n_parts = 1};
	int r;

	if (answer->size_bytes > recv->section_bytes)
		return -EMSGSIZE;
	if (net_recv_buf_take(recv, true, 1, &entry.section))
		return -EAGAIN;
	r = vmbus_gpadl_write(recv->gpadl, entry.section * recv->section_bytes, answer->bytes,
		answer->size_bytes);
	if (r == 0)
		r = net_rx_send_sections(
			rx->sink.queues[0]->channel, 0, recv, NVSP_CHANNEL_CONTROL, &entry, 1);
	if (r)
		net_recv_buf_put_back(recv, &entry.section, 1);
	else
		*ret_transaction_id = net_recv_buf_transaction(recv, entry.section);
	return r;
}
