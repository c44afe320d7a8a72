/* SPDX-License-Identifier: MIT */
#include "vmbus/net_segment.h"

#include "base/bytes.h"

#define IP4_LENGTH_AT 2
#define IP4_ID_AT     4
#define IP6_LENGTH_AT 4
#define IP6_BYTES     40

#define TCP_SEQUENCE_AT 4
#define TCP_FLAGS_AT    13
#define TCP_FIN         0x01
#define TCP_PSH         0x08
#define TCP_CWR         0x80

int net_segmenter_init(struct net_segmenter *segmenter, const uint8_t *frame,
	const struct net_layers *layers, uint32_t segment_bytes, uint32_t mtu_bytes)
{
	uint32_t header_bytes = layers->payload_at - layers->ip_at;
	uint32_t payload_bytes = layers->end_at - layers->payload_at;

	if (layers->protocol != NET_IP_TCP || payload_bytes == 0 || header_bytes >= mtu_bytes)
		return -EINVAL;
	segment_bytes = MIN(segment_bytes, mtu_bytes - header_bytes);
	if (segment_bytes < NET_SEGMENT_MIN_BYTES)
		return -EINVAL;

	*segmenter = (struct net_segmenter){
		.frame = frame,
		.layers = *layers,
		.segment_bytes = segment_bytes,
		.n_segments = (payload_bytes + segment_bytes - 1) / segment_bytes,
	};
	return 0;
}

static void fix_ip(uint8_t *ip, bool ipv6, size_t ip_bytes, unsigned index)
{
	if (ipv6) {
		store_be16(ip + IP6_LENGTH_AT, (uint16_t)(ip_bytes - IP6_BYTES));
		return;
	}
	store_be16(ip + IP4_LENGTH_AT, (uint16_t)ip_bytes);
	store_be16(ip + IP4_ID_AT, (uint16_t)(load_be16(ip + IP4_ID_AT) + index));
	net_ip4_checksum_write(ip);
}

/* The push and finish belong to the last byte of the stream, the congestion signal to the first. */
static uint8_t segment_flags(uint8_t flags, bool first, bool last)
{
	if (!last)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!first)
		flags &= (uint8_t)~TCP_CWR;
	return flags;
}

/* The partial checksum in the super-frame is of no use here: the sum starts from the addresses, or,
 * with a routing header, from that partial checksum less the length it was made with. */
static uint64_t pseudo_sum(const struct net_segmenter *segmenter, size_t l4_bytes)
{
	const struct net_layers *layers = &segmenter->layers;
	uint16_t partial, stale_bytes, fresh_bytes;
	uint64_t sum;

	if (!layers->routed)
		return net_sum_pseudo(segmenter->frame, layers, l4_bytes);

	memcpy(&partial, segmenter->frame + layers->l4_at + NET_TCP_CHECKSUM_AT, 2);
	store_be16(&stale_bytes, (uint16_t)(layers->end_at - layers->l4_at));
	store_be16(&fresh_bytes, (uint16_t)l4_bytes);
	sum = net_sum(0, &partial, 2);
	stale_bytes = (uint16_t)~stale_bytes;
	sum = net_sum(sum, &stale_bytes, 2);
	return net_sum(sum, &fresh_bytes, 2);
}

void net_segment_make(
	const struct net_segmenter *segmenter, unsigned index, struct net_segment *ret_segment)
{
	const struct net_layers *layers = &segmenter->layers;
	uint32_t at = index * segmenter->segment_bytes;
	uint32_t left_bytes = layers->end_at - layers->payload_at - at;
	bool last = index + 1 == segmenter->n_segments;
	uint8_t *tcp = ret_segment->header + layers->l4_at;
	size_t tcp_header_bytes = layers->payload_at - layers->l4_at;
	uint16_t checksum;
	uint64_t sum;

	ret_segment->header_bytes = layers->payload_at;
	ret_segment->payload = segmenter->frame + layers->payload_at + at;
	ret_segment->payload_bytes = MIN(left_bytes, segmenter->segment_bytes);
	memcpy(ret_segment->header, segmenter->frame, layers->payload_at);

	fix_ip(ret_segment->header + layers->ip_at, layers->ipv6,
		layers->payload_at - layers->ip_at + ret_segment->payload_bytes, index);
	store_be32(tcp + TCP_SEQUENCE_AT, load_be32(tcp + TCP_SEQUENCE_AT) + at);
	tcp[TCP_FLAGS_AT] = segment_flags(tcp[TCP_FLAGS_AT], index == 0, last);

	memset(tcp + NET_TCP_CHECKSUM_AT, 0, 2);
	sum = pseudo_sum(segmenter, tcp_header_bytes + ret_segment->payload_bytes);
	sum = net_sum(sum, tcp, tcp_header_bytes);
	sum = net_sum(sum, ret_segment->payload, ret_segment->payload_bytes);
	checksum = net_sum_finish(sum);
	memcpy(tcp + NET_TCP_CHECKSUM_AT, &checksum, 2);
}
