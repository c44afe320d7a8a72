/* SPDX-License-Identifier: MIT */
#include "fabric/headers.h"
#include "base/bytes.h"
#include "fabric/inet.h"

/* What is left to read of a frame: from `at`, up to `end`. */
struct span {
	const uint8_t *frame;
	size_t at, end;
};

static size_t left_bytes(const struct span *span)
{
	return span->end - span->at;
}

static const uint8_t *here(const struct span *span)
{
	return span->frame + span->at;
}

static void mark_malformed(struct headers *headers)
{
	struct headers seen = *headers;

	*headers = (struct headers){.ethertype = seen.ethertype, .l3 = seen.l3, .malformed = true};
	memcpy(headers->dst, seen.dst, ETH_ADDR_LEN);
	memcpy(headers->src, seen.src, ETH_ADDR_LEN);
}

/* The SNAP header at the start of an 802.3 frame's payload: 1, 0 for none, or -EBADMSG when the
 * frame ends before that can be told. */
static int find_snap(const struct span *span)
{
	static const uint8_t llc[SNAP_ORGANISATION] = {0xaa, 0xaa, 0x03};
	const uint8_t *snap = here(span);

	if (memcmp(snap, llc, MIN(left_bytes(span), sizeof(llc))))
		return 0;
	if (left_bytes(span) < SNAP_BYTES)
		return -EBADMSG;
	/* RFC 1042, or what IEEE 802.1H has bridges use for the same. */
	snap += SNAP_ORGANISATION;
	return snap[0] == 0 && snap[1] == 0 && (snap[2] == 0 || snap[2] == 0xf8);
}

/* Step over tags and SNAP headers; whatever it is, the Ethernet type is the last thing before the
 * payload. False: what is behind them cannot be told. */
static bool find_l3(struct span *span, struct headers *headers)
{
	for (unsigned i = 0;; i++) {
		size_t step_bytes = ETH_TAG_BYTES;
		int r = 1;

		headers->ethertype = load_be16(here(span) - sizeof(uint16_t));
		if (headers->ethertype < ETHERTYPE_MIN) {
			step_bytes = SNAP_BYTES;
			r = find_snap(span);
		} else if (!ethertype_is_tag(headers->ethertype)) {
			return true;
		}
		if (r == 0)
			return true;
		if (r < 0 || left_bytes(span) < step_bytes) {
			headers->malformed = true;
			return false;
		}
		if (i == HEADERS_MAX_INNER_TAGS) {
			headers->hidden = true;
			return false;
		}
		span->at += step_bytes;
	}
}

static void parse_arp(const struct span *span, struct headers *headers)
{
	const uint8_t *arp = here(span);

	if (left_bytes(span) < ARP_BYTES ||
		load_be16(arp + ARP_HARDWARE) != ARP_HARDWARE_ETHERNET ||
		load_be16(arp + ARP_PROTOCOL) != ETHERTYPE_IPV4 ||
		arp[ARP_HARDWARE_BYTES] != ETH_ADDR_LEN ||
		arp[ARP_PROTOCOL_BYTES] != sizeof(headers->arp.sender_ip)) {
		mark_malformed(headers);
		return;
	}
	headers->arp.operation = load_be16(arp + ARP_OPERATION);
	memcpy(headers->arp.sender_mac, arp + ARP_SENDER_MAC, ETH_ADDR_LEN);
	memcpy(headers->arp.target_mac, arp + ARP_TARGET_MAC, ETH_ADDR_LEN);
	memcpy(headers->arp.sender_ip, arp + ARP_SENDER_IP, sizeof(headers->arp.sender_ip));
	memcpy(headers->arp.target_ip, arp + ARP_TARGET_IP, sizeof(headers->arp.target_ip));
}

static void read_icmp(const uint8_t *icmp, bool is_echo, struct headers *headers)
{
	headers->has_icmp = true;
	headers->icmp_type = icmp[ICMP_TYPE];
	headers->icmp_code = icmp[ICMP_CODE];
	if (is_echo)
		headers->icmp_id = load_be16(icmp + ICMP_ECHO_ID);
}

static bool is_echo_type(bool ipv6, uint8_t type)
{
	return ipv6 ? type == ICMPV6_ECHO_REQUEST || type == ICMPV6_ECHO_REPLY
		    : type == ICMP_ECHO_REQUEST || type == ICMP_ECHO_REPLY;
}

/* How much of the upper header there must be for its fields to be read; 0: it has none. */
static size_t needed_bytes(const struct span *span, const struct headers *headers)
{
	bool ipv6 = headers->l3 == HEADERS_L3_IPV6;

	switch (headers->protocol) {
	case PROTOCOL_TCP:
		return TCP_MIN_BYTES;
	case PROTOCOL_UDP:
		return UDP_BYTES;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		if (ipv6 != (headers->protocol == PROTOCOL_ICMPV6))
			return 0;
		if (left_bytes(span) > 0 && is_echo_type(ipv6, *here(span)))
			return ICMP_ECHO_BYTES;
		return ICMP_MIN_BYTES;
	default:
		return 0;
	}
}

static void parse_l4(const struct span *span, struct headers *headers)
{
	const uint8_t *l4 = here(span);
	size_t needed = needed_bytes(span, headers);

	if (headers->protocol == PROTOCOL_ESP || left_bytes(span) < needed) {
		headers->hidden = true;
		return;
	}
	headers->l4_at = (uint16_t)span->at;
	headers->l4_bytes = (uint16_t)MIN(left_bytes(span), (size_t)UINT16_MAX);
	if (needed == 0)
		return;
	if (headers->protocol == PROTOCOL_TCP || headers->protocol == PROTOCOL_UDP) {
		headers->has_ports = true;
		headers->src_port = load_be16(l4);
		headers->dst_port = load_be16(l4 + 2);
		if (headers->protocol == PROTOCOL_TCP)
			headers->tcp_flags = l4[TCP_FLAGS];
		return;
	}
	read_icmp(l4, needed == ICMP_ECHO_BYTES, headers);
}

/* There are to be `size_bytes` more bytes of the packet; what follows them is padding. */
static void end_after(struct span *span, size_t size_bytes, struct headers *headers)
{
	headers->truncated = size_bytes > left_bytes(span);
	if (!headers->truncated)
		span->end = span->at + size_bytes;
}

static void parse_ipv4(struct span *span, struct headers *headers)
{
	const uint8_t *ip = here(span);
	size_t header_bytes, length_bytes;
	uint16_t fragment;

	if (left_bytes(span) < IPV4_MIN_BYTES || ip[0] >> 4 != 4) {
		mark_malformed(headers);
		return;
	}
	header_bytes = (size_t)(ip[0] & 15) * 4;
	length_bytes = load_be16(ip + IPV4_LENGTH);
	if (length_bytes == 0)
		length_bytes = left_bytes(span);
	if (header_bytes < IPV4_MIN_BYTES || header_bytes > left_bytes(span) ||
		header_bytes > length_bytes) {
		mark_malformed(headers);
		return;
	}
	fragment = load_be16(ip + IPV4_FRAGMENT);
	memcpy(headers->ip_src, ip + IPV4_ADDRESSES, 4);
	memcpy(headers->ip_dst, ip + IPV4_ADDRESSES + 4, 4);
	headers->ttl = ip[IPV4_TTL];
	headers->protocol = ip[IPV4_PROTOCOL];
	headers->fragment = fragment & IPV4_MORE_OR_OFFSET;
	headers->first = !(fragment & IPV4_OFFSET);
	headers->hidden = !headers->first;
	end_after(span, length_bytes, headers);
	span->at += header_bytes;
	if (headers->first)
		parse_l4(span, headers);
}

/* The size of the extension header here, of which 8 bytes are there; all of them have their length
 * in the second byte, each in its own way. */
static size_t extension_bytes(const struct span *span, uint8_t type)
{
	size_t length = here(span)[1];

	if (type == IPV6_FRAGMENT)
		return IPV6_OPTION_MIN_BYTES;
	if (type == IPV6_AUTHENTICATION)
		return (length + 2) * 4;
	return (length + 1) * IPV6_OPTION_MIN_BYTES;
}

/* Follow the chain of extension headers. False, and hidden: it cannot be followed to its end, and
 * headers->protocol says what is there. */
static bool walk_extensions(struct span *span, struct headers *headers)
{
	bool fragmented = false;

	for (unsigned i = 0; ipv6_is_extension(headers->protocol); i++) {
		uint8_t type = headers->protocol;
		size_t step_bytes;

		headers->hidden = true;
		if (i == HEADERS_MAX_EXTENSIONS || left_bytes(span) < IPV6_OPTION_MIN_BYTES)
			return false;
		step_bytes = extension_bytes(span, type);
		if (step_bytes > left_bytes(span))
			return false;
		if (type == IPV6_FRAGMENT) {
			uint16_t field = load_be16(here(span) + IPV6_FRAGMENT_FIELD);

			/* What a fragment of a fragment holds is only known when both were put
			 * together. */
			if (fragmented)
				return false;
			fragmented = true;
			/* Neither: an atomic fragment, whole all the same (RFC 6946). */
			headers->fragment = field & (IPV6_FRAGMENT_OFFSET | IPV6_FRAGMENT_MORE);
			headers->first = !(field & IPV6_FRAGMENT_OFFSET);
		}
		headers->protocol = *here(span);
		if (!headers->first)
			return false;
		headers->hidden = false;
		span->at += step_bytes;
	}
	return true;
}

static void parse_ipv6(struct span *span, struct headers *headers)
{
	const uint8_t *ip = here(span);
	size_t length_bytes;

	if (left_bytes(span) < IPV6_BYTES || ip[0] >> 4 != 6) {
		mark_malformed(headers);
		return;
	}
	length_bytes = load_be16(ip + IPV6_LENGTH);
	memcpy(headers->ip_src, ip + IPV6_ADDRESSES, HEADERS_IP_BYTES);
	memcpy(headers->ip_dst, ip + IPV6_ADDRESSES + HEADERS_IP_BYTES, HEADERS_IP_BYTES);
	headers->ttl = ip[IPV6_HOP_LIMIT];
	headers->protocol = ip[IPV6_NEXT];
	headers->first = true;
	span->at += IPV6_BYTES;
	if (length_bytes > 0)
		end_after(span, length_bytes, headers);
	if (walk_extensions(span, headers))
		parse_l4(span, headers);
}

void headers_parse(const uint8_t *frame, size_t size_bytes, struct headers *ret)
{
	struct span span = {.frame = frame, .at = ETH_HEADER_BYTES, .end = size_bytes};

	*ret = (struct headers){.l3 = HEADERS_L3_OTHER};
	memcpy(ret->dst, frame, ETH_ADDR_LEN);
	memcpy(ret->src, frame + ETH_ADDR_LEN, ETH_ADDR_LEN);
	if (!find_l3(&span, ret))
		return;
	switch (ret->ethertype) {
	case ETHERTYPE_ARP:
		ret->l3 = HEADERS_L3_ARP;
		parse_arp(&span, ret);
		break;
	case ETHERTYPE_IPV4:
		ret->l3 = HEADERS_L3_IPV4;
		parse_ipv4(&span, ret);
		break;
	case ETHERTYPE_IPV6:
		ret->l3 = HEADERS_L3_IPV6;
		parse_ipv6(&span, ret);
		break;
	default:
		break;
	}
}
