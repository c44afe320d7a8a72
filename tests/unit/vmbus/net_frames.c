/* SPDX-License-Identifier: MIT */
#include "net_frames.h"

#include "base/bytes.h"

const uint8_t frame_dst[6] = {0x02, 0x15, 0x5d, 0x00, 0x00, 0x01};
const uint8_t frame_src[6] = {0x02, 0x15, 0x5d, 0x00, 0x00, 0x02};

static uint32_t sum16(uint32_t sum, const uint8_t *at, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t pseudo(const struct frame *frame, size_t l4_bytes)
{
	const uint8_t *ip = frame->bytes + frame->ip_at;
	uint32_t sum = frame->ipv6 ? sum16(0, ip + 8, 32) : sum16(0, ip + 12, 8);

	sum += (uint32_t)l4_bytes + (frame->udp ? 17 : 6);
	return sum16(sum, NULL, 0);
}

static size_t ip_end(const struct frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->ip_at;

	return frame->ip_at + (frame->ipv6 ? 40U + load_be16(ip + 4) : (size_t)load_be16(ip + 2));
}

static size_t checksum_at(const struct frame *frame)
{
	return frame->l4_at + (frame->udp ? 6 : 16);
}

static void put_checksums(struct frame *frame)
{
	size_t l4_bytes = ip_end(frame) - frame->l4_at;
	uint8_t *ip = frame->bytes + frame->ip_at;
	uint16_t sum;

	if (!frame->ipv6) {
		store_be16(ip + 10, 0);
		store_be16(ip + 10, (uint16_t)~sum16(0, ip, (ip[0] & 15) * 4U));
	}
	store_be16(frame->bytes + checksum_at(frame), 0);
	sum = (uint16_t)~sum16(pseudo(frame, l4_bytes), frame->bytes + frame->l4_at, l4_bytes);
	store_be16(frame->bytes + checksum_at(frame), sum ? sum : 0xffff);
}

static size_t put_ip(struct frame *frame, const struct frame_spec *spec, size_t l4_bytes)
{
	uint8_t *ip = frame->bytes + frame->ip_at;
	size_t extension_bytes = spec->routing ? 24 : 0;

	if (!spec->ipv6) {
		ip[0] = 0x45;
		store_be16(ip + 2, (uint16_t)(20 + l4_bytes));
		store_be16(ip + 4, 0x1234);
		store_be16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = spec->udp ? 17 : 6;
		memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
		return 20;
	}
	ip[0] = 0x60;
	store_be16(ip + 4, (uint16_t)(extension_bytes + l4_bytes));
	ip[6] = spec->udp ? 17 : 6;
	ip[7] = 64;
	memset(ip + 8, 0xfd, 32);
	ip[23] = 1;
	ip[39] = 2;
	if (spec->routing) {
		ip[40] = ip[6];
		ip[41] = 2;
		ip[6] = 43;
	}
	return 40 + extension_bytes;
}

void frame_make(struct frame *frame, const struct frame_spec *spec)
{
	size_t l4_header = spec->udp ? 8 : 20 + spec->tcp_option_words * 4U;
	size_t l4_bytes = l4_header + spec->payload_bytes;
	uint8_t *l4;

	memset(frame, 0, sizeof(*frame));
	frame->ipv6 = spec->ipv6;
	frame->udp = spec->udp;
	memcpy(frame->bytes, frame_dst, 6);
	memcpy(frame->bytes + 6, frame_src, 6);
	frame->ip_at = 14;
	if (spec->tagged) {
		store_be16(frame->bytes + 12, 0x8100);
		store_be16(frame->bytes + 14, 3 << 13 | 5);
		frame->ip_at = 18;
	}
	store_be16(frame->bytes + frame->ip_at - 2, spec->ipv6 ? 0x86dd : 0x0800);
	frame->l4_at = frame->ip_at + put_ip(frame, spec, l4_bytes);

	l4 = frame->bytes + frame->l4_at;
	store_be16(l4, 1000);
	store_be16(l4 + 2, 2000);
	if (spec->udp) {
		store_be16(l4 + 4, (uint16_t)l4_bytes);
	} else {
		store_be32(l4 + 4, 0xfffffff0);
		l4[12] = (uint8_t)((5 + spec->tcp_option_words) << 4);
		l4[13] = spec->tcp_flags ? spec->tcp_flags : 0x10;
		memset(l4 + 20, 1, spec->tcp_option_words * 4U);
	}
	frame->payload_at = frame->l4_at + l4_header;
	for (size_t i = 0; i < spec->payload_bytes; i++)
		frame->bytes[frame->payload_at + i] = (uint8_t)(i % 251);
	frame->size_bytes = frame->payload_at + spec->payload_bytes;
	put_checksums(frame);
}

void frame_make_partial(struct frame *frame, bool with_length)
{
	size_t l4_bytes = ip_end(frame) - frame->l4_at;

	store_be16(frame->bytes + checksum_at(frame),
		(uint16_t)pseudo(frame, with_length ? l4_bytes : 0));
}

void frame_parse(struct frame *frame, const void *bytes, size_t size_bytes)
{
	uint8_t protocol;

	memmove(frame->bytes, bytes, size_bytes);
	frame->size_bytes = size_bytes;
	frame->ip_at = load_be16(frame->bytes + 12) == 0x8100 ? 18 : 14;
	frame->ipv6 = load_be16(frame->bytes + frame->ip_at - 2) == 0x86dd;
	if (frame->ipv6) {
		frame->l4_at = frame->ip_at + 40;
		protocol = frame->bytes[frame->ip_at + 6];
		if (protocol == 43) {
			protocol = frame->bytes[frame->l4_at];
			frame->l4_at += 24;
		}
	} else {
		frame->l4_at = frame->ip_at + (frame->bytes[frame->ip_at] & 15) * 4U;
		protocol = frame->bytes[frame->ip_at + 9];
	}
	frame->udp = protocol == 17;
	frame->payload_at =
		frame->l4_at + (frame->udp ? 8 : (frame->bytes[frame->l4_at + 12] >> 4) * 4U);
}

bool frame_checksums_ok(const struct frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->ip_at;
	size_t end = ip_end(frame);

	if (end > frame->size_bytes)
		return false;
	if (!frame->ipv6 && sum16(0, ip, (ip[0] & 15) * 4U) != 0xffff)
		return false;
	return sum16(pseudo(frame, end - frame->l4_at), frame->bytes + frame->l4_at,
		       end - frame->l4_at) == 0xffff;
}
