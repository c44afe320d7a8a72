/* SPDX-License-Identifier: MIT */
#include "vmbus/net_rx.h"

#include "base/bytes.h"
#include "vmbus/net_ppi.h"
#include "vmbus/proto/nvsp.h"

/* A tag and a checksum. */
#define HEAD_BYTES (sizeof(struct rndis_packet) + 2 * sizeof(struct rndis_ppi_u32))

/* One frame for the guest, in pieces. */
struct piece {
	const uint8_t *header; /* may be NULL */
	size_t header_bytes;
	const uint8_t *payload;
	size_t payload_bytes;
};

uint32_t net_rx_section_bytes(uint32_t mtu_bytes)
{
	uint32_t bytes = (uint32_t)HEAD_BYTES + ETH_HEADER_BYTES + ETH_TAG_BYTES + mtu_bytes;

	return ALIGN_UP(MAX(bytes, (uint32_t)NET_RECV_SECTION_MIN_BYTES), 8U);
}

void net_rx_drop(struct net_rx *rx)
{
	rx->holding = false;
	rx->n_filled = 0;
}

static int send_sections(const struct net_rx_sink *sink, enum nvsp_channel_type type,
	const uint32_t *sections, const uint32_t *sizes, unsigned n_sections)
{
	const struct nvsp_send_rndis_pkt message = {
		.type = NVSP_SEND_RNDIS_PKT,
		.channel_type = type,
		.send_section_index = NVSP_NO_SECTION,
	};
	struct vmbus_transfer_range ranges[NET_PACKET_MAX_SECTIONS];
	int r;

	for (unsigned i = 0; i < n_sections; i++) {
		ranges[i] = (struct vmbus_transfer_range){
			.byte_count = sizes[i],
			.byte_offset = sections[i] * sink->recv->section_bytes,
		};
	}
	r = vmbus_channel_send_transfer(sink->channel,
		net_recv_buf_transaction(sink->recv, sections[0]), sink->recv->id, ranges,
		n_sections, &message, sizeof(message));
	if (r)
		return r;
	net_recv_buf_give(sink->recv, sections, n_sections);
	return 0;
}

static int send_filled(struct net_rx *rx, const struct net_rx_sink *sink)
{
	int r;

	if (rx->n_filled == 0)
		return 0;
	r = send_sections(sink, NVSP_CHANNEL_DATA, rx->filled, rx->filled_bytes, rx->n_filled);
	if (r)
		return r;
	rx->n_filled = 0;
	return 0;
}

/* RNDIS header and per-packet information for `data_bytes` of frame. Returns their size. */
static size_t make_head(const struct net_rx *rx, size_t data_bytes, uint8_t *head)
{
	struct rndis_packet packet = {.type = RNDIS_PACKET};
	size_t head_bytes = sizeof(packet);

	if (rx->tagged)
		net_ppi_append(head, &head_bytes, RNDIS_PPI_8021Q, net_ppi_vlan_from_tci(rx->tci));
	if (rx->checksum)
		net_ppi_append(head, &head_bytes, RNDIS_PPI_CHECKSUM, rx->checksum);

	packet.length = (uint32_t)(head_bytes + data_bytes);
	packet.data_offset = (uint32_t)head_bytes - RNDIS_BODY_AT;
	packet.data_length = (uint32_t)data_bytes;
	packet.ppi_length = (uint32_t)(head_bytes - sizeof(packet));
	packet.ppi_offset = packet.ppi_length ? sizeof(packet) - RNDIS_BODY_AT : 0;
	memcpy(head, &packet, sizeof(packet));
	return head_bytes;
}

/* Head, header, payload and zeros up to the smallest frame, one behind the other. */
static int write_section(const struct net_rx_sink *sink, uint32_t section, const uint8_t *head,
	size_t head_bytes, const struct piece *piece, size_t padding_bytes)
{
	static const uint8_t zeros[ETH_MIN_FRAME_BYTES];
	const struct iovec pieces[] = {
		{(void *)(uintptr_t)head, head_bytes},
		{(void *)(uintptr_t)piece->header, piece->header_bytes},
		{(void *)(uintptr_t)piece->payload, piece->payload_bytes},
		{(void *)(uintptr_t)zeros, padding_bytes},
	};
	uint32_t at = section * sink->recv->section_bytes;

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		int r;

		if (pieces[i].iov_len == 0)
			continue;
		r = vmbus_gpadl_write(sink->recv->gpadl, at, pieces[i].iov_base, pieces[i].iov_len);
		if (r)
			return r;
		at += (uint32_t)pieces[i].iov_len;
	}
	return 0;
}

/* 0: in a section, or dropped because it cannot be; -EAGAIN; -EBADMSG. */
static int deliver(struct net_rx *rx, const struct net_rx_sink *sink, const struct piece *piece)
{
	size_t size_bytes = piece->header_bytes + piece->payload_bytes;
	size_t data_bytes = MAX(size_bytes, (size_t)ETH_MIN_FRAME_BYTES);
	uint8_t head[HEAD_BYTES];
	size_t head_bytes;
	uint32_t section;
	int r;

	if (rx->n_filled == NET_PACKET_MAX_SECTIONS) {
		r = send_filled(rx, sink);
		if (r)
			return r;
	}
	head_bytes = make_head(rx, data_bytes, head);
	if (head_bytes + data_bytes > sink->recv->section_bytes) {
		rx->stats->rx_dropped++;
		return 0;
	}
	if (net_recv_buf_take(sink->recv, false, &section))
		return -EAGAIN;
	if (write_section(sink, section, head, head_bytes, piece, data_bytes - size_bytes)) {
		net_recv_buf_put_back(sink->recv, section);
		rx->stats->rx_dropped++;
		return 0;
	}
	rx->filled[rx->n_filled] = section;
	rx->filled_bytes[rx->n_filled++] = (uint32_t)(head_bytes + data_bytes);
	rx->stats->rx_frames++;
	rx->stats->rx_bytes += size_bytes;
	return 0;
}

static int deliver_held(struct net_rx *rx, const struct net_rx_sink *sink)
{
	int r = 0;

	if (rx->gso_bytes == 0) {
		const struct piece piece = {
			.payload = rx->frame + rx->frame_at,
			.payload_bytes = rx->frame_bytes,
		};

		r = deliver(rx, sink, &piece);
	}
	for (; rx->gso_bytes && rx->n_done < rx->segmenter.n_segments; rx->n_done++) {
		struct net_segment segment;
		struct piece piece;

		net_segment_make(&rx->segmenter, rx->n_done, &segment);
		piece = (struct piece){segment.header, segment.header_bytes, segment.payload,
			segment.payload_bytes};
		r = deliver(rx, sink, &piece);
		if (r)
			break;
	}
	rx->holding = r != 0;
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
static uint32_t checksum_verdict(const struct net_rx *rx, const struct net_offload *offload)
{
	const uint8_t *frame = rx->frame + rx->frame_at;
	struct net_layers layers;
	uint32_t verdict = 0;
	uint8_t tcp, udp;

	if (net_layers_find(frame, rx->frame_bytes, NET_LENGTH_OF_IP, &layers))
		return 0;
	tcp = layers.ipv6 ? offload->tcp6 : offload->tcp4;
	udp = layers.ipv6 ? offload->udp6 : offload->udp4;
	if (layers.protocol == NET_IP_TCP && tcp & NET_OFFLOAD_RX)
		verdict |= RNDIS_RXCSUM_TCP_OK;
	if (layers.protocol == NET_IP_UDP && udp & NET_OFFLOAD_RX)
		verdict |= RNDIS_RXCSUM_UDP_OK;
	if (verdict && !layers.ipv6 && offload->ip4 & NET_OFFLOAD_RX &&
		net_ip4_checksum_ok(frame + layers.ip_at))
		verdict |= RNDIS_RXCSUM_IP_OK;
	return verdict;
}

static int prepare_plain(
	struct net_rx *rx, const struct eth_hdr *hdr, const struct net_offload *offload)
{
	uint8_t *frame = rx->frame + rx->frame_at;
	uint32_t limit_bytes = rx->mtu_bytes + ETH_HEADER_BYTES;

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
	if (hdr->flags & (ETH_HDR_NEEDS_CSUM | ETH_HDR_DATA_VALID))
		rx->checksum = checksum_verdict(rx, offload);
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

static int prepare_super(
	struct net_rx *rx, const struct eth_hdr *hdr, const struct net_offload *offload)
{
	uint8_t type = hdr->gso_type & (uint8_t)~ETH_GSO_ECN;

	if ((type != ETH_GSO_TCPV4 && type != ETH_GSO_TCPV6) || hdr->gso_size == 0)
		return -EINVAL;
	rx->gso_bytes = hdr->gso_size;
	rx->n_done = 0;
	if (net_rx_resume(rx) || rx->segmenter.layers.ipv6 != (type == ETH_GSO_TCPV6))
		return -EINVAL;
	/* The headers of the super-frame stand for those of its segments. */
	rx->checksum = checksum_verdict(rx, offload);
	return 0;
}

/* 0: holding a frame, or one was dropped; -EAGAIN: the port has none. */
static int take_frame(struct net_rx *rx, const struct net_rx_sink *sink)
{
	struct eth_hdr hdr;
	size_t size_bytes;
	int r;

	r = rx->port->ops->recv(rx->port->port, &hdr, rx->frame, sizeof(rx->frame), &size_bytes);
	if (r == -EAGAIN)
		return r;
	if (r || size_bytes < ETH_HEADER_BYTES) {
		rx->stats->rx_dropped++;
		return 0;
	}
	/* Not the guest's: nobody misses it. */
	if (!sink->rndis->link_up || !net_recv_buf_ready(sink->recv) ||
		!net_rndis_accepts(sink->rndis, rx->frame))
		return 0;

	rx->frame_bytes = (uint32_t)size_bytes;
	strip_tag(rx, &hdr);
	r = hdr.gso_type == ETH_GSO_NONE ? prepare_plain(rx, &hdr, &sink->rndis->offload)
					 : prepare_super(rx, &hdr, &sink->rndis->offload);
	if (r)
		rx->stats->rx_dropped++;
	else
		rx->holding = true;
	return 0;
}

static bool is_blocked(const struct net_rx_sink *sink)
{
	return net_recv_buf_ready(sink->recv) && net_recv_buf_room(sink->recv) == 0;
}

int net_rx_run(struct net_rx *rx, const struct net_rx_sink *sink, unsigned budget)
{
	int result = -EINPROGRESS;
	int r;

	for (; budget; budget--) {
		r = 0;
		if (is_blocked(sink))
			r = -EAGAIN;
		else if (!rx->holding && take_frame(rx, sink))
			break;
		if (r == 0 && rx->holding)
			r = deliver_held(rx, sink);
		if (r) {
			result = r;
			break;
		}
	}
	if (budget && result == -EINPROGRESS)
		result = 0;
	r = send_filled(rx, sink);
	return r ? r : result;
}

int net_rx_send_answer(const struct net_rx_sink *sink, const struct net_rndis_answer *answer)
{
	uint32_t section;
	int r;

	if (answer->size_bytes > sink->recv->section_bytes)
		return -EMSGSIZE;
	if (net_recv_buf_take(sink->recv, true, &section))
		return -EAGAIN;
	r = vmbus_gpadl_write(sink->recv->gpadl, section * sink->recv->section_bytes, answer->bytes,
		answer->size_bytes);
	if (r == 0)
		r = send_sections(sink, NVSP_CHANNEL_CONTROL, &section, &answer->size_bytes, 1);
	if (r)
		net_recv_buf_put_back(sink->recv, section);
	return r;
}
