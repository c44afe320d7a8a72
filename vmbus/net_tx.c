/* SPDX-License-Identifier: MIT */
#include "vmbus/net_tx.h"

#include "base/bytes.h"
#include "vmbus/net_ppi.h"

#define IP_MAX_BYTES 0xFFFFU

/* No TCP has a smaller MSS, though options may leave less of it. */
#define PORT_MIN_SEGMENT_BYTES 48

#define IP4_LENGTH_AT 2
#define IP6_LENGTH_AT 4
#define IP6_BYTES     40
#define TCP_FLAGS_AT  13
#define TCP_CWR       0x80

int net_tx_begin(struct net_tx *tx, const struct net_tx_source *source,
	const struct nvsp_send_rndis_pkt *message)
{
	bool has_section = message->send_section_index != NVSP_NO_SECTION;
	uint64_t total_bytes = has_section ? message->send_section_size : 0;
	uint32_t at;

	if (has_section && net_send_buf_at(source->send, message->send_section_index,
				   message->send_section_size, &at))
		return -EBADMSG;
	for (unsigned i = 0; i < tx->packet.n_ranges; i++)
		total_bytes += tx->packet.ranges[i].byte_count;
	if (total_bytes < sizeof(struct rndis_header) || total_bytes > NET_TX_MAX_BYTES)
		return -EBADMSG;

	tx->busy = true;
	tx->section = message->send_section_index;
	tx->section_bytes = has_section ? message->send_section_size : 0;
	tx->total_bytes = (uint32_t)total_bytes;
	tx->n_messages = 0;
	tx->message_at = 0;
	tx->n_sent = 0;
	tx->built = false;
	return 0;
}

void net_tx_end(struct net_tx *tx)
{
	tx->busy = false;
	tx->built = false;
	free(tx->own_pfns);
	tx->own_pfns = NULL;
}

/* Bytes [at, at + size_bytes) of the run, which the caller knows to be inside. */
static int read_run(const struct net_tx *tx, const struct net_tx_source *source, uint32_t at,
	void *ret_data, size_t size_bytes)
{
	uint8_t *data = ret_data;

	if (at < tx->section_bytes) {
		size_t part_bytes = MIN(size_bytes, (size_t)(tx->section_bytes - at));
		uint32_t section_at;

		/* The guest may have taken its buffer away since the packet began. */
		if (net_send_buf_at(source->send, tx->section, tx->section_bytes, &section_at) ||
			vmbus_gpadl_read(source->send->gpadl, section_at + at, data, part_bytes))
			return -EBADMSG;
		at += (uint32_t)part_bytes;
		data += part_bytes;
		size_bytes -= part_bytes;
	}
	if (size_bytes && vmbus_ranges_read(source->channel, tx->packet.ranges, tx->packet.n_ranges,
				  at - tx->section_bytes, data, size_bytes))
		return -EBADMSG;
	return 0;
}

int net_tx_read(const struct net_tx *tx, const struct net_tx_source *source, void *ret_data,
	size_t capacity_bytes, size_t *ret_bytes)
{
	size_t size_bytes = MIN((size_t)tx->total_bytes, capacity_bytes);
	int r;

	r = read_run(tx, source, 0, ret_data, size_bytes);
	if (r)
		return r;
	*ret_bytes = size_bytes;
	return 0;
}

/* [offset, offset + size) as RNDIS counts, inside the message and behind its header. */
static bool in_message(const struct rndis_packet *message, uint32_t offset, uint32_t size_bytes)
{
	uint64_t at = (uint64_t)RNDIS_BODY_AT + offset;

	return at >= sizeof(*message) && at + size_bytes <= message->length;
}

/* Header and per-packet information of the message under way. */
static int read_message(const struct net_tx *tx, const struct net_tx_source *source,
	struct rndis_packet *message, struct net_ppi *ppi)
{
	uint32_t room_bytes = tx->total_bytes - tx->message_at;
	uint8_t list[NET_PPI_MAX_BYTES];

	if (tx->n_messages == NET_RNDIS_PACKETS_PER_MESSAGE || room_bytes < sizeof(*message) ||
		read_run(tx, source, tx->message_at, message, sizeof(*message)))
		return -EBADMSG;
	if (message->type != RNDIS_PACKET || message->length < sizeof(*message) ||
		message->length > room_bytes)
		return -EBADMSG;
	if (!in_message(message, message->data_offset, message->data_length))
		return -EBADMSG;

	*ppi = (struct net_ppi){0};
	if (message->ppi_length == 0)
		return 0;
	if (message->ppi_length > sizeof(list) ||
		!in_message(message, message->ppi_offset, message->ppi_length) ||
		read_run(tx, source, tx->message_at + RNDIS_BODY_AT + message->ppi_offset, list,
			message->ppi_length))
		return -EBADMSG;
	return net_ppi_parse(list, message->ppi_length, ppi);
}

/* The frame itself, with the tag of the per-packet information in line. */
static int read_frame(struct net_tx *tx, const struct net_tx_source *source,
	const struct rndis_packet *message, const struct net_ppi *ppi)
{
	uint32_t limit_bytes = tx->mtu_bytes + ETH_HEADER_BYTES;
	uint16_t tci = ppi->has_vlan ? net_ppi_vlan_to_tci(ppi->vlan) : 0;
	uint32_t tag_bytes = tci ? ETH_TAG_BYTES : 0;

	if (message->data_length < ETH_HEADER_BYTES ||
		message->data_length > ETH_FRAME_MAX_BYTES - tag_bytes)
		return -EBADMSG;
	if (read_run(tx, source, tx->message_at + RNDIS_BODY_AT + message->data_offset,
		    tx->frame + tag_bytes, message->data_length))
		return -EBADMSG;
	if (net_is_tagged(tx->frame + tag_bytes))
		limit_bytes += ETH_TAG_BYTES;
	if (!ppi->has_lso && message->data_length > limit_bytes)
		return -EBADMSG;

	if (tci) {
		memmove(tx->frame, tx->frame + tag_bytes, NET_ADDRESSES_BYTES);
		store_be16(tx->frame + NET_ADDRESSES_BYTES, NET_ETHERTYPE_8021Q);
		store_be16(tx->frame + NET_ADDRESSES_BYTES + 2, tci);
	}
	tx->frame_bytes = message->data_length + tag_bytes;
	return 0;
}

/* The field holds the sum of the pseudo header then, as partial checksums have it. Guests differ in
 * what they leave there, so it is made afresh - but for a routing header, whose last destination
 * only the guest has at hand; then the length is added, when the guest left it out. */
static void set_partial_checksum(
	struct net_tx *tx, const struct net_layers *layers, bool without_length)
{
	uint32_t l4_bytes = layers->end_at - layers->l4_at;
	uint32_t field = layers->protocol == NET_IP_TCP ? NET_TCP_CHECKSUM_AT : NET_UDP_CHECKSUM_AT;
	uint8_t *at = tx->frame + layers->l4_at + field;
	uint16_t partial;

	if (layers->routed) {
		uint8_t length[2] = {0};

		if (without_length)
			store_be16(length, (uint16_t)l4_bytes);
		partial = (uint16_t)~net_sum_finish(net_sum(net_sum(0, at, 2), length, 2));
	} else {
		partial = (uint16_t)~net_sum_finish(net_sum_pseudo(tx->frame, layers, l4_bytes));
	}
	memcpy(at, &partial, 2);
	tx->hdr.flags = ETH_HDR_NEEDS_CSUM;
	tx->hdr.csum_start = (uint16_t)layers->l4_at;
	tx->hdr.csum_offset = (uint16_t)field;
}

static int apply_checksum(struct net_tx *tx, uint32_t wish)
{
	struct net_layers layers;
	int r;

	if (!(wish & (RNDIS_TXCSUM_TCP | RNDIS_TXCSUM_UDP | RNDIS_TXCSUM_IP_HEADER)))
		return 0;
	r = net_layers_find(tx->frame, tx->frame_bytes, NET_LENGTH_OF_IP, &layers);
	if (r)
		return -EBADMSG;
	/* Padding must not be summed. */
	tx->frame_bytes = layers.end_at;
	if (wish & RNDIS_TXCSUM_IP_HEADER && !layers.ipv6)
		net_ip4_checksum_write(tx->frame + layers.ip_at);
	if (wish & RNDIS_TXCSUM_TCP) {
		if (layers.protocol != NET_IP_TCP || wish & RNDIS_TXCSUM_UDP)
			return -EBADMSG;
		set_partial_checksum(tx, &layers, false);
	} else if (wish & RNDIS_TXCSUM_UDP) {
		if (layers.protocol != NET_IP_UDP)
			return -EBADMSG;
		set_partial_checksum(tx, &layers, false);
	}
	return 0;
}

static void set_ip_length(struct net_tx *tx, const struct net_layers *layers)
{
	uint32_t ip_bytes = layers->end_at - layers->ip_at;
	uint8_t *ip = tx->frame + layers->ip_at;

	if (layers->ipv6) {
		store_be16(ip + IP6_LENGTH_AT, (uint16_t)(ip_bytes - IP6_BYTES));
		return;
	}
	store_be16(ip + IP4_LENGTH_AT, (uint16_t)ip_bytes);
	net_ip4_checksum_write(ip);
}

/* Large send: complete the headers the guest left open, and have the port or net_segment cut. */
static int apply_lso(struct net_tx *tx, uint32_t lso)
{
	uint32_t segment_bytes = lso & RNDIS_LSO_MSS_MASK;
	struct net_layers layers;
	uint32_t header_bytes, payload_bytes;

	if (!(lso & RNDIS_LSO_V2) || segment_bytes < NET_SEGMENT_MIN_BYTES ||
		net_layers_find(tx->frame, tx->frame_bytes, NET_LENGTH_OF_FRAME, &layers))
		return -EBADMSG;
	header_bytes = layers.payload_at - layers.ip_at;
	payload_bytes = layers.end_at - layers.payload_at;
	if (layers.protocol != NET_IP_TCP || layers.ipv6 != !!(lso & RNDIS_LSO_IPV6) ||
		layers.end_at - layers.ip_at > IP_MAX_BYTES ||
		header_bytes + NET_SEGMENT_MIN_BYTES > tx->mtu_bytes)
		return -EBADMSG;

	set_ip_length(tx, &layers);
	set_partial_checksum(tx, &layers, true);
	segment_bytes = MIN(segment_bytes, tx->mtu_bytes - header_bytes);
	if (payload_bytes <= segment_bytes)
		return 0;

	tx->hdr.gso_type = layers.ipv6 ? ETH_GSO_TCPV6 : ETH_GSO_TCPV4;
	if (tx->frame[layers.l4_at + TCP_FLAGS_AT] & TCP_CWR)
		tx->hdr.gso_type |= ETH_GSO_ECN;
	tx->hdr.gso_size = (uint16_t)segment_bytes;
	tx->hdr.hdr_len = (uint16_t)layers.payload_at;
	return net_segmenter_init(&tx->segmenter, tx->frame, &layers, segment_bytes, tx->mtu_bytes);
}

/* Would the port refuse this super-frame? It need not know routing headers or absurd segments. */
static bool must_cut(const struct net_tx *tx)
{
	const struct net_layers *layers = &tx->segmenter.layers;
	uint32_t need = ETH_CAP_CSUM | (layers->ipv6 ? ETH_CAP_TSO6 : ETH_CAP_TSO4);

	return (tx->port->caps & need) != need || layers->routed ||
	       tx->segmenter.segment_bytes < PORT_MIN_SEGMENT_BYTES;
}

/* Do here what the port cannot. */
static void match_port(struct net_tx *tx)
{
	/* One that was begun in segments goes on in segments. */
	tx->segmented = tx->hdr.gso_type && (must_cut(tx) || tx->n_sent);
	if (tx->segmented) {
		tx->hdr = (struct eth_hdr){0};
	} else if (tx->hdr.flags & ETH_HDR_NEEDS_CSUM && !(tx->port->caps & ETH_CAP_CSUM)) {
		net_checksum_complete(
			tx->frame, tx->frame_bytes, tx->hdr.csum_start, tx->hdr.csum_offset);
		tx->hdr = (struct eth_hdr){0};
	}
}

static int build(struct net_tx *tx, const struct net_tx_source *source)
{
	struct rndis_packet message;
	struct net_ppi ppi;
	int r;

	tx->hdr = (struct eth_hdr){0};
	if (read_message(tx, source, &message, &ppi) || read_frame(tx, source, &message, &ppi))
		return -EBADMSG;
	r = 0;
	if (ppi.has_lso)
		r = apply_lso(tx, ppi.lso);
	else if (ppi.has_checksum)
		r = apply_checksum(tx, ppi.checksum);
	if (r)
		return -EBADMSG;
	match_port(tx);
	tx->message_bytes = message.length;
	tx->built = true;
	return 0;
}

/* 0: the frame is off or can never be sent; -EAGAIN. */
static int send_frame(struct net_tx *tx, const struct iovec *iov, unsigned n_iov)
{
	size_t size_bytes = 0;
	int r;

	pthread_mutex_lock(&tx->port->lock);
	r = tx->port->ops->send(tx->port->port, &tx->hdr, iov, n_iov);
	pthread_mutex_unlock(&tx->port->lock);
	if (r == -EAGAIN)
		return r;
	if (r) {
		tx->traffic->dropped++;
		return 0;
	}
	for (unsigned i = 0; i < n_iov; i++)
		size_bytes += iov[i].iov_len;
	net_traffic_count(tx->traffic, tx->frame, size_bytes);
	return 0;
}

/* Zeros behind a frame that is too short for a wire. */
static struct iovec padding(size_t size_bytes)
{
	static uint8_t zeros[ETH_MIN_FRAME_BYTES];

	if (size_bytes >= ETH_MIN_FRAME_BYTES)
		return (struct iovec){zeros, 0};
	return (struct iovec){zeros, ETH_MIN_FRAME_BYTES - size_bytes};
}

static int send_whole(struct net_tx *tx)
{
	const struct iovec iov[2] = {{tx->frame, tx->frame_bytes}, padding(tx->frame_bytes)};

	return send_frame(tx, iov, ARRAY_LEN(iov));
}

static int send_segments(struct net_tx *tx)
{
	for (; tx->n_sent < tx->segmenter.n_segments; tx->n_sent++) {
		struct net_segment segment;
		struct iovec iov[3];
		int r;

		net_segment_make(&tx->segmenter, tx->n_sent, &segment);
		iov[0] = (struct iovec){segment.header, segment.header_bytes};
		iov[1] = (struct iovec){(void *)(uintptr_t)segment.payload, segment.payload_bytes};
		iov[2] = padding(segment.header_bytes + segment.payload_bytes);
		r = send_frame(tx, iov, ARRAY_LEN(iov));
		if (r)
			return r;
	}
	return 0;
}

int net_tx_run(struct net_tx *tx, const struct net_tx_source *source, bool link_up)
{
	/* Fewer bytes than a header are padding. */
	while (tx->total_bytes - tx->message_at >= sizeof(struct rndis_header)) {
		int r = 0;

		if (!tx->built)
			r = build(tx, source);
		if (r)
			return r;
		if (!link_up)
			tx->traffic->dropped++;
		else
			r = tx->segmented ? send_segments(tx) : send_whole(tx);
		if (r)
			return r;
		tx->message_at += tx->message_bytes;
		tx->n_messages++;
		tx->n_sent = 0;
		tx->built = false;
	}
	return 0;
}
