/* SPDX-License-Identifier: MIT */
#include "pump_frame.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "fabric/inet.h"
#include "fabric/offload.h"

#define ETHERTYPE_PUMP  0x88b5 /* IEEE 802, local experiments */
#define REPEAT_AFTER_NS (20 * NS_PER_MS)

static void write_ethernet(const struct pump *pump, uint16_t ethertype, uint8_t *frame)
{
	memcpy(frame, pump->peer_mac, ETH_ADDR_LEN);
	memcpy(frame + ETH_ADDR_LEN, pump->mac, ETH_ADDR_LEN);
	store_be16(frame + 2 * ETH_ADDR_LEN, ethertype);
}

static uint32_t address_of(const uint8_t mac[ETH_ADDR_LEN])
{
	return 0x0a000000U | mac[5];
}

void pump_write_ipv4(const struct pump *pump, uint8_t protocol, size_t l4_bytes, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_HEADER_BYTES;
	uint16_t sum;

	write_ethernet(pump, ETHERTYPE_IPV4, frame);
	memset(ip, 0, IPV4_MIN_BYTES);
	ip[0] = 0x45;
	store_be16(ip + IPV4_LENGTH, (uint16_t)(IPV4_MIN_BYTES + l4_bytes));
	store_be16(ip + IPV4_FRAGMENT, 0x4000); /* never cut */
	ip[8] = 64;
	ip[IPV4_PROTOCOL] = protocol;
	store_be32(ip + IPV4_ADDRESSES, address_of(pump->mac));
	store_be32(ip + IPV4_ADDRESSES + 4, address_of(pump->peer_mac));
	sum = (uint16_t)~csum_add(0, ip, IPV4_MIN_BYTES);
	memcpy(ip + IPV4_CSUM, &sum, sizeof(sum)); /* in the order of the summed bytes */
}

uint16_t pump_pseudo_sum(const uint8_t *frame, uint8_t protocol, size_t l4_bytes)
{
	uint8_t rest[4] = {0, protocol};

	store_be16(rest + 2, (uint16_t)l4_bytes);
	return csum_add(
		csum_add(0, frame + ETH_HEADER_BYTES + IPV4_ADDRESSES, 8), rest, sizeof(rest));
}

enum pump_word pump_word_of(const uint8_t *frame, size_t size_bytes)
{
	uint8_t word;

	if (size_bytes <= ETH_HEADER_BYTES || load_be16(frame + 2 * ETH_ADDR_LEN) != ETHERTYPE_PUMP)
		return PUMP_DATA;
	word = frame[ETH_HEADER_BYTES];
	return word <= PUMP_END_ANSWER ? (enum pump_word)word : PUMP_DATA;
}

int pump_say(struct pump *pump, enum pump_word word)
{
	static const struct eth_hdr plain;
	uint8_t frame[ETH_MIN_FRAME_BYTES] = {0};
	struct iovec iov = {frame, sizeof(frame)};
	int r;

	write_ethernet(pump, ETHERTYPE_PUMP, frame);
	frame[ETH_HEADER_BYTES] = (uint8_t)word;
	r = pump_put(pump, &plain, &iov, 1);
	pump->port.ops->flush(pump->port.port);
	return r;
}

/* Until it comes or `until_ns`. */
static int hear(struct pump *pump, enum pump_word word, uint64_t until_ns)
{
	static uint8_t data[ETH_FRAME_MAX_BYTES];
	struct eth_hdr hdr;
	size_t size_bytes;
	int r;

	for (;;) {
		r = pump->port.ops->recv(pump->port.port, &hdr, data, sizeof(data), &size_bytes);
		if (r == 0 && pump_word_of(data, size_bytes) == word)
			return 0;
		if (r == -EAGAIN)
			r = pump_wait(pump, ETH_FRAMES, until_ns);
		if (r < 0)
			return r;
	}
}

int pump_agree(struct pump *pump, enum pump_word word, uint64_t patience_ns)
{
	uint64_t end_ns = clock_mono_ns() + patience_ns;
	int r;

	do {
		r = pump_say(pump, word);
		if (r == 0)
			r = hear(pump, word + 1, clock_mono_ns() + REPEAT_AFTER_NS);
	} while (r == -ETIMEDOUT && clock_mono_ns() < MIN(end_ns, pump->deadline_ns));
	return r;
}
