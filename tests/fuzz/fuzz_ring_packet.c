/* SPDX-License-Identifier: MIT
 *
 * fuzz_ring_packet.c - rings and packets in memory that a hostile guest wrote.
 *
 * The input: {shape u8, indices and feature words of both rings, PFNs of ranges aside} and then
 * bytes that fill the data of the guest-to-host ring from its read index on. Every packet is taken
 * and read through to the end, its ranges also written, and answered into the other ring.
 */
#include "base/bytes.h"
#include "vmbus/packet.h"
#include "vmbus/ranges.h"

#define N_RING_PAGES 5
#define N_PAGES      24 /* of guest memory, from 0 on so that small PFNs are RAM */
#define RING_AT      8  /* first page of the rings */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

struct rig {
	struct gpa_space *memory;
	uint8_t *host;
	uint64_t pfns[2 * N_RING_PAGES];
	struct vmbus_gpadl *gpadl;
	struct ring in, out;
	uint8_t buffer[VMBUS_MAX_PACKET_BYTES];
	struct vmbus_packet packet;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t *ring_page(struct rig *rig, unsigned page)
{
	return gpadl_page(rig->gpadl, page);
}

static void make_memory(struct rig *rig, bool scattered)
{
	const struct vmbus_gpa_range range = {ARRAY_LEN(rig->pfns) * GPA_PAGE_SIZE, 0};
	const size_t n_bytes = N_PAGES * GPA_PAGE_SIZE;

	rig->host = aligned_alloc(GPA_PAGE_SIZE, n_bytes);
	check(rig->host && gpa_space_new(&rig->memory) == 0);
	memset(rig->host, 0, n_bytes);
	check(gpa_space_add(rig->memory, gpa(0), n_bytes, rig->host) == 0);
	for (uint64_t i = 0; i < ARRAY_LEN(rig->pfns); i++)
		rig->pfns[i] = RING_AT + (scattered ? i ^ 1 : i);
	check(gpadl_new(rig->memory, 1, range, (uint8_t *)rig->pfns, &rig->gpadl) == 0);
}

static void write_control(struct rig *rig, unsigned page, struct reader *in)
{
	uint8_t *control = ring_page(rig, page);

	for (size_t i = 0; i < 4; i++)
		store_le32(control + 4 * i, reader_le16(in) % 0x900U * (i < 2 ? 8U : 1U));
	control[offsetof(struct vmbus_ring_control, feature_bits)] = reader_u8(in);
}

static void fill_data(struct rig *rig, struct reader *in)
{
	const uint32_t n_data = (N_RING_PAGES - 1) * VMBUS_PAGE_BYTES;
	uint32_t at = load_le32(ring_page(rig, 0) + 4) % n_data;

	for (uint32_t i = 0; i < n_data && in->left_bytes; i++) {
		uint32_t index = (at + i) % n_data;

		ring_page(rig, 1 + index / VMBUS_PAGE_BYTES)[index % VMBUS_PAGE_BYTES] =
			reader_u8(in);
	}
}

/* As many bytes as asked for, all of them the guest's. */
static void look_through_windows(struct rig *rig, uint32_t at, size_t size_bytes, int expected)
{
	const struct vmbus_packet *packet = &rig->packet;
	struct iovec iov[8];
	int n = ranges_iov(
		rig->memory, packet->ranges, packet->n_ranges, at, size_bytes, iov, ARRAY_LEN(iov));

	check(n >= 0 ? expected == 0 : n == expected || n == -E2BIG);
	for (int i = 0; i < n; i++) {
		const uint8_t *base = iov[i].iov_base;

		check(base >= rig->host &&
			base + iov[i].iov_len <= rig->host + N_PAGES * GPA_PAGE_SIZE);
		check(iov[i].iov_len <= size_bytes);
		size_bytes -= iov[i].iov_len;
	}
	check(n < 0 || size_bytes == 0);
}

static void read_through(struct rig *rig)
{
	const struct vmbus_packet *packet = &rig->packet;
	const uint8_t *end = rig->buffer + sizeof(rig->buffer);
	uint64_t total_bytes = 0;
	uint8_t bytes[3000] = {0};

	check(packet->payload >= rig->buffer && packet->payload_bytes <= sizeof(rig->buffer));
	check(packet->payload + packet->payload_bytes <= end);
	check(packet->n_ranges <= VMBUS_MAX_RANGES);
	for (unsigned i = 0; i < packet->n_ranges; i++) {
		check(packet->ranges[i].pfns >= rig->buffer);
		check(packet->ranges[i].pfns + 8UL * packet->ranges[i].n_pfns <= packet->payload);
		total_bytes += packet->ranges[i].byte_count;
	}
	for (uint64_t at = 0; at <= total_bytes && at < 40000; at += sizeof(bytes)) {
		int err = ranges_read(rig->memory, packet->ranges, packet->n_ranges, (uint32_t)at,
			bytes, sizeof(bytes));

		check(err == 0 || err == -EFAULT);
		check(err || at + sizeof(bytes) <= total_bytes);
		check(ranges_write(rig->memory, packet->ranges, packet->n_ranges, (uint32_t)at,
			      bytes, sizeof(bytes)) == err);
		look_through_windows(rig, (uint32_t)at, sizeof(bytes), err);
	}
}

static void answer(struct rig *rig)
{
	struct vmbus_packet_descriptor descriptor = {.type = VMBUS_PACKET_COMPLETION};
	struct vmbus_transfer_range ranges[2] = {{64, 0}, {64, 64}};
	struct packet_header header = {ranges, sizeof(ranges)};

	(void)packet_put(
		&rig->out, descriptor, &header, 1, rig->packet.payload, rig->packet.payload_bytes);
	ring_out_publish(&rig->out);
}

static void run(struct rig *rig)
{
	int err = ring_in_open(&rig->in, rig->gpadl, 0, N_RING_PAGES);

	if (err || ring_out_open(&rig->out, rig->gpadl, N_RING_PAGES, N_RING_PAGES))
		return;
	ring_in_mask(&rig->in, true);
	while ((err = packet_take(&rig->in, rig->buffer, &rig->packet)) == 0) {
		read_through(rig);
		answer(rig);
		ring_in_publish(&rig->in);
	}
	check(err == -EAGAIN || err == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	struct reader in = reader_make(data, size_bytes);
	struct rig *rig = calloc(1, sizeof(*rig));

	check(rig);
	make_memory(rig, reader_u8(&in) & 1);
	write_control(rig, 0, &in);
	write_control(rig, N_RING_PAGES, &in);
	fill_data(rig, &in);
	run(rig);
	gpadl_free(rig->gpadl);
	gpa_space_free(rig->memory);
	free(rig->host);
	free(rig);
	return 0;
}
