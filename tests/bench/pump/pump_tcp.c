/* SPDX-License-Identifier: MIT */
#include "pump_tcp.h"
#include "base/bytes.h"
#include "fabric/inet.h"
#include "fabric/offload.h"

#define PORT         5001
#define SYN_OPTIONS  8
#define TCP_ACK      8
#define TCP_WINDOW   14
#define HEADER_MAX   (PUMP_L4_AT + TCP_MIN_BYTES + SYN_OPTIONS)
#define OPTION_NOP   1
#define OPTION_MSS   2
#define OPTION_SCALE 3
#define WORD_BYTES   4

static size_t write_tcp(const struct segment *segment, uint8_t *tcp)
{
	static const uint8_t options[SYN_OPTIONS] = {OPTION_MSS, 4, TCP_MSS_BYTES >> 8,
		TCP_MSS_BYTES & 0xff, OPTION_NOP, OPTION_SCALE, 3, TCP_WINDOW_SCALE};
	bool syn = segment->flags & TCP_FLAG_SYN;
	size_t header_bytes = TCP_MIN_BYTES + (syn ? SYN_OPTIONS : 0);
	uint32_t window = syn ? MIN(segment->window_bytes, 65535U)
			      : segment->window_bytes >> TCP_WINDOW_SCALE;

	memset(tcp, 0, header_bytes);
	store_be16(tcp, PORT);
	store_be16(tcp + 2, PORT);
	store_be32(tcp + TCP_SEQUENCE, segment->sequence);
	store_be32(tcp + TCP_ACK, segment->ack);
	tcp[TCP_DATA_OFFSET] = (uint8_t)(header_bytes / WORD_BYTES << 4);
	tcp[TCP_FLAGS] = segment->flags;
	store_be16(tcp + TCP_WINDOW, (uint16_t)window);
	if (syn)
		memcpy(tcp + TCP_MIN_BYTES, options, sizeof(options));
	return header_bytes;
}

/* Leave the checksum to the adapter, and cutting too where that is needed. */
static void ask_adapter(struct eth_hdr *hdr, size_t headers_bytes, size_t payload_bytes)
{
	hdr->flags = ETH_HDR_NEEDS_CSUM;
	hdr->csum_start = PUMP_L4_AT;
	hdr->csum_offset = TCP_CSUM;
	if (payload_bytes > TCP_MSS_BYTES) {
		hdr->gso_type = ETH_GSO_TCPV4;
		hdr->gso_size = TCP_MSS_BYTES;
		hdr->hdr_len = (uint16_t)headers_bytes;
	}
}

int segment_send(struct pump *pump, const struct segment *segment, bool may_wait)
{
	bool by_adapter = pump->port.ops->caps(pump->port.port) & ETH_CAP_CSUM;
	uint8_t frame[HEADER_MAX], *tcp = frame + PUMP_L4_AT;
	size_t tcp_bytes = write_tcp(segment, tcp);
	size_t l4_bytes = tcp_bytes + segment->payload_bytes;
	struct eth_hdr hdr = {0};
	struct iovec iov[2] = {
		{frame, PUMP_L4_AT + tcp_bytes},
		{(void *)segment->payload, segment->payload_bytes},
	};
	unsigned n_iov = segment->payload_bytes ? 2 : 1;
	uint16_t sum;

	pump_write_ipv4(pump, PROTOCOL_TCP, l4_bytes, frame);
	sum = pump_pseudo_sum(frame, PROTOCOL_TCP, l4_bytes);
	if (by_adapter) {
		ask_adapter(&hdr, PUMP_L4_AT + tcp_bytes, segment->payload_bytes);
	} else {
		sum = csum_add(sum, tcp, tcp_bytes);
		sum = (uint16_t)~csum_add(sum, segment->payload, segment->payload_bytes);
	}
	memcpy(tcp + TCP_CSUM, &sum, sizeof(sum)); /* in the order of the summed bytes */
	if (may_wait)
		return pump_put(pump, &hdr, iov, n_iov);
	return pump->port.ops->send(pump->port.port, &hdr, iov, n_iov);
}

/* 0; -ENOMSG: it is none of ours; -EBADMSG. */
static int take_apart(const struct pump *pump, const struct eth_hdr *hdr, uint8_t *data,
	size_t size_bytes, struct segment *ret_segment)
{
	const uint8_t *ip = data + ETH_HEADER_BYTES, *tcp = data + PUMP_L4_AT;
	size_t l4_bytes, header_bytes;
	uint16_t sum;

	if (size_bytes < PUMP_L4_AT + TCP_MIN_BYTES || memcmp(data, pump->mac, ETH_ADDR_LEN) != 0 ||
		load_be16(data + 2 * ETH_ADDR_LEN) != ETHERTYPE_IPV4 || ip[0] != 0x45 ||
		ip[IPV4_PROTOCOL] != PROTOCOL_TCP)
		return -ENOMSG;
	/* Behind the packet there may be padding of the wire. */
	l4_bytes = load_be16(ip + IPV4_LENGTH);
	if (l4_bytes < IPV4_MIN_BYTES + TCP_MIN_BYTES || l4_bytes + ETH_HEADER_BYTES > size_bytes)
		return -EBADMSG;
	l4_bytes -= IPV4_MIN_BYTES;
	header_bytes = (size_t)(tcp[TCP_DATA_OFFSET] >> 4) * WORD_BYTES;
	if (header_bytes < TCP_MIN_BYTES || header_bytes > l4_bytes)
		return -EBADMSG;
	if (!(hdr->flags & (ETH_HDR_NEEDS_CSUM | ETH_HDR_DATA_VALID))) {
		sum = pump_pseudo_sum(data, PROTOCOL_TCP, l4_bytes);
		if (csum_add(sum, tcp, l4_bytes) != 0xffff)
			return -EBADMSG;
	}
	*ret_segment = (struct segment){
		.sequence = load_be32(tcp + TCP_SEQUENCE),
		.ack = load_be32(tcp + TCP_ACK),
		.flags = tcp[TCP_FLAGS],
		.window_bytes = (uint32_t)load_be16(tcp + TCP_WINDOW) << TCP_WINDOW_SCALE,
		.payload = tcp + header_bytes,
		.payload_bytes = l4_bytes - header_bytes,
	};
	return 0;
}

int segment_recv(
	struct pump *pump, uint8_t *data, size_t capacity_bytes, struct segment *ret_segment)
{
	const struct eth_ops *ops = pump->port.ops;
	struct eth_hdr hdr;
	size_t size_bytes;
	int r;

	do {
		r = ops->recv(pump->port.port, &hdr, data, capacity_bytes, &size_bytes);
		if (r == 0)
			r = take_apart(pump, &hdr, data, size_bytes, ret_segment);
	} while (r == -ENOMSG);
	return r;
}
